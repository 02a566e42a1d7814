#ifndef TPM_PCR_APPROVED_H
#define TPM_PCR_APPROVED_H

#include "tpm/pcr.h"
#include "tpm/token_priv.h"

/*
 * Keys that are bound to PCRs whose values the SO approves, so that a firmware update takes no
 * new key: their policy begins with PolicyAuthorize(K, policyRef) instead of PolicyPCR. For
 * each set of values K has signed aHash = H(approvedPolicy ‖ policyRef) (Part 3, 23.16),
 * approvedPolicy being that of PolicyPCR alone; the signatures are kept with the key. The
 * policyRef is the key's own: what is approved for one key is worth nothing for another.
 *
 * K also signs for PolicySigned when the SO resets a PIN. Neither signature can be taken for the
 * other: those are over 4, 36, or at least 48 bytes of which the first 16 or more are a nonce of
 * the TPM, these over 64 that begin with a digest.
 */

/* Starts a policy with it. The K is the one that the user's login has confirmed: E_LOGIN. */
int pcr_approved_policy(const struct token *k, const uint8_t uuid[STORE_UUID],
                        struct tpmpolicy *out, struct err *e) MUST_USE;

/* The name of such an approval: H(approvedPolicy ‖ policyRef), which K signs. */
int pcr_approved_digest(const uint8_t uuid[STORE_UUID], const struct pcr_bound *b,
                        struct tpmpolicy *approved, TPM2B_NONCE *ref, uint8_t out[32],
                        struct err *e) MUST_USE;

/*
 * pcr_satisfy(), also for keys whose PCRs are approved: PolicyPCR with one approved set after
 * the other, the newest first, then PolicyAuthorize. The TPM checks K's signature with three
 * commands more; this process remembers its ticket. E_REJECTED: the values are not among
 * those approved. What this process has loaded is flushed for room only if it `may_flush`.
 */
int pcr_approved_satisfy(struct token *k, const struct store_key *key, const struct pcr_bound *b,
                         bool may_flush, struct session *p, struct err *e) MUST_USE;

#endif
