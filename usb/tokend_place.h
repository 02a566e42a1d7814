#ifndef USB_TOKEND_PLACE_H
#define USB_TOKEND_PLACE_H

#include "core/err.h"

/* Where a daemon is reached, and what it gives up before it listens to anybody. */

/* SIGTERM, SIGINT and SIGHUP become readable there. */
int tokend_place_signals(int *fd, struct err *e) MUST_USE;

/* A socket for one host at a time, which sends packets and gets frames: only for its owner. A
 * dead one at this path is replaced. E_EXISTS when somebody listens there. */
int tokend_place_listen(const char *path, int *fd, struct err *e) MUST_USE;

/* The next host: 0 with its socket; 1 when `stop` is readable. */
int tokend_place_accept(int fd, int stop, int *host, struct err *e) MUST_USE;

/* The user that it is from now on, with that user's groups. */
int tokend_place_user(const char *name, struct err *e) MUST_USE;

/* A serial that is this machine's own and says nothing of it; at least 17 bytes. */
int tokend_place_serial(char *out, size_t size, struct err *e) MUST_USE;

#endif
