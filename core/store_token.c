#include "core/store_db.h"

#include <stdlib.h>
#include <string.h>

#define SERIAL_LEN 16

static int not_there(struct store *s, const char *what, int64_t id, struct err *e)
{
    return err_set(e, E_NOT_FOUND,
                   "the token store %s has no %s with number %lld; read the store"
                   " anew",
                   s->path, what, (long long)id);
}

/* Ends the transaction of a write: commits after success, else rolls back. */
static int finish(struct store *s, int rc, struct err *e)
{
    if (rc == 0 && store_commit(s, e) == 0)
        return 0;
    store_rollback(s);
    return -1;
}

/* --- TPMs ---------------------------------------------------------------- */

#define TPM_COLUMNS "SELECT id, primary_handle, primary_public, ek_name, caps FROM tpm "

static int tpm_from_row(struct store *s, sqlite3_stmt *st, struct store_tpm *t, struct err *e)
{
    size_t public_len = 0, name_len = 0, caps_len = 0;

    if (store_db_range(s, st, 1, UINT32_MAX, &t->primary, e) != 0 ||
        store_db_copy(s, st, 2, t->primary_public, 0, sizeof(t->primary_public), &public_len, e) !=
            0 ||
        store_db_copy(s, st, 3, t->ek_name.name, 0, STORE_NAME_MAX, &name_len, e) != 0 ||
        store_db_copy(s, st, 4, t->caps, 0, sizeof(t->caps), &caps_len, e) != 0)
        return -1;
    t->id = sqlite3_column_int64(st, 0);
    t->primary_public_len = (uint16_t)public_len;
    t->ek_name.len = (uint16_t)name_len;
    t->caps_len = (uint16_t)caps_len;
    return 0;
}

int store_tpm_put(struct store *s, struct store_tpm *t, struct err *e)
{
    const struct store_arg arg[] = {
        STORE_INT(t->primary),
        STORE_BLOB(t->primary_public, t->primary_public_len),
        STORE_BLOB(t->ek_name.name, t->ek_name.len),
        STORE_BLOB(t->caps, t->caps_len),
        STORE_INT(t->id),
    };
    int64_t id = t->id;
    int rc;

    if (t->primary_public_len > sizeof(t->primary_public) || t->ek_name.len > STORE_NAME_MAX ||
        t->caps_len > sizeof(t->caps))
        return err_set(e, E_ARG, "a TPM's public area, Name or capabilities are too long to store");
    if (store_begin(s, e) != 0)
        return -1;
    if (id == 0) {
        rc = store_db_do(s,
                         "INSERT INTO tpm (primary_handle, primary_public, ek_name, caps)"
                         " VALUES (?1, ?2, ?3, ?4)",
                         arg, 4, e);
        id = sqlite3_last_insert_rowid(s->db);
    } else {
        rc = store_db_do(s,
                         "UPDATE tpm SET primary_handle = ?1, primary_public = ?2, ek_name = ?3,"
                         " caps = ?4 WHERE id = ?5",
                         arg, 5, e);
        if (rc == 0 && sqlite3_changes(s->db) != 1)
            rc = not_there(s, "TPM", id, e);
    }
    if (finish(s, rc, e) != 0)
        return -1;
    t->id = id;
    return 0;
}

int store_tpm_get(struct store *s, int64_t id, struct store_tpm *t, struct err *e)
{
    struct store_tpm found = {0};
    sqlite3_stmt *st = NULL;
    int rc = -1, row;

    if (store_db_query(s, &st, TPM_COLUMNS "WHERE id = ?1", STORE_ARGS(STORE_INT(id)), e) != 0)
        goto out;
    row = store_db_next(s, st, e);
    if (row == 0)
        not_there(s, "TPM", id, e);
    if (row != 1 || tpm_from_row(s, st, &found, e) != 0)
        goto out;
    *t = found;
    rc = 0;
out:
    sqlite3_finalize(st);
    return rc;
}

