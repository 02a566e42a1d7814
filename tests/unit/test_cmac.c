/* Goal: CMAC over a given CBC is CMAC: the examples of SP 800-38B, appendix D, in all
 * splits, OpenSSL's results, few calls, and an end when one of them fails. */
#include "core/cmac.h"

#include "core/buf.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define LONG 4000

static const char message[] = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                              "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";

static const size_t length[] = {0, 16, 40, 64};

static const struct {
    const char *key, *mac[4];
} known[] = {
    {"2b7e151628aed2a6abf7158809cf4f3c",
     {"bb1d6929e95937287fa37d129b756746", "070a16b46b4d4144f79bdd9dd04a287c",
      "dfa66747de9ae63030ca32611497c827", "51f0bebf7e3b9d92fc49741779363cfe"}},
    {"8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
     {"d17ddf46adaacde531cac483de7a9367", "9e99a7bf31e710900662f65e617c5184",
      "8a1de5be2eb31aad089a82e6ee908b0e", "a1d5df0eed790f794d77589659f39a11"}},
    {"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
     {"028962f61b7bf89efc6b551f4667d983", "28a7023f452e8f82bd4bf28d8c37c35c",
      "aaf3d8f1de5640c232f5b169b9c911e6", "e1992190549f6ed5696a2c056c315410"}},
};

static void in_two_parts(struct bytes key, struct bytes in, size_t at, uint8_t mac[16])
{
    struct aes_block aes = aesblock_of_key(&key);
    struct cmac *c = cmac_begin(NULL);

    assert_int_equal(cmac_update(c, &aes, bytes_of(in.p, at), NULL), 0);
    assert_int_equal(cmac_update(c, &aes, bytes_of(in.p + at, in.len - at), NULL), 0);
    assert_int_equal(cmac_end(c, &aes, mac, NULL), 0);
}

static void test_examples_of_sp_800_38b(void **state)
{
    uint8_t in[64], key[32], want[16], got[16];

    (void)state;
    assert_int_equal(hex_decode(in, 64, message), 0);
    for (size_t k = 0; k < ARRAY_LEN(known); k++) {
        size_t key_len = strlen(known[k].key) / 2;

        assert_int_equal(hex_decode(key, key_len, known[k].key), 0);
        for (size_t m = 0; m < ARRAY_LEN(length); m++) {
            assert_int_equal(hex_decode(want, 16, known[k].mac[m]), 0);
            for (size_t at = 0; at <= length[m]; at++) {
                in_two_parts(bytes_of(key, key_len), bytes_of(in, length[m]), at, got);
                assert_memory_equal(got, want, 16);
            }
        }
    }
}

static void by_evp(struct bytes key, struct bytes in, uint8_t mac[16])
{
    char cipher[] = "AES-256-CBC";
    OSSL_PARAM params[2] = {OSSL_PARAM_construct_utf8_string("cipher", cipher, 0),
                            OSSL_PARAM_construct_end()};
    EVP_MAC *m = EVP_MAC_fetch(NULL, "CMAC", NULL);
    EVP_MAC_CTX *c = EVP_MAC_CTX_new(m);
    size_t len = 0;

    assert_int_equal(EVP_MAC_init(c, key.p, key.len, params), 1);
    assert_int_equal(EVP_MAC_update(c, in.p, in.len), 1);
    assert_int_equal(EVP_MAC_final(c, mac, &len, 16), 1);
    EVP_MAC_CTX_free(c);
    EVP_MAC_free(m);
}

static void test_long_messages_agree_with_openssl(void **state)
{
    static uint8_t in[LONG];
    uint8_t key[32], want[16], got[16], r[4];

    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        size_t len;

        RAND_bytes(key, 32);
        RAND_bytes(in, LONG);
        RAND_bytes(r, 4);
        len = round < 64 ? 1008 + round % 33 + 1024 * (round / 33)
                         : (size_t)(r[0] << 8 | r[1]) % LONG + 1;
        by_evp(bytes_of(key, 32), bytes_of(in, len), want);
        in_two_parts(bytes_of(key, 32), bytes_of(in, len), (size_t)(r[2] << 8 | r[3]) % len, got);
        assert_memory_equal(got, want, 16);
    }
}

/* --- calls and failures ---------------------------------------------------- */

struct counted {
    struct aes_block real;
    unsigned calls, fail_at;
};

static int counted_cbc(void *arg, uint8_t iv[16], struct bytes in, uint8_t *out, struct err *e)
{
    struct counted *c = arg;

    assert_true(in.len >= AESBLOCK_SIZE && in.len <= AESBLOCK_MAX && in.len % 16 == 0);
    if (++c->calls == c->fail_at)
        return err_set(e, E_TPM, "no");
    return c->real.cbc(c->real.arg, iv, in, out, e);
}

static struct aes_block count(struct counted *c, struct bytes *key)
{
    *c = (struct counted){.real = aesblock_of_key(key)};
    return (struct aes_block){.cbc = counted_cbc, .arg = c};
}

static void test_the_cipher_is_called_as_seldom_as_can_be(void **state)
{
    static const struct {
        size_t len;
        unsigned calls;
    } want[] = {{0, 2}, {1, 2}, {1024, 2}, {1025, 3}, {2048, 3}, {2049, 4}};
    static uint8_t in[LONG];
    uint8_t mac[16];
    struct bytes key = {in, 16};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        struct counted n;
        struct aes_block aes = count(&n, &key);
        struct cmac *c = cmac_begin(NULL);

        assert_int_equal(cmac_update(c, &aes, bytes_of(in, want[i].len), NULL), 0);
        assert_int_equal(cmac_end(c, &aes, mac, NULL), 0);
        assert_int_equal(n.calls, want[i].calls);
    }
}

static void test_a_failed_call_ends_it(void **state)
{
    static uint8_t in[LONG];
    uint8_t mac[16] = {7}, same[16] = {7};
    struct bytes key = {in, 16};

    (void)state;
    for (unsigned at = 1; at <= 5; at++) {
        struct counted n;
        struct aes_block aes = count(&n, &key);
        struct cmac *c = cmac_begin(NULL);
        struct err e = {0}, after = {0};

        n.fail_at = at;
        /* Three calls for 4000 bytes, then two at the end. */
        assert_int_equal(cmac_update(c, &aes, bytes_of(in, LONG), &e), at <= 3 ? -1 : 0);
        if (at <= 3) {
            assert_int_equal(cmac_update(c, &aes, bytes_of(in, LONG), &after), -1);
            assert_int_equal(after.code, E_ARG);
        }
        assert_int_equal(cmac_end(c, &aes, mac, &e), -1);
        assert_int_equal(e.code, E_TPM);
        assert_memory_equal(mac, same, 16);
        assert_int_equal(n.calls, at);
    }
    cmac_abort(cmac_begin(NULL));
    cmac_abort(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples_of_sp_800_38b),
        cmocka_unit_test(test_long_messages_agree_with_openssl),
        cmocka_unit_test(test_the_cipher_is_called_as_seldom_as_can_be),
        cmocka_unit_test(test_a_failed_call_ends_it),
    };

    return cmocka_run_group_tests_name("cmac", tests, NULL, NULL);
}
