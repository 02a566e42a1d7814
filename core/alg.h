#ifndef CORE_ALG_H
#define CORE_ALG_H

#include "core/base.h"

/* The one table of algorithms: TPM identifiers (TCG Algorithm Registry), names,
 * sizes in bytes, OpenSSL identifiers. The registry has no SHA-224: its row has `tpm` 0,
 * which means that no TPM hashes with it. */

struct alg_hash {
    uint16_t tpm;     /* TPM2_ALG_SHA256 ..., 0 for one that TPMs lack */
    const char *name; /* as OpenSSL and RFC 8017 write it: "SHA256" */
    int nid;          /* NID_sha256 ... */
    size_t size;      /* digest length */
    uint8_t info_len; /* DigestInfo prefix of RFC 8017, 9.2 note 1 */
    uint8_t info[19];
};

struct alg_curve {
    uint16_t tpm;     /* TPM2_ECC_NIST_P256 ... */
    const char *name; /* "P-256" */
    int nid;          /* NID_X9_62_prime256v1 ... */
    size_t size;      /* bytes of one coordinate */
    uint16_t hash;    /* TPM id of the hash of matching strength */
};

/* The longest digest, hash block and coordinate in the tables. */
#define ALG_MAX_DIGEST 64
#define ALG_MAX_BLOCK 128
#define ALG_MAX_COORD 66

/* NULL when the table has no such row; alg_hash_of(0) is NULL. */
const struct alg_hash *alg_hash_of(uint16_t tpm_alg);
const struct alg_hash *alg_hash_nid(int nid);
const struct alg_hash *alg_hash_named(const char *name);  /* "SHA256", "sha-256" */
const struct alg_hash *alg_hash_sized(size_t digest_len); /* SHA-1 and SHA-2 only */
const struct alg_curve *alg_curve_of(uint16_t tpm_curve);
const struct alg_curve *alg_curve_nid(int nid);
const struct alg_curve *alg_curve_named(const char *name);

/* Bytes that the hash takes in at a time, 64 or 128 (FIPS 180-4, figure 1): HMAC's B. */
size_t alg_hash_block(const struct alg_hash *h);

#endif
