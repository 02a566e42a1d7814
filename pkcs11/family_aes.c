#include "pkcs11/op_priv.h"

#include <stdlib.h>
#include <string.h>

#include "core/secret.h"
#include "pkcs11/fail.h"

/*
 * AES in ECB, CBC and CBC with padding (2.40 mechanisms, 2.10). All of the data goes to
 * where the key is. Input that makes no whole block is held until more comes; the padded
 * form also holds the last whole block back when it decrypts, since that may be padding.
 * The modes that make a key stream are in family_stream.c.
 */

struct blocks {
    uint8_t iv[TOKEN_BLOCK];
    uint8_t held[TOKEN_BLOCK];
    size_t n_held;
};

static bool pads(const struct op *op)
{
    return op->mech->variant == MECH_AES_CBC_PAD;
}

static CK_RV begin(struct op *op, const struct mech_params *p)
{
    struct blocks *b = calloc(1, sizeof(*b));

    if (b == NULL)
        return CKR_HOST_MEMORY;
    memcpy(b->iv, p->iv, sizeof(b->iv));
    op->state = b;
    op->guess = pads(op) && op->kind == OP_DECRYPT;
    return CKR_OK;
}

static void end(struct op *op)
{
    if (op->state != NULL)
        secret_wipe(op->state, sizeof(struct blocks));
    free(op->state);
    op->state = NULL;
}

/* How many of `total` bytes can be worked on now. */
static size_t whole(const struct op *op, size_t total)
{
    size_t n = total - total % TOKEN_BLOCK;

    return pads(op) && op->kind == OP_DECRYPT && n == total && n != 0 ? n - TOKEN_BLOCK : n;
}

static CK_RV run(struct op *op, struct bytes in, uint8_t *out)
{
    struct blocks *b = op->state;
    enum cipher_mode mode = op->mech->variant == MECH_AES_ECB ? CIPHER_ECB : CIPHER_CBC;
    struct err e = {0};
    struct keyuse u;
    CK_RV rv = op_use(op, &u);

    if (rv != CKR_OK)
        return rv;
    return keyuse_cipher(&u, mode, op->kind == OP_ENCRYPT, b->iv, in, out, &e) == 0
               ? CKR_OK
               : fail_rv(&e, op->kind == OP_ENCRYPT ? CKR_DURING_ENCRYPT : CKR_DURING_DECRYPT);
}

static CK_RV feed(struct op *op, struct bytes in, struct buf *out)
{
    struct blocks *b = op->state;
    struct buf all = {.secret = true};
    size_t n = whole(op, b->n_held + in.len);
    CK_RV rv = CKR_HOST_MEMORY;

    buf_add(&all, b->held, b->n_held);
    buf_add_bytes(&all, in);
    if (all.bad)
        goto out;
    rv = n != 0 ? run(op, bytes_of(all.p, n), all.p) : CKR_OK;
    if (rv != CKR_OK)
        goto out;
    buf_add(out, all.p, n);
    b->n_held = all.len - n;
    if (b->n_held != 0)
        memcpy(b->held, all.p + n, b->n_held);
out:
    buf_free(&all);
    return rv;
}

/* PKCS#7 padding (RFC 5652, 6.3), looked at without a branch on its bytes: 0 when it is
 * wrong, else its length. */
static unsigned padding_of(const uint8_t block[TOKEN_BLOCK])
{
    unsigned pad = block[TOKEN_BLOCK - 1], bad = 0;

    bad |= (pad - 1) >> 31;           /* 0 */
    bad |= (TOKEN_BLOCK - pad) >> 31; /* more than a block */
    for (unsigned i = 0; i < TOKEN_BLOCK; i++) {
        unsigned counts = (i - pad) >> 31; /* within the padding, counted from the end */
        unsigned diff = block[TOKEN_BLOCK - 1 - i] ^ pad;

        bad |= counts & ((0u - diff) >> 31);
    }
    return pad & (bad - 1);
}

static CK_RV unpad(struct op *op, struct buf *out)
{
    struct blocks *b = op->state;
    uint8_t last[TOKEN_BLOCK];
    unsigned pad;
    CK_RV rv;

    if (b->n_held != TOKEN_BLOCK)
        return CKR_ENCRYPTED_DATA_LEN_RANGE;
    rv = run(op, bytes_of(b->held, TOKEN_BLOCK), last);
    if (rv != CKR_OK)
        return rv;
    pad = padding_of(last);
    if (pad != 0)
        buf_add(out, last, TOKEN_BLOCK - pad);
    secret_wipe(last, sizeof(last));
    return pad != 0 ? CKR_OK : CKR_ENCRYPTED_DATA_INVALID;
}

static CK_RV finish(struct op *op, struct buf *out)
{
    struct blocks *b = op->state;
    size_t left = TOKEN_BLOCK - b->n_held;
    uint8_t last[TOKEN_BLOCK];
    CK_RV rv;

    if (!pads(op)) {
        if (b->n_held == 0)
            return CKR_OK;
        return op->kind == OP_ENCRYPT ? CKR_DATA_LEN_RANGE : CKR_ENCRYPTED_DATA_LEN_RANGE;
    }
    if (op->kind == OP_DECRYPT)
        return unpad(op, out);
    memset(&b->held[b->n_held], (int)left, left);
    rv = run(op, bytes_of(b->held, TOKEN_BLOCK), last);
    if (rv == CKR_OK)
        buf_add(out, last, sizeof(last));
    return rv;
}

static size_t length(const struct op *op, size_t in, bool last)
{
    const struct blocks *b = op->state;
    size_t total = b->n_held + in;

    if (!last)
        return whole(op, total);
    if (!pads(op) || op->kind == OP_DECRYPT)
        return total - total % TOKEN_BLOCK;
    return total - total % TOKEN_BLOCK + TOKEN_BLOCK;
}

const struct family family_aes = {
    .begin = begin, .feed = feed, .finish = finish, .length = length, .end = end};
