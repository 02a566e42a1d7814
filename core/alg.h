#ifndef CORE_ALG_H
#define CORE_ALG_H

#include "core/base.h"

/* The one table of algorithms: TPM identifiers (TCG Algorithm Registry), names,
 * sizes in bytes, OpenSSL identifiers. */

struct alg_hash {
    uint16_t tpm;     /* TPM2_ALG_SHA256 ... */
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

/* The longest digest and coordinate in the tables. */
#define ALG_MAX_DIGEST 64
#define ALG_MAX_COORD 66

/* NULL when the table has no such row. */
const struct alg_hash *alg_hash_of(uint16_t tpm_alg);
const struct alg_hash *alg_hash_named(const char *name);  /* "SHA256", "sha-256" */
const struct alg_hash *alg_hash_sized(size_t digest_len); /* SHA-1 and SHA-2 only */
const struct alg_curve *alg_curve_of(uint16_t tpm_curve);
const struct alg_curve *alg_curve_nid(int nid);
const struct alg_curve *alg_curve_named(const char *name);

#endif
