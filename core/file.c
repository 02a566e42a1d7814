#include "core/file.h"

#include "core/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Turns the reason of a failed system call into a code and a next step. */
static int fail(struct err *e, int why, const char *what, const char *path)
{
    switch (why) {
    case ENOENT:
    case ENOTDIR:
        return err_set(e, E_NOT_FOUND,
                       "cannot %s %s: there is no such file or directory; check the"
                       " path",
                       what, path);
    case EACCES:
    case EPERM:
    case EROFS:
        return err_set(e, E_DENIED,
                       "cannot %s %s: %s; check the owner and mode of the file and of"
                       " its directory",
                       what, path, strerror(why));
    case ELOOP:
        return err_set(e, E_DENIED,
                       "cannot %s %s: it is a symbolic link; give the path of the file"
                       " itself",
                       what, path);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return err_set(e, E_FULL, "cannot %s %s: %s; make room and try again", what, path,
                       strerror(why));
    case ENOMEM: return err_set(e, E_MEMORY, "cannot %s %s: out of memory", what, path);
    default:
        return err_set(e, E_IO, "cannot %s %s: %s; check the file and its disk", what, path,
                       strerror(why));
    }
}

static ssize_t read_some(int fd, void *p, size_t len)
{
    ssize_t n;

    do {
        n = read(fd, p, len);
    } while (n < 0 && errno == EINTR);
    return n;
}

static int write_all(int fd, struct bytes s)
{
    struct reader r = reader_of(s.p, s.len);

    while (r.left > 0) {
        ssize_t n = write(fd, r.p, r.left);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        (void)reader_take(&r, (size_t)n);
    }
    return 0;
}

int file_read_fd(int fd, const char *name, size_t max, struct buf *out, struct err *e)
{
    struct buf all = {.secret = out->secret};
    uint8_t part[4096];
    ssize_t n = 0;
    int rc = -1;

    while ((n = read_some(fd, part, sizeof(part))) > 0) {
        if ((size_t)n > max - all.len) {
            err_set(e, E_FULL,
                    "%s is longer than the %zu bytes that make sense here; check that it"
                    " is the right file",
                    name, max);
            goto out;
        }
        buf_add(&all, part, (size_t)n);
    }
    if (n < 0) {
        fail(e, errno, "read", name);
        goto out;
    }
    if (buf_ok(&all, e) != 0)
        goto out;
    buf_add_bytes(out, buf_bytes(&all));
    rc = buf_ok(out, e);
out:
    if (all.secret)
        secret_wipe(part, sizeof(part));
    buf_free(&all);
    return rc;
}

int file_read(const char *path, size_t max, struct buf *out, struct err *e)
{
    int fd, rc;

    if (strcmp(path, "-") == 0)
        return file_read_fd(STDIN_FILENO, "standard input", max, out, e);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return fail(e, errno, "read", path);
    rc = file_read_fd(fd, path, max, out, e);
    close(fd);
    return rc;
}

/* Splits a path into its directory (allocated) and the final component. */
static char *directory_of(const char *path, const char **base)
{
    const char *slash = strrchr(path, '/');

    *base = slash != NULL ? slash + 1 : path;
    if (slash == NULL)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* A device or a pipe cannot be replaced by a new file: it is written in place. */
static int write_special(int dir, const char *base, const char *path, struct bytes content,
                         struct err *e)
{
    int fd = openat(dir, base, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY);
    int rc = 0;

    if (fd < 0)
        return fail(e, errno, "write", path);
    if (write_all(fd, content) != 0)
        rc = fail(e, errno, "write", path);
    close(fd);
    return rc;
}

/* Only what differs: giving a file away takes privileges. */
static int set_owner(int fd, const struct file_owner *owner)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return -1;
    if ((st.st_uid != owner->uid || st.st_gid != owner->gid) &&
        fchown(fd, owner->uid, owner->gid) != 0)
        return -1;
    return fchmod(fd, (mode_t)owner->mode);
}

