#include "core/keywrap.h"

#include "core/secret.h"

#include <string.h>

#define HALF 8 /* a semiblock */
#define ROUNDS 6

static const uint8_t default_iv[HALF] = {0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6};
static const uint8_t default_icv[4] = {0xa6, 0x59, 0x59, 0xa6};

/* A ^= t, as a big-endian number. */
static void xor_count(uint8_t a[HALF], uint64_t t)
{
    for (unsigned i = 0; i < HALF; i++)
        a[i] ^= (uint8_t)(t >> (56 - 8 * i));
}

/*
 * W of SP 800-38F, 6.1 (RFC 3394, 2.2.1), in place: `s` is A ‖ R1 ‖ ... ‖ Rn of `len` bytes,
 * n of 2 or more.
 */
static int wrap_blocks(const struct aes_block *aes, uint8_t *s, size_t len, struct err *e)
{
    uint8_t block[AESBLOCK_SIZE];
    uint64_t t = 0;
    int rc = -1;

    memcpy(block, s, HALF);
    for (unsigned j = 0; j < ROUNDS; j++) {
        for (size_t i = HALF; i < len; i += HALF) {
            memcpy(block + HALF, s + i, HALF);
            if (aes->ecb(aes->arg, true, bytes_of(block, sizeof(block)), block, e) != 0)
                goto out;
            xor_count(block, ++t);
            memcpy(s + i, block + HALF, HALF);
        }
    }
    memcpy(s, block, HALF);
    rc = 0;
out:
    secret_wipe(block, sizeof(block));
    return rc;
}

/* Its inverse, W^-1 of 6.1 (RFC 3394, 2.2.2). */
static int unwrap_blocks(const struct aes_block *aes, uint8_t *s, size_t len, struct err *e)
{
    uint8_t block[AESBLOCK_SIZE];
    uint64_t t = (uint64_t)ROUNDS * (len / HALF - 1);
    int rc = -1;

    memcpy(block, s, HALF);
    for (unsigned j = 0; j < ROUNDS; j++) {
        for (size_t i = len - HALF; i > 0; i -= HALF) {
            xor_count(block, t--);
            memcpy(block + HALF, s + i, HALF);
            if (aes->ecb(aes->arg, false, bytes_of(block, sizeof(block)), block, e) != 0)
                goto out;
            memcpy(s + i, block + HALF, HALF);
        }
    }
    memcpy(s, block, HALF);
    rc = 0;
out:
    secret_wipe(block, sizeof(block));
    return rc;
}

/* The one thing that is said of what does not unwrap. */
static int does_not_open(struct err *e)
{
    return err_set(e, E_CORRUPT,
                   "the wrapped key does not open: it was altered, or wrapped by another key");
}

static int bad_length(size_t len, struct err *e)
{
    return err_set(e, E_DATA, "%zu bytes are not a length that AES key wrapping takes", len);
}

int keywrap_wrap(const struct aes_block *aes, const uint8_t iv[8], struct bytes in, struct buf *out,
                 struct err *e)
{
    struct buf s = {.secret = true};
    int rc = -1;

    if (in.len < 2 * HALF || in.len % HALF != 0 || in.len > KEYWRAP_MAX)
        return bad_length(in.len, e);
    buf_add(&s, iv != NULL ? iv : default_iv, HALF);
    buf_add_bytes(&s, in);
    if (buf_ok(&s, e) == 0 && wrap_blocks(aes, s.p, s.len, e) == 0) {
        buf_add_bytes(out, buf_bytes(&s));
        rc = buf_ok(out, e);
    }
    buf_free(&s);
    return rc;
}

int keywrap_unwrap(const struct aes_block *aes, const uint8_t iv[8], struct bytes in,
                   struct buf *out, struct err *e)
{
    struct buf s = {.secret = true};
    int rc = -1;

