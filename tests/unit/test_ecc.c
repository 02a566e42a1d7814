/* Curve arithmetic against the published base points (SP 800-186, 3.2.1) and
 * against libcrypto's own functions. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core/ecc.h"

#include "core/buf.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct {
    const char *curve, *x, *y;
} base_points[] = {
    {"P-256", "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
     "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"},
    {"P-384",
     "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a38"
     "5502f25dbf55296c3a545e3872760ab7",
     "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c0"
     "0a60b1ce1d7e819d7a431d7c90ea0e5f"},
    {"P-521",
     "00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1d"
     "c127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66",
     "011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550"
     "b9013fad0761353c7086a272c24088be94769fd16650"},
};

static const struct alg_curve *curve(size_t i)
{
    const struct alg_curve *c = alg_curve_named(base_points[i].curve);

    assert_non_null(c);
    return c;
}

static void expect(const uint8_t *got, size_t len, const char *hex)
{
    char text[2 * ALG_MAX_COORD + 1];

    hex_encode(text, got, len);
    assert_string_equal(text, hex);
}

static void test_seed_zero_gives_the_base_point(void **state)
{
    uint8_t seed[80] = {0}, d[ALG_MAX_COORD];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(base_points); i++) {
        const struct alg_curve *c = curve(i);
        struct ecc_point p;

        assert_int_equal(ecc_from_seed(c, bytes_of(seed, sizeof(seed)), d, &p, NULL), 0);
        expect(p.x, c->size, base_points[i].x);
        expect(p.y, c->size, base_points[i].y);
        assert_int_equal(d[c->size - 1], 1);
        assert_int_equal(d[0], 0);
        assert_true(ecc_on_curve(c, &p));
    }
}

static void test_seed_one_gives_twice_the_base_point(void **state)
{
    uint8_t seed[40] = {0}, d[32];
    struct ecc_point p;

    (void)state;
    seed[39] = 1;
    assert_int_equal(ecc_from_seed(curve(0), bytes_of(seed, sizeof(seed)), d, &p, NULL), 0);
    expect(p.x, 32, "7cf27b188d034f7e8a52380304b51ac3c08969e277f21b35a60b48fc47669978");
    expect(p.y, 32, "07775510db8ed040293d9ac69f7430dbba7dade63ce982299e04b79d227873d1");
}

static void test_seed_wraps_below_the_order(void **state)
{
    /* n - 1 of P-256 is taken to 0, so d is 1; n - 2 gives the largest key. */
    static const char order_less_1[] =
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550";
    uint8_t seed[32], d[32];
    struct ecc_point p;

    (void)state;
    assert_int_equal(hex_decode(seed, 32, order_less_1), 0);
    assert_int_equal(ecc_from_seed(curve(0), bytes_of(seed, 32), d, &p, NULL), 0);
    expect(p.x, 32, base_points[0].x);
    expect(p.y, 32, base_points[0].y);
    seed[31]--;
    assert_int_equal(ecc_from_seed(curve(0), bytes_of(seed, 32), d, &p, NULL), 0);
    expect(d, 32, order_less_1);
    expect(p.x, 32, base_points[0].x);
}

static void test_point_off_the_curve_is_refused(void **state)
{
    uint8_t z[ALG_MAX_COORD];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(base_points); i++) {
        const struct alg_curve *c = curve(i);
        struct ecc_point p = {0}, ephemeral;
        struct err e = {0};

        assert_false(ecc_on_curve(c, &p));
        assert_int_equal(hex_decode(p.x, c->size, base_points[i].x), 0);
        assert_int_equal(hex_decode(p.y, c->size, base_points[i].y), 0);
        assert_true(ecc_on_curve(c, &p));
        p.y[c->size - 1] ^= 1;
        assert_false(ecc_on_curve(c, &p));
        assert_int_equal(ecc_exchange(c, &p, &ephemeral, z, &e), -1);
        assert_int_equal(e.code, E_DATA);
    }
}

static void test_coordinate_beyond_the_field_is_refused(void **state)
{
    /* x + p names the same point, but only one encoding is valid. */
    struct ecc_point p;

    (void)state;
    memset(&p, 0xff, sizeof(p));
    assert_false(ecc_on_curve(curve(0), &p));
}

