#include "core/store_db.h"

#include <stdlib.h>
#include <string.h>

#define KEY_COLUMNS \
    "SELECT uuid, use, mode, imported, parent, public, private, creation, tag FROM key "

static int needs_login(struct store *s, struct err *e)
{
    return err_set(e, E_LOGIN,
                   "the keys in the token store %s can be used after a login only; log"
                   " in first",
                   s->path);
}

static int key_tag(const struct store_key *k, const char *serial, const struct store_seal *seal,
                   uint8_t out[32], struct err *e)
{
    struct store_tag t;

    store_tag_begin(&t, "key", bytes_of(serial, strlen(serial)));
    store_tag_bytes(&t, bytes_of(k->uuid, STORE_UUID));
    store_tag_int(&t, (uint64_t)k->use);
    store_tag_int(&t, (uint64_t)k->mode);
    store_tag_int(&t, k->imported);
    store_tag_int(&t, k->parent);
    store_tag_bytes(&t, buf_bytes(&k->public));
    store_tag_bytes(&t, buf_bytes(&k->private));
    store_tag_bytes(&t, buf_bytes(&k->creation));
    return store_tag_end(&t, seal, out, e);
}

/* Is there a key with this uuid? 1, 0, or -1 on failure. */
static int there(struct store *s, int64_t token, const uint8_t *uuid, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int row = -1;

    if (store_db_query(s, &st, "SELECT 1 FROM key WHERE token = ?1 AND uuid = ?2",
                       STORE_ARGS(STORE_INT(token), STORE_BLOB(uuid, STORE_UUID)), e) == 0)
        row = store_db_next(s, st, e);
    sqlite3_finalize(st);
    return row;
}

static int insert(struct store *s, const struct store_key *k, const struct store_seal *seal,
                  struct err *e)
{
    char serial[17];
    uint8_t tag[32];
    int row = there(s, k->token, k->uuid, e);

    if (row == 1)
        err_set(e, E_EXISTS,
                "the token store %s has a key with this identifier already; choose"
                " another",
                s->path);
    if (row != 0 || store_token_serial(s, k->token, serial, e) != 0 ||
        key_tag(k, serial, seal, tag, e) != 0)
        return -1;
    return store_db_do(
        s,
        "INSERT INTO key (token, uuid, use, mode, imported, parent, public,"
        " private, creation, tag) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        STORE_ARGS(STORE_INT(k->token), STORE_BLOB(k->uuid, STORE_UUID), STORE_INT(k->use),
                   STORE_INT(k->mode), STORE_INT(k->imported), STORE_INT(k->parent),
                   STORE_BLOB(k->public.p, k->public.len), STORE_BLOB(k->private.p, k->private.len),
                   STORE_BLOB(k->creation.p, k->creation.len), STORE_BLOB(tag, sizeof(tag))),
        e);
}

int store_key_put(struct store *s, const struct store_key *k, const struct store_seal *seal,
                  struct err *e)
{
    if (seal == NULL)
        return needs_login(s, e);
    if (store_begin(s, e) != 0)
        return -1;
    if (insert(s, k, seal, e) == 0 && store_commit(s, e) == 0)
        return 0;
    store_rollback(s);
    return -1;
}

static int from_row(struct store *s, sqlite3_stmt *st, struct store_key *k, struct err *e)
{
    uint32_t use = 0, mode = 0, imported = 0;

    if (store_db_copy(s, st, 0, k->uuid, STORE_UUID, STORE_UUID, NULL, e) != 0 ||
        store_db_range(s, st, 1, STORE_USE_LAST, &use, e) != 0 ||
        store_db_range(s, st, 2, STORE_KEY_MODE_LAST, &mode, e) != 0 ||
        store_db_range(s, st, 3, 1, &imported, e) != 0 ||
        store_db_range(s, st, 4, UINT32_MAX, &k->parent, e) != 0 ||
        store_seal_exact(&k->public, store_db_bytes(st, 5), false, e) != 0 ||
        store_seal_exact(&k->private, store_db_bytes(st, 6), false, e) != 0 ||
        store_seal_exact(&k->creation, store_db_bytes(st, 7), false, e) != 0)
        return -1;
    k->use = (enum store_key_use)use;
    k->mode = (enum store_key_mode)mode;
    k->imported = imported != 0;
    return 0;
}

