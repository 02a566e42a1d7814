/* C_CopyObject (swtpm-ci/with-tpm starts a TPM): copies of keys are as good as the original, and
 * outlive it; no copy says more than it may. */
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pkcs11/inprocess.h"
#include "tests/support/unit_module.h"
#include "tests/support/unit_store.h"
#include "tests/support/unit_tpm.h"

static const uint8_t key[32] = "the bytes of a secret, 32 long..";

static CK_OBJECT_HANDLE copy(CK_OBJECT_HANDLE o, bool token, const char *label)
{
    CK_ATTRIBUTE t[] = {T_BOOL(CKA_TOKEN, token), T_TEXT(CKA_LABEL, label)};
    CK_OBJECT_HANDLE c = 0;

    assert_int_equal(C_CopyObject(unit_session, o, t, 2, &c), CKR_OK);
    assert_int_not_equal(c, o);
    assert_int_equal(unit_module_true(c, CKA_TOKEN), token);
    return c;
}

static CK_RV copy_with(CK_OBJECT_HANDLE o, CK_ATTRIBUTE a, CK_OBJECT_HANDLE *c)
{
    return C_CopyObject(unit_session, o, &a, 1, c);
}

static void pair(bool token, const char *label, CK_OBJECT_HANDLE *pub, CK_OBJECT_HANDLE *priv)
{
    CK_ATTRIBUTE t[] = {T_BOOL(CKA_TOKEN, token), T_TEXT(CKA_LABEL, label)};

    assert_int_equal(unit_module_pair(CKK_EC, t, 2, pub, priv), CKR_OK);
}

/* --- private keys ------------------------------------------------------------------ */

static int copy_signs(void)
{
    CHILD_MUST(unit_module_login(unit_session) == CKR_OK, NULL);
    CHILD_MUST(unit_module_signs(unit_module_find(CKO_PRIVATE_KEY, "copy"),
                                 unit_module_find(CKO_PUBLIC_KEY, "copy")) == CKR_OK,
               NULL);
    return 0;
}

static void test_a_copy_outlives_its_original(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        bool from = (way & 1) != 0, to = (way & 2) != 0;
        CK_OBJECT_HANDLE pub, priv, c, p;

        pair(from, "original", &pub, &priv);
        c = copy(priv, to, "copy");
        p = copy(pub, to, "copy");
        assert_true(unit_module_in_tpm(c));
        assert_int_equal(unit_module_signs(priv, p), CKR_OK);
        assert_int_equal(unit_module_signs(c, pub), CKR_OK);
        unit_module_destroy(priv);
        unit_module_destroy(pub);
        assert_int_equal(unit_module_signs(c, p), CKR_OK);
        if (to) {
            unit_module_in_child(NULL, NULL, copy_signs);
            c = unit_module_find(CKO_PRIVATE_KEY, "copy");
            p = unit_module_find(CKO_PUBLIC_KEY, "copy");
            assert_int_equal(unit_module_signs(c, p), CKR_OK);
        }
        unit_module_destroy(c);
        unit_module_destroy(p);
    }
}

static void test_an_original_outlives_its_copy(void **state)
{
    CK_OBJECT_HANDLE pub, priv, c;

    (void)state;
    pair(true, "original", &pub, &priv);
    for (int to = 0; to < 2; to++) {
        c = copy(priv, to != 0, "copy");
        assert_int_equal(unit_module_signs(c, pub), CKR_OK);
        unit_module_destroy(c);
        assert_int_equal(unit_module_signs(priv, pub), CKR_OK);
    }
    unit_module_again(true);
    priv = unit_module_find(CKO_PRIVATE_KEY, "original");
    pub = unit_module_find(CKO_PUBLIC_KEY, "original");
    assert_int_equal(unit_module_signs(priv, pub), CKR_OK);
    unit_module_destroy(pub);
    unit_module_destroy(priv);
}

