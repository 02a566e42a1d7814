/* A token between hosts (ours, and hostile ones) and a software TPM. */
#include "tests/support/unit_tokend.h"
#include "usb/backend.h"

#include <poll.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static uint32_t start_sequence(struct unit_tokend *w)
{
    /* HashSequenceStart, no authValue, SHA-256 */
    static const uint8_t command[14] = {0x80, 0x01, 0, 0, 0, 14, 0, 0, 0x01, 0x86, 0, 0, 0, 0x0B};
    uint8_t r[FRAME_PAYLOAD];
    size_t n;

    assert_int_equal(unit_tokend_talk(w, command, sizeof(command), r, &n), 0);
    return (uint32_t)r[10] << 24 | (uint32_t)r[11] << 16 | (uint32_t)r[12] << 8 | r[13];
}

#define TRANSIENT 0x80000000U

static void test_commands_go_through_with_three_transfers(void **state)
{
    struct unit_tokend w;
    unsigned long before;

    (void)state;
    unit_tokend_begin(&w, "none", 1, 0);
    assert_true(unit_tokend_works(&w));
    before = w.usb.device.transfers;
    for (int i = 0; i < 20; i++)
        assert_true(unit_tokend_works(&w));
    assert_in_range(w.usb.device.transfers - before, 40, 80);
    assert_int_equal(w.usb.device.transfers - before, 40);
    unit_tokend_end(&w);
}

static void test_answers_that_fill_their_last_packet_arrive(void **state)
{
    uint8_t command[12] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7B, 0, 0}, r[FRAME_PAYLOAD];
    struct unit_tokend w;
    size_t n;

    (void)state;
    unit_tokend_begin(&w, "none", 1, 0);
    /* 16 + 12 + 36 bytes are one packet of 64. */
    for (uint8_t bytes = 30; bytes < 40; bytes++) {
        command[11] = bytes;
        assert_int_equal(unit_tokend_talk(&w, command, sizeof(command), r, &n), 0);
        assert_int_equal(n, 12 + (bytes < 64 ? bytes : 64));
    }
    /* 64 properties of 8 bytes each: several packets, of all lengths. */
    for (uint32_t i = 1; i < 40; i++) {
        const uint32_t words[3] = {6, 0x100, i};

        assert_int_equal(unit_tokend_ask(&w, 0x17A, 3, words, r, &n), 0);
    }
    unit_tokend_end(&w);
}

static void test_a_command_of_4096_bytes_is_carried(void **state)
{
    static uint8_t command[FRAME_PAYLOAD] = {0x80, 0x01, 0, 0, 0x10, 0, 0, 0, 0x01, 0x46};
    uint8_t r[FRAME_PAYLOAD];
    struct unit_tokend w;
    unsigned long before;
    size_t n;

    (void)state;
    unit_tokend_begin(&w, "none", 1, 0);
    assert_true(unit_tokend_works(&w));
    before = w.usb.device.transfers;
    /* StirRandom with more than it takes: it is the TPM that says no. */
    assert_int_not_equal(unit_tokend_talk(&w, command, sizeof(command), r, &n), 0);
    assert_in_range(w.usb.device.transfers - before, 2, 4);
    assert_true(unit_tokend_works(&w));
    unit_tokend_end(&w);
}

static void test_refusals_come_as_responses(void **state)
{
    static const uint32_t clear[1] = {0x4000000A}, evict[3] = {0x4000000C, 0x81000000, 0x81000000};
    uint8_t r[FRAME_PAYLOAD];
    struct unit_tokend w;
    size_t n;

    (void)state;
    unit_tokend_begin(&w, "none", 1, 0);
    assert_int_equal(unit_tokend_ask(&w, 0x126, 1, clear, r, &n), 0x143);
    assert_int_equal(unit_tokend_ask(&w, 0x120, 3, evict, r, &n), 0x185);
    assert_int_equal(n, TOKEND_ANSWER);
    assert_true(unit_tokend_works(&w));
    unit_tokend_end(&w);
}

static void test_what_a_vanished_host_made_is_flushed(void **state)
{
    struct unit_tokend w;
    struct err e = {0};

    (void)state;
    unit_tokend_begin(&w, "none", 1, 0);
    assert_int_equal(unit_tokend_count(&w, TRANSIENT), 0);
    (void)start_sequence(&w);
    (void)start_sequence(&w);
    assert_int_equal(unit_tokend_count(&w, TRANSIENT), 2);
    /* A reset, as between two processes of one host, flushes nothing. */
    assert_int_equal(frame_backend.begin(w.host, true, &e), 0);
    assert_int_equal(unit_tokend_count(&w, TRANSIENT), 2);
    unit_tokend_event(&w, TOKEND_EVENT_GONE);
    /* The next host finds nothing. */
    assert_int_equal(frame_backend.begin(w.host, true, &e), 0);
    assert_int_equal(unit_tokend_count(&w, TRANSIENT), 0);
    unit_tokend_end(&w);
}

