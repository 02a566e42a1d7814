/* Secret keys at work (swtpm-ci/with-tpm starts a TPM): one in the TPM gives just what the same
 * key gives in this process's memory, and what OpenSSL gives, however the data are cut. */
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "tests/support/unit_module.h"

#define MOST 3000

static uint8_t text[MOST], want[MOST + 512], got[MOST + 512];
static uint8_t key32[32], iv[16];

static int begin(void **state)
{
    unit_module_fill(text, sizeof(text), 1);
    unit_module_fill(key32, sizeof(key32), 2);
    unit_module_fill(iv, sizeof(iv), 3);
    return unit_module_begin(state);
}

/* The same key in the three places where one can be. */
struct places {
    CK_OBJECT_HANDLE o[3];
};

static struct places places(CK_KEY_TYPE type, struct bytes value)
{
    struct places p;

    p.o[0] = unit_module_secret(type, value, UNIT_TOKEN);
    p.o[1] = unit_module_secret(type, value, 0);
    p.o[2] = unit_module_secret(type, value, UNIT_LEAVES);
    assert_true(unit_module_in_tpm(p.o[0]) && unit_module_in_tpm(p.o[1]));
    assert_true(unit_module_in_memory(p.o[2]));
    return p;
}

static void destroy(struct places *p)
{
    for (size_t i = 0; i < ARRAY_LEN(p->o); i++)
        unit_module_destroy(p->o[i]);
}

static void same(const char *what, size_t n, size_t step, size_t place, size_t len, size_t want_len)
{
    if (len != want_len || memcmp(got, want, len) != 0)
        fail_msg("%s over %zu bytes in parts of %zu, key %zu: %zu bytes, %zu wanted, or others",
                 what, n, step, place, len, want_len);
}

/* --- AES ------------------------------------------------------------------------ */

/* One pass of OpenSSL over `in`; how many bytes. */
static size_t openssl(const char *name, bool encrypt, struct bytes in, uint8_t *out)
{
    EVP_CIPHER *c = EVP_CIPHER_fetch(NULL, name, NULL);
    EVP_CIPHER_CTX *x = EVP_CIPHER_CTX_new();
    int n = 0, last = 0;

    assert_true(c != NULL && x != NULL);
    assert_int_equal(EVP_CipherInit_ex2(x, c, key32, iv, encrypt, NULL), 1);
    if (strstr(name, "CBC-PAD") == NULL)
        EVP_CIPHER_CTX_set_padding(x, 0);
    assert_int_equal(EVP_CipherUpdate(x, out, &n, in.p, (int)in.len), 1);
    assert_int_equal(EVP_CipherFinal_ex(x, out + n, &last), 1);
    EVP_CIPHER_CTX_free(x);
    EVP_CIPHER_free(c);
    return (size_t)(n + last);
}

/* Encrypts and decrypts in several cuts by each of the keys, against want[0..len). */
static void both_ways(CK_MECHANISM *m, const struct places *p, size_t n, size_t len)
{
    static const size_t steps[] = {0, 1, 15, 16, 17, 1024, 1040};
    static uint8_t cipher[sizeof(want)];
    size_t made;

    memcpy(cipher, want, len);
    for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
        if (steps[s] == 1 && n > 100)
            continue;
        for (size_t k = 0; k < ARRAY_LEN(p->o); k++) {
            memcpy(want, cipher, len);
            made = 0;
            assert_int_equal(
                unit_module_crypt(true, m, p->o[k], bytes_of(text, n), steps[s], got, &made),
                CKR_OK);
            same("encryption", n, steps[s], k, made, len);
            memcpy(want, text, n);
            assert_int_equal(
                unit_module_crypt(false, m, p->o[k], bytes_of(cipher, len), steps[s], got, &made),
                CKR_OK);
            same("decryption", n, steps[s], k, made, n);
        }
    }
}

static void test_the_plain_modes_of_aes(void **state)
{
    static const struct {
        CK_MECHANISM_TYPE type;
        const char *name;
        bool blocks;
    } modes[] = {
        {CKM_AES_ECB, "ECB", true},      {CKM_AES_CBC, "CBC", true},
        {CKM_AES_CBC_PAD, "CBC", false}, {CKM_AES_CFB128, "CFB", false},
        {CKM_AES_OFB, "OFB", false},
    };
    static const size_t lengths[] = {0, 1, 16, 47, 48, 1024, 2080, 2091};

    (void)state;
    for (size_t bits = 128; bits <= 256; bits += 128) {
        struct places p = places(CKK_AES, bytes_of(key32, bits / 8));

        for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
            bool ecb = modes[i].type == CKM_AES_ECB, pads = modes[i].type == CKM_AES_CBC_PAD;
            CK_MECHANISM m = {modes[i].type, ecb ? NULL : iv, ecb ? 0 : sizeof(iv)};
            char name[24];

            snprintf(name, sizeof(name), "AES-%zu-%s", bits, modes[i].name);
            for (size_t k = 0; k < ARRAY_LEN(lengths); k++) {
                size_t n = lengths[k], whole = n / 16 * 16 + 16;
                uint8_t padded[MOST + 16];

                if (modes[i].blocks && n % 16 != 0)
                    continue;
                memcpy(padded, text, n);
                memset(padded + n, (int)(whole - n), whole - n);
                both_ways(&m, &p, n, openssl(name, true, bytes_of(padded, pads ? whole : n), want));
            }
        }
        destroy(&p);
    }
}

