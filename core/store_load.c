#include "core/store_db.h"

#include <stdlib.h>
#include <string.h>

/* Objects read from the file, one sweep for any number of them. */

/* All objects come from one statement, one row for each attribute (or one with
 * NULLs for an object without any). */
#define OBJECT_COLUMNS                                                                     \
    "SELECT o.id, o.uuid, o.class, o.private, o.key, o.tag, a.type, a.sealed, a.value, %s" \
    " FROM object o LEFT JOIN attr a ON a.object = o.id WHERE %s ORDER BY o.id, a.type"

/* What goes before the ORDER. ?1 is the token, ?2 whether private objects are read. */
#define ALL "o.token = ?1 AND o.private <= ?2"
#define ONE ALL " AND o.id = ?3"
/* The unary + leaves the planner one way: from the digests to the objects. */
#define FOUND                                        \
    "+o.token = ?1 AND +o.private <= ?2 AND o.id IN" \
    " (SELECT object FROM attr INDEXED BY attr_digest WHERE digest IN (?3, ?4))"

enum {
    ROW_ID,
    ROW_UUID,
    ROW_CLASS,
    ROW_PRIVATE,
    ROW_KEY,
    ROW_TAG,
    ROW_TYPE,
    ROW_SEALED,
    ROW_VALUE,
    ROW_DIGEST
};

struct loader {
    struct store *s;
    const struct store_seal *seal;
    char serial[17];
    int64_t token;
    store_object_fn *take; /* what becomes of an object */
    void *arg;
    size_t n;
    bool open;               /* one is being read: */
    struct store_object now; /* without attributes till its end */
    uint8_t tag[32];
    bool tagged;
    void *attr; /* of struct store_attr, of the object being read; the room is kept */
    size_t n_attr, cap_attr;
    struct {
        bool there;
        int64_t digest;
    } lookup[STORE_LOOKUPS]; /* likewise */
};

static int altered(struct loader *l, struct err *e)
{
    return err_set(e, E_CORRUPT,
                   "object %lld in the token store %s was altered outside of this"
                   " program and is not used; restore the store from a backup, or delete the"
                   " object",
                   (long long)l->now.id, l->s->path);
}

/* A digest that does not belong to its value would keep the object from being found. */
static int check_lookups(struct loader *l, struct err *e)
{
    for (size_t i = 0; i < l->now.n_attr; i++) {
        const struct store_attr *a = &l->now.attr[i];
        int at = store_lookup_at(a->type);
        int64_t digest = 0;

        if (at < 0 || !l->lookup[at].there)
            continue;
        if (store_lookup_digest(a->type, buf_bytes(&a->value), a->sealed ? l->seal : NULL, &digest,
                                e) != 0)
            return -1;
        if (digest != l->lookup[at].digest)
            return altered(l, e);
    }
    return 0;
}

/* Checks the tag and opens sealed values. */
static int check_object(struct loader *l, struct err *e)
{
    struct store_object *o = &l->now;
    uint8_t tag[32];

    /* Only a public object without a key may have been written before any login. */
    if (!l->tagged)
        return store_object_needs_seal(o) ? altered(l, e) : 0;
    if (store_object_tag(o, o->attr, o->n_attr, l->serial, l->seal, tag, e) != 0)
        return -1;
    if (!bytes_equal(bytes_of(tag, 32), bytes_of(l->tag, 32)))
        return altered(l, e);
    for (size_t i = 0; i < o->n_attr; i++) {
        struct store_attr *a = &o->attr[i];
        struct err why = {0};

        if (!a->sealed ||
            store_seal_open(l->seal, o->uuid, a->type, buf_bytes(&a->value), &a->value, &why) == 0)
            continue;
        return why.code == E_CORRUPT ? altered(l, e) : err_set(e, why.code, "%s", why.msg);
    }
    o->verified = true;
    return 0;
}

