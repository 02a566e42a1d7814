#include "core/gcm.h"

#include "core/buf.h"
#include "core/ghash.h"
#include "core/secret.h"

#include <stdlib.h>
#include <string.h>

/* SP 800-38D, 5.2.1.1, in bytes. */
#define MAX_TEXT ((UINT64_C(1) << 36) - 32)
#define MAX_AAD ((UINT64_C(1) << 61) - 1)

#define BLOCK AESBLOCK_SIZE
#define SHORT_IV 12 /* 96 bits: J0 is made without GHASH */

struct gcm {
    bool encrypt;
    bool failed;
    bool began;             /* gcm_update was called: no more AAD */
    bool has_mask;          /* E(J0) is there */
    uint8_t mask[BLOCK];    /* E(J0), which hides the tag */
    uint8_t counter[BLOCK]; /* the last block that was encrypted; J0 until the mask is there */
    uint8_t stream[AESBLOCK_MAX];
    size_t have, used; /* of `stream` */
    uint64_t aad_len, text_len;
    struct ghash hash;
};

/* inc32 (6.2): the last four bytes wrap around, the others stay. */
static void increment(uint8_t counter[BLOCK])
{
    for (size_t i = BLOCK; i-- > BLOCK - 4;) {
        if (++counter[i] != 0)
            break;
    }
}

/* J0 (7.1, step 2) in the counter. */
static void first_counter(struct gcm *c, struct bytes iv)
{
    struct ghash g = c->hash;

    if (iv.len == SHORT_IV) {
        memcpy(c->counter, iv.p, SHORT_IV);
        c->counter[BLOCK - 1] = 1;
        return;
    }
    ghash_add(&g, iv);
    ghash_pad(&g);
    ghash_lengths(&g, 0, iv.len);
    ghash_value(&g, c->counter);
    secret_wipe(&g, sizeof(g));
}

/* H, and with a short IV the mask in the same call. */
static int start(struct gcm *c, const struct aes_block *aes, struct bytes iv, struct err *e)
{
    uint8_t block[2 * BLOCK] = {0};
    bool both = iv.len == SHORT_IV;
    int rc;

    if (both) {
        first_counter(c, iv);
        memcpy(block + BLOCK, c->counter, BLOCK);
    }
    rc = aes->ecb(aes->arg, true, bytes_of(block, both ? sizeof(block) : BLOCK), block, e);
    if (rc == 0) {
        ghash_begin(&c->hash, block);
        if (both)
            memcpy(c->mask, block + BLOCK, BLOCK);
        else
            first_counter(c, iv);
        c->has_mask = both;
    }
    secret_wipe(block, sizeof(block));
    return rc;
}

struct gcm *gcm_begin(const struct aes_block *aes, bool encrypt, struct bytes iv, struct err *e)
{
    struct gcm *c;

    if (iv.len == 0 || iv.len > MAX_AAD) {
        err_set(e, E_DATA, "GCM needs an IV of one byte or more");
        return NULL;
    }
    c = calloc(1, sizeof(*c));
    if (c == NULL) {
        err_set(e, E_MEMORY, "out of memory for GCM");
        return NULL;
    }
    c->encrypt = encrypt;
    if (start(c, aes, iv, e) != 0) {
        gcm_abort(c);
        return NULL;
    }
    return c;
}

/* Key stream for `want` bytes, as much of it as fits; the mask comes along when it is
 * missing, for J0 is the counter before the first. */
static int refill(struct gcm *c, const struct aes_block *aes, size_t want, struct err *e)
{
    size_t mask = c->has_mask ? 0 : BLOCK, n;

    want = want < sizeof(c->stream) - mask ? want : sizeof(c->stream) - mask;
    n = mask + (want + BLOCK - 1) / BLOCK * BLOCK;
    for (size_t i = 0; i < n; i += BLOCK) {
        if (i >= mask)
            increment(c->counter);
        memcpy(c->stream + i, c->counter, BLOCK);
    }
    if (aes->ecb(aes->arg, true, bytes_of(c->stream, n), c->stream, e) != 0)
        return -1;
    if (!c->has_mask)
        memcpy(c->mask, c->stream, BLOCK);
    c->has_mask = true;
    c->have = n;
    c->used = mask;
    return 0;
}

static int usable(const struct gcm *c, struct err *e)
{
    return c->failed ? err_set(e, E_ARG, "GCM cannot go on after a failure") : 0;
}

int gcm_aad(struct gcm *c, struct bytes aad, struct err *e)
{
    if (usable(c, e) != 0)
        return -1;
    if (c->began)
        return err_set(e, E_ARG, "GCM takes associated data before the text only");
    if (aad.len > MAX_AAD - c->aad_len)
        return err_set(e, E_DATA, "GCM takes at most 2^61 - 1 bytes of associated data");
    ghash_add(&c->hash, aad);
    c->aad_len += aad.len;
    return 0;
}

/* Bytes for which there is key stream. The hash is over the ciphertext, on either side. */
static void crypt(struct gcm *c, struct bytes in, uint8_t *out)
{
    if (!c->encrypt)
        ghash_add(&c->hash, in);
    for (size_t i = 0; i < in.len; i++)
        out[i] = in.p[i] ^ c->stream[c->used + i];
    if (c->encrypt)
        ghash_add(&c->hash, bytes_of(out, in.len));
    c->used += in.len;
}

int gcm_update(struct gcm *c, const struct aes_block *aes, struct bytes in, uint8_t *out,
               struct err *e)
{
    if (usable(c, e) != 0)
        return -1;
    if (in.len > MAX_TEXT - c->text_len)
        return err_set(e, E_DATA, "GCM takes at most 2^36 - 32 bytes under one IV");
    if (!c->began)
        ghash_pad(&c->hash);
    c->began = true;
    c->text_len += in.len;
    for (size_t done = 0, n; done < in.len; done += n) {
        if (c->used == c->have && refill(c, aes, in.len - done, e) != 0) {
            c->failed = true;
            return -1;
        }
        n = c->have - c->used < in.len - done ? c->have - c->used : in.len - done;
        crypt(c, bytes_of(in.p + done, n), out + done);
    }
    return 0;
}

int gcm_end(struct gcm *c, const struct aes_block *aes, uint8_t tag[16], struct err *e)
{
    int rc = usable(c, e);

    if (rc == 0 && !c->has_mask)
        rc = refill(c, aes, 0, e);
    if (rc == 0) {
        ghash_pad(&c->hash);
        ghash_lengths(&c->hash, c->aad_len, c->text_len);
        ghash_value(&c->hash, tag);
        for (size_t i = 0; i < BLOCK; i++)
            tag[i] ^= c->mask[i];
    }
    gcm_abort(c);
    return rc;
}

void gcm_abort(struct gcm *c)
{
    if (c == NULL)
        return;
    secret_wipe(c, sizeof(*c));
    free(c);
}
