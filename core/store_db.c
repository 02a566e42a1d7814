#include "core/store_db.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool no_room(int why)
{
    return why == ENOSPC || why == EDQUOT || why == EFBIG;
}

static int fail_readonly(struct store *s, int rc, const char *what, struct err *e)
{
    if (rc == SQLITE_READONLY_ROLLBACK || rc == SQLITE_READONLY_RECOVERY)
        return err_set(e, E_DENIED,
                       "cannot %s the token store %s: a write to it was cut short, and"
                       " undoing that needs write access; open it once as its owner where it can be"
                       " written",
                       what, s->path);
    if (rc == SQLITE_READONLY_DBMOVED)
        return err_set(e, E_IO,
                       "cannot %s the token store %s: the file was moved or deleted while"
                       " it was open; put it back or start again",
                       what, s->path);
    return err_set(e, E_DENIED,
                   "cannot %s the token store %s: %s; check the owner and mode of the"
                   " file and of its directory",
                   what, s->path,
                   s->mode == STORE_READ ? "it is open for reading only" : "it cannot be written");
}

static int fail_constraint(struct store *s, int rc, const char *what, struct err *e)
{
    if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY)
        return err_set(e, E_EXISTS,
                       "cannot %s the token store %s: such an entry is there already;"
                       " choose another name or delete that one first",
                       what, s->path);
    if (rc == SQLITE_CONSTRAINT_FOREIGNKEY)
        return err_set(e, E_NOT_FOUND,
                       "cannot %s the token store %s: the token, TPM or key that the"
                       " entry belongs to is not there; read the store anew",
                       what, s->path);
    return err_set(e, E_ARG,
                   "cannot %s the token store %s: the values break a rule of the store"
                   " (%s)",
                   what, s->path, sqlite3_errmsg(s->db));
}

int store_db_fail(struct store *s, int rc, const char *what, struct err *e)
{
    int why = s->db != NULL ? sqlite3_system_errno(s->db) : 0;

    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(e, E_BUSY,
                       "cannot %s the token store %s: another process has kept it locked"
                       " for 5 seconds; try again, or end that process",
                       what, s->path);
    case SQLITE_FULL:
        return err_set(e, E_FULL,
                       "cannot %s the token store %s: there is no room left on its disk;"
                       " make room and try again",
                       what, s->path);
    case SQLITE_READONLY: return fail_readonly(s, rc, what, e);
    case SQLITE_CONSTRAINT: return fail_constraint(s, rc, what, e);
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
        if (no_room(why))
            return store_db_fail(s, SQLITE_FULL, what, e);
        return err_set(e, why == ENOENT ? E_NOT_FOUND : E_DENIED,
                       "cannot %s the token store %s: the file or its journal does not open (%s);"
                       " check the owner and mode of the file and of its directory",
                       what, s->path, why != 0 ? strerror(why) : sqlite3_errstr(rc));
    case SQLITE_CORRUPT:
    case SQLITE_ERROR: /* of fixed statements: the tables are not those that we made */
    case SQLITE_SCHEMA:
    case SQLITE_MISMATCH:
        return err_set(e, E_CORRUPT,
                       "cannot %s the token store %s: the file is damaged (%s);"
                       " restore it from a backup or move it away",
                       what, s->path, s->db != NULL ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc));
    case SQLITE_NOTADB:
        return err_set(e, E_CORRUPT,
                       "cannot %s the token store %s: the file is not a database, or"
                       " its beginning is damaged; restore it from a backup or move it away",
                       what, s->path);
    case SQLITE_NOMEM:
        return err_set(e, E_MEMORY, "cannot %s the token store %s: out of memory", what, s->path);
    case SQLITE_TOOBIG:
        return err_set(e, E_ARG, "cannot %s the token store %s: a value is longer than %zu bytes",
                       what, s->path, BUF_MAX);
    default:
        if (no_room(why))
            return store_db_fail(s, SQLITE_FULL, what, e);
        return err_set(e, E_IO, "cannot %s the token store %s: %s (%s); check its disk", what,
                       s->path, sqlite3_errstr(rc), why != 0 ? strerror(why) : "no system error");
    }
}

static int bind(sqlite3_stmt *st, int at, const struct store_arg *a)
{
    /* A NULL pointer would bind SQL NULL instead of no bytes. */
    const void *p = a->b.p != NULL ? (const void *)a->b.p : "";

    switch (a->kind) {
    case STORE_ARG_INT: return sqlite3_bind_int64(st, at, a->i);
    case STORE_ARG_BLOB: return sqlite3_bind_blob64(st, at, p, a->b.len, SQLITE_STATIC);
    case STORE_ARG_TEXT:
        return sqlite3_bind_text64(st, at, p, a->b.len, SQLITE_STATIC, SQLITE_UTF8);
    case STORE_ARG_NULL: break;
    }
    return sqlite3_bind_null(st, at);
}

