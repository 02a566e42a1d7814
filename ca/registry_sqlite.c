#include "ca/registry_db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION_ID 0x46537263 /* "FSrc": marks the file as an authority's registry */
#define BUSY_MS 5000

/* No table knows more of the world than it needs: dates are seconds, names are text,
 * everything else is bytes. `one` keeps the authority a single row. */
static const char schema[] =
    "CREATE TABLE authority ("
    " one INTEGER PRIMARY KEY CHECK (one = 1),"
    " nation TEXT NOT NULL, org TEXT NOT NULL, domain TEXT NOT NULL, arc TEXT NOT NULL) STRICT;"
    "CREATE TABLE ca ("
    " role INTEGER NOT NULL, community INTEGER NOT NULL,"
    " token TEXT NOT NULL, key_id BLOB NOT NULL, cert BLOB NOT NULL,"
    " PRIMARY KEY (role, community)) STRICT;"
    "CREATE TABLE invitation ("
    " id INTEGER PRIMARY KEY, nonce BLOB NOT NULL UNIQUE, subject TEXT NOT NULL,"
    " community INTEGER NOT NULL, level INTEGER NOT NULL, ek_hash BLOB,"
    " created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,"
    " consumed_at INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE INDEX invitation_open ON invitation (consumed_at, subject);"
    "CREATE TABLE issued ("
    " id INTEGER PRIMARY KEY, role INTEGER NOT NULL, community INTEGER NOT NULL,"
    " serial TEXT NOT NULL, subject TEXT NOT NULL, spki_hash BLOB NOT NULL,"
    " ek_hash BLOB, evidence_hash BLOB, evidence BLOB, der BLOB NOT NULL,"
    " issued_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,"
    " UNIQUE (role, serial)) STRICT;"
    "CREATE INDEX issued_ek ON issued (ek_hash);";

/* Version 2. An authority that was made before goes on issuing to any TPM of a pinned maker,
 * until its officers register devices (`registration` = 1). */
static const char devices[] =
    "ALTER TABLE authority ADD COLUMN registration INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE device ("
    " id INTEGER PRIMARY KEY, state INTEGER NOT NULL, operator TEXT NOT NULL,"
    " officer TEXT NOT NULL, note TEXT NOT NULL,"
    " manufacturer TEXT NOT NULL, model TEXT NOT NULL, version TEXT NOT NULL,"
    " created_at INTEGER NOT NULL, changed_at INTEGER NOT NULL,"
    " resets INTEGER NOT NULL DEFAULT 0, restarts INTEGER NOT NULL DEFAULT 0,"
    " clock INTEGER NOT NULL DEFAULT 0, read_at INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE TABLE device_ek ("
    " ek_hash BLOB PRIMARY KEY, device INTEGER NOT NULL REFERENCES device (id)) STRICT;"
    "CREATE TABLE device_name ("
    " device INTEGER NOT NULL REFERENCES device (id), subject TEXT NOT NULL,"
    " community INTEGER NOT NULL, PRIMARY KEY (device, subject, community)) STRICT;";

/* Version 3. A certificate without a row in `status` is good; `state` is an enum registry_state.
 * `change` counts all changes of all certificates: a delta CRL has what is above the count of
 * its base, whatever the clock did meanwhile. */
