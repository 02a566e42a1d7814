#ifndef PKCS11_KEYSPEC_H
#define PKCS11_KEYSPEC_H

#include "pkcs11/make.h"
#include "tpm/token.h"

/*
 * What a private key object asks of its TPM key, read from the finished row: `sign` from
 * CKA_SIGN and CKA_SIGN_RECOVER, `decrypt` from CKA_DECRYPT, CKA_UNWRAP and CKA_DERIVE,
 * `extractable` from CKA_EXTRACTABLE, and how its use is authorised from
 * CKA_ALWAYS_AUTHENTICATE, CKA_FUSETSU_AUTH_MODE and CKA_FUSETSU_PCRS, which are made to
 * agree. CKR_TEMPLATE_INCONSISTENT for a key that may do nothing, or whose authorisation
 * contradicts itself; CKR_ATTRIBUTE_VALUE_INVALID for a mode or PCRs that do not exist.
 */
CK_RV keyspec_of(struct made *priv, struct key_spec *spec) MUST_USE;

/* PCRs as text: a hash, a colon, and numbers from 0 to 23 between commas: "sha256:0,2,7".
 * False when it is something else. Empty text is no PCRs. */
bool keyspec_pcrs(struct bytes text, struct key_pcrs *out);

/*
 * Shows what the TPM calls the key (p11.h: CKA_FUSETSU_NAME and its like), read only. What
 * cannot be told is left out.
 */
CK_RV keyspec_identity(struct p11_session *s, struct made *m) MUST_USE;

#endif
