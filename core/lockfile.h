#ifndef CORE_LOCKFILE_H
#define CORE_LOCKFILE_H

#include "core/base.h"

/*
 * A file by which processes meet, in a directory where strangers may write, too (/run/lock).
 * Its bytes stand for locks, those of the open file (fcntl F_OFD_*): they end with the
 * descriptor, also in a process that is killed, whichever pid namespace it lives in, and a child
 * of fork that closes its copy takes nothing from its parent.
 */

/*
 * Opens it, or makes it: for ourselves, or for the group that may write to `node`, the device
 * that is shared (NULL: none), where there is one and we are in it. Refused is what everybody may
 * write to, what a stranger owns, what is no regular file or has two names. -1 with the reason,
 * for the log, in `*why`; else the descriptor.
 */
int lockfile_open(const char *path, const char *node, const char **why) MUST_USE;

/* At once or not: false with errno EAGAIN or EACCES when another has it. */
bool lockfile_lock(int fd, int byte) MUST_USE;
void lockfile_unlock(int fd, int byte);

/* Has somebody else that lock now? */
bool lockfile_other(int fd, int byte);

#endif
