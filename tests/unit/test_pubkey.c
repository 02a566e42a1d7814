/* Goal: one key has one form, only good keys come in, and signatures are judged as OpenSSL
 * judges them. */
#include "tests/support/unit_forge.h"

#include "core/hash.h"

#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static const enum unit_key kinds[] = {UNIT_P256, UNIT_P384, UNIT_RSA};

static struct bytes spki_of(EVP_PKEY *key, uint8_t **der)
{
    int len = i2d_PUBKEY(key, der);

    assert_true(len > 0);
    return bytes_of(*der, (size_t)len);
}

static void test_spki_is_the_same_in_and_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct pubkey k, again;
        uint8_t *der = NULL;
        struct bytes in = spki_of(unit_forge_key(kinds[i], 0), &der);
        struct buf out = {0};

        assert_int_equal(pubkey_from_spki(&k, in, NULL), 0);
        assert_int_equal(pubkey_to_spki(&k, &out, NULL), 0);
        assert_true(bytes_equal(in, buf_bytes(&out)));
        assert_int_equal(pubkey_from_spki(&again, buf_bytes(&out), NULL), 0);
        assert_true(pubkey_equal(&k, &again));
        for (size_t cut = 0; cut < in.len; cut++)
            assert_int_equal(pubkey_from_spki(&again, bytes_of(in.p, cut), NULL), -1);
        buf_u8(&out, 0);
        assert_int_equal(pubkey_from_spki(&again, buf_bytes(&out), NULL), -1);
        buf_free(&out);
        OPENSSL_free(der);
    }
}

static void test_spki_with_a_flipped_bit_never_equals_the_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct pubkey k, other;
        uint8_t *der = NULL;
        struct bytes in = spki_of(unit_forge_key(kinds[i], 0), &der);

        assert_int_equal(pubkey_from_spki(&k, in, NULL), 0);
        for (size_t bit = 0; bit < in.len * 8; bit++) {
            der[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            if (pubkey_from_spki(&other, in, NULL) == 0)
                assert_false(pubkey_equal(&k, &other));
            der[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        OPENSSL_free(der);
    }
}

static void test_tpm_area_and_spki_give_the_same_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct pubkey a, b;
        TPMT_PUBLIC pub;

        unit_forge_pubkey(unit_forge_key(kinds[i], 0), &a);
        unit_forge_public(unit_forge_key(kinds[i], 0), 0, &pub);
        assert_int_equal(pubkey_from_tpmt(&b, &pub, NULL), 0);
        assert_true(pubkey_equal(&a, &b));
        assert_int_equal(b.type == TPM2_ALG_RSA ? b.exponent : 65537, 65537);
    }
}

static void test_bad_tpm_areas_are_refused(void **state)
{
    struct err e = {0};
    struct pubkey k;
    TPMT_PUBLIC p;

    (void)state;
    unit_forge_public(unit_forge_key(UNIT_P256, 0), 0, &p);
    p.unique.ecc.x.buffer[3] ^= 1;
    assert_int_equal(pubkey_from_tpmt(&k, &p, &e), -1);
    assert_int_equal(e.code, E_DATA);
    err_clear(&e);
    p.parameters.eccDetail.curveID = TPM2_ECC_BN_P256;
    assert_int_equal(pubkey_from_tpmt(&k, &p, &e), -1);
    assert_int_equal(e.code, E_UNSUPPORTED);
    err_clear(&e);
    memset(&p.unique, 0, sizeof(p.unique));
    p.parameters.eccDetail.curveID = TPM2_ECC_NIST_P256;
    assert_int_equal(pubkey_from_tpmt(&k, &p, &e), -1);
    err_clear(&e);
    unit_forge_public(unit_forge_key(UNIT_RSA, 0), 0, &p);
    p.unique.rsa.buffer[255] ^= 1;
    assert_int_equal(pubkey_from_tpmt(&k, &p, &e), -1);
    assert_int_equal(e.code, E_DATA);
    err_clear(&e);
    p.unique.rsa.size = 128;
    assert_int_equal(pubkey_from_tpmt(&k, &p, &e), -1);
    err_clear(&e);
    p.parameters.rsaDetail.keyBits = 1024;
    assert_int_equal(pubkey_from_tpmt(&k, &p, &e), -1);
    assert_int_equal(e.code, E_DATA);
    err_clear(&e);
    p.type = TPM2_ALG_KEYEDHASH;
    assert_int_equal(pubkey_from_tpmt(&k, &p, &e), -1);
    assert_int_equal(e.code, E_UNSUPPORTED);
}

