#ifndef TPM_HIERARCHY_H
#define TPM_HIERARCHY_H

#include "tpm/exec.h"

/*
 * The two ways into a hierarchy of the TPM (TPM_RH_OWNER, TPM_RH_LOCKOUT): its authValue and its
 * policy. As the TPM comes both are empty, and whoever is there first may set either. A policy
 * that somebody has set before stays in force when the authValue is set: it has to go, too.
 */

/* TPM2_HierarchyChangeAuth (Part 3, 24.8) from `old` to `fresh`, which is encrypted on the way. */
int hierarchy_set_auth(struct tpm *t, struct session *main, uint32_t hierarchy, struct bytes old,
                       struct bytes fresh, struct err *e) MUST_USE;

/*
 * TPM2_SetPrimaryPolicy (Part 3, 24.3): none. After the authValue was set, and with it: only then
 * can nobody set another policy behind our back.
 */
int hierarchy_no_policy(struct tpm *t, struct session *main, uint32_t hierarchy, struct bytes auth,
                        struct err *e) MUST_USE;

struct hierarchy_policies {
    bool owner, lockout; /* one is set */
};

/* In `session` or without one, as capability_read(). A TPM that cannot tell (before revision
 * 1.38): none is known. */
int hierarchy_policies(struct tpm *t, struct session *session, struct hierarchy_policies *out,
                       struct err *e) MUST_USE;

#endif
