/* Derived keys (swtpm-ci/with-tpm starts a TPM): the same from a base key in the TPM as from one
 * in memory, as far as a TPM can. */
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include "core/ecc.h"
#include "core/kdf.h"
#include "tests/support/unit_module.h"

static const uint8_t key[32] = "the bytes of a secret, 32 long..";
static const uint8_t salt[13] = "a salt of 13.", info[10] = "some info.";
static uint8_t want[1024], got[1024];

static const struct {
    CK_MECHANISM_TYPE type;
    int nid;
} hashes[] = {{CKM_SHA_1, NID_sha1},
              {CKM_SHA256, NID_sha256},
              {CKM_SHA384, NID_sha384},
              {CKM_SHA512, NID_sha512}};

static CK_RV derive(CK_HKDF_PARAMS *p, CK_MECHANISM_TYPE type, CK_OBJECT_HANDLE base, CK_ULONG len,
                    CK_OBJECT_HANDLE *o)
{
    CK_MECHANISM m = {type, p, sizeof(*p)};
    CK_ATTRIBUTE t[] = {T_BOOL(CKA_EXTRACTABLE, true), T_BOOL(CKA_SENSITIVE, false),
                        T_NUM(CKA_VALUE_LEN, len)};
    CK_ATTRIBUTE data[] = {T_NUM(CKA_CLASS, CKO_DATA), T_NUM(CKA_VALUE_LEN, len)};

    return type == CKM_HKDF_DATA ? C_DeriveKey(unit_session, &m, base, data, len != 0 ? 2 : 1, o)
                                 : C_DeriveKey(unit_session, &m, base, t, len != 0 ? 3 : 2, o);
}

static void gives(CK_HKDF_PARAMS *p, CK_MECHANISM_TYPE type, CK_OBJECT_HANDLE base, CK_ULONG ask,
                  size_t len)
{
    CK_OBJECT_HANDLE o = 0;

    assert_int_equal(derive(p, type, base, ask, &o), CKR_OK);
    assert_int_equal(unit_module_bytes(o, CKA_VALUE, got), len);
    assert_memory_equal(got, want, len);
    unit_module_destroy(o);
}

/* --- HKDF ---------------------------------------------------------------------- */

static void test_expansion_by_a_key_in_the_tpm(void **state)
{
    static const CK_KEY_TYPE types[] = {CKK_HKDF, CKK_GENERIC_SECRET};
    static const CK_ULONG lengths[] = {0, 1, 20, 32, 33, 64, 200};

    (void)state;
    for (size_t t = 0; t < ARRAY_LEN(types); t++) {
        CK_OBJECT_HANDLE in_tpm = unit_module_secret(types[t], bytes_of(key, 32), UNIT_TOKEN);
        CK_OBJECT_HANDLE here = unit_module_secret(types[t], bytes_of(key, 32), UNIT_LEAVES);

        assert_true(unit_module_in_tpm(in_tpm) && unit_module_in_memory(here));
        for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
            const struct alg_hash *h = alg_hash_nid(hashes[i].nid);
            CK_HKDF_PARAMS p = {.bExpand = true, .prfHashMechanism = hashes[i].type};

            p.pInfo = (CK_BYTE *)(uintptr_t)info;
            p.ulInfoLen = sizeof(info);
            for (size_t k = 0; k < ARRAY_LEN(lengths); k++) {
                size_t len = lengths[k] != 0 ? lengths[k] : h->size;

                assert_int_equal(kdf_hkdf_expand(h, bytes_of(key, 32), bytes_of(info, sizeof(info)),
                                                 want, len, NULL),
                                 0);
                gives(&p, CKM_HKDF_DERIVE, in_tpm, lengths[k], len);
                gives(&p, CKM_HKDF_DERIVE, here, lengths[k], len);
                gives(&p, CKM_HKDF_DATA, in_tpm, lengths[k], len);
            }
        }
        unit_module_destroy(in_tpm);
        unit_module_destroy(here);
    }
}

