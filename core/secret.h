#ifndef CORE_SECRET_H
#define CORE_SECRET_H

#include "core/base.h"
#include "core/err.h"

/*
 * Memory for PINs, authorisation values and token secrets: pages of their own,
 * locked against swapping where the limits allow, left out of core
 * dumps, wiped when freed. Never in a plain char array.
 */
struct secret;

/* `len` zero bytes; NULL (E_MEMORY) when there is no memory. */
struct secret *secret_new(size_t len, struct err *e) MUST_USE;
struct secret *secret_copy(const void *p, size_t len, struct err *e) MUST_USE;

uint8_t *secret_data(struct secret *s);
const uint8_t *secret_peek(const struct secret *s);
size_t secret_len(const struct secret *s); /* 0 for NULL */
struct bytes secret_bytes(const struct secret *s);

/* Cuts the length down to `len`, wiping what is cut off. */
void secret_trim(struct secret *s, size_t len);

/* Wipes and frees; NULL is fine. */
void secret_free(struct secret *s);

/* Wipes a local array or structure before it goes out of scope. */
void secret_wipe(void *p, size_t len);

#endif
