/* The windows of a LetsTrust-TPM2Go byte by byte, on a device of the test's own. */
#include "usb/ltt2go.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* What the bridge was told, and what it answers. */
struct wire {
    struct device device;
    uint8_t type, request;
    uint16_t value, index;
    uint8_t out[128], in[128];
    size_t out_len, in_len, in_off, piece; /* bytes a transfer brings; 0: all */
    int rc_control, rc_write, rc_read;
    unsigned controls;
};

static int wire_control(void *arg, uint8_t type, uint8_t request, uint16_t value, uint16_t index,
                        unsigned timeout_ms, struct err *e)
{
    struct wire *w = arg;

    (void)timeout_ms;
    w->controls++;
    w->type = type;
    w->request = request;
    w->value = value;
    w->index = index;
    return w->rc_control < 0 ? err_set(e, E_REMOVED, "gone") : w->rc_control;
}

static int wire_write(void *arg, const uint8_t *p, size_t n, unsigned timeout_ms, struct err *e)
{
    struct wire *w = arg;

    (void)timeout_ms;
    assert_in_range(n, 5, 68);
    memcpy(w->out, p, n);
    w->out_len = n;
    return w->rc_write < 0 ? err_set(e, E_REMOVED, "gone") : w->rc_write;
}

static int wire_read(void *arg, uint8_t *p, size_t *n, unsigned timeout_ms, struct err *e)
{
    struct wire *w = arg;
    size_t some = w->piece != 0 ? w->piece : *n;

    (void)timeout_ms;
    if (w->rc_read != 0)
        return w->rc_read < 0 ? err_set(e, E_REMOVED, "gone") : w->rc_read;
    some = some < *n ? some : *n;
    some = some < w->in_len - w->in_off ? some : w->in_len - w->in_off;
    if (some == 0)
        return DEVICE_TIMEOUT;
    memcpy(p, w->in + w->in_off, some);
    w->in_off += some;
    *n = some;
    return 0;
}

static const struct device_ops ops = {
    .control = wire_control, .write = wire_write, .read = wire_read};

static struct wire *fresh(struct wire *w, size_t n)
{
    memset(w, 0, sizeof(*w));
    w->device.ops = &ops;
    w->device.arg = w;
    w->in_len = 4 + n;
    w->in[3] = 0x01;
    for (size_t i = 0; i < n; i++)
        w->in[4 + i] = (uint8_t)(0x40 + i);
    return w;
}

static void test_a_read_is_a_head_and_zeros(void **state)
{
    static const uint8_t want[8] = {0x83, 0xD4, 0x00, 0x18};
    uint8_t got[4];
    struct wire w;

    (void)state;
    fresh(&w, 4);
    assert_int_equal(ltt2go_read(&w.device, 0x018, got, 4, NULL), 0);
    assert_int_equal(w.type, 0xC0);
    assert_int_equal(w.request, 0xCA);
    assert_int_equal(w.value, 0x0003);
    assert_int_equal(w.index, 8);
    assert_int_equal(w.out_len, 8);
    assert_memory_equal(w.out, want, 8);
    assert_memory_equal(got, "\x40\x41\x42\x43", 4);
    assert_int_equal(w.device.transfers, 3);
}

static void test_a_write_carries_its_bytes(void **state)
{
    uint8_t bytes[64];
    struct wire w;

    (void)state;
    memset(bytes, 0x5A, sizeof(bytes));
    fresh(&w, 64);
    assert_int_equal(ltt2go_write(&w.device, 0x024, bytes, 64, NULL), 0);
    assert_int_equal(w.index, 68);
    assert_memory_equal(w.out, "\x3F\xD4\x00\x24", 4);
    assert_memory_equal(w.out + 4, bytes, 64);
    fresh(&w, 1);
    assert_int_equal(ltt2go_write(&w.device, 0xF04, bytes, 1, NULL), 0);
    assert_memory_equal(w.out, "\x00\xD4\x0F\x04\x5A", 5);
}

