#ifndef CORE_GCM_H
#define CORE_GCM_H

#include "core/aesblock.h"

/*
 * GCM (SP 800-38D) in parts, over an AES key that may be in a TPM. The calls of `aes` are
 * those for the key stream, AESBLOCK_MAX bytes at a time, and one more at the start. Every
 * function that needs the key is given it anew, so that nothing dangles between calls; it
 * must be the same key. After a failure only gcm_abort is left to call (others answer
 * E_ARG); gcm_end frees in any case.
 */
struct gcm;

/* `iv` of 1 byte or more, of which each is used once with a key; 12 bytes are best (8.2).
 * One call of aes->ecb. E_DATA: an empty IV. NULL on failure. */
struct gcm *gcm_begin(const struct aes_block *aes, bool encrypt, struct bytes iv,
                      struct err *e) MUST_USE;

/* Authenticates without encrypting, before any gcm_update; in as many parts as one likes.
 * E_DATA beyond 2^61 - 1 bytes (5.2.1.1), E_ARG after gcm_update. */
int gcm_aad(struct gcm *c, struct bytes aad, struct err *e) MUST_USE;

/*
 * Encrypts or decrypts any number of bytes; `out` holds in.len bytes and may be in.p. What
 * was decrypted must not be used before the tag fits. E_DATA beyond 2^36 - 32 bytes in all
 * (5.2.1.1).
 */
int gcm_update(struct gcm *c, const struct aes_block *aes, struct bytes in, uint8_t *out,
               struct err *e) MUST_USE;

/* Writes the whole tag, of which the caller takes the first t bytes (12 or more: 5.2.1.2)
 * or, in decryption, compares them by bytes_equal. Wipes and frees in any case. */
int gcm_end(struct gcm *c, const struct aes_block *aes, uint8_t tag[16], struct err *e) MUST_USE;

/* Wipes and frees; NULL is fine. */
void gcm_abort(struct gcm *c);

#endif
