#include "usb/turn.h"

#include "core/lockfile.h"
#include "core/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Bytes that stand for locks. Everybody takes the second first, and gives it back with the
 * first in hand: so they queue. */
#define LOCK_TURN 0
#define LOCK_NEXT 1

#define PAUSE_MIN_US 100
#define PAUSE_MAX_US 2000

/* The whole file, in the machine's own order. */
struct note {
    uint32_t unclean;
    uint32_t pid;
};

struct turn {
    char *path;
    char *node;
    int fd;    /* -1: not open */
    bool had;  /* one turn at least */
    bool told; /* that there is no such file */
    bool left; /* something half done, where no file says so */
};

int turn_new(struct turn **out, const char *dir, const char *name, const char *node, struct err *e)
{
    struct turn *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return err_set(e, E_MEMORY, "out of memory for a USB token");
    t->fd = -1;
    if (dir != NULL && asprintf(&t->path, "%s/fusetsu-usb-%s", dir, name) < 0) {
        t->path = NULL;
        goto fail;
    }
    if (node != NULL && (t->node = strdup(node)) == NULL)
        goto fail;
    *out = t;
    return 0;
fail:
    turn_free(t);
    return err_set(e, E_MEMORY, "out of memory for a USB token");
}

void turn_free(struct turn *t)
{
    if (t == NULL)
        return;
    if (t->fd >= 0)
        close(t->fd);
    free(t->path);
    free(t->node);
    free(t);
}

static uint64_t now_us(void)
{
    struct timespec ts = {0};

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* 0 with the lock, 1 when the time is over, -1 when this file has no locks. */
static int wait_for(int fd, int byte, uint64_t until)
{
    long pause = PAUSE_MIN_US;

    while (!lockfile_lock(fd, byte)) {
        struct timespec ts = {0, pause * 1000};

        if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            return -1;
        if (now_us() >= until)
            return 1;
        nanosleep(&ts, NULL);
        pause = pause * 2 < PAUSE_MAX_US ? pause * 2 : PAUSE_MAX_US;
    }
    return 0;
}

static int no_file(struct turn *t, const char *why)
{
    if (!t->told)
        log_info("processes cannot take turns at the USB token by %s: %s", t->path, why);
    t->told = true;
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
    return 1;
}

static int busy(struct turn *t, struct err *e)
{
    struct note n = {0};

    if (pread(t->fd, &n, sizeof(n), 0) != (ssize_t)sizeof(n))
        n.pid = 0;
    return err_set(e, E_BUSY,
                   "the USB token is in use by another process (%u), which does not give it back; "
                   "look what it does, or end it",
                   n.pid);
}

/* 0 with the lock of a file that others find, too; 1 when there is none to be had; -1. */
static int lock_file(struct turn *t, unsigned wait_ms, struct err *e)
{
    const uint64_t until = now_us() + (uint64_t)wait_ms * 1000;
    const char *why = NULL;
    struct stat st;

    /* One that was removed, or replaced, meanwhile is no meeting place any more. */
    for (int i = 0; i < 3; i++) {
        int rc;

        if (t->fd < 0 && (t->fd = lockfile_open(t->path, t->node, &why)) < 0)
            return no_file(t, why);
        rc = wait_for(t->fd, LOCK_NEXT, until);
        if (rc == 0) {
            rc = wait_for(t->fd, LOCK_TURN, until);
            lockfile_unlock(t->fd, LOCK_NEXT);
        }
        if (rc > 0)
            return busy(t, e);
        if (rc < 0)
            return no_file(t, strerror(errno));
        if (fstat(t->fd, &st) == 0 && st.st_nlink == 1)
            return 0;
        close(t->fd);
        t->fd = -1;
    }
    return no_file(t, "it is removed again and again");
}

int turn_take(struct turn *t, unsigned wait_ms, bool *unclean, struct err *e)
{
    struct note n = {0}, mine = {1, (uint32_t)getpid()};
    int rc = t->path == NULL ? 1 : lock_file(t, wait_ms, e);

    if (rc < 0)
        return -1;
    *unclean = !t->had || t->left;
    t->had = true;
    t->left = false;
    if (rc > 0)
        return 0;
    if (pread(t->fd, &n, sizeof(n), 0) == (ssize_t)sizeof(n))
        *unclean = n.unclean != 0;
    if (pwrite(t->fd, &mine, sizeof(mine), 0) != (ssize_t)sizeof(mine))
        *unclean = true;
    return 0;
}

void turn_give(struct turn *t, bool clean)
{
    struct note n = {clean ? 0 : 1, 0};

    t->left = !clean;
    if (t->fd < 0)
        return;
    if (pwrite(t->fd, &n, sizeof(n), 0) != (ssize_t)sizeof(n))
        log_debug("%s: %s", t->path, strerror(errno));
    lockfile_unlock(t->fd, LOCK_TURN);
}
