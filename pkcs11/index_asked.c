#include "pkcs11/index_asked.h"

#include "core/buf.h"
#include "core/hash.h"

#include <stdlib.h>

#define FIRST_SLOTS 64
#define MAX_SLOTS 65536

int index_asked_make(CK_ATTRIBUTE_TYPE type, struct bytes value, struct index_question *out,
                     struct err *e)
{
    uint8_t digest[32] = {0};
    struct reader r = reader_of(digest, sizeof(digest));
    struct buf in = {0};
    int rc;

    buf_u64(&in, type);
    buf_add_bytes(&in, value);
    rc = buf_ok(&in, e);
    if (rc == 0)
        rc = hash_sha256(buf_bytes(&in), digest, e);
    buf_free(&in);
    if (rc == 0) {
        out->half[0] = reader_u64(&r);
        out->half[1] = reader_u64(&r);
    }
    return rc;
}

/* Where it is, or the empty place where it belongs. */
static struct index_question *place(const struct index_asked *a, const struct index_question *q)
{
    size_t at = (size_t)q->half[0] & (a->n_slot - 1);

    while ((a->slot[at].half[0] | a->slot[at].half[1]) != 0 &&
           (a->slot[at].half[0] != q->half[0] || a->slot[at].half[1] != q->half[1]))
        at = (at + 1) & (a->n_slot - 1);
    return &a->slot[at];
}

bool index_asked_has(const struct index_asked *a, const struct index_question *q)
{
    const struct index_question *there = a->n_slot != 0 ? place(a, q) : NULL;

    return there != NULL && (there->half[0] | there->half[1]) != 0;
}

static bool grow(struct index_asked *a)
{
    struct index_asked wide = {.n_slot = a->n_slot != 0 ? 2 * a->n_slot : FIRST_SLOTS, .n = a->n};

    if (wide.n_slot > MAX_SLOTS) {
        index_asked_forget(a);
        wide = (struct index_asked){.n_slot = FIRST_SLOTS};
    }
    wide.slot = calloc(wide.n_slot, sizeof(*wide.slot));
    if (wide.slot == NULL)
        return false;
    for (size_t i = 0; i < a->n_slot; i++) {
        if ((a->slot[i].half[0] | a->slot[i].half[1]) != 0)
            *place(&wide, &a->slot[i]) = a->slot[i];
    }
    free(a->slot);
    *a = wide;
    return true;
}

void index_asked_add(struct index_asked *a, const struct index_question *q)
{
    if (2 * (a->n + 1) > a->n_slot && !grow(a))
        return;
    *place(a, q) = *q;
    a->n++;
}

void index_asked_forget(struct index_asked *a)
{
    free(a->slot);
    *a = (struct index_asked){NULL, 0, 0};
}
