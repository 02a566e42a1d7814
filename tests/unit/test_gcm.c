/* Goal: GCM over a given block cipher is GCM: the test cases of McGrew and Viega's
 * submission to NIST, OpenSSL's results for all splits of the input, the counter's wrap at
 * 32 bits, few calls of the cipher, and an end when one of them fails. */
#include "core/gcm.h"

#include "core/buf.h"
#include "core/ghash.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define LONG 5000

#define KEY "feffe9928665731c6d6a8f9467308308"
#define KEY_192 KEY "feffe9928665731c"
#define KEY_256 KEY KEY
#define ZERO "00000000000000000000000000000000"
#define AAD "feedfacedeadbeeffeedfacedeadbeefabaddad2"
#define PLAIN                                                          \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72" \
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define IV_96 "cafebabefacedbaddecaf888"
#define IV_64 "cafebabefacedbad"
#define IV_480                                                         \
    "9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728" \
    "c3c0c95156809539fcf0e2429a6b525416aedbf5a0de6a57a637b39b"

static const struct {
    const char *key, *iv, *aad, *plain, *out, *tag;
} known[] = {
    /* Test cases 1, 2, 4, 5, 6 */
    {ZERO, "000000000000000000000000", "", "", "", "58e2fccefa7e3061367f1d57a4e7455a"},
    {ZERO, "000000000000000000000000", "", ZERO, "0388dace60b6a392f328c2b971b2fe78",
     "ab6e47d42cec13bdf53a67b21257bddf"},
    {KEY, IV_96, AAD, PLAIN,
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
     "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
     "5bc94fbc3221a5db94fae95ae7121a47"},
    {KEY, IV_64, AAD, PLAIN,
     "61353b4c2806934a777ff51fa22a4755699b2a714fcdc6f83766e5f97b6c7423"
     "73806900e49f24b22b097544d4896b424989b5e1ebac0f07c23f4598",
     "3612d2e79e3b0785561be14aaca2fccb"},
    {KEY, IV_480, AAD, PLAIN,
     "8ce24998625615b603a033aca13fb894be9112a5c3a211a8ba262a3cca7e2ca7"
     "01e4a9a4fba43c90ccdcb281d48c7c6fd62875d2aca417034c34aee5",
     "619cc5aefffe0bfa462af43c1699d050"},
    /* 10, 11, 12 */
    {KEY_192, IV_96, AAD, PLAIN,
     "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c"
     "7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710",
     "2519498e80f1478f37ba55bd6d27618c"},
    {KEY_192, IV_64, AAD, PLAIN,
     "0f10f599ae14a154ed24b36e25324db8c566632ef2bbb34f8347280fc4507057"
     "fddc29df9a471f75c66541d4d4dad1c9e93a19a58e8b473fa0f062f7",
     "65dcc57fcf623a24094fcca40d3533f8"},
    {KEY_192, IV_480, AAD, PLAIN,
     "d27e88681ce3243c4830165a8fdcf9ff1de9a1d8e6b447ef6ef7b79828666e45"
     "81e79012af34ddd9e2f037589b292db3e67c036745fa22e7e9b7373b",
     "dcf566ff291c25bbb8568fc3d376a6d9"},
    /* 16, 17, 18 */
    {KEY_256, IV_96, AAD, PLAIN,
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
     "76fc6ece0f4e1768cddf8853bb2d551b"},
    {KEY_256, IV_64, AAD, PLAIN,
     "c3762df1ca787d32ae47c13bf19844cbaf1ae14d0b976afac52ff7d79bba9de0"
     "feb582d33934a4f0954cc2363bc73f7862ac430e64abe499f47c9b1f",
     "3a337dbf46a792c45e454913fe2ea8f2"},
    {KEY_256, IV_480, AAD, PLAIN,
     "5a8def2f0c9e53f1f75d7853659e2a20eeb2b22aafde6419a058ab4f6f746bf4"
     "0fc0c3b780f244452da3ebf1c5d82cdea2418997200ef82e44ae7e3f",
     "a44a8266ee1c8eb0c8b5d4cf5ae9f19a"},
};

/* A block cipher that counts its calls and fails from the one before `fail_at` on. */
struct counted {
    struct aes_block real;
    unsigned calls, fail_at;
};

