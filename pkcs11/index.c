#include "pkcs11/index.h"

#include <stdlib.h>
#include <string.h>

#include "pkcs11/attr.h"

/* One entry of the hash table: the object has an attribute whose type and value
 * hash to `hash`. HANDLE stands for the object's handle, which is no attribute. */
struct entry {
    uint64_t hash;
    struct object *o;
};

struct index {
    struct object **obj; /* in the order of appearance; token objects ordered by row id */
    size_t n, cap;
    struct entry *slot; /* open addressing, a power of two, at most half full */
    size_t n_slot, used;
    bool stale; /* `slot` does not describe `obj`: rebuild before use */
};

#define HANDLE CK_UNAVAILABLE_INFORMATION

/* What applications search by, apart from class and flags, which say little. */
static const CK_ATTRIBUTE_TYPE searched[] = {CKA_ID, CKA_LABEL, CKA_SUBJECT, CKA_SERIAL_NUMBER,
                                             CKA_PUBLIC_KEY_INFO};

/* FNV-1a, 64 bits, over the type and the value. */
static uint64_t hash_of(CK_ATTRIBUTE_TYPE type, struct bytes v)
{
    uint64_t h = 0xcbf29ce484222325u ^ (uint64_t)type;

    h *= 0x100000001b3u;
    for (size_t i = 0; i < v.len; i++)
        h = (h ^ v.p[i]) * 0x100000001b3u;
    return h ^ (h >> 29);
}

static uint64_t hash_of_handle(CK_OBJECT_HANDLE handle)
{
    return hash_of(HANDLE, bytes_of(&handle, sizeof(handle)));
}

static void enter(struct index *x, uint64_t hash, struct object *o)
{
    size_t at = (size_t)hash & (x->n_slot - 1);

    while (x->slot[at].o != NULL)
        at = (at + 1) & (x->n_slot - 1);
    x->slot[at].hash = hash;
    x->slot[at].o = o;
    x->used++;
}

static void enter_all(struct index *x, struct object *o)
{
    struct bytes v;

    enter(x, hash_of_handle(o->handle), o);
    for (size_t i = 0; i < ARRAY_LEN(searched); i++) {
        if (object_value(o, searched[i], &v) && v.len != 0)
            enter(x, hash_of(searched[i], v), o);
    }
}

/* Makes the hash table describe the objects. Without memory it stays stale and
 * lookups scan. */
static bool ready(struct index *x)
{
    size_t need = 64;
    struct entry *slot;

    if (!x->stale)
        return true;
    while (need < 2 * (x->n + 8) * (ARRAY_LEN(searched) + 1))
        need *= 2;
    slot = calloc(need, sizeof(*slot));
    if (slot == NULL)
        return false;
    free(x->slot);
    x->slot = slot;
    x->n_slot = need;
    x->used = 0;
    for (size_t i = 0; i < x->n; i++)
        enter_all(x, x->obj[i]);
    x->stale = false;
    return true;
}

int index_new(struct index **out, struct err *e)
{
    struct index *x = calloc(1, sizeof(*x));

    if (x == NULL)
        return err_set(e, E_MEMORY, "out of memory for a list of objects");
    x->stale = true;
    *out = x;
    return 0;
}

void index_free(struct index *x)
{
    if (x == NULL)
        return;
    for (size_t i = 0; i < x->n; i++)
        object_free(x->obj[i]);
    free(x->obj);
    free(x->slot);
    free(x);
}

/* Neither a session's nor in the store. */
static bool is_builtin(const struct object *o)
{
    return o->session == 0 && o->row.id == 0;
}

/* The token object at or after *at that has this row id, moving *at past it and
 * past all smaller ones, which are collected nowhere: they stay unmarked. */
static struct object *same_object(const struct index *x, size_t *at, const struct store_object *row)
{
    struct object *o;

    for (; *at < x->n; (*at)++) {
        o = x->obj[*at];
        if (o->session != 0 || o->row.id < row->id)
            continue;
        if (o->row.id == row->id && memcmp(o->row.uuid, row->uuid, sizeof(row->uuid)) == 0) {
            (*at)++;
            return o;
        }
        return NULL;
    }
    return NULL;
}

