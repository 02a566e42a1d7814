/* Sticks, bridges and chips that fail, on the level of USB transfers: each time an error that says
 * what to do, and the next command works. And devices that only pretend to be sticks. */
#include "tests/support/unit_tis.h"
#include "tests/support/unit_usbstick.h"
#include "usb/hotplug.h"
#include "usb/tcti.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const uint8_t getrandom[12] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7B, 0, 8};
static TSS2_TCTI_CONTEXT *token;

static TSS2_RC open_token(void)
{
    size_t size = 0;
    TSS2_RC rc;

    assert_int_equal(tcti_usb_init(NULL, &size, ""), TSS2_RC_SUCCESS);
    token = calloc(1, size);
    assert_non_null(token);
    rc = tcti_usb_init(token, &size, "");
    if (rc != TSS2_RC_SUCCESS) {
        free(token);
        token = NULL;
    }
    return rc;
}

static void close_token(void)
{
    if (token != NULL)
        Tss2_Tcti_Finalize(token);
    free(token);
    token = NULL;
}

static TSS2_RC talk(void)
{
    uint8_t r[4096];
    size_t n = sizeof(r);
    TSS2_RC rc = Tss2_Tcti_Transmit(token, sizeof(getrandom), getrandom);

    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Tcti_Receive(token, &n, r, TSS2_TCTI_TIMEOUT_BLOCK);
    if (rc == TSS2_RC_SUCCESS)
        assert_int_equal(n, 20);
    return rc;
}

static int plugged(void **state)
{
    (void)state;
    unit_usbstick("plug a");
    assert_int_equal(open_token(), TSS2_RC_SUCCESS);
    assert_int_equal(talk(), TSS2_RC_SUCCESS);
    return 0;
}

static int unplugged(void **state)
{
    (void)state;
    close_token();
    unit_usbstick("fault a sound");
    unit_usbstick("tis a 0 0");
    unit_usbstick("unplug a");
    return 0;
}

static const struct {
    const char *fault;
    unsigned times;
    const char *says; /* NULL: no error at all */
} bridges[] = {
    {"stall-control", 1, "asking the USB token A-1"},
    {"stall-out", 1, "writing to the USB token A-1"},
    {"stall-in", 1, "reading from the USB token A-1"},
    {"long-in", 1, "reading from the USB token A-1"},
    {"garbage", 1, "reading from the USB token A-1"},
    {"mute-in", 1, "does not answer in time"},
    {"deaf-out", 1, "does not answer in time"},
    {"empty-forever", 100000, "does not answer in time"},
    {"wait", 100000, "kept asking to wait"},
    {"short-in", 100000, NULL},
    {"empty-in", 3, NULL},
    {"wait", 1, NULL},
};

static void test_each_fault_of_a_bridge_is_told_and_got_over(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bridges); i++) {
        struct err e = {0};
        TSS2_RC rc;

        unit_usbstick("fault a %s %u", bridges[i].fault, bridges[i].times);
        rc = talk();
        if (bridges[i].says == NULL) {
            assert_int_equal(rc, TSS2_RC_SUCCESS);
        } else {
            assert_int_equal(tcti_usb_why(&e), -1);
            if (rc != TSS2_TCTI_RC_IO_ERROR || strstr(e.msg, bridges[i].says) == NULL)
                fail_msg("%s: 0x%x %s", bridges[i].fault, rc, e.msg);
        }
        unit_usbstick("fault a sound");
        /* The same context, without a new plugging in. */
        rc = talk();
        if (rc != TSS2_RC_SUCCESS) {
            err_clear(&e);
            (void)!tcti_usb_why(&e);
            fail_msg("after %s: 0x%x %s", bridges[i].fault, rc, e.msg);
        }
    }
}

