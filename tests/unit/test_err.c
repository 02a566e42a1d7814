/* The error object: the first cause stays, prefixes go in front, names exist. */
#include "core/err.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_first_cause_is_kept(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(err_set(&e, E_BUSY, "held by %d", 7), -1);
    assert_int_equal(err_set(&e, E_IO, "later"), -1);
    assert_int_equal(err_set_rc(&e, E_TPM, 0x98e, "later still"), -1);
    assert_int_equal(e.code, E_BUSY);
    assert_int_equal(e.rc, 0);
    assert_string_equal(e.msg, "held by 7");
}

static void test_response_code_is_recorded(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(err_set_rc(&e, E_PIN_WRONG, 0x98e, "no"), -1);
    assert_int_equal(e.code, E_PIN_WRONG);
    assert_int_equal(e.rc, 0x98e);
}

static void test_prefix_goes_in_front(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(err_prefix(&e, "nothing to prefix"), -1);
    assert_int_equal(e.code, E_OK);
    assert_string_equal(e.msg, "");
    (void)err_set(&e, E_IO, "disk");
    assert_int_equal(err_prefix(&e, "file %s", "a"), -1);
    assert_string_equal(e.msg, "file a: disk");
    assert_int_equal(e.code, E_IO);
}

static void test_long_messages_are_cut_not_overrun(void **state)
{
    struct err e = {0};
    char text[2 * sizeof(e.msg)];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    (void)err_set(&e, E_IO, "%s", text);
    assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
    (void)err_prefix(&e, "%s", text);
    assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
}

static void test_null_error_is_fine(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, E_IO, "x"), -1);
    assert_int_equal(err_set_rc(NULL, E_IO, 1, "x"), -1);
    assert_int_equal(err_prefix(NULL, "x"), -1);
    assert_int_equal(err_openssl(NULL, E_CRYPTO, "x"), -1);
    err_clear(NULL);
}

static void test_cleared_error_takes_a_new_cause(void **state)
{
    struct err e = {0};

    (void)state;
    (void)err_set(&e, E_IO, "first");
    err_clear(&e);
    assert_int_equal(e.code, E_OK);
    (void)err_set(&e, E_FULL, "second");
    assert_int_equal(e.code, E_FULL);
}

static void test_openssl_reason_is_given_and_the_queue_emptied(void **state)
{
    struct err e = {0};

    (void)state;
    ERR_raise(ERR_LIB_EVP, EVP_R_BAD_DECRYPT);
    assert_int_equal(err_openssl(&e, E_CRYPTO, "opening"), -1);
    assert_string_equal(e.msg, "opening: bad decrypt");
    assert_int_equal(ERR_peek_error(), 0);
    err_clear(&e);
    (void)err_openssl(&e, E_CRYPTO, "opening");
    assert_string_equal(e.msg, "opening: OpenSSL gave no reason");
}

static void test_every_code_has_its_own_name(void **state)
{
    (void)state;
    for (int i = E_OK; i <= E_USAGE; i++) {
        assert_string_not_equal(err_name((enum err_code)i), "unknown");
        for (int j = E_OK; j < i; j++)
            assert_string_not_equal(err_name((enum err_code)i), err_name((enum err_code)j));
    }
    assert_string_equal(err_name((enum err_code)(E_USAGE + 1)), "unknown");
    assert_string_equal(err_name(E_PIN_WRONG), "pin-wrong");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_cause_is_kept),
        cmocka_unit_test(test_response_code_is_recorded),
        cmocka_unit_test(test_prefix_goes_in_front),
        cmocka_unit_test(test_long_messages_are_cut_not_overrun),
        cmocka_unit_test(test_null_error_is_fine),
        cmocka_unit_test(test_cleared_error_takes_a_new_cause),
        cmocka_unit_test(test_openssl_reason_is_given_and_the_queue_emptied),
        cmocka_unit_test(test_every_code_has_its_own_name),
    };

    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
