#include "core/store_db.h"

#include "core/cipher.h"
#include "core/hmac.h"
#include "core/kdf.h"
#include "core/secret.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <tss2/tss2_tpm2_types.h>

int store_seal_derive(struct bytes token_secret, struct store_seal *out, struct err *e)
{
    static const char enc[] = "fusetsu store values", mac[] = "fusetsu store rows";
    struct store_seal keys;
    int rc = -1;

    memset(&keys, 0, sizeof(keys));
    if (kdf_hkdf(token_secret, bytes_of(enc, strlen(enc)), keys.enc, sizeof(keys.enc), e) != 0 ||
        kdf_hkdf(token_secret, bytes_of(mac, strlen(mac)), keys.mac, sizeof(keys.mac), e) != 0)
        goto out;
    *out = keys;
    rc = 0;
out:
    secret_wipe(&keys, sizeof(keys));
    return rc;
}

void store_tag_begin(struct store_tag *t, const char *kind, struct bytes serial)
{
    *t = (struct store_tag){.in = {0}};
    store_tag_bytes(t, bytes_of(kind, strlen(kind)));
    store_tag_bytes(t, serial);
}

void store_tag_bytes(struct store_tag *t, struct bytes field)
{
    buf_u32(&t->in, (uint32_t)field.len);
    buf_add_bytes(&t->in, field);
}

void store_tag_int(struct store_tag *t, uint64_t field)
{
    buf_u32(&t->in, sizeof(field));
    buf_u64(&t->in, field);
}

int store_tag_end(struct store_tag *t, const struct store_seal *seal, uint8_t out[32],
                  struct err *e)
{
    struct hmac *c = NULL;
    int rc = buf_ok(&t->in, e);

    /* In parts: hash_hmac fetches its algorithm anew each time, which takes longer than the
     * row (OpenSSL 3), and there may be ten thousand rows. */
    if (rc == 0) {
        c = hmac_begin(alg_hash_of(TPM2_ALG_SHA256), bytes_of(seal->mac, sizeof(seal->mac)), e);
        rc = c != NULL ? hmac_update(c, buf_bytes(&t->in), e) : -1;
    }
    if (rc == 0)
        rc = hmac_end(c, out, e);
    else
        hmac_abort(c);
    buf_free(&t->in);
    return rc;
}

/* What a sealed value belongs to: it opens nowhere else. */
#define AAD_SIZE (STORE_UUID + 8)

static void make_aad(uint8_t aad[AAD_SIZE], const uint8_t uuid[STORE_UUID], uint64_t type)
{
    memcpy(aad, uuid, STORE_UUID);
    for (size_t i = 0; i < 8; i++)
        aad[STORE_UUID + i] = (uint8_t)(type >> (56 - 8 * i));
}

int store_seal_close(const struct store_seal *seal, const uint8_t uuid[STORE_UUID], uint64_t type,
                     struct bytes plain, struct buf *out, struct err *e)
{
    uint8_t aad[AAD_SIZE], nonce[GCM_NONCE];
    uint8_t *box = NULL;
    int rc = -1;

    if (plain.len > BUF_MAX / 2)
        return err_set(e, E_DATA, "a value of %zu bytes is too long to be stored", plain.len);
    box = malloc(plain.len + GCM_TAG);
    if (box == NULL)
        return err_set(e, E_MEMORY, "out of memory for a value");
    make_aad(aad, uuid, type);
    /* Random nonces of 96 bits: below 2^32 values per key (SP 800-38D, 8.3). */
    if (getrandom(nonce, sizeof(nonce), 0) != (ssize_t)sizeof(nonce)) {
        err_set(e, E_CRYPTO, "the system gave no random bytes; try again");
        goto out;
    }
    if (cipher_gcm_seal(seal->enc, nonce, bytes_of(aad, sizeof(aad)), plain, box, e) != 0)
        goto out;
    buf_add(out, nonce, sizeof(nonce));
    buf_add(out, box, plain.len + GCM_TAG);
    rc = buf_ok(out, e);
out:
    free(box);
    return rc;
}

int store_seal_open(const struct store_seal *seal, const uint8_t uuid[STORE_UUID], uint64_t type,
                    struct bytes sealed, struct buf *out, struct err *e)
{
    struct reader r = reader_of(sealed.p, sealed.len);
    struct bytes nonce = reader_take(&r, GCM_NONCE), box;
    struct buf plain = {.secret = true};
    uint8_t aad[AAD_SIZE];
    int rc = -1;

    box = reader_take(&r, r.left);
    if (nonce.len != GCM_NONCE || box.len < GCM_TAG)
        return err_set(e, E_CORRUPT, "a sealed value is too short");
    plain.cap = box.len - GCM_TAG + 1;
    plain.p = malloc(plain.cap);
    if (plain.p == NULL)
        return err_set(e, E_MEMORY, "out of memory for a value");
    make_aad(aad, uuid, type);
    if (cipher_gcm_open(seal->enc, nonce.p, bytes_of(aad, sizeof(aad)), box, plain.p, e) != 0)
        goto out;
    plain.len = box.len - GCM_TAG;
    buf_free(out);
    *out = plain;
    plain = (struct buf){0};
    rc = 0;
out:
    buf_free(&plain);
    return rc;
}

int store_seal_exact(struct buf *b, struct bytes s, bool secret, struct err *e)
{
    uint8_t *p = NULL;

    if (s.len > BUF_MAX)
        return err_set(e, E_DATA, "a value of %zu bytes is too long to be stored", s.len);
    if (s.len != 0) {
        p = malloc(s.len + 1);
        if (p == NULL)
            return err_set(e, E_MEMORY, "out of memory for a value");
        memcpy(p, s.p, s.len);
    }
    /* Freed last: `s` may lie inside. */
    buf_free(b);
    *b = (struct buf){.p = p, .len = s.len, .cap = s.len != 0 ? s.len + 1 : 0, .secret = secret};
    return 0;
}
