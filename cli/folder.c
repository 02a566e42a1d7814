#include "cli/folder.h"

#include "core/dirlock.h"
#include "core/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int folder_open(struct folder *f, const char *path, struct err *e)
{
    *f = (struct folder){.path = strdup(path), .fd = -1, .lock = -1};
    if (f->path == NULL)
        return err_set(e, E_MEMORY, "out of memory for a path");
    f->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->fd >= 0)
        return 0;
    return err_set(e, errno == EACCES ? E_DENIED : E_NOT_FOUND,
                   "cannot open the directory %s (%s); check the path and its permissions", path,
                   strerror(errno));
}

int folder_fill(struct folder *f, const char *path, struct err *e)
{
    struct err why = {0};

    *f = (struct folder){.fd = -1, .lock = -1};
    if (file_mkdirs(path, e) != 0 || folder_open(f, path, e) != 0)
        return -1;
    /* Two who fill one directory would take each other's half-written files for leftovers. */
    if (dirlock_take(path, 0, &f->lock, &why) == 0)
        return 0;
    if (why.code != E_BUSY)
        return err_take(e, &why);
    return err_set(e, E_BUSY,
                   "another process is filling %s; wait for it, or name another directory", path);
}

void folder_close(struct folder *f)
{
    if (f->fd >= 0)
        close(f->fd);
    dirlock_release(f->lock);
    free(f->path);
    *f = (struct folder){.fd = -1, .lock = -1};
}

/* --- what is in it ------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* NULL with E_OK when the entry is none of ours. */
static char *stem_of(const char *entry, const char *suffix, struct err *e)
{
    size_t n = strlen(entry), m = strlen(suffix);
    char *stem = NULL;

    if (entry[0] == '.' || n <= m || strcmp(entry + (n - m), suffix) != 0)
        return NULL;
    stem = strndup(entry, n - m);
    if (stem == NULL)
        err_set(e, E_MEMORY, "out of memory for a list of files");
    return stem;
}

static int add_name(char ***list, size_t *n, size_t *room, char *name, struct err *e)
{
    if (*n == FOLDER_MAX) {
        free(name);
        return err_set(e, E_FULL, "one run takes at most %d files; divide them", FOLDER_MAX);
    }
    if (*n == *room) {
        size_t more = *room != 0 ? *room * 2 : 64;
        char **longer = realloc(*list, more * sizeof(*longer));

        if (longer == NULL) {
            free(name);
            return err_set(e, E_MEMORY, "out of memory for a list of files");
        }
        *list = longer;
        *room = more;
    }
    (*list)[(*n)++] = name;
    return 0;
}

int folder_names(const struct folder *f, const char *suffix, char ***names, size_t *n,
                 struct err *e)
{
    int fd = openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = -1;
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    char **list = NULL, *stem;
    size_t count = 0, room = 0;
    struct dirent *entry;
    struct err why = {0};

    if (d == NULL) {
        if (fd >= 0)
            close(fd);
        return err_set(e, E_IO, "cannot list %s (%s); check its permissions", f->path,
                       strerror(errno));
    }
    while ((errno = 0, entry = readdir(d)) != NULL) {
        stem = stem_of(entry->d_name, suffix, &why);
        if (why.code != E_OK || (stem != NULL && add_name(&list, &count, &room, stem, &why) != 0)) {
            err_take(e, &why);
            goto out;
        }
    }
    if (errno != 0) {
        err_set(e, E_IO, "cannot list %s (%s); check its disk", f->path, strerror(errno));
        goto out;
    }
    if (count != 0)
        qsort(list, count, sizeof(*list), by_name);
    *names = list;
    *n = count;
    list = NULL;
    count = 0;
    rc = 0;
out:
    closedir(d);
    folder_names_free(list, count);
    return rc;
}

void folder_names_free(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

/* --- files ----------------------------------------------------------------------------------- */

int folder_read(const struct folder *f, const char *name, size_t max, struct buf *out,
                struct err *e)
{
    /* A pipe must not make us wait. */
    int fd = openat(f->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat st;
    int rc = -1;

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 && errno != ELOOP)
        return err_set(e, errno == EACCES ? E_DENIED : E_IO,
                       "cannot read %s/%s (%s); check its permissions", f->path, name,
                       strerror(errno));
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        err_set(e, E_FORMAT, "%s/%s is not a plain file; put the file itself there", f->path, name);
    else if (file_read_fd(fd, name, max, out, e) == 0)
        rc = 1;
    if (fd >= 0)
        close(fd);
    return rc;
}

int folder_write(const struct folder *f, const char *name, struct bytes content, unsigned mode,
                 struct err *e)
{
    const struct file_owner owner = {.mode = mode, .uid = geteuid(), .gid = getegid()};

    return file_replace(f->fd, name, name, content, &owner, e);
}

int folder_remove(const struct folder *f, const char *name, struct err *e)
{
    if (unlinkat(f->fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    return err_set(e, E_IO, "cannot remove %s/%s (%s); check its permissions", f->path, name,
                   strerror(errno));
}
