/* Goal: keys wrap as in RFC 3394, 4, and RFC 5649, 6, and as OpenSSL wraps them; whatever
 * was changed does not unwrap, says the same, and leaves nothing behind. */
#include "core/keywrap.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define KEK "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define DATA "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f"
#define KEK_5649 "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8"

static const struct {
    size_t kek, data; /* bytes */
    const char *out;
} known[] = {
    {16, 16, "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"},
    {24, 16, "96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d"},
    {32, 16, "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7"},
    {24, 24, "031d33264e15d33268f24ec260743edce1c6c7ddee725a936ba814915c6762d2"},
    {32, 24, "a8f9bc1612c68b3ff6e6f4fbe30e71e4769c8b80a32cb8958cd5d17d6b254da1"},
    {32, 32, "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"},
};

typedef int op(const struct aes_block *, const uint8_t *, struct bytes, struct buf *, struct err *);

static struct bytes from_hex(uint8_t *out, const char *hex, size_t len)
{
    char text[129];

    assert_true(strlen(hex) >= 2 * len && 2 * len < sizeof(text));
    memcpy(text, hex, 2 * len);
    text[2 * len] = 0;
    assert_int_equal(hex_decode(out, len, text), 0);
    return bytes_of(out, len);
}

static void gives(op *f, struct bytes kek, const uint8_t *iv, struct bytes in, struct bytes want)
{
    struct aes_block aes = aesblock_of_key(&kek);
    struct buf out = {0};

    buf_str(&out, "before");
    assert_int_equal(f(&aes, iv, in, &out, NULL), 0);
    assert_memory_equal(out.p, "before", 6);
    assert_true(bytes_equal(bytes_of(out.p + 6, out.len - 6), want));
    buf_free(&out);
}

static enum err_code refuses(op *f, struct bytes kek, const uint8_t *iv, struct bytes in)
{
    struct aes_block aes = aesblock_of_key(&kek);
    struct buf out = {0};
    struct err e = {0};

    assert_int_equal(f(&aes, iv, in, &out, &e), -1);
    assert_int_equal(out.len, 0);
    buf_free(&out);
    if (e.code == E_CORRUPT)
        assert_string_equal(
            e.msg, "the wrapped key does not open: it was altered, or wrapped by another key");
    return e.code;
}

static void test_examples_of_rfc_3394(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        uint8_t kek[32], data[32], out[40];
        struct bytes k = from_hex(kek, KEK, known[i].kek);
        struct bytes d = from_hex(data, DATA, known[i].data);
        struct bytes w = from_hex(out, known[i].out, known[i].data + 8);

        gives(keywrap_wrap, k, NULL, d, w);
        gives(keywrap_unwrap, k, NULL, w, d);
    }
}

static void test_examples_of_rfc_5649(void **state)
{
    uint8_t kek[24], data[20], out[32];
    struct bytes k = from_hex(kek, KEK_5649, 24), d, w;

    (void)state;
    d = from_hex(data, "c37b7e6492584340bed12207808941155068f738", 20);
    w = from_hex(out, "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a", 32);
    gives(keywrap_wrap_pad, k, NULL, d, w);
    gives(keywrap_unwrap_pad, k, NULL, w, d);
    d = from_hex(data, "466f7250617369", 7);
    w = from_hex(out, "afbeb0f07dfbf5419200f2ccb50bb24f", 16);
    gives(keywrap_wrap_pad, k, NULL, d, w);
    gives(keywrap_unwrap_pad, k, NULL, w, d);
}

static size_t by_evp(const EVP_CIPHER *cipher, const uint8_t *key, const uint8_t *iv,
                     struct bytes in, uint8_t *out)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0, last = 0;

    EVP_CIPHER_CTX_set_flags(c, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    assert_int_equal(EVP_EncryptInit_ex(c, cipher, NULL, key, iv), 1);
    assert_int_equal(EVP_EncryptUpdate(c, out, &n, in.p, (int)in.len), 1);
    assert_int_equal(EVP_EncryptFinal_ex(c, out + n, &last), 1);
    EVP_CIPHER_CTX_free(c);
    return (size_t)(n + last);
}

static void test_every_length_agrees_with_openssl(void **state)
{
    uint8_t kek[32], in[300], iv[8], want[320];

    (void)state;
    RAND_bytes(kek, 32);
    RAND_bytes(in, sizeof(in));
    RAND_bytes(iv, 8);
    for (size_t len = 1; len <= sizeof(in); len++) {
        const uint8_t *v = len % 3 == 0 ? NULL : iv;
        struct bytes d = {in, len}, k = {kek, 32}, w = {want, 0};

        w.len = by_evp(EVP_aes_256_wrap_pad(), kek, v, d, want);
        gives(keywrap_wrap_pad, k, v, d, w);
        gives(keywrap_unwrap_pad, k, v, w, d);
        if (len % 8 != 0 || len < 16)
            continue;
        w.len = by_evp(EVP_aes_256_wrap(), kek, v, d, want);
        gives(keywrap_wrap, k, v, d, w);
        gives(keywrap_unwrap, k, v, w, d);
    }
}

