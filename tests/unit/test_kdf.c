/* Key derivation. KDFa and KDFe are computed a second time here, straight from
 * SP 800-108 and SP 800-56A with libcrypto; HKDF has RFC 5869's test cases 1, 3, 4 and 7
 * and, like the KDF of X9.63, OpenSSL's results. */
#include "core/kdf.h"

#include "core/buf.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <stdio.h>
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

/* --- HKDF by any hash ------------------------------------------------------ */

static const char *const hashes[] = {"SHA1", "SHA224", "SHA256", "SHA384", "SHA512"};

/* RFC 5869, A.1 and A.4. */
static void test_hkdf_in_its_two_steps(void **state)
{
    static const struct {
        const char *hash, *prk, *okm;
        size_t ikm;
    } known[] = {
        {"SHA256", "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
         "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
         22},
        {"SHA1", "9b6c18c432a7bf8f0e71c8eb88f4b30baa2ba243",
         "085a01ea1b10f36933068b56efa5ad81a4f14b822f5b091568a9cdd4f155fda2c22e422478d305f3f896",
         11},
    };
    uint8_t ikm[22], salt[13], info[10], prk[32], okm[42], got[42];

    (void)state;
    memset(ikm, 0x0b, sizeof(ikm));
    for (uint8_t i = 0; i < sizeof(salt); i++)
        salt[i] = i;
    for (uint8_t i = 0; i < sizeof(info); i++)
        info[i] = 0xf0 + i;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        const struct alg_hash *h = alg_hash_named(known[i].hash);
        struct bytes p = {got, h->size};

        assert_int_equal(hex_decode(prk, h->size, known[i].prk), 0);
        assert_int_equal(hex_decode(okm, 42, known[i].okm), 0);
        assert_int_equal(
            kdf_hkdf_extract(h, bytes_of(salt, 13), bytes_of(ikm, known[i].ikm), got, NULL), 0);
        assert_memory_equal(got, prk, h->size);
        p.p = prk;
        assert_int_equal(kdf_hkdf_expand(h, p, bytes_of(info, 10), got, 42, NULL), 0);
        assert_memory_equal(got, okm, 42);
    }
}

/* A.7: no salt at all is a salt of zeros. */
static void test_hkdf_without_salt(void **state)
{
    uint8_t ikm[22], prk[20], want[20];

    (void)state;
    memset(ikm, 0x0c, sizeof(ikm));
    assert_int_equal(hex_decode(want, 20, "2adccada18779e7c2077ad2eb19d3f3e731385dd"), 0);
    assert_int_equal(
        kdf_hkdf_extract(alg_hash_named("SHA1"), bytes_of(NULL, 0), bytes_of(ikm, 22), prk, NULL),
        0);
    assert_memory_equal(prk, want, 20);
}

static void by_evp(const char *kdf, const char *hash, struct bytes key, struct bytes info, int mode,
                   uint8_t *out, size_t len)
{
    char digest[16];
    EVP_KDF *k = EVP_KDF_fetch(NULL, kdf, NULL);
    EVP_KDF_CTX *c = EVP_KDF_CTX_new(k);
    OSSL_PARAM p[5], *q = p;

    snprintf(digest, sizeof(digest), "%s", hash);
    *q++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
    *q++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)key.p, key.len);
    *q++ =
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info.p, info.len);
    if (mode >= 0)
        *q++ = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
    *q = OSSL_PARAM_construct_end();
    assert_int_equal(EVP_KDF_derive(c, out, len, p), 1);
    EVP_KDF_CTX_free(c);
    EVP_KDF_free(k);
}

