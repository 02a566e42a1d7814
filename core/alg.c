#include "core/alg.h"

#include <openssl/obj_mac.h>
#include <string.h>
#include <strings.h>
#include <tss2/tss2_tpm2_types.h>

/* DigestInfo prefixes: RFC 8017, 9.2, note 1. */
/* clang-format off */
static const struct alg_hash hashes[] = {
    {TPM2_ALG_SHA1, "SHA1", NID_sha1, 20, 15,
     {0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14}},
    {0, "SHA224", NID_sha224, 28, 19,
     {0x30, 0x2d, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x04,
      0x05, 0x00, 0x04, 0x1c}},
    {TPM2_ALG_SHA256, "SHA256", NID_sha256, 32, 19,
     {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01,
      0x05, 0x00, 0x04, 0x20}},
    {TPM2_ALG_SHA384, "SHA384", NID_sha384, 48, 19,
     {0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02,
      0x05, 0x00, 0x04, 0x30}},
    {TPM2_ALG_SHA512, "SHA512", NID_sha512, 64, 19,
     {0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03,
      0x05, 0x00, 0x04, 0x40}},
};
/* clang-format on */

static const struct alg_curve curves[] = {
    {TPM2_ECC_NIST_P256, "P-256", NID_X9_62_prime256v1, 32, TPM2_ALG_SHA256},
    {TPM2_ECC_NIST_P384, "P-384", NID_secp384r1, 48, TPM2_ALG_SHA384},
    {TPM2_ECC_NIST_P521, "P-521", NID_secp521r1, 66, TPM2_ALG_SHA512},
};

const struct alg_hash *alg_hash_of(uint16_t tpm_alg)
{
    for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
        if (tpm_alg != 0 && hashes[i].tpm == tpm_alg)
            return &hashes[i];
    }
    return NULL;
}

const struct alg_hash *alg_hash_nid(int nid)
{
    for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
        if (hashes[i].nid == nid)
            return &hashes[i];
    }
    return NULL;
}

const struct alg_hash *alg_hash_named(const char *name)
{
    char plain[16];
    size_t n = 0;

    for (; *name != 0 && n + 1 < sizeof(plain); name++) {
        if (*name != '-')
            plain[n++] = *name;
    }
    plain[n] = 0;
    for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
        if (strcasecmp(hashes[i].name, plain) == 0)
            return &hashes[i];
    }
    return NULL;
}

const struct alg_hash *alg_hash_sized(size_t digest_len)
{
    for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
        if (hashes[i].size == digest_len)
            return &hashes[i];
    }
    return NULL;
}

size_t alg_hash_block(const struct alg_hash *h)
{
    return h->size > 32 ? 128 : 64;
}

const struct alg_curve *alg_curve_of(uint16_t tpm_curve)
{
    for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
        if (curves[i].tpm == tpm_curve)
            return &curves[i];
    }
    return NULL;
}

const struct alg_curve *alg_curve_nid(int nid)
{
    for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
        if (curves[i].nid == nid)
            return &curves[i];
    }
    return NULL;
}

const struct alg_curve *alg_curve_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
        if (strcasecmp(curves[i].name, name) == 0)
            return &curves[i];
    }
    return NULL;
}