static void test_any_changed_bit_is_the_same_failure(void **state)
{
    uint8_t kek[16] = {1}, in[37] = {2}, other[8] = {3};
    struct bytes k = {kek, 16};
    struct aes_block aes = aesblock_of_key(&k);

    (void)state;
    for (size_t len = 1; len <= sizeof(in); len++) {
        bool plain = len % 8 == 0 && len >= 16;
        struct buf out = {0};

        for (int pad = 0; pad < 2; pad++) {
            op *wrap = pad ? keywrap_wrap_pad : keywrap_wrap;
            op *unwrap = pad ? keywrap_unwrap_pad : keywrap_unwrap;

            if (!pad && !plain)
                continue;
            out.len = 0;
            assert_int_equal(wrap(&aes, NULL, bytes_of(in, len), &out, NULL), 0);
            for (size_t bit = 0; bit < out.len * 8; bit++) {
                out.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
                assert_int_equal(refuses(unwrap, k, NULL, buf_bytes(&out)), E_CORRUPT);
                out.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
            }
            assert_int_equal(refuses(unwrap, k, other, buf_bytes(&out)), E_CORRUPT);
        }
        buf_free(&out);
    }
}

/* RFC 5649, 3: an initial value and padding made wrong on purpose, wrapped all the same. */
static void test_each_check_of_the_padding(void **state)
{
    static const struct {
        uint32_t len;    /* as the initial value says it */
        uint8_t padding; /* the last byte */
        bool good;
    } row[] = {
        {16, 0, true},  {15, 0, true},          {9, 0, true},           {8, 0, false},
        {17, 0, false}, {0, 0, false},          {15, 1, false},         {16, 1, true},
        {1, 0, false},  {0x80000010, 0, false}, {0xffffffff, 0, false}, {0x10010, 0, false},
        {24, 0, false}, {0x7fffffff, 0, false},
    };
    uint8_t kek[32] = {9};
    struct bytes k = {kek, 32};
    struct aes_block aes = aesblock_of_key(&k);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        uint8_t iv[8] = {0xa6, 0x59, 0x59, 0xa6}, data[16] = {0};
        struct buf out = {0};

        for (unsigned b = 0; b < 4; b++)
            iv[4 + b] = (uint8_t)(row[i].len >> (24 - 8 * b));
        data[15] = row[i].padding;
        assert_int_equal(keywrap_wrap(&aes, iv, bytes_of(data, 16), &out, NULL), 0);
        if (row[i].good)
            gives(keywrap_unwrap_pad, k, NULL, buf_bytes(&out), bytes_of(data, row[i].len));
        else
            assert_int_equal(refuses(keywrap_unwrap_pad, k, NULL, buf_bytes(&out)), E_CORRUPT);
        buf_free(&out);
    }
}

static void test_lengths_that_there_are_not(void **state)
{
    static uint8_t in[KEYWRAP_MAX + 17];
    struct bytes k = {in, 16};

    (void)state;
    for (size_t len = 0; len < 40; len++) {
        if (len % 8 != 0 || len < 16)
            assert_int_equal(refuses(keywrap_wrap, k, NULL, bytes_of(in, len)), E_DATA);
        if (len % 8 != 0 || len < 24)
            assert_int_equal(refuses(keywrap_unwrap, k, NULL, bytes_of(in, len)), E_DATA);
        if (len % 8 != 0 || len < 16)
            assert_int_equal(refuses(keywrap_unwrap_pad, k, NULL, bytes_of(in, len)), E_DATA);
    }
    assert_int_equal(refuses(keywrap_wrap_pad, k, NULL, bytes_of(in, 0)), E_DATA);
    assert_int_equal(refuses(keywrap_wrap_pad, k, NULL, bytes_of(in, KEYWRAP_MAX + 1)), E_DATA);
    assert_int_equal(refuses(keywrap_wrap, k, NULL, bytes_of(in, KEYWRAP_MAX + 8)), E_DATA);
    assert_int_equal(refuses(keywrap_unwrap, k, NULL, bytes_of(in, KEYWRAP_MAX + 16)), E_DATA);
    assert_int_equal(refuses(keywrap_unwrap_pad, k, NULL, bytes_of(in, KEYWRAP_MAX + 16)), E_DATA);
}

static void test_a_key_that_cannot_wrap(void **state)
{
    uint8_t in[32] = {0};
    struct bytes k = {in, 15};

    (void)state;
    assert_int_equal(refuses(keywrap_wrap, k, NULL, bytes_of(in, 32)), E_ARG);
    assert_int_equal(refuses(keywrap_unwrap, k, NULL, bytes_of(in, 32)), E_ARG);
    assert_int_equal(refuses(keywrap_wrap_pad, k, NULL, bytes_of(in, 8)), E_ARG);
    assert_int_equal(refuses(keywrap_unwrap_pad, k, NULL, bytes_of(in, 16)), E_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples_of_rfc_3394),
        cmocka_unit_test(test_examples_of_rfc_5649),
        cmocka_unit_test(test_every_length_agrees_with_openssl),
        cmocka_unit_test(test_any_changed_bit_is_the_same_failure),
        cmocka_unit_test(test_each_check_of_the_padding),
        cmocka_unit_test(test_lengths_that_there_are_not),
        cmocka_unit_test(test_a_key_that_cannot_wrap),
    };

    return cmocka_run_group_tests_name("keywrap", tests, NULL, NULL);
}
