/* Key agreement, decryption, AES and HMAC by keys in the TPM, against libcrypto with the same
 * keys. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tests/support/unit_crypt.h"

#include "core/hash.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* --- AES --------------------------------------------------------------------------- */

/* SP 800-38A, appendix F: four blocks under the key of AES-128; the IV, and the first
 * counter block. */
static const char nist_key[] = "2b7e151628aed2a6abf7158809cf4f3c";
static const char nist_plain[] = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                                 "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";
static const char nist_iv[] = "000102030405060708090a0b0c0d0e0f";
static const char nist_counter[] = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
static const struct {
    enum token_mode mode;
    const char *iv, *cipher;
} nist[] = {
    {TOKEN_ECB, nist_iv,
     "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf"
     "43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4"},
    {TOKEN_CBC, nist_iv,
     "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"
     "73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7"},
    {TOKEN_CFB, nist_iv,
     "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b"
     "26751f67a3cbb140b1808cf187a4f4dfc04b05357c5d1c0eeac4c66f9ff7f2e6"},
    {TOKEN_OFB, nist_iv,
     "3b3fd92eb72dad20333449f8e83cfb4a7789508d16918f03f53c52dac54ed825"
     "9740051e9c5fecf64344f7a82260edcc304c6528f659c77866a510d9c1d6ae5e"},
    {TOKEN_CTR, nist_counter,
     "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
     "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee"},
};

static void test_aes_gives_the_standards_answers_in_every_mode(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0};
    uint8_t raw[16], plain[64];

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(hex_decode(raw, 16, nist_key), 0);
    assert_int_equal(hex_decode(plain, 64, nist_plain), 0);
    unit_crypt_aes(w, bytes_of(raw, 16), &key);
    for (size_t i = 0; i < ARRAY_LEN(nist); i++) {
        struct token_cipher how = {.mode = nist[i].mode, .encrypt = true};
        uint8_t want[64], got[64];

        assert_int_equal(hex_decode(how.iv, 16, nist[i].iv), 0);
        assert_int_equal(hex_decode(want, 64, nist[i].cipher), 0);
        unit_crypt_cipher(w, &key, &how, bytes_of(plain, 64), got);
        assert_memory_equal(got, want, 64);
        how.encrypt = false;
        assert_int_equal(hex_decode(how.iv, 16, nist[i].iv), 0);
        unit_crypt_cipher(w, &key, &how, bytes_of(want, 64), got);
        assert_memory_equal(got, plain, 64);
    }
    store_key_free(&key);
}

static const EVP_CIPHER *cipher_of(enum token_mode mode, size_t key_len)
{
    static const char *const name[] = {"ECB", "CBC", "CTR", "CFB", "OFB"};
    char full[20];

    snprintf(full, sizeof(full), "AES-%zu-%s", key_len * 8, name[mode]);
    return EVP_get_cipherbyname(full);
}

static void by_libcrypto(enum token_mode mode, bool encrypt, struct bytes key, const uint8_t iv[16],
                         struct bytes in, uint8_t *out)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0, more = 0;

    assert_int_equal(
        EVP_CipherInit_ex(c, cipher_of(mode, key.len), NULL, key.p, iv, encrypt ? 1 : 0), 1);
    EVP_CIPHER_CTX_set_padding(c, 0);
    assert_int_equal(EVP_CipherUpdate(c, out, &n, in.p, (int)in.len), 1);
    assert_int_equal(EVP_CipherFinal_ex(c, out + n, &more), 1);
    assert_int_equal(n + more, in.len);
    EVP_CIPHER_CTX_free(c);
}

#define LONG 3000

/* The chunks of one call, and the calls that follow each other, give what one run over all of it
 * gives; there and back. */
static void chunks_chain(struct unit_tpm *w, const struct store_key *key, struct bytes raw,
                         enum token_mode mode)
{
    bool whole = mode == TOKEN_ECB || mode == TOKEN_CBC;
    size_t len = whole ? LONG / 16 * 16 : LONG, first = 2064;
    uint8_t plain[LONG], want[LONG], got[LONG];

