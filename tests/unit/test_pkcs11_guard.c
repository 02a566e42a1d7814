/* What the module keeps to itself, without a TPM: secrets that only compute, results that wait,
 * attributes that go one way, and templates that leave uses open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/store.h"
#include "tests/support/unit_dir.h"
#include "tests/support/unit_module.h"

/* A secret of this session, in memory, without a login. */
static CK_OBJECT_HANDLE secret(CK_SESSION_HANDLE h, CK_KEY_TYPE type, const CK_ATTRIBUTE *more,
                               CK_ULONG n)
{
    static const uint8_t value[16] = {1, 2, 3};
    CK_ATTRIBUTE t[12] = {
        T_NUM(CKA_CLASS, CKO_SECRET_KEY),
        T_NUM(CKA_KEY_TYPE, type),
        T_BOOL(CKA_PRIVATE, false),
        T_BYTES(CKA_VALUE, value, sizeof(value)),
    };
    CK_OBJECT_HANDLE o = 0;

    for (CK_ULONG i = 0; i < n; i++)
        t[4 + i] = more[i];
    assert_int_equal(C_CreateObject(h, t, 4 + n, &o), CKR_OK);
    return o;
}

static bool flag(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type)
{
    CK_BBOOL v = CK_FALSE;
    CK_ATTRIBUTE a = {type, &v, sizeof(v)};

    assert_int_equal(C_GetAttributeValue(h, o, &a, 1), CKR_OK);
    return v != CK_FALSE;
}

static void test_a_digest_does_not_tell_a_key_that_is_not_shown(void **state)
{
    CK_ATTRIBUTE shown[] = {T_BOOL(CKA_SENSITIVE, false), T_BOOL(CKA_EXTRACTABLE, true)};
    CK_SESSION_HANDLE h = unit_module_open(false);
    CK_OBJECT_HANDLE hidden = secret(h, CKK_GENERIC_SECRET, NULL, 0);
    CK_OBJECT_HANDLE open = secret(h, CKK_GENERIC_SECRET, shown, 2);
    CK_MECHANISM m = {CKM_SHA256, NULL, 0};
    CK_BYTE out[512];
    CK_ULONG len = sizeof(out);

    (void)state;
    assert_int_equal(C_DigestInit(h, &m), CKR_OK);
    assert_int_equal(C_DigestKey(h, hidden), CKR_KEY_INDIGESTIBLE);
    assert_int_equal(C_DigestInit(h, &m), CKR_OK);
    assert_int_equal(C_DigestKey(h, open), CKR_OK);
    /* Its saved state would hold the key itself. */
    assert_int_equal(C_GetOperationState(h, out, &len), CKR_STATE_UNSAVEABLE);
    len = sizeof(out);
    assert_int_equal(C_DigestFinal(h, out, &len), CKR_OK);
    assert_true(len == 32);
}

static void test_a_result_that_waits_is_that_of_its_own_input(void **state)
{
    CK_SESSION_HANDLE h = unit_module_open(false);
    CK_OBJECT_HANDLE key = secret(h, CKK_AES, NULL, 0);
    CK_BYTE iv[16] = {0}, one[16], other[16], plain[16];
    CK_MECHANISM m = {CKM_AES_CBC_PAD, iv, sizeof(iv)};
    CK_ULONG len = sizeof(one), small;

    (void)state;
    assert_int_equal(C_EncryptInit(h, &m, key), CKR_OK);
    assert_int_equal(C_Encrypt(h, (CK_BYTE *)"first text", 10, one, &len), CKR_OK);
    memcpy(other, one, sizeof(other));
    other[0] ^= 1;
    assert_int_equal(C_DecryptInit(h, &m, key), CKR_OK);
    small = 3;
    assert_int_equal(C_Decrypt(h, one, 16, plain, &small), CKR_BUFFER_TOO_SMALL);
    assert_true(small == 10);
    small = sizeof(plain);
    assert_int_equal(C_Decrypt(h, other, 16, plain, &small), CKR_DATA_INVALID);
    assert_int_equal(C_DecryptInit(h, &m, key), CKR_OK);
    small = 3;
    assert_int_equal(C_Decrypt(h, one, 16, plain, &small), CKR_BUFFER_TOO_SMALL);
    small = sizeof(plain);
    assert_int_equal(C_Decrypt(h, one, 16, plain, &small), CKR_OK);
    assert_true(small == 10 && memcmp(plain, "first text", 10) == 0);
    /* It goes with its key. */
    assert_int_equal(C_DecryptInit(h, &m, key), CKR_OK);
    small = 3;
    assert_int_equal(C_Decrypt(h, one, 16, plain, &small), CKR_BUFFER_TOO_SMALL);
    assert_int_equal(C_DestroyObject(h, key), CKR_OK);
    small = sizeof(plain);
    assert_int_not_equal(C_Decrypt(h, one, 16, plain, &small), CKR_OK);
}