static void test_objects_that_the_host_did_not_make_are_not_there(void **state)
{
    uint8_t r[FRAME_PAYLOAD];
    struct unit_tokend w;
    uint32_t made, other[2] = {0x80FFFFFE, 0x80FFFFFE};
    size_t n;

    (void)state;
    unit_tokend_begin(&w, "none", 1, 0);
    made = start_sequence(&w);
    assert_int_equal(unit_tokend_ask(&w, 0x165, 1, other, r, &n), TOKEND_RC_HANDLE);
    assert_int_equal(unit_tokend_ask(&w, 0x173, 1, other, r, &n), TOKEND_RC_REFERENCE_H0);
    other[0] = 0x81000001;
    assert_int_equal(unit_tokend_ask(&w, 0x148, 2, other, r, &n), TOKEND_RC_REFERENCE_H0 + 1);
    /* Flushed, it is gone; also for the list. */
    assert_int_equal(unit_tokend_ask(&w, 0x165, 1, &made, r, &n), 0);
    assert_int_equal(unit_tokend_ask(&w, 0x165, 1, &made, r, &n), TOKEND_RC_HANDLE);
    assert_true(unit_tokend_works(&w));
    unit_tokend_end(&w);
}

static void test_what_the_host_flushes_is_forgotten(void **state)
{
    uint8_t r[FRAME_PAYLOAD];
    struct unit_tokend w;
    uint32_t made;
    size_t n;

    (void)state;
    unit_tokend_begin(&w, "none", 1, 0);
    /* Many more than there is room for at a time, or in any list. */
    for (int i = 0; i < 300; i++) {
        made = start_sequence(&w);
        assert_int_equal(unit_tokend_ask(&w, 0x165, 1, &made, r, &n), 0);
    }
    assert_int_equal(unit_tokend_count(&w, TRANSIENT), 0);
    unit_tokend_end(&w);
}

static void test_what_is_no_frame_is_told_once_and_then_not_heard(void **state)
{
    uint8_t frame[FRAME_HEAD + 20] = {0};
    struct unit_tokend w;

    (void)state;
    unit_tokend_begin(&w, "none", 1, 0);
    unit_tokend_deaf(&w);
    for (int i = 0; i < 7; i++) {
        enum frame_error code = FRAME_E_FORMAT;
        size_t n = FRAME_HEAD + 12;
        int timeout_ms = 3000;

        frame_head(frame, FRAME_COMMAND, 9, 12);
        memcpy(frame + FRAME_HEAD, unit_tokend_random, 12);
        switch (i) {
        case 0: frame[0] = 'X'; break;                       /* magic */
        case 1: frame[4] = 2, code = FRAME_E_VERSION; break; /* version */
        case 2: frame[15] = 1; break;                        /* 16 million bytes */
        case 3: frame[5] = FRAME_RESPONSE; break;            /* a token's word */
        case 4: n = 7; break;                                /* half a head */
        case 5: n++; break;                                  /* a byte too much */
        default: n--; break;                                 /* a byte that never comes */
        }
        unit_tokend_throw(&w, frame, n);
        unit_tokend_told(&w, code, timeout_ms);
        unit_tokend_deaf(&w);
    }
    unit_tokend_end(&w);
}

static void test_frames_come_in_packets_of_any_size(void **state)
{
    uint8_t frame[FRAME_HEAD + 12], payload[FRAME_PAYLOAD];
    struct frame_head h;
    struct unit_tokend w;

    (void)state;
    unit_tokend_begin(&w, "none", 1, 0);
    unit_tokend_deaf(&w);
    frame_head(frame, FRAME_COMMAND, 11, 12);
    memcpy(frame + FRAME_HEAD, unit_tokend_random, 12);
    unit_tokend_throw(&w, frame, FRAME_HEAD);
    for (size_t i = 0; i < 12; i++)
        unit_tokend_throw(&w, unit_tokend_random + i, 1);
    assert_int_equal(unit_tokend_get(&w, &h, payload, 5000), FRAME_RESPONSE);
    assert_int_equal(h.sequence, 11);
    unit_tokend_end(&w);
}

/* CreatePrimary of RSA 2048 in the null hierarchy (Part 3, 24.1): takes a while. */
static size_t slow_command(uint8_t out[128])
{
    struct buf b = {0}, public = {0};
    size_t len;

    buf_u16(&public, 0x0001);     /* TPM_ALG_RSA */
    buf_u16(&public, 0x000B);     /* TPM_ALG_SHA256 */
    buf_u32(&public, 0x00040072); /* sign, userWithAuth, its data made by the TPM, fixed */
    buf_u16(&public, 0);          /* authPolicy */
    buf_u16(&public, 0x0010);     /* symmetric: null */
    buf_u16(&public, 0x0010);     /* scheme: null */
    buf_u16(&public, 2048);
    buf_u32(&public, 0);
    buf_u16(&public, 0); /* unique */

    buf_u16(&b, 0x8002);
    buf_u32(&b, 0);
    buf_u32(&b, 0x131);
    buf_u32(&b, 0x40000007); /* TPM_RH_NULL */
    buf_u32(&b, 9);
    buf_u32(&b, 0x40000009); /* TPM_RS_PW */
    buf_u16(&b, 0);
    buf_u8(&b, 0);
    buf_u16(&b, 0);
    buf_u16(&b, 4); /* TPM2B_SENSITIVE_CREATE */
    buf_u32(&b, 0);
    buf_2b(&b, public.p, public.len);
    buf_u16(&b, 0); /* outsideInfo */
    buf_u32(&b, 0); /* no PCRs */
    b.p[5] = (uint8_t)b.len;
    len = b.len;
    memcpy(out, b.p, len);
    buf_free(&b);
    buf_free(&public);
    return len;
}

