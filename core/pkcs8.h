#ifndef CORE_PKCS8_H
#define CORE_PKCS8_H

#include "core/buf.h"
#include "core/pubkey.h"
#include "core/secret.h"

/*
 * Private keys outside of a TPM: PrivateKeyInfo of PKCS#8 (RFC 5208, 5; version 1 of RFC
 * 5958), unencrypted DER, with an RSAPrivateKey (RFC 8017, A.1.2) or an ECPrivateKey (RFC
 * 5915, 3) in it. `priv` is what a TPM keeps: one prime, or the scalar, big-endian.
 */
#define PKCS8_MAX 8192

/*
 * Appends; `out` becomes a secret buffer. The curve is named in the algorithm, not again in
 * the ECPrivateKey, which has the public point: as OpenSSL writes it and PKCS#11 wants it.
 * E_DATA when `priv` does not belong to `pub`.
 */
int pkcs8_encode(const struct pubkey *pub, struct bytes priv, struct buf *out,
                 struct err *e) MUST_USE;

/*
 * Strictly read, nothing after it, up to PKCS8_MAX bytes; attributes are passed over.
 * `*priv` is the scalar of curve->size bytes or the prime p of n_len / 2, for the caller to
 * free; `pub` is computed from it and agrees with what is written. E_FORMAT: not such DER;
 * E_UNSUPPORTED: another algorithm, curve or length; E_DATA: parts that are not of one key.
 */
int pkcs8_decode(struct bytes der, struct pubkey *pub, struct secret **priv,
                 struct err *e) MUST_USE;

#endif
