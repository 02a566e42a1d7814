#include "core/descent.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as the kernel has it */

struct walk {
    const char *path; /* for errors */
    bool guarded;
    uid_t top; /* whose / is */
    int dir;
    char *todo; /* below dir, allocated */
    unsigned links;
};

static int fail(struct err *e, int why, const char *path)
{
    switch (why) {
    case ENOTDIR:
        return err_set(e, E_EXISTS,
                       "%s cannot be: something above it is not a directory; check the path", path);
    case ELOOP: return err_set(e, E_DENIED, "%s: too many symbolic links; check the path", path);
    case ENOMEM: return err_set(e, E_MEMORY, "out of memory for a path");
    default:
        return err_set(e, E_DENIED, "cannot look at %s: %s; become the user whose file it is", path,
                       strerror(why));
    }
}

/* A group with the number of the owner is the owner's own (pam_umask(8), usergroups). */
static bool others_write(const struct stat *st)
{
    return (st->st_mode & S_IWOTH) != 0 ||
           ((st->st_mode & S_IWGRP) != 0 && st->st_gid != st->st_uid);
}

static int check(const struct walk *w, const struct stat *st, const char *name, struct err *e)
{
    if (!w->guarded)
        return 0;
    if (st->st_uid != 0 && st->st_uid != geteuid() && st->st_uid != w->top)
        return err_set(e, E_DENIED,
                       "%s is not touched: %s above it belongs to user %u, who could put another "
                       "one there; do it as that user, or elsewhere",
                       w->path, name, (unsigned)st->st_uid);
    if (S_ISDIR(st->st_mode) && others_write(st) && (st->st_mode & S_ISVTX) == 0)
        return err_set(e, E_DENIED,
                       "%s is not touched: the directory %s above it can be written by other "
                       "users; run chmod go-w on that, or do it elsewhere",
                       w->path, name);
    return 0;
}

/* Goes into a directory, which must not be a link. */
static int enter(struct walk *w, const char *name, struct err *e)
{
    int fd = openat(w->dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0) {
        int why = errno;

        if (fd >= 0)
            close(fd);
        return fail(e, why, w->path);
    }
    if (w->dir >= 0)
        close(w->dir);
    else
        w->top = st.st_uid;
    w->dir = fd;
    return check(w, &st, name, e);
}

static int enter_top(struct walk *w, struct err *e)
{
    if (w->dir >= 0)
        close(w->dir);
    w->dir = -1;
    return enter(w, "/", e);
}

/* What the link says comes before what is still to do. */
static int follow(struct walk *w, const char *name, const char *after, struct err *e)
{
    char target[PATH_MAX], *todo;
    ssize_t n = readlinkat(w->dir, name, target, sizeof(target) - 1);

    if (n < 0)
        return fail(e, errno, w->path);
    target[n] = 0;
    if (++w->links > LINKS_MAX || n == (ssize_t)sizeof(target) - 1)
        return fail(e, ELOOP, w->path);
    if (asprintf(&todo, "%s%s%s", target, *after != 0 ? "/" : "", after) < 0)
        return fail(e, ENOMEM, w->path);
    free(w->todo);
    w->todo = todo;
    return *target == '/' ? enter_top(w, e) : 0;
}

/* One component: 1 when that was as far as it goes, 0 when there is more. */
static int step(struct walk *w, struct err *e)
{
    char name[NAME_MAX + 1], *start = w->todo + strspn(w->todo, "/"), *after;
    size_t n = strcspn(start, "/");
    struct stat st;
    int rc;

    if (n > NAME_MAX)
        return err_set(e, E_ARG, "a name in %.60s... is too long", w->path);
    memcpy(name, start, n);
    name[n] = 0;
    after = &start[n] + strspn(&start[n], "/");
    if (n == 0)
        return err_set(e, E_ARG, "%s does not end in a file name; add one", w->path);
    if (fstatat(w->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT)
            return fail(e, errno, w->path);
        memmove(w->todo, start, strlen(start) + 1);
        return 1;
    }
    if (S_ISLNK(st.st_mode))
        return check(w, &st, name, e) != 0 ? -1 : follow(w, name, after, e);
    if (*after == 0) {
        memmove(w->todo, name, n + 1);
        return 1;
    }
    rc = enter(w, name, e);
    memmove(w->todo, after, strlen(after) + 1);
    return rc;
}

int descent_open(const char *path, bool guarded, struct descent *out, struct err *e)
{
    struct walk w = {.path = path, .guarded = guarded || geteuid() == 0, .dir = -1};
    int rc;

    *out = (struct descent){.dir = -1};
    if (*path != '/')
        return err_set(e, E_ARG, "%s is not an absolute path", path);
    w.todo = strdup(path);
    if (w.todo == NULL)
        return fail(e, ENOMEM, path);
    rc = enter_top(&w, e);
    while (rc == 0)
        rc = step(&w, e);
    if (rc == 1) {
        *out = (struct descent){w.dir, w.todo};
        return 0;
    }
    if (w.dir >= 0)
        close(w.dir);
    free(w.todo);
    return -1;
}

void descent_close(struct descent *d)
{
    if (d->dir >= 0)
        close(d->dir);
    free(d->rest);
    *d = (struct descent){.dir = -1};
}

bool descent_arrived(const struct descent *d)
{
    return strchr(d->rest, '/') == NULL;
}

int descent_make(struct descent *d, unsigned mode, struct err *e)
{
    char *slash;

    while ((slash = strchr(d->rest, '/')) != NULL) {
        char *after = slash + strspn(slash, "/");
        int fd;

        *slash = 0;
        if (mkdirat(d->dir, d->rest, (mode_t)mode) != 0 && errno != EEXIST)
            return err_set(e, E_DENIED, "cannot create the directory %s: %s", d->rest,
                           strerror(errno));
        fd = openat(d->dir, d->rest, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return fail(e, errno, d->rest);
        close(d->dir);
        d->dir = fd;
        memmove(d->rest, after, strlen(after) + 1);
    }
    return 0;
}

/* What may be opened, and read: the errors of descent_read. */
static int check_file(const struct stat *st, const char *path, bool guarded, struct err *e)
{
    if (!S_ISREG(st->st_mode))
        return err_set(e, E_EXISTS, "%s is not a regular file; move it away", path);
    if (guarded && ((st->st_uid != 0 && st->st_uid != geteuid()) || others_write(st)))
        return err_set(e, E_DENIED,
                       "%s belongs to user %u and has mode %04o: it is not believed, since "
                       "somebody else could have written it; see who did, then move it away",
                       path, (unsigned)st->st_uid, (unsigned)st->st_mode & 07777);
    return 0;
}

int descent_read(const struct descent *d, const char *path, bool guarded, int *fd, struct err *e)
{
    struct stat st;
    int in, rc = -1;

    *fd = -1;
    if (!descent_arrived(d))
        return 0;
    /* A pipe or a device is not to be opened; one that is put there meanwhile does not block. */
    if (fstatat(d->dir, d->rest, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : fail(e, errno, path);
    if (check_file(&st, path, guarded, e) != 0)
        return -1;
    in = openat(d->dir, d->rest, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (in < 0 || fstat(in, &st) != 0)
        fail(e, errno, path);
    else
        rc = check_file(&st, path, guarded, e);
    if (rc == 0)
        *fd = in;
    else if (in >= 0)
        close(in);
    return rc;
}
