#include "pkcs11/op_priv.h"

#include <stdlib.h>
#include <string.h>

#include "core/gcm.h"
#include "core/secret.h"
#include "pkcs11/fail.h"

/*
 * AES-GCM (2.40 mechanisms, 2.11; SP 800-38D). Where the key is in the TPM, the TPM sees
 * counter blocks and makes the key stream; data and authentication stay here. What was
 * decrypted is held until the tag fits, so nothing forged ever comes out.
 */

struct gcm_op {
    struct gcm *run;
    struct buf nonce, aad;
    size_t tag_len;
    struct buf in; /* decryption: all of it, the tag last */
};

static CK_RV begin(struct op *op, const struct mech_params *p)
{
    struct gcm_op *g = calloc(1, sizeof(*g));

    if (g == NULL)
        return CKR_HOST_MEMORY;
    op->state = g;
    g->tag_len = p->tag_len;
    buf_add_bytes(&g->nonce, p->nonce);
    buf_add_bytes(&g->aad, p->aad);
    return g->nonce.bad || g->aad.bad ? CKR_HOST_MEMORY : CKR_OK;
}

static void end(struct op *op)
{
    struct gcm_op *g = op->state;

    if (g == NULL)
        return;
    gcm_abort(g->run);
    buf_free(&g->nonce);
    buf_free(&g->aad);
    buf_free(&g->in);
    free(g);
    op->state = NULL;
}

/* The key is asked for when the first data come, so that Init sends nothing. */
static int ready(struct gcm_op *g, const struct aes_block *aes, bool encrypt, struct err *e)
{
    if (g->run != NULL)
        return 0;
    g->run = gcm_begin(aes, encrypt, buf_bytes(&g->nonce), e);
    return g->run != NULL ? gcm_aad(g->run, buf_bytes(&g->aad), e) : -1;
}

static CK_RV encrypt_part(struct op *op, struct bytes in, struct buf *out)
{
    struct gcm_op *g = op->state;
    struct buf made = {.secret = true};
    struct aes_block aes;
    struct err e = {0};
    struct keyuse u;
    CK_RV rv = op_use(op, &u);

    if (rv != CKR_OK)
        return rv;
    aes = keyuse_block(&u);
    buf_add_bytes(&made, in);
    if (made.bad)
        rv = CKR_HOST_MEMORY;
    else if (ready(g, &aes, true, &e) != 0 || gcm_update(g->run, &aes, in, made.p, &e) != 0)
        rv = fail_rv(&e, CKR_DURING_ENCRYPT);
    else
        buf_add_bytes(out, buf_bytes(&made));
    buf_free(&made);
    return rv;
}

static CK_RV feed(struct op *op, struct bytes in, struct buf *out)
{
    struct gcm_op *g = op->state;

    if (in.len == 0)
        return CKR_OK;
    if (op->kind == OP_ENCRYPT)
        return encrypt_part(op, in, out);
    if (g->in.len + in.len > OP_MAX_INPUT)
        return CKR_ENCRYPTED_DATA_LEN_RANGE;
    buf_add_bytes(&g->in, in);
    return g->in.bad ? CKR_HOST_MEMORY : CKR_OK;
}

/* Ends the running GCM and gives the tag. */
static int tag_of(struct gcm_op *g, const struct aes_block *aes, uint8_t tag[16], struct err *e)
{
    struct gcm *run = g->run;

    g->run = NULL;
    return gcm_end(run, aes, tag, e);
}

static CK_RV open_all(struct gcm_op *g, const struct aes_block *aes, struct buf *out, struct err *e)
{
    size_t n = g->in.len - g->tag_len;
    struct buf plain = {.secret = true};
    uint8_t tag[16];
    CK_RV rv = CKR_HOST_MEMORY;

    buf_add(&plain, g->in.p, n);
    if (plain.bad)
        goto out;
    if (gcm_update(g->run, aes, bytes_of(g->in.p, n), plain.p, e) != 0 ||
        tag_of(g, aes, tag, e) != 0) {
        rv = fail_rv(e, CKR_DURING_DECRYPT);
        goto out;
    }
    rv = CKR_ENCRYPTED_DATA_INVALID;
    if (!bytes_equal(bytes_of(tag, g->tag_len), bytes_of(g->in.p + n, g->tag_len)))
        goto out;
    buf_add_bytes(out, buf_bytes(&plain));
    rv = CKR_OK;
out:
    buf_free(&plain);
    return rv;
}

static CK_RV finish(struct op *op, struct buf *out)
{
    struct gcm_op *g = op->state;
    bool encrypt = op->kind == OP_ENCRYPT;
    struct aes_block aes;
    uint8_t tag[16];
    struct err e = {0};
    struct keyuse u;
    CK_RV rv = op_use(op, &u);

    if (rv != CKR_OK)
        return rv;
    if (!encrypt && g->in.len < g->tag_len)
        return CKR_ENCRYPTED_DATA_LEN_RANGE;
    aes = keyuse_block(&u);
    if (ready(g, &aes, encrypt, &e) != 0)
        return fail_rv(&e, encrypt ? CKR_DURING_ENCRYPT : CKR_DURING_DECRYPT);
    if (!encrypt)
        return open_all(g, &aes, out, &e);
    if (tag_of(g, &aes, tag, &e) != 0)
        return fail_rv(&e, CKR_DURING_ENCRYPT);
    buf_add(out, tag, g->tag_len);
    return CKR_OK;
}

static size_t length(const struct op *op, size_t in, bool last)
{
    const struct gcm_op *g = op->state;
    size_t all;

    if (op->kind == OP_ENCRYPT)
        return in + (last ? g->tag_len : 0);
    all = g->in.len + in;
    return last && all > g->tag_len ? all - g->tag_len : 0;
}

const struct family family_gcm = {
    .begin = begin, .feed = feed, .finish = finish, .length = length, .end = end};