/* The key is in the store once, and goes with the last object over it. */
static void test_a_stored_key_goes_with_its_last_object(void **state)
{
    CK_OBJECT_HANDLE pub, priv, c, d;
    struct store_key blob = {0}, there = {0};
    struct store *s;
    struct err e = {0};

    (void)state;
    pair(true, "original", &pub, &priv);
    c = copy(priv, true, "one");
    d = copy(c, false, "two");
    assert_int_equal(p11_key_of_object(unit_session, d, &blob, NULL), 0);
    unit_store_tamper("UPDATE key SET mode = mode", 1);
    unit_module_destroy(priv);
    unit_store_tamper("UPDATE key SET mode = mode", 1);
    unit_module_destroy(c);
    unit_store_tamper("UPDATE key SET mode = mode", 0);
    s = unit_store_open(STORE_WRITE);
    assert_int_equal(store_key_get(s, 1, blob.uuid, NULL, &there, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    store_close(s);
    store_key_free(&blob);
    /* The session's copy still has it, and can put it back. */
    assert_int_equal(unit_module_signs(d, pub), CKR_OK);
    c = copy(d, true, "three");
    unit_store_tamper("UPDATE key SET mode = mode", 1);
    unit_module_again(true);
    c = unit_module_find(CKO_PRIVATE_KEY, "three");
    pub = unit_module_find(CKO_PUBLIC_KEY, "original");
    assert_int_equal(unit_module_signs(c, pub), CKR_OK);
    unit_module_destroy(c);
    unit_module_destroy(pub);
    unit_store_tamper("UPDATE key SET mode = mode", 0);
}

static void test_copies_ask_for_the_pin_as_their_original_does(void **state)
{
    CK_ATTRIBUTE t[] = {T_NUM(CKA_FUSETSU_AUTH_MODE, CK_FUSETSU_AUTH_EACH),
                        T_BOOL(CKA_TOKEN, true)};
    CK_UTF8CHAR pin[] = UNIT_PIN;
    CK_MECHANISM m = {CKM_ECDSA, NULL, 0};
    CK_OBJECT_HANDLE pub, priv, c;
    CK_BYTE sig[64], digest[32] = {1};
    CK_ULONG len = sizeof(sig);

    (void)state;
    assert_int_equal(unit_module_pair(CKK_EC, t, 2, &pub, &priv), CKR_OK);
    c = copy(priv, false, "copy");
    assert_true(unit_module_true(c, CKA_ALWAYS_AUTHENTICATE));
    assert_int_equal(C_SignInit(unit_session, &m, c), CKR_OK);
    assert_int_equal(C_Sign(unit_session, digest, 32, sig, &len), CKR_USER_NOT_LOGGED_IN);
    len = sizeof(sig);
    assert_int_equal(C_SignInit(unit_session, &m, c), CKR_OK);
    assert_int_equal(C_Login(unit_session, CKU_CONTEXT_SPECIFIC, pin, UNIT_LEN(UNIT_PIN)), CKR_OK);
    assert_int_equal(C_Sign(unit_session, digest, 32, sig, &len), CKR_OK);
    unit_module_destroy(c);
    unit_module_destroy(priv);
    unit_module_destroy(pub);
}

static void test_service_keys_are_copied_without_login(void **state)
{
    CK_ATTRIBUTE t[] = {T_NUM(CKA_FUSETSU_AUTH_MODE, CK_FUSETSU_AUTH_NONE),
                        T_BOOL(CKA_TOKEN, true)};
    CK_OBJECT_HANDLE pub, priv, c;

    (void)state;
    assert_int_equal(unit_module_pair(CKK_EC, t, 2, &pub, &priv), CKR_OK);
    assert_int_equal(C_Logout(unit_session), CKR_OK);
    c = copy(priv, false, "copy");
    assert_int_equal(unit_module_signs(c, pub), CKR_OK);
    assert_int_equal(copy_with(priv, (CK_ATTRIBUTE)T_BOOL(CKA_PRIVATE, true), &c),
                     CKR_USER_NOT_LOGGED_IN);
    assert_int_equal(unit_module_login(unit_session), CKR_OK);
    unit_module_destroy(c);
    unit_module_destroy(pub);
    unit_module_destroy(priv);
}

/* --- secrets ------------------------------------------------------------------------ */

static void test_a_secret_in_memory_goes_into_the_tpm_with_its_copy(void **state)
{
    static const unsigned kinds[] = {UNIT_LEAVES, UNIT_SHOWN, UNIT_LEAVES | UNIT_SHOWN};
    CK_MECHANISM ecb = {CKM_AES_ECB, NULL, 0}, hmac = {CKM_SHA256_HMAC, NULL, 0};
    uint8_t a[1024], b[1024];
    size_t n = 0, len_a, len_b;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        for (int aes = 0; aes < 2; aes++) {
            CK_KEY_TYPE type = aes != 0 ? CKK_AES : CKK_GENERIC_SECRET;
            CK_OBJECT_HANDLE o = unit_module_secret(type, bytes_of(key, 32), kinds[i]);
            CK_OBJECT_HANDLE c = copy(o, true, "copy");

            assert_true(unit_module_in_memory(o) && unit_module_in_tpm(c));
            len_a = unit_module_bytes(o, CKA_CHECK_VALUE, a);
            len_b = unit_module_bytes(c, CKA_CHECK_VALUE, b);
            assert_true(len_a == 3 && len_b == 3 && memcmp(a, b, 3) == 0);
            unit_module_destroy(o);
            unit_module_again(true);
            c = unit_module_find(CKO_SECRET_KEY, "copy");
            o = unit_module_secret(type, bytes_of(key, 32), UNIT_LEAVES);
            if (aes != 0) {
                assert_int_equal(unit_module_crypt(true, &ecb, o, bytes_of(key, 32), 0, a, &n),
                                 CKR_OK);
                assert_int_equal(unit_module_crypt(true, &ecb, c, bytes_of(key, 32), 0, b, &n),
                                 CKR_OK);
            } else {
                assert_int_equal(unit_module_sign(&hmac, o, bytes_of(key, 32), 0, a, &n), CKR_OK);
                assert_int_equal(unit_module_sign(&hmac, c, bytes_of(key, 32), 0, b, &n), CKR_OK);
            }
            assert_memory_equal(a, b, n);
            assert_int_equal(unit_module_true(c, CKA_EXTRACTABLE), (kinds[i] & UNIT_LEAVES) != 0);
            assert_int_equal(unit_module_true(c, CKA_SENSITIVE), (kinds[i] & UNIT_SHOWN) == 0);
            unit_module_destroy(o);
            unit_module_destroy(c);
        }
    }
}

static void test_a_secret_of_the_tpm_stays_there_in_a_session_copy(void **state)
{
    CK_OBJECT_HANDLE o =
        unit_module_secret(CKK_AES, bytes_of(key, 32), UNIT_TOKEN | UNIT_LEAVES | UNIT_SHOWN);
    CK_OBJECT_HANDLE c = copy(o, false, "copy");
    uint8_t shown[1024];

    (void)state;
    unit_module_destroy(o);
    assert_true(unit_module_in_tpm(c));
    assert_int_equal(unit_module_bytes(c, CKA_VALUE, shown), 32);
    assert_memory_equal(shown, key, 32);
    unit_module_destroy(c);
}

/* --- rules --------------------------------------------------------------------------- */

static void test_a_copy_says_no_more_than_it_may(void **state)
{
    const struct {
        CK_ATTRIBUTE a;
        CK_RV rv;
    } t[] = {
        {T_BOOL(CKA_SENSITIVE, false), CKR_ATTRIBUTE_READ_ONLY},
        {T_BOOL(CKA_EXTRACTABLE, true), CKR_ATTRIBUTE_READ_ONLY},
        {T_BOOL(CKA_WRAP_WITH_TRUSTED, false), CKR_OK},
        {T_BOOL(CKA_PRIVATE, false), CKR_TEMPLATE_INCONSISTENT},
        {T_BOOL(CKA_TRUSTED, true), CKR_ATTRIBUTE_READ_ONLY},
        {T_BOOL(CKA_LOCAL, true), CKR_ATTRIBUTE_READ_ONLY},
        {T_BOOL(CKA_NEVER_EXTRACTABLE, true), CKR_ATTRIBUTE_READ_ONLY},
        {T_NUM(CKA_KEY_TYPE, CKK_AES), CKR_ATTRIBUTE_READ_ONLY},
        {T_NUM(CKA_VALUE_LEN, 16), CKR_ATTRIBUTE_READ_ONLY},
        {T_BYTES(CKA_VALUE, "x", 1), CKR_ATTRIBUTE_READ_ONLY},
        {T_BYTES(CKA_CHECK_VALUE, "xyz", 3), CKR_ATTRIBUTE_READ_ONLY},
        {T_BYTES(CKA_UNIQUE_ID, "xyz", 3), CKR_ATTRIBUTE_READ_ONLY},
        {T_BYTES(CKA_TOKEN, "xy", 2), CKR_ATTRIBUTE_VALUE_INVALID},
        {T_BYTES(CKA_MODULUS, "x", 1), CKR_ATTRIBUTE_TYPE_INVALID},
    };
    CK_ATTRIBUTE all = T_NUM(CKA_CLASS, CKO_SECRET_KEY);
    CK_OBJECT_HANDLE o = unit_module_secret(CKK_AES, bytes_of(key, 16), UNIT_TOKEN), c = 0;
    CK_ULONG before = unit_module_count(unit_session, &all, 1);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        CK_RV rv = copy_with(o, t[i].a, &c);

        if (rv != t[i].rv)
            fail_msg("attribute 0x%lx: 0x%lx", t[i].a.type, rv);
        if (rv == CKR_OK)
            unit_module_destroy(c);
        assert_int_equal(unit_module_count(unit_session, &all, 1), before);
    }
    assert_int_equal(C_CopyObject(unit_session, o, NULL, 0, NULL), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_CopyObject(unit_session, o, NULL, 1, &c), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_CopyObject(unit_session, 0, NULL, 0, &c), CKR_OBJECT_HANDLE_INVALID);
    unit_module_destroy(o);
}

