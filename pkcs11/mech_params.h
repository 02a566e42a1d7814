#ifndef PKCS11_MECH_PARAMS_H
#define PKCS11_MECH_PARAMS_H

#include "pkcs11/mech_table.h"

/* The longest byte string in a parameter: labels, additional data, shared information. */
#define MECH_PARAMS_MAX ((size_t)1 << 20)

/*
 * The parameter of a mechanism, read and bounded. Which members count depends on the
 * mechanism's family; the others are zero. Byte strings are the caller's memory still.
 */
struct mech_params {
    const struct alg_hash *hash; /* PSS, OAEP, HKDF; ECDH: of the KDF, NULL for CKD_NULL */
    const struct alg_hash *mgf;  /* PSS, OAEP */
    size_t salt_len;             /* PSS */
    struct bytes label;          /* OAEP: label; ECDH: shared information; HKDF: info;
                                  * MECH_ENCRYPT_DATA: the data */
    uint8_t iv[16];              /* AES modes */
    unsigned counter_bits;       /* CTR, 1 to 128 */
    struct bytes nonce, aad;     /* GCM */
    size_t tag_len;              /* GCM: in bytes, 4 to 16 */
    size_t mac_len;              /* *_GENERAL; 0: the whole */
    struct bytes point;          /* ECDH: the other side's public value as given */
    struct bytes wrap_iv;        /* MECH_KEY_WRAP: 8 or 4 bytes; empty: the default */
    bool extract, expand;        /* HKDF */
    struct bytes salt;           /* HKDF */
    bool salt_is_key;            /* HKDF: `salt_key` instead */
    CK_OBJECT_HANDLE salt_key;
};

/*
 * CKR_MECHANISM_PARAM_INVALID when the parameter is missing, has the wrong length or says
 * something that the mechanism does not know. Nothing is read but `m` and what it points
 * to, within the lengths that it gives.
 */
CK_RV mech_params_read(const struct mech *m, const CK_MECHANISM *given,
                       struct mech_params *out) MUST_USE;

#endif
