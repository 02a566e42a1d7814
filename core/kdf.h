#ifndef CORE_KDF_H
#define CORE_KDF_H

#include "core/alg.h"
#include "core/err.h"

/*
 * KDFa: TPM 2.0 Library, Part 1, 11.4.10.2 (SP 800-108 counter mode, HMAC).
 * Writes bits/8 bytes; `bits` is a multiple of 8. `label` is a C string whose
 * NUL is part of the input.
 */
int kdf_a(const struct alg_hash *h, struct bytes key, const char *label, struct bytes context_u,
          struct bytes context_v, unsigned bits, uint8_t *out, struct err *e) MUST_USE;

/*
 * KDFe: Part 1, 11.4.10.3 (SP 800-56A). `z` is the shared X coordinate, padded
 * to the curve's size.
 */
int kdf_e(const struct alg_hash *h, struct bytes z, const char *label, struct bytes party_u,
          struct bytes party_v, unsigned bits, uint8_t *out, struct err *e) MUST_USE;

/* HKDF-SHA256 (RFC 5869) with an empty salt; `len` at most 255 * 32 bytes. */
int kdf_hkdf(struct bytes key, struct bytes info, uint8_t *out, size_t len, struct err *e) MUST_USE;

/* scrypt (RFC 7914) with N = 2^13, r = 8, p = 1: what stands between a stolen
 * store with a stolen TPM dump and the PIN. `len` bytes out. */
int kdf_scrypt(struct bytes pin, struct bytes salt, uint8_t *out, size_t len,
               struct err *e) MUST_USE;

#endif