static void test_a_key_that_stays_in_the_tpm_is_not_extracted_from(void **state)
{
    CK_HKDF_PARAMS p = {
        .bExtract = true, .prfHashMechanism = CKM_SHA256, .ulSaltType = CKF_HKDF_SALT_NULL};
    CK_OBJECT_HANDLE stays = unit_module_secret(CKK_HKDF, bytes_of(key, 32), UNIT_TOKEN);
    CK_OBJECT_HANDLE leaves =
        unit_module_secret(CKK_HKDF, bytes_of(key, 32), UNIT_TOKEN | UNIT_LEAVES);
    CK_OBJECT_HANDLE o = 0;

    (void)state;
    assert_int_equal(derive(&p, CKM_HKDF_DERIVE, stays, 0, &o), CKR_KEY_FUNCTION_NOT_PERMITTED);
    p.bExpand = true;
    assert_int_equal(derive(&p, CKM_HKDF_DERIVE, stays, 0, &o), CKR_KEY_FUNCTION_NOT_PERMITTED);
    assert_int_equal(derive(&p, CKM_HKDF_DATA, stays, 0, &o), CKR_KEY_FUNCTION_NOT_PERMITTED);
    /* One that may leave comes out for it. */
    assert_true(unit_module_in_tpm(leaves));
    p.bExpand = false;
    assert_int_equal(kdf_hkdf_extract(alg_hash_nid(NID_sha256), bytes_of(NULL, 0),
                                      bytes_of(key, 32), want, NULL),
                     0);
    gives(&p, CKM_HKDF_DERIVE, leaves, 0, 32);
    assert_int_equal(derive(&p, CKM_HKDF_DERIVE, leaves, 33, &o), CKR_KEY_SIZE_RANGE);
    unit_module_destroy(stays);
    unit_module_destroy(leaves);
}

static void test_the_salt_may_be_a_key_in_the_tpm(void **state)
{
    CK_OBJECT_HANDLE base = unit_module_secret(CKK_HKDF, bytes_of(key, 32), UNIT_LEAVES);
    CK_OBJECT_HANDLE salts[] = {
        unit_module_secret(CKK_GENERIC_SECRET, bytes_of(salt, sizeof(salt)), UNIT_TOKEN),
        unit_module_secret(CKK_HKDF, bytes_of(salt, sizeof(salt)), 0),
        unit_module_secret(CKK_HKDF, bytes_of(salt, sizeof(salt)), UNIT_LEAVES)};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
        const struct alg_hash *h = alg_hash_nid(hashes[i].nid);
        CK_HKDF_PARAMS p = {.bExtract = true,
                            .prfHashMechanism = hashes[i].type,
                            .ulSaltType = CKF_HKDF_SALT_KEY,
                            .pInfo = (CK_BYTE *)(uintptr_t)info,
                            .ulInfoLen = sizeof(info)};
        uint8_t prk[64];

        assert_int_equal(
            kdf_hkdf_extract(h, bytes_of(salt, sizeof(salt)), bytes_of(key, 32), prk, NULL), 0);
        for (size_t k = 0; k < ARRAY_LEN(salts); k++) {
            p.hSaltKey = salts[k];
            p.bExpand = false;
            memcpy(want, prk, h->size);
            gives(&p, CKM_HKDF_DERIVE, base, 0, h->size);
            p.bExpand = true;
            assert_int_equal(kdf_hkdf_expand(h, bytes_of(prk, h->size),
                                             bytes_of(info, sizeof(info)), want, 77, NULL),
                             0);
            gives(&p, CKM_HKDF_DERIVE, base, 77, 77);
        }
    }
    for (size_t k = 0; k < ARRAY_LEN(salts); k++)
        unit_module_destroy(salts[k]);
    unit_module_destroy(base);
}

