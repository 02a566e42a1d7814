#include "pkcs11/mech_table.h"

#include <openssl/obj_mac.h>

/* 2.3.1: prime fields, named curves, uncompressed points. */
#define EC_FORM (CKF_EC_F_P | CKF_EC_NAMEDCURVE | CKF_EC_UNCOMPRESS)
#define SIGN \
    (CKF_HW | CKF_SIGN | CKF_VERIFY | CKF_MESSAGE_SIGN | CKF_MESSAGE_VERIFY | CKF_MULTI_MESSAGE)
#define RECOVER (CKF_SIGN_RECOVER | CKF_VERIFY_RECOVER)
#define CRYPT (CKF_HW | CKF_ENCRYPT | CKF_DECRYPT)
#define WRAP (CKF_WRAP | CKF_UNWRAP)
#define MESSAGES (CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT | CKF_MULTI_MESSAGE)
#define GENERATE (CKF_HW | CKF_GENERATE)
#define DERIVE (CKF_HW | CKF_DERIVE)

/* clang-format off */
static const struct mech table[] = {
    {CKM_RSA_PKCS_KEY_PAIR_GEN, MECH_KEY_PAIR, MECH_KEY_RSA, 0, 0, CKF_HW | CKF_GENERATE_KEY_PAIR},
    {CKM_RSA_PKCS,          MECH_PKCS1, MECH_KEY_RSA, 0,          0, SIGN | RECOVER | CRYPT | WRAP},
    {CKM_RSA_X_509,         MECH_X509,  MECH_KEY_RSA, 0,          0, SIGN | RECOVER | CRYPT},
    {CKM_RSA_PKCS_OAEP,     MECH_OAEP,  MECH_KEY_RSA, 0,          0, CRYPT | WRAP},
    {CKM_SHA1_RSA_PKCS,     MECH_PKCS1, MECH_KEY_RSA, NID_sha1,   0, SIGN},
    {CKM_SHA224_RSA_PKCS,   MECH_PKCS1, MECH_KEY_RSA, NID_sha224, 0, SIGN},
    {CKM_SHA256_RSA_PKCS,   MECH_PKCS1, MECH_KEY_RSA, NID_sha256, 0, SIGN},
    {CKM_SHA384_RSA_PKCS,   MECH_PKCS1, MECH_KEY_RSA, NID_sha384, 0, SIGN},
    {CKM_SHA512_RSA_PKCS,   MECH_PKCS1, MECH_KEY_RSA, NID_sha512, 0, SIGN},
    {CKM_RSA_PKCS_PSS,      MECH_PSS,   MECH_KEY_RSA, 0,          0, SIGN},
    {CKM_SHA1_RSA_PKCS_PSS, MECH_PSS,   MECH_KEY_RSA, NID_sha1,   0, SIGN},
    {CKM_SHA224_RSA_PKCS_PSS, MECH_PSS, MECH_KEY_RSA, NID_sha224, 0, SIGN},
    {CKM_SHA256_RSA_PKCS_PSS, MECH_PSS, MECH_KEY_RSA, NID_sha256, 0, SIGN},
    {CKM_SHA384_RSA_PKCS_PSS, MECH_PSS, MECH_KEY_RSA, NID_sha384, 0, SIGN},
    {CKM_SHA512_RSA_PKCS_PSS, MECH_PSS, MECH_KEY_RSA, NID_sha512, 0, SIGN},

    {CKM_EC_KEY_PAIR_GEN,   MECH_KEY_PAIR, MECH_KEY_EC, 0, 0, CKF_HW | CKF_GENERATE_KEY_PAIR | EC_FORM},
    {CKM_ECDSA,             MECH_ECDSA, MECH_KEY_EC, 0,          0, SIGN | EC_FORM},
    {CKM_ECDSA_SHA1,        MECH_ECDSA, MECH_KEY_EC, NID_sha1,   0, SIGN | EC_FORM},
    {CKM_ECDSA_SHA224,      MECH_ECDSA, MECH_KEY_EC, NID_sha224, 0, SIGN | EC_FORM},
    {CKM_ECDSA_SHA256,      MECH_ECDSA, MECH_KEY_EC, NID_sha256, 0, SIGN | EC_FORM},
    {CKM_ECDSA_SHA384,      MECH_ECDSA, MECH_KEY_EC, NID_sha384, 0, SIGN | EC_FORM},
    {CKM_ECDSA_SHA512,      MECH_ECDSA, MECH_KEY_EC, NID_sha512, 0, SIGN | EC_FORM},
    {CKM_ECDH1_DERIVE,      MECH_ECDH,  MECH_KEY_EC, 0,          0, DERIVE | EC_FORM},
    {CKM_ECDH1_COFACTOR_DERIVE, MECH_ECDH, MECH_KEY_EC, 0,       0, DERIVE | EC_FORM},

    {CKM_AES_KEY_GEN,       MECH_SECRET_KEY, MECH_KEY_AES, 0, CKK_AES, GENERATE},
    {CKM_AES_ECB,           MECH_AES,  MECH_KEY_AES, 0, MECH_AES_ECB,     CRYPT | WRAP},
    {CKM_AES_CBC,           MECH_AES,  MECH_KEY_AES, 0, MECH_AES_CBC,     CRYPT | WRAP},
    {CKM_AES_CBC_PAD,       MECH_AES,  MECH_KEY_AES, 0, MECH_AES_CBC_PAD, CRYPT | WRAP},
    {CKM_AES_CTR,           MECH_AES,  MECH_KEY_AES, 0, MECH_AES_CTR,     CRYPT},
    {CKM_AES_CFB128,        MECH_AES,  MECH_KEY_AES, 0, MECH_AES_CFB,     CRYPT},
    {CKM_AES_OFB,           MECH_AES,  MECH_KEY_AES, 0, MECH_AES_OFB,     CRYPT},
    {CKM_AES_GCM,           MECH_GCM,  MECH_KEY_AES, 0, 0, CRYPT | MESSAGES},
    {CKM_AES_CMAC,          MECH_CMAC, MECH_KEY_AES, 0, 0, SIGN},
    {CKM_AES_CMAC_GENERAL,  MECH_CMAC, MECH_KEY_AES, 0, 1, SIGN},
    {CKM_AES_KEY_WRAP,      MECH_KEY_WRAP, MECH_KEY_AES, 0, 0, CKF_HW | WRAP},
    {CKM_AES_KEY_WRAP_PAD,  MECH_KEY_WRAP, MECH_KEY_AES, 0, 1, CKF_HW | WRAP},
    {CKM_AES_KEY_WRAP_KWP,  MECH_KEY_WRAP, MECH_KEY_AES, 0, 1, CKF_HW | WRAP},
    {CKM_AES_ECB_ENCRYPT_DATA, MECH_ENCRYPT_DATA, MECH_KEY_AES, 0, MECH_AES_ECB, DERIVE},
    {CKM_AES_CBC_ENCRYPT_DATA, MECH_ENCRYPT_DATA, MECH_KEY_AES, 0, MECH_AES_CBC, DERIVE},

    {CKM_GENERIC_SECRET_KEY_GEN, MECH_SECRET_KEY, MECH_KEY_MAC, 0, CKK_GENERIC_SECRET, GENERATE},
    {CKM_SHA_1_KEY_GEN,     MECH_SECRET_KEY, MECH_KEY_MAC, NID_sha1,   CKK_SHA_1_HMAC,  GENERATE},
    {CKM_SHA256_KEY_GEN,    MECH_SECRET_KEY, MECH_KEY_MAC, NID_sha256, CKK_SHA256_HMAC, GENERATE},
    {CKM_SHA384_KEY_GEN,    MECH_SECRET_KEY, MECH_KEY_MAC, NID_sha384, CKK_SHA384_HMAC, GENERATE},
    {CKM_SHA512_KEY_GEN,    MECH_SECRET_KEY, MECH_KEY_MAC, NID_sha512, CKK_SHA512_HMAC, GENERATE},
    {CKM_SHA_1_HMAC,        MECH_HMAC, MECH_KEY_MAC, NID_sha1,   0, SIGN},
    {CKM_SHA_1_HMAC_GENERAL, MECH_HMAC, MECH_KEY_MAC, NID_sha1,  1, SIGN},
    {CKM_SHA256_HMAC,       MECH_HMAC, MECH_KEY_MAC, NID_sha256, 0, SIGN},
    {CKM_SHA256_HMAC_GENERAL, MECH_HMAC, MECH_KEY_MAC, NID_sha256, 1, SIGN},
    {CKM_SHA384_HMAC,       MECH_HMAC, MECH_KEY_MAC, NID_sha384, 0, SIGN},
    {CKM_SHA384_HMAC_GENERAL, MECH_HMAC, MECH_KEY_MAC, NID_sha384, 1, SIGN},
    {CKM_SHA512_HMAC,       MECH_HMAC, MECH_KEY_MAC, NID_sha512, 0, SIGN},
    {CKM_SHA512_HMAC_GENERAL, MECH_HMAC, MECH_KEY_MAC, NID_sha512, 1, SIGN},
    {CKM_HKDF_KEY_GEN,      MECH_SECRET_KEY, MECH_KEY_KDF, 0, CKK_HKDF, GENERATE},
    {CKM_HKDF_DERIVE,       MECH_HKDF, MECH_KEY_KDF, 0, 0, DERIVE},
    {CKM_HKDF_DATA,         MECH_HKDF, MECH_KEY_KDF, 0, 1, DERIVE},

    {CKM_SHA_1,             MECH_DIGEST, MECH_KEY_NONE, NID_sha1,   0, CKF_DIGEST},
    {CKM_SHA224,            MECH_DIGEST, MECH_KEY_NONE, NID_sha224, 0, CKF_DIGEST},
    {CKM_SHA256,            MECH_DIGEST, MECH_KEY_NONE, NID_sha256, 0, CKF_DIGEST},
    {CKM_SHA384,            MECH_DIGEST, MECH_KEY_NONE, NID_sha384, 0, CKF_DIGEST},
    {CKM_SHA512,            MECH_DIGEST, MECH_KEY_NONE, NID_sha512, 0, CKF_DIGEST},
};
/* clang-format on */

