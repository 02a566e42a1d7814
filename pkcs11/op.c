#include "pkcs11/op.h"

#include <stdlib.h>
#include <string.h>

#include "core/secret.h"

struct op {
    const struct mech *mech;
    CK_OBJECT_HANDLE key;
    struct pubkey pub;
    const struct alg_hash *hash; /* of the data, or of PSS; NULL when there is none */
    int salt;                    /* PSS */
    struct hash *running;        /* mechanisms that hash here */
    uint8_t data[OP_MAX_RAW];    /* the others: the input; then what is to be signed */
    size_t len;
    bool fed;
};

/* 2.1.10: hash, mask generation function and salt length. The mask function of
 * another hash is left out: no TPM signs so, and nobody asks for it. */
static CK_RV pss_params(struct op *op, const CK_MECHANISM *m)
{
    CK_RSA_PKCS_PSS_PARAMS p;
    uint16_t hash;

    if (m->pParameter == NULL || m->ulParameterLen != sizeof(p))
        return CKR_MECHANISM_PARAM_INVALID;
    memcpy(&p, m->pParameter, sizeof(p));
    hash = mech_table_hash(p.hashAlg);
    if (hash == 0 || (op->mech->hash != 0 && op->mech->hash != hash) ||
        mech_table_mgf(p.mgf) != hash)
        return CKR_MECHANISM_PARAM_INVALID;
    op->hash = alg_hash_of(hash);
    /* RFC 8017, 9.1.1 step 3, for a modulus whose top bit is set. */
    if (op->hash == NULL || p.sLen > op->pub.n_len ||
        op->hash->size + (size_t)p.sLen + 2 > op->pub.n_len)
        return CKR_MECHANISM_PARAM_INVALID;
    op->salt = (int)p.sLen;
    return CKR_OK;
}

static CK_RV set_params(struct op *op, const CK_MECHANISM *m)
{
    if (op->mech->how == MECH_PSS)
        return pss_params(op, m);
    /* Some callers leave a stale pointer beside a length of 0. */
    if (m->ulParameterLen != 0)
        return CKR_MECHANISM_PARAM_INVALID;
    if (op->mech->hash != 0) {
        op->hash = alg_hash_of(op->mech->hash);
        if (op->hash == NULL)
            return CKR_MECHANISM_INVALID;
    }
    return CKR_OK;
}

CK_RV op_new(struct op **out, const struct mech *m, const CK_MECHANISM *mechanism,
             const struct object *key)
{
    struct op *op = calloc(1, sizeof(*op));
    struct bytes spki;
    CK_RV rv;

    if (op == NULL)
        return CKR_HOST_MEMORY;
    op->mech = m;
    rv = CKR_KEY_SIZE_RANGE;
    if (key != NULL) {
        op->key = key->handle;
        if (!object_value(key, CKA_PUBLIC_KEY_INFO, &spki) ||
            pubkey_from_spki(&op->pub, spki, NULL) != 0)
            goto fail;
    }
    rv = set_params(op, mechanism);
    if (rv != CKR_OK)
        goto fail;
    if (m->hash != 0) {
        op->running = hash_begin(op->hash, NULL);
        rv = CKR_HOST_MEMORY;
        if (op->running == NULL)
            goto fail;
    }
    *out = op;
    return CKR_OK;
fail:
    op_free(op);
    return rv;
}

void op_free(struct op *op)
{
    if (op == NULL)
        return;
    hash_abort(op->running);
    secret_wipe(op->data, sizeof(op->data));
    free(op);
}

const struct mech *op_mech(const struct op *op)
{
    return op->mech;
}

CK_OBJECT_HANDLE op_key(const struct op *op)
{
    return op->key;
}

const struct pubkey *op_pubkey(const struct op *op)
{
    return &op->pub;
}

bool op_fed(const struct op *op)
{
    return op->fed;
}

void op_set_fed(struct op *op)
{
    op->fed = true;
}

/* How much a mechanism that does not hash here takes. */
static size_t most_raw(const struct op *op)
{
    switch (op->mech->how) {
    case MECH_PKCS1: return op->pub.n_len > 11 ? (size_t)op->pub.n_len - 11 : 0; /* RFC 8017, 9.2 */
    case MECH_PSS: return op->hash->size;
    case MECH_X509: return op->pub.n_len;
    default: return sizeof(op->data);
    }
}

CK_RV op_update(struct op *op, const void *p, size_t len)
{
    if (op->running != NULL)
        return hash_update(op->running, bytes_of(p, len), NULL) == 0 ? CKR_OK : CKR_FUNCTION_FAILED;
    if (len > most_raw(op) || op->len > most_raw(op) - len)
        return CKR_DATA_LEN_RANGE;
    if (len != 0)
        memcpy(&op->data[op->len], p, len);
    op->len += len;
    return CKR_OK;
}

static CK_RV finish_raw(struct op *op)
{
    size_t gap;

    switch (op->mech->how) {
    case MECH_ECDSA: return op->len != 0 ? CKR_OK : CKR_DATA_LEN_RANGE;
    case MECH_PSS: return op->len == op->hash->size ? CKR_OK : CKR_DATA_LEN_RANGE;
    case MECH_X509:
        /* 2.1.8: shorter input is padded with zeros in front; it is a number below
         * the modulus. */
        gap = op->pub.n_len - op->len;
        memmove(&op->data[gap], op->data, op->len);
        memset(op->data, 0, gap);
        op->len = op->pub.n_len;
        return memcmp(op->data, op->pub.n, op->len) < 0 ? CKR_OK : CKR_DATA_INVALID;
    default: return CKR_OK;
    }
}

CK_RV op_finish(struct op *op, struct token_sign *what)
{
    struct token_sign w = {.hash = op->hash, .mgf = op->hash, .salt = op->salt};
    CK_RV rv = CKR_OK;

    if (op->running != NULL) {
        struct hash *h = op->running;

        op->running = NULL;
        if (hash_end(h, op->data, NULL) != 0)
            return CKR_FUNCTION_FAILED;
        op->len = op->hash->size;
    } else {
        rv = finish_raw(op);
    }
    switch (op->mech->how) {
    case MECH_ECDSA: w.scheme = PUBKEY_ECDSA; break;
    case MECH_PSS: w.scheme = PUBKEY_RSAPSS; break;
    default: w.scheme = PUBKEY_RSASSA; break;
    }
    w.digest = bytes_of(op->data, op->len);
    if (rv == CKR_OK)
        *what = w;
    return rv;
}

size_t op_out_len(const struct op *op)
{
    return op->mech->how == MECH_DIGEST ? op->hash->size : pubkey_sig_len(&op->pub);
}

CK_RV op_room(const struct op *op, const void *out, CK_ULONG *len, bool *go)
{
    CK_ULONG need = (CK_ULONG)op_out_len(op);
    bool small = out != NULL && *len < need;

    *go = out != NULL && !small;
    if (!*go)
        *len = need;
    return small ? CKR_BUFFER_TOO_SMALL : CKR_OK;
}