/* 3.0, 2.62.2: a generic secret or an HKDF key. Whatever else is no salt, and says so. */
static void test_other_objects_are_no_salt(void **state)
{
    CK_ATTRIBUTE data[] = {T_NUM(CKA_CLASS, CKO_DATA), T_TEXT(CKA_VALUE, "salt")};
    CK_ATTRIBUTE derives = T_BOOL(CKA_DERIVE, true);
    CK_OBJECT_HANDLE base = unit_module_secret(CKK_HKDF, bytes_of(key, 32), UNIT_LEAVES);
    CK_HKDF_PARAMS p = {
        .bExtract = true, .prfHashMechanism = CKM_SHA256, .ulSaltType = CKF_HKDF_SALT_KEY};
    CK_OBJECT_HANDLE bad[6], o = 0;

    (void)state;
    assert_int_equal(C_CreateObject(unit_session, data, 2, &bad[0]), CKR_OK);
    assert_int_equal(unit_module_pair(CKK_EC, &derives, 1, &bad[1], &bad[2]), CKR_OK);
    bad[3] = unit_module_secret(CKK_AES, bytes_of(key, 16), UNIT_TOKEN);
    bad[4] = unit_module_secret(CKK_AES, bytes_of(key, 16), UNIT_LEAVES);
    bad[5] = unit_module_secret(CKK_SHA512_HMAC, bytes_of(key, 16), UNIT_TOKEN);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        p.hSaltKey = bad[i];
        assert_int_equal(derive(&p, CKM_HKDF_DERIVE, base, 0, &o),
                         i == 0 ? CKR_KEY_HANDLE_INVALID : CKR_KEY_TYPE_INCONSISTENT);
        unit_module_destroy(bad[i]);
    }
    p.hSaltKey = 0;
    assert_int_equal(derive(&p, CKM_HKDF_DERIVE, base, 0, &o), CKR_KEY_HANDLE_INVALID);
    unit_module_destroy(base);
}

/* --- where derived keys live --------------------------------------------------------- */

static void test_a_derived_token_key_goes_into_the_tpm(void **state)
{
    CK_HKDF_PARAMS p = {.bExpand = true, .prfHashMechanism = CKM_SHA256};
    CK_MECHANISM m = {CKM_HKDF_DERIVE, &p, sizeof(p)}, ecb = {CKM_AES_ECB, NULL, 0};
    CK_ATTRIBUTE t[] = {T_NUM(CKA_CLASS, CKO_SECRET_KEY), T_NUM(CKA_KEY_TYPE, CKK_AES),
                        T_NUM(CKA_VALUE_LEN, 16), T_BOOL(CKA_TOKEN, true)};
    CK_OBJECT_HANDLE base = unit_module_secret(CKK_HKDF, bytes_of(key, 32), UNIT_TOKEN), o[2];
    uint8_t a[600], b[600];
    size_t n = 0;

    (void)state;
    assert_int_equal(C_DeriveKey(unit_session, &m, base, t, 4, &o[0]), CKR_OK);
    /* A session key stays in memory, sensitive or not: it was there already. */
    t[3] = (CK_ATTRIBUTE)T_BOOL(CKA_TOKEN, false);
    assert_int_equal(C_DeriveKey(unit_session, &m, base, t, 4, &o[1]), CKR_OK);
    assert_true(unit_module_in_tpm(o[0]) && unit_module_in_memory(o[1]));
    assert_int_equal(unit_module_crypt(true, &ecb, o[0], bytes_of(key, 32), 0, a, &n), CKR_OK);
    assert_int_equal(unit_module_crypt(true, &ecb, o[1], bytes_of(key, 32), 0, b, &n), CKR_OK);
    assert_memory_equal(a, b, 32);
    for (size_t i = 0; i < ARRAY_LEN(o); i++) {
        assert_true(unit_module_true(o[i], CKA_SENSITIVE));
        assert_false(unit_module_true(o[i], CKA_LOCAL) || unit_module_true(o[i], CKA_EXTRACTABLE));
        /* The base came from outside. */
        assert_false(unit_module_true(o[i], CKA_ALWAYS_SENSITIVE) ||
                     unit_module_true(o[i], CKA_NEVER_EXTRACTABLE));
        unit_module_destroy(o[i]);
    }
    unit_module_destroy(base);
}

