#ifndef PKCS11_INDEX_ASKED_H
#define PKCS11_INDEX_ASKED_H

#include "core/err.h"
#include "pkcs11/p11.h"

/*
 * What pkcs11/index has asked the store for since it last forgot: the same question twice
 * has the same answer. Bounded: it forgets by itself when it knows too many.
 */
struct index_asked {
    struct index_question {
        uint64_t half[2]; /* of a digest; both 0: empty */
    } * slot;             /* open addressing, a power of two, at most half full */
    size_t n_slot, n;
};

/* A question by type and value. */
int index_asked_make(CK_ATTRIBUTE_TYPE type, struct bytes value, struct index_question *out,
                     struct err *e) MUST_USE;
bool index_asked_has(const struct index_asked *a, const struct index_question *q);
/* Without memory the question is not remembered. */
void index_asked_add(struct index_asked *a, const struct index_question *q);
void index_asked_forget(struct index_asked *a);

#endif
