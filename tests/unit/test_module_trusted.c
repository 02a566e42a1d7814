/* CKA_TRUSTED (swtpm-ci/with-tpm starts a TPM): the SO says it, of objects of the user's and of objects
 * of its own, and it counts after the user's next login. */
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "pkcs11/inprocess.h"
#include "tests/support/unit_module.h"

static const uint8_t key[16] = "16 secret bytes.";

static void officer(void)
{
    assert_int_equal(C_Logout(unit_session), CKR_OK);
    assert_int_equal(
        C_Login(unit_session, CKU_SO, (CK_UTF8CHAR *)UNIT_SO_PIN, UNIT_LEN(UNIT_SO_PIN)), CKR_OK);
}

static void user(void)
{
    assert_int_equal(C_Logout(unit_session), CKR_OK);
    assert_int_equal(unit_module_login(unit_session), CKR_OK);
}

static CK_RV say(CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type, bool value)
{
    CK_ATTRIBUTE a = T_BOOL(type, value);

    return C_SetAttributeValue(unit_session, o, &a, 1);
}

/* DER of a certificate of nobody's. */
static CK_ULONG certificate(uint8_t out[1024])
{
    EVP_PKEY *k = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    unsigned char *p = out;
    int len;

    assert_non_null(k);
    assert_non_null(x);
    assert_int_equal(X509_set_pubkey(x, k), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), 60));
    assert_true(X509_sign(x, k, EVP_sha256()) > 0);
    len = i2d_X509(x, NULL);
    assert_in_range(len, 1, 1024);
    assert_int_equal(i2d_X509(x, &p), len);
    X509_free(x);
    EVP_PKEY_free(k);
    return (CK_ULONG)len;
}

static CK_RV put(const char *label, bool trusted)
{
    uint8_t der[1024];
    CK_ULONG len = certificate(der);
    CK_ATTRIBUTE t[] = {
        T_NUM(CKA_CLASS, CKO_CERTIFICATE), T_NUM(CKA_CERTIFICATE_TYPE, CKC_X_509),
        T_BOOL(CKA_TOKEN, true),           T_TEXT(CKA_LABEL, label),
        T_BYTES(CKA_VALUE, der, len),      T_BOOL(CKA_TRUSTED, trusted),
    };
    CK_OBJECT_HANDLE o = 0;

    return C_CreateObject(unit_session, t, ARRAY_LEN(t), &o);
}

static CK_OBJECT_HANDLE cert(const char *label)
{
    return unit_module_find(CKO_CERTIFICATE, label);
}

static void test_the_so_trusts_certificates(void **state)
{
    CK_ATTRIBUTE label = T_TEXT(CKA_LABEL, "changed");
    CK_OBJECT_HANDLE o;

    (void)state;
    assert_int_equal(put("users", true), CKR_ATTRIBUTE_READ_ONLY);
    assert_int_equal(put("users", false), CKR_OK);
    assert_int_equal(say(cert("users"), CKA_TRUSTED, true), CKR_ATTRIBUTE_READ_ONLY);
    officer();
    assert_int_equal(say(cert("users"), CKA_TRUSTED, true), CKR_OK);
    assert_int_equal(put("officers", true), CKR_OK);
    for (int again = 0; again < 2; again++) {
        user();
        o = cert("users");
        assert_true(unit_module_true(o, CKA_TRUSTED));
        assert_true(object_trusted(unit_module_object(o)));
        assert_int_equal(C_SetAttributeValue(unit_session, o, &label, 1), CKR_ATTRIBUTE_READ_ONLY);
        o = cert("officers");
        assert_true(unit_module_true(o, CKA_TRUSTED));
        assert_true(object_trusted(unit_module_object(o)));
        assert_int_equal(C_SetAttributeValue(unit_session, o, &label, 1), CKR_ATTRIBUTE_READ_ONLY);
        unit_module_again(true);
    }
    officer();
    assert_int_equal(say(cert("users"), CKA_TRUSTED, false), CKR_OK);
    user();
    assert_false(unit_module_true(cert("users"), CKA_TRUSTED));
    assert_int_equal(C_SetAttributeValue(unit_session, cert("users"), &label, 1), CKR_OK);
    unit_module_destroy(cert("changed"));
}

static CK_RV wraps(const char *by)
{
    CK_MECHANISM m = {CKM_RSA_PKCS, NULL, 0};
    uint8_t out[512];
    CK_ULONG n = sizeof(out);

    return C_WrapKey(unit_session, &m, unit_module_find(CKO_PUBLIC_KEY, by),
                     unit_module_find(CKO_SECRET_KEY, "careful"), out, &n);
}

static void test_a_trusted_key_wraps_what_wants_one(void **state)
{
    CK_ATTRIBUTE t[] = {T_BOOL(CKA_TOKEN, true), T_TEXT(CKA_LABEL, "kek")};
    CK_ATTRIBUTE careful[] = {
        T_NUM(CKA_CLASS, CKO_SECRET_KEY),
        T_NUM(CKA_KEY_TYPE, CKK_AES),
        T_BOOL(CKA_TOKEN, true),
        T_TEXT(CKA_LABEL, "careful"),
        T_BYTES(CKA_VALUE, key, 16),
        T_BOOL(CKA_EXTRACTABLE, true),
        T_BOOL(CKA_WRAP_WITH_TRUSTED, true),
    };
    CK_OBJECT_HANDLE pub, priv, o;

    (void)state;
    assert_int_equal(unit_module_pair(CKK_RSA, t, 2, &pub, &priv), CKR_OK);
    assert_int_equal(C_CreateObject(unit_session, careful, ARRAY_LEN(careful), &o), CKR_OK);
    assert_int_equal(say(pub, CKA_WRAP, true), CKR_OK);
    assert_int_equal(wraps("kek"), CKR_KEY_NOT_WRAPPABLE);
    officer();
    assert_int_equal(say(unit_module_find(CKO_PUBLIC_KEY, "kek"), CKA_TRUSTED, true), CKR_OK);
    user();
    assert_int_equal(wraps("kek"), CKR_OK);
    assert_int_equal(say(unit_module_find(CKO_PUBLIC_KEY, "kek"), CKA_WRAP, false),
                     CKR_ATTRIBUTE_READ_ONLY);
}

static void test_the_so_makes_no_keys_and_sees_none(void **state)
{
    CK_ATTRIBUTE t[] = {T_BOOL(CKA_TOKEN, true), T_TEXT(CKA_LABEL, "none"),
                        T_NUM(CKA_FUSETSU_AUTH_MODE, CK_FUSETSU_AUTH_NONE)};
    CK_ATTRIBUTE private = T_BOOL(CKA_PRIVATE, true);
    CK_OBJECT_HANDLE pub, priv;

    (void)state;
    officer();
    assert_int_equal(unit_module_count(unit_session, &private, 1), 0);
    assert_int_not_equal(unit_module_pair(CKK_EC, t, 3, &pub, &priv), CKR_OK);
    user();
    assert_int_not_equal(unit_module_count(unit_session, &private, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_so_trusts_certificates),
        cmocka_unit_test(test_a_trusted_key_wraps_what_wants_one),
        cmocka_unit_test(test_the_so_makes_no_keys_and_sees_none),
    };

    return cmocka_run_group_tests_name("module_trusted", tests, unit_module_begin,
                                       unit_module_erase);
}
