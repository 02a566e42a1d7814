#include "pkcs11/index.h"

#include <stdlib.h>
#include <string.h>

#include "pkcs11/attr.h"
#include "pkcs11/index_asked.h"

struct index {
    struct object **obj; /* by handle, that is in the order of appearance */
    size_t n, cap;
    struct index_table by; /* row id and searched attributes */
    struct index_source from;
    uint64_t age;             /* counts how often what was read has become doubtful */
    bool complete;            /* all objects of the token were read since */
    struct index_asked asked; /* and else what these questions lead to */
};

/* What applications search by, apart from class and flags, which say little; the most telling
 * first. The store finds objects by just these (store_object_find). */
static const CK_ATTRIBUTE_TYPE searched[] = {CKA_ID, CKA_LABEL, CKA_SERIAL_NUMBER,
                                             CKA_PUBLIC_KEY_INFO, CKA_SUBJECT};
#define LINK_ROW ARRAY_LEN(searched)
_Static_assert(OBJECT_LINKS == ARRAY_LEN(searched) + 1, "a link for each hash");

/* Stands for the row id, which is no attribute. */
#define ROW CK_UNAVAILABLE_INFORMATION

/* FNV-1a, 64 bits, over the type and the value. */
static uint64_t hash_of(CK_ATTRIBUTE_TYPE type, struct bytes v)
{
    uint64_t h = 0xcbf29ce484222325u ^ (uint64_t)type;

    h *= 0x100000001b3u;
    for (size_t i = 0; i < v.len; i++)
        h = (h ^ v.p[i]) * 0x100000001b3u;
    return h ^ (h >> 29);
}

static uint64_t hash_of_row(int64_t id)
{
    return hash_of(ROW, bytes_of(&id, sizeof(id)));
}

static bool in_store(const struct object *o)
{
    return o->session == 0 && o->row.id != 0;
}

/* Is what we know of it still true, as far as we know? */
static bool is_fresh(const struct index *x, const struct object *o)
{
    return !in_store(o) || o->age == x->age;
}

static void enter(struct index *x, struct object *o)
{
    struct bytes v;

    if (in_store(o))
        index_table_enter(&x->by, &o->link[LINK_ROW], hash_of_row(o->row.id), o);
    for (size_t i = 0; i < ARRAY_LEN(searched); i++) {
        if (object_value(o, searched[i], &v) && v.len != 0)
            index_table_enter(&x->by, &o->link[i], hash_of(searched[i], v), o);
    }
}

static void leave(struct index *x, struct object *o)
{
    for (size_t i = 0; i < OBJECT_LINKS; i++)
        index_table_leave(&x->by, &o->link[i]);
}

int index_new(struct index **out, struct err *e)
{
    struct index *x = calloc(1, sizeof(*x));

    if (x == NULL)
        return err_set(e, E_MEMORY, "out of memory for a list of objects");
    x->complete = true; /* till there is a source */
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
    index_table_free(&x->by);
    index_asked_forget(&x->asked);
    free(x);
}

void index_source(struct index *x, const struct index_source *from, bool changed)
{
    x->from = *from;
    if (!changed)
        return;
    x->age++;
    x->complete = false;
    index_asked_forget(&x->asked);
}

/* --- coming and going ------------------------------------------------------ */

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
    if (!index_table_grow(&x->by, OBJECT_LINKS))
        return err_set(e, E_MEMORY, "out of memory for an object");
    if (object_new(&o, from, e) != 0)
        return -1;
    o->session = session;
    o->age = x->age;
    o->handle = ++*last;
    x->obj[x->n++] = o;
    enter(x, o);
    *out = o;
    return 0;
}

int index_add_builtin(struct index *x, struct store_object *row, CK_ULONG *last, struct err *e)
{
    const struct object_parts parts = {.row = row};
    struct object *o;

    return index_add(x, 0, &parts, last, &o, e);
}

void index_renew(struct index *x, struct object *o, struct store_object *row)
{
    leave(x, o);
    object_renew(o, row);
    o->age = x->age;
    enter(x, o);
}

