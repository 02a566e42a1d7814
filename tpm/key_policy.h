#ifndef TPM_KEY_POLICY_H
#define TPM_KEY_POLICY_H

#include "core/tpmpolicy.h"
#include "tpm/token_priv.h"

/*
 * What a key's public area says about its uses beside its authValue: authPolicy and the
 * attributes that go with it. For tpm/key.c and tpm/import.c, and for those who read them
 * back.
 */

/* Is this a way of authorising that a key of this kind can have? 0, or E_UNSUPPORTED. Sends
 * nothing. */
int key_policy_check(const struct token *k, const struct key_spec *spec, struct err *e) MUST_USE;

struct pcr_bound;

/*
 * Sets authPolicy, and clears the attributes that do not go with it, in a public area that
 * is complete else. An extractable key loses fixedTPM and fixedParent and may be duplicated
 * by who knows its authValue: PolicyAuthValue, PolicyCommandCode(TPM2_CC_Duplicate).
 *
 * A key that is bound to `pcrs` (NULL: none) loses userWithAuth and is used by PolicyPCR, then
 * PolicyAuthValue; in mode NONE by PolicyPCR alone. Where other values can be approved later,
 * PolicyAuthorize of the SO's key K stands for PolicyPCR (tpm/pcr_approved.h). A key of mode EACH loses it, too: the PIN
 * comes in as PolicySecret of the token's counter index U before PolicyAuthValue. Not
 * PolicySecret alone: the owner of the TPM could define U anew. In mode APPROVED PolicySigned
 * by the approver's key stands there. adminWithPolicy stays clear: TPM2_Certify takes the
 * authValue (Part 1, 19.2: ADMIN role).
 */
int key_policy_set(const struct token *k, const struct key_spec *spec,
                   const uint8_t uuid[STORE_UUID], const struct pcr_bound *pcrs, TPMT_PUBLIC *area,
                   struct err *e) MUST_USE;

/* Is it the public area of a key that was made extractable? 1, 0, or -1 with an error. */
int key_policy_extractable(const TPMT_PUBLIC *area, struct err *e) MUST_USE;

#endif
