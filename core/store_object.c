#include "core/store_db.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* --- in memory ----------------------------------------------------------- */

const struct store_attr *store_object_attr(const struct store_object *o, uint64_t type)
{
    for (size_t i = 0; i < o->n_attr; i++) {
        if (o->attr[i].type == type)
            return &o->attr[i];
    }
    return NULL;
}

int store_object_set(struct store_object *o, uint64_t type, struct bytes value, bool sealed,
                     struct err *e)
{
    struct buf copy = {.secret = sealed};
    struct store_attr *a = NULL;

    if (store_seal_exact(&copy, value, sealed, e) != 0)
        return -1;
    for (size_t i = 0; a == NULL && i < o->n_attr; i++) {
        if (o->attr[i].type == type)
            a = &o->attr[i];
    }
    if (a == NULL) {
        struct store_attr *more = realloc(o->attr, (o->n_attr + 1) * sizeof(*more));

        if (more == NULL) {
            buf_free(&copy);
            return err_set(e, E_MEMORY, "out of memory for an attribute");
        }
        o->attr = more;
        a = &more[o->n_attr++];
        *a = (struct store_attr){.type = type};
    }
    buf_free(&a->value);
    a->value = copy;
    a->sealed = sealed;
    return 0;
}

void store_object_free(struct store_object *o)
{
    if (o == NULL)
        return;
    for (size_t i = 0; i < o->n_attr; i++)
        buf_free(&o->attr[i].value);
    free(o->attr);
    o->attr = NULL;
    o->n_attr = 0;
}

void store_objects_free(struct store_object *o, size_t n)
{
    for (size_t i = 0; o != NULL && i < n; i++)
        store_object_free(&o[i]);
    free(o);
}

int store_object_tag(const struct store_object *o, const struct store_attr *attr, size_t n,
                     const char *serial, const struct store_seal *seal, uint8_t out[32],
                     struct err *e)
{
    struct store_tag t;

    store_tag_begin(&t, "object", bytes_of(serial, strlen(serial)));
    store_tag_bytes(&t, bytes_of(o->uuid, STORE_UUID));
    store_tag_int(&t, o->class);
    store_tag_int(&t, o->is_private);
    store_tag_bytes(&t, o->has_key ? bytes_of(o->key, STORE_UUID) : bytes_of(NULL, 0));
    store_tag_int(&t, n);
    for (size_t i = 0; i < n; i++) {
        store_tag_int(&t, attr[i].type);
        store_tag_int(&t, attr[i].sealed);
        store_tag_bytes(&t, buf_bytes(&attr[i].value));
    }
    return store_tag_end(&t, seal, out, e);
}

/* --- writing ------------------------------------------------------------- */

static int by_type(const void *a, const void *b)
{
    uint64_t x = ((const struct store_attr *)a)->type, y = ((const struct store_attr *)b)->type;

    return x < y ? -1 : x > y;
}

/* Frees what stored_form() made; plain values belong to the object. */
static void free_stored(struct store_attr *attr, size_t n)
{
    for (size_t i = 0; attr != NULL && i < n; i++) {
        if (attr[i].sealed)
            buf_free(&attr[i].value);
    }
    free(attr);
}

/* The attributes as they go into the file: by type, sealed ones encrypted. */
static int stored_form(const struct store_object *o, const struct store_seal *seal,
                       struct store_attr **out, struct err *e)
{
    struct store_attr *a = calloc(o->n_attr + 1, sizeof(*a));
    size_t done = 0;
    int rc = -1;

    if (a == NULL)
        return err_set(e, E_MEMORY, "out of memory for an object");
    if (o->n_attr != 0)
        memcpy(a, o->attr, o->n_attr * sizeof(*a));
    qsort(a, o->n_attr, sizeof(*a), by_type);
    for (; done < o->n_attr; done++) {
        struct bytes plain = buf_bytes(&a[done].value);

        /* SQLite's integers are signed; attribute types never come near the limit. */
        if (a[done].type > INT64_MAX || (done > 0 && a[done].type == a[done - 1].type)) {
            err_set(e, E_ARG,
                    "an object cannot have attribute 0x%llx like this (twice, or out of"
                    " range)",
                    (unsigned long long)a[done].type);
            goto out;
        }
        if (!a[done].sealed)
            continue;
        a[done].value = (struct buf){0};
        if (store_seal_close(seal, o->uuid, a[done].type, plain, &a[done].value, e) != 0) {
            buf_free(&a[done].value);
            goto out;
        }
    }
    *out = a;
    a = NULL;
    rc = 0;
out:
    free_stored(a, done);
    return rc;
}

/* The digest by which the object is found; NULL where nobody searches by the type. */
static int lookup_arg(const struct store_object *o, const struct store_attr *stored,
                      const struct store_seal *seal, struct store_arg *out, struct err *e)
{
    int64_t digest = 0;

    *out = STORE_NULL;
    if (store_lookup_at(stored->type) < 0)
        return 0;
    if (store_lookup_digest(stored->type, buf_bytes(&store_object_attr(o, stored->type)->value),
                            stored->sealed ? seal : NULL, &digest, e) != 0)
        return -1;
    *out = STORE_INT(digest);
    return 0;
}

