#ifndef TPM_OWNER_H
#define TPM_OWNER_H

#include "tpm/session.h"

/*
 * The owner's authorisation of a TPM (TPM_RH_OWNER), by which NV indices are defined and
 * undefined and the storage primary is made. Mostly it is empty; on a machine that was
 * dedicated (`fusetsu token init --own-tpm`) it is 32 random bytes, which R of a token keeps.
 *
 * What is known of it belongs to the `struct tpm` and is used wherever a command wants it.
 * On the wire it is never shown: it goes into HMACs of salted sessions.
 */

#define OWNER_AUTH 32 /* bytes of one of ours */

/* Notes it; trailing zeros are no part of it (Part 1, 19.6.4.3). `ours`: it is one that we
 * set. Nothing: forgets what is known. E_ARG: longer than any TPM takes. */
int owner_know(struct tpm *t, struct bytes auth, bool ours, struct err *e) MUST_USE;
void owner_forget(struct tpm *t);

/* What is known; empty when nothing is. */
struct bytes owner_auth(const struct tpm *t);
bool owner_is_ours(const struct tpm *t);

/*
 * Before commands that take it. `set`: the TPM says that it is not empty
 * (lockout_state.owner_set). What is known but not in force is forgotten; E_DENIED, saying
 * where it can come from, when it is set and not known.
 */
int owner_ready(struct tpm *t, bool set, struct err *e) MUST_USE;

/* Sets it to `fresh`, which is known as ours from then on, then owner_close(); empty: gives the
 * hierarchy back to everybody. Encrypted on the way. */
int owner_change(struct tpm *t, struct session *main, struct bytes fresh, struct err *e) MUST_USE;

/* Takes away the hierarchy's policy, by which somebody who was there before us would still get
 * in; with the authorisation that is known. */
int owner_close(struct tpm *t, struct session *main, struct err *e) MUST_USE;

/* Passes on why a command failed that the owner authorises; refusals say what to do. */
int owner_failed(const struct tpm *t, const struct err *why, struct err *e);

#endif