static void sign(EVP_PKEY *key, int padding, int salt, struct bytes digest, uint8_t *sig,
                 size_t *len)
{
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);

    assert_int_equal(EVP_PKEY_sign_init(c), 1);
    if (padding != 0)
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(c, padding), 1);
    assert_int_equal(EVP_PKEY_CTX_set_signature_md(c, EVP_sha256()), 1);
    if (padding == RSA_PKCS1_PSS_PADDING)
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(c, salt), 1);
    assert_int_equal(EVP_PKEY_sign(c, sig, len, digest.p, digest.len), 1);
    EVP_PKEY_CTX_free(c);
}

static void test_ecdsa_signatures_of_openssl_are_judged_right(void **state)
{
    uint8_t digest[32] = {1, 2, 3}, sig[256];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        EVP_PKEY *key = unit_forge_key(kinds[i], 0);
        const struct alg_hash *h = alg_hash_of(TPM2_ALG_SHA256);
        struct buf raw = {0}, der = {0};
        size_t len = sizeof(sig);
        struct pubkey k;

        unit_forge_pubkey(key, &k);
        sign(key, 0, 0, bytes_of(digest, 32), sig, &len);
        assert_int_equal(pubkey_sig_from_der(&k, bytes_of(sig, len), &raw, NULL), 0);
        assert_int_equal(raw.len, pubkey_sig_len(&k));
        assert_int_equal(pubkey_sig_to_der(&k, buf_bytes(&raw), &der, NULL), 0);
        assert_true(bytes_equal(buf_bytes(&der), bytes_of(sig, len)));
        assert_int_equal(
            pubkey_verify(&k, PUBKEY_ECDSA, h, -1, bytes_of(digest, 32), buf_bytes(&raw), NULL), 0);
        raw.p[5] ^= 1;
        assert_int_equal(
            pubkey_verify(&k, PUBKEY_ECDSA, h, -1, bytes_of(digest, 32), buf_bytes(&raw), NULL),
            -1);
        memset(raw.p, 0, raw.len);
        assert_int_equal(
            pubkey_verify(&k, PUBKEY_ECDSA, h, -1, bytes_of(digest, 32), buf_bytes(&raw), NULL),
            -1);
        for (size_t cut = 0; cut < len; cut++)
            assert_int_equal(pubkey_sig_from_der(&k, bytes_of(sig, cut), &raw, NULL), -1);
        buf_free(&raw);
        buf_free(&der);
    }
}

static void test_rsa_signatures_of_openssl_are_judged_right(void **state)
{
    EVP_PKEY *key = unit_forge_key(UNIT_RSA, 0);
    const struct alg_hash *h = alg_hash_of(TPM2_ALG_SHA256);
    uint8_t digest[32] = {9}, sig[256], info[51];
    struct bytes d = {digest, 32}, s = {sig, sizeof(sig)};
    size_t len = sizeof(sig);
    struct pubkey k;

    (void)state;
    unit_forge_pubkey(key, &k);
    sign(key, RSA_PKCS1_PADDING, 0, d, sig, &len);
    assert_int_equal(pubkey_verify(&k, PUBKEY_RSASSA, h, -1, d, s, NULL), 0);
    memcpy(info, h->info, h->info_len);
    memcpy(info + h->info_len, digest, 32);
    assert_int_equal(
        pubkey_verify(&k, PUBKEY_RSASSA, NULL, -1, bytes_of(info, sizeof(info)), s, NULL), 0);
    assert_int_equal(pubkey_verify(&k, PUBKEY_RSAPSS, h, -1, d, s, NULL), -1);
    for (int salt = 0; salt <= 64; salt += 32) {
        sign(key, RSA_PKCS1_PSS_PADDING, salt, d, sig, &len);
        assert_int_equal(pubkey_verify(&k, PUBKEY_RSAPSS, h, salt, d, s, NULL), 0);
        assert_int_equal(pubkey_verify(&k, PUBKEY_RSAPSS, h, -1, d, s, NULL), 0);
        assert_int_equal(pubkey_verify(&k, PUBKEY_RSAPSS, h, salt + 1, d, s, NULL), -1);
        assert_int_equal(pubkey_verify(&k, PUBKEY_RSASSA, h, -1, d, s, NULL), -1);
    }
    sig[0] ^= 1;
    assert_int_equal(pubkey_verify(&k, PUBKEY_RSAPSS, h, -1, d, s, NULL), -1);
    memset(sig, 0xff, sizeof(sig)); /* not below the modulus */
    assert_int_equal(pubkey_verify(&k, PUBKEY_RSAPSS, h, -1, d, s, NULL), -1);
    assert_int_equal(pubkey_verify(&k, PUBKEY_ECDSA, h, -1, d, s, NULL), -1);
}

