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

/*
 * HKDF (RFC 5869, 2.2 and 2.3) by any hash. `prk` of extract holds h->size bytes; an empty
 * salt is one of h->size zeros. Expand takes a `prk` of any length (h->size bytes or more
 * are right) and gives `len` bytes; E_ARG beyond 255 * h->size.
 */
int kdf_hkdf_extract(const struct alg_hash *h, struct bytes salt, struct bytes ikm, uint8_t *prk,
                     struct err *e) MUST_USE;
int kdf_hkdf_expand(const struct alg_hash *h, struct bytes prk, struct bytes info, uint8_t *out,
                    size_t len, struct err *e) MUST_USE;

/* An HMAC over the `n` parts in order, by a key that may be in a TPM; `mac` holds a digest,
 * and may be where a part lies. */
struct kdf_hmac {
    int (*hmac)(void *arg, const struct bytes *part, size_t n, uint8_t *mac, struct err *e);
    void *arg;
};

/* Expand where the PRK is what `prk` makes HMACs by, with the hash `h`: one call for each
 * h->size bytes of `out`. */
int kdf_hkdf_expand_by(const struct alg_hash *h, const struct kdf_hmac *prk, struct bytes info,
                       uint8_t *out, size_t len, struct err *e) MUST_USE;

/*
 * The KDF of ANSI X9.63 (SEC 1, 3.6.1): H(z ‖ counter ‖ shared info), the counter of four
 * bytes from 1; `z` is the shared X coordinate, padded to the curve's size, `info` may be
 * empty. E_ARG when the counter would not do for `len` bytes.
 */
int kdf_x963(const struct alg_hash *h, struct bytes z, struct bytes info, uint8_t *out, size_t len,
             struct err *e) MUST_USE;

/* HKDF-SHA256 (RFC 5869) with an empty salt; `len` at most 255 * 32 bytes. */
int kdf_hkdf(struct bytes key, struct bytes info, uint8_t *out, size_t len, struct err *e) MUST_USE;

/* scrypt (RFC 7914) with N = 2^13, r = 8, p = 1: what stands between a stolen
 * store with a stolen TPM dump and the PIN. `len` bytes out. */
int kdf_scrypt(struct bytes pin, struct bytes salt, uint8_t *out, size_t len,
               struct err *e) MUST_USE;

#endif
