#include "core/store_db.h"

#include "core/hash.h"

#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

/*
 * Digests by which objects are found without reading all of them. They decide nothing: what
 * they lead to is read, checked and compared like everything else (store_load.c).
 */

/* CKA_LABEL, CKA_SERIAL_NUMBER, CKA_SUBJECT, CKA_ID, CKA_PUBLIC_KEY_INFO. The index
 * attr_unfilled (store_schema.c) names them too: another one takes another version. */
static const uint64_t types[STORE_LOOKUPS] = {3, 130, 257, 258, 297};

int store_lookup_at(uint64_t type)
{
    for (int i = 0; i < STORE_LOOKUPS; i++) {
        if (types[i] == type)
            return i;
    }
    return -1;
}

/* In parts for the same reason as in store_tag_end. */
static int plain_hash(struct bytes in, uint8_t out[32], struct err *e)
{
    struct hash *h = hash_begin(alg_hash_of(TPM2_ALG_SHA256), e);

    if (h == NULL)
        return -1;
    if (hash_update(h, in, e) == 0)
        return hash_end(h, out, e);
    hash_abort(h);
    return -1;
}

int store_lookup_digest(uint64_t type, struct bytes value, const struct store_seal *seal,
                        int64_t *out, struct err *e)
{
    struct store_tag t;
    uint8_t digest[32] = {0};
    struct reader r = reader_of(digest, sizeof(digest));
    int rc;

    store_tag_begin(&t, "lookup", bytes_of(NULL, 0));
    store_tag_int(&t, type);
    store_tag_bytes(&t, value);
    if (seal != NULL) {
        rc = store_tag_end(&t, seal, digest, e);
    } else {
        rc = buf_ok(&t.in, e);
        if (rc == 0)
            rc = plain_hash(buf_bytes(&t.in), digest, e);
        buf_free(&t.in);
    }
    if (rc == 0)
        *out = (int64_t)reader_u64(&r);
    return rc;
}

/* --- rows of an older version, or of an older program that writes beside this one --- */

#define UNFILLED                                                                       \
    " FROM attr a INDEXED BY attr_unfilled CROSS JOIN object o ON o.id = a.object"     \
    " WHERE a.digest IS NULL AND a.type IN (3, 130, 257, 258, 297) AND a.sealed <= ?2" \
    " AND o.token = ?1 LIMIT "
/* At once; the next lookup does the rest. */
#define FILL_MAX "200000"

struct gap {
    int64_t object, type, digest;
};

/* The digests that are missing. A sealed value that does not open is left out: it is for
 * those to complain of who read the object. */
static int find_gaps(struct store *s, const struct store_arg *arg, const struct store_seal *seal,
                     void **gaps, size_t *n, struct err *e)
{
    sqlite3_stmt *st = NULL;
    struct buf plain = {0};
    size_t cap = 0;
    int rc = -1, row;

    if (store_db_query(s, &st,
                       "SELECT a.object, a.type, a.sealed, a.value, o.uuid" UNFILLED FILL_MAX, arg,
                       2, e) != 0)
        goto out;
    while ((row = store_db_next(s, st, e)) == 1) {
        struct gap g = {sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1), 0}, *kept;
        bool sealed = sqlite3_column_int64(st, 2) != 0;
        struct bytes value = store_db_bytes(st, 3), uuid = store_db_bytes(st, 4);

        if (sealed && (uuid.len != STORE_UUID ||
                       store_seal_open(seal, uuid.p, (uint64_t)g.type, value, &plain, NULL) != 0))
            continue;
        if (store_lookup_digest((uint64_t)g.type, sealed ? buf_bytes(&plain) : value,
                                sealed ? seal : NULL, &g.digest, e) != 0 ||
            (kept = store_db_grow(s, gaps, n, &cap, sizeof(*kept), e)) == NULL)
            goto out;
        *kept = g;
    }
    rc = row;
out:
    sqlite3_finalize(st);
    buf_free(&plain);
    return rc;
}

static int fill_gaps(struct store *s, const struct gap *g, size_t n, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = store_db_query(
            s, &st, "UPDATE attr SET digest = ?3 WHERE object = ?1 AND type = ?2",
            STORE_ARGS(STORE_INT(g[i].object), STORE_INT(g[i].type), STORE_INT(g[i].digest)), e);
        if (rc == 0)
            rc = store_db_next(s, st, e);
    }
    sqlite3_finalize(st);
    return rc;
}

static int fill(struct store *s, const struct store_arg *arg, const struct store_seal *seal,
                struct err *e)
{
    void *gaps = NULL;
    size_t n = 0;
    int rc;

    if (store_begin(s, e) != 0)
        return -1;
    rc = find_gaps(s, arg, seal, &gaps, &n, e);
    if (rc == 0)
        rc = fill_gaps(s, gaps, n, e);
    if (rc == 0)
        rc = store_commit(s, e);
    if (rc != 0)
        store_rollback(s);
    free(gaps);
    return rc;
}

/* 1: rows without digest are left; 0: none. */
static int unfilled(struct store *s, const struct store_arg *arg, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int row = store_db_kept(s, STORE_KEPT_UNFILLED, &st, "SELECT 1" UNFILLED "1", arg, 2, e);

    if (row == 0)
        row = store_db_next(s, st, e);
    sqlite3_reset(st);
    return row;
}

int store_lookup_ready(struct store *s, int64_t token, const struct store_seal *seal, struct err *e)
{
    const struct store_arg arg[] = {STORE_INT(token), STORE_INT(seal != NULL)};
    int left;

    if (s->version < STORE_LOOKUP_VERSION)
        return 0;
    left = unfilled(s, arg, e);
    /* A store that cannot be written now is read in full instead. */
    if (left == 1 && s->mode != STORE_READ && fill(s, arg, seal, NULL) == 0)
        left = unfilled(s, arg, e);
    return left < 0 ? -1 : left == 0;
}