/* --- ECDH ------------------------------------------------------------------------------ */

/* OpenSSL's side: the first coordinate of d times a point in its uncompressed form. */
static void their_side(const uint8_t d[32], const uint8_t point[65], uint8_t x[32])
{
    EC_GROUP *g = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *p = EC_POINT_new(g);
    BIGNUM *n = BN_bin2bn(d, 32, NULL);
    uint8_t out[65];

    assert_int_equal(EC_POINT_oct2point(g, p, point, 65, NULL), 1);
    assert_int_equal(EC_POINT_mul(g, p, NULL, p, n, NULL), 1);
    assert_int_equal(EC_POINT_point2oct(g, p, POINT_CONVERSION_UNCOMPRESSED, out, 65, NULL), 65);
    memcpy(x, out + 1, 32);
    BN_free(n);
    EC_POINT_free(p);
    EC_GROUP_free(g);
}

static void test_both_sides_of_ecdh_agree(void **state)
{
    const struct alg_curve *c = alg_curve_named("P-256");
    CK_ATTRIBUTE derives = T_BOOL(CKA_DERIVE, true);
    uint8_t seed[40] = {5}, d[32], point[1024], bare[65] = {4}, shared[32];
    CK_ECDH1_DERIVE_PARAMS p = {CKD_NULL, 0, NULL, sizeof(bare), bare};
    CK_MECHANISM m = {CKM_ECDH1_DERIVE, &p, sizeof(p)};
    CK_ATTRIBUTE t[] = {T_BOOL(CKA_EXTRACTABLE, true), T_BOOL(CKA_SENSITIVE, false)};
    struct ecc_point peer;
    CK_OBJECT_HANDLE pub, priv, o = 0;

    (void)state;
    assert_int_equal(unit_module_pair(CKK_EC, &derives, 1, &pub, &priv), CKR_OK);
    assert_int_equal(ecc_from_seed(c, bytes_of(seed, sizeof(seed)), d, &peer, NULL), 0);
    memcpy(bare + 1, peer.x, 32);
    memcpy(bare + 33, peer.y, 32);
    assert_int_equal(unit_module_bytes(pub, CKA_EC_POINT, point), 67);
    their_side(d, point + 2, shared);
    assert_int_equal(C_DeriveKey(unit_session, &m, priv, t, 2, &o), CKR_OK);
    assert_int_equal(unit_module_bytes(o, CKA_VALUE, got), 32);
    assert_memory_equal(got, shared, 32);
    assert_true(unit_module_in_memory(o));
    unit_module_destroy(o);
    p.kdf = CKD_SHA384_KDF;
    p.pSharedData = bare;
    p.ulSharedDataLen = 20;
    assert_int_equal(kdf_x963(alg_hash_nid(NID_sha384), bytes_of(shared, 32), bytes_of(bare, 20),
                              want, 48, NULL),
                     0);
    assert_int_equal(C_DeriveKey(unit_session, &m, priv, t, 2, &o), CKR_OK);
    assert_int_equal(unit_module_bytes(o, CKA_VALUE, got), 48);
    assert_memory_equal(got, want, 48);
    unit_module_destroy(o);
    unit_module_destroy(pub);
    unit_module_destroy(priv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expansion_by_a_key_in_the_tpm),
        cmocka_unit_test(test_a_key_that_stays_in_the_tpm_is_not_extracted_from),
        cmocka_unit_test(test_the_salt_may_be_a_key_in_the_tpm),
        cmocka_unit_test(test_other_objects_are_no_salt),
        cmocka_unit_test(test_a_derived_token_key_goes_into_the_tpm),
        cmocka_unit_test(test_both_sides_of_ecdh_agree),
    };

    return cmocka_run_group_tests_name("module_derive", tests, unit_module_begin,
                                       unit_module_erase);
}
