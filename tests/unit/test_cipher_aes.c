/* Goal: AES in each mode gives the examples of SP 800-38A, appendix F, in one call and in
 * several, in place and not, and refuses what it cannot do. */
#include "core/cipher.h"

#include "core/buf.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define PLAIN                                                          \
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51" \
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
#define IV "000102030405060708090a0b0c0d0e0f"
#define COUNTER "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"

static const char *const keys[] = {
    "2b7e151628aed2a6abf7158809cf4f3c",
    "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
    "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
};

/* F.1 to F.5: by mode, then by key length. */
static const struct {
    enum cipher_mode mode;
    const char *iv;
    const char *out[3];
} known[] = {
    {CIPHER_ECB,
     IV,
     {"3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf"
      "43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4",
      "bd334f1d6e45f25ff712a214571fa5cc974104846d0ad3ad7734ecb3ecee4eef"
      "ef7afd2270e2e60adce0ba2face6444e9a4b41ba738d6c72fb16691603c18e0e",
      "f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870"
      "b6ed21b99ca6f4f9f153e7b1beafed1d23304b7a39f9f3ff067d8d8f9e24ecc7"}},
    {CIPHER_CBC,
     IV,
     {"7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"
      "73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7",
      "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a"
      "571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd",
      "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"
      "39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b"}},
    {CIPHER_CFB,
     IV,
     {"3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b"
      "26751f67a3cbb140b1808cf187a4f4dfc04b05357c5d1c0eeac4c66f9ff7f2e6",
      "cdc80d6fddf18cab34c25909c99a417467ce7f7f81173621961a2b70171d3d7a"
      "2e1e8a1dd59b88b1c8e60fed1efac4c9c05f9f9ca9834fa042ae8fba584b09ff",
      "dc7e84bfda79164b7ecd8486985d386039ffed143b28b1c832113c6331e5407b"
      "df10132415e54b92a13ed0a8267ae2f975a385741ab9cef82031623d55b1e471"}},
    {CIPHER_OFB,
     IV,
     {"3b3fd92eb72dad20333449f8e83cfb4a7789508d16918f03f53c52dac54ed825"
      "9740051e9c5fecf64344f7a82260edcc304c6528f659c77866a510d9c1d6ae5e",
      "cdc80d6fddf18cab34c25909c99a4174fcc28b8d4c63837c09e81700c1100401"
      "8d9a9aeac0f6596f559c6d4daf59a5f26d9f200857ca6c3e9cac524bd9acc92a",
      "dc7e84bfda79164b7ecd8486985d38604febdc6740d20b3ac88f6ad82a4fb08d"
      "71ab47a086e86eedf39d1c5bba97c4080126141d67f37be8538f5a8be740e484"}},
    {CIPHER_CTR,
     COUNTER,
     {"874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
      "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee",
      "1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e94"
      "1e36b26bd1ebc670d1bd1d665620abf74f78a7f6d29809585a97daec58c6b050",
      "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
      "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"}},
};

static struct bytes from_hex(uint8_t *out, const char *hex)
{
    size_t len = strlen(hex) / 2;

    assert_int_equal(hex_decode(out, len, hex), 0);
    return bytes_of(out, len);
}

/* In two calls that meet at `at`, a multiple of 16, in place. */
static void in_two_calls(enum cipher_mode mode, bool encrypt, struct bytes key, const char *iv_hex,
                         uint8_t data[64], size_t at)
{
    uint8_t iv[16];

    from_hex(iv, iv_hex);
    assert_int_equal(cipher_aes(mode, encrypt, key, iv, bytes_of(data, at), data, NULL), 0);
    assert_int_equal(
        cipher_aes(mode, encrypt, key, iv, bytes_of(&data[at], 64 - at), &data[at], NULL), 0);
}

static void test_examples_of_sp_800_38a(void **state)
{
    uint8_t plain[64];

    (void)state;
    from_hex(plain, PLAIN);
    for (size_t m = 0; m < ARRAY_LEN(known); m++) {
        for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
            uint8_t key_bytes[32], want[64], data[64], iv[16];
            struct bytes key = from_hex(key_bytes, keys[k]);

            from_hex(want, known[m].out[k]);
            from_hex(iv, known[m].iv);
            assert_int_equal(
                cipher_aes(known[m].mode, true, key, iv, bytes_of(plain, 64), data, NULL), 0);
            assert_memory_equal(data, want, 64);
            for (size_t at = 0; at <= 64; at += 16) {
                memcpy(data, plain, 64);
                in_two_calls(known[m].mode, true, key, known[m].iv, data, at);
                assert_memory_equal(data, want, 64);
                in_two_calls(known[m].mode, false, key, known[m].iv, data, at);
                assert_memory_equal(data, plain, 64);
            }
        }
    }
}