/* The new array: kept and new token objects in the rows' order, then the session
 * objects. `keep[i]` becomes true for each old object that goes on living. Rows of
 * kept objects are not touched yet, so that a failure changes nothing. */
static int merge(const struct index *x, struct store_object *row, size_t n, struct object **list,
                 bool *keep, size_t *out_n, struct err *e)
{
    size_t at = 0, used = 0, made = 0;

    for (size_t i = 0; i < n; i++) {
        list[i] = same_object(x, &at, &row[i]);
        if (list[i] != NULL) {
            keep[at - 1] = true;
            continue;
        }
        /* An empty shell; its row moves in once nothing can fail any more. */
        list[i] = calloc(1, sizeof(**list));
        if (list[i] == NULL) {
            used = i;
            goto fail;
        }
        made++;
    }
    used = n;
    for (size_t i = 0; i < x->n; i++) {
        if (x->obj[i]->session != 0 || is_builtin(x->obj[i])) {
            keep[i] = true;
            list[used++] = x->obj[i];
        }
    }
    *out_n = used;
    return 0;
fail:
    for (size_t i = 0; i < used && made != 0; i++) {
        if (list[i]->handle == 0)
            free(list[i]);
    }
    return err_set(e, E_MEMORY, "out of memory for %zu objects", n);
}

int index_load(struct index *x, struct store *s, int64_t token, const struct store_seal *seal,
               CK_ULONG *last, struct err *e)
{
    struct store_object *row = NULL;
    struct object **list = NULL;
    bool *keep = NULL;
    size_t n = 0, total = 0;
    int rc = -1;

    if (store_object_list(s, token, seal, &row, &n, e) != 0)
        goto out;
    list = calloc(n + x->n + 1, sizeof(struct object *));
    keep = calloc(x->n + 1, sizeof(*keep));
    if (list == NULL || keep == NULL) {
        err_set(e, E_MEMORY, "out of memory for %zu objects", n);
        goto out;
    }
    if (merge(x, row, n, list, keep, &total, e) != 0)
        goto out;
    for (size_t i = 0; i < n; i++) {
        object_renew(list[i], &row[i]);
        if (list[i]->handle == 0)
            list[i]->handle = ++*last;
    }
    for (size_t i = 0; i < x->n; i++) {
        if (!keep[i])
            object_free(x->obj[i]);
    }
    free(x->obj);
    x->cap = n + x->n + 1;
    x->obj = list;
    x->n = total;
    x->stale = true;
    list = NULL;
    rc = 0;
out:
    store_objects_free(row, n);
    free(list);
    free(keep);
    return rc;
}

/* Takes objects out that `gone` names. */
static void drop(struct index *x, bool (*gone)(const struct object *o, const void *arg),
                 const void *arg)
{
    size_t left = 0;

    for (size_t i = 0; i < x->n; i++) {
        if (gone(x->obj[i], arg)) {
            object_free(x->obj[i]);
            x->stale = true;
        } else {
            x->obj[left++] = x->obj[i];
        }
    }
    x->n = left;
}

static bool is_private(const struct object *o, const void *arg)
{
    (void)arg;
    return o->row.is_private;
}

static bool is_it(const struct object *o, const void *arg)
{
    return o == arg;
}

static bool is_of_session(const struct object *o, const void *arg)
{
    return o->session == *(const CK_SESSION_HANDLE *)arg;
}

void index_hide_private(struct index *x)
{
    drop(x, is_private, NULL);
}

void index_remove(struct index *x, struct object *o)
{
    drop(x, is_it, o);
}

void index_drop_session(struct index *x, CK_SESSION_HANDLE session)
{
    drop(x, is_of_session, &session);
}

void index_touch(struct index *x)
{
    x->stale = true;
}

