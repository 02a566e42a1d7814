#include "tpm/share_file.h"

#include "core/buf.h"
#include "core/hash.h"
#include "core/lockfile.h"
#include "core/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const uint8_t magic[8] = {'f', 'u', 's', 'e', 't', 's', 'u', '1'};

_Static_assert(sizeof(struct share_record) == 64, "a record has no padding");
_Static_assert(sizeof(struct share_image) == 4096, "nor has the file");

/* Bytes that stand for locks: the one of all calls, the right to be the next to have it,
 * and one for each record, held as long as its process lives. */
#define LOCK_CALL 0
#define LOCK_NEXT 1
#define LOCK_RECORD 2

/* Milliseconds. Whoever gets the TPM may have it again and again for a slice, since for the
 * others much is to be loaded first; then he lets in who has waited. That one may have been
 * stopped: he is respected for longer than calls take, but for the making of RSA keys. */
#define SLICE 50
#define PATIENCE 5
#define RESPECT 3000
#define PAUSE_MAX 8
#define PAUSE_NEXT 1

struct share_file {
    char *path;
    char *node;  /* the TPM's own place in the file system; NULL when it has none */
    int fd;      /* -1: not open */
    int record;  /* -1: none */
    bool longer; /* it is, than ours are */
    long slice;  /* when it ends, by now_ms() */
    bool told;
};

/* --- the file ------------------------------------------------------------------ */

/* "device:PATH", "swtpm:path=PATH[,...]": who may write there may use the TPM. */
static char *node_of(const char *tcti)
{
    const char *p = strchr(tcti, ':');
    const char *path = strstr(tcti, "path=");

    if (strncmp(tcti, "device:", 7) == 0 && p != NULL)
        return strdup(p + 1);
    return path != NULL ? strndup(path + 5, strcspn(path + 5, ",")) : NULL;
}

int share_file_new(struct share_file **out, const char *tcti, const char *dir, struct err *e)
{
    struct share_file *f = calloc(1, sizeof(*f));
    uint8_t digest[32];
    char name[17];

    if (f == NULL)
        return err_set(e, E_MEMORY, "out of memory for the list of a TPM's processes");
    f->fd = f->record = -1;
    if (hash_sha256(bytes_of(tcti, strlen(tcti)), digest, e) != 0)
        goto fail;
    hex_encode(name, digest, 8);
    f->node = node_of(tcti);
    if (asprintf(&f->path, "%s/fusetsu-tpm-%s", dir, name) < 0) {
        f->path = NULL;
        err_set(e, E_MEMORY, "out of memory for the list of a TPM's processes");
        goto fail;
    }
    *out = f;
    return 0;
fail:
    share_file_free(f);
    return -1;
}

void share_file_close(struct share_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = f->record = -1;
}

void share_file_free(struct share_file *f)
{
    if (f == NULL)
        return;
    share_file_close(f);
    free(f->path);
    free(f->node);
    free(f);
}

static int no_file(struct share_file *f, const char *why)
{
    if (!f->told)
        log_info("the processes at this TPM cannot share it by %s: %s", f->path, why);
    f->told = true;
    share_file_close(f);
    return 1;
}

/* 0 when open and trusted, 1 when not to be had. Who can write to it can make us wait and load
 * our keys again, no more. */
static int open_file(struct share_file *f)
{
    const char *why = NULL;

    f->fd = lockfile_open(f->path, f->node, &why);
    return f->fd < 0 ? no_file(f, why) : 0;
}

/* --- locks ------------------------------------------------------------------------ */

