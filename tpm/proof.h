#ifndef TPM_PROOF_H
#define TPM_PROOF_H

#include "tpm/token_priv.h"

/* Proofs of the user's PIN for one use of a key (tpm/token.h), seen from tpm/authorise.c. */

/* Was a proof for this key presented that nothing has used yet? */
bool proof_there(const struct token *k, const struct store_key *key);

/* Hands its session over, which satisfies the key's policy, and takes the proof back. E_LOGIN:
 * there is none; E_REMOVED: the TPM was reset since. */
int proof_take(struct token *k, const struct store_key *key, struct session *out,
               struct err *e) MUST_USE;

#endif
