#include "core/kdf.h"

#include "core/buf.h"
#include "core/hash.h"
#include "core/hmac.h"
#include "core/secret.h"

#include <openssl/evp.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

/* Both KDFs count blocks: block i is HMAC or H over i ‖ parts, from 1. */
static int count_blocks(const struct alg_hash *h, const struct bytes *hmac_key,
                        const struct bytes *part, size_t n_part, size_t want, uint8_t *out,
                        struct err *e)
{
    struct buf in = {.secret = true};
    uint8_t block[ALG_MAX_DIGEST];
    size_t have = 0;
    int rc = -1;

    for (uint32_t i = 1; have < want; i++) {
        size_t n = want - have < h->size ? want - have : h->size;

        in.len = 0;
        buf_u32(&in, i);
        for (size_t k = 0; k < n_part; k++)
            buf_add_bytes(&in, part[k]);
        if (buf_ok(&in, e) != 0 ||
            (hmac_key != NULL ? hash_hmac(h, *hmac_key, buf_bytes(&in), block, e)
                              : hash_digest(h, buf_bytes(&in), block, e)) != 0)
            goto out;
        memcpy(out + have, block, n);
        have += n;
    }
    rc = 0;
out:
    buf_free(&in);
    secret_wipe(block, sizeof(block));
    return rc;
}

int kdf_a(const struct alg_hash *h, struct bytes key, const char *label, struct bytes context_u,
          struct bytes context_v, unsigned bits, uint8_t *out, struct err *e)
{
    uint8_t length[4] = {(uint8_t)(bits >> 24), (uint8_t)(bits >> 16), (uint8_t)(bits >> 8),
                         (uint8_t)bits};
    struct bytes part[] = {bytes_of(label, strlen(label) + 1), context_u, context_v,
                           bytes_of(length, sizeof(length))};

    return count_blocks(h, &key, part, ARRAY_LEN(part), bits / 8, out, e);
}

int kdf_e(const struct alg_hash *h, struct bytes z, const char *label, struct bytes party_u,
          struct bytes party_v, unsigned bits, uint8_t *out, struct err *e)
{
    struct bytes part[] = {z, bytes_of(label, strlen(label) + 1), party_u, party_v};

    return count_blocks(h, NULL, part, ARRAY_LEN(part), bits / 8, out, e);
}

/* --- HKDF ------------------------------------------------------------------ */

struct soft_prk {
    const struct alg_hash *h;
    struct bytes key;
};

static int soft_hmac(void *arg, const struct bytes *part, size_t n, uint8_t *mac, struct err *e)
{
    const struct soft_prk *k = arg;
    struct hmac *c = hmac_begin(k->h, k->key, e);

    if (c == NULL)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (hmac_update(c, part[i], e) != 0) {
            hmac_abort(c);
            return -1;
        }
    }
    return hmac_end(c, mac, e);
}

int kdf_hkdf_extract(const struct alg_hash *h, struct bytes salt, struct bytes ikm, uint8_t *prk,
                     struct err *e)
{
    /* HMAC pads its key with zeros: none and h->size zeros are the same (RFC 2104, 2). */
    return soft_hmac(&(struct soft_prk){h, salt}, &ikm, 1, prk, e);
}

int kdf_hkdf_expand_by(const struct alg_hash *h, const struct kdf_hmac *prk, struct bytes info,
                       uint8_t *out, size_t len, struct err *e)
{
    uint8_t t[ALG_MAX_DIGEST];
    size_t have = 0;
    int rc = -1;

    if (len > 255 * h->size)
        return err_set(e, E_ARG, "HKDF cannot give %zu bytes", len);
    for (uint8_t i = 1; have < len; i++) {
        struct bytes part[] = {bytes_of(t, i > 1 ? h->size : 0), info, bytes_of(&i, 1)};
        size_t n = len - have < h->size ? len - have : h->size;

        if (prk->hmac(prk->arg, part, ARRAY_LEN(part), t, e) != 0)
            goto out;
        memcpy(out + have, t, n);
        have += n;
    }
    rc = 0;
out:
    secret_wipe(t, sizeof(t));
    return rc;
}

int kdf_hkdf_expand(const struct alg_hash *h, struct bytes prk, struct bytes info, uint8_t *out,
                    size_t len, struct err *e)
{
    struct soft_prk k = {h, prk};

    return kdf_hkdf_expand_by(h, &(struct kdf_hmac){soft_hmac, &k}, info, out, len, e);
}

/* Not EVP_KDF, which would be fetched anew for each key in OpenSSL 3.0. */
int kdf_hkdf(struct bytes key, struct bytes info, uint8_t *out, size_t len, struct err *e)
{
    const struct alg_hash *h = alg_hash_of(TPM2_ALG_SHA256);
    uint8_t prk[32];
    int rc = kdf_hkdf_extract(h, bytes_of(NULL, 0), key, prk, e);

    if (rc == 0)
        rc = kdf_hkdf_expand(h, bytes_of(prk, sizeof(prk)), info, out, len, e);
    secret_wipe(prk, sizeof(prk));
    return rc;
}

/* --- X9.63 ----------------------------------------------------------------- */

int kdf_x963(const struct alg_hash *h, struct bytes z, struct bytes info, uint8_t *out, size_t len,
             struct err *e)
{
    uint8_t block[ALG_MAX_DIGEST];
    size_t have = 0;
    int rc = -1;

    /* SEC 1, 3.6.1, step 2. */
    if (len / h->size >= UINT32_MAX)
        return err_set(e, E_ARG, "the X9.63 KDF cannot give %zu bytes", len);
    for (uint32_t i = 1; have < len; i++) {
        uint8_t counter[4] = {(uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8),
                              (uint8_t)i};
        size_t n = len - have < h->size ? len - have : h->size;
        struct hash *c = hash_begin(h, e);

        if (c == NULL || hash_update(c, z, e) != 0 ||
            hash_update(c, bytes_of(counter, sizeof(counter)), e) != 0 ||
            hash_update(c, info, e) != 0) {
            hash_abort(c);
            goto out;
        }
        if (hash_end(c, block, e) != 0)
            goto out;
        memcpy(out + have, block, n);
        have += n;
    }
    rc = 0;
out:
    secret_wipe(block, sizeof(block));
    return rc;
}

int kdf_scrypt(struct bytes pin, struct bytes salt, uint8_t *out, size_t len, struct err *e)
{
    if (EVP_PBE_scrypt((const char *)pin.p, pin.len, salt.p, salt.len, 1U << 13, 8, 1, 0, out,
                       len) != 1)
        return err_openssl(e, E_CRYPTO, "scrypt");
    return 0;
}
