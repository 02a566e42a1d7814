#ifndef PKCS11_IMPORT_H
#define PKCS11_IMPORT_H

#include "core/pubkey.h"
#include "pkcs11/make.h"

/*
 * C_CreateObject of a private key that exists outside: TPM2_Import, once, after
 * which only the TPM has use of it here. `m` was filled by make_read; its key and
 * key attributes are added. RSA needs CKA_PRIME_1 (the TPM takes a factor), EC
 * CKA_VALUE. The object is never CKA_LOCAL, ALWAYS_SENSITIVE or NEVER_EXTRACTABLE.
 */
CK_RV import_key(struct p11_session *s, const struct template *t, struct made *m) MUST_USE;

/* The same for a key that was unwrapped: `k` and its secret part, a scalar or one prime. */
CK_RV import_unwrapped(struct p11_session *s, const struct pubkey *k, struct bytes part,
                       struct made *m) MUST_USE;

#endif
