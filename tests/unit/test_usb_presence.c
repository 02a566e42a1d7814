/* A token whose keys wait for somebody: a button, a program. */
#include "tests/support/unit_tokend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* --- presence ------------------------------------------------------------------------------ */

/* HMAC_Start with a key that is not there: only presence is of interest. */
static const uint32_t hmac_start[3] = {0x81FFFFFF, 0x00000000, 0x000B0000};

static void press(struct unit_tokend *w, char c)
{
    FILE *f = fopen(w->button, "r+");

    assert_non_null(f);
    assert_int_equal(fputc(c, f), c);
    assert_int_equal(fclose(f), 0);
}

static void begin_with_button(struct unit_tokend *w, unsigned hold_s)
{
    char how[80], name[64];
    FILE *f;
    int fd;

    (void)snprintf(name, sizeof(name), "/tmp/fz-button.XXXXXX");
    fd = mkstemp(name);
    assert_true(fd >= 0);
    close(fd);
    f = fopen(name, "w");
    assert_non_null(f);
    assert_true(fputs("0\n", f) >= 0);
    assert_int_equal(fclose(f), 0);
    (void)snprintf(how, sizeof(how), "gpio:%s", name);
    unit_tokend_begin(w, how, 1, hold_s);
    memcpy(w->button, name, sizeof(name));
}

/* The code of the answer, after a press that the token is waiting for. */
static uint32_t pressed(struct unit_tokend *w, uint32_t sequence)
{
    uint8_t command[64], payload[FRAME_PAYLOAD];
    const size_t len = unit_tokend_make(command, 0x15B, 3, hmac_start);
    struct frame_head h;

    unit_tokend_send(w, FRAME_COMMAND, sequence, command, len);
    assert_int_equal(unit_tokend_get(w, &h, payload, 5000), FRAME_PRESENCE);
    assert_int_equal(h.sequence, sequence);
    press(w, '1');
    assert_int_equal(unit_tokend_get(w, &h, payload, 5000), FRAME_RESPONSE);
    press(w, '0');
    return RC_OF(payload);
}

static void test_a_key_is_used_when_the_button_is_pressed(void **state)
{
    uint8_t r[FRAME_PAYLOAD];
    struct unit_tokend w;
    size_t n;

    (void)state;
    begin_with_button(&w, 0);
    unit_tokend_deaf(&w);
    /* The TPM's own refusal: the command got there. */
    assert_int_not_equal(pressed(&w, 30), TOKEND_RC_PP);
    /* One press, one command. */
    assert_int_equal(unit_tokend_ask(&w, 0x15B, 3, hmac_start, r, &n), TOKEND_RC_PP);
    /* Other commands want none. */
    assert_true(unit_tokend_works(&w));
    unit_tokend_end(&w);
}

static void test_a_button_that_is_held_down_confirms_nothing(void **state)
{
    uint8_t r[FRAME_PAYLOAD];
    struct unit_tokend w;
    size_t n;

    (void)state;
    begin_with_button(&w, 0);
    unit_tokend_deaf(&w);
    press(&w, '1');
    assert_int_equal(unit_tokend_ask(&w, 0x15B, 3, hmac_start, r, &n), TOKEND_RC_PP);
    unit_tokend_end(&w);
}

static void test_a_press_is_good_for_as_long_as_was_said(void **state)
{
    uint8_t r[FRAME_PAYLOAD];
    struct unit_tokend w;
    size_t n;

    (void)state;
    begin_with_button(&w, 60);
    unit_tokend_deaf(&w);
    assert_int_not_equal(pressed(&w, 30), TOKEND_RC_PP);
    assert_int_not_equal(unit_tokend_ask(&w, 0x15B, 3, hmac_start, r, &n), TOKEND_RC_PP);
    unit_tokend_end(&w);
}

static void test_waiting_for_presence_ends_with_cancel_and_with_the_host(void **state)
{
    uint8_t command[64], payload[FRAME_PAYLOAD];
    const size_t len = unit_tokend_make(command, 0x15B, 3, hmac_start);
    struct frame_head h;
    struct unit_tokend w;

    (void)state;
    begin_with_button(&w, 0);
    unit_tokend_deaf(&w);
    unit_tokend_send(&w, FRAME_COMMAND, 40, command, len);
    assert_int_equal(unit_tokend_get(&w, &h, payload, 5000), FRAME_PRESENCE);
    unit_tokend_send(&w, FRAME_CANCEL, 40, NULL, 0);
    assert_int_equal(unit_tokend_get(&w, &h, payload, 500), FRAME_RESPONSE);
    assert_int_equal(RC_OF(payload), TOKEND_RC_CANCELED);
    unit_tokend_send(&w, FRAME_COMMAND, 41, command, len);
    assert_int_equal(unit_tokend_get(&w, &h, payload, 5000), FRAME_PRESENCE);
    unit_tokend_event(&w, TOKEND_EVENT_GONE);
    press(&w, '1');
    assert_int_equal(unit_tokend_get(&w, &h, payload, 300), 0);
    unit_tokend_deaf(&w);
    unit_tokend_end(&w);
}

static void test_a_program_can_say_yes_no_or_nothing(void **state)
{
    static const struct {
        const char *how;
        bool yes;
    } programs[] = {{"command:/bin/true", true},
                    {"command:/bin/false", false},
                    {"command:/usr/bin/yes", false}};
    uint8_t r[FRAME_PAYLOAD];
    struct unit_tokend w;
    size_t n;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        int null = dup(STDOUT_FILENO);

        /* One of them prints without end. */
        assert_non_null(freopen("/dev/null", "w", stdout));
        unit_tokend_begin(&w, programs[i].how, 1, 0);
        (void)fflush(stdout);
        (void)dup2(null, STDOUT_FILENO);
        close(null);
        for (int k = 0; k < 2; k++)
            assert_int_equal(unit_tokend_ask(&w, 0x15B, 3, hmac_start, r, &n) != TOKEND_RC_PP,
                             programs[i].yes);
        assert_true(unit_tokend_works(&w));
        unit_tokend_end(&w);
    }
}

static void test_a_presence_that_cannot_be_is_refused_at_the_start(void **state)
{
    static const char *const wrong[] = {"",
                                        "button",
                                        "gpio:",
                                        "gpio:/nowhere",
                                        "gpio:/etc/passwd",
                                        "command:",
                                        "command:true",
                                        "command:/nowhere",
                                        "none "};
    struct tokend_presence *p = NULL;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct err e = {0};

        assert_int_equal(tokend_presence_open(&p, wrong[i], 1, 0, &e), -1);
        assert_int_not_equal(e.code, E_OK);
    }
    assert_int_equal(tokend_presence_open(&p, "none", 0, 0, NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_is_used_when_the_button_is_pressed),
        cmocka_unit_test(test_a_button_that_is_held_down_confirms_nothing),
        cmocka_unit_test(test_a_press_is_good_for_as_long_as_was_said),
        cmocka_unit_test(test_waiting_for_presence_ends_with_cancel_and_with_the_host),
        cmocka_unit_test(test_a_program_can_say_yes_no_or_nothing),
        cmocka_unit_test(test_a_presence_that_cannot_be_is_refused_at_the_start),
    };

    return cmocka_run_group_tests_name("usb_presence", tests, NULL, NULL);
}
