/* Goal: with a hash that no TPM has, and with masks that it does not make, keys in the TPM do
 * what can be done with padding of our own, and say what cannot. */
#include "tests/support/unit_crypt.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define N 256 /* bytes of RSA-2048 */

static const uint8_t some[64] = {0xe1, 2, 3, 4, 5, 6, 7};

static const struct alg_hash *sha224(void)
{
    return alg_hash_named("SHA224");
}

/* Signs; one raw operation and no other command that uses the key. */
static void signs_by_hand(struct unit_tpm *w, const struct store_key *key,
                          const struct token_sign *what, uint8_t sig[N])
{
    struct err e = {0};

    unit_spy_clear(w);
    if (token_sign(w->token, key, what, sig, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(unit_spy_count(w, "RSA_Decrypt"), 1);
    assert_int_equal(unit_spy_count(w, "Sign"), 0);
}

/* As libcrypto judges it; `mgf` NULL: PKCS#1 v1.5. */
static bool well(const struct store_key *key, const struct token_sign *what, const uint8_t sig[N],
                 const struct alg_hash *hash, struct bytes digest)
{
    struct pubkey pub;
    struct buf der = {0};
    const uint8_t *p;
    EVP_PKEY *k;
    EVP_PKEY_CTX *c;
    bool ok;

    assert_int_equal(token_key_public(key, &pub, NULL), 0);
    assert_int_equal(pubkey_to_spki(&pub, &der, NULL), 0);
    p = der.p;
    k = d2i_PUBKEY(NULL, &p, (long)der.len);
    c = EVP_PKEY_CTX_new(k, NULL);
    assert_int_equal(EVP_PKEY_verify_init(c), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(c, what->mgf != NULL ? RSA_PKCS1_PSS_PADDING
                                                                       : RSA_PKCS1_PADDING),
                     1);
    assert_int_equal(EVP_PKEY_CTX_set_signature_md(c, EVP_get_digestbynid(hash->nid)), 1);
    if (what->mgf != NULL) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(c, what->salt), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(c, EVP_get_digestbynid(what->mgf->nid)), 1);
    }
    ok = EVP_PKEY_verify(c, sig, N, digest.p, digest.len) == 1;
    EVP_PKEY_CTX_free(c);
    EVP_PKEY_free(k);
    buf_free(&der);
    return ok;
}

static enum err_code refused(struct unit_tpm *w, const struct store_key *key,
                             const struct token_sign *what)
{
    struct err e = {0};
    uint8_t sig[N];

    unit_spy_clear(w);
    assert_int_equal(token_sign(w->token, key, what, sig, &e), -1);
    assert_int_equal(unit_spy_count(w, NULL), 0);
    return e.code;
}

static void test_rsassa_goes_by_its_digest_info(void **state)
{
    struct token_sign what = {.scheme = PUBKEY_RSASSA, .digest = bytes_of(some, 28)};
    struct unit_tpm *w = *state;
    struct store_key both = {0}, sign_only = {0};
    uint8_t info[64], sig[N];

    what.hash = sha224();
    unit_crypt_spied(w, false);
    unit_tpm_rsa(w, true, &both);
    unit_tpm_rsa(w, false, &sign_only);
    signs_by_hand(w, &both, &what, sig);
    assert_true(well(&both, &what, sig, sha224(), what.digest));
    assert_false(well(&both, &what, sig, sha224(), bytes_of(some + 1, 28)));
    assert_int_equal(refused(w, &sign_only, &what), E_UNSUPPORTED);
    what.digest.len = 32;
    assert_int_equal(refused(w, &both, &what), E_DATA);
    /* The same as the bare content of the padding. */
    memcpy(info, sha224()->info, sha224()->info_len);
    memcpy(info + sha224()->info_len, some, 28);
    what = (struct token_sign){.scheme = PUBKEY_RSASSA,
                               .digest = bytes_of(info, sha224()->info_len + 28u)};
    signs_by_hand(w, &both, &what, sig);
    assert_true(well(&both, &what, sig, sha224(), bytes_of(some, 28)));
    assert_int_equal(refused(w, &sign_only, &what), E_UNSUPPORTED);
    store_key_free(&both);
    store_key_free(&sign_only);
}

