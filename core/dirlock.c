#include "core/dirlock.h"

#include "core/buf.h"
#include "core/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_MS 20

/* Who can open it can make us wait: us, root, and whose directory it is. */
static const char *distrust(int fd, const char *dir)
{
    struct stat st, of;

    if (fstat(fd, &st) != 0 || stat(dir, &of) != 0)
        return strerror(errno);
    if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
        return "it is no regular file with one name";
    if ((st.st_mode & 077) != 0)
        return "others may open it";
    if (st.st_uid != 0 && st.st_uid != geteuid() && st.st_uid != of.st_uid)
        return "it belongs to a stranger";
    return NULL;
}

static int open_it(const char *path, const char *dir, const char **why)
{
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);

    *why = fd < 0 ? strerror(errno) : distrust(fd, dir);
    if (*why == NULL)
        return fd;
    dirlock_release(fd);
    return -1;
}

int dirlock_take(const char *dir, unsigned seconds, int *lock, struct err *e)
{
    const struct timespec pause = {0, PAUSE_MS * 1000000L};
    struct buf path = {0};
    const char *why = NULL;
    int fd = -1, rc = -1;

    buf_printf(&path, "%s/.lock", dir);
    if (buf_cstr(&path) == NULL) {
        rc = buf_ok(&path, e);
        goto out;
    }
    fd = open_it(buf_cstr(&path), dir, &why);
    if (fd < 0) {
        err_set(e, E_DENIED, "%s cannot be locked by %s/.lock: %s; look at its owner and mode", dir,
                dir, why);
        goto out;
    }
    for (unsigned i = 0; !lockfile_lock(fd, 0); i++) {
        if (i >= seconds * (1000 / PAUSE_MS)) {
            err_set(e, E_BUSY, "another process is changing %s; wait for it", dir);
            goto out;
        }
        nanosleep(&pause, NULL);
    }
    *lock = fd;
    fd = -1;
    rc = 0;
out:
    dirlock_release(fd);
    buf_free(&path);
    return rc;
}

void dirlock_release(int lock)
{
    if (lock >= 0)
        close(lock);
}