static int counted_ecb(void *arg, bool encrypt, struct bytes in, uint8_t *out, struct err *e)
{
    struct counted *c = arg;

    assert_true(encrypt);
    assert_true(in.len >= AESBLOCK_SIZE && in.len <= AESBLOCK_MAX && in.len % 16 == 0);
    if (++c->calls == c->fail_at)
        return err_set(e, E_TPM, "no");
    return c->real.ecb(c->real.arg, encrypt, in, out, e);
}

static struct aes_block count(struct counted *c, struct bytes *key)
{
    *c = (struct counted){.real = aesblock_of_key(key)};
    return (struct aes_block){.ecb = counted_ecb, .arg = c};
}

static struct bytes from_hex(uint8_t *out, const char *hex)
{
    assert_int_equal(hex_decode(out, strlen(hex) / 2, hex), 0);
    return bytes_of(out, strlen(hex) / 2);
}

struct job {
    struct bytes key, iv, aad;
    bool encrypt;
};

/* Everything in two parts, in place. */
static void run(const struct job *j, uint8_t *data, size_t len, size_t aad_at, size_t at,
                uint8_t tag[16])
{
    struct bytes key = j->key;
    struct aes_block aes = aesblock_of_key(&key);
    struct gcm *c = gcm_begin(&aes, j->encrypt, j->iv, NULL);

    assert_non_null(c);
    assert_int_equal(gcm_aad(c, bytes_of(j->aad.p, aad_at), NULL), 0);
    assert_int_equal(gcm_aad(c, bytes_of(j->aad.p + aad_at, j->aad.len - aad_at), NULL), 0);
    assert_int_equal(gcm_update(c, &aes, bytes_of(data, at), data, NULL), 0);
    assert_int_equal(gcm_update(c, &aes, bytes_of(data + at, len - at), data + at, NULL), 0);
    assert_int_equal(gcm_end(c, &aes, tag, NULL), 0);
}

static void test_cases_of_the_submission_to_nist(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        uint8_t key[32], iv[64], aad[32], data[64], plain[64], want[64], tag[16], got[16];
        size_t len = strlen(known[i].plain) / 2;
        struct job j = {.key = from_hex(key, known[i].key),
                        .iv = from_hex(iv, known[i].iv),
                        .aad = from_hex(aad, known[i].aad)};

        from_hex(plain, known[i].plain);
        from_hex(want, known[i].out);
        from_hex(tag, known[i].tag);
        for (size_t at = 0; at <= len; at++) {
            memcpy(data, plain, len);
            j.encrypt = true;
            run(&j, data, len, at % (j.aad.len + 1), at, got);
            assert_memory_equal(data, want, len);
            assert_memory_equal(got, tag, 16);
            j.encrypt = false;
            run(&j, data, len, at % (j.aad.len + 1), at, got);
            assert_memory_equal(data, plain, len);
            assert_memory_equal(got, tag, 16);
        }
    }
}

static void by_evp(const struct job *j, struct bytes in, uint8_t *out, uint8_t tag[16])
{
    const EVP_CIPHER *cipher = j->key.len == 16   ? EVP_aes_128_gcm()
                               : j->key.len == 24 ? EVP_aes_192_gcm()
                                                  : EVP_aes_256_gcm();
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0;

    assert_int_equal(EVP_EncryptInit_ex(c, cipher, NULL, NULL, NULL), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_IVLEN, (int)j->iv.len, NULL), 1);
    assert_int_equal(EVP_EncryptInit_ex(c, NULL, NULL, j->key.p, j->iv.p), 1);
    if (j->aad.len != 0)
        assert_int_equal(EVP_EncryptUpdate(c, NULL, &n, j->aad.p, (int)j->aad.len), 1);
    if (in.len != 0)
        assert_int_equal(EVP_EncryptUpdate(c, out, &n, in.p, (int)in.len), 1);
    assert_int_equal(EVP_EncryptFinal_ex(c, out + in.len, &n), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, tag), 1);
    EVP_CIPHER_CTX_free(c);
}

/* A number from 0 to `max`. */
static size_t any(size_t max)
{
    uint32_t r = 0;

    RAND_bytes((uint8_t *)&r, sizeof(r));
    return r % (max + 1);
}