/* Beside the file: by chance, so that writers do not meet; or, for file_replace, a name that is
 * known again when its writer was killed. */
static int temp_name(char out[NAME_MAX + 1], const char *base, bool known)
{
    uint8_t random[16];
    char hex[33];

    if (known) {
        snprintf(out, NAME_MAX + 1, ".%.200s.fusetsu.tmp", base);
        return 0;
    }
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return -1;
    hex_encode(hex, random, sizeof(random));
    snprintf(out, NAME_MAX + 1, ".fusetsu-%s.tmp", hex);
    return 0;
}

/* With `owner` (NULL: none is asked for) the mode holds whatever the umask is. */
static int write_replace(int dir, const char *base, const char *path, struct bytes content,
                         unsigned mode, const struct file_owner *owner, struct err *e)
{
    char temp[NAME_MAX + 1];
    int fd = -1, rc = -1;

    if (temp_name(temp, base, owner != NULL) != 0)
        return fail(e, errno, "name a temporary file for", path);
    if (owner != NULL)
        (void)unlinkat(dir, temp, 0);
    fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
    if (fd < 0)
        return fail(e, errno, "write", path);
    if (write_all(fd, content) != 0 || (owner != NULL && set_owner(fd, owner) != 0) ||
        fsync(fd) != 0) {
        fail(e, errno, "write", path);
        goto out;
    }
    if (close(fd) != 0) {
        fd = -1;
        fail(e, errno, "write", path);
        goto out;
    }
    fd = -1;
    if (renameat(dir, temp, dir, base) != 0) {
        fail(e, errno, "write", path);
        goto out;
    }
    /* Some file systems cannot sync a directory and say EINVAL. */
    if (fsync(dir) != 0 && errno != EINVAL)
        return fail(e, errno, "write the directory of", path);
    return 0;
out:
    if (fd >= 0)
        close(fd);
    unlinkat(dir, temp, 0);
    return rc;
}

/* Where a file is to be written: its directory, and what is there under its name. */
struct target {
    char *name;       /* of the directory */
    const char *base; /* within it */
    int dir;
    mode_t kind; /* S_IFREG when nothing is there yet */
};

static void target_close(struct target *t)
{
    if (t->dir >= 0)
        close(t->dir);
    free(t->name);
}

/* A link or a directory under the name is refused. Close also after failure. */
static int target_open(const char *path, struct target *t, struct err *e)
{
    struct stat st = {.st_mode = S_IFREG};

    *t = (struct target){.dir = -1};
    t->name = directory_of(path, &t->base);
    if (t->name == NULL)
        return err_set(e, E_MEMORY, "out of memory for a path");
    if (*t->base == 0)
        return err_set(e, E_ARG, "cannot write \"%s\": it does not end in a file name; add one",
                       path);
    t->dir = open(t->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->dir < 0)
        return fail(e, errno, "open the directory of", path);
    if (fstatat(t->dir, t->base, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT)
        return fail(e, errno, "write", path);
    if (S_ISLNK(st.st_mode))
        return fail(e, ELOOP, "write", path);
    if (S_ISDIR(st.st_mode))
        return err_set(e, E_EXISTS, "cannot write %s: it is a directory; add a file name", path);
    t->kind = st.st_mode & S_IFMT;
    return 0;
}

int file_write(const char *path, struct bytes content, unsigned mode, struct err *e)
{
    struct target t;
    int rc = -1;

    if (strcmp(path, "-") == 0)
        return write_all(STDOUT_FILENO, content) == 0 ? 0
                                                      : fail(e, errno, "write", "standard output");
    if (target_open(path, &t, e) == 0)
        rc = S_ISREG(t.kind) ? write_replace(t.dir, t.base, path, content, mode, NULL, e)
                             : write_special(t.dir, t.base, path, content, e);
    target_close(&t);
    return rc;
}

int file_replace(int dir, const char *base, const char *path, struct bytes content,
                 const struct file_owner *owner, struct err *e)
{
    /* What holds a directory for looking things up (O_PATH) cannot sync it. */
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

    if (fd < 0)
        return fail(e, errno, "open the directory of", path);
    rc = write_replace(fd, base, path, content, owner->mode & 0700, owner, e);
    close(fd);
    return rc;
}

void file_sweep(int dir, const char *base)
{
    char temp[NAME_MAX + 1];

    if (temp_name(temp, base, true) == 0)
        (void)unlinkat(dir, temp, 0);
}

int file_probe(const char *path, struct err *e)
{
    struct target t;
    int fd = -1, rc = -1;

    if (strcmp(path, "-") == 0)
        return 0;
    if (target_open(path, &t, e) != 0)
        goto out;
    rc = 0;
    if (!S_ISREG(t.kind))
        goto out;
    /* A file without a name leaves nothing behind; not every file system has it. */
    fd = openat(t.dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT) &&
        faccessat(t.dir, ".", W_OK | X_OK, AT_EACCESS) == 0)
        goto out;
    if (fd < 0)
        rc = fail(e, errno, "write", path);
out:
    if (fd >= 0)
        close(fd);
    target_close(&t);
    return rc;
}

