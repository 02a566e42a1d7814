#include "pkcs11/op_priv.h"

#include "pkcs11/fail.h"

/* Digests, in software (2.40, 5.10): op->state is a struct hash. */

static CK_RV begin(struct op *op, const struct mech_params *p)
{
    op->state = hash_begin(p->hash, NULL);
    return op->state != NULL ? CKR_OK : CKR_HOST_MEMORY;
}

static CK_RV feed(struct op *op, struct bytes in, struct buf *out)
{
    (void)out;
    return hash_update(op->state, in, NULL) == 0 ? CKR_OK : CKR_FUNCTION_FAILED;
}

static CK_RV finish(struct op *op, struct buf *out)
{
    size_t size = hash_algorithm(op->state)->size;
    uint8_t digest[ALG_MAX_DIGEST];
    struct hash *h = op->state;

    op->state = NULL;
    if (hash_end(h, digest, NULL) != 0)
        return CKR_FUNCTION_FAILED;
    buf_add(out, digest, size);
    return CKR_OK;
}

static size_t length(const struct op *op, size_t in, bool last)
{
    (void)in;
    return last ? hash_algorithm(op->state)->size : 0;
}

static void end(struct op *op)
{
    hash_abort(op->state);
    op->state = NULL;
}

static int save(const struct op *op, struct buf *out, struct err *e)
{
    if (op->state == NULL)
        return err_set(e, E_ARG, "the digest has ended");
    return hash_save(op->state, out, e);
}

static int restore(struct op *op, struct bytes saved, struct err *e)
{
    struct hash *h = NULL;

    if (hash_restore(saved, &h, e) != 0)
        return -1;
    if (hash_algorithm(h) != hash_algorithm(op->state)) {
        hash_abort(h);
        return err_set(e, E_FORMAT, "the state is that of another hash");
    }
    hash_abort(op->state);
    op->state = h;
    return 0;
}

const struct family family_digest = {
    .begin = begin,
    .feed = feed,
    .finish = finish,
    .length = length,
    .end = end,
    .save = save,
    .restore = restore,
};
