#ifndef CORE_STORE_DB_H
#define CORE_STORE_DB_H

/* Private to core/store*.c and its test: what the parts of the store share. */

#include "core/store.h"

#include <sqlite3.h>
#include <sys/types.h>

/* "FuSe": marks the file as ours (PRAGMA application_id). */
#define STORE_APPLICATION 0x46755365

/* No table of an honest store comes near this; a forged one shall not eat the memory. */
#define STORE_MAX_ROWS 1000000

/* An object has a few dozen attributes; a forged file may claim more. */
#define STORE_MAX_ATTRS 4096

/* Statements that are worth keeping prepared: all that a search by an attribute needs. */
enum store_kept {
    STORE_KEPT_VERSION,
    STORE_KEPT_SERIAL,
    STORE_KEPT_UNFILLED,
    STORE_KEPT_FIND,
    STORE_KEPT_GET,
    STORE_KEPT_COUNT
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *kept[STORE_KEPT_COUNT]; /* NULL till first used */
    char *path;                           /* as the caller wrote it, for messages */
    enum store_mode mode;
    bool memory;    /* there is no file: nobody else has it */
    int version;    /* of the file: below the newest only in STORE_READ */
    pid_t pid;      /* SQLite connections do not survive fork */
    int hold;       /* descriptor of the directory while store_hold is in force, else 0 */
    unsigned depth; /* of nested transactions */
    store_keeper_fn *keep;
    void *keep_arg;
    bool doomed;       /* an inner one was rolled back: the outer ones must be too */
    bool seen_version; /* data_version below was read */
    int64_t data_version;
};

/* --- store_db.c: statements and the one place that reads SQLite's errors --- */

/* One value bound to a statement; the bytes are borrowed until it is finalised. */
struct store_arg {
    enum { STORE_ARG_NULL, STORE_ARG_INT, STORE_ARG_BLOB, STORE_ARG_TEXT } kind;
    int64_t i;
    struct bytes b;
};

#define STORE_NULL ((struct store_arg){.kind = STORE_ARG_NULL})
#define STORE_INT(v) ((struct store_arg){.kind = STORE_ARG_INT, .i = (int64_t)(v)})
#define STORE_BLOB(p, n) ((struct store_arg){.kind = STORE_ARG_BLOB, .b = {(p), (n)}})
#define STORE_TEXT(s) \
    ((struct store_arg){.kind = STORE_ARG_TEXT, .b = {(const uint8_t *)(s), strlen(s)}})

/* The arguments of a statement and their count. */
#define STORE_ARGS(...) \
    ((const struct store_arg[]){__VA_ARGS__}), ARRAY_LEN(((const struct store_arg[]){__VA_ARGS__}))

/* Records what SQLite's result `rc` means, what was being done (`what`: a verb
 * that fits before the path), and what to do next. Returns -1. */
int store_db_fail(struct store *s, int rc, const char *what, struct err *e);

/* Prepares one statement and binds its arguments; the caller finalises it (NULL
 * is fine). With `*st` set already it is reset and bound anew. */
int store_db_query(struct store *s, sqlite3_stmt **st, const char *sql, const struct store_arg *arg,
                   size_t n, struct err *e) MUST_USE;

/* The same for one that is kept: it belongs to the store, and the caller ends by
 * sqlite3_reset (NULL is fine), which lets writers in again. Not nested. */
int store_db_kept(struct store *s, enum store_kept which, sqlite3_stmt **st, const char *sql,
                  const struct store_arg *arg, size_t n, struct err *e) MUST_USE;

/* Steps: 1 with a row, 0 at the end, -1 on failure. */
int store_db_next(struct store *s, sqlite3_stmt *st, struct err *e) MUST_USE;

/* Runs one statement without rows; sqlite3_changes() tells what it touched. */
int store_db_do(struct store *s, const char *sql, const struct store_arg *arg, size_t n,
                struct err *e) MUST_USE;

/* Several statements, or one without arguments, e.g. PRAGMA. */
int store_db_exec(struct store *s, const char *sql, struct err *e) MUST_USE;

/* The one integer that a query without arguments answers. */
int store_db_int(struct store *s, const char *sql, int64_t *out, struct err *e) MUST_USE;

