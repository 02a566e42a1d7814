#include "core/aesblock.h"

#include "core/cipher.h"

static int ecb(void *arg, bool encrypt, struct bytes in, uint8_t *out, struct err *e)
{
    const struct bytes *key = arg;

    return cipher_aes(CIPHER_ECB, encrypt, *key, NULL, in, out, e);
}

static int cbc(void *arg, uint8_t iv[AESBLOCK_SIZE], struct bytes in, uint8_t *out, struct err *e)
{
    const struct bytes *key = arg;

    return cipher_aes(CIPHER_CBC, true, *key, iv, in, out, e);
}

struct aes_block aesblock_of_key(struct bytes *key)
{
    return (struct aes_block){.ecb = ecb, .cbc = cbc, .arg = key};
}