static const char revocation[] =
    "CREATE TABLE status ("
    " issued INTEGER PRIMARY KEY REFERENCES issued (id), state INTEGER NOT NULL,"
    " reason INTEGER NOT NULL, since INTEGER NOT NULL, invalid_at INTEGER NOT NULL DEFAULT 0,"
    " change INTEGER NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX status_change ON status (change);"
    "CREATE INDEX issued_serial ON issued (serial);"
    "CREATE INDEX issued_subject ON issued (subject COLLATE NOCASE);"
    "CREATE INDEX issued_spki ON issued (spki_hash);"
    "CREATE TABLE crl ("
    " role INTEGER NOT NULL, community INTEGER NOT NULL, number INTEGER NOT NULL,"
    " base INTEGER NOT NULL, change INTEGER NOT NULL,"
    " this_update INTEGER NOT NULL, next_update INTEGER NOT NULL,"
    " PRIMARY KEY (role, community, number)) STRICT;"
    "CREATE TABLE publication ("
    " one INTEGER PRIMARY KEY CHECK (one = 1),"
    " crl_url TEXT NOT NULL, ocsp_url TEXT NOT NULL) STRICT;"
    "CREATE TABLE responder ("
    " role INTEGER NOT NULL, community INTEGER NOT NULL,"
    " token TEXT NOT NULL, key_id BLOB NOT NULL, cert BLOB NOT NULL,"
    " PRIMARY KEY (role, community)) STRICT;";

/* Version 4. What became of a nonce that was taken: `request_hash` is the SHA-256 of the request
 * that took it, and then at most one of `issued` and `refused_at` is set; neither: whoever took it
 * did not end. `sealed_hash` is the SHA-256 of what was handed out last. */
static const char answers[] =
    "ALTER TABLE invitation ADD COLUMN request_hash BLOB;"
    "ALTER TABLE invitation ADD COLUMN issued INTEGER REFERENCES issued (id);"
    "ALTER TABLE invitation ADD COLUMN refused_at INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE invitation ADD COLUMN sealed_hash BLOB;"
    "CREATE INDEX invitation_request ON invitation (request_hash) "
    "WHERE request_hash IS NOT NULL;"
    "CREATE INDEX invitation_subject ON invitation (subject);";

/* Version 5. What an authority grants beside a name, a community and a level. Before, all was
 * for gateways. */
static const char grants[] =
    "ALTER TABLE invitation ADD COLUMN profile TEXT NOT NULL DEFAULT 'gateway';"
    "ALTER TABLE invitation ADD COLUMN clearance INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE invitation ADD COLUMN person TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE issued ADD COLUMN profile TEXT NOT NULL DEFAULT 'gateway';"
    "ALTER TABLE issued ADD COLUMN clearance INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE issued ADD COLUMN person TEXT NOT NULL DEFAULT '';"
    "CREATE TABLE clearance_system ("
    " one INTEGER PRIMARY KEY CHECK (one = 1), policy TEXT NOT NULL) STRICT;"
    "CREATE TABLE clearance_class (bit INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;";

/* Version 6. Keys that certify for SSH, and which of their certificates stands on which of ours. */
static const char ssh[] =
    "CREATE TABLE ssh_ca ("
    " community INTEGER PRIMARY KEY, token TEXT NOT NULL, key_id BLOB NOT NULL,"
    " spki BLOB NOT NULL) STRICT;"
    "CREATE TABLE ssh_cert ("
    " serial INTEGER PRIMARY KEY, community INTEGER NOT NULL,"
    " issued INTEGER NOT NULL REFERENCES issued (id), expires_at INTEGER NOT NULL) STRICT;";

/* Version 7. What was issued last (ca/registry_clock.h) is found without reading everything. */
static const char dates[] = "CREATE INDEX issued_date ON issued (issued_at);";

/* Version 8. Why a request was refused, in one sentence: whoever was to write it down may be killed.
 * What was handed out before the last is as good as that: there are several directories. Version 5
 * called everything a gateway's, CAs, attestation keys and responders, too. */
static const char reasons[] =
    "ALTER TABLE invitation ADD COLUMN refusal TEXT NOT NULL DEFAULT '';"
    "CREATE TABLE sealed ("
    " invitation INTEGER NOT NULL REFERENCES invitation (id), hash BLOB NOT NULL,"
    " PRIMARY KEY (invitation, hash)) STRICT;"
    /* 3 is REGISTRY_ISSUING. */
    "UPDATE issued SET profile = '' WHERE role < 3 OR evidence_hash IS NULL;";

