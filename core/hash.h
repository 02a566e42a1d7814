#ifndef CORE_HASH_H
#define CORE_HASH_H

#include "core/alg.h"
#include "core/buf.h"
#include "core/err.h"

/* Digests and HMAC in libcrypto. `out` holds h->size bytes. */
int hash_digest(const struct alg_hash *h, struct bytes in, uint8_t *out, struct err *e) MUST_USE;
int hash_hmac(const struct alg_hash *h, struct bytes key, struct bytes in, uint8_t *out,
              struct err *e) MUST_USE;

/* SHA-256 of one run of bytes, the digest used for references and pins. */
int hash_sha256(struct bytes in, uint8_t out[32], struct err *e) MUST_USE;

/* A digest in parts. hash_end writes h->size bytes, wipes and frees the context;
 * hash_abort wipes and frees it (NULL is fine). */
struct hash;
struct hash *hash_begin(const struct alg_hash *h, struct err *e) MUST_USE;
int hash_update(struct hash *c, struct bytes in, struct err *e) MUST_USE;
int hash_end(struct hash *c, uint8_t *out, struct err *e) MUST_USE;
void hash_abort(struct hash *c);

/* Which hash a running digest is of. */
const struct alg_hash *hash_algorithm(const struct hash *c);

/* A second digest that has seen the same bytes; both then go their own ways. NULL
 * (E_MEMORY) when there is no memory. */
struct hash *hash_copy(const struct hash *c, struct err *e) MUST_USE;

/*
 * A running digest as bytes, appended, at most HASH_STATE_MAX of them; the same on all
 * machines and in all later versions. It holds up to a block of the input and the
 * chaining value, from which the digest of anything longer can be had: as secret as the
 * input, so set out->secret where that is.
 *
 *     version u8 = 1
 *     digest length u8 (20, 28, 32, 48, 64: SHA-1 and SHA-2)
 *     chaining value: H0 ... of FIPS 180-4, 5.3, 32- or 64-bit words
 *     bits seen so far u128
 *     what of them is not in the chaining value yet: (bits / 8) mod block bytes
 *
 * All numbers are big-endian. hash_restore reads exactly this with nothing after it;
 * E_FORMAT for all else, E_VERSION for a later version. The caller ends or aborts `*out`.
 */
#define HASH_STATE_MAX (2 + ALG_MAX_DIGEST + 16 + ALG_MAX_BLOCK - 1)
int hash_save(const struct hash *c, struct buf *out, struct err *e) MUST_USE;
int hash_restore(struct bytes in, struct hash **out, struct err *e) MUST_USE;

#endif