int file_mkdirs(const char *dir, struct err *e)
{
    char *path = strdup(dir);
    struct stat st;
    size_t len;
    int rc = -1;

    if (path == NULL)
        return err_set(e, E_MEMORY, "out of memory for a path");
    len = strlen(path);
    /* Each prefix that ends before a slash, then the whole; what is there is left. */
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        path[i] = 0;
        if (stat(path, &st) != 0 && mkdir(path, 0700) != 0 && errno != EEXIST) {
            fail(e, errno, "create the directory", path);
            goto out;
        }
        if (i < len)
            path[i] = '/';
    }
    if (stat(path, &st) != 0) {
        fail(e, errno, "use the directory", path);
        goto out;
    }
    if (!S_ISDIR(st.st_mode)) {
        err_set(e, E_EXISTS,
                "%s is there but is not a directory; move it away or choose another"
                " path",
                path);
        goto out;
    }
    rc = 0;
out:
    free(path);
    return rc;
}

/* Byte by byte: what follows the line stays in the pipe for its next reader. */
int file_read_line_fd(int fd, size_t max, struct secret **out, struct err *e)
{
    struct secret *line = NULL;
    size_t len = 0;
    ssize_t n = 0;
    uint8_t *p;
    int rc = -1;

    if (max > SSIZE_MAX - 2)
        return err_set(e, E_ARG, "a line of %zu bytes cannot be read", max);
    /* One byte more than the line, for its carriage return or to see that it is too long. */
    line = secret_new(max + 1, e);
    if (line == NULL)
        return -1;
    p = secret_data(line);
    while (len < max + 1 && (n = read_some(fd, &p[len], 1)) == 1 && p[len] != '\n')
        len++;
    if (n < 0) {
        err_set(e, E_IO,
                "cannot read a line from file descriptor %d: %s; check that it is open for"
                " reading",
                fd, strerror(errno));
        goto out;
    }
    if (n == 0 && len == 0) {
        err_set(e, E_DATA, "file descriptor %d ended before a line came; write one line to it", fd);
        goto out;
    }
    if (len == max + 1 && p[max] == '\r') {
        uint8_t next = 0;

        n = read_some(fd, &next, 1);
        if (n == 0 || next == '\n')
            len = max;
        secret_wipe(&next, sizeof(next));
    } else if (len > 0 && n == 1 && p[len - 1] == '\r') {
        len--;
    }
    if (len > max) {
        err_set(e, E_DATA, "the line on file descriptor %d is longer than %zu bytes; shorten it",
                fd, max);
        goto out;
    }
    secret_trim(line, len);
    *out = line;
    line = NULL;
    rc = 0;
out:
    secret_free(line);
    return rc;
}