    for (size_t i = 0; i < len; i++)
        plain[i] = (uint8_t)(i * 7 + i / 256);
    for (int encrypt = 1; encrypt >= 0; encrypt--) {
        struct token_cipher how = {.mode = mode, .encrypt = encrypt};
        const uint8_t *in = encrypt ? plain : want;
        uint8_t iv[16];

        /* The counter is carried over all its bytes within the run. */
        memset(iv, 0xff, sizeof(iv));
        iv[0] = 0x17;
        memcpy(how.iv, iv, 16);
        if (encrypt)
            by_libcrypto(mode, true, raw, iv, bytes_of(plain, len), want);
        unit_crypt_cipher(w, key, &how, bytes_of(in, len), got);
        assert_memory_equal(got, encrypt ? want : plain, len);
        memcpy(how.iv, iv, 16);
        memcpy(got, in, len);
        unit_crypt_cipher(w, key, &how, bytes_of(got, first), got);
        unit_crypt_cipher(w, key, &how, bytes_of(got + first, len - first), got + first);
        assert_memory_equal(got, encrypt ? want : plain, len);
    }
}

static void test_long_data_are_as_in_one_run(void **state)
{
    static const size_t sizes[] = {16, 24, 32};
    struct unit_tpm *w = *state;
    uint8_t raw[32];

    memset(raw, 0x6b, sizeof(raw));
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct key_spec spec = {.type = TPM2_ALG_SYMCIPHER, .bits = (uint16_t)(8 * sizes[i])};
        struct store_key key = {0};
        struct err e = {0};

        if (token_key_supported(w->token, &spec, &e) != 0) {
            assert_int_equal(e.code, E_UNSUPPORTED);
            print_message("%s\n", e.msg);
            continue;
        }
        unit_crypt_aes(w, bytes_of(raw, sizes[i]), &key);
        for (int mode = TOKEN_ECB; mode <= TOKEN_OFB; mode++)
            chunks_chain(w, &key, bytes_of(raw, sizes[i]), (enum token_mode)mode);
        store_key_free(&key);
    }
}

static void test_aes_keys_that_the_tpm_makes_work_and_stay(void **state)
{
    struct key_spec spec = {.type = TPM2_ALG_SYMCIPHER, .bits = 256};
    struct token_cipher how = {.mode = TOKEN_CBC, .encrypt = true};
    struct unit_tpm *w = *state;
    struct store_key a = {0}, b = {0};
    uint8_t in[32] = {1, 2, 3}, x[32], y[32];
    struct pubkey pub;
    struct err e = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(token_key_create(w->token, &spec, &a, NULL), 0);
    assert_int_equal(token_key_create(w->token, &spec, &b, NULL), 0);
    assert_int_equal(token_key_public(&a, &pub, &e), -1);
    assert_int_equal(e.code, E_UNSUPPORTED);
    unit_crypt_cipher(w, &a, &how, bytes_of(in, 32), x);
    how = (struct token_cipher){.mode = TOKEN_CBC, .encrypt = true};
    unit_crypt_cipher(w, &b, &how, bytes_of(in, 32), y);
    assert_memory_not_equal(x, y, 32);
    unit_tpm_close(w);
    unit_tpm_open(w, NULL);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    how = (struct token_cipher){.mode = TOKEN_CBC};
    unit_crypt_cipher(w, &a, &how, bytes_of(x, 32), y);
    assert_memory_equal(y, in, 32);
    store_key_free(&a);
    store_key_free(&b);
}

static enum err_code no_cipher(struct unit_tpm *w, const struct store_key *key,
                               enum token_mode mode, size_t len)
{
    static const uint8_t data[100];
    struct token_cipher how = {.mode = mode, .encrypt = true, .iv = {9}};
    uint8_t out[100];
    struct err e = {0};

