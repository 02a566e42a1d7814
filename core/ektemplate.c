#include "core/ektemplate.h"

#include "core/pubkey.h"

#include <string.h>

/* EK Credential Profile 2.5, B.3 (low range) and B.4 (high range), in the order in which an
 * EK certificate is looked for: strong keys of the high range, then the common low ones. */
static const struct ektemplate rows[] = {
    {0x01C00014, "H-2", "P-256", false, false, TPM2_ALG_ECC, TPM2_ALG_SHA256, 128, 0,
     TPM2_ECC_NIST_P256},
    {0x01C00016, "H-3", "P-384", false, false, TPM2_ALG_ECC, TPM2_ALG_SHA384, 256, 0,
     TPM2_ECC_NIST_P384},
    {0x01C0000A, "L-2", "P-256", true, true, TPM2_ALG_ECC, TPM2_ALG_SHA256, 128, 0,
     TPM2_ECC_NIST_P256},
    {0x01C00018, "H-4", "P-521", false, false, TPM2_ALG_ECC, TPM2_ALG_SHA512, 256, 0,
     TPM2_ECC_NIST_P521},
    {0x01C00012, "H-1", "RSA-2048", false, false, TPM2_ALG_RSA, TPM2_ALG_SHA256, 128, 2048, 0},
    {0x01C0001C, "H-6", "RSA-3072", false, false, TPM2_ALG_RSA, TPM2_ALG_SHA384, 256, 3072, 0},
    {0x01C00002, "L-1", "RSA-2048", true, true, TPM2_ALG_RSA, TPM2_ALG_SHA256, 128, 2048, 0},
};

/* PolicySecret(TPM_RH_ENDORSEMENT): profile, B.6.2. */
static const uint8_t policy_a[] = {
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
    0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
};
/* PolicyOR of that and of PolicyAuthorizeNV over index 01C07F0x: profile, B.6.5. */
static const uint8_t policy_b256[] = {
    0xca, 0x3d, 0x0a, 0x99, 0xa2, 0xb9, 0x39, 0x06, 0xf7, 0xa3, 0x34, 0x24, 0x14, 0xef, 0xcf, 0xb3,
    0xa3, 0x85, 0xd4, 0x4c, 0xd1, 0xfd, 0x45, 0x90, 0x89, 0xd1, 0x9b, 0x50, 0x71, 0xc0, 0xb7, 0xa0,
};
static const uint8_t policy_b384[] = {
    0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc, 0xf5, 0xfd, 0x3a, 0x1a,
    0x07, 0x41, 0x48, 0xbb, 0x35, 0xd3, 0xb4, 0xe4, 0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca,
    0xcb, 0x47, 0xba, 0x09, 0x69, 0x96, 0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12,
};
static const uint8_t policy_b512[] = {
    0xb8, 0x22, 0x1c, 0xa6, 0x9e, 0x85, 0x50, 0xa4, 0x91, 0x4d, 0xe3, 0xfa, 0xa6, 0xa1, 0x8c, 0x07,
    0x2c, 0xc0, 0x12, 0x08, 0x07, 0x3a, 0x92, 0x8d, 0x5d, 0x66, 0xd5, 0x9e, 0xf7, 0x9e, 0x49, 0xa4,
    0x29, 0xc4, 0x1a, 0x6b, 0x26, 0x95, 0x71, 0xd5, 0x7e, 0xdb, 0x25, 0xfb, 0xdb, 0x18, 0x38, 0x42,
    0x56, 0x08, 0xb4, 0x13, 0xcd, 0x61, 0x6a, 0x5f, 0x6d, 0xb5, 0xb6, 0x07, 0x1a, 0xf9, 0x9b, 0xea,
};

const struct ektemplate *ektemplate_of(uint32_t nv_cert)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].nv_cert == nv_cert)
            return &rows[i];
    }
    return NULL;
}

const struct ektemplate *ektemplate_at(size_t i)
{
    return i < ARRAY_LEN(rows) ? &rows[i] : NULL;
}

