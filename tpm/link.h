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

/*
 * A transport that is part of this program: what "NAME" or "NAME:CONF" reaches from now on, in
 * place of a library of that name. `why` tells what its last failure in this thread was: -1 with
 * it in `e`, or 0 (NULL: it cannot tell). Before other threads are there; once more is fine.
 */
void link_register(const char *name, TSS2_TCTI_INIT_FUNC init, int (*why)(struct err *e));

/* What made the last command fail, if its transport told; -1 with it in `e`, else 0. */
int link_failure(const struct link *l, struct err *e) MUST_USE;

/*
 * Somebody who is told of each command before it is sent, and of its answer; when `answered`
 * says so the command is sent again (the TPM has not executed it). NULL: nobody.
 */
struct link_watch {
    void (*sending)(void *arg, uint32_t command);
    bool (*answered)(void *arg, struct bytes command, struct bytes response);
    void *arg;
};
void link_watch(struct link *l, const struct link_watch *w);

/* One command on the open connection besides SAPI's, unseen by the watch, also in the middle
 * of it. `len` is the room in `response`, then its length. -1: no answer. */
int link_talk(struct link *l, struct bytes command, uint8_t *response, size_t *len) MUST_USE;

/* What SAPI is given. */
TSS2_TCTI_CONTEXT *link_tcti(struct link *l);

/* Connects now if not connected; E_NO_DEVICE says what to do. */
int link_open(struct link *l, struct err *e) MUST_USE;

#endif