/* Takes objects out that `gone` names. */
static void drop(struct index *x, bool (*gone)(const struct object *o, const void *arg),
                 const void *arg)
{
    size_t left = 0;

    for (size_t i = 0; i < x->n; i++) {
        if (gone(x->obj[i], arg)) {
            leave(x, x->obj[i]);
            object_free(x->obj[i]);
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

static bool is_of_session(const struct object *o, const void *arg)
{
    return o->session == *(const CK_SESSION_HANDLE *)arg;
}

static bool is_doubtful(const struct object *o, const void *arg)
{
    return !is_fresh(arg, o);
}

void index_hide_private(struct index *x)
{
    drop(x, is_private, NULL);
    x->from.seal = NULL;
}

void index_drop_session(struct index *x, CK_SESSION_HANDLE session)
{
    drop(x, is_of_session, &session);
}

/* The place of the first object whose handle is not smaller. */
static size_t place_of(const struct index *x, CK_OBJECT_HANDLE handle)
{
    size_t low = 0, high = x->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (x->obj[mid]->handle < handle)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void index_remove(struct index *x, struct object *o)
{
    size_t at = place_of(x, o->handle);

    leave(x, o);
    object_free(o);
    x->n--;
    memmove(&x->obj[at], &x->obj[at + 1], (x->n - at) * sizeof(struct object *));
}

/* --- from the store -------------------------------------------------------- */

static struct object *of_row(const struct index *x, int64_t id)
{
    const struct index_link *l = index_table_first(&x->by, hash_of_row(id));

    while (l != NULL && (!in_store(l->o) || l->o->row.id != id))
        l = index_table_next(l);
    return l != NULL ? l->o : NULL;
}

/* Takes over a row as it is in the store now. */
static int take(void *arg, struct store_object *row, struct err *e)
{
    const struct object_parts parts = {.row = row};
    struct index *x = arg;
    struct object *o = of_row(x, row->id);

    /* Ids do not come back, but whoever wrote the file may not know that. */
    if (o != NULL && memcmp(o->row.uuid, row->uuid, sizeof(row->uuid)) != 0) {
        index_remove(x, o);
        o = NULL;
    }
    if (o == NULL)
        return index_add(x, 0, &parts, x->from.last, &o, e);
    index_renew(x, o, row);
    return 0;
}

static int read_all(struct index *x, struct err *e)
{
    if (x->complete)
        return 0;
    if (store_object_each(x->from.store, x->from.token, x->from.seal, take, x, e) != 0)
        return -1;
    drop(x, is_doubtful, x);
    x->complete = true;
    index_asked_forget(&x->asked);
    return 0;
}

/* Sees to it that all objects with this attribute are there, and fresh. */
static int read_some(struct index *x, CK_ATTRIBUTE_TYPE type, struct bytes value, struct err *e)
{
    struct index_question q;
    int rc;

    if (x->complete)
        return 0;
    if (index_asked_make(type, value, &q, e) != 0)
        return -1;
    if (index_asked_has(&x->asked, &q))
        return 0;
    rc = store_object_find(x->from.store, x->from.token, x->from.seal, type, value, take, x, e);
    if (rc == 1)
        return read_all(x, e);
    if (rc == 0)
        index_asked_add(&x->asked, &q);
    return rc;
}

/* --- looking up ------------------------------------------------------------ */

/* Reads one doubtful object again: it, or NULL. While the store cannot be read (a writer
 * keeps it locked) what was known of it has to do. */
static struct object *look_again(struct index *x, struct object *o)
{
    struct store_object row = {0};
    struct err e = {0};

    if (store_object_get(x->from.store, x->from.token, o->row.id, x->from.seal, &row, &e) == 0) {
        if (memcmp(o->row.uuid, row.uuid, sizeof(row.uuid)) == 0) {
            index_renew(x, o, &row);
            return o;
        }
        store_object_free(&row);
    } else if (e.code != E_NOT_FOUND && e.code != E_CORRUPT) {
        return o;
    }
    index_remove(x, o);
    return NULL;
}

struct object *index_get(struct index *x, CK_OBJECT_HANDLE handle)
{
    size_t at = place_of(x, handle);
    struct object *o = at < x->n && x->obj[at]->handle == handle ? x->obj[at] : NULL;

    if (o != NULL && !is_fresh(x, o))
        o = look_again(x, o);
    return o != NULL && o->group != 0 ? o : NULL;
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

struct found {
    CK_OBJECT_HANDLE *list;
    size_t n, cap;
};

static bool append(struct found *f, CK_OBJECT_HANDLE h)
{
    CK_OBJECT_HANDLE *grown;

    if (f->n == f->cap) {
        f->cap = f->cap == 0 ? 16 : 2 * f->cap;
        grown = realloc(f->list, f->cap * sizeof(*grown));
        if (grown == NULL)
            return false;
        f->list = grown;
    }
    f->list[f->n++] = h;
    return true;
}

static int by_handle(const void *a, const void *b)
{
    CK_OBJECT_HANDLE x = *(const CK_OBJECT_HANDLE *)a, y = *(const CK_OBJECT_HANDLE *)b;

    return x < y ? -1 : x > y;
}

/* What is in memory and fresh. */
static int match(const struct index *x, const CK_ATTRIBUTE *key, const CK_ATTRIBUTE *t,
                 CK_ULONG count, struct found *f, struct err *e)
{
    const struct index_link *l = NULL;
    bool room = true;

    if (key != NULL) {
        l = index_table_first(&x->by, hash_of(key->type, bytes_of(key->pValue, key->ulValueLen)));
        for (; room && l != NULL; l = index_table_next(l)) {
            if (is_fresh(x, l->o) && object_matches(l->o, t, count))
                room = append(f, l->o->handle);
        }
        if (f->n > 1)
            qsort(f->list, f->n, sizeof(*f->list), by_handle);
    }
    for (size_t i = 0; key == NULL && room && i < x->n; i++) {
        if (object_matches(x->obj[i], t, count))
            room = append(f, x->obj[i]->handle);
    }
    return room ? 0 : err_set(e, E_MEMORY, "out of memory for the result of a search");
}

int index_find(struct index *x, const CK_ATTRIBUTE *t, CK_ULONG count, CK_OBJECT_HANDLE **out,
               size_t *n, struct err *e)
{
    const CK_ATTRIBUTE *key = narrowing(t, count);
    struct found f = {NULL, 0, 0};
    int rc;

    if (key == NULL)
        rc = read_all(x, e);
    else
        rc = read_some(x, key->type, bytes_of(key->pValue, key->ulValueLen), e);
    if (rc == 0)
        rc = match(x, key, t, count, &f, e);
    /* After login nobody can make it look as if there was nothing (store_object_find). */
    if (rc == 0 && f.n == 0 && !x->complete && x->from.seal != NULL) {
        rc = read_all(x, e);
        if (rc == 0)
            rc = match(x, key, t, count, &f, e);
    }
    if (rc != 0) {
        free(f.list);
        return -1;
    }
    *out = f.list;
    *n = f.n;
    return 0;
}

int index_with_key(struct index *x, struct bytes spki, const struct object **out, struct err *e)
{
    const struct index_link *l;
    const struct object *first = NULL;
    struct bytes v;

    if (read_some(x, CKA_PUBLIC_KEY_INFO, spki, e) != 0)
        return -1;
    l = index_table_first(&x->by, hash_of(CKA_PUBLIC_KEY_INFO, spki));
    for (; l != NULL; l = index_table_next(l)) {
        if (is_fresh(x, l->o) && (l->o->group & ATTR_KEY) != 0 &&
            object_value(l->o, CKA_PUBLIC_KEY_INFO, &v) && bytes_equal(v, spki) &&
            (first == NULL || l->o->handle < first->handle))
            first = l->o;
    }
    *out = first;
    return 0;
}
