#ifndef CORE_AESBLOCK_H
#define CORE_AESBLOCK_H

#include "core/base.h"
#include "core/err.h"

/*
 * AES by one key, wherever the key is: what GCM, CMAC and key wrapping are built over. A
 * call may be a slow TPM command, so there are few of them, each of AESBLOCK_MAX bytes at
 * most (what one TPM command takes). `in` is one or more whole blocks, `out` holds in.len
 * bytes and may be in.p. Both return -1 with the error recorded; what they are used for
 * has failed then.
 */
#define AESBLOCK_SIZE 16
#define AESBLOCK_MAX 1024

struct aes_block {
    /* Each block by itself (SP 800-38A, 6.1). */
    int (*ecb)(void *arg, bool encrypt, struct bytes in, uint8_t *out, struct err *e);
    /* CBC encryption (SP 800-38A, 6.2); `iv` becomes the last block of `out`. Only CMAC
     * needs it: NULL is fine for the others. */
    int (*cbc)(void *arg, uint8_t iv[AESBLOCK_SIZE], struct bytes in, uint8_t *out, struct err *e);
    void *arg;
};

/* By a key of 16, 24 or 32 bytes in memory. Neither `*key` nor its bytes are copied: both
 * outlive what is returned. A key of another length makes every call fail with E_ARG. */
struct aes_block aesblock_of_key(struct bytes *key);

#endif