/* Key types that go with one hash. */
static const struct {
    CK_KEY_TYPE type;
    int hash;
} hmac_types[] = {
    {CKK_SHA_1_HMAC, NID_sha1},
    {CKK_SHA256_HMAC, NID_sha256},
    {CKK_SHA384_HMAC, NID_sha384},
    {CKK_SHA512_HMAC, NID_sha512},
};

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

bool mech_table_weak(const struct mech *m)
{
    return m->hash == NID_sha1 && (m->key == MECH_KEY_RSA || m->key == MECH_KEY_EC);
}

static void key_sizes(const struct mech *m, const struct tpm_caps *caps, CK_MECHANISM_INFO *i)
{
    switch (m->key) {
    case MECH_KEY_RSA:
        /* What every TPM of the PC Client profile has, then what this one adds. */
        i->ulMinKeySize = i->ulMaxKeySize = 2048;
        if (caps != NULL && caps->rsa3072)
            i->ulMaxKeySize = 3072;
        if (caps != NULL && caps->rsa4096)
            i->ulMaxKeySize = 4096;
        break;
    case MECH_KEY_EC:
        i->ulMinKeySize = 256;
        i->ulMaxKeySize = caps == NULL || caps->p384 ? 384 : 256;
        if (caps != NULL && caps->p521)
            i->ulMaxKeySize = 521;
        break;
    case MECH_KEY_AES:
        i->ulMinKeySize = 16;
        i->ulMaxKeySize = 32;
        break;
    case MECH_KEY_MAC:
    case MECH_KEY_KDF:
        /* MAX_SYM_DATA of the TPM; 2.5: generic secrets count in bits. */
        i->ulMinKeySize = m->type == CKM_GENERIC_SECRET_KEY_GEN ? 8 : 1;
        i->ulMaxKeySize = m->type == CKM_GENERIC_SECRET_KEY_GEN ? 1024 : 128;
        break;
    case MECH_KEY_NONE: break;
    }
}