static int check_tag(struct store *s, sqlite3_stmt *st, const struct store_key *k,
                     const struct store_seal *seal, struct err *e)
{
    char serial[17], uuid[2 * STORE_UUID + 1];
    uint8_t tag[32];

    if (store_token_serial(s, k->token, serial, e) != 0 || key_tag(k, serial, seal, tag, e) != 0)
        return -1;
    if (bytes_equal(bytes_of(tag, sizeof(tag)), store_db_bytes(st, 8)))
        return 0;
    hex_encode(uuid, k->uuid, STORE_UUID);
    return err_set(e, E_CORRUPT,
                   "key %s in the token store %s was altered outside of this program and is not "
                   "used; restore the store from a backup, or delete the key",
                   uuid, s->path);
}

/* The first key that the statement finds, its tag checked; without a seal only one of mode
 * NONE, unchecked. */
static int read_key(struct store *s, int64_t token, const char *sql, const struct store_arg *arg,
                    size_t n, const struct store_seal *seal, struct store_key *k, struct err *e)
{
    struct store_key found = {.token = token};
    sqlite3_stmt *st = NULL;
    int rc = -1, row;

    if (store_db_query(s, &st, sql, arg, n, e) != 0)
        goto out;
    row = store_db_next(s, st, e);
    if (row == 0)
        err_set(e, E_NOT_FOUND,
                "the token store %s has no such key; read the store anew, or make"
                " the key first",
                s->path);
    if (row != 1 || from_row(s, st, &found, e) != 0)
        goto out;
    if (seal == NULL && found.mode != STORE_KEY_NONE) {
        needs_login(s, e);
        goto out;
    }
    if (seal != NULL && check_tag(s, st, &found, seal, e) != 0)
        goto out;
    *k = found;
    found = (struct store_key){0};
    rc = 0;
out:
    sqlite3_finalize(st);
    store_key_free(&found);
    return rc;
}

int store_key_get(struct store *s, int64_t token, const uint8_t uuid[STORE_UUID],
                  const struct store_seal *seal, struct store_key *k, struct err *e)
{
    return read_key(s, token, KEY_COLUMNS "WHERE token = ?1 AND uuid = ?2",
                    STORE_ARGS(STORE_INT(token), STORE_BLOB(uuid, STORE_UUID)), seal, k, e);
}

int store_key_find(struct store *s, int64_t token, enum store_key_use use, uint32_t parent,
                   const struct store_seal *seal, struct store_key *k, struct err *e)
{
    if (seal == NULL)
        return needs_login(s, e);
    return read_key(s, token,
                    KEY_COLUMNS "WHERE token = ?1 AND use = ?2 AND parent = ?3 ORDER BY id LIMIT 1",
                    STORE_ARGS(STORE_INT(token), STORE_INT(use), STORE_INT(parent)), seal, k, e);
}

static int still_used(struct store *s, struct err *e)
{
    return err_set(e, E_BUSY,
                   "an object in the token store %s still refers to this key; delete"
                   " that object first",
                   s->path);
}

/* Does an object refer to the key? 1, 0, or -1 on failure. */
static int used(struct store *s, int64_t token, const uint8_t *uuid, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int row = -1;

    if (store_db_query(s, &st, "SELECT 1 FROM object WHERE key = ?2 AND token = ?1 LIMIT 1",
                       STORE_ARGS(STORE_INT(token), STORE_BLOB(uuid, STORE_UUID)), e) == 0)
        row = store_db_next(s, st, e);
    sqlite3_finalize(st);
    return row;
}

