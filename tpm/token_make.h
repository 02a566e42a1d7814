#ifndef TPM_TOKEN_MAKE_H
#define TPM_TOKEN_MAKE_H

#include "tpm/token_priv.h"

/* What making, resetting and erasing a token have in common. The store is held. */

/* The store's row of this TPM, by its storage primary; proved and made when it is new. Fills
 * in what the report says of that. */
int token_hw(struct tpm *t, struct store *s, struct bytes issuers, struct store_tpm *out,
             struct token_report *report, struct err *e) MUST_USE;

/* Removes what a provisioning or an erasure that died left in this TPM. E_DENIED when ownerAuth is
 * set and not known; one of those may keep it (token_owner). */
int token_sweep(struct token *k, struct err *e) MUST_USE;

/* Removes a token that is marked INCOMPLETE. */
int token_discard(struct token *k, struct err *e) MUST_USE;

#endif