    if (in.len < 3 * HALF || in.len % HALF != 0 || in.len > KEYWRAP_MAX + HALF)
        return bad_length(in.len, e);
    buf_add_bytes(&s, in);
    if (buf_ok(&s, e) != 0 || unwrap_blocks(aes, s.p, s.len, e) != 0)
        goto out;
    if (!bytes_equal(bytes_of(s.p, HALF), bytes_of(iv != NULL ? iv : default_iv, HALF))) {
        does_not_open(e);
        goto out;
    }
    out->secret = true;
    buf_add(out, s.p + HALF, s.len - HALF);
    rc = buf_ok(out, e);
out:
    buf_free(&s);
    return rc;
}

/* --- with padding ---------------------------------------------------------- */

/* RFC 5649, 4.1: one semiblock of key makes one block, encrypted alone. */
static int transform(const struct aes_block *aes, bool wrap, struct buf *s, struct err *e)
{
    if (s->len == AESBLOCK_SIZE)
        return aes->ecb(aes->arg, wrap, buf_bytes(s), s->p, e);
    return wrap ? wrap_blocks(aes, s->p, s->len, e) : unwrap_blocks(aes, s->p, s->len, e);
}

int keywrap_wrap_pad(const struct aes_block *aes, const uint8_t icv[4], struct bytes in,
                     struct buf *out, struct err *e)
{
    static const uint8_t zeros[HALF];
    struct buf s = {.secret = true};
    int rc = -1;

    if (in.len == 0 || in.len > KEYWRAP_MAX)
        return bad_length(in.len, e);
    buf_add(&s, icv != NULL ? icv : default_icv, sizeof(default_icv));
    buf_u32(&s, (uint32_t)in.len);
    buf_add_bytes(&s, in);
    buf_add(&s, zeros, (HALF - in.len % HALF) % HALF);
    if (buf_ok(&s, e) == 0 && transform(aes, true, &s, e) == 0) {
        buf_add_bytes(out, buf_bytes(&s));
        rc = buf_ok(out, e);
    }
    buf_free(&s);
    return rc;
}

/* 0xff.. when a < b, else 0; both below 2^31. */
static uint32_t below(uint32_t a, uint32_t b)
{
    return 0u - ((a - b) >> 31);
}

/*
 * RFC 5649, 3: the three checks of the initial value and the padding, all of them in all
 * cases, no branch before the end. Gives the length of the key, 0 when anything is wrong.
 */
static size_t padded_length(const struct buf *s, const uint8_t icv[4])
{
    struct reader r = reader_of(s->p, s->len);
    struct bytes fixed = reader_take(&r, 4);
    uint32_t len = reader_u32(&r), room = (uint32_t)r.left, bad = 0, wrong = 0;

    for (size_t i = 0; i < 4; i++)
        wrong |= (uint32_t)(fixed.p[i] ^ icv[i]);
    /* room - 8 < len <= room, and below 2^31 that `below` may judge it. */
    bad |= 0u - (len >> 31);
    bad |= ~below(room - HALF, len) | below(room, len);
    for (uint32_t i = room - HALF; i < room; i++)
        wrong |= s->p[HALF + i] & ~below(i, len);
    bad |= below(0, wrong);
    return len & ~bad;
}

int keywrap_unwrap_pad(const struct aes_block *aes, const uint8_t icv[4], struct bytes in,
                       struct buf *out, struct err *e)
{
    struct buf s = {.secret = true};
    size_t len;
    int rc = -1;

    if (in.len < 2 * HALF || in.len % HALF != 0 || in.len > KEYWRAP_MAX + HALF)
        return bad_length(in.len, e);
    buf_add_bytes(&s, in);
    if (buf_ok(&s, e) != 0 || transform(aes, false, &s, e) != 0)
        goto out;
    len = padded_length(&s, icv != NULL ? icv : default_icv);
    if (len == 0) {
        does_not_open(e);
        goto out;
    }
    out->secret = true;
    buf_add(out, s.p + HALF, len);
    rc = buf_ok(out, e);
out:
    buf_free(&s);
    return rc;
}