    memset(out, 0x77, sizeof(out));
    assert_int_equal(token_cipher(w->token, key, &how, bytes_of(data, len), out, &e), -1);
    /* Nothing is written. */
    for (size_t i = 0; i < sizeof(out); i++)
        assert_int_equal(out[i], 0x77);
    assert_int_equal(how.iv[0], 9);
    return e.code;
}

static void test_what_aes_cannot_take_is_refused(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0}, ecc = {0};
    struct token_cipher how = {.mode = TOKEN_CBC, .encrypt = true, .iv = {9}};
    uint8_t raw[16] = {1};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_crypt_aes(w, bytes_of(raw, 16), &key);
    unit_tpm_ecc(w, "P-256", &ecc);
    assert_int_equal(no_cipher(w, &key, TOKEN_ECB, 15), E_DATA);
    assert_int_equal(no_cipher(w, &key, TOKEN_CBC, 17), E_DATA);
    assert_int_equal(no_cipher(w, &key, (enum token_mode)9, 16), E_ARG);
    assert_int_equal(no_cipher(w, &ecc, TOKEN_CBC, 16), E_ARG);
    /* No data, no work. */
    assert_int_equal(token_cipher(w->token, &key, &how, bytes_of(NULL, 0), NULL, NULL), 0);
    assert_int_equal(how.iv[0], 9);
    assert_int_equal(token_logout(w->token, NULL), 0);
    assert_int_equal(no_cipher(w, &key, TOKEN_CBC, 16), E_LOGIN);
    store_key_free(&key);
    store_key_free(&ecc);
}

/* --- HMAC --------------------------------------------------------------------------- */

static void hmac_equals(struct unit_tpm *w, const struct store_key *key, struct bytes raw,
                        const struct alg_hash *h, struct bytes data)
{
    uint8_t want[ALG_MAX_DIGEST], got[ALG_MAX_DIGEST];
    /* In three parts, one of them empty. */
    const struct bytes part[] = {bytes_of(data.p, data.len / 3), bytes_of(NULL, 0),
                                 bytes_of(data.p + data.len / 3, data.len - data.len / 3)};
    struct err e = {0};

    assert_int_equal(hash_hmac(h, raw, data, want, NULL), 0);
    if (token_hmac(w->token, key, h, part, ARRAY_LEN(part), got, &e) != 0)
        fail_msg("%s, %zu bytes: %s", h->name, data.len, e.msg);
    assert_memory_equal(got, want, h->size);
}

static const char *const hashes[] = {"SHA1", "SHA256", "SHA384", "SHA512"};

