/* Signatures of keys in the TPM, checked in software against the public half. */
#include "tests/support/unit_tpm.h"

#include "core/tpmname.h"

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const uint8_t some[66] = {0xf1, 2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
                                 13,   14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};

struct pair {
    struct store_key key;
    struct pubkey pub;
};

static void pair_of(struct pair *p)
{
    struct err e = {0};

    if (token_key_public(&p->key, &p->pub, &e) != 0)
        fail_msg("%s", e.msg);
}

static void sign(struct unit_tpm *w, const struct pair *p, const struct token_sign *what,
                 uint8_t sig[512])
{
    struct err e = {0};

    if (token_sign(w->token, &p->key, what, sig, &e) != 0)
        fail_msg("%s", e.msg);
}

/* Signs; then verifies with `hash` and `salt` as they should have come out. */
static void verifies(struct unit_tpm *w, const struct pair *p, const struct token_sign *what)
{
    struct bytes shown = what->digest;
    uint8_t sig[512];
    struct err e = {0};

    sign(w, p, what, sig);
    if (pubkey_verify(&p->pub, what->scheme, what->hash, what->salt, shown,
                      bytes_of(sig, pubkey_sig_len(&p->pub)), &e) != 0)
        fail_msg("%zu bytes: %s", shown.len, e.msg);
    sig[pubkey_sig_len(&p->pub) - 1] ^= 1;
    assert_int_equal(pubkey_verify(&p->pub, what->scheme, what->hash, what->salt, shown,
                                   bytes_of(sig, pubkey_sig_len(&p->pub)), NULL),
                     -1);
}

static enum err_code refused(struct unit_tpm *w, const struct pair *p,
                             const struct token_sign *what)
{
    struct err e = {0};
    uint8_t sig[512];

    assert_int_equal(token_sign(w->token, &p->key, what, sig, &e), -1);
    return e.code;
}

static void ecdsa_of_all_lengths(struct unit_tpm *w, const char *curve)
{
    static const size_t len[] = {20, 32, 48, 64, 1};
    struct pair p = {.key = {.token = 0}};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_ecc(w, curve, &p.key);
    pair_of(&p);
    for (size_t i = 0; i < ARRAY_LEN(len); i++)
        verifies(w, &p,
                 &(struct token_sign){.scheme = PUBKEY_ECDSA, .digest = bytes_of(some, len[i])});
    assert_int_equal(
        refused(w, &p, &(struct token_sign){.scheme = PUBKEY_ECDSA, .digest = {NULL, 0}}), E_DATA);
    assert_int_equal(refused(w, &p,
                             &(struct token_sign){.scheme = PUBKEY_RSASSA,
                                                  .hash = alg_hash_named("SHA256"),
                                                  .digest = bytes_of(some, 32)}),
                     E_ARG);
    store_key_free(&p.key);
}

static void test_p256_signs_digests_of_all_lengths(void **state)
{
    ecdsa_of_all_lengths(*state, "P-256");
}

static void test_p384_signs_digests_of_all_lengths(void **state)
{
    ecdsa_of_all_lengths(*state, "P-384");
}

/* ECDSA takes the leftmost bits (FIPS 186-5, 6.4.1): a longer digest with the same
 * beginning has the same signature equation. */
static void test_a_long_digest_is_cut_on_the_right(void **state)
{
    struct unit_tpm *w = *state;
    struct pair p = {.key = {.token = 0}};
    uint8_t sig[512];

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_ecc(w, "P-256", &p.key);
    pair_of(&p);
    sign(w, &p, &(struct token_sign){.scheme = PUBKEY_ECDSA, .digest = bytes_of(some, 64)}, sig);
    assert_int_equal(
        pubkey_verify(&p.pub, PUBKEY_ECDSA, NULL, 0, bytes_of(some, 32), bytes_of(sig, 64), NULL),
        0);
    store_key_free(&p.key);
}