static void test_windows_end_at_64_bytes(void **state)
{
    uint8_t bytes[65] = {0};
    struct wire w;

    (void)state;
    fresh(&w, 64);
    assert_int_equal(ltt2go_write(&w.device, 0x024, bytes, 65, NULL), -1);
    assert_int_equal(ltt2go_read(&w.device, 0x024, bytes, 65, NULL), -1);
    assert_int_equal(ltt2go_read(&w.device, 0x024, bytes, 0, NULL), -1);
    assert_int_equal(w.controls, 0);
}

static void test_short_packets_are_put_together(void **state)
{
    uint8_t got[64];
    struct wire w;

    (void)state;
    for (size_t piece = 1; piece < 68; piece++) {
        fresh(&w, 64);
        w.piece = piece;
        assert_int_equal(ltt2go_read(&w.device, 0x024, got, 64, NULL), 0);
        assert_memory_equal(got, w.in + 4, 64);
    }
}

static void test_a_wait_of_the_chip_is_seen(void **state)
{
    uint8_t got[4] = {0};
    struct wire w;

    (void)state;
    fresh(&w, 4);
    w.in[3] = 0xFE;
    assert_int_equal(ltt2go_read(&w.device, 0x018, got, 4, NULL), TIS_WAITED);
    fresh(&w, 4);
    w.in[3] = 0x00;
    assert_int_equal(ltt2go_write(&w.device, 0x018, got, 4, NULL), TIS_WAITED);
    fresh(&w, 4);
    w.in[3] = 0xFF;
    assert_int_equal(ltt2go_read(&w.device, 0x018, got, 4, NULL), 0);
}

static void test_failures_of_each_transfer(void **state)
{
    uint8_t got[4];
    struct wire w;

    (void)state;
    for (int i = 0; i < 6; i++) {
        struct err e = {0};
        int *rc[] = {&w.rc_control, &w.rc_write, &w.rc_read};

        fresh(&w, 4);
        *rc[i / 2] = i % 2 == 0 ? -1 : DEVICE_TIMEOUT;
        assert_int_equal(ltt2go_read(&w.device, 0x018, got, 4, &e), -1);
        assert_int_equal(e.code, i % 2 == 0 ? E_REMOVED : E_IO);
    }
    /* Bytes that are missing at the end. */
    for (size_t n = 0; n < 8; n++) {
        struct err e = {0};

        fresh(&w, 4);
        w.in_len = n;
        assert_int_equal(ltt2go_read(&w.device, 0x018, got, 4, &e), -1);
        assert_int_equal(e.code, E_IO);
        assert_non_null(strstr(e.msg, "does not answer in time"));
    }
}

static void test_what_another_left_is_thrown_away(void **state)
{
    struct wire w;
    void *s = NULL;

    (void)state;
    fresh(&w, 64);
    assert_int_equal(ltt2go_backend.open(&s, &w.device, NULL), 0);
    assert_int_equal(w.controls, 0);
    assert_int_equal(ltt2go_backend.begin(s, false, NULL), 0);
    assert_int_equal(w.controls, 0);
    assert_int_equal(ltt2go_backend.begin(s, true, NULL), 0);
    assert_int_equal(w.type, 0x40);
    assert_int_equal(w.request, 0xCB);
    assert_int_equal(w.in_off, 68);
    w.rc_control = -1;
    assert_int_equal(ltt2go_backend.begin(s, true, NULL), -1);
    ltt2go_backend.close(s);
    ltt2go_backend.close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_read_is_a_head_and_zeros),
        cmocka_unit_test(test_a_write_carries_its_bytes),
        cmocka_unit_test(test_windows_end_at_64_bytes),
        cmocka_unit_test(test_short_packets_are_put_together),
        cmocka_unit_test(test_a_wait_of_the_chip_is_seen),
        cmocka_unit_test(test_failures_of_each_transfer),
        cmocka_unit_test(test_what_another_left_is_thrown_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
