#ifndef USB_TURN_H
#define USB_TURN_H

#include "core/err.h"

/*
 * Processes take turns at one token: a lock file for each. Who waits is next: nobody who has
 * just had his turn passes him. A process that is killed loses its turn, and its successor is
 * told.
 */
struct turn;

/* `dir` is the directory of the settings' `run`, NULL: none, then everybody is on his own, and
 * each of his first turns counts as unclean. `name` is the token's own: its serial. `node` is
 * its device file (core/lockfile.h). */
int turn_new(struct turn **out, const char *dir, const char *name, const char *node,
             struct err *e) MUST_USE;
void turn_free(struct turn *t);

/*
 * 0 when it is our turn, with in `*unclean` whether the last one ended in its middle (or nobody
 * knows). E_BUSY after `wait_ms`, naming the process that has it.
 */
int turn_take(struct turn *t, unsigned wait_ms, bool *unclean, struct err *e) MUST_USE;

/* `clean` says the next one finds nothing half done. */
void turn_give(struct turn *t, bool clean);

#endif
