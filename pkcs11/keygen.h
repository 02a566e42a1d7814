#ifndef PKCS11_KEYGEN_H
#define PKCS11_KEYGEN_H

#include "pkcs11/make.h"
#include "tpm/token.h"

/*
 * What a private key object asks of its TPM key: `sign` from CKA_SIGN and
 * CKA_SIGN_RECOVER, `decrypt` from CKA_DECRYPT, CKA_UNWRAP and CKA_DERIVE; read from
 * the finished row. CKR_TEMPLATE_INCONSISTENT for a key that may do nothing.
 */
CK_RV keygen_uses(const struct made *priv, struct key_spec *spec) MUST_USE;

#endif
