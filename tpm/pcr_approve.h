#ifndef TPM_PCR_APPROVE_H
#define TPM_PCR_APPROVE_H

#include "tpm/pcr.h"

/*
 * The SO's side of keys whose PCR values are approved (tpm/pcr_approved.h): K, which only the SO
 * PIN gives, signs a set of values for one key. The TPM cannot forget a signature: an approval
 * ends only as far as every copy of it is gone.
 */

/* The seal of the token's rows, from what R holds: the SO is logged in (E_LOGIN). For finding a
 * key; wipe it. */
int pcr_approve_seal(struct token *k, struct store_seal *out, struct err *e) MUST_USE;

/* Which PCRs a key is bound to. E_ARG: none, or none that others can be approved for. */
int pcr_approve_which(struct token *k, const uint8_t uuid[STORE_UUID], struct key_pcrs *out,
                      struct err *e) MUST_USE;

/* The values of now of these PCRs, from the TPM itself (tpm/pcr.h). */
int pcr_approve_now(struct token *k, const uint8_t uuid[STORE_UUID], struct pcrvalues *out,
                    struct err *e) MUST_USE;

/*
 * Approves these values for the key, and keeps that in the store; with `only` all others go.
 * `n` says how many are approved now. The SO is logged in (E_LOGIN); E_ARG as above, or when a
 * value is missing; E_FULL beyond 16. The scalar of K is wiped. Sends nothing.
 */
int pcr_approve(struct token *k, const uint8_t uuid[STORE_UUID], const struct pcrvalues *values,
                bool only, size_t *n, struct err *e) MUST_USE;

#endif