static void rsassa_by_hash(struct unit_tpm *w, const struct pair *p)
{
    static const char *const name[] = {"SHA256", "SHA384", "SHA512", "SHA1"};

    for (size_t i = 0; i < ARRAY_LEN(name); i++) {
        const struct alg_hash *h = alg_hash_named(name[i]);
        struct token_sign what = {
            .scheme = PUBKEY_RSASSA, .hash = h, .digest = bytes_of(some, h->size)};

        verifies(w, p, &what);
    }
}

/* CKM_RSA_PKCS: the content of the padding is whatever the caller hands over. */
static void rsassa_by_digest_info(struct unit_tpm *w, const struct pair *p)
{
    const struct alg_hash *h = alg_hash_named("SHA384");
    uint8_t sig[512], t[100];

    memcpy(t, h->info, h->info_len);
    memcpy(t + h->info_len, some, h->size);
    sign(
        w, p,
        &(struct token_sign){.scheme = PUBKEY_RSASSA, .digest = bytes_of(t, h->info_len + h->size)},
        sig);
    assert_int_equal(pubkey_verify(&p->pub, PUBKEY_RSASSA, h, 0, bytes_of(some, h->size),
                                   bytes_of(sig, p->pub.n_len), NULL),
                     0);
}

static void pss_of_all_salts(struct unit_tpm *w, const struct pair *p)
{
    const struct alg_hash *h = alg_hash_named("SHA256");
    const int most = (int)(p->pub.n_len - h->size - 2);
    const int salt[] = {0, 7, 32, most};

    for (size_t i = 0; i < ARRAY_LEN(salt); i++)
        verifies(w, p,
                 &(struct token_sign){.scheme = PUBKEY_RSAPSS,
                                      .hash = h,
                                      .mgf = h,
                                      .salt = salt[i],
                                      .digest = bytes_of(some, h->size)});
    assert_int_equal(refused(w, p,
                             &(struct token_sign){.scheme = PUBKEY_RSAPSS,
                                                  .hash = h,
                                                  .mgf = h,
                                                  .salt = most + 1,
                                                  .digest = bytes_of(some, h->size)}),
                     E_DATA);
    assert_int_equal(refused(w, p,
                             &(struct token_sign){.scheme = PUBKEY_RSAPSS,
                                                  .hash = h,
                                                  .mgf = h,
                                                  .salt = -1,
                                                  .digest = bytes_of(some, h->size)}),
                     E_DATA);
}

