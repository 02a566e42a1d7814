#ifndef PKCS11_INDEX_H
#define PKCS11_INDEX_H

#include "pkcs11/object.h"

/*
 * The objects of one slot, in memory: what the store holds for the token as far
 * as the present login shows it, and the session objects. Lookups by handle and
 * searches by id, label, subject or serial number do not scan.
 */
struct index;

int index_new(struct index **out, struct err *e) MUST_USE;
void index_free(struct index *x); /* NULL is fine */

/*
 * Makes the token objects agree with the store: an object that is still there
 * (same row id and uuid) keeps its handle and its key. `seal` as for
 * store_object_list; `last` is the process's handle counter. On failure the
 * token objects stay as they were.
 */
int index_load(struct index *x, struct store *s, int64_t token, const struct store_seal *seal,
               CK_ULONG *last, struct err *e) MUST_USE;

/* Forgets all private objects, session objects among them: what a logout does. */
void index_hide_private(struct index *x);

/*
 * Takes over a new object. `session` is 0 for one that is in the store already.
 */
int index_add(struct index *x, CK_SESSION_HANDLE session, const struct object_parts *from,
              CK_ULONG *last, struct object **out, struct err *e) MUST_USE;

/* Takes over an object of the module's own, which no reading of the store takes away. */
int index_add_builtin(struct index *x, struct store_object *row, CK_ULONG *last,
                      struct err *e) MUST_USE;

void index_remove(struct index *x, struct object *o);
void index_drop_session(struct index *x, CK_SESSION_HANDLE session);

/* After attributes of an object changed. */
void index_touch(struct index *x);

/* NULL when there is none. */
struct object *index_get(struct index *x, CK_OBJECT_HANDLE handle);

/*
 * All objects that have every attribute of a caller's template, in the order in
 * which they appeared; an attribute that they do not have or do not show matches
 * nothing. `*out` is a malloc'ed array of `*n` handles, NULL when empty.
 */
int index_find(struct index *x, const CK_ATTRIBUTE *t, CK_ULONG count, CK_OBJECT_HANDLE **out,
               size_t *n, struct err *e) MUST_USE;

/* The first key object that carries this SubjectPublicKeyInfo; NULL if none. */
struct object *index_with_key(const struct index *x, struct bytes spki);

#endif
