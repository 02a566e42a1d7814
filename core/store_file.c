#include "core/store_db.h"

#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* --- the file ------------------------------------------------------------ */

/* The directory resolved (it may contain symbolic links) and the final
 * component as it is: SQLITE_OPEN_NOFOLLOW refuses links anywhere in the path. */
static char *resolve(const char *path, enum store_mode mode, char **dir, struct err *e)
{
    const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
    char *name = slash == NULL   ? strdup(".")
                 : slash == path ? strdup("/")
                                 : strndup(path, (size_t)(slash - path));
    struct buf full = {0};
    char *out = NULL;

    if (name == NULL) {
        err_set(e, E_MEMORY, "out of memory for a path");
        goto out;
    }
    if (*base == 0 || strcmp(base, ".") == 0 || strcmp(base, "..") == 0) {
        err_set(e, E_ARG,
                "the token store path \"%s\" does not end in a file name; add one, e.g."
                " store.db",
                path);
        goto out;
    }
    if (mode == STORE_CREATE && file_mkdirs(name, e) != 0) {
        err_prefix(e, "no place for the token store");
        goto out;
    }
    *dir = realpath(name, NULL);
    if (*dir == NULL) {
        err_set(e, errno == EACCES ? E_DENIED : E_NOT_FOUND,
                "the directory of the token store %s cannot be used: %s; check the path, or make a"
                " token there first",
                path, strerror(errno));
        goto out;
    }
    buf_printf(&full, "%s/%s", strcmp(*dir, "/") == 0 ? "" : *dir, base);
    if (buf_ok(&full, e) == 0 && buf_cstr(&full) != NULL)
        out = strdup((const char *)full.p);
    if (out == NULL)
        err_set(e, E_MEMORY, "out of memory for a path");
out:
    buf_free(&full);
    free(name);
    return out;
}

/* SQLite writes its journal into the directory, and believes a journal that it
 * finds there. */
static int check_directory(const char *path, const char *dir, struct err *e)
{
    struct stat st;

    if (stat(dir, &st) != 0)
        return err_set(e, E_IO,
                       "cannot look at the directory of the token store %s: %s; check its"
                       " disk",
                       path, strerror(errno));
    if ((st.st_mode & S_IWOTH) != 0)
        return err_set(e, E_DENIED,
                       "the token store %s lies in a directory that everybody can"
                       " write: move it to one of its own (mode 0700)",
                       path);
    if (eaccess(dir, W_OK | X_OK) != 0)
        return err_set(e, E_DENIED,
                       "the token store %s cannot be written: its directory refuses"
                       " (%s); change the directory's owner or mode, or choose another path",
                       path, strerror(errno));
    return 0;
}

static int check_others(const char *path, const struct stat *st, struct err *e)
{
    if ((st->st_mode & (S_IWGRP | S_IWOTH)) == 0)
        return 0;
    return err_set(e, E_DENIED,
                   "the token store %s can be written by other users: it is not"
                   " used; see who changed it, then run chmod 600 on it",
                   path);
}

static int check_file(const char *path, const struct stat *st, enum store_mode mode, struct err *e)
{
    if (S_ISLNK(st->st_mode))
        return err_set(e, E_DENIED,
                       "the token store %s is a symbolic link, which is not followed;"
                       " give the path of the file itself",
                       path);
    if (!S_ISREG(st->st_mode))
        return err_set(e, E_FORMAT,
                       "the token store path %s is not a regular file; choose another"
                       " path",
                       path);
    if (mode == STORE_READ)
        return 0;
    if (st->st_uid != geteuid())
        return err_set(e, E_DENIED,
                       "the token store %s belongs to user %u and you are user %u: it"
                       " is not written; run as its owner, or change the owner",
                       path, (unsigned)st->st_uid, (unsigned)geteuid());
    return check_others(path, st, e);
}

/* Looks at the file before SQLite does, and makes it when asked to. Only lstat
 * and mknod: a descriptor of our own, when closed, would drop the locks of other
 * connections of this process (fcntl(2), "lost locks"). mknod is exclusive, and
 * never follows a link. */
static int prepare_file(const char *path, const char *full, const char *dir, enum store_mode mode,
                        struct err *e)
{
    struct stat st;
    bool there = lstat(full, &st) == 0;

