/* Key derivation. KDFa and KDFe are computed a second time here, straight from
 * SP 800-108 and SP 800-56A with libcrypto; HKDF has RFC 5869's test case 3. */
#include "core/kdf.h"

#include "core/buf.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_kdfa_is_counter_mode_hmac(void **state)
{
    /* 384 bits from SHA-256: one whole block and half of the next.
     * [i]32 || Label || 00 || contextU || contextV || [bits]32 */
    static const uint8_t key[] = {9, 8, 7, 6, 5};
    uint8_t in[] = {0, 0,   0,   1,   'S', 'T', 'O', 'R', 'A',  'G', 'E',
                    0, 'u', 'u', 'u', 'v', 'v', 0,   0,   0x01, 0x80};
    uint8_t expected[64], got[48];

    (void)state;
    for (uint8_t i = 1; i <= 2; i++) {
        in[3] = i;
        assert_non_null(
            HMAC(EVP_sha256(), key, sizeof(key), in, sizeof(in), &expected[32 * (i - 1)], NULL));
    }
    assert_int_equal(kdf_a(alg_hash_named("SHA256"), bytes_of(key, sizeof(key)), "STORAGE",
                           bytes_of("uuu", 3), bytes_of("vv", 2), 384, got, NULL),
                     0);
    assert_memory_equal(got, expected, 48);
}

static void test_kdfa_depends_on_its_length(void **state)
{
    uint8_t short_key[16], long_key[32];

    (void)state;
    assert_int_equal(kdf_a(alg_hash_named("SHA256"), bytes_of("k", 1), "ATH", bytes_of("a", 1),
                           bytes_of("b", 1), 128, short_key, NULL),
                     0);
    assert_int_equal(kdf_a(alg_hash_named("SHA256"), bytes_of("k", 1), "ATH", bytes_of("a", 1),
                           bytes_of("b", 1), 256, long_key, NULL),
                     0);
    assert_memory_not_equal(short_key, long_key, sizeof(short_key));
}

static void test_kdfe_is_a_digest_of_counter_z_and_parties(void **state)
{
    /* [i]32 || Z || Use || 00 || PartyU || PartyV, here 512 bits from SHA-384. */
    uint8_t in[] = {0, 0, 0, 1, 'z', 'z', 'z', 'S', 'E', 'C', 'R', 'E', 'T', 0, 'u', 'v', 'v'};
    uint8_t expected[96], got[64];

    (void)state;
    for (uint8_t i = 1; i <= 2; i++) {
        in[3] = i;
        assert_int_equal(
            EVP_Digest(in, sizeof(in), &expected[48 * (i - 1)], NULL, EVP_sha384(), NULL), 1);
    }
    assert_int_equal(kdf_e(alg_hash_named("SHA384"), bytes_of("zzz", 3), "SECRET", bytes_of("u", 1),
                           bytes_of("vv", 2), 512, got, NULL),
                     0);
    assert_memory_equal(got, expected, 64);
}

static void test_hkdf_of_rfc_5869_case_3(void **state)
{
    static const char known[] =
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8";
    uint8_t key[22], got[42], expected[42];

    (void)state;
    memset(key, 0x0b, sizeof(key));
    assert_int_equal(hex_decode(expected, 42, known), 0);
    assert_int_equal(kdf_hkdf(bytes_of(key, sizeof(key)), bytes_of(NULL, 0), got, 42, NULL), 0);
    assert_memory_equal(got, expected, 42);
}

static void test_hkdf_info_separates_keys(void **state)
{
    uint8_t a[32], b[32];

    (void)state;
    assert_int_equal(kdf_hkdf(bytes_of("s", 1), bytes_of("a", 1), a, 32, NULL), 0);
    assert_int_equal(kdf_hkdf(bytes_of("s", 1), bytes_of("b", 1), b, 32, NULL), 0);
    assert_memory_not_equal(a, b, 32);
}

static void test_hkdf_ends_at_255_blocks(void **state)
{
    static uint8_t out[255 * 32 + 1];
    struct err e = {0};

    (void)state;
    assert_int_equal(kdf_hkdf(bytes_of("s", 1), bytes_of(NULL, 0), out, 255 * 32, NULL), 0);
    assert_int_equal(kdf_hkdf(bytes_of("s", 1), bytes_of(NULL, 0), out, sizeof(out), &e), -1);
    assert_int_equal(e.code, E_ARG);
}

static void test_scrypt_is_stable_and_pin_and_salt_matter(void **state)
{
    uint8_t a[64], b[64];
    struct bytes pin = bytes_of("123456", 6), salt = bytes_of("salt", 4);

    (void)state;
    assert_int_equal(kdf_scrypt(pin, salt, a, 64, NULL), 0);
    assert_int_equal(EVP_PBE_scrypt("123456", 6, (const uint8_t *)"salt", 4, 8192, 8, 1, 0, b, 64),
                     1);
    assert_memory_equal(a, b, 64);
    assert_int_equal(kdf_scrypt(bytes_of("123457", 6), salt, b, 64, NULL), 0);
    assert_memory_not_equal(a, b, 32);
    assert_int_equal(kdf_scrypt(pin, bytes_of("sale", 4), b, 64, NULL), 0);
    assert_memory_not_equal(a, b, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kdfa_is_counter_mode_hmac),
        cmocka_unit_test(test_kdfa_depends_on_its_length),
        cmocka_unit_test(test_kdfe_is_a_digest_of_counter_z_and_parties),
        cmocka_unit_test(test_hkdf_of_rfc_5869_case_3),
        cmocka_unit_test(test_hkdf_info_separates_keys),
        cmocka_unit_test(test_hkdf_ends_at_255_blocks),
        cmocka_unit_test(test_scrypt_is_stable_and_pin_and_salt_matter),
    };

    return cmocka_run_group_tests_name("kdf", tests, NULL, NULL);
}
