#ifndef CORE_HASH_H
#define CORE_HASH_H

#include "core/alg.h"
#include "core/err.h"

/* Digests and HMAC in libcrypto. `out` holds h->size bytes. */
int hash_digest(const struct alg_hash *h, struct bytes in, uint8_t *out, struct err *e) MUST_USE;
int hash_hmac(const struct alg_hash *h, struct bytes key, struct bytes in, uint8_t *out,
              struct err *e) MUST_USE;

/* SHA-256 of one run of bytes, the digest used for references and pins. */
int hash_sha256(struct bytes in, uint8_t out[32], struct err *e) MUST_USE;

/* A digest in parts. hash_end writes h->size bytes and frees the context;
 * hash_abort frees it (NULL is fine). */
struct hash;
struct hash *hash_begin(const struct alg_hash *h, struct err *e) MUST_USE;
int hash_update(struct hash *c, struct bytes in, struct err *e) MUST_USE;
int hash_end(struct hash *c, uint8_t *out, struct err *e) MUST_USE;
void hash_abort(struct hash *c);

#endif
