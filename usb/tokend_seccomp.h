#ifndef USB_TOKEND_SECCOMP_H
#define USB_TOKEND_SECCOMP_H

#include "core/err.h"

/*
 * From here on this process, with its threads, has the system calls only that answering a host
 * takes: it opens no file for writing, starts no program, listens nowhere new. Another call ends
 * it. `network`: its TPM is reached by sockets, which it may make then.
 */
int tokend_seccomp(bool network, struct err *e) MUST_USE;

#endif
