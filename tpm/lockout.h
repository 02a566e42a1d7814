#ifndef TPM_LOCKOUT_H
#define TPM_LOCKOUT_H

#include "tpm/exec.h"

/*
 * The TPM-wide dictionary-attack lockout. The second PIN lock is worth what
 * lockoutAuth is worth: empty, anyone may clear the counter after each guess.
 */

/* What lockout_secure sets maxTries to. */
#define LOCKOUT_TRIES 32

struct lockout_state {
    bool auth_set;  /* lockoutAuth is not empty */
    bool owner_set; /* ownerAuth is not empty */
    bool in_lockout;
    uint32_t count; /* failed tries so far */
    uint32_t max_tries;
    uint32_t interval; /* seconds until one try is forgiven */
    uint32_t recovery; /* seconds after a failure of lockoutAuth itself */
};
int lockout_read(struct tpm *t, struct lockout_state *out, struct err *e) MUST_USE;
/* The same in a session, where something rests on it (tpm/capability.h). */
int lockout_read_in(struct tpm *t, struct session *session, struct lockout_state *out,
                    struct err *e) MUST_USE;

/*
 * For an empty lockoutAuth: sets maxTries 32, one try forgiven per hour, a day
 * after a failed recovery, and the given lockoutAuth (encrypted on the way); takes away the
 * policy by which somebody who was there before would get in. `set`: the TPM has taken the
 * lockoutAuth, also when a later step failed.
 */
int lockout_secure(struct tpm *t, struct session *main, const uint8_t auth[32], bool *set,
                   struct err *e) MUST_USE;

#endif
