#include "core/dirlock.h"

#include "core/buf.h"
#include "core/lockfile.h"

#include <time.h>
#include <unistd.h>

#define PAUSE_MS 20

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
    fd = lockfile_open(buf_cstr(&path), NULL, &why);
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
