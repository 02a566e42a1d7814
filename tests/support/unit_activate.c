#include "tests/support/unit_activate.h"

#include "core/cipher.h"
#include "core/kdf.h"

#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

void unit_activate(EVP_PKEY *ek, const struct credential_sealed *s, uint8_t secret[32])
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(ek, NULL);
    static const uint8_t iv[16];
    uint8_t seed[512], key[16], plain[64];
    size_t len = sizeof(seed);
    struct reader blob = reader_of(s->blob.p, s->blob.len);
    struct bytes in, none = {NULL, 0};
    struct reader out;
    struct err e = {0};

    assert_int_equal(EVP_PKEY_decrypt_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()), 1);
    assert_int_equal(EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, OPENSSL_strdup("IDENTITY"), 9), 1);
    assert_int_equal(
        EVP_PKEY_decrypt(ctx, seed, &len, s->encrypted_secret.p, s->encrypted_secret.len), 1);
    EVP_PKEY_CTX_free(ctx);
    assert_int_equal(kdf_a(alg_hash_named("SHA256"), bytes_of(seed, len), "STORAGE",
                           bytes_of(s->ak_name.name, s->ak_name.size), none, 128, key, &e),
                     0);
    (void)reader_2b(&blob); /* the integrity HMAC */
    in = reader_take(&blob, blob.left);
    assert_true(in.len <= sizeof(plain));
    memcpy(plain, in.p, in.len);
    assert_int_equal(cipher_cfb(false, bytes_of(key, sizeof(key)), iv, plain, in.len, &e), 0);
    out = reader_of(plain, in.len);
    in = reader_2b(&out);
    assert_true(reader_done(&out));
    assert_int_equal(in.len, 32);
    memcpy(secret, in.p, 32);
}