/* The object is complete: what was gathered moves into it, is checked, and is given away. */
static int end_object(struct loader *l, struct err *e)
{
    struct store_object *o = &l->now;
    int rc = 0;

    if (!l->open)
        return 0;
    if (l->n_attr != 0) {
        o->attr = calloc(l->n_attr, sizeof(*o->attr));
        if (o->attr == NULL)
            return err_set(e, E_MEMORY, "out of memory for an object");
        memcpy(o->attr, l->attr, l->n_attr * sizeof(*o->attr));
        o->n_attr = l->n_attr;
        l->n_attr = 0;
    }
    if (l->seal != NULL && (check_object(l, e) != 0 || check_lookups(l, e) != 0))
        rc = -1;
    if (rc == 0)
        rc = l->take(l->arg, o, e);
    store_object_free(o);
    l->open = false;
    return rc;
}

static int begin_object(struct loader *l, sqlite3_stmt *st, struct err *e)
{
    uint32_t is_private = 0;
    size_t len = 0;
    struct store_object *o = &l->now;

    if (++l->n > STORE_MAX_ROWS)
        return err_set(e, E_CORRUPT,
                       "the token store %s has more than %d objects; restore it from a backup or"
                       " move it away",
                       l->s->path, STORE_MAX_ROWS);
    *o = (struct store_object){.id = sqlite3_column_int64(st, ROW_ID), .token = l->token};
    l->open = true;
    memset(l->lookup, 0, sizeof(l->lookup));
    if (store_db_copy(l->s, st, ROW_UUID, o->uuid, STORE_UUID, STORE_UUID, NULL, e) != 0 ||
        store_db_range(l->s, st, ROW_CLASS, UINT32_MAX, &o->class, e) != 0 ||
        store_db_range(l->s, st, ROW_PRIVATE, 1, &is_private, e) != 0)
        return -1;
    o->is_private = is_private != 0;
    o->has_key = sqlite3_column_type(st, ROW_KEY) != SQLITE_NULL;
    if (o->has_key &&
        store_db_copy(l->s, st, ROW_KEY, o->key, STORE_UUID, STORE_UUID, NULL, e) != 0)
        return -1;
    l->tagged = sqlite3_column_type(st, ROW_TAG) != SQLITE_NULL;
    if (!l->tagged)
        return 0;
    memset(l->tag, 0, sizeof(l->tag));
    if (store_db_copy(l->s, st, ROW_TAG, l->tag, 0, sizeof(l->tag), &len, e) != 0)
        return -1;
    return len == sizeof(l->tag) ? 0 : altered(l, e);
}

static int add_attr(struct loader *l, sqlite3_stmt *st, struct err *e)
{
    uint32_t sealed = 0;
    int64_t type = sqlite3_column_int64(st, ROW_TYPE);
    struct store_attr *a;
    int at;

    if (sqlite3_column_type(st, ROW_TYPE) == SQLITE_NULL)
        return 0;
    if (store_db_range(l->s, st, ROW_SEALED, 1, &sealed, e) != 0)
        return -1;
    if (sealed != 0 && l->seal == NULL)
        return 0;
    if (type < 0 || l->n_attr >= STORE_MAX_ATTRS)
        return altered(l, e);
    a = store_db_grow(l->s, &l->attr, &l->n_attr, &l->cap_attr, sizeof(*a), e);
    if (a == NULL)
        return -1;
    a->type = (uint64_t)type;
    a->sealed = sealed != 0;
    at = store_lookup_at(a->type);
    if (at >= 0) {
        l->lookup[at].there = sqlite3_column_type(st, ROW_DIGEST) != SQLITE_NULL;
        l->lookup[at].digest = sqlite3_column_int64(st, ROW_DIGEST);
    }
    return store_seal_exact(&a->value, store_db_bytes(st, ROW_VALUE), false, e);
}

static int read_rows(struct loader *l, sqlite3_stmt *st, struct err *e)
{
    int row;

    while ((row = store_db_next(l->s, st, e)) == 1) {
        if (!l->open || l->now.id != sqlite3_column_int64(st, ROW_ID)) {
            if (end_object(l, e) != 0 || begin_object(l, st, e) != 0)
                return -1;
        }
        if (add_attr(l, st, e) != 0)
            return -1;
    }
    return row == 0 ? end_object(l, e) : -1;
}

/* Reads the objects that a condition names, by a statement that is kept, or not
 * (STORE_KEPT_COUNT). */