int store_db_query(struct store *s, sqlite3_stmt **st, const char *sql, const struct store_arg *arg,
                   size_t n, struct err *e)
{
    int rc;

    /* Talking on a connection inherited over fork corrupts the file (SQLite, "How To
     * Corrupt", 2.6). */
    if (s->pid != getpid())
        return err_set(e, E_ARG,
                       "the token store %s was opened by another process; open it anew"
                       " after a fork",
                       s->path);
    if (*st != NULL)
        sqlite3_reset(*st);
    else if ((rc = sqlite3_prepare_v2(s->db, sql, -1, st, NULL)) != SQLITE_OK)
        return store_db_fail(s, rc, "use", e);
    for (size_t i = 0; i < n; i++) {
        rc = bind(*st, (int)i + 1, &arg[i]);
        if (rc != SQLITE_OK)
            return store_db_fail(s, rc, "write to", e);
    }
    return 0;
}

int store_db_kept(struct store *s, enum store_kept which, sqlite3_stmt **st, const char *sql,
                  const struct store_arg *arg, size_t n, struct err *e)
{
    if (store_db_query(s, &s->kept[which], sql, arg, n, e) != 0)
        return -1;
    *st = s->kept[which];
    return 0;
}

int store_db_next(struct store *s, sqlite3_stmt *st, struct err *e)
{
    int rc = sqlite3_step(st);

    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE)
        return 0;
    return store_db_fail(s, rc, sqlite3_stmt_readonly(st) ? "read" : "write to", e);
}

int store_db_do(struct store *s, const char *sql, const struct store_arg *arg, size_t n,
                struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = store_db_query(s, &st, sql, arg, n, e);

    if (rc == 0)
        rc = store_db_next(s, st, e) < 0 ? -1 : 0;
    sqlite3_finalize(st);
    return rc;
}

int store_db_exec(struct store *s, const char *sql, struct err *e)
{
    int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : store_db_fail(s, rc, "use", e);
}

int store_db_int(struct store *s, const char *sql, int64_t *out, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = -1, row;

    if (store_db_query(s, &st, sql, NULL, 0, e) != 0)
        goto out;
    row = store_db_next(s, st, e);
    if (row == 0)
        store_db_fail(s, SQLITE_CORRUPT, "read", e);
    if (row != 1)
        goto out;
    *out = sqlite3_column_int64(st, 0);
    rc = 0;
out:
    sqlite3_finalize(st);
    return rc;
}

struct bytes store_db_bytes(sqlite3_stmt *st, int column)
{
    const void *p = sqlite3_column_blob(st, column);
    int n = sqlite3_column_bytes(st, column);

    return bytes_of(p, p != NULL && n > 0 ? (size_t)n : 0);
}

static int misshapen(struct store *s, sqlite3_stmt *st, int column, struct err *e)
{
    return err_set(e, E_CORRUPT,
                   "the token store %s is damaged: a \"%s\" has a value that cannot"
                   " be; restore it from a backup or move it away",
                   s->path, sqlite3_column_name(st, column));
}

int store_db_copy(struct store *s, sqlite3_stmt *st, int column, void *out, size_t min, size_t max,
                  size_t *len, struct err *e)
{
    struct bytes b = store_db_bytes(st, column);

    if (b.len < min || b.len > max)
        return misshapen(s, st, column, e);
    if (b.len != 0)
        memcpy(out, b.p, b.len);
    if (len != NULL)
        *len = b.len;
    return 0;
}

int store_db_range(struct store *s, sqlite3_stmt *st, int column, uint32_t max, uint32_t *out,
                   struct err *e)
{
    int64_t v = sqlite3_column_int64(st, column);

    if (v < 0 || v > (int64_t)max)
        return misshapen(s, st, column, e);
    *out = (uint32_t)v;
    return 0;
}

void *store_db_grow(struct store *s, void **array, size_t *n, size_t *cap, size_t size,
                    struct err *e)
{
    uint8_t *p = *array;

    if (*n >= STORE_MAX_ROWS) {
        err_set(e, E_CORRUPT,
                "the token store %s has more than %d entries of one kind; restore it"
                " from a backup or move it away",
                s->path, STORE_MAX_ROWS);
        return NULL;
    }
    if (*n == *cap) {
        size_t want = *cap != 0 ? 2 * *cap : 8;

        p = realloc(p, want * size);
        if (p == NULL) {
            err_set(e, E_MEMORY, "out of memory while reading the token store %s", s->path);
            return NULL;
        }
        *array = p;
        *cap = want;
    }
    p = &p[*n * size];
    memset(p, 0, size);
    (*n)++;
    return p;
}