int store_key_list(struct store *s, int64_t token, enum store_key_use use,
                   const struct store_seal *seal, struct store_key **out, size_t *n, struct err *e)
{
    sqlite3_stmt *st = NULL;
    void *list = NULL;
    size_t count = 0, cap = 0;
    int rc = -1, row;

    if (seal == NULL)
        return needs_login(s, e);
    if (store_db_query(s, &st, KEY_COLUMNS "WHERE token = ?1 AND use = ?2 ORDER BY id",
                       STORE_ARGS(STORE_INT(token), STORE_INT(use)), e) != 0)
        goto out;
    while ((row = store_db_next(s, st, e)) == 1) {
        struct store_key *k = store_db_grow(s, &list, &count, &cap, sizeof(*k), e);

        if (k == NULL)
            goto out;
        k->token = token;
        if (from_row(s, st, k, e) != 0 || check_tag(s, st, k, seal, e) != 0)
            goto out;
    }
    if (row != 0)
        goto out;
    *out = list;
    *n = count;
    list = NULL;
    rc = 0;
out:
    sqlite3_finalize(st);
    for (size_t i = 0; list != NULL && i < count; i++)
        store_key_free(&((struct store_key *)list)[i]);
    free(list);
    return rc;
}

int store_key_amend(struct store *s, const struct store_key *k, const struct store_seal *seal,
                    struct err *e)
{
    char serial[17];
    uint8_t tag[32];

    if (seal == NULL)
        return needs_login(s, e);
    if (store_token_serial(s, k->token, serial, e) != 0 || key_tag(k, serial, seal, tag, e) != 0 ||
        store_begin(s, e) != 0)
        return -1;
    if (store_db_do(s, "UPDATE key SET creation = ?3, tag = ?4 WHERE token = ?1 AND uuid = ?2",
                    STORE_ARGS(STORE_INT(k->token), STORE_BLOB(k->uuid, STORE_UUID),
                               STORE_BLOB(k->creation.p, k->creation.len),
                               STORE_BLOB(tag, sizeof(tag))),
                    e) == 0) {
        if (sqlite3_changes(s->db) != 1)
            err_set(e, E_NOT_FOUND, "the token store %s has no such key; read the store anew",
                    s->path);
        else if (store_commit(s, e) == 0)
            return 0;
    }
    store_rollback(s);
    return -1;
}

int store_key_delete(struct store *s, int64_t token, const uint8_t uuid[STORE_UUID], struct err *e)
{
    struct err why = {0};
    int row = used(s, token, uuid, e);

    /* Looked up first: to fail within it would end the caller's transaction, too. */
    if (row != 0)
        return row == 1 ? still_used(s, e) : -1;
    if (store_begin(s, e) != 0)
        return -1;
    if (store_db_do(s, "DELETE FROM key WHERE token = ?1 AND uuid = ?2",
                    STORE_ARGS(STORE_INT(token), STORE_BLOB(uuid, STORE_UUID)), &why) != 0) {
        if (sqlite3_extended_errcode(s->db) == SQLITE_CONSTRAINT_FOREIGNKEY)
            (void)still_used(s, e);
        else
            err_set(e, why.code, "%s", why.msg);
    } else if (sqlite3_changes(s->db) != 1) {
        err_set(e, E_NOT_FOUND, "the token store %s has no such key; read the store anew", s->path);
    } else if (store_commit(s, e) == 0) {
        return 0;
    }
    store_rollback(s);
    return -1;
}

int store_key_copy(const struct store_key *from, struct store_key *to, struct err *e)
{
    struct store_key c = *from;

    memset(&c.public, 0, sizeof(c.public));
    memset(&c.private, 0, sizeof(c.private));
    memset(&c.creation, 0, sizeof(c.creation));
    buf_add_bytes(&c.public, buf_bytes(&from->public));
    buf_add_bytes(&c.private, buf_bytes(&from->private));
    buf_add_bytes(&c.creation, buf_bytes(&from->creation));
    if (buf_ok(&c.public, e) != 0 || buf_ok(&c.private, e) != 0 || buf_ok(&c.creation, e) != 0) {
        store_key_free(&c);
        return -1;
    }
    *to = c;
    return 0;
}

void store_key_free(struct store_key *k)
{
    if (k == NULL)
        return;
    buf_free(&k->public);
    buf_free(&k->private);
    buf_free(&k->creation);
}