int store_tpm_list(struct store *s, struct store_tpm **out, size_t *n, struct err *e)
{
    sqlite3_stmt *st = NULL;
    void *list = NULL;
    size_t have = 0, cap = 0;
    int rc = -1, row;

    if (store_db_query(s, &st, TPM_COLUMNS "ORDER BY id", NULL, 0, e) != 0)
        goto out;
    while ((row = store_db_next(s, st, e)) == 1) {
        struct store_tpm *t = store_db_grow(s, &list, &have, &cap, sizeof(*t), e);

        if (t == NULL || tpm_from_row(s, st, t, e) != 0)
            goto out;
    }
    if (row != 0)
        goto out;
    *out = list;
    *n = have;
    list = NULL;
    rc = 0;
out:
    sqlite3_finalize(st);
    free(list);
    return rc;
}

/* --- tokens -------------------------------------------------------------- */

#define TOKEN_COLUMNS                                                                     \
    "SELECT t.id, t.tpm, t.label, t.serial, t.salt, t.flags, t.user_fails, t.user_limit," \
    " t.so_fails, t.so_limit, t.k_public, v.role, v.handle, v.name"                       \
    " FROM token t LEFT JOIN nv v ON v.token = t.id "

static int token_from_row(struct store *s, sqlite3_stmt *st, struct store_token *t, struct err *e)
{
    size_t serial_len = 0;

    if (store_db_copy(s, st, 2, t->label, 0, sizeof(t->label) - 1, NULL, e) != 0 ||
        store_db_copy(s, st, 3, t->serial, SERIAL_LEN, SERIAL_LEN, &serial_len, e) != 0 ||
        store_db_copy(s, st, 4, t->salt, sizeof(t->salt), sizeof(t->salt), NULL, e) != 0 ||
        store_db_range(s, st, 5, UINT32_MAX, &t->flags, e) != 0 ||
        store_db_range(s, st, 6, UINT32_MAX, &t->user_fails, e) != 0 ||
        store_db_range(s, st, 7, UINT32_MAX, &t->user_limit, e) != 0 ||
        store_db_range(s, st, 8, UINT32_MAX, &t->so_fails, e) != 0 ||
        store_db_range(s, st, 9, UINT32_MAX, &t->so_limit, e) != 0 ||
        store_db_copy(s, st, 10, t->k_public, sizeof(t->k_public), sizeof(t->k_public), NULL, e) !=
            0)
        return -1;
    t->id = sqlite3_column_int64(st, 0);
    t->tpm = sqlite3_column_int64(st, 1);
    return 0;
}

/* The NV index that comes with a row, when there is one. */
static int index_from_row(struct store *s, sqlite3_stmt *st, struct store_token *t, struct err *e)
{
    uint32_t role = 0;
    size_t len = 0;

    if (sqlite3_column_type(st, 11) == SQLITE_NULL)
        return 0;
    if (store_db_range(s, st, 11, STORE_NV_COUNT - 1, &role, e) != 0 ||
        store_db_range(s, st, 12, UINT32_MAX, &t->nv[role].handle, e) != 0 ||
        store_db_copy(s, st, 13, t->nv[role].name.name, 0, STORE_NAME_MAX, &len, e) != 0)
        return -1;
    t->nv[role].name.len = (uint16_t)len;
    return 0;
}

/* All tokens, or the one with a number (id 0: all). */
static int read_tokens(struct store *s, int64_t id, struct store_token **out, size_t *n,
                       struct err *e)
{
    sqlite3_stmt *st = NULL;
    struct store_token *t = NULL;
    void *list = NULL;
    size_t have = 0, cap = 0;
    int rc = -1, row;

