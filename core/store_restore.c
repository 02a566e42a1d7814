/* Reading a backup, and writing its rows to a store. */
#include "core/store_backup.h"
#include "core/store_backup_priv.h"

#include "core/hash.h"

#include <stdlib.h>
#include <string.h>

/* As in store_object.c. */
#define MAX_ATTRS 4096

struct store_backup {
    char *name;
    struct buf file;
    struct store_tpm tpm;
    struct store_token token;
    struct store_backup_size n;
    struct reader keys, objects; /* where they begin in `file` */
    uint8_t digest[STORE_BACKUP_DIGEST], tag[STORE_BACKUP_DIGEST];
};

/* One row; the bytes are borrowed from the file. */
struct key_row {
    struct bytes uuid, public, private, creation, tag;
    uint8_t use, mode, imported;
    uint32_t parent;
};
struct object_row {
    struct bytes uuid, key, tag;
    uint32_t class, n_attr;
    uint8_t is_private;
    struct reader attrs; /* those of the object begin here */
};
struct attr_row {
    uint64_t type;
    uint8_t sealed;
    struct bytes value;
};

/* --- reading ------------------------------------------------------------------ */

static struct bytes take_4b(struct reader *r)
{
    return reader_take(r, reader_u32(r));
}

static bool take_name(struct reader *r, struct store_name *out)
{
    struct bytes b = reader_2b(r);

    if (b.len > sizeof(out->name))
        return false;
    out->len = (uint16_t)b.len;
    if (b.len != 0)
        memcpy(out->name, b.p, b.len);
    return true;
}

static bool take_fixed(struct reader *r, void *out, size_t len)
{
    struct bytes b = reader_take(r, len);

    if (b.len != len)
        return false;
    memcpy(out, b.p, len);
    return true;
}

static bool take_tpm(struct reader *r, struct store_tpm *t)
{
    struct bytes public, caps;

    t->primary = reader_u32(r);
    public = reader_2b(r);
    if (public.len > sizeof(t->primary_public) || !take_name(r, &t->ek_name))
        return false;
    caps = reader_2b(r);
    if (caps.len > sizeof(t->caps) || r->bad)
        return false;
    t->primary_public_len = (uint16_t) public.len;
    t->caps_len = (uint16_t)caps.len;
    if (public.len != 0)
        memcpy(t->primary_public, public.p, public.len);
    if (caps.len != 0)
        memcpy(t->caps, caps.p, caps.len);
    return true;
}

static bool take_token(struct reader *r, struct store_token *t)
{
    struct bytes label;

    if (!take_fixed(r, t->serial, STORE_BACKUP_SERIAL))
        return false;
    label = reader_2b(r);
    if (label.len >= sizeof(t->label) || !take_fixed(r, t->salt, sizeof(t->salt)))
        return false;
    if (label.len != 0)
        memcpy(t->label, label.p, label.len);
    t->flags = reader_u32(r);
    t->user_fails = reader_u32(r);
    t->user_limit = reader_u32(r);
    t->so_fails = reader_u32(r);
    t->so_limit = reader_u32(r);
    if (!take_fixed(r, t->k_public, sizeof(t->k_public)))
        return false;
    for (size_t i = 0; i < STORE_NV_COUNT; i++) {
        t->nv[i].handle = reader_u32(r);
        if (!take_name(r, &t->nv[i].name))
            return false;
    }
    return !r->bad && strlen(t->serial) == STORE_BACKUP_SERIAL && strlen(t->label) == label.len;
}

static bool take_key(struct reader *r, struct key_row *k)
{
    k->uuid = reader_take(r, STORE_UUID);
    k->use = reader_u8(r);
    k->mode = reader_u8(r);
    k->imported = reader_u8(r);
    k->parent = reader_u32(r);
    k->public = take_4b(r);
    k->private = take_4b(r);
    k->creation = take_4b(r);
    k->tag = reader_take(r, STORE_BACKUP_DIGEST);
    return !r->bad && k->use <= STORE_USE_LAST && k->mode <= STORE_KEY_MODE_LAST &&
           k->imported <= 1;
}

