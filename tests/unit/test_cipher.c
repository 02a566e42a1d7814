/* AES-CFB (SP 800-38A, F.3.13 and F.3.17) and AES-256-GCM (test cases 13, 14 and
 * 16 of the GCM submission to NIST). */
#include "core/cipher.h"

#include "core/buf.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct raw {
    uint8_t p[80];
    size_t len;
};

static struct raw from_hex(const char *hex)
{
    struct raw r = {.len = strlen(hex) / 2};

    assert_true(r.len <= sizeof(r.p));
    assert_int_equal(hex_decode(r.p, r.len, hex), 0);
    return r;
}

static void check_cfb(const char *key_hex, const char *expected_hex)
{
    struct raw key = from_hex(key_hex), expected = from_hex(expected_hex);
    struct raw iv = from_hex("000102030405060708090a0b0c0d0e0f");
    struct raw plain = from_hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                                "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
    struct raw data = plain;

    assert_int_equal(cipher_cfb(true, bytes_of(key.p, key.len), iv.p, data.p, data.len, NULL), 0);
    assert_memory_equal(data.p, expected.p, data.len);
    assert_int_equal(cipher_cfb(false, bytes_of(key.p, key.len), iv.p, data.p, data.len, NULL), 0);
    assert_memory_equal(data.p, plain.p, data.len);
    /* A length that is no multiple of a block: the start is the same. */
    assert_int_equal(cipher_cfb(true, bytes_of(key.p, key.len), iv.p, data.p, 21, NULL), 0);
    assert_memory_equal(data.p, expected.p, 21);
    assert_memory_equal(&data.p[21], &plain.p[21], data.len - 21);
}

static void test_cfb_with_128_bits(void **state)
{
    (void)state;
    check_cfb("2b7e151628aed2a6abf7158809cf4f3c",
              "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b"
              "26751f67a3cbb140b1808cf187a4f4dfc04b05357c5d1c0eeac4c66f9ff7f2e6");
}

static void test_cfb_with_256_bits(void **state)
{
    (void)state;
    check_cfb("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
              "dc7e84bfda79164b7ecd8486985d386039ffed143b28b1c832113c6331e5407b"
              "df10132415e54b92a13ed0a8267ae2f975a385741ab9cef82031623d55b1e471");
}

static void check_gcm(const char *key_hex, const char *nonce_hex, const char *aad_hex,
                      const char *plain_hex, const char *sealed_hex)
{
    struct raw key = from_hex(key_hex), nonce = from_hex(nonce_hex), aad = from_hex(aad_hex);
    struct raw plain = from_hex(plain_hex), sealed = from_hex(sealed_hex);
    uint8_t out[80];

    assert_int_equal(sealed.len, plain.len + GCM_TAG);
    assert_int_equal(cipher_gcm_seal(key.p, nonce.p, bytes_of(aad.p, aad.len),
                                     bytes_of(plain.p, plain.len), out, NULL),
                     0);
    assert_memory_equal(out, sealed.p, sealed.len);
    memset(out, 0, sizeof(out));
    assert_int_equal(cipher_gcm_open(key.p, nonce.p, bytes_of(aad.p, aad.len),
                                     bytes_of(sealed.p, sealed.len), out, NULL),
                     0);
    assert_memory_equal(out, plain.p, plain.len);
}

#define ZERO_KEY "0000000000000000000000000000000000000000000000000000000000000000"
#define KEY_16 "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
#define AAD_16 "feedfacedeadbeeffeedfacedeadbeefabaddad2"
#define PLAIN_16                                                       \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72" \
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define SEALED_16                                                      \
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa" \
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"         \
    "76fc6ece0f4e1768cddf8853bb2d551b"

static void test_gcm_known_answers(void **state)
{
    (void)state;
    check_gcm(ZERO_KEY, "000000000000000000000000", "", "", "530f8afbc74536b9a963b4f1c4cb738b");
    check_gcm(ZERO_KEY, "000000000000000000000000", "", "00000000000000000000000000000000",
              "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
    check_gcm(KEY_16, "cafebabefacedbaddecaf888", AAD_16, PLAIN_16, SEALED_16);
}

static void test_gcm_refuses_any_changed_bit(void **state)
{
    struct raw key = from_hex(KEY_16), nonce = from_hex("cafebabefacedbaddecaf888");
    struct raw aad = from_hex(AAD_16), sealed = from_hex(SEALED_16);
    uint8_t out[80];

    (void)state;
    for (size_t i = 0; i < sealed.len; i++) {
        struct err e = {0};

        sealed.p[i] ^= 0x10;
        assert_int_equal(cipher_gcm_open(key.p, nonce.p, bytes_of(aad.p, aad.len),
                                         bytes_of(sealed.p, sealed.len), out, &e),
                         -1);
        assert_int_equal(e.code, E_CORRUPT);
        sealed.p[i] ^= 0x10;
    }
    aad.p[0] ^= 1;
    assert_int_equal(cipher_gcm_open(key.p, nonce.p, bytes_of(aad.p, aad.len),
                                     bytes_of(sealed.p, sealed.len), out, NULL),
                     -1);
}

static void test_gcm_refuses_what_is_shorter_than_a_tag(void **state)
{
    struct raw key = from_hex(KEY_16), nonce = from_hex("cafebabefacedbaddecaf888");
    uint8_t out[16], in[GCM_TAG - 1] = {0};
    struct err e = {0};

    (void)state;
    assert_int_equal(
        cipher_gcm_open(key.p, nonce.p, bytes_of(NULL, 0), bytes_of(in, sizeof(in)), out, &e), -1);
    assert_int_equal(e.code, E_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cfb_with_128_bits),
        cmocka_unit_test(test_cfb_with_256_bits),
        cmocka_unit_test(test_gcm_known_answers),
        cmocka_unit_test(test_gcm_refuses_any_changed_bit),
        cmocka_unit_test(test_gcm_refuses_what_is_shorter_than_a_tag),
    };

    return cmocka_run_group_tests_name("cipher", tests, NULL, NULL);
}