    if (store_db_query(s, &st, TOKEN_COLUMNS "WHERE ?1 = 0 OR t.id = ?1 ORDER BY t.id, v.role",
                       STORE_ARGS(STORE_INT(id)), e) != 0)
        goto out;
    while ((row = store_db_next(s, st, e)) == 1) {
        if (t == NULL || t->id != sqlite3_column_int64(st, 0)) {
            t = store_db_grow(s, &list, &have, &cap, sizeof(*t), e);
            if (t == NULL || token_from_row(s, st, t, e) != 0)
                goto out;
        }
        if (index_from_row(s, st, t, e) != 0)
            goto out;
    }
    if (row != 0)
        goto out;
    *out = list;
    *n = have;
    list = NULL;
    rc = 0;
out:
    sqlite3_finalize(st);
    free(list);
    return rc;
}

int store_token_list(struct store *s, struct store_token **out, size_t *n, struct err *e)
{
    return read_tokens(s, 0, out, n, e);
}

int store_token_get(struct store *s, int64_t id, struct store_token *t, struct err *e)
{
    struct store_token *found = NULL;
    size_t n = 0;

    if (id == 0)
        return not_there(s, "token", id, e);
    if (read_tokens(s, id, &found, &n, e) != 0)
        return -1;
    if (n != 1) {
        free(found);
        return not_there(s, "token", id, e);
    }
    *t = found[0];
    free(found);
    return 0;
}

int store_token_serial(struct store *s, int64_t token, char serial[17], struct err *e)
{
    sqlite3_stmt *st = NULL;
    char found[SERIAL_LEN + 1] = {0};
    int rc = -1, row;

    if (store_db_kept(s, STORE_KEPT_SERIAL, &st, "SELECT serial FROM token WHERE id = ?1",
                      STORE_ARGS(STORE_INT(token)), e) != 0)
        goto out;
    row = store_db_next(s, st, e);
    if (row == 0)
        not_there(s, "token", token, e);
    if (row != 1 || store_db_copy(s, st, 0, found, SERIAL_LEN, SERIAL_LEN, NULL, e) != 0)
        goto out;
    memcpy(serial, found, sizeof(found));
    rc = 0;
out:
    sqlite3_reset(st);
    return rc;
}

static int put_indices(struct store *s, int64_t id, const struct store_token *t, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = 0;

    for (int role = 0; rc == 0 && role < STORE_NV_COUNT; role++) {
        const struct store_index *v = &t->nv[role];

        rc = store_db_query(s, &st,
                            "INSERT OR REPLACE INTO nv (token, role, handle, name)"
                            " VALUES (?1, ?2, ?3, ?4)",
                            STORE_ARGS(STORE_INT(id), STORE_INT(role), STORE_INT(v->handle),
                                       STORE_BLOB(v->name.name, v->name.len)),
                            e);
        if (rc == 0)
            rc = store_db_next(s, st, e);
    }
    sqlite3_finalize(st);
    return rc;
}

