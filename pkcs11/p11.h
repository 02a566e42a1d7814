#ifndef PKCS11_P11_H
#define PKCS11_P11_H

/*
 * The PKCS#11 types, from p11-kit's header, and the few constants of PKCS#11
 * 2.40 and 3.0 that it lacks. The only include of that header.
 */
#include <p11-kit/pkcs11.h>

/* PKCS#11 3.0, 4.5: searched for by applications, always with an empty result. */
#ifndef CKO_PROFILE
#define CKO_PROFILE (9UL)
#endif

/* PKCS#11 2.40, 2.3.4 (certificate objects): the default of NAME_HASH_ALGORITHM. */
#ifndef CKM_SHA_1
#define CKM_SHA_1 (0x220UL)
#endif

/* "Not known": what C_GetAttributeValue writes into ulValueLen (5.7). */
#define P11_NO_LENGTH CK_UNAVAILABLE_INFORMATION

#endif
