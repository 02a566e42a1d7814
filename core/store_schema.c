#include "core/store_db.h"

#include <string.h>

/*
 * One step for each released version, never edited once released. An index on
 * token alone, and `attr` kept in (object, type) order, let a token's objects be
 * read in one sweep without sorting. AUTOINCREMENT: an id that was given out
 * never comes back, so a handle kept by another process cannot name a new object.
 */
static const char *const steps[] = {
    "CREATE TABLE tpm ("
    " id INTEGER PRIMARY KEY,"
    " primary_handle INTEGER NOT NULL,"
    " primary_public BLOB NOT NULL,"
    " ek_name BLOB NOT NULL,"
    " caps BLOB NOT NULL"
    ") STRICT;"
    "CREATE TABLE token ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " tpm INTEGER NOT NULL REFERENCES tpm(id),"
    " label TEXT NOT NULL,"
    " serial TEXT NOT NULL UNIQUE,"
    " salt BLOB NOT NULL,"
    " flags INTEGER NOT NULL,"
    " user_fails INTEGER NOT NULL, user_limit INTEGER NOT NULL,"
    " so_fails INTEGER NOT NULL, so_limit INTEGER NOT NULL,"
    " k_public BLOB NOT NULL"
    ") STRICT;"
    "CREATE INDEX token_tpm ON token(tpm);"
    "CREATE TABLE nv ("
    " token INTEGER NOT NULL REFERENCES token(id) ON DELETE CASCADE,"
    " role INTEGER NOT NULL,"
    " handle INTEGER NOT NULL,"
    " name BLOB NOT NULL,"
    " PRIMARY KEY (token, role)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE key ("
    " id INTEGER PRIMARY KEY,"
    " token INTEGER NOT NULL REFERENCES token(id),"
    " uuid BLOB NOT NULL,"
    " use INTEGER NOT NULL,"
    " mode INTEGER NOT NULL,"
    " imported INTEGER NOT NULL,"
    " parent INTEGER NOT NULL,"
    " public BLOB NOT NULL,"
    " private BLOB NOT NULL,"
    " creation BLOB NOT NULL,"
    " tag BLOB NOT NULL,"
    " UNIQUE (token, uuid)"
    ") STRICT;"
    "CREATE TABLE object ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " token INTEGER NOT NULL REFERENCES token(id),"
    " uuid BLOB NOT NULL,"
    " class INTEGER NOT NULL,"
    " private INTEGER NOT NULL,"
    " key BLOB,"
    " tag BLOB,"
    " UNIQUE (uuid, token),"
    " FOREIGN KEY (token, key) REFERENCES key(token, uuid)"
    ") STRICT;"
    "CREATE INDEX object_token ON object(token);"
    "CREATE INDEX object_key ON object(key, token);"
    "CREATE TABLE attr ("
    " object INTEGER NOT NULL REFERENCES object(id) ON DELETE CASCADE,"
    " type INTEGER NOT NULL,"
    " sealed INTEGER NOT NULL,"
    " value BLOB NOT NULL,"
    " PRIMARY KEY (object, type)"
    ") STRICT, WITHOUT ROWID;",
    /* Digests to find objects by (store_lookup.c, which fills them in: those of sealed
     * values need the seal). The second index is empty but after this step. */
    "ALTER TABLE attr ADD COLUMN digest INTEGER;"
    "CREATE INDEX attr_digest ON attr(digest) WHERE digest IS NOT NULL;"
    "CREATE INDEX attr_unfilled ON attr(sealed)"
    " WHERE digest IS NULL AND type IN (3, 130, 257, 258, 297);",
};

/* SQLite database file format, 1.3: the database header. */
#define HEADER_SIZE 100
#define AT_MAGIC 16 /* its length; it comes first */
#define AT_USER_VERSION 60
#define AT_APPLICATION 68

static int refuse_foreign(struct store *s, struct err *e)
{
    return err_set(e, E_FORMAT,
                   "%s is a database of another program, not a token store: it was"
                   " left as it is; choose another path",
                   s->path);
}

static int refuse_newer(struct store *s, int64_t version, size_t known, struct err *e)
{
    return err_set(e, E_VERSION,
                   "the token store %s has version %lld, this program knows versions"
                   " up to %zu: it was left as it is; use a newer fusetsu",
                   s->path, (long long)version, known);
}

static uint32_t header_u32(const uint8_t *header, size_t at)
{
    struct reader r = reader_of(header, HEADER_SIZE);

    (void)reader_take(&r, at);
    return reader_u32(&r);
}

