/* Descriptors of USB devices, honest ones and others; serials that can name a token. */
#include "usb/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define DEVICE                         \
    "12010002000000405d36371300010102" \
    "0301"
#define CONFIG(total)     \
    "0902" total "010100" \
    "80fa"
#define INTERFACE "0904000003ff030000"
#define OUT_1 "07050102400000"
#define IN_2 "07058202400000"
#define NOTICE "0705830310000a"

static int parse(const char *hex, struct usb_descriptor *d)
{
    uint8_t raw[512];
    size_t n = strlen(hex) / 2;
    uint8_t *exact = malloc(n != 0 ? n : 1);
    int rc;

    assert_int_equal(hex_decode(raw, n, hex), 0);
    /* A sanitizer sees each byte too many. */
    memcpy(exact, raw, n);
    rc = descriptor_parse(bytes_of(exact, n), d, NULL);
    free(exact);
    return rc;
}

static void test_a_stick_is_recognised(void **state)
{
    const struct usb_interface *i;
    struct usb_descriptor d;

    (void)state;
    assert_int_equal(parse(DEVICE CONFIG("2700") INTERFACE OUT_1 IN_2 NOTICE, &d), 0);
    assert_int_equal(d.vendor, 0x365D);
    assert_int_equal(d.product, 0x1337);
    assert_int_equal(d.configuration, 1);
    i = ltt2go_backend.match(&d);
    assert_non_null(i);
    assert_int_equal(i->out, 0x01);
    assert_int_equal(i->in, 0x82);
    assert_int_equal(i->in_max, 64);
    /* Endpoints are where the descriptors say, in whatever order, and more do no harm. */
    assert_int_equal(parse(DEVICE CONFIG("3500") INTERFACE NOTICE "07058402400000"
                                                                  "07050302400000" IN_2 OUT_1,
                           &d),
                     0);
    i = ltt2go_backend.match(&d);
    assert_non_null(i);
    assert_int_equal(i->out, 0x03);
    assert_int_equal(i->in, 0x84);
}

static void test_others_are_not(void **state)
{
    static const char *const others[] = {
        /* Another vendor, another product. */
        "12010002000000405e36371300010102"
        "0301" CONFIG("2000") INTERFACE OUT_1 IN_2,
        "12010002000000405d36381300010102"
        "0301" CONFIG("2000") INTERFACE OUT_1 IN_2,
        /* No endpoints, one only, interrupt for bulk, endpoint 0, packets of 0 and 2048 bytes. */
        DEVICE CONFIG("1200") INTERFACE,
        DEVICE CONFIG("1900") INTERFACE OUT_1,
        DEVICE CONFIG("2000") INTERFACE "07050103400000" IN_2,
        DEVICE CONFIG("2000") INTERFACE "07050002400000" IN_2,
        DEVICE CONFIG("2000") INTERFACE "07050102000000" IN_2,
        DEVICE CONFIG("2000") INTERFACE "07050102000800" IN_2,
        /* Both before any interface, in another setting, in another interface. */
        DEVICE CONFIG("2000") OUT_1 IN_2 INTERFACE,
        DEVICE CONFIG("2000") "0904000103ff030000" OUT_1 IN_2,
        DEVICE CONFIG("2000") "0904010003ff030000" OUT_1 IN_2,
    };
    struct usb_descriptor d;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_int_equal(parse(others[i], &d), 0);
        if (ltt2go_backend.match(&d) != NULL)
            fail_msg("number %zu is taken for a stick", i);
    }
}

static void test_lengths_that_lie_are_refused(void **state)
{
    static const char *const lies[] = {
        "",
        "12",
        "1201",
        DEVICE,
        /* bLength 0, 1, beyond the end; of device, configuration, and inside. */
        "00010002000000405d36371300010102"
        "0301" CONFIG("2000") INTERFACE OUT_1 IN_2,
        "13010002000000405d36371300010102"
        "0301" CONFIG("2000") INTERFACE OUT_1 IN_2,
        DEVICE "000220000101"
               "0080fa" INTERFACE OUT_1 IN_2,
        DEVICE CONFIG("2000") "0004000003ff030000" OUT_1 IN_2,
        DEVICE CONFIG("2000") INTERFACE "01050102400000" IN_2,
        DEVICE CONFIG("2000") INTERFACE OUT_1 "ff058202400000",
        /* wTotalLength: less than its own, more than there is, in the middle of a descriptor. */
        DEVICE CONFIG("0800") INTERFACE OUT_1 IN_2,
        DEVICE CONFIG("0000") INTERFACE OUT_1 IN_2,
        DEVICE CONFIG("2100") INTERFACE OUT_1 IN_2,
        DEVICE CONFIG("ffff") INTERFACE OUT_1 IN_2,
        DEVICE CONFIG("1b00") INTERFACE OUT_1 IN_2,
        /* Not a device descriptor, not a configuration. */
        CONFIG("2000") INTERFACE OUT_1 IN_2,
        DEVICE INTERFACE OUT_1 IN_2,
    };
    struct usb_descriptor d;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        if (parse(lies[i], &d) == 0)
            fail_msg("number %zu is believed", i);
    }
}

static void test_many_interfaces_are_counted_and_no_more(void **state)
{
    static const char tail[] = INTERFACE OUT_1 IN_2;
    char hex[4096] = DEVICE CONFIG("0000");
    struct usb_descriptor d;
    size_t n = strlen(hex), total = 9;

    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        char one[19];

        (void)snprintf(one, sizeof(one), "0904%02x0000ff000000", 40 - i);
        memcpy(hex + n, one, 18);
        n += 18;
        total += 9;
    }
    memcpy(hex + n, tail, sizeof(tail));
    total += 23;
    hex_encode(hex + 36 + 4, (const uint8_t[]){(uint8_t)total, (uint8_t)(total >> 8)}, 2);
    hex[36 + 8] = '0'; /* where hex_encode() put its end */
    assert_int_equal(parse(hex, &d), 0);
    assert_int_equal(d.interfaces, DESCRIPTOR_INTERFACES);
    assert_null(descriptor_bulk(&d, 0));
}

static void test_serials(void **state)
{
    char longest[DESCRIPTOR_SERIAL + 2];

    (void)state;
    assert_true(descriptor_serial_ok("0123-abc_DEF.4:5+6"));
    assert_false(descriptor_serial_ok(""));
    assert_false(descriptor_serial_ok("."));
    assert_false(descriptor_serial_ok(".."));
    assert_false(descriptor_serial_ok("../x"));
    assert_false(descriptor_serial_ok("a b"));
    assert_false(descriptor_serial_ok("a%n"));
    assert_false(descriptor_serial_ok("a\n"));
    assert_false(descriptor_serial_ok("\xC3\xA9"));
    memset(longest, 'x', sizeof(longest));
    longest[DESCRIPTOR_SERIAL + 1] = 0;
    assert_false(descriptor_serial_ok(longest));
    longest[DESCRIPTOR_SERIAL] = 0;
    assert_true(descriptor_serial_ok(longest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stick_is_recognised),
        cmocka_unit_test(test_others_are_not),
        cmocka_unit_test(test_lengths_that_lie_are_refused),
        cmocka_unit_test(test_many_interfaces_are_counted_and_no_more),
        cmocka_unit_test(test_serials),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
