#include "pkcs11/op_priv.h"

#include <stdlib.h>
#include <string.h>

#include "core/secret.h"
#include "pkcs11/fail.h"

/*
 * AES in CTR, CFB128 and OFB (2.40 mechanisms, 2.10): as many bytes come out as go in, at
 * once. Whole blocks go to where the key is as they are; for a broken block at the end of a
 * part the key stream is made there by ECB, and what remains of it serves the next part.
 */

struct stream {
    enum cipher_mode mode;
    uint8_t iv[TOKEN_BLOCK]; /* the register: next counter, last ciphertext, last key stream */
    uint8_t ks[TOKEN_BLOCK]; /* of the block that was begun */
    size_t used;             /* bytes of it that are spent; 0: none was begun */
    unsigned counter_bits;   /* CTR */
    uint64_t left;           /* CTR: blocks until the counter would repeat */
};

static CK_RV begin(struct op *op, const struct mech_params *p)
{
    struct stream *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return CKR_HOST_MEMORY;
    op->state = s;
    memcpy(s->iv, p->iv, sizeof(s->iv));
    s->counter_bits = p->counter_bits;
    s->left = p->counter_bits < 64 ? (uint64_t)1 << p->counter_bits : UINT64_MAX;
    switch (op->mech->variant) {
    case MECH_AES_CTR: s->mode = CIPHER_CTR; break;
    case MECH_AES_CFB: s->mode = CIPHER_CFB; break;
    default: s->mode = CIPHER_OFB; break;
    }
    return CKR_OK;
}

static void end(struct op *op)
{
    if (op->state != NULL)
        secret_wipe(op->state, sizeof(struct stream));
    free(op->state);
    op->state = NULL;
}

/* Bit i of the counter, from the lowest. */
static bool counter_bit(const uint8_t iv[TOKEN_BLOCK], unsigned i)
{
    return (iv[TOKEN_BLOCK - 1 - i / 8] >> (i % 8) & 1) != 0;
}

/* Blocks until the counter's own bits are all used and begin again at zero; the most that is
 * told is more than anybody has. */
static uint64_t until_wrap(const struct stream *s)
{
    unsigned low_bits = s->counter_bits < 63 ? s->counter_bits : 63;
    uint64_t low = 0;

    for (unsigned i = low_bits; i < s->counter_bits; i++) {
        if (!counter_bit(s->iv, i))
            return UINT64_MAX;
    }
    for (unsigned i = 0; i < low_bits; i++)
        low |= (uint64_t)counter_bit(s->iv, i) << i;
    return ((uint64_t)1 << low_bits) - low;
}

/* After a wrap: the carry that went into the nonce is taken back. */
static void restore_nonce(struct stream *s, const uint8_t before[TOKEN_BLOCK])
{
    for (unsigned i = 0; i < TOKEN_BLOCK * 8; i++) {
        uint8_t *byte = &s->iv[TOKEN_BLOCK - 1 - i / 8];
        uint8_t mask = (uint8_t)(1u << (i % 8));
        bool set = i >= s->counter_bits && counter_bit(before, i);

        *byte = (uint8_t)(set ? *byte | mask : *byte & ~mask);
    }
}

/* Whole blocks. */
static int run(const struct op *op, const struct keyuse *u, struct bytes in, uint8_t *out,
               struct err *e)
{
    struct stream *s = op->state;
    bool encrypt = op->kind == OP_ENCRYPT;
    uint8_t before[TOKEN_BLOCK];
    uint64_t room;
    size_t n;

    if (s->mode != CIPHER_CTR)
        return keyuse_cipher(u, s->mode, encrypt, s->iv, in, out, e);
    for (size_t at = 0; at < in.len; at += n) {
        room = until_wrap(s);
        n = in.len - at;
        if (n / TOKEN_BLOCK > room)
            n = (size_t)room * TOKEN_BLOCK;
        memcpy(before, s->iv, sizeof(before));
        if (keyuse_cipher(u, s->mode, encrypt, s->iv, bytes_of(in.p + at, n), out + at, e) != 0)
            return -1;
        if (n / TOKEN_BLOCK == room)
            restore_nonce(s, before);
    }
    return 0;
}