/* AES-CTR as SP 800-38A, B.1 has it: only the counter's own bits count, and wrap around. */
static void counted(uint8_t block[16], unsigned bits, size_t n, uint8_t *out)
{
    for (size_t at = 0; at < n; at += 16) {
        uint8_t ks[16];
        unsigned carry = 1;

        assert_int_equal(openssl("AES-128-ECB", true, bytes_of(block, 16), ks), 16);
        for (size_t i = at; i < n && i < at + 16; i++)
            out[i] = text[i] ^ ks[i - at];
        for (unsigned i = 0; i < bits && carry != 0; i++) {
            uint8_t mask = (uint8_t)(1u << (i % 8));

            block[15 - i / 8] ^= mask;
            carry = (block[15 - i / 8] & mask) == 0;
        }
    }
}

static void test_counters_of_any_width_wrap_within_their_bits(void **state)
{
    static const unsigned widths[] = {4, 7, 8, 9, 16, 31, 32, 63, 64, 65, 96, 127, 128};
    struct places p = places(CKK_AES, bytes_of(key32, 16));

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
        CK_AES_CTR_PARAMS ctr = {widths[i], {0}};
        CK_MECHANISM m = {CKM_AES_CTR, &ctr, sizeof(ctr)};
        uint8_t block[16];

        /* All ones but for the second lowest bit: it wraps after the third block. */
        memcpy(ctr.cb, iv, 16);
        for (unsigned k = 0; k < widths[i]; k++)
            ctr.cb[15 - k / 8] |= (CK_BYTE)(1u << (k % 8));
        ctr.cb[15] &= 0xfd;
        memcpy(block, ctr.cb, 16);
        counted(block, widths[i], 95, want);
        both_ways(&m, &p, 95, 95);
    }
    destroy(&p);
}

static void test_no_counter_is_used_twice(void **state)
{
    CK_AES_CTR_PARAMS ctr = {3, {0}};
    CK_MECHANISM m = {CKM_AES_CTR, &ctr, sizeof(ctr)};
    struct places p = places(CKK_AES, bytes_of(key32, 16));
    size_t len = 0;

    (void)state;
    ctr.cb[15] = 5;
    for (size_t k = 0; k < ARRAY_LEN(p.o); k++) {
        for (size_t step = 0; step <= 50; step += 25) {
            assert_int_equal(
                unit_module_crypt(true, &m, p.o[k], bytes_of(text, 128), step, got, &len), CKR_OK);
            assert_int_equal(
                unit_module_crypt(true, &m, p.o[k], bytes_of(text, 129), step, got, &len),
                CKR_DATA_LEN_RANGE);
            assert_int_equal(
                unit_module_crypt(false, &m, p.o[k], bytes_of(text, 129), step, got, &len),
                CKR_ENCRYPTED_DATA_LEN_RANGE);
        }
    }
    destroy(&p);
}

/* How long unpadded data are shows only when they were decrypted: the result then waits for a
 * buffer that takes it, and one that does not is left alone. */
static void test_a_short_buffer_is_not_written_past(void **state)
{
    CK_MECHANISM m = {CKM_AES_CBC_PAD, iv, sizeof(iv)};
    struct places p = places(CKK_AES, bytes_of(key32, 16));
    uint8_t cipher[600];
    size_t len = 0;
    CK_ULONG n;

    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(p.o); k++) {
        assert_int_equal(unit_module_crypt(true, &m, p.o[k], bytes_of(text, 26), 0, cipher, &len),
                         CKR_OK);
        assert_int_equal(len, 32);
        for (CK_ULONG room = 0; room < 26; room++) {
            memset(got, 0xaa, sizeof(got));
            n = room;
            assert_int_equal(C_DecryptInit(unit_session, &m, p.o[k]), CKR_OK);
            assert_int_equal(C_Decrypt(unit_session, cipher, 32, got, &n), CKR_BUFFER_TOO_SMALL);
            assert_int_equal(n, 26);
            for (size_t i = 0; i < sizeof(got); i++)
                assert_int_equal(got[i], 0xaa);
            assert_int_equal(C_Decrypt(unit_session, cipher, 32, got, &n), CKR_OK);
            assert_true(n == 26 && memcmp(got, text, 26) == 0 && got[26] == 0xaa);
        }
        /* The same at the end of many parts. */
        n = sizeof(got);
        assert_int_equal(C_DecryptInit(unit_session, &m, p.o[k]), CKR_OK);
        assert_int_equal(C_DecryptUpdate(unit_session, cipher, 32, got, &n), CKR_OK);
        assert_int_equal(n, 16);
        memset(got, 0xaa, sizeof(got));
        n = 9;
        assert_int_equal(C_DecryptFinal(unit_session, got, &n), CKR_BUFFER_TOO_SMALL);
        assert_true(n == 10 && got[0] == 0xaa && got[9] == 0xaa);
        assert_int_equal(C_DecryptFinal(unit_session, got, &n), CKR_OK);
        assert_true(n == 10 && memcmp(got, text + 16, 10) == 0);
    }
    destroy(&p);
}

