#ifndef CORE_DIRLOCK_H
#define CORE_DIRLOCK_H

#include "core/err.h"

/*
 * One process at a time changes a directory. The lock is a file ".lock" in it that only its owner can open
 * (us, root, or whose the directory is): the directory itself can be locked by everybody who may
 * read it. The file stays; the lock ends with the process.
 */

/* Waits for it, at most that many seconds; 0: not at all. E_BUSY: another has it; E_DENIED: the file cannot
 * be made or opened, or others could lock it. */
int dirlock_take(const char *dir, unsigned seconds, int *lock, struct err *e) MUST_USE;
void dirlock_release(int lock); /* -1 is fine */

#endif
