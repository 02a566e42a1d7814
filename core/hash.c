/* The SHA functions are deprecated in OpenSSL 3.0, and the only ones whose running state
 * can be written down; they never meet an application's engine either. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core/hash.h"

#include "core/secret.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#define STATE_VERSION 1

/* By the words of the chaining value: SHA-1 has five of 32 bits, SHA-224 and SHA-256
 * eight, SHA-384 and SHA-512 eight of 64 bits. */
struct hash {
    const struct alg_hash *alg;
    union {
        SHA_CTX sha1;
        SHA256_CTX sha256;
        SHA512_CTX sha512;
    } c;
};

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

/* --- in parts -------------------------------------------------------------- */

static struct hash *make(const struct alg_hash *h, struct err *e)
{
    struct hash *c = calloc(1, sizeof(*c));

    if (c == NULL)
        err_set(e, E_MEMORY, "out of memory for a digest");
    else
        c->alg = h;
    return c;
}

static bool start(struct hash *c)
{
    switch (c->alg->nid) {
    case NID_sha1: return SHA1_Init(&c->c.sha1) == 1;
    case NID_sha224: return SHA224_Init(&c->c.sha256) == 1;
    case NID_sha256: return SHA256_Init(&c->c.sha256) == 1;
    case NID_sha384: return SHA384_Init(&c->c.sha512) == 1;
    case NID_sha512: return SHA512_Init(&c->c.sha512) == 1;
    default: return false;
    }
}

struct hash *hash_begin(const struct alg_hash *h, struct err *e)
{
    struct hash *c = make(h, e);

    if (c == NULL)
        return NULL;
    if (!start(c)) {
        err_openssl(e, E_CRYPTO, h->name);
        hash_abort(c);
        return NULL;
    }
    return c;
}

static bool add(struct hash *c, struct bytes in)
{
    int ok = 1;

    if (in.len == 0)
        return true;
    if (c->alg->nid == NID_sha1)
        ok = SHA1_Update(&c->c.sha1, in.p, in.len);
    else if (alg_hash_block(c->alg) == SHA256_CBLOCK)
        ok = SHA256_Update(&c->c.sha256, in.p, in.len);
    else
        ok = SHA512_Update(&c->c.sha512, in.p, in.len);
    return ok == 1;
}

static bool finish(struct hash *c, uint8_t *out)
{
    int ok = 1;

    /* SHA-224 and SHA-384 are cut off as the context was begun. */
    if (c->alg->nid == NID_sha1)
        ok = SHA1_Final(out, &c->c.sha1);
    else if (alg_hash_block(c->alg) == SHA256_CBLOCK)
        ok = SHA256_Final(out, &c->c.sha256);
    else
        ok = SHA512_Final(out, &c->c.sha512);
    return ok == 1;
}

int hash_update(struct hash *c, struct bytes in, struct err *e)
{
    return add(c, in) ? 0 : err_openssl(e, E_CRYPTO, "digest");
}

int hash_end(struct hash *c, uint8_t *out, struct err *e)
{
    bool ok = finish(c, out);

    hash_abort(c);
    return ok ? 0 : err_openssl(e, E_CRYPTO, "digest");
}

/* Not by EVP, which looks its digest up for each time: five times as long for what is short. */
int hash_digest(const struct alg_hash *h, struct bytes in, uint8_t *out, struct err *e)
{
    struct hash c = {.alg = h};
    bool ok = start(&c) && add(&c, in) && finish(&c, out);

    secret_wipe(&c, sizeof(c));
    return ok ? 0 : err_openssl(e, E_CRYPTO, h->name);
}

int hash_sha256(struct bytes in, uint8_t out[32], struct err *e)
{
    return hash_digest(alg_hash_of(TPM2_ALG_SHA256), in, out, e);
}

void hash_abort(struct hash *c)
{
    if (c == NULL)
        return;
    secret_wipe(c, sizeof(*c));
    free(c);
}

const struct alg_hash *hash_algorithm(const struct hash *c)
{
    return c->alg;
}

struct hash *hash_copy(const struct hash *c, struct err *e)
{
    struct hash *out = make(c->alg, e);

    if (out != NULL)
        out->c = c->c;
    return out;
}

/* --- as bytes -------------------------------------------------------------- */

/* SHA_CTX names its five words one by one. */
static void sha1_words(SHA_CTX *c, SHA_LONG *word[5])
{
    word[0] = &c->h0;
    word[1] = &c->h1;
    word[2] = &c->h2;
    word[3] = &c->h3;
    word[4] = &c->h4;
}

static uint64_t bits_32(SHA_LONG high, SHA_LONG low)
{
    return (uint64_t)high << 32 | low;
}

