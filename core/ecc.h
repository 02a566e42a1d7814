#ifndef CORE_ECC_H
#define CORE_ECC_H

#include "core/alg.h"
#include "core/err.h"

/*
 * Points on the NIST curves by EC_GROUP and EC_POINT only: inside a PKCS#11
 * module loaded by an OpenSSL engine, EVP key generation would land back in the
 * engine. Coordinates are curve->size bytes, big-endian, zero-padded.
 */
struct ecc_point {
    uint8_t x[ALG_MAX_COORD];
    uint8_t y[ALG_MAX_COORD];
};

/* The curve as OpenSSL has it, made once and kept; NULL when out of memory. For public points: it is
 * shared by all threads. */
struct ec_group_st; /* EC_GROUP */
const struct ec_group_st *ecc_group(const struct alg_curve *c);

/* True when (x, y) is a point of the curve other than infinity. */
bool ecc_on_curve(const struct alg_curve *c, const struct ecc_point *p);

/*
 * One side of a Diffie-Hellman exchange: makes a fresh key pair, gives its
 * public point and the X coordinate shared with `peer` (curve->size bytes,
 * padded). E_DATA when the peer's point is not on the curve.
 */
int ecc_exchange(const struct alg_curve *c, const struct ecc_point *peer,
                 struct ecc_point *ephemeral, uint8_t *z, struct err *e) MUST_USE;

/*
 * A key pair derived from 32 bytes or more of seed: d = seed mod (n - 1) + 1
 * (FIPS 186-5 A.2.1; 8 bytes more than the order keep the bias negligible).
 * `d` holds curve->size bytes.
 */
int ecc_from_seed(const struct alg_curve *c, struct bytes seed, uint8_t *d, struct ecc_point *pub,
                  struct err *e) MUST_USE;

/* The public point d * G of a private scalar of curve->size bytes. E_DATA when d is not
 * from 1 to n - 1 (SEC 1, 3.2.1). */
int ecc_public(const struct alg_curve *c, const uint8_t *d, struct ecc_point *pub,
               struct err *e) MUST_USE;

/* ECDSA by a software key; r and s are curve->size bytes each in `sig`. */
int ecc_sign(const struct alg_curve *c, const uint8_t *d, struct bytes digest, uint8_t *sig,
             struct err *e) MUST_USE;

#endif
