/* Goal: private keys are written as OpenSSL writes them, read back to what a TPM takes, and
 * not read when anything in them does not fit. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tests/support/unit_forge.h"

#include "core/pkcs8.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* The pool's keys and one of P-521, which the pool does not have. */
static EVP_PKEY *keys[4];

static int make_keys(void **state)
{
    (void)state;
    keys[0] = unit_forge_key(UNIT_P256, 0);
    keys[1] = unit_forge_key(UNIT_P384, 0);
    keys[2] = EVP_EC_gen("P-521");
    keys[3] = unit_forge_key(UNIT_RSA, 0);
    return keys[2] != NULL ? 0 : -1;
}

static int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(keys[2]);
    return 0;
}

static void openssl_der(EVP_PKEY *key, struct buf *out)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    uint8_t *der = NULL;
    int len = i2d_PKCS8_PRIV_KEY_INFO(info, &der);

    assert_true(len > 0);
    buf_add(out, der, (size_t)len);
    OPENSSL_free(der);
    PKCS8_PRIV_KEY_INFO_free(info);
}

/* A private number of a key, padded; the size. */
static size_t number(EVP_PKEY *key, const char *name, uint8_t *out, size_t size)
{
    BIGNUM *n = NULL;

    assert_int_equal(EVP_PKEY_get_bn_param(key, name, &n), 1);
    assert_int_equal(BN_bn2binpad(n, out, (int)size), (int)size);
    BN_clear_free(n);
    return size;
}

static size_t private_part(const struct pubkey *k, EVP_PKEY *key, bool second, uint8_t *out)
{
    if (k->type == TPM2_ALG_ECC)
        return number(key, OSSL_PKEY_PARAM_PRIV_KEY, out, k->curve->size);
    return number(key, second ? OSSL_PKEY_PARAM_RSA_FACTOR2 : OSSL_PKEY_PARAM_RSA_FACTOR1, out,
                  k->n_len / 2u);
}

static void test_keys_are_written_as_openssl_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(keys); i++) {
        EVP_PKEY *key = keys[i / 2];
        struct buf want = {0}, got = {0};
        uint8_t priv[PUBKEY_MAX_RSA];
        struct pubkey k;
        size_t len;

        unit_forge_pubkey(key, &k);
        len = private_part(&k, key, i % 2 == 1, priv);
        openssl_der(key, &want);
        assert_int_equal(pkcs8_encode(&k, bytes_of(priv, len), &got, NULL), 0);
        assert_true(got.secret);
        assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&want)));
        buf_free(&want);
        buf_free(&got);
    }
}

static void test_keys_of_openssl_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct buf der = {0};
        uint8_t priv[PUBKEY_MAX_RSA];
        struct secret *s = NULL;
        struct pubkey k, got;

        unit_forge_pubkey(keys[i], &k);
        openssl_der(keys[i], &der);
        assert_int_equal(pkcs8_decode(buf_bytes(&der), &got, &s, NULL), 0);
        assert_true(pubkey_equal(&got, &k));
        assert_true(
            bytes_equal(secret_bytes(s), bytes_of(priv, private_part(&k, keys[i], false, priv))));
        secret_free(s);
        buf_free(&der);
    }
}

static enum err_code refused(struct bytes der)
{
    struct secret *s = NULL;
    struct err e = {0};
    struct pubkey k;

    assert_int_equal(pkcs8_decode(der, &k, &s, &e), -1);
    assert_null(s);
    return e.code;
}

static void test_cut_lengthened_and_changed_keys_are_not_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct buf der = {0};
        size_t step = i == 3 ? 7 : 1;

        openssl_der(keys[i], &der);
        for (size_t cut = 0; cut < der.len; cut++)
            assert_int_equal(refused(bytes_of(der.p, cut)), E_FORMAT);
        for (size_t bit = 0; bit < der.len * 8; bit += step) {
            der.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
            refused(buf_bytes(&der));
            der.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        buf_u8(&der, 0);
        assert_int_equal(refused(buf_bytes(&der)), E_FORMAT);
        buf_free(&der);
    }
}

