#ifndef PKCS11_INDEX_H
#define PKCS11_INDEX_H

#include "pkcs11/object.h"

/*
 * The objects of one slot, in memory: of what the store holds for the token, as far as the
 * present login shows it, as much as somebody asked for, and the session objects. A search
 * by id, label, serial number, public key or subject reads only the objects that have it; any
 * other reads all. Which of the two happened cannot be told from the answers.
 */
struct index;

/* Where token objects come from. `seal` as for store_object_list; `last` is the process's
 * handle counter. All borrowed. */
struct index_source {
    struct store *store;
    int64_t token;
    const struct store_seal *seal;
    CK_ULONG *last;
};

/* Without a source there is what is added. */
int index_new(struct index **out, struct err *e) MUST_USE;
void index_free(struct index *x); /* NULL is fine */

/*
 * From here on objects are read from there; `changed`: the login, or the store by another
 * process, is not what it was before. Then nothing that was read is believed: an object is
 * read again before it is next found or got. It keeps its handle and its key when it is
 * still there (same row id and uuid).
 */
void index_source(struct index *x, const struct index_source *from, bool changed);

/* Forgets all private objects, session objects among them, and the seal: what a logout does. */
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

/* Gives an object the row that it has in the store by now, taking it over. */
void index_renew(struct index *x, struct object *o, struct store_object *row);

/* NULL when there is none, or none any more, or its row was altered. */
struct object *index_get(struct index *x, CK_OBJECT_HANDLE handle);

/*
 * All objects that have every attribute of a caller's template, in the order in
 * which they appeared; an attribute that they do not have or do not show matches
 * nothing. `*out` is a malloc'ed array of `*n` handles, NULL when empty. On failure the
 * objects stay as they were, but for some that may be there already.
 */
int index_find(struct index *x, const CK_ATTRIBUTE *t, CK_ULONG count, CK_OBJECT_HANDLE **out,
               size_t *n, struct err *e) MUST_USE;

/* The first key object that carries this SubjectPublicKeyInfo; NULL if none. */
int index_with_key(struct index *x, struct bytes spki, const struct object **out,
                   struct err *e) MUST_USE;

#endif
