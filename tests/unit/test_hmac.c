/* Goal: HMAC in parts is HMAC() of libcrypto, for every hash, key length and split. */
#include "core/hmac.h"

#include "core/buf.h"
#include "core/hash.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const char *const names[] = {"SHA1", "SHA224", "SHA256", "SHA384", "SHA512"};

static void in_two_parts(const struct alg_hash *h, struct bytes key, struct bytes in, size_t at,
                         uint8_t *out)
{
    struct hmac *c = hmac_begin(h, key, NULL);

    assert_non_null(c);
    assert_int_equal(hmac_update(c, bytes_of(in.p, at), NULL), 0);
    assert_int_equal(hmac_update(c, bytes_of(in.p + at, in.len - at), NULL), 0);
    assert_int_equal(hmac_end(c, out, NULL), 0);
}

static void test_every_key_length_around_the_block(void **state)
{
    uint8_t key[300], got[ALG_MAX_DIGEST], want[ALG_MAX_DIGEST];

    (void)state;
    memset(key, 0xa5, sizeof(key));
    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        const struct alg_hash *h = alg_hash_named(names[n]);

        for (size_t len = 0; len <= sizeof(key); len++) {
            struct bytes k = {key, len}, in = bytes_of("some message", 12);

            in_two_parts(h, k, in, len % 13, got);
            assert_int_equal(hash_hmac(h, k, in, want, NULL), 0);
            assert_memory_equal(got, want, h->size);
        }
    }
}

static void test_every_split_of_the_message(void **state)
{
    uint8_t in[150], got[ALG_MAX_DIGEST], want[ALG_MAX_DIGEST];

    (void)state;
    memset(in, 0x5a, sizeof(in));
    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        const struct alg_hash *h = alg_hash_named(names[n]);

        assert_int_equal(hash_hmac(h, bytes_of("key", 3), bytes_of(in, sizeof(in)), want, NULL), 0);
        for (size_t at = 0; at <= sizeof(in); at++) {
            in_two_parts(h, bytes_of("key", 3), bytes_of(in, sizeof(in)), at, got);
            assert_memory_equal(got, want, h->size);
        }
    }
}

/* RFC 4231, 4.3 (test case 2). */
static void test_hmac_sha224_of_rfc_4231(void **state)
{
    uint8_t got[28], want[28];

    (void)state;
    assert_int_equal(
        hex_decode(want, 28, "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44"), 0);
    in_two_parts(alg_hash_named("SHA224"), bytes_of("Jefe", 4),
                 bytes_of("what do ya want for nothing?", 28), 5, got);
    assert_memory_equal(got, want, 28);
}

static void test_an_abandoned_hmac_leaks_nothing(void **state)
{
    (void)state;
    hmac_abort(hmac_begin(alg_hash_named("SHA512"), bytes_of("key", 3), NULL));
    hmac_abort(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_length_around_the_block),
        cmocka_unit_test(test_every_split_of_the_message),
        cmocka_unit_test(test_hmac_sha224_of_rfc_4231),
        cmocka_unit_test(test_an_abandoned_hmac_leaks_nothing),
    };

    return cmocka_run_group_tests_name("hmac", tests, NULL, NULL);
}