static void test_pss_is_padded_here(void **state)
{
    static const struct {
        const char *hash, *mgf;
        int salt;
    } cases[] = {{"SHA224", "SHA224", 28}, {"SHA224", "SHA256", 28}, {"SHA224", "SHA1", 0},
                 {"SHA256", "SHA1", 32},   {"SHA256", "SHA224", 32}, {"SHA512", "SHA256", 64},
                 {"SHA1", "SHA512", 20}};
    struct unit_tpm *w = *state;
    struct store_key both = {0}, sign_only = {0};
    uint8_t sig[N];

    unit_crypt_spied(w, false);
    unit_tpm_rsa(w, true, &both);
    unit_tpm_rsa(w, false, &sign_only);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct alg_hash *h = alg_hash_named(cases[i].hash);
        struct token_sign what = {.scheme = PUBKEY_RSAPSS,
                                  .hash = h,
                                  .mgf = alg_hash_named(cases[i].mgf),
                                  .salt = cases[i].salt,
                                  .digest = bytes_of(some, h->size)};

        signs_by_hand(w, &both, &what, sig);
        assert_true(well(&both, &what, sig, h, what.digest));
        sig[N - 2] ^= 1;
        assert_false(well(&both, &what, sig, h, what.digest));
        assert_int_equal(refused(w, &sign_only, &what), E_UNSUPPORTED);
        what.digest.len--;
        assert_int_equal(refused(w, &both, &what), E_DATA);
    }
    store_key_free(&both);
    store_key_free(&sign_only);
}

static void test_ecdsa_takes_its_digests(void **state)
{
    static const char *const curve[] = {"P-256", "P-384"};
    struct token_sign what = {.scheme = PUBKEY_ECDSA, .digest = bytes_of(some, 28)};
    struct unit_tpm *w = *state;

    what.hash = sha224();
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    for (size_t i = 0; i < ARRAY_LEN(curve); i++) {
        struct store_key key = {0};
        struct pubkey pub;
        uint8_t sig[2 * ALG_MAX_COORD];
        struct err e = {0};

        unit_tpm_ecc(w, curve[i], &key);
        assert_int_equal(token_key_public(&key, &pub, NULL), 0);
        if (token_sign(w->token, &key, &what, sig, &e) != 0 ||
            pubkey_verify(&pub, PUBKEY_ECDSA, what.hash, 0, what.digest,
                          bytes_of(sig, pubkey_sig_len(&pub)), &e) != 0)
            fail_msg("%s", e.msg);
        store_key_free(&key);
    }
}

static void test_hmac_is_not_to_be_had(void **state)
{
    struct key_spec spec = {.type = TPM2_ALG_KEYEDHASH};
    struct bytes data = bytes_of(some, sizeof(some));
    struct unit_tpm *w = *state;
    struct store_key key = {0}, none = {0};
    uint8_t mac[ALG_MAX_DIGEST];
    struct err e = {0};

    spec.hash = sha224();
    unit_crypt_spied(w, false);
    unit_crypt_hmac(w, bytes_of(some, 28), NULL, &key);
    unit_spy_clear(w);
    assert_int_equal(token_hmac(w->token, &key, sha224(), &data, 1, mac, &e), -1);
    assert_int_equal(e.code, E_UNSUPPORTED);
    e = (struct err){0};
    assert_int_equal(token_key_supported(w->token, &spec, &e), -1);
    assert_int_equal(e.code, E_UNSUPPORTED);
    e = (struct err){0};
    assert_int_equal(token_key_create(w->token, &spec, &none, &e), -1);
    assert_int_equal(e.code, E_UNSUPPORTED);
    e = (struct err){0};
    assert_int_equal(token_key_import(w->token, &spec, NULL, bytes_of(some, 28), &none, &e), -1);
    assert_int_equal(e.code, E_UNSUPPORTED);
    assert_int_equal(unit_spy_count(w, NULL), 0);
    assert_int_equal(token_hmac(w->token, &key, alg_hash_named("SHA256"), &data, 1, mac, NULL), 0);
    store_key_free(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TOKEN(test_rsassa_goes_by_its_digest_info),
        WITH_TOKEN(test_pss_is_padded_here),
        WITH_TOKEN(test_ecdsa_takes_its_digests),
        WITH_TOKEN(test_hmac_is_not_to_be_had),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