static size_t openssl_gcm(const CK_GCM_PARAMS *g, size_t n)
{
    EVP_CIPHER_CTX *x = EVP_CIPHER_CTX_new();
    int len = 0;

    assert_non_null(x);
    assert_int_equal(EVP_EncryptInit_ex(x, EVP_aes_256_gcm(), NULL, NULL, NULL), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(x, EVP_CTRL_AEAD_SET_IVLEN, (int)g->ulIvLen, NULL), 1);
    assert_int_equal(EVP_EncryptInit_ex(x, NULL, NULL, key32, g->pIv), 1);
    if (g->ulAADLen != 0)
        assert_int_equal(EVP_EncryptUpdate(x, NULL, &len, g->pAAD, (int)g->ulAADLen), 1);
    if (n != 0)
        assert_int_equal(EVP_EncryptUpdate(x, want, &len, text, (int)n), 1);
    assert_int_equal(EVP_EncryptFinal_ex(x, want + n, &len), 1);
    assert_int_equal(
        EVP_CIPHER_CTX_ctrl(x, EVP_CTRL_AEAD_GET_TAG, (int)(g->ulTagBits / 8), want + n), 1);
    EVP_CIPHER_CTX_free(x);
    return n + g->ulTagBits / 8;
}

static void test_gcm(void **state)
{
    static const struct {
        CK_ULONG iv, aad, tag;
        size_t n;
    } t[] = {{12, 0, 128, 0},    {12, 20, 128, 1},  {12, 33, 128, 95}, {1, 5, 96, 64},
             {60, 1, 104, 1024}, {16, 0, 32, 2091}, {12, 7, 64, 1008}, {12, 0, 128, 1009}};
    struct places p = places(CKK_AES, bytes_of(key32, 32));

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        CK_GCM_PARAMS g = {text, t[i].iv, t[i].iv * 8, text + 100, t[i].aad, t[i].tag};
        CK_MECHANISM m = {CKM_AES_GCM, &g, sizeof(g)};
        size_t len = openssl_gcm(&g, t[i].n);

        both_ways(&m, &p, t[i].n, len);
    }
    destroy(&p);
}

/* The tag is looked at first: whatever was altered, nothing comes out. */
static void test_what_was_forged_never_comes_out(void **state)
{
    CK_GCM_PARAMS g = {text, 12, 96, NULL, 0, 128};
    CK_MECHANISM m = {CKM_AES_GCM, &g, sizeof(g)};
    CK_OBJECT_HANDLE o = unit_module_secret(CKK_AES, bytes_of(key32, 32), UNIT_TOKEN);
    size_t len = openssl_gcm(&g, 40);
    CK_ULONG room;

    (void)state;
    for (size_t i = 0; i < len; i += 5) {
        want[i] ^= 1;
        memset(got, 0xaa, sizeof(got));
        room = sizeof(got);
        assert_int_equal(C_DecryptInit(unit_session, &m, o), CKR_OK);
        assert_int_equal(C_DecryptUpdate(unit_session, want, (CK_ULONG)len, got, &room), CKR_OK);
        assert_int_equal(room, 0);
        room = sizeof(got);
        assert_int_equal(C_DecryptFinal(unit_session, got, &room), CKR_ENCRYPTED_DATA_INVALID);
        for (size_t k = 0; k < len; k++)
            assert_int_equal(got[k], 0xaa);
        want[i] ^= 1;
    }
    unit_module_destroy(o);
}

/* --- MACs -------------------------------------------------------------------------- */

