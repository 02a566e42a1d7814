#ifndef TPM_SHARE_FILE_H
#define TPM_SHARE_FILE_H

#include "core/err.h"

#include <sys/types.h>

/*
 * The file that the processes at one bare TPM share (tpm/share.h says what for): its place,
 * whom it may belong to, and its locks. Those are locks of the open file (fcntl F_OFD_*):
 * they end with the descriptor, also in a process that is killed, whichever pid namespace it
 * lives in, and a child of fork that closes its copy takes nothing from its parent.
 */
#define SHARE_RECORDS 63
#define SHARE_HANDLES 8

/* What one process holds in the TPM: 64 bytes, no padding. */
struct share_record {
    uint8_t id[8]; /* random: tells a record from a later one in the same place */
    uint32_t pid;  /* for messages */
    uint32_t state;
    uint64_t used; /* share_image.clock when it was last in a call */
    uint32_t handle[SHARE_HANDLES];
    uint32_t spare[2];
};
#define SHARE_USED 1U   /* in .state: the record is somebody's */
#define SHARE_OBJECT 2U /* and he has sent a command that makes an object, unanswered yet */
#define SHARE_SESSION 4U
#define SHARE_UNANSWERED (SHARE_OBJECT | SHARE_SESSION)

/* The whole file: 4096 bytes in the machine's own order. */
struct share_image {
    uint8_t magic[8];
    uint64_t clock;
    uint32_t holder; /* pid of who locked it last */
    uint32_t spare[11];
    struct share_record record[SHARE_RECORDS];
};

struct share_file;

/* `tcti` names the TPM and so the file in `dir`. Nothing is opened yet. */
int share_file_new(struct share_file **out, const char *tcti, const char *dir,
                   struct err *e) MUST_USE;

/* Closes it, and with that ends this process's lock and record. NULL is fine. In a child
 * of fork the same leaves the parent's alone. */
void share_file_close(struct share_file *f);
void share_file_free(struct share_file *f);

/*
 * Takes the one lock, opening the file when needed, and reads it; bytes that are no such
 * file read as an empty one. Waits at most `limit_ms`, in turn with others.
 * 0 when locked; 1 when no such file is to be had here (logged once); -1 with E_BUSY.
 */
int share_file_lock(struct share_file *f, long limit_ms, struct share_image *out,
                    struct err *e) MUST_USE;

/* Writes it, under the lock. False: it cannot be written, and is closed. */
bool share_file_write(struct share_file *f, const struct share_image *image);
void share_file_unlock(struct share_file *f);

/* This process's record, -1 when it has none; and the same after taking one that `image` has
 * as free, which fails when all are in use. */
int share_file_record(const struct share_file *f);
int share_file_take(struct share_file *f, const struct share_image *image);

/* Is the process (or child of fork) whose record that is still there? */
bool share_file_alive(struct share_file *f, int record);

#endif
