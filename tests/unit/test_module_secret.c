/* Secret keys (swtpm-ci/with-tpm starts a TPM): where they live, how they leave, and what is
 * derived from them and wrapped by them. */
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/obj_mac.h>

#include "core/hash.h"
#include "core/hmac.h"
#include "core/kdf.h"
#include "core/pkcs8.h"
#include "tests/support/unit_module.h"
#include "tests/support/unit_tpm.h"

static const uint8_t key[32] = "the bytes of a secret, 32 long..";
static const struct bytes aes = {key, 16};

static CK_RV generate(CK_MECHANISM_TYPE type, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *o)
{
    CK_MECHANISM m = {type, NULL, 0};

    return C_GenerateKey(unit_session, &m, t, n, o);
}

static CK_OBJECT_HANDLE generated(CK_MECHANISM_TYPE type, unsigned kind, CK_ULONG len)
{
    CK_ATTRIBUTE t[] = {T_BOOL(CKA_TOKEN, (kind & UNIT_TOKEN) != 0),
                        T_BOOL(CKA_EXTRACTABLE, (kind & UNIT_LEAVES) != 0),
                        T_BOOL(CKA_SENSITIVE, (kind & UNIT_SHOWN) == 0),
                        T_BOOL(CKA_ENCRYPT, type == CKM_AES_KEY_GEN),
                        T_BOOL(CKA_DECRYPT, type == CKM_AES_KEY_GEN),
                        T_BOOL(CKA_SIGN, type != CKM_AES_KEY_GEN),
                        T_BOOL(CKA_VERIFY, type != CKM_AES_KEY_GEN),
                        T_BOOL(CKA_DERIVE, true),
                        T_BOOL(CKA_WRAP, true),
                        T_BOOL(CKA_UNWRAP, true),
                        T_NUM(CKA_VALUE_LEN, len)};
    CK_OBJECT_HANDLE o = 0;

    assert_int_equal(generate(type, t, ARRAY_LEN(t), &o), CKR_OK);
    return o;
}

/* --- where they live -------------------------------------------------------------- */

