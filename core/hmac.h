#ifndef CORE_HMAC_H
#define CORE_HMAC_H

#include "core/alg.h"
#include "core/err.h"

/*
 * HMAC in parts (RFC 2104), by a key in memory, which may have any length (also none) and
 * is not needed after hmac_begin. For one run of bytes there is hash_hmac.
 */
struct hmac;
struct hmac *hmac_begin(const struct alg_hash *h, struct bytes key, struct err *e) MUST_USE;
int hmac_update(struct hmac *c, struct bytes in, struct err *e) MUST_USE;

/* Writes h->size bytes; wipes and frees the context in any case. */
int hmac_end(struct hmac *c, uint8_t *out, struct err *e) MUST_USE;

/* Wipes and frees; NULL is fine. */
void hmac_abort(struct hmac *c);

#endif