static int put_token(struct store *s, const struct store_token *t, int64_t *id, struct err *e)
{
    const struct store_arg arg[] = {
        STORE_INT(t->tpm),        STORE_TEXT(t->label),
        STORE_TEXT(t->serial),    STORE_BLOB(t->salt, sizeof(t->salt)),
        STORE_INT(t->flags),      STORE_INT(t->user_fails),
        STORE_INT(t->user_limit), STORE_INT(t->so_fails),
        STORE_INT(t->so_limit),   STORE_BLOB(t->k_public, sizeof(t->k_public)),
        STORE_INT(t->id),
    };

    if (t->id == 0) {
        if (store_db_do(s,
                        "INSERT INTO token (tpm, label, serial, salt, flags, user_fails,"
                        " user_limit, so_fails, so_limit, k_public)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                        arg, 10, e) != 0)
            return -1;
        *id = sqlite3_last_insert_rowid(s->db);
        return 0;
    }
    *id = t->id;
    if (store_db_do(s,
                    "UPDATE token SET tpm = ?1, label = ?2, serial = ?3, salt = ?4, flags = ?5,"
                    " user_fails = ?6, user_limit = ?7, so_fails = ?8, so_limit = ?9,"
                    " k_public = ?10 WHERE id = ?11",
                    arg, 11, e) != 0)
        return -1;
    return sqlite3_changes(s->db) == 1 ? 0 : not_there(s, "token", t->id, e);
}

int store_token_put(struct store *s, struct store_token *t, struct err *e)
{
    int64_t id = 0;
    int rc;

    if (strnlen(t->label, sizeof(t->label)) == sizeof(t->label) ||
        strnlen(t->serial, sizeof(t->serial)) != SERIAL_LEN)
        return err_set(e, E_ARG,
                       "a token needs a label of at most 32 bytes and a serial number of"
                       " 16");
    for (size_t i = 0; i < STORE_NV_COUNT; i++) {
        if (t->nv[i].name.len > STORE_NAME_MAX)
            return err_set(e, E_ARG, "the Name of an NV index is too long to store");
    }
    if (store_begin(s, e) != 0)
        return -1;
    rc = put_token(s, t, &id, e);
    if (rc == 0)
        rc = put_indices(s, id, t, e);
    if (finish(s, rc, e) != 0)
        return -1;
    t->id = id;
    return 0;
}

int store_token_note(struct store *s, struct store_token *t, const struct store_note *note,
                     struct err *e)
{
    const uint32_t *user = note->user_fails, *so = note->so_fails, *limit = note->user_limit;
    struct store_token now = *t;
    sqlite3_stmt *st = NULL;
    int rc = -1, row;

    if (store_begin(s, e) != 0)
        return -1;
    if (store_db_query(s, &st,
                       "UPDATE token SET flags = (flags | ?3) & ~?4,"
                       " user_fails = coalesce(?5, user_fails), so_fails = coalesce(?6, so_fails),"
                       " user_limit = coalesce(?7, user_limit)"
                       " WHERE id = ?1 AND serial = ?2 RETURNING flags, user_fails, so_fails",
                       STORE_ARGS(STORE_INT(t->id), STORE_TEXT(t->serial), STORE_INT(note->set),
                                  STORE_INT(note->clear),
                                  user != NULL ? STORE_INT(*user) : STORE_NULL,
                                  so != NULL ? STORE_INT(*so) : STORE_NULL,
                                  limit != NULL ? STORE_INT(*limit) : STORE_NULL),
                       e) != 0)
        goto out;
    row = store_db_next(s, st, e);
    if (row == 0)
        err_set(e, E_NOT_FOUND,
                "token %s (serial %s) was erased or made anew meanwhile; read the store %s anew",
                t->label, t->serial, s->path);
    if (row != 1 || store_db_range(s, st, 0, UINT32_MAX, &now.flags, e) != 0 ||
        store_db_range(s, st, 1, UINT32_MAX, &now.user_fails, e) != 0 ||
        store_db_range(s, st, 2, UINT32_MAX, &now.so_fails, e) != 0)
        goto out;
    rc = store_db_next(s, st, e);
out:
    sqlite3_finalize(st);
    if (finish(s, rc, e) != 0)
        return -1;
    *t = now;
    return 0;
}

/* In the order of what refers to what; attributes and indices go along. */
static int clear(struct store *s, const struct store_arg *id, struct err *e)
{
    if (store_db_do(s, "DELETE FROM object WHERE token = ?1", id, 1, e) != 0)
        return -1;
    return store_db_do(s, "DELETE FROM key WHERE token = ?1", id, 1, e);
}

int store_token_clear(struct store *s, int64_t id, struct err *e)
{
    const struct store_arg arg[] = {STORE_INT(id)};

    if (store_begin(s, e) != 0)
        return -1;
    return finish(s, clear(s, arg, e), e);
}

int store_token_delete(struct store *s, int64_t id, struct err *e)
{
    const struct store_arg arg[] = {STORE_INT(id)};
    int rc = -1;

    if (store_begin(s, e) != 0)
        return -1;
    if (clear(s, arg, e) == 0 && store_db_do(s, "DELETE FROM token WHERE id = ?1", arg, 1, e) == 0)
        rc = sqlite3_changes(s->db) == 1 ? 0 : not_there(s, "token", id, e);
    return finish(s, rc, e);
}
