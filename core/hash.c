#include "core/hash.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <tss2/tss2_tpm2_types.h>

struct hash {
    EVP_MD_CTX *md;
};

int hash_digest(const struct alg_hash *h, struct bytes in, uint8_t *out, struct err *e)
{
    if (EVP_Digest(in.p, in.len, out, NULL, EVP_get_digestbynid(h->nid), NULL) != 1)
        return err_openssl(e, E_CRYPTO, h->name);
    return 0;
}

int hash_hmac(const struct alg_hash *h, struct bytes key, struct bytes in, uint8_t *out,
              struct err *e)
{
    static const uint8_t none[1];
    unsigned len = 0;

    /* HMAC() takes a NULL key as "reuse the last one"; an empty key is legal here. */
    if (HMAC(EVP_get_digestbynid(h->nid), key.len != 0 ? key.p : none, (int)key.len, in.p, in.len,
             out, &len) == NULL)
        return err_openssl(e, E_CRYPTO, "HMAC");
    return 0;
}

int hash_sha256(struct bytes in, uint8_t out[32], struct err *e)
{
    return hash_digest(alg_hash_of(TPM2_ALG_SHA256), in, out, e);
}

struct hash *hash_begin(const struct alg_hash *h, struct err *e)
{
    struct hash *c = calloc(1, sizeof(*c));

    if (c == NULL || (c->md = EVP_MD_CTX_new()) == NULL) {
        err_set(e, E_MEMORY, "out of memory for a digest");
        hash_abort(c);
        return NULL;
    }
    if (EVP_DigestInit_ex(c->md, EVP_get_digestbynid(h->nid), NULL) != 1) {
        err_openssl(e, E_CRYPTO, h->name);
        hash_abort(c);
        return NULL;
    }
    return c;
}

int hash_update(struct hash *c, struct bytes in, struct err *e)
{
    if (in.len != 0 && EVP_DigestUpdate(c->md, in.p, in.len) != 1)
        return err_openssl(e, E_CRYPTO, "digest");
    return 0;
}

int hash_end(struct hash *c, uint8_t *out, struct err *e)
{
    int rc = 0;

    if (EVP_DigestFinal_ex(c->md, out, NULL) != 1)
        rc = err_openssl(e, E_CRYPTO, "digest");
    hash_abort(c);
    return rc;
}

void hash_abort(struct hash *c)
{
    if (c == NULL)
        return;
    EVP_MD_CTX_free(c->md);
    free(c);
}
