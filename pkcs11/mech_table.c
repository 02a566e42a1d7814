#include "pkcs11/mech_table.h"

#include <tss2/tss2_tpm2_types.h>

/* 2.3.1: prime fields, named curves, uncompressed points. */
#define EC_FORM (CKF_EC_F_P | CKF_EC_NAMEDCURVE | CKF_EC_UNCOMPRESS)
#define SIGN (CKF_HW | CKF_SIGN | CKF_VERIFY)

/* clang-format off */
static const struct mech table[] = {
    {CKM_RSA_PKCS_KEY_PAIR_GEN, MECH_KEYGEN, CKK_RSA, 0, CKF_HW | CKF_GENERATE_KEY_PAIR},
    {CKM_EC_KEY_PAIR_GEN,   MECH_KEYGEN, CKK_EC,  0, CKF_HW | CKF_GENERATE_KEY_PAIR | EC_FORM},
    {CKM_ECDSA,             MECH_ECDSA,  CKK_EC,  0,               SIGN | EC_FORM},
    {CKM_ECDSA_SHA1,        MECH_ECDSA,  CKK_EC,  TPM2_ALG_SHA1,   SIGN | EC_FORM},
    {CKM_ECDSA_SHA256,      MECH_ECDSA,  CKK_EC,  TPM2_ALG_SHA256, SIGN | EC_FORM},
    {CKM_ECDSA_SHA384,      MECH_ECDSA,  CKK_EC,  TPM2_ALG_SHA384, SIGN | EC_FORM},
    {CKM_ECDSA_SHA512,      MECH_ECDSA,  CKK_EC,  TPM2_ALG_SHA512, SIGN | EC_FORM},
    {CKM_RSA_PKCS,          MECH_PKCS1,  CKK_RSA, 0,               SIGN},
    {CKM_SHA1_RSA_PKCS,     MECH_PKCS1,  CKK_RSA, TPM2_ALG_SHA1,   SIGN},
    {CKM_SHA256_RSA_PKCS,   MECH_PKCS1,  CKK_RSA, TPM2_ALG_SHA256, SIGN},
    {CKM_SHA384_RSA_PKCS,   MECH_PKCS1,  CKK_RSA, TPM2_ALG_SHA384, SIGN},
    {CKM_SHA512_RSA_PKCS,   MECH_PKCS1,  CKK_RSA, TPM2_ALG_SHA512, SIGN},
    {CKM_RSA_PKCS_PSS,      MECH_PSS,    CKK_RSA, 0,               SIGN},
    {CKM_SHA1_RSA_PKCS_PSS, MECH_PSS,    CKK_RSA, TPM2_ALG_SHA1,   SIGN},
    {CKM_SHA256_RSA_PKCS_PSS, MECH_PSS,  CKK_RSA, TPM2_ALG_SHA256, SIGN},
    {CKM_SHA384_RSA_PKCS_PSS, MECH_PSS,  CKK_RSA, TPM2_ALG_SHA384, SIGN},
    {CKM_SHA512_RSA_PKCS_PSS, MECH_PSS,  CKK_RSA, TPM2_ALG_SHA512, SIGN},
    {CKM_RSA_X_509,         MECH_X509,   CKK_RSA, 0,               SIGN},
    {CKM_SHA_1,             MECH_DIGEST, CKK_RSA, TPM2_ALG_SHA1,   CKF_DIGEST},
    {CKM_SHA256,            MECH_DIGEST, CKK_RSA, TPM2_ALG_SHA256, CKF_DIGEST},
    {CKM_SHA384,            MECH_DIGEST, CKK_RSA, TPM2_ALG_SHA384, CKF_DIGEST},
    {CKM_SHA512,            MECH_DIGEST, CKK_RSA, TPM2_ALG_SHA512, CKF_DIGEST},
};
/* clang-format on */

const struct mech *mech_table_row(CK_MECHANISM_TYPE type)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].type == type)
            return &table[i];
    }
    return NULL;
}

const struct mech *mech_table_all(size_t *n)
{
    *n = ARRAY_LEN(table);
    return table;
}

void mech_table_info(const struct mech *m, const struct tpm_caps *caps, CK_MECHANISM_INFO *out)
{
    CK_MECHANISM_INFO i = {.flags = m->flags};

    if (m->how == MECH_DIGEST) {
        *out = i;
        return;
    }
    /* What every TPM of the PC Client profile has, then what this one adds. */
    if (m->key == CKK_RSA) {
        i.ulMinKeySize = i.ulMaxKeySize = 2048;
        if (caps != NULL && caps->rsa3072)
            i.ulMaxKeySize = 3072;
        if (caps != NULL && caps->rsa4096)
            i.ulMaxKeySize = 4096;
    } else {
        i.ulMinKeySize = 256;
        i.ulMaxKeySize = caps == NULL || caps->p384 ? 384 : 256;
        if (caps != NULL && caps->p521)
            i.ulMaxKeySize = 521;
    }
    *out = i;
}

uint16_t mech_table_hash(CK_MECHANISM_TYPE type)
{
    const struct mech *m = mech_table_row(type);

    return m != NULL && m->how == MECH_DIGEST ? m->hash : 0;
}

uint16_t mech_table_mgf(CK_RSA_PKCS_MGF_TYPE mgf)
{
    switch (mgf) {
    case CKG_MGF1_SHA1: return TPM2_ALG_SHA1;
    case CKG_MGF1_SHA256: return TPM2_ALG_SHA256;
    case CKG_MGF1_SHA384: return TPM2_ALG_SHA384;
    case CKG_MGF1_SHA512: return TPM2_ALG_SHA512;
    default: return 0;
    }
}