static void test_expand_and_x963_agree_with_openssl(void **state)
{
    uint8_t key[66], info[50], want[400], got[400];

    (void)state;
    RAND_bytes(key, sizeof(key));
    RAND_bytes(info, sizeof(info));
    for (size_t n = 0; n < ARRAY_LEN(hashes); n++) {
        const struct alg_hash *h = alg_hash_named(hashes[n]);

        for (size_t len = 1; len <= sizeof(got); len += 1 + len / 9) {
            struct bytes k = {key, 1 + len % 66}, i = {info, 1 + len % 50};

            by_evp("HKDF", hashes[n], k, i, EVP_KDF_HKDF_MODE_EXPAND_ONLY, want, len);
            assert_int_equal(kdf_hkdf_expand(h, k, i, got, len, NULL), 0);
            assert_memory_equal(got, want, len);
            by_evp("X963KDF", hashes[n], k, i, -1, want, len);
            assert_int_equal(kdf_x963(h, k, i, got, len, NULL), 0);
            assert_memory_equal(got, want, len);
        }
    }
}

static void test_x963_without_info(void **state)
{
    uint8_t z[4] = {1, 2, 3, 4}, in[8] = {1, 2, 3, 4, 0, 0, 0, 1}, want[64], got[33];

    (void)state;
    assert_int_equal(EVP_Digest(in, sizeof(in), want, NULL, EVP_sha256(), NULL), 1);
    in[7] = 2;
    assert_int_equal(EVP_Digest(in, sizeof(in), &want[32], NULL, EVP_sha256(), NULL), 1);
    assert_int_equal(
        kdf_x963(alg_hash_named("SHA256"), bytes_of(z, 4), bytes_of(NULL, 0), got, 33, NULL), 0);
    assert_memory_equal(got, want, 33);
}

static void test_no_kdf_gives_more_than_its_counter_allows(void **state)
{
    static uint8_t out[255 * 20 + 1];
    struct err e[2] = {0};

    (void)state;
    assert_int_equal(kdf_hkdf_expand(alg_hash_named("SHA1"), bytes_of("k", 1), bytes_of("i", 1),
                                     out, sizeof(out) - 1, NULL),
                     0);
    assert_int_equal(kdf_hkdf_expand(alg_hash_named("SHA1"), bytes_of("k", 1), bytes_of("i", 1),
                                     out, sizeof(out), &e[0]),
                     -1);
    assert_int_equal(e[0].code, E_ARG);
    assert_int_equal(kdf_x963(alg_hash_named("SHA1"), bytes_of("k", 1), bytes_of("i", 1), out,
                              (size_t)20 << 32, &e[1]),
                     -1);
    assert_int_equal(e[1].code, E_ARG);
}

static int second_fails(void *arg, const struct bytes *part, size_t n, uint8_t *mac, struct err *e)
{
    unsigned *calls = arg;

    assert_int_equal(n, 3);
    assert_int_equal(part[0].len, *calls == 0 ? 0 : 32);
    assert_int_equal(part[2].p[0], *calls + 1);
    if ((*calls)++ == 1)
        return err_set(e, E_TPM, "no");
    memset(mac, 0, 32);
    return 0;
}

static void test_expand_by_an_hmac_that_fails(void **state)
{
    unsigned calls = 0;
    struct kdf_hmac prk = {second_fails, &calls};
    struct err e = {0};
    uint8_t out[96];

    (void)state;
    assert_int_equal(
        kdf_hkdf_expand_by(alg_hash_named("SHA256"), &prk, bytes_of("i", 1), out, 96, &e), -1);
    assert_int_equal(e.code, E_TPM);
    assert_int_equal(calls, 2);
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
        cmocka_unit_test(test_hkdf_in_its_two_steps),
        cmocka_unit_test(test_hkdf_without_salt),
        cmocka_unit_test(test_expand_and_x963_agree_with_openssl),
        cmocka_unit_test(test_x963_without_info),
        cmocka_unit_test(test_no_kdf_gives_more_than_its_counter_allows),
        cmocka_unit_test(test_expand_by_an_hmac_that_fails),
        cmocka_unit_test(test_scrypt_is_stable_and_pin_and_salt_matter),
    };

    return cmocka_run_group_tests_name("kdf", tests, NULL, NULL);
}