static bool take_attr(struct reader *r, struct attr_row *a)
{
    a->type = reader_u64(r);
    a->sealed = reader_u8(r);
    a->value = take_4b(r);
    return !r->bad && a->type <= INT64_MAX && a->sealed <= 1;
}

static bool take_object(struct reader *r, struct object_row *o)
{
    uint64_t last = 0;

    o->uuid = reader_take(r, STORE_UUID);
    o->class = reader_u32(r);
    o->is_private = reader_u8(r);
    o->key = reader_2b(r);
    o->tag = reader_2b(r);
    o->n_attr = reader_u32(r);
    o->attrs = *r;
    if (r->bad || o->is_private > 1 || (o->key.len != 0 && o->key.len != STORE_UUID) ||
        (o->tag.len != 0 && o->tag.len != STORE_BACKUP_DIGEST) || o->n_attr > MAX_ATTRS)
        return false;
    for (uint32_t i = 0; i < o->n_attr; i++) {
        struct attr_row a;

        if (!take_attr(r, &a) || (i > 0 && a.type <= last))
            return false;
        last = a.type;
    }
    return true;
}

static bool take_all(struct reader *r, struct store_backup *b)
{
    struct key_row key;
    struct object_row object;

    if (!take_tpm(r, &b->tpm) || !take_token(r, &b->token))
        return false;
    b->n.keys = reader_u32(r);
    b->keys = *r;
    for (size_t i = 0; i < b->n.keys; i++) {
        if (!take_key(r, &key))
            return false;
    }
    b->n.objects = reader_u32(r);
    b->objects = *r;
    for (size_t i = 0; i < b->n.objects; i++) {
        if (!take_object(r, &object))
            return false;
    }
    return reader_done(r);
}

static int damaged(const char *name, const char *how, struct err *e)
{
    return err_set(e, E_CORRUPT, "the backup %s is damaged: %s; take another copy of it", name,
                   how);
}

bool store_backup_is(struct bytes file)
{
    return file.len >= STORE_BACKUP_MAGIC_LEN &&
           memcmp(file.p, STORE_BACKUP_MAGIC, STORE_BACKUP_MAGIC_LEN) == 0;
}

static int parse(struct store_backup *b, struct err *e)
{
    struct reader r = reader_of(b->file.p, b->file.len), body;
    uint8_t digest[STORE_BACKUP_DIGEST];
    uint16_t version;

    if (!store_backup_is(buf_bytes(&b->file)))
        return err_set(e, E_FORMAT, "%s is no backup of a token; check that it is the right file",
                       b->name);
    (void)reader_take(&r, STORE_BACKUP_MAGIC_LEN);
    version = reader_u16(&r);
    if (!r.bad && version > STORE_BACKUP_VERSION)
        return err_set(e, E_VERSION,
                       "the backup %s has version %u, this program knows versions up to %d; use a"
                       " newer fusetsu",
                       b->name, version, STORE_BACKUP_VERSION);
    if (r.bad || r.left < sizeof(b->digest) + sizeof(b->tag))
        return damaged(b->name, "it is cut short", e);
    body = reader_of(r.p, r.left - sizeof(b->digest) - sizeof(b->tag));
    (void)reader_take(&r, body.left);
    if (!take_fixed(&r, b->digest, sizeof(b->digest)) || !take_fixed(&r, b->tag, sizeof(b->tag)) ||
        hash_sha256(bytes_of(b->file.p, b->file.len - sizeof(b->digest) - sizeof(b->tag)), digest,
                    e) != 0)
        return -1;
    if (!bytes_equal(bytes_of(digest, sizeof(digest)), bytes_of(b->digest, sizeof(b->digest))))
        return damaged(b->name, "its checksum does not fit what is in it", e);
    if (version == 0 || !take_all(&body, b))
        return damaged(b->name, "what is in it has not the form of a backup", e);
    return 0;
}

int store_backup_read(struct store_backup **out, struct bytes file, const char *name, struct err *e)
{
    struct store_backup *b = calloc(1, sizeof(*b));

    if (b == NULL || (b->name = strdup(name)) == NULL) {
        store_backup_free(b);
        return err_set(e, E_MEMORY, "out of memory for a backup");
    }
    buf_add_bytes(&b->file, file);
    if (buf_ok(&b->file, e) != 0 || parse(b, e) != 0) {
        store_backup_free(b);
        return -1;
    }
    *out = b;
    return 0;
}