static void test_a_broken_last_block(void **state)
{
    uint8_t key[16] = {1}, plain[37], out[37], back[37];

    (void)state;
    memset(plain, 'p', sizeof(plain));
    for (size_t m = 0; m < ARRAY_LEN(known); m++) {
        enum cipher_mode mode = known[m].mode;
        uint8_t iv[16] = {2}, again[16] = {2};
        struct bytes in = {plain, sizeof(plain)};
        struct err e = {0};

        if (mode == CIPHER_ECB || mode == CIPHER_CBC) {
            memset(out, 0, sizeof(out));
            assert_int_equal(cipher_aes(mode, true, bytes_of(key, 16), iv, in, out, &e), -1);
            assert_int_equal(e.code, E_DATA);
            assert_memory_equal(iv, again, 16);
            assert_int_equal(out[0], 0);
            continue;
        }
        assert_int_equal(cipher_aes(mode, true, bytes_of(key, 16), iv, in, out, &e), 0);
        assert_int_equal(
            cipher_aes(mode, false, bytes_of(key, 16), again, bytes_of(out, sizeof(out)), back, &e),
            0);
        assert_memory_equal(back, plain, sizeof(plain));
    }
}

/* The carry goes through all 128 bits; the IV that comes back is the next counter. */
static void test_the_counter_wraps_around(void **state)
{
    uint8_t key[32] = {3}, iv[16], counters[3 * 16] = {0}, want[3 * 16], got[3 * 16] = {0};
    uint8_t one[16] = {0};

    (void)state;
    memset(iv, 0xff, 16);
    iv[15] = 0xfe;
    memset(counters, 0xff, 32);
    counters[15] = 0xfe;
    assert_int_equal(cipher_aes(CIPHER_ECB, true, bytes_of(key, 32), NULL,
                                bytes_of(counters, sizeof(counters)), want, NULL),
                     0);
    assert_int_equal(
        cipher_aes(CIPHER_CTR, true, bytes_of(key, 32), iv, bytes_of(got, sizeof(got)), got, NULL),
        0);
    assert_memory_equal(got, want, sizeof(want));
    one[15] = 1;
    assert_memory_equal(iv, one, 16);
}

static void test_nothing_in_and_wrong_keys(void **state)
{
    uint8_t key[33] = {0}, iv[16] = {9}, same[16] = {9}, out[16];

    (void)state;
    for (size_t m = 0; m < ARRAY_LEN(known); m++) {
        assert_int_equal(
            cipher_aes(known[m].mode, true, bytes_of(key, 24), iv, bytes_of(NULL, 0), out, NULL),
            0);
        assert_memory_equal(iv, same, 16);
        for (size_t len = 0; len <= sizeof(key); len++) {
            struct err e = {0};
            int rc = cipher_aes(known[m].mode, false, bytes_of(key, len), iv, bytes_of(NULL, 0),
                                out, &e);

            if (len == 16 || len == 24 || len == 32)
                assert_int_equal(rc, 0);
            else
                assert_int_equal(e.code, E_ARG);
        }
    }
}

static const char *const evp_mode[] = {[CIPHER_ECB] = "ECB",
                                       [CIPHER_CBC] = "CBC",
                                       [CIPHER_CTR] = "CTR",
                                       [CIPHER_CFB] = "CFB",
                                       [CIPHER_OFB] = "OFB"};

static void by_evp(enum cipher_mode mode, bool encrypt, struct bytes key, const uint8_t iv[16],
                   struct bytes in, uint8_t *out)
{
    char name[16];
    EVP_CIPHER *cipher;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0;

    snprintf(name, sizeof(name), "AES-%zu-%s", key.len * 8, evp_mode[mode]);
    cipher = EVP_CIPHER_fetch(NULL, name, NULL);
    assert_int_equal(EVP_CipherInit_ex2(c, cipher, key.p, iv, encrypt, NULL), 1);
    assert_int_equal(EVP_CIPHER_CTX_set_padding(c, 0), 1);
    assert_int_equal(EVP_CipherUpdate(c, out, &n, in.p, (int)in.len), 1);
    EVP_CIPHER_CTX_free(c);
    EVP_CIPHER_free(cipher);
}

static void test_random_calls_agree_with_one_long_one(void **state)
{
    uint8_t r[2], key[32], iv[16], in[512], want[512], got[512], running[16];

    (void)state;
    for (unsigned round = 0; round < 600; round++) {
        enum cipher_mode mode = (enum cipher_mode)(round % 5);
        bool encrypt = round / 5 % 2 == 0;
        struct bytes k = {key, 16 + 8 * (round / 10 % 3)};
        size_t done = 0;

        RAND_bytes(key, 32);
        RAND_bytes(iv, 16);
        RAND_bytes(in, sizeof(in));
        by_evp(mode, encrypt, k, iv, bytes_of(in, sizeof(in)), want);
        memcpy(running, iv, 16);
        while (done < sizeof(in)) {
            size_t n;

            RAND_bytes(r, 2);
            n = 16u * (r[0] % 8u);
            if (n > sizeof(in) - done)
                n = sizeof(in) - done;
            memcpy(&got[done], &in[done], n);
            assert_int_equal(
                cipher_aes(mode, encrypt, k, running, bytes_of(&got[done], n), &got[done], NULL),
                0);
            done += n;
        }
        assert_memory_equal(got, want, sizeof(want));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples_of_sp_800_38a),
        cmocka_unit_test(test_a_broken_last_block),
        cmocka_unit_test(test_the_counter_wraps_around),
        cmocka_unit_test(test_nothing_in_and_wrong_keys),
        cmocka_unit_test(test_random_calls_agree_with_one_long_one),
    };

    return cmocka_run_group_tests_name("cipher_aes", tests, NULL, NULL);
}