static void test_random_input_in_random_parts(void **state)
{
    static uint8_t in[LONG], data[LONG], want[LONG + 16];
    uint8_t key[32], iv[100], aad[100], tag[16], got[16];

    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        struct job j;
        size_t len;

        RAND_bytes(key, 32);
        RAND_bytes(iv, 100);
        RAND_bytes(aad, 100);
        RAND_bytes(in, LONG);
        len = any(round % 4 == 0 ? LONG : 70);
        j = (struct job){.key = bytes_of(key, 16 + 8 * (round % 3)),
                         .iv = bytes_of(iv, round % 2 == 0 ? 12 : 1 + any(99)),
                         .aad = bytes_of(aad, any(100)),
                         .encrypt = true};
        by_evp(&j, bytes_of(in, len), want, tag);
        memcpy(data, in, len);
        run(&j, data, len, any(j.aad.len), any(len), got);
        assert_memory_equal(data, want, len);
        assert_memory_equal(got, tag, 16);
        j.encrypt = false;
        run(&j, data, len, 0, any(len), got);
        assert_memory_equal(data, in, len);
        assert_memory_equal(got, tag, 16);
    }
}

static void test_one_byte_at_a_time(void **state)
{
    uint8_t key_bytes[16] = {1}, iv[12] = {2}, in[200], want[216], tag[16], got[16], data[200];
    struct job j = {.key = bytes_of(key_bytes, 16), .iv = bytes_of(iv, 12), .encrypt = true};
    struct bytes key = j.key;
    struct aes_block aes = aesblock_of_key(&key);
    struct gcm *c = gcm_begin(&aes, true, j.iv, NULL);

    (void)state;
    memset(in, 'x', sizeof(in));
    j.aad = bytes_of(in, 33);
    by_evp(&j, bytes_of(in, sizeof(in)), want, tag);
    for (size_t i = 0; i < j.aad.len; i++)
        assert_int_equal(gcm_aad(c, bytes_of(&in[i], 1), NULL), 0);
    for (size_t i = 0; i < sizeof(in); i++)
        assert_int_equal(gcm_update(c, &aes, bytes_of(&in[i], 1), &data[i], NULL), 0);
    assert_int_equal(gcm_end(c, &aes, got, NULL), 0);
    assert_memory_equal(data, want, sizeof(data));
    assert_memory_equal(got, tag, 16);
}

/* --- the counter ----------------------------------------------------------- */

static void product(const uint8_t a[16], const uint8_t b[16], uint8_t out[16])
{
    struct ghash g;

    ghash_begin(&g, b);
    ghash_add(&g, bytes_of(a, 16));
    ghash_value(&g, out);
}

/* a^-1 = a^(2^128 - 2), the product of a^2, a^4, ... a^(2^127). */
static void inverse(const uint8_t a[16], uint8_t out[16])
{
    uint8_t power[16], result[16] = {0x80};

    memcpy(power, a, 16);
    for (unsigned i = 1; i < 128; i++) {
        product(power, power, power);
        product(result, power, result);
    }
    memcpy(out, result, 16);
}

/* The IV of 16 bytes that makes J0 what it is wanted to be. */
static void iv_for(struct bytes key, const uint8_t j0[16], uint8_t iv[16])
{
    struct aes_block aes = aesblock_of_key(&key);
    uint8_t h[16] = {0}, back[16];

    assert_int_equal(aes.ecb(aes.arg, true, bytes_of(h, 16), h, NULL), 0);
    inverse(h, back);
    product(j0, back, iv);
    iv[15] ^= 128;
    product(iv, back, iv);
}

static void test_the_counter_wraps_at_32_bits(void **state)
{
    uint8_t key[32] = {5}, iv[16], j0[16], in[200] = {0}, want[216], tag[16], got[16];
    struct job j = {.key = bytes_of(key, 32), .iv = bytes_of(iv, 16), .encrypt = true};

    (void)state;
    for (uint8_t low = 0xf0; low != 0; low++) {
        uint8_t data[200] = {0}, counter[16];
        struct bytes k = j.key;
        struct aes_block aes = aesblock_of_key(&k);

        memset(j0, 0xff, 16);
        j0[15] = low;
        iv_for(j.key, j0, iv);
        run(&j, data, sizeof(data), 0, low % 99, got);
        by_evp(&j, bytes_of(in, sizeof(in)), want, tag);
        assert_memory_equal(data, want, sizeof(data));
        assert_memory_equal(got, tag, 16);
        /* The block after ...ffffffff is that of ...00000000, the upper 96 bits alike. */
        memset(counter, 0xff, 12);
        memset(&counter[12], 0, 4);
        assert_int_equal(aes.ecb(aes.arg, true, bytes_of(counter, 16), counter, NULL), 0);
        if (low >= 0xf4)
            assert_memory_equal(&data[16u * (0xffu - low)], counter, 16);
    }
}