void store_backup_free(struct store_backup *b)
{
    if (b == NULL)
        return;
    buf_free(&b->file);
    free(b->name);
    free(b);
}

const struct store_tpm *store_backup_tpm(const struct store_backup *b)
{
    return &b->tpm;
}

const struct store_token *store_backup_token(const struct store_backup *b)
{
    return &b->token;
}

struct store_backup_size store_backup_size(const struct store_backup *b)
{
    return b->n;
}

/* --- writing to a store ------------------------------------------------------------ */

static int put_keys(const struct store_backup *b, struct store *s, int64_t token, struct err *e)
{
    struct reader r = b->keys;
    sqlite3_stmt *st = NULL;
    struct key_row k;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < b->n.keys && take_key(&r, &k); i++) {
        rc = store_db_query(
            s, &st,
            "INSERT INTO key (token, uuid, use, mode, imported, parent, public, private, creation,"
            " tag) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            STORE_ARGS(STORE_INT(token), STORE_BLOB(k.uuid.p, k.uuid.len), STORE_INT(k.use),
                       STORE_INT(k.mode), STORE_INT(k.imported), STORE_INT(k.parent),
                       STORE_BLOB(k.public.p, k.public.len), STORE_BLOB(k.private.p, k.private.len),
                       STORE_BLOB(k.creation.p, k.creation.len), STORE_BLOB(k.tag.p, k.tag.len)),
            e);
        if (rc == 0)
            rc = store_db_next(s, st, e);
    }
    sqlite3_finalize(st);
    return rc;
}

static int put_attrs(struct store *s, const struct object_row *o, int64_t object, sqlite3_stmt **st,
                     struct err *e)
{
    struct reader r = o->attrs;
    struct attr_row a;

    for (uint32_t i = 0; i < o->n_attr && take_attr(&r, &a); i++) {
        if (store_db_query(s, st,
                           "INSERT INTO attr (object, type, sealed, value) VALUES (?1, ?2, ?3, ?4)",
                           STORE_ARGS(STORE_INT(object), STORE_INT(a.type), STORE_INT(a.sealed),
                                      STORE_BLOB(a.value.p, a.value.len)),
                           e) != 0 ||
            store_db_next(s, *st, e) != 0)
            return -1;
    }
    return 0;
}

static int put_objects(const struct store_backup *b, struct store *s, int64_t token, struct err *e)
{
    sqlite3_stmt *st = NULL, *attr = NULL;
    struct reader r = b->objects;
    struct object_row o;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < b->n.objects && take_object(&r, &o); i++) {
        rc =
            store_db_query(s, &st,
                           "INSERT INTO object (token, uuid, class, private, key, tag)"
                           " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                           STORE_ARGS(STORE_INT(token), STORE_BLOB(o.uuid.p, o.uuid.len),
                                      STORE_INT(o.class), STORE_INT(o.is_private),
                                      o.key.len != 0 ? STORE_BLOB(o.key.p, o.key.len) : STORE_NULL,
                                      o.tag.len != 0 ? STORE_BLOB(o.tag.p, o.tag.len) : STORE_NULL),
                           e);
        if (rc == 0)
            rc = store_db_next(s, st, e);
        if (rc == 0)
            rc = put_attrs(s, &o, sqlite3_last_insert_rowid(s->db), &attr, e);
    }
    sqlite3_finalize(st);
    sqlite3_finalize(attr);
    return rc;
}

/* The store's row of the backup's TPM: the one that is there, or a new one. */
static int put_tpm(const struct store_backup *b, struct store *s, int64_t *id, struct err *e)
{
    struct store_tpm row = b->tpm, *list = NULL;
    size_t n = 0;
    int rc;

    row.id = 0;
    rc = store_tpm_list(s, &list, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (list[i].primary == row.primary &&
            bytes_equal(bytes_of(list[i].primary_public, list[i].primary_public_len),
                        bytes_of(row.primary_public, row.primary_public_len)))
            row.id = list[i].id;
    }
    if (rc == 0 && row.id == 0)
        rc = store_tpm_put(s, &row, e);
    free(list);
    *id = row.id;
    return rc;
}

