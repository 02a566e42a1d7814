#ifndef PKCS11_CERT_H
#define PKCS11_CERT_H

#include "pkcs11/index.h"
#include "pkcs11/make.h"

/*
 * Completes a certificate object (4.6.3): SUBJECT, ISSUER, SERIAL_NUMBER,
 * PUBLIC_KEY_INFO and CHECK_VALUE are read from VALUE; what the template gave of
 * them must agree (CKR_TEMPLATE_INCONSISTENT); a serial number may lack its DER header,
 * and gets it. Without an ID it gets that of the
 * key that it certifies, so that applications find one by the other.
 * CKR_ATTRIBUTE_VALUE_INVALID: no X.509 certificate.
 */
CK_RV cert_complete(struct store_object *row, struct index *x) MUST_USE;

#endif