static void test_where_a_secret_key_lives(void **state)
{
    static const struct {
        unsigned kind;
        bool in_tpm;
    } t[] = {
        {UNIT_TOKEN, true},
        {UNIT_TOKEN | UNIT_LEAVES, true},
        {UNIT_TOKEN | UNIT_SHOWN, true},
        {UNIT_TOKEN | UNIT_LEAVES | UNIT_SHOWN, true},
        {0, true},
        {UNIT_LEAVES, false},
        {UNIT_SHOWN, false},
        {UNIT_LEAVES | UNIT_SHOWN, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        CK_OBJECT_HANDLE o[] = {
            unit_module_secret(CKK_AES, aes, t[i].kind),
            unit_module_secret(CKK_GENERIC_SECRET, bytes_of(key, 20), t[i].kind),
            unit_module_secret(CKK_SHA256_HMAC, bytes_of(key, 32), t[i].kind),
            unit_module_secret(CKK_HKDF, bytes_of(key, 1), t[i].kind),
            generated(CKM_AES_KEY_GEN, t[i].kind, 32),
            generated(CKM_GENERIC_SECRET_KEY_GEN, t[i].kind, 17),
            generated(CKM_GENERIC_SECRET_KEY_GEN, t[i].kind, 32),
            generated(CKM_SHA384_KEY_GEN, t[i].kind, 48),
            generated(CKM_HKDF_KEY_GEN, t[i].kind, 100),
        };

        for (size_t k = 0; k < ARRAY_LEN(o); k++) {
            bool made = k >= 4;

            assert_int_equal(unit_module_in_tpm(o[k]), t[i].in_tpm);
            assert_int_equal(unit_module_in_memory(o[k]), !t[i].in_tpm);
            assert_int_equal(unit_module_true(o[k], CKA_LOCAL), made);
            assert_int_equal(unit_module_true(o[k], CKA_ALWAYS_SENSITIVE),
                             made && (t[i].kind & UNIT_SHOWN) == 0);
            assert_int_equal(unit_module_true(o[k], CKA_NEVER_EXTRACTABLE),
                             made && (t[i].kind & UNIT_LEAVES) == 0);
            unit_module_destroy(o[k]);
        }
    }
}

/* The TPM holds 128 bytes (MAX_SYM_DATA), memory more. */
static void test_what_does_not_fit_the_tpm(void **state)
{
    uint8_t large[129];
    CK_ATTRIBUTE t[] = {T_NUM(CKA_CLASS, CKO_SECRET_KEY), T_NUM(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
                        T_BYTES(CKA_VALUE, large, sizeof(large)), T_BOOL(CKA_TOKEN, true)};
    CK_OBJECT_HANDLE o;

    (void)state;
    unit_module_fill(large, sizeof(large), 7);
    assert_int_equal(C_CreateObject(unit_session, t, 4, &o), CKR_ATTRIBUTE_VALUE_INVALID);
    o = unit_module_secret(CKK_GENERIC_SECRET, bytes_of(large, sizeof(large)), 0);
    assert_true(unit_module_in_memory(o));
    assert_true(unit_module_true(o, CKA_SENSITIVE));
    unit_module_destroy(o);
    o = unit_module_secret(CKK_GENERIC_SECRET, bytes_of(large, 128), UNIT_TOKEN);
    assert_true(unit_module_in_tpm(o));
    unit_module_destroy(o);
}

static int lacks_aes(void)
{
    CK_ATTRIBUTE t[] = {T_NUM(CKA_VALUE_LEN, 16), T_BOOL(CKA_TOKEN, true)}, shown;
    CK_MECHANISM gen = {CKM_AES_KEY_GEN, NULL, 0}, ecb = {CKM_AES_ECB, NULL, 0};
    CK_ATTRIBUTE made[] = {T_NUM(CKA_CLASS, CKO_SECRET_KEY), T_NUM(CKA_KEY_TYPE, CKK_AES),
                           T_BYTES(CKA_VALUE, key, 16), T_BOOL(CKA_TOKEN, true)};
    CK_OBJECT_HANDLE o[2];
    uint8_t out[64];
    size_t len = 0;

    CHILD_MUST(unit_module_login(unit_session) == CKR_OK, NULL);
    CHILD_MUST(C_GenerateKey(unit_session, &gen, t, 2, &o[0]) == CKR_KEY_SIZE_RANGE, NULL);
    CHILD_MUST(C_CreateObject(unit_session, made, 4, &o[0]) == CKR_KEY_SIZE_RANGE, NULL);
    CHILD_MUST(unit_module_count(unit_session, made, 2) == 0, NULL);
    CHILD_MUST(C_GenerateKey(unit_session, &gen, t, 1, &o[0]) == CKR_OK, NULL);
    CHILD_MUST(C_CreateObject(unit_session, made, 3, &o[1]) == CKR_OK, NULL);
    for (size_t i = 0; i < ARRAY_LEN(o); i++) {
        CHILD_MUST(unit_module_in_memory(o[i]), NULL);
        CHILD_MUST(unit_module_true(o[i], CKA_SENSITIVE), NULL);
        CHILD_MUST(unit_module_true(o[i], CKA_NEVER_EXTRACTABLE) == (i == 0), NULL);
        shown = (CK_ATTRIBUTE){CKA_VALUE, out, sizeof(out)};
        CHILD_MUST(C_GetAttributeValue(unit_session, o[i], &shown, 1) == CKR_ATTRIBUTE_SENSITIVE,
                   NULL);
        CHILD_MUST(unit_module_crypt(true, &ecb, o[i], bytes_of(key, 32), 0, out, &len) == CKR_OK,
                   NULL);
    }
    return 0;
}

static void test_a_tpm_without_aes_leaves_session_keys_in_memory(void **state)
{
    (void)state;
    /* TPM_RC_SYMMETRIC, parameter 1. */
    unit_module_in_child("0x1d6", "TestParms", lacks_aes);
}

static int has_the_older_command_only(void)
{
    CK_MECHANISM gen = {CKM_AES_KEY_GEN, NULL, 0}, cbc = {CKM_AES_CBC, (void *)(uintptr_t)key, 16};
    CK_ATTRIBUTE t[] = {T_NUM(CKA_VALUE_LEN, 16)}, kcv = {CKA_CHECK_VALUE, NULL, 0};
    CK_OBJECT_HANDLE o;
    uint8_t out[1024];
    size_t len = 0;

    CHILD_MUST(unit_module_login(unit_session) == CKR_OK, NULL);
    CHILD_MUST(C_GenerateKey(unit_session, &gen, t, 1, &o) == CKR_OK, NULL);
    CHILD_MUST(unit_module_in_tpm(o), NULL);
    /* It would have to be made by encryption. */
    CHILD_MUST(C_GetAttributeValue(unit_session, o, &kcv, 1) == CKR_ATTRIBUTE_TYPE_INVALID, NULL);
    CHILD_MUST(unit_module_crypt(false, &cbc, o, bytes_of(key, 32), 0, out, &len) == CKR_OK, NULL);
    CHILD_MUST(unit_module_crypt(true, &cbc, o, bytes_of(key, 32), 0, out, &len) ==
                   CKR_KEY_FUNCTION_NOT_PERMITTED,
               NULL);
    return 0;
}

static void test_a_tpm_with_the_older_command_decrypts(void **state)
{
    (void)state;
    /* TPM_RC_COMMAND_CODE */
    unit_module_in_child("0x143", "EncryptDecrypt2", has_the_older_command_only);
}

static void test_without_login_public_session_secrets_live_in_memory(void **state)
{
    CK_ATTRIBUTE t[] = {T_BOOL(CKA_PRIVATE, false), T_NUM(CKA_VALUE_LEN, 16),
                        T_BOOL(CKA_TOKEN, true)};
    CK_OBJECT_HANDLE o;

    (void)state;
    assert_int_equal(generate(CKM_AES_KEY_GEN, t, 2, &o), CKR_OK);
    assert_true(unit_module_in_tpm(o));
    unit_module_destroy(o);
    assert_int_equal(C_Logout(unit_session), CKR_OK);
    assert_int_equal(generate(CKM_AES_KEY_GEN, t, 2, &o), CKR_OK);
    assert_true(unit_module_in_memory(o));
    unit_module_destroy(o);
    assert_int_equal(generate(CKM_AES_KEY_GEN, t, 3, &o), CKR_USER_NOT_LOGGED_IN);
    t[0] = (CK_ATTRIBUTE)T_BOOL(CKA_PRIVATE, true);
    assert_int_equal(generate(CKM_AES_KEY_GEN, t, 2, &o), CKR_USER_NOT_LOGGED_IN);
    assert_int_equal(unit_module_login(unit_session), CKR_OK);
}

/* --- check values ---------------------------------------------------------------------- */

static void test_check_values(void **state)
{
    static const uint8_t zeros[16];
    CK_MECHANISM ecb = {CKM_AES_ECB, NULL, 0};
    uint8_t sha1[20], kcv[1024], block[600];
    size_t len = 0;

    (void)state;
    assert_int_equal(hash_digest(alg_hash_nid(NID_sha1), bytes_of(key, 20), sha1, NULL), 0);
    for (unsigned kind = 0; kind < 8; kind++) {
        CK_OBJECT_HANDLE o[] = {unit_module_secret(CKK_AES, aes, kind),
                                generated(CKM_AES_KEY_GEN, kind, 32),
                                unit_module_secret(CKK_GENERIC_SECRET, bytes_of(key, 20), kind)};

        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(
                unit_module_crypt(true, &ecb, o[i], bytes_of(zeros, 16), 0, block, &len), CKR_OK);
            assert_int_equal(unit_module_bytes(o[i], CKA_CHECK_VALUE, kcv), 3);
            assert_memory_equal(kcv, block, 3);
        }
        assert_int_equal(unit_module_bytes(o[2], CKA_CHECK_VALUE, kcv), 3);
        assert_memory_equal(kcv, sha1, 3);
        for (size_t i = 0; i < ARRAY_LEN(o); i++)
            unit_module_destroy(o[i]);
    }
}

static void test_a_check_value_that_was_given_is_checked(void **state)
{
    uint8_t kcv[1024];
    CK_ATTRIBUTE t[] = {T_NUM(CKA_CLASS, CKO_SECRET_KEY), T_NUM(CKA_KEY_TYPE, CKK_AES),
                        T_BYTES(CKA_VALUE, key, 16), T_BYTES(CKA_CHECK_VALUE, kcv, 3),
                        T_BOOL(CKA_TOKEN, true)};
    CK_OBJECT_HANDLE o = unit_module_secret(CKK_AES, aes, 0);
    CK_ULONG before;

    (void)state;
    assert_int_equal(unit_module_bytes(o, CKA_CHECK_VALUE, kcv), 3);
    unit_module_destroy(o);
    before = unit_module_count(unit_session, t, 2);
    assert_int_equal(C_CreateObject(unit_session, t, 5, &o), CKR_OK);
    unit_module_destroy(o);
    kcv[2] ^= 1;
    assert_int_equal(C_CreateObject(unit_session, t, 5, &o), CKR_ATTRIBUTE_VALUE_INVALID);
    t[3].ulValueLen = 2;
    assert_int_equal(C_CreateObject(unit_session, t, 5, &o), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(unit_module_count(unit_session, t, 2), before);
    /* An empty one: none is wanted. */
    t[3].ulValueLen = 0;
    assert_int_equal(C_CreateObject(unit_session, t, 5, &o), CKR_OK);
    assert_int_equal(unit_module_bytes(o, CKA_CHECK_VALUE, kcv), 0);
    unit_module_destroy(o);
}

/* --- how they leave ------------------------------------------------------------------- */

static void test_a_token_key_that_may_leave_shows_its_value(void **state)
{
    static const struct {
        CK_KEY_TYPE type;
        size_t len;
    } t[] = {{CKK_AES, 16},           {CKK_AES, 32},
             {CKK_GENERIC_SECRET, 1}, {CKK_GENERIC_SECRET, 128},
             {CKK_SHA256_HMAC, 32},   {CKK_SHA256_HMAC, 64},
             {CKK_SHA256_HMAC, 65},   {CKK_SHA_1_HMAC, 100},
             {CKK_SHA512_HMAC, 128}};
    uint8_t value[128], shown[1024];

    (void)state;
    unit_module_fill(value, sizeof(value), 5);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        CK_OBJECT_HANDLE o = unit_module_secret(t[i].type, bytes_of(value, t[i].len),
                                                UNIT_TOKEN | UNIT_LEAVES | UNIT_SHOWN);
        CK_ATTRIBUTE a[] = {{CKA_VALUE, NULL, 0}, {CKA_VALUE_LEN, NULL, 0}};

        assert_true(unit_module_in_tpm(o));
        assert_int_equal(C_GetAttributeValue(unit_session, o, a, 2), CKR_OK);
        assert_int_equal(a[0].ulValueLen, t[i].len);
        a[0].pValue = shown;
        a[0].ulValueLen = (CK_ULONG)t[i].len - 1;
        assert_int_equal(C_GetAttributeValue(unit_session, o, a, 2), CKR_BUFFER_TOO_SMALL);
        assert_true(a[0].ulValueLen == CK_UNAVAILABLE_INFORMATION);
        assert_int_equal(unit_module_bytes(o, CKA_VALUE, shown), t[i].len);
        assert_memory_equal(shown, value, t[i].len);
        /* Still there, and not kept here. */
        assert_true(unit_module_in_tpm(o));
        unit_module_destroy(o);
    }
}

static void test_sensitive_keys_and_those_that_stay_show_nothing(void **state)
{
    static const unsigned kinds[] = {0, UNIT_LEAVES, UNIT_SHOWN};
    uint8_t shown[64];

    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(kinds); i++) {
        CK_OBJECT_HANDLE o = unit_module_secret(CKK_AES, aes, kinds[i / 2] | (i & UNIT_TOKEN));
        CK_ATTRIBUTE a[] = {{CKA_VALUE, shown, sizeof(shown)}, {CKA_VALUE_LEN, NULL, 0}};

        assert_int_equal(C_GetAttributeValue(unit_session, o, a, 2), CKR_ATTRIBUTE_SENSITIVE);
        assert_true(a[0].ulValueLen == CK_UNAVAILABLE_INFORMATION);
        assert_true(a[1].ulValueLen == sizeof(CK_ULONG));
        unit_module_destroy(o);
    }
}

