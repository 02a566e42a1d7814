/* Writing a token's rows to a backup; reading it is in store_restore.c. */
#include "core/store_backup.h"
#include "core/store_backup_priv.h"

#include "core/hash.h"

#include <string.h>

static int too_long(struct store *s, struct err *e)
{
    return err_set(e, E_FULL,
                   "the token in the store %s has more than the %zu bytes that a backup takes; copy"
                   " the whole store instead, while no program uses it",
                   s->path, STORE_BACKUP_MAX);
}

/* Room for `more` bytes, and for what ends the file? */
static int room(struct store *s, const struct buf *out, size_t more, struct err *e)
{
    const size_t most = STORE_BACKUP_MAX - 2 * STORE_BACKUP_DIGEST;

    return more < most && out->len < most - more ? 0 : too_long(s, e);
}

static void put_4b(struct buf *out, struct bytes b)
{
    buf_u32(out, (uint32_t)b.len);
    buf_add_bytes(out, b);
}

static void put_tpm(struct buf *out, const struct store_tpm *t)
{
    buf_u32(out, t->primary);
    buf_2b(out, t->primary_public, t->primary_public_len);
    buf_2b(out, t->ek_name.name, t->ek_name.len);
    buf_2b(out, t->caps, t->caps_len);
}

static void put_token(struct buf *out, const struct store_token *t)
{
    buf_add(out, t->serial, STORE_BACKUP_SERIAL);
    buf_2b(out, t->label, strlen(t->label));
    buf_add(out, t->salt, sizeof(t->salt));
    buf_u32(out, t->flags);
    buf_u32(out, t->user_fails);
    buf_u32(out, t->user_limit);
    buf_u32(out, t->so_fails);
    buf_u32(out, t->so_limit);
    buf_add(out, t->k_public, sizeof(t->k_public));
    for (size_t i = 0; i < STORE_NV_COUNT; i++) {
        buf_u32(out, t->nv[i].handle);
        buf_2b(out, t->nv[i].name.name, t->nv[i].name.len);
    }
}

/* --- keys -------------------------------------------------------------------- */

enum {
    KEY_UUID,
    KEY_USE,
    KEY_MODE,
    KEY_IMPORTED,
    KEY_PARENT,
    KEY_PUBLIC,
    KEY_PRIVATE,
    KEY_CREATION,
    KEY_TAG
};

/* Reading the row with the seal checks it; what is written is the row as it stands. */
static int put_key(struct store *s, int64_t token, const struct store_seal *seal, sqlite3_stmt *st,
                   struct buf *out, struct err *e)
{
    struct store_key k = {0};
    uint8_t uuid[STORE_UUID], tag[STORE_BACKUP_DIGEST];
    int rc = -1;

    if (store_db_copy(s, st, KEY_UUID, uuid, STORE_UUID, STORE_UUID, NULL, e) != 0 ||
        store_db_copy(s, st, KEY_TAG, tag, sizeof(tag), sizeof(tag), NULL, e) != 0 ||
        store_key_get(s, token, uuid, seal, &k, e) != 0)
        return -1;
    if (room(s, out, k.public.len + k.private.len + k.creation.len + 100, e) != 0)
        goto out;
    buf_add(out, k.uuid, STORE_UUID);
    buf_u8(out, (uint8_t)k.use);
    buf_u8(out, (uint8_t)k.mode);
    buf_u8(out, k.imported);
    buf_u32(out, k.parent);
    put_4b(out, buf_bytes(&k.public));
    put_4b(out, buf_bytes(&k.private));
    put_4b(out, buf_bytes(&k.creation));
    buf_add(out, tag, sizeof(tag));
    rc = buf_ok(out, e);
out:
    store_key_free(&k);
    return rc;
}

static int put_keys(struct store *s, int64_t token, const struct store_seal *seal, struct buf *out,
                    struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = -1, row;

    if (store_db_query(s, &st,
                       "SELECT uuid, use, mode, imported, parent, public, private, creation, tag"
                       " FROM key WHERE token = ?1 ORDER BY id",
                       STORE_ARGS(STORE_INT(token)), e) != 0)
        goto out;
    while ((row = store_db_next(s, st, e)) == 1) {
        if (put_key(s, token, seal, st, out, e) != 0)
            goto out;
    }
    rc = row;
out:
    sqlite3_finalize(st);
    return rc;
}

/* --- objects ------------------------------------------------------------------- */

static int put_attrs(struct store *s, int64_t object, struct buf *out, struct err *e)
{
    sqlite3_stmt *st = NULL;
    size_t at = out->len;
    struct buf count = {0};
    uint32_t n = 0, sealed = 0;
    int rc = -1, row;

    buf_u32(out, 0);
    if (store_db_query(s, &st,
                       "SELECT type, sealed, value FROM attr WHERE object = ?1 ORDER BY type",
                       STORE_ARGS(STORE_INT(object)), e) != 0)
        goto out;
    while ((row = store_db_next(s, st, e)) == 1) {
        struct bytes value = store_db_bytes(st, 2);

        if (store_db_range(s, st, 1, 1, &sealed, e) != 0 || room(s, out, value.len + 20, e) != 0)
            goto out;
        buf_u64(out, (uint64_t)sqlite3_column_int64(st, 0));
        buf_u8(out, (uint8_t)sealed);
        put_4b(out, value);
        n++;
    }
    buf_u32(&count, n);
    if (row != 0 || buf_ok(out, e) != 0 || buf_ok(&count, e) != 0)
        goto out;
    memcpy(&out->p[at], count.p, count.len);
    rc = 0;
out:
    buf_free(&count);
    sqlite3_finalize(st);
    return rc;
}