static int load(struct loader *l, enum store_kept kept, const char *where,
                const struct store_arg *arg, size_t n, struct err *e)
{
    bool digests = l->s->version >= STORE_LOOKUP_VERSION;
    sqlite3_stmt *st = NULL;
    struct store_object rest;
    char sql[500];
    int rc = -1;

    sqlite3_snprintf(sizeof(sql), sql, OBJECT_COLUMNS, digests ? "a.digest" : "NULL", where);
    if (l->seal != NULL && store_token_serial(l->s, l->token, l->serial, e) != 0)
        return -1;
    if (kept != STORE_KEPT_COUNT) {
        if (store_db_kept(l->s, kept, &st, sql, arg, n, e) == 0)
            rc = read_rows(l, st, e);
        sqlite3_reset(st);
    } else {
        if (store_db_query(l->s, &st, sql, arg, n, e) == 0)
            rc = read_rows(l, st, e);
        sqlite3_finalize(st);
    }
    rest = (struct store_object){.attr = l->attr, .n_attr = l->n_attr};
    store_object_free(&rest);
    store_object_free(&l->now);
    return rc;
}

int store_object_each(struct store *s, int64_t token, const struct store_seal *seal,
                      store_object_fn *take, void *arg, struct err *e)
{
    struct loader l = {.s = s, .seal = seal, .token = token, .take = take, .arg = arg};

    return load(&l, STORE_KEPT_COUNT, ALL, STORE_ARGS(STORE_INT(token), STORE_INT(seal != NULL)),
                e);
}

int store_object_find(struct store *s, int64_t token, const struct store_seal *seal, uint64_t type,
                      struct bytes value, store_object_fn *take, void *arg, struct err *e)
{
    struct loader l = {.s = s, .seal = seal, .token = token, .take = take, .arg = arg};
    int64_t plain = 0, sealed = 0;
    int ready;

    if (store_lookup_at(type) < 0)
        return 1;
    ready = store_lookup_ready(s, token, seal, e);
    if (ready != 1)
        return ready == 0 ? 1 : -1;
    if (store_lookup_digest(type, value, NULL, &plain, e) != 0 ||
        store_lookup_digest(type, value, seal, &sealed, e) != 0)
        return -1;
    return load(
        &l, STORE_KEPT_FIND, FOUND,
        STORE_ARGS(STORE_INT(token), STORE_INT(seal != NULL), STORE_INT(plain), STORE_INT(sealed)),
        e);
}

struct listing {
    struct store *s;
    void *list; /* of struct store_object */
    size_t n, cap;
};

static int append(void *arg, struct store_object *o, struct err *e)
{
    struct listing *l = arg;
    struct store_object *place = store_db_grow(l->s, &l->list, &l->n, &l->cap, sizeof(*o), e);

    if (place == NULL)
        return -1;
    *place = *o;
    memset(o, 0, sizeof(*o));
    return 0;
}

int store_object_list(struct store *s, int64_t token, const struct store_seal *seal,
                      struct store_object **out, size_t *n, struct err *e)
{
    struct listing l = {.s = s};

    if (store_object_each(s, token, seal, append, &l, e) != 0) {
        store_objects_free(l.list, l.n);
        return -1;
    }
    *out = l.list;
    *n = l.n;
    return 0;
}

static int keep(void *arg, struct store_object *o, struct err *e)
{
    (void)e;
    *(struct store_object *)arg = *o;
    memset(o, 0, sizeof(*o));
    return 0;
}

int store_object_get(struct store *s, int64_t token, int64_t id, const struct store_seal *seal,
                     struct store_object *o, struct err *e)
{
    struct store_object found = {0};
    struct loader l = {.s = s, .seal = seal, .token = token, .take = keep, .arg = &found};

    if (load(&l, STORE_KEPT_GET, ONE,
             STORE_ARGS(STORE_INT(token), STORE_INT(seal != NULL), STORE_INT(id)), e) != 0) {
        store_object_free(&found);
        return -1;
    }
    if (l.n != 1)
        return err_set(e, E_NOT_FOUND,
                       "the token store %s has no object %lld%s; read the store anew", s->path,
                       (long long)id, seal == NULL ? " that is visible before a login" : "");
    *o = found;
    return 0;
}
