/* Power cuts of the TPM in the middle of operations (swtpm-ci/with-tpm starts one that can be cut):
 * the result is right, or one clean error comes and the next use works. */
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/unit_module.h"
#include "tests/support/unit_tpm.h"

static const uint8_t key[32] = "the bytes of a secret, 32 long..";
static uint8_t text[3000], want[3600], got[3600];

static int begin(void **state)
{
    unit_module_fill(text, sizeof(text), 1);
    return unit_module_begin(state);
}

/* --- operations in parts --------------------------------------------------------------- */

/* Encrypts or decrypts in three parts, the power cut after the first, and before the end. */
static CK_RV crypt_over_a_cut(bool encrypt, CK_MECHANISM *m, CK_OBJECT_HANDLE o, struct bytes in,
                              size_t *len)
{
    CK_BYTE *p = (CK_BYTE *)(uintptr_t)in.p;
    size_t used = 0, at = 0;
    CK_ULONG n;
    CK_RV rv = encrypt ? C_EncryptInit(unit_session, m, o) : C_DecryptInit(unit_session, m, o);

    for (int i = 0; i < 3 && rv == CKR_OK; i++) {
        size_t step = i < 2 ? 1000 : in.len - at;

        n = (CK_ULONG)(sizeof(got) - used);
        rv = encrypt ? C_EncryptUpdate(unit_session, p + at, (CK_ULONG)step, got + used, &n)
                     : C_DecryptUpdate(unit_session, p + at, (CK_ULONG)step, got + used, &n);
        used += (size_t)n;
        at += step;
        if (i != 1)
            unit_tpm_cut();
    }
    n = (CK_ULONG)(sizeof(got) - used);
    if (rv == CKR_OK)
        rv = encrypt ? C_EncryptFinal(unit_session, got + used, &n)
                     : C_DecryptFinal(unit_session, got + used, &n);
    *len = used + (size_t)n;
    return rv;
}

static void test_ciphers_go_on_after_a_power_cut(void **state)
{
    CK_GCM_PARAMS g = {text, 12, 96, text, 100, 128};
    CK_AES_CTR_PARAMS c = {128, {1, 2, 3}};
    CK_MECHANISM m[] = {{CKM_AES_CBC_PAD, text, 16},
                        {CKM_AES_CTR, &c, sizeof(c)},
                        {CKM_AES_CFB128, text, 16},
                        {CKM_AES_GCM, &g, sizeof(g)}};

    (void)state;
    for (unsigned kind = 0; kind <= UNIT_TOKEN; kind++) {
        CK_OBJECT_HANDLE o = unit_module_secret(CKK_AES, bytes_of(key, 32), kind);

        assert_true(unit_module_in_tpm(o));
        for (size_t i = 0; i < ARRAY_LEN(m); i++) {
            size_t n = 0, len = 0;

            assert_int_equal(unit_module_crypt(true, &m[i], o, bytes_of(text, 2500), 0, want, &n),
                             CKR_OK);
            assert_int_equal(crypt_over_a_cut(true, &m[i], o, bytes_of(text, 2500), &len), CKR_OK);
            assert_true(len == n && memcmp(got, want, n) == 0);
            assert_int_equal(crypt_over_a_cut(false, &m[i], o, bytes_of(want, n), &len), CKR_OK);
            assert_true(len == 2500 && memcmp(got, text, len) == 0);
        }
        unit_module_destroy(o);
    }
}

static void test_macs_go_on_after_a_power_cut(void **state)
{
    static const CK_MECHANISM_TYPE types[] = {CKM_AES_CMAC, CKM_SHA256_HMAC};

    (void)state;
    for (unsigned k = 0; k < 4; k++) {
        CK_MECHANISM m = {types[k / 2], NULL, 0};
        CK_OBJECT_HANDLE o = unit_module_secret(k / 2 == 0 ? CKK_AES : CKK_GENERIC_SECRET,
                                                bytes_of(key, 32), k & UNIT_TOKEN);
        CK_ULONG n = sizeof(got);
        size_t len = 0;

        assert_int_equal(unit_module_sign(&m, o, bytes_of(text, 2500), 0, want, &len), CKR_OK);
        assert_int_equal(C_SignInit(unit_session, &m, o), CKR_OK);
        unit_tpm_cut();
        assert_int_equal(C_SignUpdate(unit_session, text, 1500), CKR_OK);
        unit_tpm_cut();
        assert_int_equal(C_SignUpdate(unit_session, text + 1500, 1000), CKR_OK);
        unit_tpm_cut();
        assert_int_equal(C_SignFinal(unit_session, got, &n), CKR_OK);
        assert_true(n == len && memcmp(got, want, len) == 0);
        assert_int_equal(C_VerifyInit(unit_session, &m, o), CKR_OK);
        unit_tpm_cut();
        assert_int_equal(C_Verify(unit_session, text, 2500, want, n), CKR_OK);
        unit_module_destroy(o);
    }
}