static void test_parts_that_do_not_belong_together_are_not_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        uint8_t priv[PUBKEY_MAX_RSA], zeros[PUBKEY_MAX_RSA] = {0}, one[1] = {1};
        struct buf out = {0};
        struct pubkey k;
        struct bytes bad[4];
        size_t len;

        unit_forge_pubkey(keys[i], &k);
        len = private_part(&k, keys[i], false, priv);
        priv[len - 1] ^= 2;
        bad[0] = bytes_of(priv, len);
        bad[1] = bytes_of(zeros, len);
        bad[2] = bytes_of(one, 1);
        bad[3] = bytes_of(NULL, 0);
        for (size_t b = 0; b < ARRAY_LEN(bad); b++) {
            struct err e = {0};

            assert_int_equal(pkcs8_encode(&k, bad[b], &out, &e), -1);
            assert_int_equal(e.code, E_DATA);
            assert_int_equal(out.len, 0);
        }
        if (k.type == TPM2_ALG_RSA) /* the modulus divides itself */
            assert_int_equal(pkcs8_encode(&k, bytes_of(k.n, k.n_len), &out, NULL), -1);
    }
}

/* --- other forms of EC keys ------------------------------------------------- */

/* PrivateKeyInfo around an ECPrivateKey whose DER follows, all of less than 128 bytes. */
static void wrap_p256(struct buf *out, uint8_t version, struct bytes ec, struct bytes attributes)
{
    static const uint8_t algorithm[] = {0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                        0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
                                        0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    size_t inner = 3 + sizeof(algorithm) + 2 + ec.len + attributes.len;

    assert_true(inner < 128 && ec.len < 128);
    buf_u8(out, 0x30);
    buf_u8(out, (uint8_t)inner);
    buf_add(out, (uint8_t[]){2, 1, version}, 3);
    buf_add(out, algorithm, sizeof(algorithm));
    buf_u8(out, 4);
    buf_u8(out, (uint8_t)ec.len);
    buf_add_bytes(out, ec);
    buf_add_bytes(out, attributes);
}

struct ec_form {
    uint8_t version, info_version;
    struct bytes d;
    const char *rest, *attributes; /* hex, what follows the scalar, and the ECPrivateKey */
};

static int read_form(const struct ec_form *f, struct pubkey *k, struct secret **s, struct err *e)
{
    struct buf ec = {0}, der = {0};
    uint8_t rest[64], attributes[64];
    size_t n = strlen(f->rest) / 2, m = strlen(f->attributes) / 2;
    int rc;

    assert_int_equal(hex_decode(rest, n, f->rest), 0);
    assert_int_equal(hex_decode(attributes, m, f->attributes), 0);
    buf_u8(&ec, 0x30);
    buf_u8(&ec, (uint8_t)(3 + 2 + f->d.len + n));
    buf_add(&ec, (uint8_t[]){2, 1, f->version, 4, (uint8_t)f->d.len}, 5);
    buf_add_bytes(&ec, f->d);
    buf_add(&ec, rest, n);
    wrap_p256(&der, f->info_version, buf_bytes(&ec), bytes_of(attributes, m));
    rc = pkcs8_decode(buf_bytes(&der), k, s, e);
    buf_free(&ec);
    buf_free(&der);
    return rc;
}

/* [0] with prime256v1 and secp384r1; an attribute friendlyName "k". */
#define SAME_CURVE "a00a06082a8648ce3d030107"
#define OTHER_CURVE "a00706052b81040022"
#define FRIENDLY "a013301106092a864886f70d01091431041e02006b"

static void test_what_an_ec_key_may_say_and_what_not(void **state)
{
    static const uint8_t order[] = {0xff, 0xff, 0xff, 0xff, 0,    0,    0,    0,
                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
                                    0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
    uint8_t d[33] = {0}, small[1] = {5};
    const struct ec_form good[] = {
        {1, 0, {d, 32}, "", ""},
        {1, 0, {small, 1}, "", ""},
        {1, 0, {d, 32}, SAME_CURVE, ""},
        {1, 0, {d, 32}, "", FRIENDLY},
        {1, 0, {small, 1}, SAME_CURVE, "a000"},
    };
    const struct {
        struct ec_form form;
        enum err_code code;
    } bad[] = {
        {{0, 0, {d, 32}, "", ""}, E_FORMAT},        {{2, 0, {d, 32}, "", ""}, E_FORMAT},
        {{1, 1, {d, 32}, "", ""}, E_UNSUPPORTED},   {{1, 0, {d, 33}, "", ""}, E_DATA},
        {{1, 0, {d, 0}, "", ""}, E_DATA},           {{1, 0, {order, 32}, "", ""}, E_DATA},
        {{1, 0, {d, 31}, "", ""}, E_DATA}, /* zero */
        {{1, 0, {d, 32}, OTHER_CURVE, ""}, E_DATA}, {{1, 0, {d, 32}, "a1050303000401", ""}, E_DATA},
        {{1, 0, {d, 32}, "0500", ""}, E_FORMAT},    {{1, 0, {d, 32}, "", "0500"}, E_FORMAT},
    };

    (void)state;
    d[31] = 5;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct secret *s = NULL;
        struct pubkey k;

        assert_int_equal(read_form(&good[i], &k, &s, NULL), 0);
        assert_int_equal(secret_len(s), 32);
        assert_memory_equal(secret_peek(s), d, 32);
        secret_free(s);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct secret *s = NULL;
        struct err e = {0};
        struct pubkey k;

        assert_int_equal(read_form(&bad[i].form, &k, &s, &e), -1);
        assert_int_equal(e.code, bad[i].code);
        assert_null(s);
    }
}

/* --- other forms of RSA keys ------------------------------------------------ */

struct numbers {
    BIGNUM *n, *e, *d, *p, *q, *dp, *dq, *qinv;
};

/* A key of primes of these lengths, d by the product of p - 1 and q - 1. */
static void make_numbers(struct numbers *k, int p_bits, int q_bits)
{
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *p1 = BN_new(), *q1 = BN_new(), *phi = BN_new();

    *k = (struct numbers){BN_new(), BN_new(), BN_new(), BN_new(),
                          BN_new(), BN_new(), BN_new(), BN_new()};
    BN_set_word(k->e, 65537);
    do {
        assert_int_equal(BN_generate_prime_ex(k->p, p_bits, 0, NULL, NULL, NULL), 1);
        assert_int_equal(BN_generate_prime_ex(k->q, q_bits, 0, NULL, NULL, NULL), 1);
        BN_mul(k->n, k->p, k->q, ctx);
        BN_sub(p1, k->p, BN_value_one());
        BN_sub(q1, k->q, BN_value_one());
        BN_mul(phi, p1, q1, ctx);
    } while (BN_num_bits(k->n) != 2048 || BN_mod_inverse(k->d, k->e, phi, ctx) == NULL);
    BN_mod(k->dp, k->d, p1, ctx);
    BN_mod(k->dq, k->d, q1, ctx);
    assert_non_null(BN_mod_inverse(k->qinv, k->q, k->p, ctx));
    BN_free(p1);
    BN_free(q1);
    BN_free(phi);
    BN_CTX_free(ctx);
}

static void free_numbers(struct numbers *k)
{
    BIGNUM *all[] = {k->n, k->e, k->d, k->p, k->q, k->dp, k->dq, k->qinv};

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        BN_free(all[i]);
}

static void numbers_der(const struct numbers *k, int oid, int parameter, struct buf *out)
{
    RSA *r = RSA_new();
    PKCS8_PRIV_KEY_INFO *info = PKCS8_PRIV_KEY_INFO_new();
    uint8_t *inner = NULL, *der = NULL;
    int len;

    RSA_set0_key(r, BN_dup(k->n), BN_dup(k->e), BN_dup(k->d));
    RSA_set0_factors(r, BN_dup(k->p), BN_dup(k->q));
    RSA_set0_crt_params(r, BN_dup(k->dp), BN_dup(k->dq), BN_dup(k->qinv));
    len = i2d_RSAPrivateKey(r, &inner);
    assert_true(len > 0);
    assert_int_equal(PKCS8_pkey_set0(info, OBJ_nid2obj(oid), 0, parameter, NULL, inner, len), 1);
    len = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
    assert_true(len > 0);
    buf_add(out, der, (size_t)len);
    OPENSSL_free(der);
    PKCS8_PRIV_KEY_INFO_free(info);
    RSA_free(r);
}

static enum err_code read_numbers(const struct numbers *k, int oid, int parameter)
{
    struct secret *s = NULL;
    struct err e = {0};
    struct buf der = {0};
    struct pubkey pub;

    numbers_der(k, oid, parameter, &der);
    if (pkcs8_decode(buf_bytes(&der), &pub, &s, &e) == 0) {
        uint8_t p[128];

        assert_int_equal(BN_bn2binpad(k->p, p, 128), 128);
        assert_true(bytes_equal(secret_bytes(s), bytes_of(p, 128)));
    }
    secret_free(s);
    buf_free(&der);
    return e.code;
}

static void test_every_number_of_an_rsa_key_is_checked(void **state)
{
    struct numbers k;
    BIGNUM *each[7], *swapped;

    (void)state;
    make_numbers(&k, 1024, 1024);
    assert_int_equal(read_numbers(&k, NID_rsaEncryption, V_ASN1_NULL), E_OK);
    assert_int_equal(read_numbers(&k, NID_rsaEncryption, V_ASN1_UNDEF), E_FORMAT);
    assert_int_equal(read_numbers(&k, NID_rsassaPss, V_ASN1_NULL), E_UNSUPPORTED);
    each[0] = k.d;
    each[1] = k.p;
    each[2] = k.q;
    each[3] = k.dp;
    each[4] = k.dq;
    each[5] = k.qinv;
    each[6] = k.n;
    for (size_t i = 0; i < ARRAY_LEN(each); i++) {
        BN_add_word(each[i], 2);
        assert_int_equal(read_numbers(&k, NID_rsaEncryption, V_ASN1_NULL), E_DATA);
        BN_sub_word(each[i], 2);
    }
    BN_set_word(k.e, 3);
    assert_int_equal(read_numbers(&k, NID_rsaEncryption, V_ASN1_NULL), E_DATA);
    BN_set_word(k.e, 4);
    assert_int_equal(read_numbers(&k, NID_rsaEncryption, V_ASN1_NULL), E_DATA);
    BN_lshift(k.e, BN_value_one(), 32);
    BN_add_word(k.e, 1);
    assert_int_equal(read_numbers(&k, NID_rsaEncryption, V_ASN1_NULL), E_UNSUPPORTED);
    BN_set_word(k.e, 65537);
    BN_add(k.d, k.d, k.n); /* right modulo p - 1 and q - 1, and no private exponent */
    assert_int_equal(read_numbers(&k, NID_rsaEncryption, V_ASN1_NULL), E_DATA);
    BN_sub(k.d, k.d, k.n);
    swapped = k.p;
    k.p = k.q;
    k.q = swapped;
    assert_int_equal(read_numbers(&k, NID_rsaEncryption, V_ASN1_NULL), E_DATA);
    swapped = k.p;
    k.p = k.q;
    k.q = swapped;
    for (unsigned word = 0; word < 2; word++) {
        BIGNUM *p = BN_dup(k.p);

        BN_set_word(k.p, word);
        assert_int_equal(read_numbers(&k, NID_rsaEncryption, V_ASN1_NULL), E_DATA);
        BN_copy(k.p, p);
        BN_free(p);
    }
    assert_int_equal(read_numbers(&k, NID_rsaEncryption, V_ASN1_NULL), E_OK);
    free_numbers(&k);
}

static void test_primes_that_no_tpm_has(void **state)
{
    struct numbers k;

    (void)state;
    make_numbers(&k, 1040, 1008);
    assert_int_equal(read_numbers(&k, NID_rsaEncryption, V_ASN1_NULL), E_UNSUPPORTED);
    free_numbers(&k);
}

static void test_another_kind_of_key_is_not_supported(void **state)
{
    EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), *k1 = EVP_EC_gen("secp256k1");
    struct buf der = {0};

    (void)state;
    openssl_der(ed, &der);
    assert_int_equal(refused(buf_bytes(&der)), E_UNSUPPORTED);
    der.len = 0;
    openssl_der(k1, &der);
    assert_int_equal(refused(buf_bytes(&der)), E_UNSUPPORTED);
    buf_free(&der);
    EVP_PKEY_free(ed);
    EVP_PKEY_free(k1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_are_written_as_openssl_does),
        cmocka_unit_test(test_keys_of_openssl_are_read),
        cmocka_unit_test(test_cut_lengthened_and_changed_keys_are_not_read),
        cmocka_unit_test(test_parts_that_do_not_belong_together_are_not_written),
        cmocka_unit_test(test_what_an_ec_key_may_say_and_what_not),
        cmocka_unit_test(test_every_number_of_an_rsa_key_is_checked),
        cmocka_unit_test(test_primes_that_no_tpm_has),
        cmocka_unit_test(test_another_kind_of_key_is_not_supported),
    };

    return cmocka_run_group_tests_name("pkcs8", tests, make_keys, free_keys);
}
