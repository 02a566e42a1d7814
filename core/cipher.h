#ifndef CORE_CIPHER_H
#define CORE_CIPHER_H

#include "core/base.h"
#include "core/err.h"

/* AES-CFB in place, as the TPM uses it for parameters and outer wraps (Part 1,
 * 21.3): key of 16 or 32 bytes, 16-byte IV. */
int cipher_cfb(bool encrypt, struct bytes key, const uint8_t iv[16], uint8_t *data, size_t len,
               struct err *e) MUST_USE;

/* SP 800-38A, 6.1 to 6.5; CTR counts the whole block as one big-endian number (B.1 with
 * m = 128), CFB has segments of 128 bits. */
enum cipher_mode { CIPHER_ECB, CIPHER_CBC, CIPHER_CTR, CIPHER_CFB, CIPHER_OFB };

/*
 * AES by a key of 16, 24 or 32 bytes in memory, without padding. `out` holds in.len bytes
 * and may be in.p, but not overlap `in` otherwise. `iv` is not looked at for ECB, which may
 * pass NULL; for the others it becomes what the next call needs to go on, when in.len was
 * a multiple of 16 (after a broken last block nothing can follow). E_ARG: the key's length;
 * E_DATA: ECB or CBC of broken blocks, where nothing is written.
 */
int cipher_aes(enum cipher_mode mode, bool encrypt, struct bytes key, uint8_t iv[16],
               struct bytes in, uint8_t *out, struct err *e) MUST_USE;

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
