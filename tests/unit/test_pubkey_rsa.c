/* Goal: what is encrypted by an RSA public key opens in OpenSSL with the same parameters
 * only, what OpenSSL signs is recovered, and PSS is judged by both of its hashes. */
#include "tests/support/unit_forge.h"

#include "core/hash.h"

#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define N 256

static const char *const hashes[] = {"SHA1", "SHA224", "SHA256", "SHA384", "SHA512"};

static struct pubkey key(void)
{
    struct pubkey k;

    unit_forge_pubkey(unit_forge_key(UNIT_RSA, 0), &k);
    return k;
}

/* OpenSSL's decryption; false when it refuses. */
struct opening {
    int padding;
    const char *hash, *mgf;
    struct bytes label;
};

static bool opens(const struct opening *o, const uint8_t ct[N], struct bytes want)
{
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(unit_forge_key(UNIT_RSA, 0), NULL);
    uint8_t out[N];
    size_t len = sizeof(out);
    bool good;

    assert_int_equal(EVP_PKEY_decrypt_init(c), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(c, o->padding), 1);
    if (o->padding == RSA_PKCS1_OAEP_PADDING) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_oaep_md(c, EVP_get_digestbyname(o->hash)), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(c, EVP_get_digestbyname(o->mgf)), 1);
        if (o->label.len != 0)
            assert_int_equal(EVP_PKEY_CTX_set0_rsa_oaep_label(
                                 c, OPENSSL_memdup(o->label.p, o->label.len), (int)o->label.len),
                             1);
    }
    good = EVP_PKEY_decrypt(c, out, &len, ct, N) == 1 && bytes_equal(bytes_of(out, len), want);
    EVP_PKEY_CTX_free(c);
    return good;
}

static void test_pkcs1_encryption_of_every_length(void **state)
{
    struct opening o = {.padding = RSA_PKCS1_PADDING};
    struct pubkey k = key();
    uint8_t in[N], ct[N], other[N];
    struct err e = {0};

    (void)state;
    RAND_bytes(in, sizeof(in));
    for (size_t len = 0; len <= N - 11; len += len < 8 || len > 240 ? 1 : 29) {
        assert_int_equal(pubkey_encrypt_pkcs1(&k, bytes_of(in, len), ct, NULL), 0);
        assert_true(opens(&o, ct, bytes_of(in, len)));
        assert_int_equal(pubkey_encrypt_pkcs1(&k, bytes_of(in, len), other, NULL), 0);
        assert_memory_not_equal(ct, other, N);
    }
    assert_int_equal(pubkey_encrypt_pkcs1(&k, bytes_of(in, N - 10), ct, &e), -1);
    assert_int_equal(e.code, E_DATA);
    assert_int_equal(pubkey_encrypt_pkcs1(&k, bytes_of(in, SIZE_MAX - 5), ct, NULL), -1);
    assert_int_equal(pubkey_pad_pkcs1(&k, bytes_of(in, SIZE_MAX - 5), ct, NULL), -1);
}

static void test_oaep_with_every_pair_of_hashes(void **state)
{
    struct pubkey k = key();
    uint8_t in[N], ct[N];

    (void)state;
    RAND_bytes(in, sizeof(in));
    for (size_t i = 0; i < ARRAY_LEN(hashes) * ARRAY_LEN(hashes); i++) {
        const struct alg_hash *h = alg_hash_named(hashes[i / 5]),
                              *m = alg_hash_named(hashes[i % 5]);
        struct opening o = {RSA_PKCS1_OAEP_PADDING, h->name, m->name, bytes_of(in, i)};
        size_t most = N - 2 * h->size - 2, len = i % 3 == 0 ? most : i;
        struct err e = {0};

        assert_int_equal(pubkey_encrypt_oaep(&k, h, m, o.label, bytes_of(in, len), ct, NULL), 0);
        assert_true(opens(&o, ct, bytes_of(in, len)));
        o.label.len++;
        assert_false(opens(&o, ct, bytes_of(in, len)));
        assert_int_equal(pubkey_encrypt_oaep(&k, h, m, o.label, bytes_of(in, most + 1), ct, &e),
                         -1);
        assert_int_equal(e.code, E_DATA);
    }
}

static void sign(int padding, const char *hash, const char *mgf, struct bytes digest,
                 uint8_t sig[N])
{
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(unit_forge_key(UNIT_RSA, 0), NULL);
    size_t len = N;

    assert_int_equal(EVP_PKEY_sign_init(c), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(c, padding), 1);
    if (hash != NULL)
        assert_int_equal(EVP_PKEY_CTX_set_signature_md(c, EVP_get_digestbyname(hash)), 1);
    if (mgf != NULL) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(c, EVP_get_digestbyname(mgf)), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(c, 20), 1);
    }
    assert_int_equal(EVP_PKEY_sign(c, sig, &len, digest.p, digest.len), 1);
    EVP_PKEY_CTX_free(c);
}