static void test_each_fault_of_a_chip_is_told_and_got_over(void **state)
{
    static const struct {
        enum unit_tis_fault fault;
        TSS2_RC rc;
    } chips[] = {
        {TIS_ABSENT_ZEROS, TSS2_TCTI_RC_NO_CONNECTION},
        {TIS_ABSENT_ONES, TSS2_TCTI_RC_NO_CONNECTION},
        {TIS_BURST_ZERO, TSS2_TCTI_RC_IO_ERROR},
        {TIS_NEVER_VALID, TSS2_TCTI_RC_IO_ERROR},
        {TIS_ALL_ONES, TSS2_TCTI_RC_IO_ERROR},
        {TIS_EXPECTS, TSS2_TCTI_RC_IO_ERROR},
        {TIS_SIZE_NINE, TSS2_TCTI_RC_IO_ERROR},
        {TIS_SIZE_HUGE, TSS2_TCTI_RC_IO_ERROR},
        {TIS_SIZE_LESS, TSS2_TCTI_RC_IO_ERROR},
        {TIS_SIZE_MORE, TSS2_TCTI_RC_IO_ERROR},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(chips); i++) {
        TSS2_RC rc;

        unit_usbstick("tis a %d", (int)chips[i].fault);
        rc = talk();
        if (rc != chips[i].rc)
            fail_msg("chip fault %d: 0x%x", (int)chips[i].fault, rc);
        unit_usbstick("tis a 0");
        rc = talk();
        if (rc != TSS2_RC_SUCCESS)
            fail_msg("after chip fault %d: 0x%x", (int)chips[i].fault, rc);
    }
}

/* --- what pretends to be one -------------------------------------------------------------- */

static size_t listed(void)
{
    struct hotplug *h;
    size_t n;

    assert_int_equal(hotplug_new(&h, NULL), 0);
    hotplug_look(h);
    n = hotplug_count(h);
    hotplug_free(h);
    return n;
}

static void test_other_devices_are_not_seen(void **state)
{
    static const char *const others[] = {
        "12010002000000405e363713000101020301"
        "09022000010100"
        "80fa"
        "0904000003ff030000"
        "07050102400000"
        "07058202400000",
        "12010002000000405d363713000101020301"
        "09021200010100"
        "80fa"
        "0904000000ff030000",
        "12010002000000405d363713000101020301"
        "09022000010100"
        "80fa"
        "0904000003ff030000"
        "07050103400000"
        "07058203400000",
        "12010002000000405d363713000101020301"
        "0902ffff010100"
        "80fa"
        "0904000003ff030000"
        "07050102400000"
        "07058202400000",
        "12010002000000405d363713000101020301"
        "09022000010100"
        "80fa"
        "0004000003ff030000"
        "07050102400000"
        "07058202400000",
        "12010002000000405d363713000101020301",
        "00",
    };

    (void)state;
    close_token();
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        unit_usbstick("unplug a");
        unit_usbstick("descriptors a %s", others[i]);
        unit_usbstick("plug a");
        assert_int_equal(listed(), 0);
        assert_int_equal(open_token(), TSS2_TCTI_RC_NO_CONNECTION);
    }
    unit_usbstick("unplug a");
    unit_usbstick("descriptors a");
    unit_usbstick("plug a");
    assert_int_equal(listed(), 1);
}

static void test_hostile_serials(void **state)
{
    static const char *const serials[] = {"-",        "..%2f..%2fetc", "a%20b",
                                          "%25n%25n", "caf%c3%a9",     "%1b[2J"};
    struct err e = {0};

    (void)state;
    close_token();
    unit_usbstick("unplug a");
    for (size_t i = 0; i < ARRAY_LEN(serials); i++) {
        unit_usbstick("add s%zu %s", i, serials[i]);
        unit_usbstick("plug s%zu", i);
        /* It is a token, but none that its serial could name. */
        assert_int_equal(open_token(), TSS2_RC_SUCCESS);
        assert_int_equal(talk(), TSS2_RC_SUCCESS);
        close_token();
        unit_usbstick("unplug s%zu", i);
    }
    /* Two of one name: not one of them by chance. */
    unit_usbstick("add twin A-1");
    unit_usbstick("plug a");
    unit_usbstick("plug twin");
    assert_int_equal(hotplug_find(NULL, "A-1", &(struct hotplug_token){0}, &e), -1);
    assert_non_null(strstr(e.msg, "several USB tokens have the serial A-1: unplug all but one"));
    unit_usbstick("unplug twin");
}

#define plug_test(f) cmocka_unit_test_setup_teardown(f, plugged, unplugged)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        plug_test(test_each_fault_of_a_bridge_is_told_and_got_over),
        plug_test(test_each_fault_of_a_chip_is_told_and_got_over),
        plug_test(test_other_devices_are_not_seen),
        plug_test(test_hostile_serials),
    };
    int rc;

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    if (!unit_usbstick_begin(argv))
        return 1;
    unit_usbstick("add a A-1");
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    unit_usbstick_end();
    return rc;
}