/* Copies a column of `min` to `max` bytes, E_CORRUPT outside of that. */
int store_db_copy(struct store *s, sqlite3_stmt *st, int column, void *out, size_t min, size_t max,
                  size_t *len, struct err *e) MUST_USE;

/* A column's bytes, borrowed until the next step. */
struct bytes store_db_bytes(sqlite3_stmt *st, int column);

/* A column that must hold 0 to `max`, E_CORRUPT else. */
int store_db_range(struct store *s, sqlite3_stmt *st, int column, uint32_t max, uint32_t *out,
                   struct err *e) MUST_USE;

/* Appends room for one element to an array that doubles; E_CORRUPT beyond
 * STORE_MAX_ROWS. Returns the zeroed element, NULL on failure. */
void *store_db_grow(struct store *s, void **array, size_t *n, size_t *cap, size_t size,
                    struct err *e) MUST_USE;

/* --- store_file.c ---------------------------------------------------------- */

/* --- store_schema.c ------------------------------------------------------ */

/*
 * Brings the file to version `n` by the steps that it lacks: steps[i] leads from
 * version i to i + 1. All of them run in one transaction. A file of another program and
 * a newer version are refused, untouched. In STORE_READ an older version is read as it is.
 */
int store_schema_bring(struct store *s, const char *const *steps, size_t n, struct err *e) MUST_USE;

/* The same with this program's steps. */
int store_schema_apply(struct store *s, struct err *e) MUST_USE;

/* Judges the first 100 bytes before any SQL runs, so that a foreign file is
 * not even locked. `*empty`: the file has no bytes yet. */
int store_schema_header(struct store *s, bool *empty, struct err *e) MUST_USE;

/* --- store_seal.c -------------------------------------------------------- */

/* An HMAC over fields that are each preceded by their length. */
struct store_tag {
    struct buf in;
};
void store_tag_begin(struct store_tag *t, const char *kind, struct bytes serial);
void store_tag_bytes(struct store_tag *t, struct bytes field);
void store_tag_int(struct store_tag *t, uint64_t field);
int store_tag_end(struct store_tag *t, const struct store_seal *seal, uint8_t out[32],
                  struct err *e) MUST_USE;

/* One value, bound to its object and attribute type: nonce, ciphertext, GCM tag.
 * Both append to `out`, which store_seal_open makes a secret buffer. */
int store_seal_close(const struct store_seal *seal, const uint8_t uuid[STORE_UUID], uint64_t type,
                     struct bytes plain, struct buf *out, struct err *e) MUST_USE;
int store_seal_open(const struct store_seal *seal, const uint8_t uuid[STORE_UUID], uint64_t type,
                    struct bytes sealed, struct buf *out, struct err *e) MUST_USE;

/* Replaces the content of `b` by a copy that takes no more memory than needed;
 * an empty one has `p` NULL. */
int store_seal_exact(struct buf *b, struct bytes s, bool secret, struct err *e) MUST_USE;

/* --- store_object.c ------------------------------------------------------ */

/* The tag over an object; `attr` as stored (sealed values sealed), by type. */
int store_object_tag(const struct store_object *o, const struct store_attr *attr, size_t n,
                     const char *serial, const struct store_seal *seal, uint8_t out[32],
                     struct err *e) MUST_USE;

/* Is there something in it that only a login may write? */
bool store_object_needs_seal(const struct store_object *o);

/* --- store_lookup.c ------------------------------------------------------ */

#define STORE_LOOKUPS 5        /* so many types of attributes are searched by */
#define STORE_LOOKUP_VERSION 2 /* the first version of the file that has digests */

/* Which of them a type is, -1 for others. */
int store_lookup_at(uint64_t type);

/* 64 bits of a hash over type and value; under the seal where one is given, as for values
 * that are sealed. */
int store_lookup_digest(uint64_t type, struct bytes value, const struct store_seal *seal,
                        int64_t *out, struct err *e) MUST_USE;

/* 1: each attribute that can be searched by has its digest; 0: not so, read all objects.
 * Fills in what is missing where the store can be written. */
int store_lookup_ready(struct store *s, int64_t token, const struct store_seal *seal,
                       struct err *e) MUST_USE;

/* --- store_token.c ------------------------------------------------------- */

/* The serial that the tags of a token's rows are bound to; 17 bytes with the NUL. */
int store_token_serial(struct store *s, int64_t token, char serial[17], struct err *e) MUST_USE;

#endif
