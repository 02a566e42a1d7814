#ifndef USB_TOKEND_HELPER_H
#define USB_TOKEND_HELPER_H

#include "core/err.h"

/*
 * A process beside the daemon that runs a program of the administrator's for each question:
 * the daemon itself may start none (usb/tokend_seccomp.h).
 */
struct tokend_helper;

/* E_NOT_FOUND when `program` (a path) cannot be run. */
int tokend_helper_start(struct tokend_helper **out, const char *program, struct err *e) MUST_USE;

/* Runs the program with the question as its argument; one that runs is ended first. */
void tokend_helper_ask(struct tokend_helper *h, const char *question);

/* True once for each question, when the program is over: it ended with 0, or otherwise. */
bool tokend_helper_answered(struct tokend_helper *h, bool *yes);

/* What to poll for reading. */
int tokend_helper_fd(const struct tokend_helper *h);

/* Ends the program. */
void tokend_helper_stop(struct tokend_helper *h);

/* Ends the process, too. NULL is fine. */
void tokend_helper_end(struct tokend_helper *h);

#endif
