#ifndef PKCS11_DERIVE_H
#define PKCS11_DERIVE_H

#include "pkcs11/keyuse.h"
#include "pkcs11/mech_params.h"

/*
 * The secrets that C_DeriveKey makes keys of, by mechanism. `len` is how many bytes are
 * wanted, 0 for as many as the mechanism gives by itself. CKR_KEY_SIZE_RANGE when it cannot
 * give so many.
 */
CK_RV derive_ecdh(const struct keyuse *u, const struct alg_curve *c, const struct mech_params *p,
                  size_t len, struct secret **out) MUST_USE;
CK_RV derive_hkdf(struct p11_session *s, const struct keyuse *u, const struct mech_params *p,
                  size_t len, struct secret **out) MUST_USE;
CK_RV derive_encrypt(const struct keyuse *u, const struct mech *m, const struct mech_params *p,
                     size_t len, struct secret **out) MUST_USE;

#endif
