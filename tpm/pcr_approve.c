#include "tpm/pcr_approve.h"

#include "core/hash.h"
#include "tpm/key_extra.h"
#include "tpm/pcr_approved.h"
#include "tpm/pin.h"

#include <string.h>

/* --- approving ---------------------------------------------------------------------- */

static const struct pin_so_content *content(struct token *k, struct err *e)
{
    if (k->who == TOKEN_SO)
        return (const struct pin_so_content *)(const void *)secret_peek(k->secret);
    err_set(e, E_LOGIN, "the SO must be logged in to token '%s' to approve PCR values",
            k->row.label);
    return NULL;
}

int pcr_approve_seal(struct token *k, struct store_seal *out, struct err *e)
{
    const struct pin_so_content *c = content(k, e);

    return c != NULL ? store_seal_derive(bytes_of(c->secret, sizeof(c->secret)), out, e) : -1;
}

/* The key, and what it is bound to. */
static int get(struct token *k, const uint8_t uuid[STORE_UUID], const struct store_seal *seal,
               struct store_key *key, struct pcr_bound *b, struct err *e)
{
    struct key_extra x;

    if (store_key_get(k->store, k->row.id, uuid, seal, key, e) != 0)
        return -1;
    if (pcr_of_key(key, b, e) == 0 && key_extra_read(key, &x, e) == 0) {
        if (x.updatable && b->selection.count == 1)
            return 0;
        err_set(e, E_ARG, "%s",
                b->selection.count == 0
                    ? "the key is not bound to PCRs"
                    : "the key is bound to the PCR values of when it was made, and to no others; "
                      "only one that is made with --pcrs-updatable can have others approved");
    }
    store_key_free(key);
    *key = (struct store_key){.token = 0};
    return -1;
}

static void which_of(const struct pcr_bound *b, struct key_pcrs *out)
{
    *out = (struct key_pcrs){.hash = b->selection.pcrSelections[0].hash};
    memcpy(out->select, b->selection.pcrSelections[0].pcrSelect, sizeof(out->select));
}

int pcr_approve_which(struct token *k, const uint8_t uuid[STORE_UUID], struct key_pcrs *out,
                      struct err *e)
{
    struct store_key key = {.token = 0};
    struct store_seal seal;
    struct pcr_bound b;
    int rc = -1;

    if (pcr_approve_seal(k, &seal, e) == 0 && get(k, uuid, &seal, &key, &b, e) == 0) {
        which_of(&b, out);
        rc = 0;
    }
    secret_wipe(&seal, sizeof(seal));
    store_key_free(&key);
    return rc;
}

/* K's signature, r and s. */
static int sign(struct token *k, const uint8_t digest[32], uint8_t out[64], struct err *e)
{
    const struct pin_so_content *c = content(k, e);
    struct secret *s = c != NULL ? secret_new(sizeof(struct pin_k), e) : NULL;
    struct pin_k *so;
    int rc = -1;

    if (s == NULL)
        return -1;
    so = (struct pin_k *)(void *)secret_data(s);
    if (pin_k_derive(c->k_seed, so, e) != 0)
        goto out;
    if (memcmp(so->pub.x, k->row.k_public, 32) != 0 ||
        memcmp(so->pub.y, k->row.k_public + 32, 32) != 0) {
        err_set(e, E_CORRUPT, "the SO's key of token '%s' in the store is not the one in the TPM",
                k->row.label);
        goto out;
    }
    rc = ecc_sign(alg_curve_of(TPM2_ECC_NIST_P256), so->d, bytes_of(digest, 32), out, e);
out:
    secret_free(s);
    return rc;
}

/* Puts it last, where uses look first; one of the same values goes. */
static int add(struct key_extra *x, const struct key_extra_pcrs *fresh, bool only, struct err *e)
{
    size_t n = 0;

    for (size_t i = 0; i < x->n_pcrs && !only; i++) {
        if (memcmp(x->pcrs[i].digest, fresh->digest, sizeof(fresh->digest)) != 0)
            x->pcrs[n++] = x->pcrs[i];
    }
    if (n == KEY_EXTRA_PCRS)
        return err_set(e, E_FULL,
                       "%d sets of PCR values are approved for the key already; approve this one "
                       "with --revoke-others",
                       KEY_EXTRA_PCRS);
    x->pcrs[n++] = *fresh;
    x->n_pcrs = n;
    return 0;
}

static int approve(struct token *k, struct store_key *key, struct pcr_bound *b,
                   const struct store_seal *seal, bool only, size_t *n, struct err *e)
{
    struct key_extra_pcrs fresh;
    struct tpmpolicy ignored;
    struct key_extra x;
    uint8_t digest[32];
    TPM2B_NONCE ref;

    memcpy(fresh.digest, b->digest.buffer, sizeof(fresh.digest));
    if (pcr_approved_digest(key->uuid, b, &ignored, &ref, digest, e) != 0 ||
        sign(k, digest, fresh.signature, e) != 0 || key_extra_read(key, &x, e) != 0 ||
        add(&x, &fresh, only, e) != 0 || key_extra_write(key, &x, e) != 0 ||
        store_key_amend(k->store, key, seal, e) != 0)
        return -1;
    *n = x.n_pcrs;
    return 0;
}

int pcr_approve_now(struct token *k, const uint8_t uuid[STORE_UUID], struct pcrvalues *out,
                    struct err *e)
{
    struct key_pcrs which;
    struct session *main;

    if (pcr_approve_which(k, uuid, &which, e) != 0 || (main = token_session(k, e)) == NULL)
        return -1;
    return pcr_read(k->tpm, main, &which, out, e);
}

int pcr_approve(struct token *k, const uint8_t uuid[STORE_UUID], const struct pcrvalues *values,
                bool only, size_t *n, struct err *e)
{
    struct store_key key = {.token = 0};
    struct store_seal seal;
    struct key_pcrs which;
    struct pcr_bound b;
    int rc = -1;

    if (pcr_approve_seal(k, &seal, e) != 0)
        return -1;
    if (store_begin(k->store, e) != 0)
        goto out;
    if (get(k, uuid, &seal, &key, &b, e) == 0) {
        which_of(&b, &which);
        if (pcr_bind(values, &which, &b, e) == 0)
            rc = approve(k, &key, &b, &seal, only, n, e);
    }
    if (rc == 0)
        rc = store_commit(k->store, e);
    if (rc != 0)
        store_rollback(k->store);
out:
    secret_wipe(&seal, sizeof(seal));
    store_key_free(&key);
    return rc;
}