static long now_ms(void)
{
    struct timespec ts = {0};

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Between half of it and all, so that two do not keep meeting. */
static void pause_us(unsigned us)
{
    struct timespec ts = {0};

    clock_gettime(CLOCK_MONOTONIC, &ts);
    us = us / 2 + (unsigned)(ts.tv_nsec ^ getpid()) % (us / 2);
    ts = (struct timespec){0, (long)us * 1000};
    nanosleep(&ts, NULL);
}

/* 0 when locked; 1 when locks do not work on this file; -1 when the time is over. */
static int wait_for_call(struct share_file *f, long limit_ms)
{
    const long began = now_ms();
    long waited = 0;
    unsigned pause = 200;
    bool next = false;
    int rc = -1;

    for (;;) {
        bool polite = !next && waited < RESPECT && began + waited >= f->slice &&
                      lockfile_other(f->fd, LOCK_NEXT);

        if (!polite && lockfile_lock(f->fd, LOCK_CALL)) {
            rc = 0;
            break;
        }
        if (!polite && errno != EAGAIN && errno != EACCES && errno != EINTR) {
            rc = 1;
            break;
        }
        if (waited >= limit_ms)
            break;
        pause_us(pause);
        pause = pause * 3 / 2;
        if (pause > (next ? PAUSE_NEXT : PAUSE_MAX) * 1000U)
            pause = (next ? PAUSE_NEXT : PAUSE_MAX) * 1000U;
        waited = now_ms() - began;
        if (!next && waited >= PATIENCE)
            next = lockfile_lock(f->fd, LOCK_NEXT);
    }
    if (next)
        lockfile_unlock(f->fd, LOCK_NEXT);
    if (rc == 0 && began + waited >= f->slice)
        f->slice = began + waited + SLICE;
    return rc;
}

static int busy(struct share_file *f, struct err *e)
{
    struct share_image i = {0};
    uint32_t pid = 0;

    if (pread(f->fd, &i, sizeof(i), 0) == (ssize_t)sizeof(i))
        pid = i.holder;
    return err_set(e, E_BUSY,
                   "the TPM is in use by process %u, which does not give it back; look what it "
                   "does, or end it",
                   pid);
}

int share_file_lock(struct share_file *f, long limit_ms, struct share_image *out, struct err *e)
{
    struct stat st;

    /* A file that was removed, or replaced, meanwhile is no meeting place any more. */
    for (int i = 0; i < 3; i++) {
        if (f->fd < 0 && open_file(f) != 0)
            return 1;
        switch (wait_for_call(f, limit_ms)) {
        case 0: break;
        case 1: return no_file(f, strerror(errno));
        default: return busy(f, e);
        }
        if (fstat(f->fd, &st) == 0 && st.st_nlink == 1) {
            if (st.st_size != (off_t)sizeof(*out) ||
                pread(f->fd, out, sizeof(*out), 0) != (ssize_t)sizeof(*out) ||
                memcmp(out->magic, magic, sizeof(magic)) != 0)
                *out = (struct share_image){0};
            f->longer = st.st_size > (off_t)sizeof(*out);
            memcpy(out->magic, magic, sizeof(magic));
            return 0;
        }
        share_file_close(f);
    }
    return no_file(f, "it is removed again and again");
}

bool share_file_write(struct share_file *f, const struct share_image *image)
{
    if (f->fd < 0)
        return false;
    if (pwrite(f->fd, image, sizeof(*image), 0) == (ssize_t)sizeof(*image) &&
        (!f->longer || ftruncate(f->fd, sizeof(*image)) == 0)) {
        f->longer = false;
        return true;
    }
    (void)no_file(f, strerror(errno));
    return false;
}

void share_file_unlock(struct share_file *f)
{
    if (f->fd >= 0)
        lockfile_unlock(f->fd, LOCK_CALL);
}

int share_file_record(const struct share_file *f)
{
    return f->record;
}

int share_file_take(struct share_file *f, const struct share_image *image)
{
    for (int i = 0; f->fd >= 0 && f->record < 0 && i < SHARE_RECORDS; i++) {
        if (image->record[i].state == 0 && lockfile_lock(f->fd, LOCK_RECORD + i))
            f->record = i;
    }
    return f->record;
}

bool share_file_alive(struct share_file *f, int record)
{
    return lockfile_other(f->fd, LOCK_RECORD + record);
}