static struct bytes policy_of(const struct ektemplate *t)
{
    if (t->policy)
        return bytes_of(policy_a, sizeof(policy_a));
    switch (t->name_alg) {
    case TPM2_ALG_SHA384: return bytes_of(policy_b384, sizeof(policy_b384));
    case TPM2_ALG_SHA512: return bytes_of(policy_b512, sizeof(policy_b512));
    default: return bytes_of(policy_b256, sizeof(policy_b256));
    }
}

int ektemplate_public(uint32_t nv_cert, TPMT_PUBLIC *out, struct err *e)
{
    const struct ektemplate *t = ektemplate_of(nv_cert);
    TPMT_SYM_DEF_OBJECT aes = {.algorithm = TPM2_ALG_AES, .mode.aes = TPM2_ALG_CFB};
    struct bytes policy;
    TPMT_PUBLIC pub;

    if (t == NULL)
        return err_set(e, E_UNSUPPORTED, "no EK template belongs to NV index 0x%08x",
                       (unsigned)nv_cert);
    memset(&pub, 0, sizeof(pub));
    aes.keyBits.aes = t->aes_bits;
    policy = policy_of(t);
    pub.type = t->type;
    pub.nameAlg = t->name_alg;
    pub.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                           TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_ADMINWITHPOLICY |
                           TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;
    if (!t->policy)
        pub.objectAttributes |= TPMA_OBJECT_USERWITHAUTH;
    pub.authPolicy.size = (UINT16)policy.len;
    memcpy(pub.authPolicy.buffer, policy.p, policy.len);
    if (t->type == TPM2_ALG_RSA) {
        pub.parameters.rsaDetail = (TPMS_RSA_PARMS){
            .symmetric = aes, .scheme.scheme = TPM2_ALG_NULL, .keyBits = t->rsa_bits};
        pub.unique.rsa.size = (UINT16)(t->low ? t->rsa_bits / 8 : 0);
    } else {
        pub.parameters.eccDetail = (TPMS_ECC_PARMS){.symmetric = aes,
                                                    .scheme.scheme = TPM2_ALG_NULL,
                                                    .curveID = t->curve,
                                                    .kdf.scheme = TPM2_ALG_NULL};
        /* Low range: 32 zero bytes each; its one curve is P-256. */
        pub.unique.ecc.x.size = pub.unique.ecc.y.size = t->low ? 32 : 0;
    }
    *out = pub;
    return 0;
}

int ektemplate_from_cert(uint32_t nv_cert, X509 *cert, TPMT_PUBLIC *out, struct err *e)
{
    const struct ektemplate *t = ektemplate_of(nv_cert);
    TPMT_PUBLIC pub;
    struct pubkey k;

    if (ektemplate_public(nv_cert, &pub, e) != 0 || pubkey_from_x509(&k, cert, e) != 0)
        return -1;
    if (k.type != t->type || (t->type == TPM2_ALG_RSA && pubkey_bits(&k) != t->rsa_bits) ||
        (t->type == TPM2_ALG_ECC && k.curve->tpm != t->curve))
        return err_set(e, E_DATA, "the EK certificate has a key of %s where template %s has %s",
                       pubkey_name(&k), t->id, t->key);
    if (t->type == TPM2_ALG_RSA) {
        /* The templates have the default exponent (profile, B.3.3). */
        if (k.exponent != 65537)
            return err_set(e, E_DATA, "the EK's exponent is %u, not 65537", (unsigned)k.exponent);
        pub.unique.rsa.size = k.n_len;
        memcpy(pub.unique.rsa.buffer, k.n, k.n_len);
    } else {
        pub.unique.ecc.x.size = pub.unique.ecc.y.size = (UINT16)k.curve->size;
        memcpy(pub.unique.ecc.x.buffer, k.point.x, k.curve->size);
        memcpy(pub.unique.ecc.y.buffer, k.point.y, k.curve->size);
    }
    *out = pub;
    return 0;
}