static void raw_is_the_inverse_of_the_public_operation(struct unit_tpm *w, const struct pair *p)
{
    uint8_t in[256] = {0}, out[256], back[256];
    struct err e = {0};

    memcpy(in + 100, some, sizeof(some));
    if (token_rsa_raw(w->token, &p->key, bytes_of(in, 256), out, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(pubkey_rsa_raw(&p->pub, bytes_of(out, 256), back, NULL), 0);
    assert_memory_equal(back, in, 256);
    assert_int_equal(token_rsa_raw(w->token, &p->key, bytes_of(in, 255), out, &e), -1);
    assert_int_equal(e.code, E_DATA);
    memset(in, 0xff, sizeof(in));
    assert_int_equal(token_rsa_raw(w->token, &p->key, bytes_of(in, 256), out, NULL), -1);
}

static void test_rsa_that_may_decrypt_does_everything(void **state)
{
    struct unit_tpm *w = *state;
    struct pair p = {.key = {.token = 0}};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_rsa(w, true, &p.key);
    pair_of(&p);
    rsassa_by_hash(w, &p);
    rsassa_by_digest_info(w, &p);
    verifies(w, &p, &(struct token_sign){.scheme = PUBKEY_RSASSA, .digest = bytes_of(some, 5)});
    verifies(w, &p, &(struct token_sign){.scheme = PUBKEY_RSASSA, .digest = bytes_of(some, 36)});
    pss_of_all_salts(w, &p);
    raw_is_the_inverse_of_the_public_operation(w, &p);
    assert_int_equal(refused(w, &p,
                             &(struct token_sign){.scheme = PUBKEY_RSASSA,
                                                  .hash = alg_hash_named("SHA256"),
                                                  .digest = bytes_of(some, 31)}),
                     E_DATA);
    store_key_free(&p.key);
}

static void test_rsa_for_signing_only_says_what_it_cannot_do(void **state)
{
    const struct alg_hash *h = alg_hash_named("SHA256");
    struct unit_tpm *w = *state;
    struct pair p = {.key = {.token = 0}};
    uint8_t in[256] = {0}, out[256];

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_rsa(w, false, &p.key);
    pair_of(&p);
    rsassa_by_hash(w, &p);
    rsassa_by_digest_info(w, &p);
    verifies(w, &p,
             &(struct token_sign){.scheme = PUBKEY_RSAPSS,
                                  .hash = h,
                                  .mgf = h,
                                  .salt = 32,
                                  .digest = bytes_of(some, 32)});
    assert_int_equal(refused(w, &p,
                             &(struct token_sign){.scheme = PUBKEY_RSAPSS,
                                                  .hash = h,
                                                  .mgf = h,
                                                  .salt = 0,
                                                  .digest = bytes_of(some, 32)}),
                     E_UNSUPPORTED);
    assert_int_equal(
        refused(w, &p, &(struct token_sign){.scheme = PUBKEY_RSASSA, .digest = bytes_of(some, 5)}),
        E_UNSUPPORTED);
    assert_int_equal(token_rsa_raw(w->token, &p.key, bytes_of(in, 256), out, NULL), -1);
    store_key_free(&p.key);
}

static void test_nothing_is_signed_without_login(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0};
    struct err e = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_ecc(w, "P-256", &key);
    assert_int_equal(unit_tpm_sign(w->token, &key, NULL), 0);
    assert_int_equal(token_logout(w->token, NULL), 0);
    assert_int_equal(unit_tpm_sign(w->token, &key, &e), -1);
    assert_int_equal(e.code, E_LOGIN);
    e = (struct err){0};
    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
    assert_int_equal(unit_tpm_sign(w->token, &key, &e), -1);
    assert_int_equal(e.code, E_LOGIN);
    store_key_free(&key);
}

/* Kept in the store, the world closed and opened again, nobody logged in. */
static void sleep_over_it(struct unit_tpm *w, struct store_key *key)
{
    uint8_t uuid[STORE_UUID];
    struct err e = {0};

    memcpy(uuid, key->uuid, STORE_UUID);
    if (store_key_put(w->store, key, token_seal(w->token), &e) != 0)
        fail_msg("%s", e.msg);
    store_key_free(key);
    *key = (struct store_key){.token = 0};
    unit_tpm_close(w);
    unit_tpm_open(w, NULL);
    assert_int_equal(token_who(w->token), TOKEN_NOBODY);
    if (store_key_get(w->store, w->id, uuid, token_seal(w->token), key, &e) != 0)
        fail_msg("%s", e.msg);
}

static void test_a_service_key_signs_without_login(void **state)
{
    struct unit_tpm *w = *state;
    struct key_spec spec = {.type = TPM2_ALG_ECC,
                            .curve = alg_curve_named("P-256"),
                            .sign = true,
                            .mode = STORE_KEY_NONE};
    struct store_key key = {0}, mine = {0};
    struct err e = {0};

    assert_int_equal(token_key_create(w->token, &spec, &key, &e), -1);
    assert_int_equal(e.code, E_LOGIN);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(token_key_create(w->token, &spec, &key, NULL), 0);
    unit_tpm_ecc(w, "P-256", &mine);
    sleep_over_it(w, &key);
    assert_int_equal(unit_tpm_sign(w->token, &key, NULL), 0);
    /* A user's key whose row was made to say that it is a service key: the TPM knows better. */
    mine.mode = STORE_KEY_NONE;
    e = (struct err){0};
    assert_int_equal(unit_tpm_sign(w->token, &mine, &e), -1);
    assert_int_equal(e.code, E_DENIED);
    assert_int_equal(unit_tpm_failures(), 0);
    store_key_free(&key);
    store_key_free(&mine);
}

static void test_a_key_that_is_no_key_of_this_tpm_is_refused(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key a = {0}, b = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_ecc(w, "P-256", &a);
    unit_tpm_ecc(w, "P-256", &b);
    /* The public half of one with the private half of the other. */
    buf_free(&b.private);
    b.private = (struct buf){0};
    buf_add_bytes(&b.private, buf_bytes(&a.private));
    assert_int_equal(unit_tpm_sign(w->token, &b, NULL), -1);
    assert_int_equal(unit_tpm_sign(w->token, &a, NULL), 0);
    a.private.p[a.private.len - 1] ^= 1;
    token_key_forget(w->token, a.uuid);
    assert_int_equal(unit_tpm_sign(w->token, &a, NULL), -1);
    store_key_free(&a);
    store_key_free(&b);
}

static void test_more_keys_than_slots_take_turns(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key[4] = {{.token = 0}, {.token = 0}, {.token = 0}, {.token = 0}};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    for (size_t i = 0; i < ARRAY_LEN(key); i++)
        unit_tpm_ecc(w, "P-256", &key[i]);
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_LEN(key); i++)
            assert_int_equal(unit_tpm_sign(w->token, &key[i], NULL), 0);
    }
    /* Two stay loaded: used by turns they cost one command each. */
    unit_tpm_close(w);
    unit_tpm_open(w, unit_spy(w, false));
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(unit_tpm_sign(w->token, &key[0], NULL), 0);
    assert_int_equal(unit_tpm_sign(w->token, &key[1], NULL), 0);
    unit_spy_clear(w);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(unit_tpm_sign(w->token, &key[i % 2], NULL), 0);
    assert_int_equal(unit_spy_count(w, NULL), 6);
    for (size_t i = 0; i < ARRAY_LEN(key); i++)
        store_key_free(&key[i]);
}

