#ifndef TPM_LINK_H
#define TPM_LINK_H

#include "core/err.h"

#include <tss2/tss2_tcti.h>

/*
 * The connection to the TPM as a TCTI of our own in front of the real one. It
 * connects when the first command is sent, and sends a command again, bounded
 * and with growing pauses, while the TPM answers TPM_RC_RETRY, YIELDED, TESTING
 * or NV_RATE (Part 3, 5.2: the command was not started).
 */
struct link;

int link_new(struct link **out, const char *conf, struct err *e) MUST_USE;
void link_free(struct link *l);

/* Drops the real connection; with `silent` (after fork) without closing what the
 * parent still uses. The next command connects again. */
void link_drop(struct link *l, bool silent);

/* True while a real connection is open. */
bool link_is_open(const struct link *l);

/* What SAPI is given. */
TSS2_TCTI_CONTEXT *link_tcti(struct link *l);

/* Connects now if not connected; E_NO_DEVICE says what to do. */
int link_open(struct link *l, struct err *e) MUST_USE;

#endif