static int put_object(struct store *s, sqlite3_stmt *st, struct buf *out, struct err *e)
{
    struct bytes key = store_db_bytes(st, 4), tag = store_db_bytes(st, 5);
    uint8_t uuid[STORE_UUID];
    uint32_t class = 0, is_private = 0;

    if (store_db_copy(s, st, 1, uuid, STORE_UUID, STORE_UUID, NULL, e) != 0 ||
        store_db_range(s, st, 2, UINT32_MAX, &class, e) != 0 ||
        store_db_range(s, st, 3, 1, &is_private, e) != 0 ||
        room(s, out, key.len + tag.len + 100, e) != 0)
        return -1;
    buf_add(out, uuid, STORE_UUID);
    buf_u32(out, class);
    buf_u8(out, (uint8_t)is_private);
    buf_2b(out, key.p, key.len);
    buf_2b(out, tag.p, tag.len);
    return put_attrs(s, sqlite3_column_int64(st, 0), out, e);
}

static int put_objects(struct store *s, int64_t token, const struct store_seal *seal,
                       struct buf *out, struct err *e)
{
    struct store_object *list = NULL;
    sqlite3_stmt *st = NULL;
    size_t n = 0;
    int rc = -1, row;

    /* Only to check every tag. */
    if (store_object_list(s, token, seal, &list, &n, e) != 0)
        return -1;
    store_objects_free(list, n);
    if (store_db_query(s, &st,
                       "SELECT id, uuid, class, private, key, tag FROM object WHERE token = ?1"
                       " ORDER BY id",
                       STORE_ARGS(STORE_INT(token)), e) != 0)
        goto out;
    while ((row = store_db_next(s, st, e)) == 1) {
        if (put_object(s, st, out, e) != 0)
            goto out;
    }
    rc = row;
out:
    sqlite3_finalize(st);
    return rc;
}

/* --- the whole ------------------------------------------------------------------- */

static int count(struct store *s, const char *sql, int64_t token, size_t *n, struct err *e)
{
    sqlite3_stmt *st = NULL;
    uint32_t v = 0;
    int rc = -1;

    if (store_db_query(s, &st, sql, STORE_ARGS(STORE_INT(token)), e) == 0 &&
        store_db_next(s, st, e) == 1 && store_db_range(s, st, 0, STORE_MAX_ROWS, &v, e) == 0)
        rc = 0;
    sqlite3_finalize(st);
    *n = v;
    return rc;
}

int store_backup_count(struct store *s, int64_t token, struct store_backup_size *n, struct err *e)
{
    struct store_backup_size got = {0};

    if (count(s, "SELECT count(*) FROM key WHERE token = ?1", token, &got.keys, e) != 0 ||
        count(s, "SELECT count(*) FROM object WHERE token = ?1", token, &got.objects, e) != 0)
        return -1;
    *n = got;
    return 0;
}

int store_backup_tag(const char *serial, const uint8_t digest[STORE_BACKUP_DIGEST],
                     const struct store_seal *seal, uint8_t out[STORE_BACKUP_DIGEST], struct err *e)
{
    struct store_tag t;

    store_tag_begin(&t, "backup", bytes_of(serial, strlen(serial)));
    store_tag_bytes(&t, bytes_of(digest, STORE_BACKUP_DIGEST));
    return store_tag_end(&t, seal, out, e);
}

static int put_end(const char *serial, const struct store_seal *seal, struct buf *out,
                   struct err *e)
{
    uint8_t digest[STORE_BACKUP_DIGEST], tag[STORE_BACKUP_DIGEST];

    if (buf_ok(out, e) != 0 || hash_sha256(buf_bytes(out), digest, e) != 0 ||
        store_backup_tag(serial, digest, seal, tag, e) != 0)
        return -1;
    buf_add(out, digest, sizeof(digest));
    buf_add(out, tag, sizeof(tag));
    return buf_ok(out, e);
}

static int put_all(struct store *s, int64_t token, const struct store_seal *seal, bool counts,
                   struct buf *out, struct store_backup_size *n, struct err *e)
{
    struct store_token row;
    struct store_tpm hw;

    if (store_token_get(s, token, &row, e) != 0 || store_tpm_get(s, row.tpm, &hw, e) != 0 ||
        store_backup_count(s, token, n, e) != 0)
        return -1;
    if (!counts)
        row.user_fails = row.so_fails = 0;
    buf_add(out, STORE_BACKUP_MAGIC, STORE_BACKUP_MAGIC_LEN);
    buf_u16(out, STORE_BACKUP_VERSION);
    put_tpm(out, &hw);
    put_token(out, &row);
    buf_u32(out, (uint32_t)n->keys);
    if (put_keys(s, token, seal, out, e) != 0)
        return -1;
    buf_u32(out, (uint32_t)n->objects);
    if (put_objects(s, token, seal, out, e) != 0)
        return -1;
    return put_end(row.serial, seal, out, e);
}

int store_backup_write(struct store *s, int64_t token, const struct store_seal *seal, bool counts,
                       struct buf *out, struct store_backup_size *n, struct err *e)
{
    struct store_backup_size got = {0};
    struct buf all = {0};
    int rc = -1;

    /* One transaction: rows of one moment. */
    if (store_begin(s, e) != 0)
        return -1;
    if (put_all(s, token, seal, counts, &all, &got, e) == 0) {
        buf_free(out);
        *out = all;
        *n = got;
        all = (struct buf){0};
        rc = 0;
    }
    /* Nothing was written; a rollback would undo what the caller's own transaction wrote. */
    if (store_commit(s, rc == 0 ? e : NULL) != 0) {
        store_rollback(s);
        rc = -1;
    }
    buf_free(&all);
    return rc;
}