    if (!there && errno != ENOENT)
        return err_set(e, errno == EACCES ? E_DENIED : E_IO,
                       "cannot look at the token store %s: %s; check the mode of its directory",
                       path, strerror(errno));
    if (!there && mode != STORE_CREATE)
        return err_set(e, E_NOT_FOUND,
                       "there is no token store at %s; make a token first, or check"
                       " the path",
                       path);
    if (there && check_file(path, &st, mode, e) != 0)
        return -1;
    if (mode != STORE_READ && check_directory(path, dir, e) != 0)
        return -1;
    if (there)
        return 0;
    if (mknod(full, S_IFREG | 0600, 0) != 0 && errno != EEXIST)
        return err_set(e, errno == ENOSPC || errno == EDQUOT ? E_FULL : E_DENIED,
                       "cannot create the token store %s: %s; check its directory and disk", path,
                       strerror(errno));
    if (lstat(full, &st) != 0)
        return err_set(e, E_IO, "the token store %s vanished while it was being made; try again",
                       path);
    return check_file(path, &st, mode, e);
}

int store_guarded(const struct store *s, struct err *e)
{
    char *dir = NULL, *full = resolve(s->path, STORE_READ, &dir, e);
    struct stat st;
    int rc = -1;

    if (full == NULL)
        goto out;
    if (lstat(full, &st) != 0)
        err_set(e, E_IO, "cannot look at the token store %s: %s", s->path, strerror(errno));
    else if (st.st_uid != geteuid() && st.st_uid != 0)
        err_set(e, E_DENIED,
                "the token store %s belongs to user %u, who is neither you nor root: it is not"
                " used; change the owner",
                s->path, (unsigned)st.st_uid);
    else
        rc = check_others(s->path, &st, e);
out:
    free(full);
    free(dir);
    return rc;
}

/* --- the connection ------------------------------------------------------ */

/* What a forged file could do is switched off: triggers, views, functions in
 * the schema, long values, attached files. No statement here touches the file. */
static int configure(struct store *s, struct err *e)
{
    static const int off[] = {SQLITE_DBCONFIG_ENABLE_TRIGGER, SQLITE_DBCONFIG_ENABLE_VIEW,
                              SQLITE_DBCONFIG_TRUSTED_SCHEMA, SQLITE_DBCONFIG_DQS_DDL,
                              SQLITE_DBCONFIG_DQS_DML};
    static const int on[] = {SQLITE_DBCONFIG_DEFENSIVE, SQLITE_DBCONFIG_ENABLE_FKEY};
    int rc = SQLITE_OK;

    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, 5000);
    sqlite3_limit(s->db, SQLITE_LIMIT_LENGTH, (int)BUF_MAX);
    sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, 0);
    for (size_t i = 0; rc == SQLITE_OK && i < ARRAY_LEN(off); i++)
        rc = sqlite3_db_config(s->db, off[i], 0, NULL);
    for (size_t i = 0; rc == SQLITE_OK && i < ARRAY_LEN(on); i++)
        rc = sqlite3_db_config(s->db, on[i], 1, NULL);
    if (rc != SQLITE_OK)
        return store_db_fail(s, rc, "set up", e);
    return store_db_exec(s,
                         "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;"
                         "PRAGMA cell_size_check=ON; PRAGMA synchronous=FULL;"
                         "PRAGMA secure_delete=ON; PRAGMA temp_store=MEMORY;"
                         /* KiB: a sweep over the file shall not fill the memory. */
                         "PRAGMA cache_size=-600;",
                         e);
}

/* Opens what is there and leaves it untouched when it is not a store of ours. */
static int connect_file(struct store *s, const char *full, struct err *e)
{
    int flags = s->mode == STORE_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    bool empty = false;
    int rc;

    rc = sqlite3_open_v2(
        full, &s->db,
        flags | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_FULLMUTEX, NULL);
    if (rc != SQLITE_OK)
        return store_db_fail(s, rc, "open", e);
    /* SQLite falls back to reading when the file does not open for writing. */
    if (s->mode != STORE_READ && sqlite3_db_readonly(s->db, "main") != 0)
        return store_db_fail(s, SQLITE_READONLY, "open", e);
    if (store_schema_header(s, &empty, e) != 0 || configure(s, e) != 0)
        return -1;
    if (s->mode != STORE_READ && store_db_exec(s, "PRAGMA journal_mode=DELETE", e) != 0)
        return -1;
    return store_schema_apply(s, e);
}

static void disconnect(struct store *s)
{
    /* In a child after fork even closing would write to the parent's journal. */
    if (s->pid == getpid()) {
        for (size_t i = 0; i < STORE_KEPT_COUNT; i++)
            sqlite3_finalize(s->kept[i]);
        sqlite3_close(s->db);
    }
    memset(s->kept, 0, sizeof(s->kept));
    s->db = NULL;
}

