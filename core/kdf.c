#include "core/kdf.h"

#include "core/buf.h"
#include "core/hash.h"
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

/* RFC 5869 with HMAC-SHA256: extract with a salt of 32 zeros, then expand. Built
 * on HMAC() because EVP_KDF would be fetched anew for each key in OpenSSL 3.0. */
int kdf_hkdf(struct bytes key, struct bytes info, uint8_t *out, size_t len, struct err *e)
{
    static const uint8_t zeros[32];
    const struct alg_hash *h = alg_hash_of(TPM2_ALG_SHA256);
    uint8_t prk[32], t[32];
    size_t have = 0;
    int rc = -1;

    if (len > 255 * sizeof(t))
        return err_set(e, E_ARG, "HKDF cannot give %zu bytes", len);
    if (hash_hmac(h, bytes_of(zeros, sizeof(zeros)), key, prk, e) != 0)
        goto out;
    for (uint8_t i = 1; have < len; i++) {
        struct buf in = {.secret = true};
        size_t n = len - have < sizeof(t) ? len - have : sizeof(t);
        int r;

        if (i > 1)
            buf_add(&in, t, sizeof(t));
        buf_add_bytes(&in, info);
        buf_u8(&in, i);
        r = buf_ok(&in, e) != 0 || hash_hmac(h, bytes_of(prk, 32), buf_bytes(&in), t, e) != 0;
        buf_free(&in);
        if (r != 0)
            goto out;
        memcpy(out + have, t, n);
        have += n;
    }
    rc = 0;
out:
    secret_wipe(prk, sizeof(prk));
    secret_wipe(t, sizeof(t));
    return rc;
}

int kdf_scrypt(struct bytes pin, struct bytes salt, uint8_t *out, size_t len, struct err *e)
{
    if (EVP_PBE_scrypt((const char *)pin.p, pin.len, salt.p, salt.len, 1U << 13, 8, 1, 0, out,
                       len) != 1)
        return err_openssl(e, E_CRYPTO, "scrypt");
    return 0;
}