int store_schema_header(struct store *s, bool *empty, struct err *e)
{
    uint8_t h[HEADER_SIZE] = {0};
    sqlite3_file *f = NULL;
    sqlite3_int64 size = 0;
    int rc;

    /* Through SQLite's own descriptor: closing another one of the same file would
     * drop the locks of every connection of this process ("How To Corrupt", 2.2). */
    rc = sqlite3_file_control(s->db, "main", SQLITE_FCNTL_FILE_POINTER, &f);
    if (rc != SQLITE_OK || f == NULL || f->pMethods == NULL)
        return store_db_fail(s, rc != SQLITE_OK ? rc : SQLITE_IOERR, "read", e);
    rc = f->pMethods->xFileSize(f, &size);
    if (rc == SQLITE_OK && size > 0)
        rc = f->pMethods->xRead(f, h, HEADER_SIZE, 0);
    if (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ)
        return store_db_fail(s, rc, "read", e);
    /* A first page of zeros is one that its maker has not written yet. */
    *empty = size == 0 || header_u32(h, 0) == 0;
    if (*empty)
        return 0;
    if (memcmp(h, "SQLite format 3", AT_MAGIC) != 0)
        return store_db_fail(s, SQLITE_NOTADB, "open", e);
    if (header_u32(h, AT_APPLICATION) != STORE_APPLICATION)
        return refuse_foreign(s, e);
    if (header_u32(h, AT_USER_VERSION) > ARRAY_LEN(steps))
        return refuse_newer(s, header_u32(h, AT_USER_VERSION), ARRAY_LEN(steps), e);
    return 0;
}

/* The version of the file; 0 and `*fresh` for a database without any table. */
static int version_of(struct store *s, int64_t *version, bool *fresh, struct err *e)
{
    int64_t app = 0, v = 0, tables = 0;

    if (store_db_int(s, "PRAGMA application_id", &app, e) != 0 ||
        store_db_int(s, "PRAGMA user_version", &v, e) != 0 ||
        store_db_int(s, "SELECT count(*) FROM sqlite_schema", &tables, e) != 0)
        return -1;
    *fresh = app == 0 && v == 0 && tables == 0;
    if (!*fresh && app != STORE_APPLICATION)
        return refuse_foreign(s, e);
    if (v < 0)
        return store_db_fail(s, SQLITE_CORRUPT, "read", e);
    *version = v;
    return 0;
}

static int judge(struct store *s, size_t n, int64_t *version, bool *fresh, struct err *e)
{
    if (version_of(s, version, fresh, e) != 0)
        return -1;
    if (*version > (int64_t)n)
        return refuse_newer(s, *version, n, e);
    if (*fresh && s->mode != STORE_CREATE)
        return err_set(e, E_NOT_FOUND,
                       "%s is empty: there is no token store in it yet; make a"
                       " token first, or check the path",
                       s->path);
    /* Marked as ours without a version: nobody made such a file. */
    if (*version == 0 && s->mode == STORE_READ)
        return err_set(e, E_CORRUPT,
                       "the token store %s says no version: the file is damaged; restore it from"
                       " a backup or move it away",
                       s->path);
    return 0;
}

/* In one read transaction: another process may be making the store meanwhile, and its
 * mark must not be seen without its tables. */
static int judge_at_once(struct store *s, size_t n, int64_t *version, bool *fresh, struct err *e)
{
    int rc;

    if (store_db_exec(s, "BEGIN", e) != 0)
        return -1;
    rc = judge(s, n, version, fresh, e);
    if (store_db_exec(s, "ROLLBACK", e) != 0)
        rc = -1;
    return rc;
}

int store_schema_bring(struct store *s, const char *const *table, size_t n, struct err *e)
{
    int64_t version = 0;
    bool fresh = false;
    char sql[100];

    if (judge_at_once(s, n, &version, &fresh, e) != 0)
        return -1;
    s->version = (int)version;
    if (version == (int64_t)n || s->mode == STORE_READ)
        return 0;
    if (store_begin(s, e) != 0)
        return -1;
    /* Again under the lock: another process may have been faster. */
    if (judge(s, n, &version, &fresh, e) != 0)
        goto undo;
    for (; version < (int64_t)n; version++) {
        if (store_db_exec(s, table[version], e) != 0) {
            err_prefix(e, "step from version %lld to %lld", (long long)version,
                       (long long)version + 1);
            goto undo;
        }
    }
    sqlite3_snprintf(sizeof(sql), sql, "PRAGMA application_id=%d; PRAGMA user_version=%lld",
                     STORE_APPLICATION, (long long)version);
    if (store_db_exec(s, sql, e) != 0 || store_commit(s, e) != 0)
        goto undo;
    s->version = (int)version;
    return 0;
undo:
    store_rollback(s);
    return -1;
}

int store_schema_apply(struct store *s, struct err *e)
{
    return store_schema_bring(s, steps, ARRAY_LEN(steps), e);
}
