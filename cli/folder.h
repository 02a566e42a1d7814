#ifndef CLI_FOLDER_H
#define CLI_FOLDER_H

#include "core/buf.h"

/*
 * A directory that a command works through or fills, file by file, and after kill -9 again. Files
 * are named by their last component. Only regular files are read, never through a link, and one is
 * written so that it is there whole or as before; what a killed writer left beside it goes.
 */
struct folder {
    char *path;
    int fd;
    int lock; /* of who fills it; else -1 */
};

#define FOLDER_MAX 1000000 /* files */

/* For reading. Close also after failure. */
int folder_open(struct folder *f, const char *path, struct err *e) MUST_USE;
/* For writing: made (0700) when missing, and ours alone among those who fill it (core/dirlock.h,
 * E_BUSY) until it is closed or the process ends. */
int folder_fill(struct folder *f, const char *path, struct err *e) MUST_USE;
void folder_close(struct folder *f);

/* The names of all files that end in `suffix`, without it, sorted by their bytes; those that begin
 * with a dot are left out. Free with folder_names_free. E_FULL: more than FOLDER_MAX. */
int folder_names(const struct folder *f, const char *suffix, char ***names, size_t *n,
                 struct err *e) MUST_USE;
void folder_names_free(char **names, size_t n);

/* The whole file, of at most `max` bytes: 1; 0 when there is none; -1. Appended to `out`. */
int folder_read(const struct folder *f, const char *name, size_t max, struct buf *out,
                struct err *e) MUST_USE;

int folder_write(const struct folder *f, const char *name, struct bytes content, unsigned mode,
                 struct err *e) MUST_USE;

/* Fine when it is not there. */
int folder_remove(const struct folder *f, const char *name, struct err *e) MUST_USE;

#endif