static void test_an_empty_message_is_checked_like_any_other(void **state)
{
    CK_SESSION_HANDLE h = unit_module_open(false);
    CK_OBJECT_HANDLE key = secret(h, CKK_AES, NULL, 0);
    CK_BYTE iv[12] = {0}, tag[16] = {0}, forged[16] = {0};
    CK_GCM_MESSAGE_PARAMS p = {iv, sizeof(iv), 0, CKG_NO_GENERATE, tag, 128};
    CK_GCM_MESSAGE_PARAMS q = {iv, sizeof(iv), 0, CKG_NO_GENERATE, forged, 128};
    CK_MECHANISM m = {CKM_AES_GCM, NULL, 0};
    CK_ULONG len = 0;

    (void)state;
    assert_int_equal(C_MessageEncryptInit(h, &m, key), CKR_OK);
    assert_int_equal(C_EncryptMessage(h, &p, sizeof(p), (CK_BYTE *)"head", 4, NULL, 0, NULL, &len),
                     CKR_OK);
    assert_int_equal(C_MessageEncryptFinal(h), CKR_OK);
    assert_memory_not_equal(tag, forged, sizeof(tag));
    assert_int_equal(C_MessageDecryptInit(h, &m, key), CKR_OK);
    assert_int_equal(C_DecryptMessage(h, &q, sizeof(q), (CK_BYTE *)"head", 4, NULL, 0, NULL, &len),
                     CKR_AEAD_DECRYPT_FAILED);
    assert_int_equal(C_DecryptMessage(h, &p, sizeof(p), (CK_BYTE *)"head", 4, NULL, 0, NULL, &len),
                     CKR_OK);
    assert_int_equal(C_MessageDecryptFinal(h), CKR_OK);
}

static void test_a_secret_that_derives_or_wraps_does_nothing_else_by_itself(void **state)
{
    static const struct {
        CK_KEY_TYPE type;
        CK_ATTRIBUTE_TYPE asked;
    } kinds[] = {{CKK_GENERIC_SECRET, CKA_DERIVE},
                 {CKK_AES, CKA_DERIVE},
                 {CKK_AES, CKA_WRAP},
                 {CKK_AES, CKA_UNWRAP}};
    static const CK_ATTRIBUTE_TYPE others[] = {CKA_SIGN, CKA_VERIFY, CKA_ENCRYPT, CKA_DECRYPT};
    CK_SESSION_HANDLE h = unit_module_open(false);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        CK_ATTRIBUTE t[] = {T_BOOL(kinds[i].asked, true), T_BOOL(CKA_ENCRYPT, true)};
        CK_OBJECT_HANDLE o = secret(h, kinds[i].type, t, 1);

        for (size_t k = 0; k < ARRAY_LEN(others); k++)
            assert_false(flag(h, o, others[k]));
        /* Who says otherwise has said it. */
        o = secret(h, kinds[i].type, t, 2);
        assert_true(flag(h, o, CKA_ENCRYPT));
    }
    assert_true(flag(h, secret(h, CKK_AES, NULL, 0), CKA_DECRYPT));
    assert_true(flag(h, secret(h, CKK_GENERIC_SECRET, NULL, 0), CKA_SIGN));
}

/* Another process closes what this one has read while it was open. */
static void test_what_another_process_closed_stays_closed(void **state)
{
    static const uint8_t no = 0;
    CK_ATTRIBUTE t[] = {T_NUM(CKA_CLASS, CKO_DATA), T_BOOL(CKA_TOKEN, true),
                        T_BOOL(CKA_PRIVATE, false), T_TEXT(CKA_LABEL, "mine")};
    CK_ATTRIBUTE label = T_TEXT(CKA_LABEL, "new"), open = T_BOOL(CKA_COPYABLE, true);
    CK_SESSION_HANDLE h = unit_module_open(true);
    struct store_object *list = NULL;
    struct store *s = NULL;
    CK_OBJECT_HANDLE o = 0, copy;
    size_t n = 0;

    (void)state;
    assert_int_equal(C_CreateObject(h, t, ARRAY_LEN(t), &o), CKR_OK);
    assert_true(flag(h, o, CKA_COPYABLE));
    assert_int_equal(store_open(&s, unit_dir_at("store.db"), STORE_WRITE, NULL), 0);
    assert_int_equal(store_object_list(s, 1, NULL, &list, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_int_equal(store_object_set(&list[0], CKA_COPYABLE, bytes_of(&no, 1), false, NULL), 0);
    assert_int_equal(store_object_put(s, &list[0], NULL, NULL), 0);
    assert_int_equal(C_SetAttributeValue(h, o, &label, 1), CKR_OK);
    assert_false(flag(h, o, CKA_COPYABLE));
    assert_int_equal(C_SetAttributeValue(h, o, &open, 1), CKR_ATTRIBUTE_READ_ONLY);
    assert_int_equal(C_CopyObject(h, o, NULL, 0, &copy), CKR_ACTION_PROHIBITED);
    /* And what it destroyed is gone here, too. */
    assert_int_equal(store_object_delete(s, 1, list[0].id, NULL), 0);
    assert_int_equal(C_SetAttributeValue(h, o, &label, 1), CKR_OBJECT_HANDLE_INVALID);
    store_objects_free(list, n);
    store_close(s);
}

#define TOKEN(test) cmocka_unit_test_setup_teardown(test, unit_module_without_tpm, unit_module_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOKEN(test_a_digest_does_not_tell_a_key_that_is_not_shown),
        TOKEN(test_a_result_that_waits_is_that_of_its_own_input),
        TOKEN(test_an_empty_message_is_checked_like_any_other),
        TOKEN(test_a_secret_that_derives_or_wraps_does_nothing_else_by_itself),
        TOKEN(test_what_another_process_closed_stays_closed),
    };

    return cmocka_run_group_tests_name("pkcs11_guard", tests, NULL, NULL);
}