/* --- keys that come from outside ------------------------------------------------- */

static void lacks_fixed(const struct store_key *key)
{
    TPMT_PUBLIC area;

    assert_true(key->imported);
    assert_int_equal(key->creation.len, 0);
    assert_int_equal(tpmname_unmarshal_public(buf_bytes(&key->public), &area, NULL), 0);
    assert_int_equal(area.objectAttributes & (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                              TPMA_OBJECT_SENSITIVEDATAORIGIN),
                     0);
    assert_int_equal(area.authPolicy.size, 0);
}

static void test_an_imported_ec_key_signs_and_is_marked(void **state)
{
    static const char *const curve[] = {"P-256", "P-384"};
    struct unit_tpm *w = *state;

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    for (size_t i = 0; i < ARRAY_LEN(curve); i++) {
        struct key_spec spec = {
            .type = TPM2_ALG_ECC, .curve = alg_curve_named(curve[i]), .sign = true};
        struct pubkey pub = {.type = TPM2_ALG_ECC, .curve = spec.curve};
        struct pair p = {.key = {.token = 0}};
        uint8_t seed[56], d[ALG_MAX_COORD];
        struct err e = {0};

        memset(seed, 0x21, sizeof(seed));
        assert_int_equal(
            ecc_from_seed(spec.curve, bytes_of(seed, spec.curve->size + 8), d, &pub.point, NULL),
            0);
        if (token_key_import(w->token, &spec, &pub, bytes_of(d, spec.curve->size), &p.key, &e) != 0)
            fail_msg("%s", e.msg);
        lacks_fixed(&p.key);
        pair_of(&p);
        assert_true(pubkey_equal(&p.pub, &pub));
        verifies(w, &p, &(struct token_sign){.scheme = PUBKEY_ECDSA, .digest = bytes_of(some, 32)});
        /* The private half of another public one. */
        d[5] ^= 1;
        store_key_free(&p.key);
        if (token_key_import(w->token, &spec, &pub, bytes_of(d, spec.curve->size), &p.key, NULL) ==
            0) {
            assert_int_equal(unit_tpm_sign(w->token, &p.key, NULL), -1);
            store_key_free(&p.key);
        }
    }
}

