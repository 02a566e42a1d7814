/* What response codes become: one code to act on, one sentence to read. Numbers as in
 * Part 2, 6.6.3 (format-one codes with the handle, parameter or session they speak of). */
#include "tpm/rc.h"

#include "tpm/ctx.h"

#include <string.h>
#include <tss2/tss2_tcti.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void becomes(TSS2_RC rc, enum err_code code, const char *mentions)
{
    struct err e = {0};

    assert_int_equal(rc_fail(&e, rc, "trying this"), -1);
    if (e.code != code || strstr(e.msg, mentions) == NULL)
        fail_msg("0x%x: %s: %s", rc, err_name(e.code), e.msg);
    assert_int_equal(e.rc, rc);
    assert_ptr_equal(strstr(e.msg, "trying this: "), e.msg);
}

static bool stale(TSS2_RC rc)
{
    struct err e = {.code = E_TPM, .rc = rc};

    return tpm_is_stale(&e);
}

static void test_numbers_of_session_handle_and_parameter_are_cut_off(void **state)
{
    (void)state;
    assert_int_equal(rc_base(0x98e), TPM2_RC_AUTH_FAIL); /* session 1 */
    assert_int_equal(rc_base(0xa8e), TPM2_RC_AUTH_FAIL); /* session 2 */
    assert_int_equal(rc_base(0x9a2), TPM2_RC_BAD_AUTH);
    assert_int_equal(rc_base(0x18b), TPM2_RC_HANDLE);    /* handle 1 */
    assert_int_equal(rc_base(0x28b), TPM2_RC_HANDLE);    /* handle 2 */
    assert_int_equal(rc_base(0x1cb), TPM2_RC_HANDLE);    /* parameter 1 */
    assert_int_equal(rc_base(0x1df), TPM2_RC_INTEGRITY); /* parameter 1 */
}

static void test_codes_without_numbers_stay(void **state)
{
    (void)state;
    assert_int_equal(rc_base(TPM2_RC_LOCKOUT), 0x921);
    assert_int_equal(rc_base(TPM2_RC_RETRY), 0x922);
    assert_int_equal(rc_base(TPM2_RC_AUTH_UNAVAILABLE), 0x12f);
    assert_int_equal(rc_base(TSS2_TCTI_RC_IO_ERROR), TSS2_TCTI_RC_IO_ERROR);
    assert_int_equal(rc_base(TSS2_RC_SUCCESS), TSS2_RC_SUCCESS);
}

static void test_only_the_transport_makes_transport_errors(void **state)
{
    (void)state;
    assert_true(rc_is_transport(TSS2_TCTI_RC_IO_ERROR));
    assert_true(rc_is_transport(TSS2_TCTI_RC_NO_CONNECTION));
    assert_true(rc_is_transport(TSS2_SYS_RC_MALFORMED_RESPONSE));
    assert_false(rc_is_transport(TPM2_RC_AUTH_FAIL));
    assert_false(rc_is_transport(TSS2_SYS_RC_BAD_VALUE));
    assert_false(rc_is_transport(TSS2_RC_SUCCESS));
}

static void test_lockout_is_not_a_locked_pin(void **state)
{
    (void)state;
    becomes(TPM2_RC_LOCKOUT, E_LOCKOUT, "lockout");
}

static void test_common_refusals_have_a_code_to_act_on(void **state)
{
    (void)state;
    becomes(TPM2_RC_OBJECT_MEMORY, E_BUSY, "slot");
    becomes(TPM2_RC_SESSION_MEMORY, E_BUSY, "slot");
    becomes(TPM2_RC_NV_SPACE, E_FULL, "NV memory is full");
    becomes(TPM2_RC_NV_DEFINED, E_EXISTS, "exists");
    becomes(TPM2_RC_INITIALIZE, E_NO_DEVICE, "TPM2_Startup");
    becomes(0x98e, E_DENIED, "0x98e");
    becomes(0x9a2, E_DENIED, "0x9a2");
    becomes(0x99d, E_DENIED, "policy");
    becomes(TPM2_RC_COMMAND_CODE, E_UNSUPPORTED, "command");
}

static void test_a_transport_error_says_the_tpm_stopped(void **state)
{
    (void)state;
    becomes(TSS2_TCTI_RC_IO_ERROR, E_REMOVED, "stopped answering");
}

static void test_an_unknown_code_keeps_its_number(void **state)
{
    (void)state;
    becomes(0x1df, E_TPM, "0x1df");
}

static void test_the_first_cause_stays(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(rc_fail(&e, TPM2_RC_LOCKOUT, "one"), -1);
    assert_int_equal(rc_fail(&e, TPM2_RC_NV_SPACE, "two"), -1);
    assert_int_equal(e.code, E_LOCKOUT);
    assert_int_equal(e.rc, TPM2_RC_LOCKOUT);
    assert_int_equal(rc_fail(NULL, TPM2_RC_LOCKOUT, "nobody listens"), -1);
}

/* Part 2, 6.6.3: a handle or session that is not loaded. An erased NV index answers
 * TPM_RC_HANDLE, which no rebuilding mends. */
static void test_stale_is_what_a_reset_leaves(void **state)
{
    (void)state;
    assert_true(stale(0x910)); /* TPM_RC_REFERENCE_H0: object */
    assert_true(stale(0x916)); /* TPM_RC_REFERENCE_H6 */
    assert_true(stale(0x918)); /* TPM_RC_REFERENCE_S0: session */
    assert_true(stale(0x91e)); /* TPM_RC_REFERENCE_S6 */
    assert_true(stale(TPM2_RC_CONTEXT_GAP));
    assert_true(stale(TSS2_TCTI_RC_IO_ERROR));
    assert_false(stale(0x18b));
    assert_false(stale(TPM2_RC_LOCKOUT));
    assert_false(stale(TPM2_RC_RETRY));
    assert_false(stale(0x98e));
    assert_false(stale(TSS2_RC_SUCCESS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_of_session_handle_and_parameter_are_cut_off),
        cmocka_unit_test(test_codes_without_numbers_stay),
        cmocka_unit_test(test_only_the_transport_makes_transport_errors),
        cmocka_unit_test(test_lockout_is_not_a_locked_pin),
        cmocka_unit_test(test_common_refusals_have_a_code_to_act_on),
        cmocka_unit_test(test_a_transport_error_says_the_tpm_stopped),
        cmocka_unit_test(test_an_unknown_code_keeps_its_number),
        cmocka_unit_test(test_the_first_cause_stays),
        cmocka_unit_test(test_stale_is_what_a_reset_leaves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
