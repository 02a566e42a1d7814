#ifndef USB_TOKEND_FORWARD_H
#define USB_TOKEND_FORWARD_H

#include "usb/tokend_filter.h"

/*
 * The TPM behind a token, by any TCTI, and what the host made in it: objects and sessions whose
 * handles are flushed when the host is gone. One command at a time.
 */
struct tokend_forward;

/* `tcti` as Tss2_TctiLdr_Initialize() takes it. Starts a thread: not to be carried over a fork.
 * The TPM is started up where nobody did that
 * yet. E_NO_DEVICE when it cannot be reached. */
int tokend_forward_open(struct tokend_forward **out, const char *tcti, struct err *e) MUST_USE;

/*
 * The response code for a command that names a transient object which this host did not make, or
 * flushed; 0 for others. Nobody else's are there for it; and the kernel's resource manager takes
 * such a command for a failure of the device, after which it answers no more.
 */
uint32_t tokend_forward_check(const struct tokend_forward *f, const struct tokend_verdict *v,
                              struct bytes command);

/* Starts a command that the filter let pass. E_IO: the TPM cannot be reached. */
int tokend_forward_send(struct tokend_forward *f, const struct tokend_verdict *v,
                        struct bytes command, struct err *e) MUST_USE;

/* Readable when the response is there; -1 while no command is under way. */
int tokend_forward_fd(struct tokend_forward *f);

/* Waits for the response; its length in `*len`, which was the room. After a failure nothing more
 * can be had: the daemon has to begin anew. */
int tokend_forward_receive(struct tokend_forward *f, uint8_t *response, size_t *len,
                           struct err *e) MUST_USE;

/* The command under way shall end early, where the TPM can do that. */
void tokend_forward_cancel(struct tokend_forward *f);

/* Nobody wants the answer of the command under way any more: ends it, and waits for that. What
 * it made does not stay. */
void tokend_forward_drop(struct tokend_forward *f);

/* The host is gone: ends what is under way, and flushes all that it made. */
void tokend_forward_forget(struct tokend_forward *f);

/* Forgets, and disconnects. NULL is fine. */
void tokend_forward_close(struct tokend_forward *f);

#endif