void mech_table_info(const struct mech *m, const struct tpm_caps *caps, bool sha1,
                     CK_MECHANISM_INFO *out)
{
    CK_MECHANISM_INFO i = {.flags = m->flags};

    if (mech_table_weak(m) && !sha1)
        i.flags &= ~(CK_FLAGS)(CKF_SIGN | CKF_MESSAGE_SIGN);
    key_sizes(m, caps, &i);
    *out = i;
}

bool mech_table_takes(const struct mech *m, CK_KEY_TYPE type)
{
    switch (m->key) {
    case MECH_KEY_RSA: return type == CKK_RSA;
    case MECH_KEY_EC: return type == CKK_EC;
    case MECH_KEY_AES: return type == CKK_AES;
    case MECH_KEY_KDF: return type == CKK_HKDF || type == CKK_GENERIC_SECRET;
    case MECH_KEY_MAC:
        for (size_t i = 0; i < ARRAY_LEN(hmac_types); i++) {
            if (hmac_types[i].type == type)
                return hmac_types[i].hash == m->hash;
        }
        return type == CKK_GENERIC_SECRET;
    case MECH_KEY_NONE: break;
    }
    return false;
}

const struct alg_hash *mech_table_hash(CK_MECHANISM_TYPE type)
{
    const struct mech *m = mech_table_row(type);

    return m != NULL && m->family == MECH_DIGEST ? alg_hash_nid(m->hash) : NULL;
}

const struct alg_hash *mech_table_mgf(CK_RSA_PKCS_MGF_TYPE mgf)
{
    switch (mgf) {
    case CKG_MGF1_SHA1: return alg_hash_nid(NID_sha1);
    case CKG_MGF1_SHA224: return alg_hash_nid(NID_sha224);
    case CKG_MGF1_SHA256: return alg_hash_nid(NID_sha256);
    case CKG_MGF1_SHA384: return alg_hash_nid(NID_sha384);
    case CKG_MGF1_SHA512: return alg_hash_nid(NID_sha512);
    default: return NULL;
    }
}

const struct alg_hash *mech_table_kdf(CK_ULONG kdf)
{
    switch (kdf) {
    case CKD_SHA1_KDF: return alg_hash_nid(NID_sha1);
    case CKD_SHA224_KDF: return alg_hash_nid(NID_sha224);
    case CKD_SHA256_KDF: return alg_hash_nid(NID_sha256);
    case CKD_SHA384_KDF: return alg_hash_nid(NID_sha384);
    case CKD_SHA512_KDF: return alg_hash_nid(NID_sha512);
    default: return NULL;
    }
}