/* --- between Init and the use ------------------------------------------------------------ */

static CK_RV sign_over_a_cut(CK_OBJECT_HANDLE o)
{
    CK_MECHANISM m = {CKM_ECDSA_SHA256, NULL, 0};
    CK_ULONG n = sizeof(got);
    CK_RV rv = C_SignInit(unit_session, &m, o);

    unit_tpm_cut();
    return rv == CKR_OK ? C_Sign(unit_session, text, 100, got, &n) : rv;
}

static void test_keys_sign_after_a_power_cut(void **state)
{
    static const CK_ULONG modes[] = {CK_FUSETSU_AUTH_SESSION, CK_FUSETSU_AUTH_NONE};

    (void)state;
    for (unsigned k = 0; k < 4; k++) {
        CK_ATTRIBUTE t[] = {T_NUM(CKA_FUSETSU_AUTH_MODE, modes[k / 2]),
                            T_BOOL(CKA_TOKEN, k % 2 != 0)};
        CK_OBJECT_HANDLE pub, priv;

        assert_int_equal(unit_module_pair(CKK_EC, t, 2, &pub, &priv), CKR_OK);
        assert_int_equal(unit_module_signs(priv, pub), CKR_OK);
        assert_int_equal(sign_over_a_cut(priv), CKR_OK);
        unit_tpm_cut();
        assert_int_equal(unit_module_signs(priv, pub), CKR_OK);
        unit_module_destroy(priv);
        unit_module_destroy(pub);
    }
}

static CK_RV sign_with_pin(CK_OBJECT_HANDLE o, bool cut_before, bool cut_after)
{
    CK_MECHANISM m = {CKM_ECDSA_SHA256, NULL, 0};
    CK_UTF8CHAR pin[] = UNIT_PIN;
    CK_ULONG n = sizeof(got);
    CK_RV rv = C_SignInit(unit_session, &m, o);

    if (rv != CKR_OK)
        return rv;
    if (cut_before)
        unit_tpm_cut();
    rv = C_Login(unit_session, CKU_CONTEXT_SPECIFIC, pin, UNIT_LEN(UNIT_PIN));
    if (rv != CKR_OK) {
        assert_int_equal(C_SignInit(unit_session, NULL, 0), CKR_OK);
        return rv;
    }
    if (cut_after)
        unit_tpm_cut();
    return C_Sign(unit_session, text, 100, got, &n);
}

/* The proof lies in the TPM, and goes with its power: nobody proves anything again by himself. */
static void test_a_proof_is_gone_after_a_power_cut(void **state)
{
    CK_MECHANISM m = {CKM_ECDSA_SHA256, NULL, 0};
    CK_UTF8CHAR pin[] = UNIT_PIN;
    CK_TOKEN_INFO info;
    CK_SESSION_INFO si;

    (void)state;
    for (int token = 0; token < 2; token++) {
        CK_ATTRIBUTE t[] = {T_NUM(CKA_FUSETSU_AUTH_MODE, CK_FUSETSU_AUTH_EACH),
                            T_BOOL(CKA_TOKEN, token != 0)};
        CK_OBJECT_HANDLE pub, priv;
        CK_RV rv;

        assert_int_equal(unit_module_pair(CKK_EC, t, 2, &pub, &priv), CKR_OK);
        assert_int_equal(sign_with_pin(priv, false, false), CKR_OK);
        assert_int_equal(sign_with_pin(priv, false, true), CKR_DEVICE_REMOVED);
        assert_int_equal(sign_with_pin(priv, false, false), CKR_OK);
        /* A PIN is never sent twice: one clean error at most. */
        rv = sign_with_pin(priv, true, false);
        assert_true(rv == CKR_OK || rv == CKR_DEVICE_REMOVED || rv == CKR_DEVICE_ERROR);
        assert_int_equal(sign_with_pin(priv, false, false), CKR_OK);
        /* One that is thrown away unused. */
        assert_int_equal(C_SignInit(unit_session, &m, priv), CKR_OK);
        assert_int_equal(C_Login(unit_session, CKU_CONTEXT_SPECIFIC, pin, UNIT_LEN(UNIT_PIN)),
                         CKR_OK);
        unit_tpm_cut();
        assert_int_equal(C_SignInit(unit_session, NULL, 0), CKR_OK);
        assert_int_equal(sign_with_pin(priv, false, false), CKR_OK);
        unit_module_destroy(priv);
        unit_module_destroy(pub);
    }
    assert_int_equal(C_GetSessionInfo(unit_session, &si), CKR_OK);
    assert_int_equal(si.state, CKS_RW_USER_FUNCTIONS);
    assert_int_equal(C_GetTokenInfo(si.slotID, &info), CKR_OK);
    assert_int_equal(info.flags & CKF_USER_PIN_COUNT_LOW, 0);
}

