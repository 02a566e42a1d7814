#ifndef CORE_CIPHER_H
#define CORE_CIPHER_H

#include "core/base.h"
#include "core/err.h"

/* AES-CFB in place, as the TPM uses it for parameters and outer wraps (Part 1,
 * 21.3): key of 16 or 32 bytes, 16-byte IV. */
int cipher_cfb(bool encrypt, struct bytes key, const uint8_t iv[16], uint8_t *data, size_t len,
               struct err *e) MUST_USE;

#define GCM_NONCE 12
#define GCM_TAG 16

/* AES-256-GCM. `out` of seal holds in.len + GCM_TAG bytes (ciphertext, then tag);
 * `out` of open holds in.len - GCM_TAG. Open answers E_CORRUPT when the tag does
 * not fit. */
int cipher_gcm_seal(const uint8_t key[32], const uint8_t nonce[GCM_NONCE], struct bytes aad,
                    struct bytes in, uint8_t *out, struct err *e) MUST_USE;
int cipher_gcm_open(const uint8_t key[32], const uint8_t nonce[GCM_NONCE], struct bytes aad,
                    struct bytes in, uint8_t *out, struct err *e) MUST_USE;

#endif