static void test_a_copy_becomes_stricter_and_its_history_stays(void **state)
{
    CK_ATTRIBUTE t[] = {T_BOOL(CKA_SENSITIVE, true), T_BOOL(CKA_EXTRACTABLE, false),
                        T_BOOL(CKA_MODIFIABLE, false), T_BOOL(CKA_DESTROYABLE, false),
                        T_BOOL(CKA_COPYABLE, false)};
    CK_ATTRIBUTE label = T_TEXT(CKA_LABEL, "x"), value = {CKA_VALUE, NULL, 0};
    CK_OBJECT_HANDLE o = unit_module_secret(CKK_AES, bytes_of(key, 16), UNIT_LEAVES | UNIT_SHOWN);
    CK_OBJECT_HANDLE c = 0, d = 0;
    uint8_t a[1024], b[1024];

    (void)state;
    assert_int_equal(C_CopyObject(unit_session, o, t, 5, &c), CKR_OK);
    assert_int_equal(C_GetAttributeValue(unit_session, c, &value, 1), CKR_ATTRIBUTE_SENSITIVE);
    assert_int_equal(C_GetAttributeValue(unit_session, o, &value, 1), CKR_OK);
    assert_false(unit_module_true(c, CKA_ALWAYS_SENSITIVE) ||
                 unit_module_true(c, CKA_NEVER_EXTRACTABLE) || unit_module_true(c, CKA_LOCAL));
    assert_int_equal(unit_module_bytes(o, CKA_UNIQUE_ID, a),
                     unit_module_bytes(c, CKA_UNIQUE_ID, b));
    assert_memory_not_equal(a, b, 32);
    assert_int_equal(C_SetAttributeValue(unit_session, c, &label, 1), CKR_ACTION_PROHIBITED);
    assert_int_equal(C_CopyObject(unit_session, c, NULL, 0, &d), CKR_ACTION_PROHIBITED);
    assert_int_equal(C_DestroyObject(unit_session, c), CKR_ACTION_PROHIBITED);
    unit_module_destroy(o);
    unit_module_relogin();
}