static void test_our_padding_is_what_openssl_accepts(void **state)
{
    EVP_PKEY *key = unit_forge_key(UNIT_RSA, 0);
    const struct alg_hash *h = alg_hash_of(TPM2_ALG_SHA256);
    uint8_t digest[32] = {4}, em[256], sig[256], back[256];
    struct pubkey k;

    (void)state;
    unit_forge_pubkey(key, &k);
    for (int salt = 0; salt <= 222; salt += 37) {
        EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
        size_t len = sizeof(sig);

        assert_int_equal(pubkey_pad_pss(&k, h, h, salt, bytes_of(digest, 32), em, NULL), 0);
        assert_int_equal(EVP_PKEY_sign_init(c), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(c, RSA_NO_PADDING), 1);
        assert_int_equal(EVP_PKEY_sign(c, sig, &len, em, sizeof(em)), 1);
        assert_int_equal(pubkey_verify(&k, PUBKEY_RSAPSS, h, salt, bytes_of(digest, 32),
                                       bytes_of(sig, len), NULL),
                         0);
        assert_int_equal(pubkey_rsa_raw(&k, bytes_of(sig, len), back, NULL), 0);
        assert_memory_equal(back, em, sizeof(em));
        EVP_PKEY_CTX_free(c);
    }
    assert_int_equal(pubkey_pad_pss(&k, h, h, 223, bytes_of(digest, 32), em, NULL), -1);
    assert_int_equal(pubkey_pad_pkcs1(&k, bytes_of(back, 245), em, NULL), 0);
    assert_int_equal(pubkey_pad_pkcs1(&k, bytes_of(back, 246), em, NULL), -1);
}

static void test_oaep_opens_with_its_label_only(void **state)
{
    static const char label[] = "IDENTITY";
    EVP_PKEY *key = unit_forge_key(UNIT_RSA, 0);
    uint8_t seed[32] = {7}, ct[256], out[256];
    struct pubkey k;

    (void)state;
    unit_forge_pubkey(key, &k);
    assert_int_equal(pubkey_oaep(&k, alg_hash_of(TPM2_ALG_SHA256), bytes_of(label, sizeof(label)),
                                 bytes_of(seed, 32), ct, NULL),
                     0);
    for (int good = 0; good < 2; good++) {
        EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
        size_t n = sizeof(label) - (good ? 0 : 1), len = sizeof(out);
        void *copy = OPENSSL_memdup(label, n);

        assert_int_equal(EVP_PKEY_decrypt_init(c), 1);
        EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING);
        EVP_PKEY_CTX_set_rsa_oaep_md(c, EVP_sha256());
        EVP_PKEY_CTX_set0_rsa_oaep_label(c, copy, (int)n);
        assert_int_equal(EVP_PKEY_decrypt(c, out, &len, ct, sizeof(ct)) == 1, good);
        if (good) {
            assert_int_equal(len, 32);
            assert_memory_equal(out, seed, 32);
        }
        EVP_PKEY_CTX_free(c);
    }
}

static void test_names_and_sizes(void **state)
{
    static const char *const name[] = {"P-256", "P-384", "RSA-2048"};
    static const unsigned bits[] = {256, 384, 2048};
    struct pubkey k;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        unit_forge_pubkey(unit_forge_key(kinds[i], 0), &k);
        assert_string_equal(pubkey_name(&k), name[i]);
        assert_int_equal(pubkey_bits(&k), bits[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spki_is_the_same_in_and_out),
        cmocka_unit_test(test_spki_with_a_flipped_bit_never_equals_the_key),
        cmocka_unit_test(test_tpm_area_and_spki_give_the_same_key),
        cmocka_unit_test(test_bad_tpm_areas_are_refused),
        cmocka_unit_test(test_ecdsa_signatures_of_openssl_are_judged_right),
        cmocka_unit_test(test_rsa_signatures_of_openssl_are_judged_right),
        cmocka_unit_test(test_our_padding_is_what_openssl_accepts),
        cmocka_unit_test(test_oaep_opens_with_its_label_only),
        cmocka_unit_test(test_names_and_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
