#ifndef CORE_DESCENT_H
#define CORE_DESCENT_H

#include "core/err.h"

#include <stdbool.h>

/*
 * The way from / down to a file, directory by directory, each held open while the next one is
 * looked up: who swaps a directory for another one meanwhile changes nothing. Symbolic links are
 * followed, the last component's as well. What is then done by `dir` and `rest` is done there.
 */
struct descent {
    int dir;    /* O_PATH: the innermost directory that is there; -1 when closed */
    char *rest; /* below it: a file name, before it directories that are missing */
};

/*
 * Opens the way to an absolute path; out->dir is -1 after failure. With `guarded`, and for root in
 * any case, every directory and link on it must belong to this user or to root (or to who owns /,
 * who could change it all anyway), and no directory may be one that others can write, unless it
 * is sticky; a group whose number is its owner's is that user's own. E_DENIED when it is not so,
 * E_EXISTS when something on the way is no directory, E_ARG.
 */
int descent_open(const char *path, bool guarded, struct descent *out, struct err *e) MUST_USE;
void descent_close(struct descent *d);

/* Is nothing but the file itself left to look for? */
bool descent_arrived(const struct descent *d);

/* Makes the directories that are missing and goes down there. */
int descent_make(struct descent *d, unsigned mode, struct err *e) MUST_USE;

/* Opens the file for reading, without waiting for anybody: *fd is -1 when there is none. E_EXISTS
 * when it is no regular file; with `guarded`, E_DENIED when it is neither this user's nor root's
 * or can be written by others. `path` is for errors. */
int descent_read(const struct descent *d, const char *path, bool guarded, int *fd,
                 struct err *e) MUST_USE;

#endif