int hash_save(const struct hash *c, struct buf *out, struct err *e)
{
    SHA_CTX sha1 = c->c.sha1;
    SHA_LONG *word[5];

    buf_u8(out, STATE_VERSION);
    buf_u8(out, (uint8_t)c->alg->size);
    if (c->alg->nid == NID_sha1) {
        sha1_words(&sha1, word);
        for (size_t i = 0; i < ARRAY_LEN(word); i++)
            buf_u32(out, *word[i]);
        buf_u64(out, 0);
        buf_u64(out, bits_32(sha1.Nh, sha1.Nl));
        buf_add(out, sha1.data, sha1.num);
    } else if (alg_hash_block(c->alg) == SHA256_CBLOCK) {
        const SHA256_CTX *s = &c->c.sha256;

        for (size_t i = 0; i < ARRAY_LEN(s->h); i++)
            buf_u32(out, s->h[i]);
        buf_u64(out, 0);
        buf_u64(out, bits_32(s->Nh, s->Nl));
        buf_add(out, s->data, s->num);
    } else {
        const SHA512_CTX *s = &c->c.sha512;

        for (size_t i = 0; i < ARRAY_LEN(s->h); i++)
            buf_u64(out, s->h[i]);
        buf_u64(out, s->Nh);
        buf_u64(out, s->Nl);
        buf_add(out, s->u.p, s->num);
    }
    secret_wipe(&sha1, sizeof(sha1));
    return buf_ok(out, e);
}

/* The count of bits and the rest of the input that it tells of; false when they do not
 * fit each other or the hash (FIPS 180-4, 5.1). */
static bool read_rest(struct reader *r, size_t block, uint64_t bits[2], struct bytes *rest)
{
    bits[0] = reader_u64(r);
    bits[1] = reader_u64(r);
    *rest = reader_take(r, bits[1] / 8 % block);
    return reader_done(r) && bits[1] % 8 == 0 && (block == SHA512_CBLOCK || bits[0] == 0);
}

static bool restore(struct hash *c, struct reader *r)
{
    SHA_LONG *word[5];
    struct bytes rest;
    uint64_t bits[2];
    void *held;

    if (c->alg->nid == NID_sha1) {
        sha1_words(&c->c.sha1, word);
        for (size_t i = 0; i < ARRAY_LEN(word); i++)
            *word[i] = reader_u32(r);
    } else if (alg_hash_block(c->alg) == SHA256_CBLOCK) {
        for (size_t i = 0; i < ARRAY_LEN(c->c.sha256.h); i++)
            c->c.sha256.h[i] = reader_u32(r);
    } else {
        for (size_t i = 0; i < ARRAY_LEN(c->c.sha512.h); i++)
            c->c.sha512.h[i] = reader_u64(r);
    }
    if (!read_rest(r, alg_hash_block(c->alg), bits, &rest))
        return false;
    if (c->alg->nid == NID_sha1) {
        c->c.sha1.Nh = (SHA_LONG)(bits[1] >> 32);
        c->c.sha1.Nl = (SHA_LONG)bits[1];
        c->c.sha1.num = (unsigned)rest.len;
        held = c->c.sha1.data;
    } else if (alg_hash_block(c->alg) == SHA256_CBLOCK) {
        c->c.sha256.Nh = (SHA_LONG)(bits[1] >> 32);
        c->c.sha256.Nl = (SHA_LONG)bits[1];
        c->c.sha256.num = (unsigned)rest.len;
        held = c->c.sha256.data;
    } else {
        c->c.sha512.Nh = bits[0];
        c->c.sha512.Nl = bits[1];
        c->c.sha512.num = (unsigned)rest.len;
        held = c->c.sha512.u.p;
    }
    if (rest.len != 0)
        memcpy(held, rest.p, rest.len);
    return true;
}

int hash_restore(struct bytes in, struct hash **out, struct err *e)
{
    struct reader r = reader_of(in.p, in.len);
    uint8_t version = reader_u8(&r);
    const struct alg_hash *h = alg_hash_sized(reader_u8(&r));
    struct hash *c;

    if (!r.bad && version > STATE_VERSION)
        return err_set(e, E_VERSION, "the saved digest was written by a newer version");
    if (r.bad || version != STATE_VERSION || h == NULL)
        return err_set(e, E_FORMAT, "this is no saved digest");
    /* Begun for what of the context is not in the bytes. */
    c = hash_begin(h, e);
    if (c == NULL)
        return -1;
    if (!restore(c, &r)) {
        hash_abort(c);
        return err_set(e, E_FORMAT, "the saved %s digest is malformed", h->name);
    }
    *out = c;
    return 0;
}
