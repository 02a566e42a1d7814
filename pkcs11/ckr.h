#ifndef PKCS11_CKR_H
#define PKCS11_CKR_H

#include "core/err.h"
#include "pkcs11/p11.h"

/* What was being done: the same failure has other names in other functions. */
enum ckr_during {
    CKR_DURING_ANY,
    CKR_DURING_LOGIN,     /* C_Login: has no word for a PIN of impossible length */
    CKR_DURING_SIGN,      /* the key may be unable to do it */
    CKR_DURING_VERIFY,    /* data that does not fit is a wrong signature */
    CKR_DURING_ENCRYPT,   /* data may be too long */
    CKR_DURING_DECRYPT,   /* data that does not fit was not encrypted so */
    CKR_DURING_WRAP,      /* the key may be bound to stay */
    CKR_DURING_UNWRAP,    /* what comes in may be no key, or altered */
    CKR_DURING_DERIVE,    /* the other side's value may be no point */
    CKR_DURING_KEYGEN,    /* the TPM may not make such keys */
    CKR_DURING_IMPORT,    /* the caller's key may be no key */
    CKR_DURING_READ_ONLY, /* a store that could be opened for reading only, for any reason */
    CKR_DURING_INIT,      /* C_InitToken: the token may be missing or not ours */
};

/* The return value for a failure; CKR_OK for E_OK. The only place that turns our
 * error codes into CKR_*. */
CK_RV ckr_of(const struct err *e, enum ckr_during during);

#endif
