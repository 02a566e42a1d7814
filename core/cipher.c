#include "core/cipher.h"

#include <limits.h>
#include <openssl/evp.h>

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