/* Step i makes version i + 1 of version i. */
static const char *const steps[] = {schema, devices, revocation, answers,
                                    grants, ssh,     dates,      reasons};
#define SCHEMA_VERSION ((int64_t)ARRAY_LEN(steps))

/* --- errors -------------------------------------------------------------- */

int registry_db_fail(struct registry *r, int sqlite_rc, struct err *e)
{
    const char *why = r->db != NULL ? sqlite3_errmsg(r->db) : sqlite3_errstr(sqlite_rc);

    switch (sqlite_rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(e, E_BUSY,
                       "another process has kept the registry %s locked for %d seconds; try again",
                       r->path, BUSY_MS / 1000);
    case SQLITE_READONLY:
        if (sqlite_rc == SQLITE_READONLY_ROLLBACK)
            return err_set(e, E_BUSY,
                           "a process was killed while it changed the registry %s, and who only "
                           "reads cannot undo that; run a command that changes it as its owner, "
                           "such as `fusetsu ca crl`",
                           r->path);
        /* fall through */
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return err_set(e, E_DENIED,
                       "the registry %s cannot be written; check its owner and mode, and those of "
                       "its directory",
                       r->path);
    case SQLITE_CANTOPEN:
        return err_set(e, E_DENIED,
                       "the registry %s cannot be opened (%s); check the path and its permissions",
                       r->path, why);
    case SQLITE_FULL:
        return err_set(e, E_FULL, "the disk of the registry %s is full; make room and try again",
                       r->path);
    case SQLITE_NOTADB:
        return err_set(e, E_FORMAT, "%s is not a registry; name the directory that `ca init` made",
                       r->path);
    case SQLITE_CORRUPT:
        return err_set(e, E_CORRUPT, "the registry %s is damaged (%s); restore it from a backup",
                       r->path, why);
    case SQLITE_NOMEM:
        return err_set(e, E_MEMORY, "out of memory while using the registry %s", r->path);
    case SQLITE_CONSTRAINT:
        if (sqlite_rc == SQLITE_CONSTRAINT_UNIQUE || sqlite_rc == SQLITE_CONSTRAINT_PRIMARYKEY)
            return err_set(e, E_EXISTS, "the registry %s holds that entry already", r->path);
        return err_set(e, E_CORRUPT, "the registry %s refused an entry (%s)", r->path, why);
    default:
        return err_set(e, E_IO, "the registry %s failed (%s); check the disk and try again",
                       r->path, why);
    }
}

/* --- statements ---------------------------------------------------------- */

static int bind(sqlite3_stmt *st, const char *types, va_list ap)
{
    struct bytes b;
    int rc = SQLITE_OK;

    for (int i = 0; types[i] != 0 && rc == SQLITE_OK; i++) {
        switch (types[i]) {
        case 'i': rc = sqlite3_bind_int64(st, i + 1, va_arg(ap, int64_t)); break;
        case 't':
            rc = sqlite3_bind_text(st, i + 1, va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
            break;
        case 'b':
        case 'o':
            b = va_arg(ap, struct bytes);
            /* A NULL pointer would bind NULL, not an empty blob. */
            if (types[i] == 'o' && b.len == 0)
                rc = sqlite3_bind_null(st, i + 1);
            else
                rc = sqlite3_bind_blob64(st, i + 1, b.p != NULL ? (const void *)b.p : "", b.len,
                                         SQLITE_TRANSIENT);
            break;
        default: rc = SQLITE_MISUSE; break;
        }
    }
    return rc;
}

static int prepare(struct registry *r, sqlite3_stmt **out, struct err *e, const char *sql,
                   const char *types, va_list ap)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(r->db, sql, -1, &st, NULL);

    if (rc == SQLITE_OK)
        rc = bind(st, types, ap);
    if (rc != SQLITE_OK) {
        registry_db_fail(r, rc, e);
        sqlite3_finalize(st);
        return -1;
    }
    *out = st;
    return 0;
}

