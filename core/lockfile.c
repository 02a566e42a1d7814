#include "core/lockfile.h"

#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The group of those who may use the device; false when that is no group's matter. */
static bool node_group(const char *node, gid_t *out)
{
    struct stat st;

    if (node == NULL || stat(node, &st) != 0 || (st.st_mode & S_IWGRP) == 0)
        return false;
    *out = st.st_gid;
    return true;
}

static int make(const char *path, const char *node)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    gid_t group;

    if (fd >= 0 && node_group(node, &group) && fchown(fd, (uid_t)-1, group) == 0 &&
        fchmod(fd, 0660) != 0)
        log_debug("%s stays this user's own: %s", path, strerror(errno));
    return fd;
}

/* Who can write to it can make us wait; for that he must be root, us, or of the device's group:
 * only its members can give a file to it. */
static const char *distrust(const struct stat *st, const char *node)
{
    gid_t group;

    if (!S_ISREG(st->st_mode) || st->st_nlink != 1)
        return "it is no regular file with one name";
    if ((st->st_mode & S_IWOTH) != 0)
        return "everybody may write to it";
    if (st->st_uid != 0 && st->st_uid != geteuid() &&
        !(node_group(node, &group) && st->st_gid == group))
        return "it belongs to a stranger";
    return NULL;
}

int lockfile_open(const char *path, const char *node, const char **why)
{
    const int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    struct stat st;
    int fd = -1;

    /* Two tries: between looking and making another process may have made it. */
    for (int i = 0; i < 2 && fd < 0; i++) {
        fd = open(path, flags);
        if (fd < 0 && errno == ENOENT)
            fd = make(path, node);
    }
    if (fd < 0) {
        *why = strerror(errno);
        return -1;
    }
    *why = fstat(fd, &st) != 0 ? strerror(errno) : distrust(&st, node);
    if (*why == NULL)
        return fd;
    close(fd);
    return -1;
}

static bool set(int fd, short type, int byte)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &l) == 0;
}

bool lockfile_lock(int fd, int byte)
{
    return set(fd, F_WRLCK, byte);
}

void lockfile_unlock(int fd, int byte)
{
    (void)set(fd, F_UNLCK, byte);
}

bool lockfile_other(int fd, int byte)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}