/* A reader cannot undo a write that was cut short; opening for writing does, if
 * we may. True when it is worth to try again. */
static bool recover(struct store *s, const char *full, const char *dir)
{
    struct store w = {.path = s->path, .mode = STORE_WRITE, .pid = s->pid};
    bool done = prepare_file(s->path, full, dir, STORE_WRITE, NULL) == 0 &&
                connect_file(&w, full, NULL) == 0;

    disconnect(&w);
    return done;
}

int store_open(struct store **out, const char *path, enum store_mode mode, struct err *e)
{
    struct store *s = calloc(1, sizeof(*s));
    struct err why = {0};
    char *full = NULL, *dir = NULL;
    int rc = -1;

    if (s == NULL || (s->path = strdup(path)) == NULL) {
        err_set(e, E_MEMORY, "out of memory for the token store");
        goto out;
    }
    s->mode = mode;
    s->pid = getpid();
    full = resolve(path, mode, &dir, e);
    if (full == NULL || prepare_file(path, full, dir, mode, e) != 0)
        goto out;
    if (connect_file(s, full, &why) != 0) {
        bool cut_short = mode == STORE_READ && s->db != NULL &&
                         sqlite3_extended_errcode(s->db) == SQLITE_READONLY_ROLLBACK;

        disconnect(s);
        if (cut_short && recover(s, full, dir))
            err_clear(&why);
        if (why.code != E_OK || connect_file(s, full, &why) != 0) {
            err_set(e, why.code, "%s", why.msg);
            goto out;
        }
    }
    *out = s;
    s = NULL;
    rc = 0;
out:
    store_close(s);
    free(full);
    free(dir);
    return rc;
}

int store_memory(struct store **out, const char *name, struct err *e)
{
    struct store *s = calloc(1, sizeof(*s));
    int rc;

    if (s == NULL || (s->path = strdup(name)) == NULL) {
        store_close(s);
        return err_set(e, E_MEMORY, "out of memory for a token store");
    }
    s->mode = STORE_CREATE;
    s->memory = true;
    s->pid = getpid();
    rc = sqlite3_open_v2(":memory:", &s->db,
                         SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY |
                             SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_FULLMUTEX,
                         NULL);
    if (rc != SQLITE_OK)
        store_db_fail(s, rc, "make", e);
    if (rc != SQLITE_OK || configure(s, e) != 0 || store_schema_apply(s, e) != 0) {
        store_close(s);
        return -1;
    }
    *out = s;
    return 0;
}

/* Waits for others: a provisioning takes about a second, with slow chips some. */
#define HOLD_TRIES 600
#define HOLD_PAUSE_NS 50000000L

int store_hold(struct store *s, struct err *e)
{
    struct timespec pause = {0, HOLD_PAUSE_NS};
    char *name = NULL;
    int fd = -1, rc = -1;

    if (s->memory)
        return 0;
    name = strdup(s->path);
    if (name == NULL)
        return err_set(e, E_MEMORY, "out of memory for a path");
    fd = open(dirname(name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        err_set(e, E_IO, "cannot open the directory of the token store %s: %s", s->path,
                strerror(errno));
        goto out;
    }
    for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            err_set(e, E_IO, "cannot lock the directory of the token store %s: %s", s->path,
                    strerror(errno));
            goto out;
        }
        if (i >= HOLD_TRIES) {
            err_set(e, E_BUSY,
                    "another process is making or erasing a token of the store %s; try again when"
                    " it is done",
                    s->path);
            goto out;
        }
        nanosleep(&pause, NULL);
    }
    s->hold = fd;
    fd = -1;
    rc = 0;
out:
    if (fd >= 0)
        close(fd);
    free(name);
    return rc;
}

void store_release(struct store *s)
{
    if (s->hold > 0)
        close(s->hold);
    s->hold = 0;
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    store_release(s);
    disconnect(s);
    free(s->path);
    free(s);
}

const char *store_path(const struct store *s)
{
    return s->path;
}

bool store_changed(struct store *s)
{
    sqlite3_stmt *st = NULL;
    int64_t v = 0;
    bool changed, known;

    known = store_db_kept(s, STORE_KEPT_VERSION, &st, "PRAGMA data_version", NULL, 0, NULL) == 0 &&
            store_db_next(s, st, NULL) == 1;
    if (known)
        v = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    if (!known)
        return true;
    changed = !s->seen_version || v != s->data_version;
    s->seen_version = true;
    s->data_version = v;
    return changed;
}
