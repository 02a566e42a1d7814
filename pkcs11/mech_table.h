#ifndef PKCS11_MECH_TABLE_H
#define PKCS11_MECH_TABLE_H

#include "core/base.h"
#include "pkcs11/p11.h"
#include "tpm/tpm.h"

/* What a mechanism does with its input. */
enum mech_how {
    MECH_KEYGEN,
    MECH_DIGEST,
    MECH_ECDSA,
    MECH_PKCS1, /* RSASSA-PKCS1-v1_5; without a hash the caller brings the DigestInfo */
    MECH_PSS,   /* RSASSA-PSS, parameters from the caller */
    MECH_X509,  /* raw RSA */
};

/* One mechanism. */
struct mech {
    CK_MECHANISM_TYPE type;
    enum mech_how how;
    CK_KEY_TYPE key; /* CKK_RSA or CKK_EC; of no meaning for digests */
    uint16_t hash;   /* TPM2_ALG_* of the digest that is made here; 0: the caller's */
    CK_FLAGS flags;
};

/* The row of a mechanism; NULL when this token does not have it. */
const struct mech *mech_table_row(CK_MECHANISM_TYPE type);

/* All of them, in the order in which they are listed. */
const struct mech *mech_table_all(size_t *n);

/* C_GetMechanismInfo's answer: key sizes in bits as this TPM has them (`caps` may be
 * NULL when nothing is known about it), 0 for digests. */
void mech_table_info(const struct mech *m, const struct tpm_caps *caps, CK_MECHANISM_INFO *out);

/* TPM2_ALG_* of a hash mechanism (CKM_SHA256 ...) and of a mask generation function
 * (CKG_MGF1_SHA256 ...); 0 when there is none. */
uint16_t mech_table_hash(CK_MECHANISM_TYPE type);
uint16_t mech_table_mgf(CK_RSA_PKCS_MGF_TYPE mgf);

#endif
