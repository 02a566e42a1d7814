#ifndef CA_REGISTRY_DB_H
#define CA_REGISTRY_DB_H

#include "ca/registry.h"

#include <sqlite3.h>

/* Private to ca/registry_*.c: statements over the registry's database. */

struct registry {
    sqlite3 *db;
    char *path;
    bool open_tx;
};

/* Maps a SQLite result to an error that names the path and what to do. -1. */
int registry_db_fail(struct registry *r, int sqlite_rc, struct err *e);

/*
 * Prepares `sql` and binds its parameters in order, as `types` says: 'i' an
 * int64_t, 't' a const char *, 'b' a struct bytes, 'o' a struct bytes that becomes
 * NULL when it is empty. All are copied. Finalise with sqlite3_finalize.
 */
int registry_db_prepare(struct registry *r, sqlite3_stmt **out, struct err *e, const char *sql,
                        const char *types, ...) MUST_USE;

/* 1: a row is there; 0: no more; -1: failed. */
int registry_db_step(struct registry *r, sqlite3_stmt *st, struct err *e) MUST_USE;

/* Prepares, binds and runs a statement that gives no rows. */
int registry_db_run(struct registry *r, struct err *e, const char *sql, const char *types,
                    ...) MUST_USE;

/* Columns. A number above `max` is E_CORRUPT. A text column is copied into `size` bytes,
 * E_CORRUPT when it does not fit; a blob column of another length than `len` is E_CORRUPT. */
int registry_db_small(struct registry *r, sqlite3_stmt *st, int column, unsigned max, unsigned *out,
                      struct err *e) MUST_USE;
int registry_db_text(struct registry *r, sqlite3_stmt *st, int column, char *out, size_t size,
                     struct err *e) MUST_USE;
int registry_db_fixed(struct registry *r, sqlite3_stmt *st, int column, uint8_t *out, size_t len,
                      struct err *e) MUST_USE;
/* Token, key id and certificate, three columns from `first` on; `key` may be NULL. */
int registry_db_key(struct registry *r, sqlite3_stmt *st, int first, struct registry_key *key,
                    struct buf *cert_der, struct err *e) MUST_USE;
/* What is granted, three columns from `first` on. */
int registry_db_grant(struct registry *r, sqlite3_stmt *st, int first, struct registry_grant *out,
                      struct err *e) MUST_USE;
struct bytes registry_db_blob(sqlite3_stmt *st, int column); /* borrowed until the next step */

#endif
