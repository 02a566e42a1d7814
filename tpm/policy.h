#ifndef TPM_POLICY_H
#define TPM_POLICY_H

#include "core/tpmpolicy.h"
#include "tpm/exec.h"

/* The policy commands (Part 3, 23) on a policy session. Digests are computed in
 * software by core/tpmpolicy; these make the TPM follow. One command each. */

/*
 * Starts a policy session inside `under`, an HMAC session salted to the same key. The HMACs
 * of the command prove, before any authValue is used, that the other side is the TPM which
 * holds that key: another one answers TPM_RC_BAD_AUTH and counts nothing.
 */
int policy_start(struct tpm *t, const struct salt_key *key, struct session *under,
                 struct session *out, struct err *e) MUST_USE;

int policy_secret(struct tpm *t, struct session *p, struct session *hmac, uint32_t entity,
                  const TPM2B_NAME *name, struct bytes auth, struct err *e) MUST_USE;
int policy_authvalue(struct tpm *t, struct session *p, struct err *e) MUST_USE;
int policy_command(struct tpm *t, struct session *p, TPM2_CC code, struct err *e) MUST_USE;
int policy_nvwritten(struct tpm *t, struct session *p, bool written, struct err *e) MUST_USE;
/* `digest`: what the values must give; TPM_RC_VALUE when they do not. */
int policy_pcr(struct tpm *t, struct session *p, const TPML_PCR_SELECTION *pcrs,
               const TPM2B_DIGEST *digest, struct err *e) MUST_USE;
int policy_or(struct tpm *t, struct session *p, const struct tpmpolicy *branch, size_t n,
              struct err *e) MUST_USE;

/* PolicySigned (Part 3, 23.3) with the signature of somebody else, by the key whose public half
 * is loaded at `key`. The nonce is that of the session: a signature over another one is
 * refused with TPM_RC_SIGNATURE, one that came too late with TPM_RC_EXPIRED. */
struct policy_signature {
    struct bytes cp_hash;
    const TPM2B_NONCE *ref;
    uint32_t expiration;
    const TPMT_SIGNATURE *signature;
};
int policy_signed_by(struct tpm *t, struct session *p, uint32_t key,
                     const struct policy_signature *s, struct err *e) MUST_USE;

/* PolicyAuthorize (Part 3, 23.16): the session's digest is `approved`, and `ticket` says that
 * `key` signed it with `ref`. */
int policy_authorize(struct tpm *t, struct session *p, const struct tpmpolicy *approved,
                     const TPM2B_NONCE *ref, const TPM2B_NAME *key, const TPMT_TK_VERIFIED *ticket,
                     struct err *e) MUST_USE;

/* PolicySigned over nonceTPM with a P-256 key of ours that is loaded at `key`;
 * `d` is its private scalar. */
int policy_signed(struct tpm *t, struct session *p, uint32_t key, const uint8_t d[32],
                  struct err *e) MUST_USE;

#endif