static void test_an_imported_rsa_key_signs_and_is_marked(void **state)
{
    struct unit_tpm *w = *state;
    struct key_spec spec = {.type = TPM2_ALG_RSA, .bits = 2048, .sign = true, .decrypt = true};
    struct pubkey pub = {.type = TPM2_ALG_RSA, .exponent = 65537, .n_len = 256};
    struct pair p = {.key = {.token = 0}};
    EVP_PKEY *outside = EVP_RSA_gen(2048);
    BIGNUM *n = NULL, *prime = NULL;
    uint8_t factor[128];
    struct err e = {0};

    assert_non_null(outside);
    assert_int_equal(EVP_PKEY_get_bn_param(outside, "n", &n), 1);
    assert_int_equal(EVP_PKEY_get_bn_param(outside, "rsa-factor1", &prime), 1);
    assert_int_equal(BN_bn2binpad(n, pub.n, 256), 256);
    assert_int_equal(BN_bn2binpad(prime, factor, 128), 128);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    if (token_key_import(w->token, &spec, &pub, bytes_of(factor, 128), &p.key, &e) != 0)
        fail_msg("%s", e.msg);
    lacks_fixed(&p.key);
    pair_of(&p);
    assert_true(pubkey_equal(&p.pub, &pub));
    rsassa_by_hash(w, &p);
    raw_is_the_inverse_of_the_public_operation(w, &p);
    store_key_free(&p.key);
    BN_free(n);
    BN_clear_free(prime);
    EVP_PKEY_free(outside);
}

static void test_a_signer_signs_after_its_key_is_freed(void **state)
{
    struct unit_tpm *w = *state;
    struct signer *s = NULL;
    struct store_key key = {0};
    uint8_t sig[64];

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_ecc(w, "P-256", &key);
    assert_int_equal(token_signer(w->token, &key, &s, NULL), 0);
    store_key_free(&key);
    assert_int_equal(
        s->sign(s, PUBKEY_ECDSA, alg_hash_named("SHA256"), bytes_of(some, 32), sig, NULL), 0);
    assert_int_equal(
        pubkey_verify(&s->pub, PUBKEY_ECDSA, NULL, 0, bytes_of(some, 32), bytes_of(sig, 64), NULL),
        0);
    signer_free(s);
}

static void test_kinds_of_keys_that_the_tpm_lacks_are_told(void **state)
{
    struct unit_tpm *w = *state;
    const struct key_spec bad[] = {
        {.type = TPM2_ALG_RSA, .bits = 1024, .sign = true},
        {.type = TPM2_ALG_RSA, .bits = 2048, .exponent = 3, .sign = true},
        {.type = TPM2_ALG_ECC, .curve = NULL, .sign = true},
        {.type = TPM2_ALG_SYMCIPHER, .sign = true},
        {.type = TPM2_ALG_RSA, .bits = 2048, .sign = true, .mode = STORE_KEY_QUORUM},
    };

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct store_key key = {0};
        struct err e = {0};

        assert_int_equal(token_key_create(w->token, &bad[i], &key, &e), -1);
        assert_int_equal(e.code, E_UNSUPPORTED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TOKEN(test_p256_signs_digests_of_all_lengths),
        WITH_TOKEN(test_p384_signs_digests_of_all_lengths),
        WITH_TOKEN(test_a_long_digest_is_cut_on_the_right),
        WITH_TOKEN(test_rsa_that_may_decrypt_does_everything),
        WITH_TOKEN(test_rsa_for_signing_only_says_what_it_cannot_do),
        WITH_TOKEN(test_nothing_is_signed_without_login),
        WITH_TOKEN(test_a_service_key_signs_without_login),
        WITH_TOKEN(test_a_key_that_is_no_key_of_this_tpm_is_refused),
        WITH_TOKEN(test_more_keys_than_slots_take_turns),
        WITH_TOKEN(test_an_imported_ec_key_signs_and_is_marked),
        WITH_TOKEN(test_an_imported_rsa_key_signs_and_is_marked),
        WITH_TOKEN(test_a_signer_signs_after_its_key_is_freed),
        WITH_TOKEN(test_kinds_of_keys_that_the_tpm_lacks_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