static CK_RV wrap(CK_MECHANISM *m, CK_OBJECT_HANDLE by, CK_OBJECT_HANDLE what, uint8_t *out,
                  CK_ULONG *len)
{
    *len = 4096;
    return C_WrapKey(unit_session, m, by, what, out, len);
}

/* RFC 3394, 4.1 and RFC 5649, 6: by every key in every place. */
static void test_key_wrap_by_a_key_in_the_tpm(void **state)
{
    static const uint8_t kek[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    static const uint8_t data[] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                   0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    static const uint8_t wrapped[] = {0x1f, 0xa6, 0x8b, 0x0a, 0x81, 0x12, 0xb4, 0x47,
                                      0xae, 0xf3, 0x4b, 0xd8, 0xfb, 0x5a, 0x7b, 0x82,
                                      0x9d, 0x3e, 0x86, 0x23, 0x71, 0xd2, 0xcf, 0xe5};
    static const uint8_t kek_pad[] = {0x58, 0x40, 0xdf, 0x6e, 0x29, 0xb0, 0x2a, 0xf1,
                                      0xab, 0x49, 0x3b, 0x70, 0x5b, 0xf1, 0x6e, 0xa1,
                                      0xae, 0x83, 0x38, 0xf4, 0xdc, 0xc1, 0x76, 0xa8};
    static const uint8_t data_pad[] = {0xc3, 0x7b, 0x7e, 0x64, 0x92, 0x58, 0x43, 0x40, 0xbe, 0xd1,
                                       0x22, 0x07, 0x80, 0x89, 0x41, 0x15, 0x50, 0x68, 0xf7, 0x38};
    static const uint8_t wrapped_pad[] = {0x13, 0x8b, 0xde, 0xaa, 0x9b, 0x8f, 0xa7, 0xfc,
                                          0x61, 0xf9, 0x77, 0x42, 0xe7, 0x22, 0x48, 0xee,
                                          0x5a, 0xe6, 0xae, 0x53, 0x60, 0xd1, 0xae, 0x6a,
                                          0x5f, 0x54, 0xf3, 0x73, 0xfa, 0x54, 0x3b, 0x6a};
    static const struct {
        CK_MECHANISM_TYPE type;
        struct bytes kek, data, wrapped;
    } t[] = {
        {CKM_AES_KEY_WRAP, {kek, sizeof(kek)}, {data, sizeof(data)}, {wrapped, sizeof(wrapped)}},
        {CKM_AES_KEY_WRAP_KWP,
         {kek_pad, sizeof(kek_pad)},
         {data_pad, sizeof(data_pad)},
         {wrapped_pad, sizeof(wrapped_pad)}},
    };
    uint8_t out[4096];
    CK_ULONG len;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        CK_MECHANISM m = {t[i].type, NULL, 0};
        /* Not every TPM has AES-192. */
        unsigned where = t[i].kek.len == 24 ? UNIT_LEAVES : UNIT_TOKEN;

        for (unsigned kind = 0; kind < 2; kind++) {
            CK_OBJECT_HANDLE by =
                unit_module_secret(CKK_AES, t[i].kek, kind == 0 ? where : UNIT_LEAVES);
            CK_OBJECT_HANDLE what = unit_module_secret(CKK_GENERIC_SECRET, t[i].data,
                                                       UNIT_TOKEN | UNIT_LEAVES),
                             again = 0;
            CK_ATTRIBUTE tmpl[] = {T_NUM(CKA_CLASS, CKO_SECRET_KEY),
                                   T_NUM(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
                                   T_BOOL(CKA_SENSITIVE, false)};
            uint8_t shown[1024];

            assert_int_equal(wrap(&m, by, what, NULL, &len), CKR_OK);
            assert_int_equal(len, t[i].wrapped.len);
            assert_int_equal(wrap(&m, by, what, out, &len), CKR_OK);
            assert_true(bytes_equal(bytes_of(out, len), t[i].wrapped));
            assert_int_equal(C_UnwrapKey(unit_session, &m, by, out, len, tmpl, 3, &again), CKR_OK);
            assert_int_equal(unit_module_bytes(again, CKA_VALUE, shown), t[i].data.len);
            assert_memory_equal(shown, t[i].data.p, t[i].data.len);
            out[len - 1] ^= 1;
            assert_int_equal(C_UnwrapKey(unit_session, &m, by, out, len, tmpl, 3, &again),
                             CKR_WRAPPED_KEY_INVALID);
            unit_module_destroy(again);
            unit_module_destroy(what);
            unit_module_destroy(by);
        }
    }
}

static void test_an_unwrapped_token_key_goes_into_the_tpm(void **state)
{
    CK_MECHANISM m = {CKM_AES_KEY_WRAP_KWP, NULL, 0}, ecb = {CKM_AES_ECB, NULL, 0};
    CK_OBJECT_HANDLE by = generated(CKM_AES_KEY_GEN, UNIT_TOKEN, 32);
    CK_OBJECT_HANDLE what = generated(CKM_AES_KEY_GEN, UNIT_TOKEN | UNIT_LEAVES, 32), again = 0;
    CK_ATTRIBUTE t[] = {T_NUM(CKA_CLASS, CKO_SECRET_KEY), T_NUM(CKA_KEY_TYPE, CKK_AES),
                        T_BOOL(CKA_TOKEN, true), T_BOOL(CKA_EXTRACTABLE, false)};
    uint8_t out[4096], a[600], b[600];
    size_t n = 0;
    CK_ULONG len;

    (void)state;
    assert_int_equal(wrap(&m, by, what, out, &len), CKR_OK);
    assert_int_equal(C_UnwrapKey(unit_session, &m, by, out, len, t, 4, &again), CKR_OK);
    assert_true(unit_module_in_tpm(again));
    assert_false(unit_module_true(again, CKA_LOCAL) ||
                 unit_module_true(again, CKA_NEVER_EXTRACTABLE) ||
                 unit_module_true(again, CKA_ALWAYS_SENSITIVE));
    assert_int_equal(unit_module_number(again, CKA_VALUE_LEN), 32);
    assert_int_equal(unit_module_crypt(true, &ecb, what, bytes_of(key, 32), 0, a, &n), CKR_OK);
    assert_int_equal(unit_module_crypt(true, &ecb, again, bytes_of(key, 32), 0, b, &n), CKR_OK);
    assert_memory_equal(a, b, 32);
    assert_int_equal(wrap(&m, by, again, out, &len), CKR_KEY_UNEXTRACTABLE);
    unit_module_destroy(again);
    unit_module_destroy(what);
    unit_module_destroy(by);
}

/* --- private keys ---------------------------------------------------------------------- */

static void round_trip(CK_KEY_TYPE type, CK_MECHANISM *m, CK_OBJECT_HANDLE by, bool token)
{
    CK_ATTRIBUTE leaves = T_BOOL(CKA_EXTRACTABLE, true);
    CK_ATTRIBUTE t[] = {T_NUM(CKA_CLASS, CKO_PRIVATE_KEY), T_NUM(CKA_KEY_TYPE, type),
                        T_BOOL(CKA_TOKEN, token), T_TEXT(CKA_LABEL, "came back")};
    bool one = m->mechanism == CKM_AES_CBC_PAD;
    CK_OBJECT_HANDLE pub = 0, priv = 0, again = 0;
    uint8_t out[4096], before[1024], after[1024];
    size_t len_spki;
    CK_ULONG len;

    assert_int_equal(unit_module_pair(type, &leaves, 1, &pub, &priv), CKR_OK);
    len_spki = unit_module_bytes(priv, CKA_PUBLIC_KEY_INFO, before);
    assert_int_equal(wrap(m, by, priv, out, &len), CKR_OK);
    unit_module_destroy(priv);
    assert_int_equal(C_UnwrapKey(unit_session, m, by, out, len, t, 4, &again), CKR_OK);
    assert_true(unit_module_in_tpm(again));
    assert_int_equal(unit_module_signs(again, pub), CKR_OK);
    assert_int_equal(unit_module_bytes(again, CKA_PUBLIC_KEY_INFO, after), len_spki);
    assert_memory_equal(before, after, len_spki);
    assert_true(unit_module_true(again, CKA_SENSITIVE) && unit_module_true(again, CKA_EXTRACTABLE));
    assert_false(unit_module_true(again, CKA_LOCAL) ||
                 unit_module_true(again, CKA_ALWAYS_SENSITIVE));
    /* It may leave again, as it came. */
    assert_int_equal(wrap(m, by, again, out, &len), CKR_OK);
    unit_module_destroy(again);
    /* A key of the other type is not what came. What anybody can make a ciphertext for does
     * not tell what was wrong. */
    t[1] = (CK_ATTRIBUTE)T_NUM(CKA_KEY_TYPE, type == CKK_RSA ? CKK_EC : CKK_RSA);
    assert_int_equal(C_UnwrapKey(unit_session, m, by, out, len, t, 4, &again),
                     one ? CKR_WRAPPED_KEY_INVALID : CKR_TEMPLATE_INCONSISTENT);
    /* Nor is it a secret of the size of an AES key. */
    t[0] = (CK_ATTRIBUTE)T_NUM(CKA_CLASS, CKO_SECRET_KEY);
    t[1] = (CK_ATTRIBUTE)T_NUM(CKA_KEY_TYPE, CKK_AES);
    assert_int_equal(C_UnwrapKey(unit_session, m, by, out, len, t, 4, &again),
                     one ? CKR_WRAPPED_KEY_INVALID : CKR_KEY_SIZE_RANGE);
    unit_module_destroy(pub);
}

static void test_private_keys_leave_as_pkcs8_and_come_back(void **state)
{
    uint8_t iv[16] = {7};
    CK_MECHANISM kwp = {CKM_AES_KEY_WRAP_KWP, NULL, 0}, cbc = {CKM_AES_CBC_PAD, iv, sizeof(iv)};
    CK_OBJECT_HANDLE by = generated(CKM_AES_KEY_GEN, UNIT_TOKEN, 32);

    (void)state;
    round_trip(CKK_EC, &kwp, by, true);
    round_trip(CKK_EC, &cbc, by, false);
    round_trip(CKK_RSA, &kwp, by, false);
    round_trip(CKK_RSA, &cbc, by, true);
    unit_module_destroy(by);
}

static void test_what_is_no_private_key_is_not_taken_for_one(void **state)
{
    CK_MECHANISM m = {CKM_AES_KEY_WRAP_KWP, NULL, 0};
    CK_OBJECT_HANDLE by = generated(CKM_AES_KEY_GEN, 0, 16), o = 0;
    CK_OBJECT_HANDLE what = generated(CKM_GENERIC_SECRET_KEY_GEN, UNIT_LEAVES, 100);
    CK_ATTRIBUTE t[] = {T_NUM(CKA_CLASS, CKO_PRIVATE_KEY), T_NUM(CKA_KEY_TYPE, CKK_EC)};
    uint8_t out[4096];
    CK_ULONG len;

    (void)state;
    assert_int_equal(wrap(&m, by, what, out, &len), CKR_OK);
    assert_int_equal(C_UnwrapKey(unit_session, &m, by, out, len, t, 2, &o),
                     CKR_WRAPPED_KEY_INVALID);
    assert_int_equal(C_UnwrapKey(unit_session, &m, by, out, len, t, 1, &o),
                     CKR_TEMPLATE_INCOMPLETE);
    unit_module_destroy(by);
    unit_module_destroy(what);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where_a_secret_key_lives),
        cmocka_unit_test(test_what_does_not_fit_the_tpm),
        cmocka_unit_test(test_a_tpm_without_aes_leaves_session_keys_in_memory),
        cmocka_unit_test(test_a_tpm_with_the_older_command_decrypts),
        cmocka_unit_test(test_without_login_public_session_secrets_live_in_memory),
        cmocka_unit_test(test_check_values),
        cmocka_unit_test(test_a_check_value_that_was_given_is_checked),
        cmocka_unit_test(test_a_token_key_that_may_leave_shows_its_value),
        cmocka_unit_test(test_sensitive_keys_and_those_that_stay_show_nothing),
        cmocka_unit_test(test_key_wrap_by_a_key_in_the_tpm),
        cmocka_unit_test(test_an_unwrapped_token_key_goes_into_the_tpm),
        cmocka_unit_test(test_private_keys_leave_as_pkcs8_and_come_back),
        cmocka_unit_test(test_what_is_no_private_key_is_not_taken_for_one),
    };

    return cmocka_run_group_tests_name("module_secret", tests, unit_module_begin,
                                       unit_module_erase);
}
