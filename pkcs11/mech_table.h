#ifndef PKCS11_MECH_TABLE_H
#define PKCS11_MECH_TABLE_H

#include "core/alg.h"
#include "pkcs11/p11.h"
#include "tpm/tpm.h"

/* What a mechanism does with its input. Mechanisms of one family share their code. */
enum mech_family {
    MECH_KEY_PAIR,
    MECH_SECRET_KEY, /* generation; `variant` is the CKK_* that comes out */
    MECH_DIGEST,
    MECH_ECDSA,
    MECH_PKCS1, /* RSASSA and RSAES-PKCS1-v1_5; without a hash the caller brings the DigestInfo */
    MECH_PSS,   /* RSASSA-PSS, parameters from the caller */
    MECH_X509,  /* raw RSA */
    MECH_OAEP,
    MECH_AES, /* the plain modes; `variant` is a MECH_AES_* */
    MECH_GCM,
    MECH_CMAC,         /* `variant` 1: the caller says how long the MAC is */
    MECH_HMAC,         /* likewise */
    MECH_KEY_WRAP,     /* RFC 3394; `variant` 1: RFC 5649 */
    MECH_ECDH,         /* P-256 and its like have the cofactor 1: one family */
    MECH_HKDF,         /* `variant` 1: the result is a data object */
    MECH_ENCRYPT_DATA, /* derivation by encryption; `variant` is a MECH_AES_* */
};

enum { MECH_AES_ECB, MECH_AES_CBC, MECH_AES_CBC_PAD, MECH_AES_CTR, MECH_AES_CFB, MECH_AES_OFB };

/* What kind of key it takes or makes. */
enum mech_key {
    MECH_KEY_NONE,
    MECH_KEY_RSA,
    MECH_KEY_EC,
    MECH_KEY_AES,
    MECH_KEY_MAC, /* CKK_GENERIC_SECRET, and CKK_SHA256_HMAC ... of the mechanism's hash */
    MECH_KEY_KDF, /* CKK_HKDF and CKK_GENERIC_SECRET */
};

/* One mechanism. */
struct mech {
    CK_MECHANISM_TYPE type;
    enum mech_family family;
    enum mech_key key;
    int hash; /* NID_sha256 ... of the digest that is made here; 0: the caller's, or none */
    unsigned variant;
    CK_FLAGS flags;
};

/* The row of a mechanism; NULL when this token does not have it. */
const struct mech *mech_table_row(CK_MECHANISM_TYPE type);

/* All of them, in the order in which they are listed. */
const struct mech *mech_table_all(size_t *n);

/* True for those that would sign over SHA-1, which takes an administrator's decision or
 * the key's own list of mechanisms. */
bool mech_table_weak(const struct mech *m);

/*
 * C_GetMechanismInfo's answer: key sizes in bits for RSA and EC as this TPM has them (`caps`
 * may be NULL when nothing is known about it), in bytes for AES and MACs, 0 for digests.
 * `sha1`: signing over SHA-1 is allowed.
 */
void mech_table_info(const struct mech *m, const struct tpm_caps *caps, bool sha1,
                     CK_MECHANISM_INFO *out);

/* May a mechanism use keys of this type? */
bool mech_table_takes(const struct mech *m, CK_KEY_TYPE type);

/* The hash of a digest mechanism (CKM_SHA256 ...), of a mask generation function
 * (CKG_MGF1_SHA256 ...) and of a key derivation function (CKD_SHA256_KDF ...); NULL when
 * there is none. */
const struct alg_hash *mech_table_hash(CK_MECHANISM_TYPE type);
const struct alg_hash *mech_table_mgf(CK_RSA_PKCS_MGF_TYPE mgf);
const struct alg_hash *mech_table_kdf(CK_ULONG kdf);

#endif
