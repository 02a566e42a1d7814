#ifndef CORE_FILE_H
#define CORE_FILE_H

#include "core/buf.h"

/* Reads a whole file of at most `max` bytes; "-" is standard input. Errors name
 * the path and what to do (E_NOT_FOUND, E_DENIED, E_IO, E_FULL when larger). */
int file_read(const char *path, size_t max, struct buf *out, struct err *e) MUST_USE;

/* The same of what is open; `name` is for errors. */
int file_read_fd(int fd, const char *name, size_t max, struct buf *out, struct err *e) MUST_USE;

/*
 * Writes a file so that either the old or the new content is there after a
 * crash: a temporary file beside it (O_EXCL, `mode`), fsync, rename, fsync of the
 * directory. "-" writes to standard output. Never follows a symbolic link at
 * the final component.
 */
int file_write(const char *path, struct bytes content, unsigned mode, struct err *e) MUST_USE;

/* Whose a file shall be, and how it may be used, whatever the umask is. */
struct file_owner {
    unsigned mode; /* permission bits */
    unsigned uid, gid;
};

/* The same for a regular file that belongs to another program: as `owner` says. It is `base` in the
 * open directory `dir` (see core/descent.h), and `path` for errors. E_DENIED where this process may
 * not give it away. */
int file_replace(int dir, const char *base, const char *path, struct bytes content,
                 const struct file_owner *owner, struct err *e) MUST_USE;

/* Removes what a file_replace of this file that was killed left beside it. */
void file_sweep(int dir, const char *base);

/* Could file_write write there now? Leaves nothing behind. For asking before something
 * is done that cannot be done again. */
int file_probe(const char *path, struct err *e) MUST_USE;

/* Creates the directory and its parents with mode 0700; fine if it is there. */
int file_mkdirs(const char *dir, struct err *e) MUST_USE;

/* First line of an open file descriptor (at most `max` bytes, without the line
 * end) as a secret: how PINs are read from files and descriptors. */
struct secret;
int file_read_line_fd(int fd, size_t max, struct secret **out, struct err *e) MUST_USE;

#endif
