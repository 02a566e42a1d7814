#ifndef TPM_APPROVAL_H
#define TPM_APPROVAL_H

#include "core/approval.h"
#include "tpm/token.h"

/*
 * Keys of mode APPROVED: their policy is [PolicyPCR,] PolicySigned(the approver's key,
 * policyRef), PolicyAuthValue. One use goes
 *
 *   user's token:      token_approval_prepare()   a session, and a request for one command
 *   approver's token:  token_approval_sign()      judges the request and signs it
 *   user's token:      token_approval_finish()    the session is satisfied: a proof
 *                      token_present(), the use   as with keys of mode EACH (tpm/token.h)
 *
 * The session lives in the TPM meanwhile: a reset, or another process that needs the room,
 * ends it, and all is to be asked again. What one finish does is one PolicySigned: for a
 * quorum there will be several of them, and a PolicyOR, in the same session.
 */

/* --- the approver --------------------------------------------------------------- */

/*
 * Makes a key for approvals and stores it: ECDSA P-256, the PIN for each use, behind no object
 * (STORE_USE_APPROVER). `label`: 1 to 255 bytes; E_EXISTS. User login; two commands.
 */
int token_approver_create(struct token *k, const char *label, struct approval_approver *out,
                          struct err *e) MUST_USE;

/* One by its label, or by its key's Name (label NULL). E_NOT_FOUND; user login. */
int token_approver_find(struct token *k, const char *label, const TPM2B_NAME *name,
                        struct store_key *key, struct approval_approver *out,
                        struct err *e) MUST_USE;

/*
 * Signs what approval_check() passes (E_REJECTED else, and when another approver is asked),
 * never anything without nonce, cpHash and expiration. A proof of the PIN for `approver` was
 * presented; one command.
 */
int token_approval_sign(struct token *k, const struct store_key *approver,
                        const struct approval_request *r, struct approval_answer *out,
                        struct err *e) MUST_USE;

/* --- the user -------------------------------------------------------------------- */

/* The use to come; exactly one of the three. */
struct approval_use {
    const struct token_sign *sign;
    struct bytes decrypt;         /* an RSA ciphertext, for token_rsa_raw and token_rsa_decrypt */
    const struct ecc_point *peer; /* for token_ecdh */
};

/* What is said beside it. */
struct approval_words {
    const char *label;   /* what the key is called here */
    const char *subject; /* NULL: nothing */
    uint32_t expiration; /* seconds */
};

/*
 * Finds out which command the use will be, starts the session that it will be done in, and
 * writes the request. One command. E_ARG: the key is of another mode; E_UNSUPPORTED: a use
 * that cannot be told beforehand (PSS with another salt than the TPM's).
 */
int token_approval_prepare(struct token *k, const struct store_key *key,
                           const struct approval_use *use, const struct approval_words *words,
                           struct token_proof **out, struct approval_request *request,
                           struct err *e) MUST_USE;

/* While the files travel: flushes all else that this process has in the TPM, and lets other
 * processes have it (tpm_release). */
void token_approval_wait(struct token *k);

/*
 * Gives the TPM the approver's signature: LoadExternal, [PolicyPCR,] PolicySigned, FlushContext,
 * PolicyAuthValue. Then the proof can be presented, for just the use that was prepared.
 * E_REJECTED: it is over other values than those of this session, by another key, or too
 * late; or the PCRs are wrong. The proof can be finished with another answer then.
 * E_REMOVED: the session is gone; prepare anew.
 */
int token_approval_finish(struct token *k, const struct store_key *key, struct token_proof *p,
                          const struct approval_answer *answer, struct err *e) MUST_USE;

#endif
