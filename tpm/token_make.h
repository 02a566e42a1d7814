#ifndef TPM_TOKEN_MAKE_H
#define TPM_TOKEN_MAKE_H

#include "tpm/token_priv.h"

/* What making, resetting and erasing a token have in common. The store is held. */

/* Removes what a provisioning or an erasure that died left in this TPM. Where the TPM's
 * ownerAuth is not known it may be kept by one of those, under the same SO PIN. */
int token_sweep(struct token *k, struct bytes so_pin, struct err *e) MUST_USE;

/* Removes a token that is marked INCOMPLETE. */
int token_discard(struct token *k, struct err *e) MUST_USE;

#endif
