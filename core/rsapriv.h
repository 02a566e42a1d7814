#ifndef CORE_RSAPRIV_H
#define CORE_RSAPRIV_H

#include "core/buf.h"
#include "core/pubkey.h"
#include "core/secret.h"

/*
 * RSAPrivateKey (RFC 8017, A.1.2) of two primes, from and to what a TPM keeps of it: the
 * public key and one prime. The other numbers are computed in constant time where
 * OpenSSL can, and wiped.
 */

/*
 * Appends the DER; `out` becomes a secret buffer. `prime` is either one, big-endian; the
 * greater is written first and d is the least (modulo lcm(p - 1, q - 1)), as OpenSSL has
 * it. E_ARG: no RSA key; E_DATA: the prime does not belong to the modulus.
 */
int rsapriv_encode(const struct pubkey *pub, struct bytes prime, struct buf *out,
                   struct err *e) MUST_USE;

/*
 * Strictly read. `*prime` is p, n_len / 2 bytes, for the caller to free. E_FORMAT: not
 * DER, more than two primes; E_UNSUPPORTED: a modulus, an exponent or primes of lengths
 * that no TPM has; E_DATA: numbers that are not those of one key. That p and q are prime
 * is not tested.
 */
int rsapriv_decode(struct bytes der, struct pubkey *pub, struct secret **prime,
                   struct err *e) MUST_USE;

#endif
