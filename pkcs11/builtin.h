#ifndef PKCS11_BUILTIN_H
#define PKCS11_BUILTIN_H

#include "pkcs11/index.h"

/*
 * Objects that tell what the module is: a CKO_PROFILE for each profile of the OASIS
 * PKCS #11 Profiles 3.0 that it keeps to, and a CKO_MECHANISM for each mechanism (3.0, 4.12
 * and 4.13). Read only, on every token, found by a search for their class.
 */
int builtin_add(struct index *x, CK_ULONG *last, struct err *e) MUST_USE;

#endif
