/* Digests and HMAC against published values: FIPS 180-4 examples, RFC 4231. */
#include "core/hash.h"

#include "core/buf.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void expect(const uint8_t *got, size_t len, const char *hex)
{
    char text[2 * ALG_MAX_DIGEST + 1];

    hex_encode(text, got, len);
    assert_string_equal(text, hex);
}

static void test_digests_of_abc(void **state)
{
    static const struct {
        const char *name, *hex;
    } known[] = {
        {"SHA1", "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"SHA256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"SHA384", "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
                   "8086072ba1e7cc2358baeca134c825a7"},
        {"SHA512", "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                   "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        const struct alg_hash *h = alg_hash_named(known[i].name);
        uint8_t out[ALG_MAX_DIGEST];

        assert_non_null(h);
        assert_int_equal(hash_digest(h, bytes_of("abc", 3), out, NULL), 0);
        expect(out, h->size, known[i].hex);
    }
}

static void test_digest_of_nothing(void **state)
{
    uint8_t out[32];

    (void)state;
    assert_int_equal(hash_sha256(bytes_of(NULL, 0), out, NULL), 0);
    expect(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void test_digest_in_parts_is_the_same(void **state)
{
    static const char text[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    struct hash *c = hash_begin(alg_hash_named("SHA256"), NULL);
    uint8_t out[32];

    (void)state;
    assert_non_null(c);
    assert_int_equal(hash_update(c, bytes_of(text, 1), NULL), 0);
    assert_int_equal(hash_update(c, bytes_of(NULL, 0), NULL), 0);
    assert_int_equal(hash_update(c, bytes_of(text + 1, strlen(text) - 1), NULL), 0);
    assert_int_equal(hash_end(c, out, NULL), 0);
    expect(out, 32, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void test_abandoned_digest_leaks_nothing(void **state)
{
    (void)state;
    hash_abort(hash_begin(alg_hash_named("SHA384"), NULL));
    hash_abort(NULL);
}

static void test_hmac_of_rfc_4231(void **state)
{
    uint8_t key[131], out[ALG_MAX_DIGEST];

    (void)state;
    memset(key, 0x0b, 20);
    assert_int_equal(
        hash_hmac(alg_hash_named("SHA256"), bytes_of(key, 20), bytes_of("Hi There", 8), out, NULL),
        0);
    expect(out, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_int_equal(
        hash_hmac(alg_hash_named("SHA384"), bytes_of(key, 20), bytes_of("Hi There", 8), out, NULL),
        0);
    expect(out, 48,
           "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c"
           "faea9ea9076ede7f4af152e8b2fa9cb6");
    assert_int_equal(
        hash_hmac(alg_hash_named("SHA512"), bytes_of(key, 20), bytes_of("Hi There", 8), out, NULL),
        0);
    expect(out, 64,
           "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
           "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854");
    assert_int_equal(hash_hmac(alg_hash_named("SHA256"), bytes_of("Jefe", 4),
                               bytes_of("what do ya want for nothing?", 28), out, NULL),
                     0);
    expect(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    assert_int_equal(
        hash_hmac(alg_hash_named("SHA256"), bytes_of(key, sizeof(key)),
                  bytes_of("Test Using Larger Than Block-Size Key - Hash Key First", 54), out,
                  NULL),
        0);
    expect(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void test_hmac_with_an_empty_key_is_not_the_last_key(void **state)
{
    uint8_t out[32];

    (void)state;
    assert_int_equal(
        hash_hmac(alg_hash_named("SHA256"), bytes_of("Jefe", 4), bytes_of("x", 1), out, NULL), 0);
    assert_int_equal(
        hash_hmac(alg_hash_named("SHA256"), bytes_of(NULL, 0), bytes_of("", 0), out, NULL), 0);
    expect(out, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digests_of_abc),
        cmocka_unit_test(test_digest_of_nothing),
        cmocka_unit_test(test_digest_in_parts_is_the_same),
        cmocka_unit_test(test_abandoned_digest_leaks_nothing),
        cmocka_unit_test(test_hmac_of_rfc_4231),
        cmocka_unit_test(test_hmac_with_an_empty_key_is_not_the_last_key),
    };

    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
