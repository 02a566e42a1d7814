#ifndef USB_TOKEND_PUMP_H
#define USB_TOKEND_PUMP_H

#include "core/err.h"

/*
 * Endpoint files of FunctionFS can only be waited for one at a time, in read() and write(). Two
 * threads do that, and carry packets from `out` to a socket, and frames from it to `in`: both can
 * be polled there. They live as long as the process, and wait for hosts that come again.
 */
int tokend_pump_start(int in, int out, int *fd, struct err *e) MUST_USE;

#endif
