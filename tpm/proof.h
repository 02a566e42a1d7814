#ifndef TPM_PROOF_H
#define TPM_PROOF_H

#include "tpm/token_priv.h"

/* Proofs for one use of a key (tpm/token.h, tpm/approval.h), seen from tpm/authorise.c. */

struct token_proof {
    uint8_t uuid[STORE_UUID];
    unsigned generation;
    bool ready;             /* the session satisfies the key's policy */
    bool pcrs;              /* its PolicyPCR, if any, was done */
    struct session session; /* handle 0: used up */
};

/* A proof for a key whose session is started and still to be satisfied. NULL: E_MEMORY. */
struct token_proof *proof_new(struct token *k, const struct store_key *key, struct err *e) MUST_USE;

/* Is its session still what it was, for what we know? */
bool proof_live(struct token *k, const struct token_proof *p);

/* Was a proof for this key presented that nothing has used yet? */
bool proof_there(const struct token *k, const struct store_key *key);

/* Hands its session over, which satisfies the key's policy, and takes the proof back. E_LOGIN:
 * there is none; E_REMOVED: the TPM was reset since. */
int proof_take(struct token *k, const struct store_key *key, struct session *out,
               struct err *e) MUST_USE;

#endif