static void test_who_may_copy_what_whereto(void **state)
{
    CK_SESSION_HANDLE ro = unit_module_open(false);
    CK_ATTRIBUTE data[] = {T_NUM(CKA_CLASS, CKO_DATA), T_TEXT(CKA_LABEL, "note"),
                           T_TEXT(CKA_VALUE, "value")};
    CK_ATTRIBUTE token = T_BOOL(CKA_TOKEN, true), hidden = T_BOOL(CKA_PRIVATE, true);
    CK_ATTRIBUTE both[] = {token, hidden};
    CK_OBJECT_HANDLE o, c;

    (void)state;
    assert_int_equal(C_CreateObject(ro, data, 3, &o), CKR_OK);
    assert_int_equal(C_CopyObject(ro, o, &token, 1, &c), CKR_SESSION_READ_ONLY);
    assert_int_equal(C_CopyObject(ro, o, NULL, 0, &c), CKR_OK);
    assert_int_equal(C_Logout(unit_session), CKR_OK);
    assert_int_equal(copy_with(o, hidden, &c), CKR_USER_NOT_LOGGED_IN);
    assert_int_equal(copy_with(o, token, &c), CKR_OK);
    unit_module_destroy(c);
    assert_int_equal(unit_module_login(unit_session), CKR_OK);
    assert_int_equal(C_CopyObject(unit_session, o, both, 2, &c), CKR_OK);
    /* What was open is sealed in the hidden copy. */
    assert_true(store_object_attr(&unit_module_object(c)->row, CKA_VALUE)->sealed);
    assert_false(store_object_attr(&unit_module_object(o)->row, CKA_VALUE)->sealed);
    unit_module_destroy(c);
    assert_int_equal(C_CloseSession(ro), CKR_OK);
}