/* The key stream of one block. The counter moves on; the registers of the other modes follow
 * as the bytes pass. */
static int begin_block(const struct op *op, const struct keyuse *u, struct err *e)
{
    struct stream *s = op->state;
    uint8_t zeros[TOKEN_BLOCK] = {0}, no_iv[TOKEN_BLOCK] = {0};

    if (s->mode == CIPHER_CTR)
        return run(op, u, bytes_of(zeros, sizeof(zeros)), s->ks, e);
    if (keyuse_cipher(u, CIPHER_ECB, true, no_iv, bytes_of(s->iv, TOKEN_BLOCK), s->ks, e) != 0)
        return -1;
    if (s->mode == CIPHER_OFB)
        memcpy(s->iv, s->ks, sizeof(s->iv));
    return 0;
}

/* Bytes against the key stream of the block that was begun. */
static void some(const struct op *op, struct bytes in, uint8_t *out)
{
    struct stream *s = op->state;

    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = (uint8_t)(in.p[i] ^ s->ks[s->used]);

        if (s->mode == CIPHER_CFB)
            s->iv[s->used] = op->kind == OP_ENCRYPT ? c : in.p[i];
        out[i] = c;
        s->used = (s->used + 1) % TOKEN_BLOCK;
    }
}

/* SP 800-38A, B.2: no counter block is used twice. */
static bool fits(struct stream *s, size_t len)
{
    uint64_t begun = s->used != 0 ? TOKEN_BLOCK - s->used : 0;
    uint64_t blocks = len > begun ? (len - begun + TOKEN_BLOCK - 1) / TOKEN_BLOCK : 0;

    if (s->mode != CIPHER_CTR || s->counter_bits >= 64)
        return true;
    if (blocks > s->left)
        return false;
    s->left -= blocks;
    return true;
}

static CK_RV feed(struct op *op, struct bytes in, struct buf *out)
{
    struct stream *s = op->state;
    struct buf made = {.secret = true};
    size_t head = s->used == 0 ? 0 : TOKEN_BLOCK - s->used, body;
    struct err e = {0};
    struct keyuse u;
    CK_RV rv;

    if (in.len == 0)
        return CKR_OK;
    rv = op_use(op, &u);
    if (rv != CKR_OK)
        return rv;
    if (!fits(s, in.len))
        return op->kind == OP_ENCRYPT ? CKR_DATA_LEN_RANGE : CKR_ENCRYPTED_DATA_LEN_RANGE;
    buf_add_bytes(&made, in);
    if (made.bad)
        return CKR_HOST_MEMORY;
    if (head > in.len)
        head = in.len;
    some(op, bytes_of(in.p, head), made.p);
    body = (in.len - head) / TOKEN_BLOCK * TOKEN_BLOCK;
    if ((body != 0 && run(op, &u, bytes_of(in.p + head, body), made.p + head, &e) != 0) ||
        (head + body != in.len && begin_block(op, &u, &e) != 0)) {
        rv = fail_rv(&e, op->kind == OP_ENCRYPT ? CKR_DURING_ENCRYPT : CKR_DURING_DECRYPT);
    } else {
        some(op, bytes_of(in.p + head + body, in.len - head - body), made.p + head + body);
        buf_add_bytes(out, buf_bytes(&made));
    }
    buf_free(&made);
    return rv;
}

static CK_RV finish(struct op *op, struct buf *out)
{
    (void)op;
    (void)out;
    return CKR_OK;
}

static size_t length(const struct op *op, size_t in, bool last)
{
    (void)op;
    (void)last;
    return in;
}

const struct family family_stream = {
    .begin = begin, .feed = feed, .finish = finish, .length = length, .end = end};