int registry_db_prepare(struct registry *r, sqlite3_stmt **out, struct err *e, const char *sql,
                        const char *types, ...)
{
    va_list ap;
    int rc;

    va_start(ap, types);
    rc = prepare(r, out, e, sql, types, ap);
    va_end(ap);
    return rc;
}

int registry_db_step(struct registry *r, sqlite3_stmt *st, struct err *e)
{
    int rc = sqlite3_step(st);

    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE)
        return 0;
    return registry_db_fail(r, rc, e);
}

int registry_db_run(struct registry *r, struct err *e, const char *sql, const char *types, ...)
{
    sqlite3_stmt *st = NULL;
    va_list ap;
    int rc;

    va_start(ap, types);
    rc = prepare(r, &st, e, sql, types, ap);
    va_end(ap);
    if (rc == 0 && registry_db_step(r, st, e) < 0)
        rc = -1;
    sqlite3_finalize(st);
    return rc;
}

struct bytes registry_db_blob(sqlite3_stmt *st, int column)
{
    const void *p = sqlite3_column_blob(st, column);

    return bytes_of(p, p != NULL ? (size_t)sqlite3_column_bytes(st, column) : 0);
}

static int bad_column(struct registry *r, sqlite3_stmt *st, int column, struct err *e)
{
    return err_set(e, E_CORRUPT, "the registry %s has a damaged \"%s\"; restore it from a backup",
                   r->path, sqlite3_column_name(st, column));
}

int registry_db_small(struct registry *r, sqlite3_stmt *st, int column, unsigned max, unsigned *out,
                      struct err *e)
{
    int64_t v = sqlite3_column_int64(st, column);

    if (v < 0 || v > (int64_t)max)
        return bad_column(r, st, column, e);
    *out = (unsigned)v;
    return 0;
}

int registry_db_text(struct registry *r, sqlite3_stmt *st, int column, char *out, size_t size,
                     struct err *e)
{
    const unsigned char *p = sqlite3_column_text(st, column);
    size_t len = p != NULL ? (size_t)sqlite3_column_bytes(st, column) : 0;

    if (p == NULL || len >= size || strlen((const char *)p) != len)
        return bad_column(r, st, column, e);
    memcpy(out, p, len + 1);
    return 0;
}

int registry_db_fixed(struct registry *r, sqlite3_stmt *st, int column, uint8_t *out, size_t len,
                      struct err *e)
{
    struct bytes b = registry_db_blob(st, column);

    if (b.len != len)
        return bad_column(r, st, column, e);
    memcpy(out, b.p, len);
    return 0;
}

int registry_db_key(struct registry *r, sqlite3_stmt *st, int first, struct registry_key *key,
                    struct buf *cert_der, struct err *e)
{
    struct registry_key got = {0};
    struct bytes id = registry_db_blob(st, first + 1);

    if (registry_db_text(r, st, first, got.token, sizeof(got.token), e) != 0)
        return -1;
    if (id.len > sizeof(got.id))
        return bad_column(r, st, first + 1, e);
    got.id_len = id.len;
    if (id.len != 0)
        memcpy(got.id, id.p, id.len);
    buf_add_bytes(cert_der, registry_db_blob(st, first + 2));
    if (buf_ok(cert_der, e) != 0)
        return -1;
    if (key != NULL)
        *key = got;
    return 0;
}

int registry_db_grant(struct registry *r, sqlite3_stmt *st, int first, struct registry_grant *out,
                      struct err *e)
{
    struct registry_grant g = {.clearance = 0};

    if (registry_db_text(r, st, first, g.profile, sizeof(g.profile), e) != 0 ||
        registry_db_small(r, st, first + 1, (1u << FEDERATION_CLASSES) - 1, &g.clearance, e) != 0 ||
        registry_db_text(r, st, first + 2, g.person, sizeof(g.person), e) != 0)
        return -1;
    *out = g;
    return 0;
}