/* `stored` is what stored_form() made of the attributes of `o`. */
static int put_attrs(struct store *s, int64_t id, const struct store_object *o,
                     const struct store_attr *stored, const struct store_seal *seal, struct err *e)
{
    sqlite3_stmt *st = NULL;
    struct store_arg digest;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < o->n_attr; i++) {
        rc = lookup_arg(o, &stored[i], seal, &digest, e);
        if (rc == 0)
            rc = store_db_query(
                s, &st,
                "INSERT INTO attr (object, type, sealed, value, digest)"
                " VALUES (?1, ?2, ?3, ?4, ?5)",
                STORE_ARGS(STORE_INT(id), STORE_INT(stored[i].type), STORE_INT(stored[i].sealed),
                           STORE_BLOB(stored[i].value.p, stored[i].value.len), digest),
                e);
        if (rc == 0)
            rc = store_db_next(s, st, e);
    }
    sqlite3_finalize(st);
    return rc;
}

/* The row itself; a tag that is there is not given up without the seal. */
static int put_row(struct store *s, const struct store_object *o, const uint8_t *tag, int64_t *id,
                   struct err *e)
{
    const struct store_arg arg[] = {
        STORE_INT(o->token),
        STORE_BLOB(o->uuid, STORE_UUID),
        STORE_INT(o->class),
        STORE_INT(o->is_private),
        o->has_key ? STORE_BLOB(o->key, STORE_UUID) : STORE_NULL,
        tag != NULL ? STORE_BLOB(tag, 32) : STORE_NULL,
        STORE_INT(o->id),
    };
    int64_t tagged = 0;
    char sql[120];

    if (o->id == 0) {
        if (store_db_do(s,
                        "INSERT INTO object (token, uuid, class, private, key, tag)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                        arg, 6, e) != 0)
            return -1;
        *id = sqlite3_last_insert_rowid(s->db);
        return 0;
    }
    *id = o->id;
    if (tag == NULL) {
        sqlite3_snprintf(sizeof(sql), sql,
                         "SELECT count(*) FROM object WHERE id = %lld AND tag IS NOT NULL",
                         (long long)o->id);
        if (store_db_int(s, sql, &tagged, e) != 0)
            return -1;
        if (tagged != 0)
            return err_set(e, E_LOGIN,
                           "object %lld in the token store %s was written after a login"
                           " and is protected since; log in to change it",
                           (long long)o->id, s->path);
    }
    if (store_db_do(s,
                    "UPDATE object SET class = ?3, private = ?4, key = ?5, tag = ?6"
                    " WHERE id = ?7 AND token = ?1 AND uuid = ?2",
                    arg, 7, e) != 0)
        return -1;
    if (sqlite3_changes(s->db) != 1)
        return err_set(e, E_NOT_FOUND,
                       "the token store %s has no object %lld any more; read the"
                       " store anew",
                       s->path, (long long)o->id);
    return store_db_do(s, "DELETE FROM attr WHERE object = ?1", STORE_ARGS(STORE_INT(o->id)), e);
}

bool store_object_needs_seal(const struct store_object *o)
{
    bool need = o->is_private || o->has_key;

    for (size_t i = 0; i < o->n_attr; i++)
        need = need || o->attr[i].sealed;
    return need;
}

/* RFC 9562, 5.4: version 4 of random bytes. */
static int fresh_uuid(uint8_t uuid[STORE_UUID], struct err *e)
{
    if (getrandom(uuid, STORE_UUID, 0) != STORE_UUID)
        return err_set(e, E_CRYPTO, "the system gave no random bytes; try again");
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
    return 0;
}

int store_object_put(struct store *s, struct store_object *o, const struct store_seal *seal,
                     struct err *e)
{
    static const uint8_t zero[STORE_UUID];
    struct store_object row = *o; /* borrows the attributes */
    struct store_attr *stored = NULL;
    uint8_t tag[32];
    char serial[17];
    int64_t id = 0;
    int rc = -1;

    if (seal == NULL && store_object_needs_seal(o))
        return err_set(e, E_LOGIN,
                       "private objects and keys in the token store %s can be written"
                       " after a login only; log in first",
                       s->path);
    if (o->n_attr > STORE_MAX_ATTRS)
        return err_set(e, E_ARG, "an object with %zu attributes is more than the store takes",
                       o->n_attr);
    if (o->id == 0 && memcmp(o->uuid, zero, STORE_UUID) == 0 && fresh_uuid(row.uuid, e) != 0)
        return -1;
    if (store_begin(s, e) != 0)
        return -1;
    if (store_token_serial(s, o->token, serial, e) != 0 || stored_form(&row, seal, &stored, e) != 0)
        goto out;
    if (seal != NULL && store_object_tag(&row, stored, o->n_attr, serial, seal, tag, e) != 0)
        goto out;
    if (put_row(s, &row, seal != NULL ? tag : NULL, &id, e) != 0 ||
        put_attrs(s, id, &row, stored, seal, e) != 0)
        goto out;
    rc = store_commit(s, e);
    if (rc == 0) {
        o->id = id;
        memcpy(o->uuid, row.uuid, STORE_UUID);
        o->verified = seal != NULL;
    }
out:
    if (rc != 0)
        store_rollback(s);
    free_stored(stored, o->n_attr);
    return rc;
}

int store_object_delete(struct store *s, int64_t token, int64_t id, struct err *e)
{
    if (store_begin(s, e) != 0)
        return -1;
    if (store_db_do(s, "DELETE FROM object WHERE id = ?1 AND token = ?2",
                    STORE_ARGS(STORE_INT(id), STORE_INT(token)), e) == 0) {
        if (sqlite3_changes(s->db) != 1)
            err_set(e, E_NOT_FOUND, "the token store %s has no object %lld; read the store anew",
                    s->path, (long long)id);
        else if (store_commit(s, e) == 0)
            return 0;
    }
    store_rollback(s);
    return -1;
}
