#ifndef PKCS11_INDEX_TABLE_H
#define PKCS11_INDEX_TABLE_H

#include "core/base.h"

/*
 * A hash table of objects for pkcs11/index: one object is in it under several hashes, many
 * under the same. The links lie in the objects, so that entering and leaving take no memory
 * and the same time whatever else is in the table.
 */
struct object;

struct index_link {
    struct index_link *next, **at; /* in a chain while `at` is set */
    struct object *o;
    uint64_t hash;
};

struct index_table {
    struct index_link **head; /* a power of two of them */
    size_t n_head, used;
};

/* Without memory for more chains they grow longer; false only when there is none at all. */
bool index_table_grow(struct index_table *t, size_t more) MUST_USE;
void index_table_free(struct index_table *t); /* leaves the objects alone */

/* index_table_grow made room. */
void index_table_enter(struct index_table *t, struct index_link *l, uint64_t hash,
                       struct object *o);
void index_table_leave(struct index_table *t, struct index_link *l); /* fine when not in it */

/* The objects under a hash, in no order: the first, the next; NULL at the end. */
const struct index_link *index_table_first(const struct index_table *t, uint64_t hash);
const struct index_link *index_table_next(const struct index_link *l);

#endif