static void test_a_second_command_is_refused_and_the_first_goes_on(void **state)
{
    uint8_t slow[128], payload[FRAME_PAYLOAD];
    const size_t len = slow_command(slow);
    struct frame_head h;
    struct unit_tokend w;

    (void)state;
    unit_tokend_begin(&w, "none", 1, 0);
    unit_tokend_deaf(&w);
    unit_tokend_send(&w, FRAME_COMMAND, 20, slow, len);
    unit_tokend_send(&w, FRAME_COMMAND, 21, unit_tokend_random, sizeof(unit_tokend_random));
    unit_tokend_send(&w, FRAME_CANCEL, 19, NULL, 0);
    assert_int_equal(unit_tokend_get(&w, &h, payload, 5000), FRAME_ERROR);
    assert_int_equal(h.sequence, 21);
    assert_int_equal(payload[0], FRAME_E_BUSY);
    assert_int_equal(unit_tokend_get(&w, &h, payload, 20000), FRAME_RESPONSE);
    assert_int_equal(h.sequence, 20);
    assert_int_equal(RC_OF(payload), 0);
    unit_tokend_end(&w);
}

static void test_a_host_that_vanishes_in_a_command_leaves_nothing(void **state)
{
    uint8_t slow[128], payload[FRAME_PAYLOAD];
    const size_t len = slow_command(slow);
    struct frame_head h;
    struct unit_tokend w;
    struct err e = {0};

    (void)state;
    unit_tokend_begin(&w, "none", 1, 0);
    unit_tokend_deaf(&w);
    unit_tokend_send(&w, FRAME_COMMAND, 20, slow, len);
    unit_tokend_event(&w, TOKEND_EVENT_GONE);
    assert_int_equal(frame_backend.begin(w.host, true, &e), 0);
    assert_int_equal(unit_tokend_count(&w, TRANSIENT), 0);
    /* A greeting in the middle of it ends it, too, and what it made does not stay. */
    unit_tokend_send(&w, FRAME_COMMAND, 20, slow, len);
    unit_tokend_send(&w, FRAME_HELLO, 21, NULL, 0);
    assert_int_equal(unit_tokend_get(&w, &h, payload, 20000), FRAME_CAPS);
    assert_int_equal(unit_tokend_count(&w, TRANSIENT), 0);
    unit_tokend_end(&w);
}

static void test_a_host_that_does_not_read_is_given_up(void **state)
{
    struct unit_tokend w;
    struct pollfd p;
    struct err e = {0};

    (void)state;
    unit_tokend_begin(&w, "none", 1, 0);
    unit_tokend_deaf(&w);
    p = (struct pollfd){.fd = w.usb.fd, .events = POLLOUT};
    /* Whether its answers find room or not, the token does not stand still. */
    for (uint32_t i = 0; i < 3000; i++) {
        if (poll(&p, 1, 2000) != 1)
            fail_msg("the token stands still at frame %u", i);
        unit_tokend_send(&w, FRAME_HELLO, i, NULL, 0);
    }
    while (device_drain(&w.usb.device, 100000, &e) != 0)
        err_clear(&e);
    assert_int_equal(frame_backend.begin(w.host, true, &e), 0);
    assert_true(unit_tokend_works(&w));
    unit_tokend_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands_go_through_with_three_transfers),
        cmocka_unit_test(test_answers_that_fill_their_last_packet_arrive),
        cmocka_unit_test(test_a_command_of_4096_bytes_is_carried),
        cmocka_unit_test(test_refusals_come_as_responses),
        cmocka_unit_test(test_what_a_vanished_host_made_is_flushed),
        cmocka_unit_test(test_objects_that_the_host_did_not_make_are_not_there),
        cmocka_unit_test(test_what_the_host_flushes_is_forgotten),
        cmocka_unit_test(test_what_is_no_frame_is_told_once_and_then_not_heard),
        cmocka_unit_test(test_frames_come_in_packets_of_any_size),
        cmocka_unit_test(test_a_second_command_is_refused_and_the_first_goes_on),
        cmocka_unit_test(test_a_host_that_vanishes_in_a_command_leaves_nothing),
        cmocka_unit_test(test_a_host_that_does_not_read_is_given_up),
    };

    return cmocka_run_group_tests_name("usb_tokend", tests, NULL, NULL);
}