static void codes(CK_MECHANISM *m, const struct places *p, size_t n, size_t len)
{
    static const size_t steps[] = {0, 7, 16, 1000, 1024};
    size_t made = 0;

    for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
        for (size_t k = 0; k < ARRAY_LEN(p->o); k++) {
            assert_int_equal(unit_module_sign(m, p->o[k], bytes_of(text, n), steps[s], got, &made),
                             CKR_OK);
            same("a MAC", n, steps[s], k, made, len);
            assert_int_equal(unit_module_verify(m, p->o[k], bytes_of(text, n), want, len), CKR_OK);
        }
    }
    want[len - 1] ^= 1;
    for (size_t k = 0; k < ARRAY_LEN(p->o); k++)
        assert_int_equal(unit_module_verify(m, p->o[k], bytes_of(text, n), want, len),
                         CKR_SIGNATURE_INVALID);
}

static void test_cmac(void **state)
{
    static const size_t lengths[] = {0, 1, 16, 40, 64, 1024, 1030, 2091};
    struct places p = places(CKK_AES, bytes_of(key32, 16));
    OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_CIPHER, (char[]){"AES-128-CBC"}, 11), OSSL_PARAM_END};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        CK_MECHANISM m = {CKM_AES_CMAC, NULL, 0};
        size_t len = 0;

        assert_non_null(EVP_Q_mac(NULL, "CMAC", NULL, NULL, params, key32, 16, text, lengths[i],
                                  want, sizeof(want), &len));
        assert_int_equal(len, 16);
        codes(&m, &p, lengths[i], len);
    }
    destroy(&p);
}

static void test_hmac(void **state)
{
    static const struct {
        CK_MECHANISM_TYPE type;
        CK_KEY_TYPE key;
        const char *name;
    } t[] = {{CKM_SHA_1_HMAC, CKK_SHA_1_HMAC, "SHA1"},
             {CKM_SHA256_HMAC, CKK_SHA256_HMAC, "SHA256"},
             {CKM_SHA384_HMAC, CKK_SHA384_HMAC, "SHA384"},
             {CKM_SHA512_HMAC, CKK_SHA512_HMAC, "SHA512"}};
    static const size_t keys[] = {1, 32, 100}, lengths[] = {0, 1, 1024, 1025, 2600};
    uint8_t secret[100];

    (void)state;
    unit_module_fill(secret, sizeof(secret), 4);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
            bool typed = (i + k) % 2 == 0;
            struct places p =
                places(typed ? t[i].key : CKK_GENERIC_SECRET, bytes_of(secret, keys[k]));
            CK_MECHANISM m = {t[i].type, NULL, 0};

            for (size_t n = 0; n < ARRAY_LEN(lengths); n++) {
                unsigned len = 0;

                assert_non_null(HMAC(EVP_get_digestbyname(t[i].name), secret, (int)keys[k], text,
                                     lengths[n], want, &len));
                codes(&m, &p, lengths[n], len);
            }
            destroy(&p);
        }
    }
}

/* --- derivation by encryption ------------------------------------------------------------ */

static void test_keys_derived_by_encryption_are_the_ciphertext(void **state)
{
    CK_KEY_DERIVATION_STRING_DATA ecb = {text, 48};
    CK_AES_CBC_ENCRYPT_DATA_PARAMS cbc = {{0}, text, 48};
    CK_MECHANISM m[] = {{CKM_AES_ECB_ENCRYPT_DATA, &ecb, sizeof(ecb)},
                        {CKM_AES_CBC_ENCRYPT_DATA, &cbc, sizeof(cbc)}};
    CK_ATTRIBUTE t[] = {T_BOOL(CKA_EXTRACTABLE, true), T_BOOL(CKA_SENSITIVE, false)};
    struct places p = places(CKK_AES, bytes_of(key32, 32));

    (void)state;
    memcpy(cbc.iv, iv, sizeof(cbc.iv));
    for (size_t i = 0; i < ARRAY_LEN(m); i++) {
        assert_int_equal(
            openssl(i == 0 ? "AES-256-ECB" : "AES-256-CBC", true, bytes_of(text, 48), want), 48);
        for (size_t k = 0; k < ARRAY_LEN(p.o); k++) {
            CK_OBJECT_HANDLE o = 0;

            assert_int_equal(C_DeriveKey(unit_session, &m[i], p.o[k], t, 2, &o), CKR_OK);
            same("derivation", 48, 0, k, unit_module_bytes(o, CKA_VALUE, got), 48);
            unit_module_destroy(o);
        }
    }
    destroy(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_plain_modes_of_aes),
        cmocka_unit_test(test_counters_of_any_width_wrap_within_their_bits),
        cmocka_unit_test(test_no_counter_is_used_twice),
        cmocka_unit_test(test_a_short_buffer_is_not_written_past),
        cmocka_unit_test(test_gcm),
        cmocka_unit_test(test_what_was_forged_never_comes_out),
        cmocka_unit_test(test_cmac),
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_keys_derived_by_encryption_are_the_ciphertext),
    };

    return cmocka_run_group_tests_name("module_cipher", tests, begin, unit_module_erase);
}