/* --- other calls ------------------------------------------------------------------------- */

static void test_keys_are_made_moved_and_derived_after_a_power_cut(void **state)
{
    CK_HKDF_PARAMS p = {.bExpand = true, .prfHashMechanism = CKM_SHA256};
    CK_MECHANISM hkdf = {CKM_HKDF_DERIVE, &p, sizeof(p)}, kwp = {CKM_AES_KEY_WRAP_KWP, NULL, 0},
                 gen = {CKM_AES_KEY_GEN, NULL, 0};
    CK_ATTRIBUTE t[] = {T_NUM(CKA_CLASS, CKO_SECRET_KEY), T_NUM(CKA_KEY_TYPE, CKK_AES),
                        T_BOOL(CKA_TOKEN, true)};
    CK_ATTRIBUTE g[] = {T_NUM(CKA_VALUE_LEN, 16), T_BOOL(CKA_TOKEN, true)};
    CK_OBJECT_HANDLE base = unit_module_secret(CKK_HKDF, bytes_of(key, 32), UNIT_TOKEN), o[6];
    uint8_t a[1024], b[1024];
    CK_ULONG n = sizeof(got);

    (void)state;
    assert_int_equal(C_DeriveKey(unit_session, &hkdf, base, NULL, 0, &o[0]), CKR_OK);
    unit_tpm_cut();
    assert_int_equal(C_DeriveKey(unit_session, &hkdf, base, NULL, 0, &o[1]), CKR_OK);
    assert_int_equal(unit_module_bytes(o[0], CKA_CHECK_VALUE, a),
                     unit_module_bytes(o[1], CKA_CHECK_VALUE, b));
    assert_memory_equal(a, b, 3);
    unit_tpm_cut();
    assert_int_equal(C_GenerateKey(unit_session, &gen, g, 2, &o[2]), CKR_OK);
    unit_tpm_cut();
    o[3] = unit_module_secret(CKK_AES, bytes_of(key, 16), UNIT_TOKEN);
    o[4] = unit_module_secret(CKK_AES, bytes_of(key, 16), UNIT_TOKEN | UNIT_LEAVES | UNIT_SHOWN);
    unit_tpm_cut();
    assert_int_equal(unit_module_bytes(o[4], CKA_VALUE, a), 16);
    unit_tpm_cut();
    assert_int_equal(C_WrapKey(unit_session, &kwp, o[3], o[4], got, &n), CKR_OK);
    unit_tpm_cut();
    assert_int_equal(C_UnwrapKey(unit_session, &kwp, o[3], got, n, t, 3, &o[5]), CKR_OK);
    unit_tpm_cut();
    for (size_t i = 0; i < ARRAY_LEN(o); i++)
        unit_module_destroy(o[i]);
    unit_module_destroy(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ciphers_go_on_after_a_power_cut),
        cmocka_unit_test(test_macs_go_on_after_a_power_cut),
        cmocka_unit_test(test_keys_sign_after_a_power_cut),
        cmocka_unit_test(test_a_proof_is_gone_after_a_power_cut),
        cmocka_unit_test(test_keys_are_made_moved_and_derived_after_a_power_cut),
    };

    return cmocka_run_group_tests_name("module_recover", tests, begin, unit_module_erase);
}
