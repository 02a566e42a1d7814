#ifndef PKCS11_KEYATTR_H
#define PKCS11_KEYATTR_H

#include "core/pubkey.h"
#include "pkcs11/template.h"

/* Public keys between attributes (RSA: 2.1.2; EC: 2.3.3 of the mechanisms) and
 * numbers. */

/* The curve that CKA_EC_PARAMS names, DER of an object identifier; NULL for explicit
 * parameters, other curves and bytes that do not parse. */
const struct alg_curve *keyattr_curve(struct bytes ec_params);

/* A point as CKA_EC_POINT and ECDH parameters hold it: the uncompressed form of X9.62, bare or
 * in an OCTET STRING. False when it is none, or not on the curve. */
bool keyattr_point(struct bytes v, const struct alg_curve *c, struct ecc_point *out);

/*
 * The public key that a template describes for C_CreateObject: MODULUS and
 * PUBLIC_EXPONENT, or EC_PARAMS and EC_POINT. `point` false leaves the point out
 * (private EC keys). CKR_ATTRIBUTE_VALUE_INVALID, CKR_CURVE_NOT_SUPPORTED,
 * CKR_DOMAIN_PARAMS_INVALID.
 */
CK_RV keyattr_from_template(const struct template *t, unsigned group, struct pubkey *out) MUST_USE;

/*
 * Writes a key's own attributes into a row: key type, SubjectPublicKeyInfo, modulus
 * and exponent or curve and point. Where the row has one of them already, from a
 * template, it must say the same (CKR_TEMPLATE_INCONSISTENT); its form is made
 * canonical.
 */
CK_RV keyattr_set(struct store_object *row, unsigned group, const struct pubkey *k) MUST_USE;

/* The CKA_ID that a key and its certificate get when nobody gave one: the same for
 * both, since it is drawn from the public key. KEYATTR_ID bytes. */
#define KEYATTR_ID 20
int keyattr_id(struct bytes spki, uint8_t id[KEYATTR_ID], struct err *e) MUST_USE;

#endif