/* RFC 4231, 4.2, 4.3: the first two cases, for SHA-256. */
static void test_hmac_gives_the_rfcs_answers(void **state)
{
    static const struct {
        const char *key, *data, *mac;
    } rfc[] = {
        {"\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b",
         "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {"Jefe", "what do ya want for nothing?",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    };
    const struct alg_hash *h = alg_hash_named("SHA256");
    struct unit_tpm *w = *state;

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    for (size_t i = 0; i < ARRAY_LEN(rfc); i++) {
        struct bytes data = unit_pin(rfc[i].data);
        struct store_key key = {0};
        uint8_t want[32], got[32];
        struct err e = {0};

        assert_int_equal(hex_decode(want, 32, rfc[i].mac), 0);
        unit_crypt_hmac(w, unit_pin(rfc[i].key), NULL, &key);
        if (token_hmac(w->token, &key, h, &data, 1, got, &e) != 0)
            fail_msg("%s", e.msg);
        assert_memory_equal(got, want, 32);
        store_key_free(&key);
    }
}

/* RFC 4231's lengths of keys, 131 bytes being longer than every block; data from none to a
 * sequence of several commands. */
static void test_hmac_is_right_for_all_hashes_keys_and_lengths(void **state)
{
    static const size_t key_len[] = {4, 20, 64, 65, 128, 131};
    static const size_t data_len[] = {0, 50, 1024, 1025, 2048, 3000};
    struct unit_tpm *w = *state;
    uint8_t raw[131], data[3000];

    memset(raw, 0xaa, sizeof(raw));
    memset(data, 0xdd, sizeof(data));
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    for (size_t h = 0; h < ARRAY_LEN(hashes); h++) {
        for (size_t i = 0; i < ARRAY_LEN(key_len); i++) {
            const struct alg_hash *hash = alg_hash_named(hashes[h]);
            struct store_key key = {0};

            unit_crypt_hmac(w, bytes_of(raw, key_len[i]), hash, &key);
            hmac_equals(w, &key, bytes_of(raw, key_len[i]), hash,
                        bytes_of(data, data_len[(h + i) % ARRAY_LEN(data_len)]));
            store_key_free(&key);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(key_len) - 1; i++) {
        struct store_key key = {0};

        unit_crypt_hmac(w, bytes_of(raw, key_len[i]), NULL, &key);
        for (size_t d = 0; d < ARRAY_LEN(data_len); d++)
            hmac_equals(w, &key, bytes_of(raw, key_len[i]),
                        alg_hash_named(hashes[d % ARRAY_LEN(hashes)]), bytes_of(data, data_len[d]));
        store_key_free(&key);
    }
}

static void test_hmac_keys_that_the_tpm_makes_are_different(void **state)
{
    struct unit_tpm *w = *state;
    struct bytes data = unit_pin("data");

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    for (size_t h = 0; h <= ARRAY_LEN(hashes); h++) {
        const struct alg_hash *bound = h == 0 ? NULL : alg_hash_named(hashes[h - 1]);
        const struct alg_hash *hash = bound != NULL ? bound : alg_hash_named("SHA512");
        struct key_spec spec = {.type = TPM2_ALG_KEYEDHASH, .hash = bound};
        uint8_t mac[3][ALG_MAX_DIGEST];
        struct store_key a = {0}, b = {0};

        assert_int_equal(token_key_create(w->token, &spec, &a, NULL), 0);
        assert_int_equal(token_key_create(w->token, &spec, &b, NULL), 0);
        assert_int_equal(token_hmac(w->token, &a, hash, &data, 1, mac[0], NULL), 0);
        assert_int_equal(token_hmac(w->token, &b, hash, &data, 1, mac[1], NULL), 0);
        assert_int_equal(token_hmac(w->token, &a, hash, &data, 1, mac[2], NULL), 0);
        assert_memory_equal(mac[0], mac[2], hash->size);
        assert_memory_not_equal(mac[0], mac[1], hash->size);
        store_key_free(&a);
        store_key_free(&b);
    }
}

static void test_hmac_needs_its_key_its_hash_and_a_login(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0}, ecc = {0};
    struct bytes data = unit_pin("data");
    uint8_t mac[ALG_MAX_DIGEST];
    struct err e[3] = {{.code = E_OK}, {.code = E_OK}, {.code = E_OK}};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_crypt_hmac(w, unit_pin("a key"), alg_hash_named("SHA256"), &key);
    unit_tpm_ecc(w, "P-256", &ecc);
    assert_int_equal(token_hmac(w->token, &key, alg_hash_named("SHA384"), &data, 1, mac, &e[0]),
                     -1);
    assert_int_equal(e[0].code, E_ARG);
    assert_int_equal(token_hmac(w->token, &ecc, alg_hash_named("SHA256"), &data, 1, mac, &e[1]),
                     -1);
    assert_int_equal(e[1].code, E_ARG);
    assert_int_equal(token_logout(w->token, NULL), 0);
    assert_int_equal(token_hmac(w->token, &key, alg_hash_named("SHA256"), &data, 1, mac, &e[2]),
                     -1);
    assert_int_equal(e[2].code, E_LOGIN);
    store_key_free(&key);
    store_key_free(&ecc);
}

/* --- key agreement -------------------------------------------------------------------- */

/* Z = d·P by libcrypto, X padded. */
static void multiply(const struct alg_curve *c, const uint8_t *d, const struct ecc_point *p,
                     uint8_t *z)
{
    EC_GROUP *g = EC_GROUP_new_by_curve_name(c->nid);
    BIGNUM *x = BN_bin2bn(p->x, (int)c->size, NULL), *y = BN_bin2bn(p->y, (int)c->size, NULL);
    BIGNUM *k = BN_bin2bn(d, (int)c->size, NULL);
    EC_POINT *in = EC_POINT_new(g), *out = EC_POINT_new(g);

    assert_int_equal(EC_POINT_set_affine_coordinates(g, in, x, y, NULL), 1);
    assert_int_equal(EC_POINT_mul(g, out, NULL, in, k, NULL), 1);
    assert_int_equal(EC_POINT_get_affine_coordinates(g, out, x, NULL, NULL), 1);
    assert_int_equal(BN_bn2binpad(x, z, (int)c->size), (int)c->size);
    EC_POINT_free(in);
    EC_POINT_free(out);
    BN_free(x);
    BN_free(y);
    BN_free(k);
    EC_GROUP_free(g);
}

static void agrees(struct unit_tpm *w, const struct alg_curve *c)
{
    struct store_key key = {0};
    struct ecc_point peer;
    uint8_t d[ALG_MAX_COORD], other[ALG_MAX_COORD], want[ALG_MAX_COORD], got[ALG_MAX_COORD];
    unsigned seed = 1;

    unit_crypt_ecdh(w, c, &key, d);
    for (int zero = 0; zero <= 1; zero++) {
        struct err e = {0};

        /* The second time: a peer with whom Z begins with a zero. */
        do {
            unit_crypt_pair(c, seed++, other, &peer);
            multiply(c, d, &peer, want);
        } while (zero && (want[0] != 0 || (c->size == 66 && want[1] != 0)));
        memset(got, 0x55, sizeof(got));
        if (token_ecdh(w->token, &key, &peer, got, &e) != 0)
            fail_msg("%s", e.msg);
        assert_memory_equal(got, want, c->size);
    }
    store_key_free(&key);
}

static void test_ecdh_gives_what_libcrypto_gives(void **state)
{
    static const char *const curve[] = {"P-256", "P-384", "P-521"};
    struct unit_tpm *w = *state;

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    for (size_t i = 0; i < ARRAY_LEN(curve); i++) {
        const struct alg_curve *c = alg_curve_named(curve[i]);
        struct key_spec spec = {.type = TPM2_ALG_ECC, .curve = c, .decrypt = true};

        if (token_key_supported(w->token, &spec, NULL) == 0)
            agrees(w, c);
        else
            print_message("no %s here\n", curve[i]);
    }
}

static void test_ecdh_refuses_points_that_are_none(void **state)
{
    struct unit_tpm *w = *state;
    const struct alg_curve *c = alg_curve_named("P-256");
    struct store_key key = {0}, sign = {0}, rsa = {0};
    struct ecc_point good, bad;
    uint8_t d[ALG_MAX_COORD], z[ALG_MAX_COORD];
    struct err e[5] = {{.code = E_OK}};

    unit_crypt_spied(w, false);
    unit_crypt_ecdh(w, c, &key, d);
    unit_tpm_ecc(w, "P-256", &sign);
    unit_tpm_rsa(w, true, &rsa);
    unit_crypt_pair(c, 7, d, &good);
    assert_int_equal(token_ecdh(w->token, &key, &good, z, NULL), 0);
    unit_spy_clear(w);
    bad = good;
    bad.y[31] ^= 1;
    assert_int_equal(token_ecdh(w->token, &key, &bad, z, &e[0]), -1);
    assert_int_equal(e[0].code, E_DATA);
    memset(&bad, 0, sizeof(bad));
    assert_int_equal(token_ecdh(w->token, &key, &bad, z, &e[1]), -1);
    assert_int_equal(e[1].code, E_DATA);
    memset(&bad, 0xff, sizeof(bad));
    assert_int_equal(token_ecdh(w->token, &key, &bad, z, &e[2]), -1);
    assert_int_equal(e[2].code, E_DATA);
    assert_int_equal(token_ecdh(w->token, &sign, &good, z, &e[3]), -1);
    assert_int_equal(e[3].code, E_UNSUPPORTED);
    assert_int_equal(token_ecdh(w->token, &rsa, &good, z, &e[4]), -1);
    assert_int_equal(e[4].code, E_ARG);
    assert_int_equal(unit_spy_count(w, NULL), 0);
    store_key_free(&key);
    store_key_free(&sign);
    store_key_free(&rsa);
}

/* --- keys from outside ------------------------------------------------------------------ */

static enum err_code no_import(struct unit_tpm *w, const struct key_spec *spec, size_t len)
{
    static const uint8_t raw[300] = {1};
    struct store_key key = {0};
    struct err e = {0};

    assert_int_equal(token_key_import(w->token, spec, NULL, bytes_of(raw, len), &key, &e), -1);
    return e.code;
}

static void test_keys_of_wrong_lengths_and_kinds_are_not_imported(void **state)
{
    const struct key_spec aes = {.type = TPM2_ALG_SYMCIPHER, .bits = 128},
                          odd = {.type = TPM2_ALG_SYMCIPHER, .bits = 160},
                          hmac = {.type = TPM2_ALG_KEYEDHASH},
                          sized = {.type = TPM2_ALG_KEYEDHASH, .bits = 256},
                          ecc = {.type = TPM2_ALG_ECC, .curve = alg_curve_named("P-256")};
    struct unit_tpm *w = *state;

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(no_import(w, &aes, 0), E_DATA);
    assert_int_equal(no_import(w, &aes, 15), E_DATA);
    assert_int_equal(no_import(w, &aes, 32), E_DATA);
    assert_int_equal(no_import(w, &odd, 20), E_UNSUPPORTED);
    assert_int_equal(no_import(w, &hmac, 0), E_DATA);
    assert_int_equal(no_import(w, &hmac, 129), E_DATA);
    assert_int_equal(no_import(w, &sized, 32), E_UNSUPPORTED);
    assert_int_equal(no_import(w, &ecc, 32), E_ARG);
}

/* The public halves of two imports of one key do not tell that it is one. */
static void test_an_imported_key_is_hidden_by_its_seed(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key a = {0}, b = {0};
    uint8_t raw[16] = {3};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_crypt_aes(w, bytes_of(raw, 16), &a);
    unit_crypt_aes(w, bytes_of(raw, 16), &b);
    assert_true(a.imported);
    assert_false(bytes_equal(buf_bytes(&a.public), buf_bytes(&b.public)));
    store_key_free(&a);
    store_key_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TOKEN(test_aes_gives_the_standards_answers_in_every_mode),
        WITH_TOKEN(test_long_data_are_as_in_one_run),
        WITH_TOKEN(test_aes_keys_that_the_tpm_makes_work_and_stay),
        WITH_TOKEN(test_what_aes_cannot_take_is_refused),
        WITH_TOKEN(test_hmac_gives_the_rfcs_answers),
        WITH_TOKEN(test_hmac_is_right_for_all_hashes_keys_and_lengths),
        WITH_TOKEN(test_hmac_keys_that_the_tpm_makes_are_different),
        WITH_TOKEN(test_hmac_needs_its_key_its_hash_and_a_login),
        WITH_TOKEN(test_ecdh_gives_what_libcrypto_gives),
        WITH_TOKEN(test_ecdh_refuses_points_that_are_none),
        WITH_TOKEN(test_keys_of_wrong_lengths_and_kinds_are_not_imported),
        WITH_TOKEN(test_an_imported_key_is_hidden_by_its_seed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
