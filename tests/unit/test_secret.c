/* Memory for secrets. */
#include "core/secret.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_copy_holds_what_was_given(void **state)
{
    struct secret *s = secret_copy("123456", 6, NULL);

    (void)state;
    assert_non_null(s);
    assert_int_equal(secret_len(s), 6);
    assert_memory_equal(secret_peek(s), "123456", 6);
    assert_int_equal(secret_bytes(s).len, 6);
    assert_ptr_equal(secret_bytes(s).p, secret_data(s));
    secret_free(s);
}

static void test_new_one_is_all_zero(void **state)
{
    struct secret *s = secret_new(10000, NULL);

    (void)state;
    assert_non_null(s);
    for (size_t i = 0; i < secret_len(s); i++)
        assert_int_equal(secret_peek(s)[i], 0);
    secret_free(s);
}

static void test_trimming_wipes_the_rest_and_never_grows(void **state)
{
    struct secret *s = secret_copy("abcdef", 6, NULL);

    (void)state;
    assert_non_null(s);
    secret_trim(s, 9);
    assert_int_equal(secret_len(s), 6);
    secret_trim(s, 2);
    assert_int_equal(secret_len(s), 2);
    assert_memory_equal(secret_data(s), "ab\0\0\0\0", 6);
    secret_free(s);
}

static void test_absent_secret_has_no_bytes(void **state)
{
    (void)state;
    assert_int_equal(secret_len(NULL), 0);
    assert_null(secret_peek(NULL));
    assert_int_equal(secret_bytes(NULL).len, 0);
    secret_free(NULL);
}

static void test_absurd_length_is_refused(void **state)
{
    struct err e = {0};

    (void)state;
    assert_null(secret_new(SIZE_MAX, &e));
    assert_int_equal(e.code, E_ARG);
}

static void test_empty_secret_is_possible(void **state)
{
    struct secret *s = secret_copy(NULL, 0, NULL);

    (void)state;
    assert_non_null(s);
    assert_int_equal(secret_len(s), 0);
    secret_free(s);
}

static void test_wiping_leaves_zeros(void **state)
{
    char pin[] = "123456";

    (void)state;
    secret_wipe(pin, sizeof(pin));
    assert_memory_equal(pin, "\0\0\0\0\0\0\0", sizeof(pin));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy_holds_what_was_given),
        cmocka_unit_test(test_new_one_is_all_zero),
        cmocka_unit_test(test_trimming_wipes_the_rest_and_never_grows),
        cmocka_unit_test(test_absent_secret_has_no_bytes),
        cmocka_unit_test(test_absurd_length_is_refused),
        cmocka_unit_test(test_empty_secret_is_possible),
        cmocka_unit_test(test_wiping_leaves_zeros),
    };

    return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
