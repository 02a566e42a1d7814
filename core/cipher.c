#include "core/cipher.h"

#include <limits.h>
#include <openssl/evp.h>

/* EVP counts bytes in int. */
#define AES_CHUNK ((size_t)1 << 30)

/* NULL for a key of a length that AES does not have. */
static const EVP_CIPHER *aes_of(enum cipher_mode mode, size_t key_len)
{
    static const EVP_CIPHER *(*const rows[][3])(void) = {
        [CIPHER_ECB] = {EVP_aes_128_ecb, EVP_aes_192_ecb, EVP_aes_256_ecb},
        [CIPHER_CBC] = {EVP_aes_128_cbc, EVP_aes_192_cbc, EVP_aes_256_cbc},
        [CIPHER_CTR] = {EVP_aes_128_ctr, EVP_aes_192_ctr, EVP_aes_256_ctr},
        [CIPHER_CFB] = {EVP_aes_128_cfb128, EVP_aes_192_cfb128, EVP_aes_256_cfb128},
        [CIPHER_OFB] = {EVP_aes_128_ofb, EVP_aes_192_ofb, EVP_aes_256_ofb},
    };

    if ((size_t)mode >= ARRAY_LEN(rows) || (key_len != 16 && key_len != 24 && key_len != 32))
        return NULL;
    return rows[mode][key_len / 8 - 2]();
}

int cipher_aes(enum cipher_mode mode, bool encrypt, struct bytes key, uint8_t iv[16],
               struct bytes in, uint8_t *out, struct err *e)
{
    const EVP_CIPHER *aes = aes_of(mode, key.len);
    EVP_CIPHER_CTX *c = NULL;
    int n = 0, rc = -1;

    if (aes == NULL)
        return err_set(e, E_ARG, "AES has no key of %zu bytes", key.len);
    if ((mode == CIPHER_ECB || mode == CIPHER_CBC) && in.len % 16 != 0)
        return err_set(e, E_DATA, "%zu bytes are no whole number of AES blocks", in.len);
    c = EVP_CIPHER_CTX_new();
    if (c == NULL || EVP_CipherInit_ex(c, aes, NULL, key.p, iv, encrypt) != 1 ||
        EVP_CIPHER_CTX_set_padding(c, 0) != 1)
        goto crypto;
    for (size_t done = 0, len; done < in.len; done += len) {
        len = in.len - done < AES_CHUNK ? in.len - done : AES_CHUNK;
        if (EVP_CipherUpdate(c, out + done, &n, in.p + done, (int)len) != 1 || n != (int)len)
            goto crypto;
    }
    if (mode != CIPHER_ECB && EVP_CIPHER_CTX_get_updated_iv(c, iv, 16) != 1)
        goto crypto;
    rc = 0;
    goto out;
crypto:
    err_openssl(e, E_CRYPTO, "AES");
out:
    /* The expanded key is wiped with the context. */
    EVP_CIPHER_CTX_free(c);
    return rc;
}

int cipher_cfb(bool encrypt, struct bytes key, const uint8_t iv[16], uint8_t *data, size_t len,
               struct err *e)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0, rc = -1;

    if (c == NULL || len > INT_MAX ||
        EVP_CipherInit_ex(c, key.len == 16 ? EVP_aes_128_cfb128() : EVP_aes_256_cfb128(), NULL,
                          key.p, iv, encrypt) != 1 ||
        EVP_CipherUpdate(c, data, &n, data, (int)len) != 1) {
        err_openssl(e, E_CRYPTO, "AES-CFB");
        goto out;
    }
    rc = 0;
out:
    EVP_CIPHER_CTX_free(c);
    return rc;
}

int cipher_gcm_seal(const uint8_t key[32], const uint8_t nonce[GCM_NONCE], struct bytes aad,
                    struct bytes in, uint8_t *out, struct err *e)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0, rc = -1;

    if (c == NULL || in.len > INT_MAX || aad.len > INT_MAX ||
        EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) != 1 ||
        (aad.len != 0 && EVP_EncryptUpdate(c, NULL, &n, aad.p, (int)aad.len) != 1) ||
        (in.len != 0 && EVP_EncryptUpdate(c, out, &n, in.p, (int)in.len) != 1) ||
        EVP_EncryptFinal_ex(c, out + in.len, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, GCM_TAG, out + in.len) != 1) {
        err_openssl(e, E_CRYPTO, "AES-GCM");
        goto out;
    }
    rc = 0;
out:
    EVP_CIPHER_CTX_free(c);
    return rc;
}

int cipher_gcm_open(const uint8_t key[32], const uint8_t nonce[GCM_NONCE], struct bytes aad,
                    struct bytes in, uint8_t *out, struct err *e)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    uint8_t tag[GCM_TAG];
    size_t len;
    int n = 0, rc = -1;

    if (c == NULL || in.len < GCM_TAG || in.len > INT_MAX || aad.len > INT_MAX) {
        err_set(e, E_CORRUPT, "sealed data is too short");
        goto out;
    }
    len = in.len - GCM_TAG;
    for (size_t i = 0; i < GCM_TAG; i++)
        tag[i] = in.p[len + i];
    if (EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) != 1 ||
        (aad.len != 0 && EVP_DecryptUpdate(c, NULL, &n, aad.p, (int)aad.len) != 1) ||
        (len != 0 && EVP_DecryptUpdate(c, out, &n, in.p, (int)len) != 1) ||
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, GCM_TAG, tag) != 1 ||
        EVP_DecryptFinal_ex(c, out + len, &n) != 1) {
        err_openssl(NULL, E_CRYPTO, "AES-GCM");
        err_set(e, E_CORRUPT, "sealed data does not open: it was altered, or sealed for another");
        goto out;
    }
    rc = 0;
out:
    EVP_CIPHER_CTX_free(c);
    return rc;
}