/* The number of the token with the backup's serial, 0 when there is none. */
static int find(const struct store_backup *b, struct store *s, int64_t *id, struct err *e)
{
    struct store_token *list = NULL;
    size_t n = 0;

    *id = 0;
    if (store_token_list(s, &list, &n, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i].serial, b->token.serial) == 0)
            *id = list[i].id;
    }
    free(list);
    return 0;
}

/* Flags and counts are not the backup's but today's: others may be noting them just now. */
static void take_counts(const struct store_token *now, struct store_token *row)
{
    row->flags = now->flags;
    row->user_fails = now->user_fails;
    row->user_limit = now->user_limit;
    row->so_fails = now->so_fails;
    row->so_limit = now->so_limit;
}

static int keep_counts(struct store *s, struct store_token *row, struct err *e)
{
    struct store_token now;

    if (store_token_get(s, row->id, &now, e) != 0)
        return -1;
    take_counts(&now, row);
    return 0;
}

static int put_all(const struct store_backup *b, struct store *s, struct store_token *row,
                   bool replace, struct err *e)
{
    if (find(b, s, &row->id, e) != 0)
        return -1;
    if (row->id != 0 && !replace)
        return err_set(e, E_EXISTS,
                       "token %s (serial %s) is in the token store %s already; see what it has"
                       " before you replace it",
                       row->label, row->serial, s->path);
    if (row->id != 0 && (store_token_clear(s, row->id, e) != 0 || keep_counts(s, row, e) != 0))
        return -1;
    if (put_tpm(b, s, &row->tpm, e) != 0 || store_token_put(s, row, e) != 0 ||
        put_keys(b, s, row->id, e) != 0)
        return -1;
    return put_objects(b, s, row->id, e);
}

static int install(const struct store_backup *b, struct store *s, struct store_token *row,
                   bool replace, struct err *e)
{
    if (store_begin(s, e) != 0)
        return -1;
    if (put_all(b, s, row, replace, e) == 0 && store_commit(s, e) == 0)
        return 0;
    store_rollback(s);
    return -1;
}

int store_backup_install(const struct store_backup *b, struct store *s,
                         const struct store_token *row, bool replace, struct err *e)
{
    struct store_token mine = *row;

    return install(b, s, &mine, replace, e);
}

int store_backup_scratch(const struct store_backup *b, const struct store_token *known,
                         struct store **out, int64_t *token, struct err *e)
{
    struct store_token row = b->token;
    struct store *s = NULL;

    if (known != NULL)
        take_counts(known, &row);
    if (store_memory(&s, b->name, e) != 0)
        return -1;
    if (install(b, s, &row, false, e) != 0) {
        store_close(s);
        return -1;
    }
    *out = s;
    *token = row.id;
    return 0;
}

int store_backup_verify(const struct store_backup *b, struct store *scratch, int64_t token,
                        const struct store_seal *seal, struct err *e)
{
    struct store_object *list = NULL;
    struct reader r = b->keys;
    uint8_t tag[STORE_BACKUP_DIGEST];
    struct key_row row;
    size_t n = 0;

    for (size_t i = 0; i < b->n.keys && take_key(&r, &row); i++) {
        struct store_key k = {0};

        if (store_key_get(scratch, token, row.uuid.p, seal, &k, e) != 0)
            return -1;
        store_key_free(&k);
    }
    if (store_object_list(scratch, token, seal, &list, &n, e) != 0)
        return -1;
    store_objects_free(list, n);
    if (store_backup_tag(b->token.serial, b->digest, seal, tag, e) != 0)
        return -1;
    if (!bytes_equal(bytes_of(tag, sizeof(tag)), bytes_of(b->tag, sizeof(b->tag))))
        return err_set(e, E_CORRUPT,
                       "the backup %s was altered after it was made, and is not used; take another"
                       " copy of it",
                       b->name);
    return 0;
}