/* --- opening ------------------------------------------------------------- */

static int exec(struct registry *r, const char *sql, struct err *e)
{
    int rc = sqlite3_exec(r->db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : registry_db_fail(r, rc, e);
}

static int pragma_int(struct registry *r, const char *sql, int64_t *out, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = -1;

    if (registry_db_prepare(r, &st, e, sql, "") == 0 && registry_db_step(r, st, e) == 1) {
        *out = sqlite3_column_int64(st, 0);
        rc = 0;
    }
    sqlite3_finalize(st);
    return rc;
}

/* The file itself is ours to make, so that its mode never is anything but 0600. */
static int make_file(const char *path, struct err *e)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0 && errno == EEXIST)
        return err_set(e, E_EXISTS, "%s exists already; choose another directory, or move it away",
                       path);
    if (fd < 0)
        return err_set(e, errno == EACCES || errno == EROFS ? E_DENIED : E_IO,
                       "cannot make the registry %s (%s); check the directory and its permissions",
                       path, strerror(errno));
    close(fd);
    return 0;
}

static int look_at_file(const char *path, struct err *e)
{
    struct stat st;

    if (lstat(path, &st) != 0)
        return err_set(e, errno == EACCES ? E_DENIED : E_NOT_FOUND,
                       "there is no registry %s (%s); make an authority with `fusetsu ca init`",
                       path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(e, E_DENIED,
                       "%s is not a plain file; a registry is never opened through a "
                       "link or a device",
                       path);
    if (st.st_uid != geteuid() && geteuid() != 0)
        return err_set(e, E_DENIED, "the registry %s belongs to another user; run as its owner",
                       path);
    if ((st.st_mode & 022) != 0)
        return err_set(e, E_DENIED,
                       "the registry %s can be written by others; set its mode to 0600", path);
    return 0;
}

/* The steps that are missing, in one transaction, so that a version is whole or not there. The
 * version is read inside it: somebody else may be doing the same. */
static int make_schema(struct registry *r, struct err *e)
{
    char mark[100];
    int64_t version = 0;

    sqlite3_snprintf(sizeof(mark), mark, "PRAGMA application_id=%d; PRAGMA user_version=%d;",
                     APPLICATION_ID, (int)SCHEMA_VERSION);
    if (exec(r, "BEGIN IMMEDIATE", e) != 0)
        return -1;
    if (pragma_int(r, "PRAGMA user_version", &version, e) != 0 || version < 0)
        goto undo;
    for (; version < SCHEMA_VERSION; version++) {
        if (exec(r, steps[version], e) != 0)
            goto undo;
    }
    if (version == SCHEMA_VERSION && exec(r, mark, e) != 0)
        goto undo;
    if (exec(r, "COMMIT", e) == 0)
        return 0;
undo:
    sqlite3_exec(r->db, "ROLLBACK", NULL, NULL, NULL);
    return -1;
}

static int check_schema(struct registry *r, enum registry_mode mode, struct err *e)
{
    int64_t id = 0, version = 0;

    if (pragma_int(r, "PRAGMA application_id", &id, e) != 0 ||
        pragma_int(r, "PRAGMA user_version", &version, e) != 0)
        return -1;
    if (id != APPLICATION_ID)
        return err_set(e, E_FORMAT,
                       "%s is a database of something else; name the directory that `ca init` made",
                       r->path);
    if (version > SCHEMA_VERSION)
        return err_set(
            e, E_VERSION,
            "the registry %s was written by a newer fusetsu (version %lld); use that one", r->path,
            (long long)version);
    if (version < 1)
        return err_set(e, E_CORRUPT, "the registry %s is incomplete; restore it from a backup",
                       r->path);
    if (version == SCHEMA_VERSION)
        return 0;
    if (mode == REGISTRY_READ)
        return err_set(e, E_VERSION,
                       "the registry %s is of an older version; any command that changes it, such "
                       "as `fusetsu ca invite`, brings it up to date",
                       r->path);
    return make_schema(r, e);
}

/*
 * Who was killed in a commit leaves a journal, which whoever opens the file next plays back, if he may
 * write. A reader does it by a second handle; if that fails, what he reads next says why.
 */
static void undo_killed(struct registry *r)
{
    static const char look[] = "SELECT 1 FROM sqlite_schema LIMIT 1";
    sqlite3 *writer = NULL;

    if (sqlite3_exec(r->db, look, NULL, NULL, NULL) != SQLITE_READONLY_ROLLBACK)
        return;
    if (sqlite3_open_v2(r->path, &writer, SQLITE_OPEN_READWRITE | SQLITE_OPEN_PRIVATECACHE, NULL) ==
        SQLITE_OK) {
        sqlite3_busy_timeout(writer, BUSY_MS);
        sqlite3_exec(writer, look, NULL, NULL, NULL);
    }
    sqlite3_close(writer);
}

int registry_open(struct registry **out, const char *path, enum registry_mode mode, struct err *e)
{
    int flags = mode == REGISTRY_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    struct registry *r = NULL;
    int rc;

    if (mode == REGISTRY_CREATE ? make_file(path, e) != 0 : look_at_file(path, e) != 0)
        return -1;
    r = calloc(1, sizeof(*r));
    if (r == NULL || (r->path = strdup(path)) == NULL) {
        err_set(e, E_MEMORY, "out of memory while opening the registry %s", path);
        goto bad;
    }
    rc = sqlite3_open_v2(path, &r->db, flags | SQLITE_OPEN_PRIVATECACHE, NULL);
    if (rc != SQLITE_OK) {
        registry_db_fail(r, rc, e);
        goto bad;
    }
    sqlite3_extended_result_codes(r->db, 1);
    sqlite3_busy_timeout(r->db, BUSY_MS);
    if (mode == REGISTRY_READ)
        undo_killed(r);
    /* EXTRA: what is committed stays even if the power fails at once. With FULL the journal's
     * removal need not have reached the disk, and a certificate whose file was written (and
     * synced) after it could be undone, and issued a second time. */
    if (exec(r, "PRAGMA trusted_schema=OFF; PRAGMA foreign_keys=ON; PRAGMA cell_size_check=ON;",
             e) != 0 ||
        (mode != REGISTRY_READ &&
         exec(r, "PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA;", e) != 0) ||
        (mode == REGISTRY_CREATE && make_schema(r, e) != 0) || check_schema(r, mode, e) != 0)
        goto bad;
    *out = r;
    return 0;
bad:
    registry_close(r);
    if (mode == REGISTRY_CREATE)
        unlink(path);
    return -1;
}

void registry_close(struct registry *r)
{
    if (r == NULL)
        return;
    registry_rollback(r);
    sqlite3_close(r->db);
    free(r->path);
    free(r);
}

int registry_begin(struct registry *r, struct err *e)
{
    if (r->open_tx)
        return err_set(e, E_ARG, "the registry %s has a transaction under way already", r->path);
    if (exec(r, "BEGIN IMMEDIATE", e) != 0)
        return -1;
    r->open_tx = true;
    return 0;
}

int registry_commit(struct registry *r, struct err *e)
{
    if (!r->open_tx)
        return err_set(e, E_ARG, "the registry %s has no transaction under way", r->path);
    if (exec(r, "COMMIT", e) != 0) {
        registry_rollback(r);
        return -1;
    }
    r->open_tx = false;
    return 0;
}

void registry_rollback(struct registry *r)
{
    if (!r->open_tx)
        return;
    sqlite3_exec(r->db, "ROLLBACK", NULL, NULL, NULL);
    r->open_tx = false;
}