int index_add(struct index *x, CK_SESSION_HANDLE session, const struct object_parts *from,
              CK_ULONG *last, struct object **out, struct err *e)
{
    struct object *o = NULL, **grown;
    size_t cap;

    if (x->n == x->cap) {
        cap = x->cap == 0 ? 16 : 2 * x->cap;
        grown = realloc(x->obj, cap * sizeof(struct object *));
        if (grown == NULL)
            return err_set(e, E_MEMORY, "out of memory for an object");
        x->obj = grown;
        x->cap = cap;
    }
    if (object_new(&o, from, e) != 0)
        return -1;
    o->session = session;
    o->handle = ++*last;
    x->obj[x->n++] = o;
    if (!x->stale && x->used + ARRAY_LEN(searched) + 1 <= x->n_slot / 2)
        enter_all(x, o);
    else
        x->stale = true;
    *out = o;
    return 0;
}

int index_add_builtin(struct index *x, struct store_object *row, CK_ULONG *last, struct err *e)
{
    const struct object_parts parts = {.row = row};
    struct object *o;

    return index_add(x, 0, &parts, last, &o, e);
}

struct object *index_get(struct index *x, CK_OBJECT_HANDLE handle)
{
    uint64_t hash = hash_of_handle(handle);

    if (!ready(x)) {
        for (size_t i = 0; i < x->n; i++) {
            if (x->obj[i]->handle == handle && x->obj[i]->group != 0)
                return x->obj[i];
        }
        return NULL;
    }
    for (size_t at = (size_t)hash & (x->n_slot - 1); x->slot[at].o != NULL;
         at = (at + 1) & (x->n_slot - 1)) {
        if (x->slot[at].hash == hash && x->slot[at].o->handle == handle)
            return x->slot[at].o->group != 0 ? x->slot[at].o : NULL;
    }
    return NULL;
}

/* The attribute of a template that narrows the search most: one that is hashed. */
static const CK_ATTRIBUTE *narrowing(const CK_ATTRIBUTE *t, CK_ULONG count)
{
    for (size_t k = 0; k < ARRAY_LEN(searched); k++) {
        for (CK_ULONG i = 0; i < count; i++) {
            if (t[i].type == searched[k] && t[i].pValue != NULL && t[i].ulValueLen != 0 &&
                t[i].ulValueLen <= ATTR_MAX_VALUE)
                return &t[i];
        }
    }
    return NULL;
}

static bool append(CK_OBJECT_HANDLE **list, size_t *n, size_t *cap, CK_OBJECT_HANDLE h)
{
    CK_OBJECT_HANDLE *grown;

    if (*n == *cap) {
        *cap = *cap == 0 ? 16 : 2 * *cap;
        grown = realloc(*list, *cap * sizeof(*grown));
        if (grown == NULL)
            return false;
        *list = grown;
    }
    (*list)[(*n)++] = h;
    return true;
}

int index_find(struct index *x, const CK_ATTRIBUTE *t, CK_ULONG count, CK_OBJECT_HANDLE **out,
               size_t *n, struct err *e)
{
    const CK_ATTRIBUTE *key = narrowing(t, count);
    CK_OBJECT_HANDLE *list = NULL;
    size_t found = 0, cap = 0;
    uint64_t hash;

    if (key != NULL && ready(x)) {
        hash = hash_of(key->type, bytes_of(key->pValue, key->ulValueLen));
        for (size_t at = (size_t)hash & (x->n_slot - 1); x->slot[at].o != NULL;
             at = (at + 1) & (x->n_slot - 1)) {
            if (x->slot[at].hash == hash && object_matches(x->slot[at].o, t, count) &&
                !append(&list, &found, &cap, x->slot[at].o->handle))
                goto memory;
        }
    } else {
        for (size_t i = 0; i < x->n; i++) {
            if (object_matches(x->obj[i], t, count) &&
                !append(&list, &found, &cap, x->obj[i]->handle))
                goto memory;
        }
    }
    *out = list;
    *n = found;
    return 0;
memory:
    free(list);
    return err_set(e, E_MEMORY, "out of memory for the result of a search");
}

struct object *index_with_key(const struct index *x, struct bytes spki)
{
    struct bytes v;

    for (size_t i = 0; i < x->n; i++) {
        if ((x->obj[i]->group & ATTR_KEY) != 0 &&
            object_value(x->obj[i], CKA_PUBLIC_KEY_INFO, &v) && bytes_equal(v, spki))
            return x->obj[i];
    }
    return NULL;
}