static void test_signatures_of_every_hash(void **state)
{
    struct pubkey k = key();
    uint8_t digest[ALG_MAX_DIGEST] = {3}, sig[N];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
        const struct alg_hash *h = alg_hash_named(hashes[i]);
        struct bytes d = {digest, h->size}, s = {sig, N};

        sign(RSA_PKCS1_PADDING, h->name, NULL, d, sig);
        assert_int_equal(pubkey_verify(&k, PUBKEY_RSASSA, h, 0, d, s, NULL), 0);
        for (size_t m = 0; m < ARRAY_LEN(hashes); m++) {
            sign(RSA_PKCS1_PSS_PADDING, h->name, hashes[m], d, sig);
            for (size_t j = 0; j < ARRAY_LEN(hashes); j++)
                assert_int_equal(
                    pubkey_verify_pss(&k, h, alg_hash_named(hashes[j]), 20, d, s, NULL),
                    j == m ? 0 : -1);
            assert_int_equal(pubkey_verify(&k, PUBKEY_RSAPSS, h, -1, d, s, NULL), i == m ? 0 : -1);
        }
    }
}

static void test_what_was_signed_is_recovered(void **state)
{
    struct pubkey k = key();
    uint8_t in[N], sig[N], out[N];
    size_t len = 0;

    (void)state;
    RAND_bytes(in, sizeof(in));
    for (size_t n = 0; n <= N - 11; n += n < 4 || n > 242 ? 1 : 40) {
        sign(RSA_PKCS1_PADDING, NULL, NULL, bytes_of(in, n), sig);
        assert_int_equal(pubkey_recover_pkcs1(&k, bytes_of(sig, N), out, &len, NULL), 0);
        assert_true(bytes_equal(bytes_of(out, len), bytes_of(in, n)));
    }
}

/* Raw signatures over blocks that are no type 1 padding. */
static void test_only_whole_type_1_padding_is_recovered(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
        bool good;
    } row[] = {{0, 0, true},     {0, 1, false},    {1, 2, false}, {1, 0, false},
               {2, 0, false},    {9, 0, false},    {10, 0, true}, {50, 0xfe, false},
               {N - 1, 0, true}, {N - 2, 1, false}};
    struct pubkey k = key();
    uint8_t sig[N], out[N];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        uint8_t em[N] = {0, 1};
        size_t len = 99;
        struct err e = {0};

        memset(&em[2], 0xff, N - 3);
        em[row[i].at] = row[i].value;
        if (row[i].at == N - 2)
            em[N - 1] = 0xff;
        sign(RSA_NO_PADDING, NULL, NULL, bytes_of(em, N), sig);
        assert_int_equal(pubkey_recover_pkcs1(&k, bytes_of(sig, N), out, &len, &e),
                         row[i].good ? 0 : -1);
        if (!row[i].good) {
            assert_int_equal(e.code, E_DATA);
            assert_int_equal(len, 99);
        }
    }
    assert_int_equal(pubkey_recover_pkcs1(&k, bytes_of(sig, N - 1), out, &(size_t){0}, NULL), -1);
    memset(sig, 0xff, N);
    assert_int_equal(pubkey_recover_pkcs1(&k, bytes_of(sig, N), out, &(size_t){0}, NULL), -1);
}

static void test_a_curve_key_encrypts_nothing(void **state)
{
    const struct alg_hash *h = alg_hash_named("SHA256");
    uint8_t out[N], in[N] = {0};
    struct bytes some = {in, 16};
    struct err e[4] = {0};
    struct pubkey k;

    (void)state;
    unit_forge_pubkey(unit_forge_key(UNIT_P256, 0), &k);
    assert_int_equal(pubkey_encrypt_pkcs1(&k, some, out, &e[0]), -1);
    assert_int_equal(pubkey_encrypt_oaep(&k, h, h, some, some, out, &e[1]), -1);
    assert_int_equal(pubkey_recover_pkcs1(&k, some, out, &(size_t){0}, &e[2]), -1);
    assert_int_equal(pubkey_verify_pss(&k, h, h, 0, bytes_of(in, 32), bytes_of(in, 64), &e[3]), -1);
    for (size_t i = 0; i < ARRAY_LEN(e); i++)
        assert_int_equal(e[i].code, E_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pkcs1_encryption_of_every_length),
        cmocka_unit_test(test_oaep_with_every_pair_of_hashes),
        cmocka_unit_test(test_signatures_of_every_hash),
        cmocka_unit_test(test_what_was_signed_is_recovered),
        cmocka_unit_test(test_only_whole_type_1_padding_is_recovered),
        cmocka_unit_test(test_a_curve_key_encrypts_nothing),
    };

    return cmocka_run_group_tests_name("pubkey_rsa", tests, NULL, NULL);
}