/* d times a point by libcrypto. */
static void multiply(const struct alg_curve *c, const uint8_t *d, const struct ecc_point *p,
                     uint8_t *x)
{
    EC_GROUP *g = EC_GROUP_new_by_curve_name(c->nid);
    EC_POINT *q = EC_POINT_new(g);
    BIGNUM *k = BN_bin2bn(d, (int)c->size, NULL);
    BIGNUM *bx = BN_bin2bn(p->x, (int)c->size, NULL), *by = BN_bin2bn(p->y, (int)c->size, NULL);

    assert_int_equal(EC_POINT_set_affine_coordinates(g, q, bx, by, NULL), 1);
    assert_int_equal(EC_POINT_mul(g, q, NULL, q, k, NULL), 1);
    assert_int_equal(EC_POINT_get_affine_coordinates(g, q, bx, by, NULL), 1);
    assert_true(BN_bn2binpad(bx, x, (int)c->size) > 0);
    BN_free(k);
    BN_free(bx);
    BN_free(by);
    EC_POINT_free(q);
    EC_GROUP_free(g);
}

static void test_both_sides_of_an_exchange_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(base_points); i++) {
        const struct alg_curve *c = curve(i);
        uint8_t seed[80], d[ALG_MAX_COORD], z[ALG_MAX_COORD], other[ALG_MAX_COORD];
        struct ecc_point mine, ephemeral, again;

        memset(seed, (int)i + 3, sizeof(seed));
        assert_int_equal(ecc_from_seed(c, bytes_of(seed, sizeof(seed)), d, &mine, NULL), 0);
        assert_int_equal(ecc_exchange(c, &mine, &ephemeral, z, NULL), 0);
        assert_true(ecc_on_curve(c, &ephemeral));
        multiply(c, d, &ephemeral, other);
        assert_memory_equal(z, other, c->size);
        assert_int_equal(ecc_exchange(c, &mine, &again, other, NULL), 0);
        assert_memory_not_equal(ephemeral.x, again.x, c->size);
        assert_memory_not_equal(z, other, c->size);
    }
}

static int verify(const struct alg_curve *c, const struct ecc_point *pub, struct bytes digest,
                  const uint8_t *sig)
{
    EC_KEY *key = EC_KEY_new_by_curve_name(c->nid);
    BIGNUM *x = BN_bin2bn(pub->x, (int)c->size, NULL), *y = BN_bin2bn(pub->y, (int)c->size, NULL);
    ECDSA_SIG *s = ECDSA_SIG_new();
    int good;

    assert_int_equal(EC_KEY_set_public_key_affine_coordinates(key, x, y), 1);
    assert_int_equal(ECDSA_SIG_set0(s, BN_bin2bn(sig, (int)c->size, NULL),
                                    BN_bin2bn(&sig[c->size], (int)c->size, NULL)),
                     1);
    good = ECDSA_do_verify(digest.p, (int)digest.len, s, key);
    ECDSA_SIG_free(s);
    BN_free(x);
    BN_free(y);
    EC_KEY_free(key);
    return good;
}

static void test_signatures_verify_and_fit_one_digest_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(base_points); i++) {
        const struct alg_curve *c = curve(i);
        uint8_t seed[80], d[ALG_MAX_COORD], sig[2 * ALG_MAX_COORD], digest[32];
        struct ecc_point pub;

        memset(seed, (int)i + 9, sizeof(seed));
        memset(digest, 0x5a, sizeof(digest));
        assert_int_equal(ecc_from_seed(c, bytes_of(seed, sizeof(seed)), d, &pub, NULL), 0);
        assert_int_equal(ecc_sign(c, d, bytes_of(digest, 32), sig, NULL), 0);
        assert_int_equal(verify(c, &pub, bytes_of(digest, 32), sig), 1);
        digest[0] ^= 1;
        assert_int_equal(verify(c, &pub, bytes_of(digest, 32), sig), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seed_zero_gives_the_base_point),
        cmocka_unit_test(test_seed_one_gives_twice_the_base_point),
        cmocka_unit_test(test_seed_wraps_below_the_order),
        cmocka_unit_test(test_point_off_the_curve_is_refused),
        cmocka_unit_test(test_coordinate_beyond_the_field_is_refused),
        cmocka_unit_test(test_both_sides_of_an_exchange_agree),
        cmocka_unit_test(test_signatures_verify_and_fit_one_digest_only),
    };

    return cmocka_run_group_tests_name("ecc", tests, NULL, NULL);
}
