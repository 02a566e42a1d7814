#include "tpm/crypt_priv.h"

#include "core/tpmname.h"

#include <string.h>

int crypt_area(const struct store_key *key, TPMI_ALG_PUBLIC type, TPMA_OBJECT attributes,
               const char *what, TPMT_PUBLIC *out, struct err *e)
{
    TPMT_PUBLIC area;

    if (tpmname_unmarshal_public(buf_bytes(&key->public), &area, e) != 0)
        return -1;
    if (area.type != type)
        return err_set(e, E_ARG, "this key cannot %s: it is of another kind", what);
    if ((area.objectAttributes & attributes) != attributes)
        return err_set(e, E_UNSUPPORTED,
                       "this key cannot %s: it was made for other uses; make a key that allows it",
                       what);
    *out = area;
    return 0;
}

/* --- key agreement ----------------------------------------------------------- */

struct ecdh_job {
    const struct store_key *key;
    const struct alg_curve *curve;
    const struct ecc_point *peer;
    uint8_t *z;
};

static int ecdh_op(struct token *k, void *arg, struct err *e)
{
    const struct ecdh_job *j = arg;
    size_t n = j->curve->size;
    TPM2B_ECC_POINT in = {.point.x.size = (UINT16)n, .point.y.size = (UINT16)n}, out = {0};
    const TPM2B_ECC_PARAMETER *x = &out.point.x;
    const char *what = "key agreement";
    struct authorise u;
    int rc = -1;

    memcpy(in.point.x.buffer, j->peer->x, n);
    memcpy(in.point.y.buffer, j->peer->y, n);
    if (authorise_begin(k, j->key, true, true, &u, e) != 0 ||
        exec_sapi(Tss2_Sys_ECDH_ZGen_Prepare(u.sys, u.handle, &in), what, e) != 0 ||
        authorise_run(k, &u, what, e) != 0 ||
        exec_complete(u.sys, Tss2_Sys_ECDH_ZGen_Complete(u.sys, &out), what, e) != 0)
        goto out;
    if (x->size == 0 || x->size > n) {
        err_set(e, E_TPM, "%s: the TPM gave %u bytes for a coordinate of %zu", what,
                (unsigned)x->size, n);
        goto out;
    }
    /* Some TPMs leave out zeros in front. */
    memset(j->z, 0, n - x->size);
    memcpy(j->z + n - x->size, x->buffer, x->size);
    rc = 0;
out:
    secret_wipe(&out, sizeof(out));
    authorise_end(k, &u);
    return rc;
}

int token_ecdh(struct token *k, const struct store_key *key, const struct ecc_point *peer,
               uint8_t *z, struct err *e)
{
    struct ecdh_job j = {.key = key, .peer = peer, .z = z};
    TPMT_PUBLIC area;

    if (crypt_area(key, TPM2_ALG_ECC, TPMA_OBJECT_DECRYPT, "agree on a secret", &area, e) != 0)
        return -1;
    j.curve = alg_curve_of(area.parameters.eccDetail.curveID);
    if (j.curve == NULL)
        return err_set(e, E_UNSUPPORTED, "this key is on a curve that is not in use here");
    if (!ecc_on_curve(j.curve, peer))
        return err_set(e, E_DATA, "the peer's public point is not on %s, the key's curve",
                       j.curve->name);
    return authorise_retry(k, key, ecdh_op, &j, e);
}