/* --- when the store refuses ----------------------------------------------------------- */

/* The store takes no second object of a class that it has: so the key is written, and the
 * object is not. */
static void test_nothing_is_half_done_when_the_store_refuses(void **state)
{
    CK_ATTRIBUTE token = T_BOOL(CKA_TOKEN, true);
    CK_OBJECT_HANDLE pub, priv, secret, there[3], c = 77, d = 77;
    CK_ULONG before;

    (void)state;
    pair(true, "there", &there[0], &there[1]);
    there[2] = unit_module_secret(CKK_AES, bytes_of(key, 16), UNIT_TOKEN);
    pair(false, "session", &pub, &priv);
    secret = unit_module_secret(CKK_AES, bytes_of(key, 16), UNIT_LEAVES);
    before = unit_module_count(unit_session, &token, 1);
    unit_store_tamper("CREATE UNIQUE INDEX refuse ON object(class)", 0);
    assert_int_not_equal(copy_with(priv, token, &c), CKR_OK);
    assert_int_not_equal(copy_with(secret, token, &c), CKR_OK);
    assert_int_not_equal(unit_module_pair(CKK_EC, &token, 1, &c, &d), CKR_OK);
    /* The first half of a pair can be written, the second cannot. */
    unit_module_destroy(there[0]);
    assert_int_not_equal(unit_module_pair(CKK_EC, &token, 1, &c, &d), CKR_OK);
    assert_true(c == 77 && d == 77);
    assert_int_equal(unit_module_count(unit_session, &token, 1), before - 1);
    unit_store_tamper("DROP INDEX refuse; UPDATE key SET mode = mode", 2);
    assert_int_equal(unit_module_signs(priv, pub), CKR_OK);
    assert_int_equal(copy_with(priv, token, &c), CKR_OK);
    assert_int_equal(unit_module_signs(c, pub), CKR_OK);
    unit_module_destroy(c);
    unit_module_destroy(secret);
    unit_module_destroy(priv);
    unit_module_destroy(pub);
    unit_module_destroy(there[1]);
    unit_module_destroy(there[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_copy_outlives_its_original),
        cmocka_unit_test(test_an_original_outlives_its_copy),
        cmocka_unit_test(test_a_stored_key_goes_with_its_last_object),
        cmocka_unit_test(test_copies_ask_for_the_pin_as_their_original_does),
        cmocka_unit_test(test_service_keys_are_copied_without_login),
        cmocka_unit_test(test_a_secret_in_memory_goes_into_the_tpm_with_its_copy),
        cmocka_unit_test(test_a_secret_of_the_tpm_stays_there_in_a_session_copy),
        cmocka_unit_test(test_a_copy_says_no_more_than_it_may),
        cmocka_unit_test(test_a_copy_becomes_stricter_and_its_history_stays),
        cmocka_unit_test(test_who_may_copy_what_whereto),
        cmocka_unit_test(test_nothing_is_half_done_when_the_store_refuses),
    };

    return cmocka_run_group_tests_name("module_copy", tests, unit_module_begin, unit_module_erase);
}