/* --- calls and failures ---------------------------------------------------- */

static unsigned calls_for(size_t iv_len, size_t len)
{
    static uint8_t data[LONG];
    uint8_t key_bytes[16] = {0}, iv[16] = {0}, tag[16];
    struct bytes key = {key_bytes, 16};
    struct counted n;
    struct aes_block aes = count(&n, &key);
    struct gcm *c = gcm_begin(&aes, true, bytes_of(iv, iv_len), NULL);

    assert_int_equal(gcm_update(c, &aes, bytes_of(data, len), data, NULL), 0);
    assert_int_equal(gcm_end(c, &aes, tag, NULL), 0);
    return n.calls;
}

static void test_the_cipher_is_called_as_seldom_as_can_be(void **state)
{
    (void)state;
    assert_int_equal(calls_for(12, 0), 1);
    assert_int_equal(calls_for(12, 1), 2);
    assert_int_equal(calls_for(12, 1024), 2);
    assert_int_equal(calls_for(12, 1025), 3);
    assert_int_equal(calls_for(16, 0), 2);
    assert_int_equal(calls_for(16, 1008), 2);
    assert_int_equal(calls_for(16, 1009), 3);
}

static void test_a_failed_call_ends_it(void **state)
{
    uint8_t key_bytes[16] = {0}, iv[16] = {0}, data[64] = {0}, tag[16] = {7}, same[16] = {7};
    struct bytes key = {key_bytes, 16};

    (void)state;
    for (unsigned at = 1; at <= 2; at++) {
        struct counted n;
        struct aes_block aes = count(&n, &key);
        struct err e = {0}, after = {0};
        struct gcm *c;

        n.fail_at = at;
        c = gcm_begin(&aes, true, bytes_of(iv, 16), &e);
        if (at == 1) {
            assert_null(c);
            assert_int_equal(e.code, E_TPM);
            continue;
        }
        assert_int_equal(gcm_update(c, &aes, bytes_of(data, 64), data, &e), -1);
        assert_int_equal(e.code, E_TPM);
        assert_int_equal(gcm_update(c, &aes, bytes_of(data, 64), data, &after), -1);
        assert_int_equal(after.code, E_ARG);
        assert_int_equal(gcm_aad(c, bytes_of(data, 1), NULL), -1);
        assert_int_equal(gcm_end(c, &aes, tag, NULL), -1);
        assert_memory_equal(tag, same, 16);
    }
}

static void test_what_the_standard_forbids(void **state)
{
    uint8_t key_bytes[16] = {0}, iv[12] = {0}, data[16] = {0}, tag[16];
    struct bytes key = {key_bytes, 16}, huge = {data, (size_t)1 << 36};
    struct aes_block aes = aesblock_of_key(&key);
    struct gcm *c = gcm_begin(&aes, true, bytes_of(iv, 12), NULL);
    struct err e[4] = {0};

    (void)state;
    assert_null(gcm_begin(&aes, true, bytes_of(NULL, 0), &e[0]));
    assert_int_equal(e[0].code, E_DATA);
    assert_int_equal(gcm_aad(c, bytes_of(data, (size_t)1 << 61), &e[1]), -1);
    assert_int_equal(e[1].code, E_DATA);
    assert_int_equal(gcm_update(c, &aes, huge, data, &e[2]), -1);
    assert_int_equal(e[2].code, E_DATA);
    assert_int_equal(gcm_update(c, &aes, bytes_of(data, 16), data, NULL), 0);
    huge.len -= 32 + 15;
    assert_int_equal(gcm_update(c, &aes, huge, data, NULL), -1);
    assert_int_equal(gcm_aad(c, bytes_of(data, 1), &e[3]), -1);
    assert_int_equal(e[3].code, E_ARG);
    assert_int_equal(gcm_end(c, &aes, tag, NULL), 0);
    gcm_abort(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases_of_the_submission_to_nist),
        cmocka_unit_test(test_random_input_in_random_parts),
        cmocka_unit_test(test_one_byte_at_a_time),
        cmocka_unit_test(test_the_counter_wraps_at_32_bits),
        cmocka_unit_test(test_the_cipher_is_called_as_seldom_as_can_be),
        cmocka_unit_test(test_a_failed_call_ends_it),
        cmocka_unit_test(test_what_the_standard_forbids),
    };

    return cmocka_run_group_tests_name("gcm", tests, NULL, NULL);
}
