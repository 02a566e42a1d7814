#ifndef CORE_KEYWRAP_H
#define CORE_KEYWRAP_H

#include "core/aesblock.h"
#include "core/buf.h"

/*
 * AES key wrapping, over a key-encryption key that may be in a TPM. It is sequential by
 * design: one call of aes->ecb for one block, 6 * len / 8 of them (24 for an AES-256 key).
 * All functions append to `out`, only on success. Unwrapping makes `out` a secret buffer,
 * looks at what it decrypted in constant time, and says E_CORRUPT with one message
 * whatever is wrong with it. E_DATA: a length that the algorithm does not have, or over
 * KEYWRAP_MAX.
 */
#define KEYWRAP_MAX 65536

/* RFC 3394, 2.2 (KW of SP 800-38F): 16 bytes or more, a multiple of 8; 8 bytes are added.
 * `iv` is NULL for the default one, A6 A6 ... (2.2.3.1). */
int keywrap_wrap(const struct aes_block *aes, const uint8_t iv[8], struct bytes in, struct buf *out,
                 struct err *e) MUST_USE;
int keywrap_unwrap(const struct aes_block *aes, const uint8_t iv[8], struct bytes in,
                   struct buf *out, struct err *e) MUST_USE;

/* RFC 5649, 4 (KWP of SP 800-38F): 1 byte or more, padded to a multiple of 8; 8 bytes are
 * added. `icv` is the fixed half of the initial value, NULL for A65959A6 (3). */
int keywrap_wrap_pad(const struct aes_block *aes, const uint8_t icv[4], struct bytes in,
                     struct buf *out, struct err *e) MUST_USE;
int keywrap_unwrap_pad(const struct aes_block *aes, const uint8_t icv[4], struct bytes in,
                       struct buf *out, struct err *e) MUST_USE;

#endif
