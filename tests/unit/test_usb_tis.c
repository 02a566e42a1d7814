/* The TIS machine against a chip's registers: sound ones, slow ones, and each way to be wrong. */
#include "tests/support/unit_tis.h"
#include "usb/tis.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const uint8_t getrandom[12] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7B, 0, 8};

/* A bus with a fault of its own at one access, and a clock that only sleep moves. */
struct world {
    struct unit_tis chip;
    struct tis_bus bus;
    struct tis_clock clock;
    uint64_t us;
    unsigned accesses, fail_at; /* counted from 1; 0: never */
    int fail_with;              /* -1: gone, TIS_WAITED */
    int fail_reg;               /* only at this register; -1: any */
    unsigned fails;             /* how often from there on */
    bool strict;                /* waits for whoever goes beyond the burst count */
    size_t room;                /* what is left of it */
    unsigned waits;
    uint8_t response[TIS_MAX];
    size_t response_len;
    uint64_t takes, until; /* microseconds until the answer */
    bool canceled;
    struct tis *t;
};

static bool fails(struct world *w, uint16_t reg)
{
    if (w->fail_reg >= 0 && reg != w->fail_reg)
        return false;
    w->accesses++;
    return w->fail_at != 0 && w->accesses >= w->fail_at && w->accesses < w->fail_at + w->fails;
}

static int gone(const struct world *w, struct err *e)
{
    return w->fail_with == TIS_WAITED ? TIS_WAITED : err_set(e, E_REMOVED, "unplugged");
}

/* A chip of the strict kind, which the bridge cannot wait for. */
static bool beyond(struct world *w, uint16_t reg, size_t n)
{
    if (!w->strict || reg != 0x024)
        return false;
    if (n > w->room) {
        w->waits++;
        return true;
    }
    w->room -= n;
    return false;
}

static int bus_read(void *arg, uint16_t reg, uint8_t *p, size_t n, struct err *e)
{
    struct world *w = arg;

    assert_in_range(n, 1, w->bus.window);
    if (fails(w, reg)) {
        /* A wait in the FIFO moves it on: what was read is lost. */
        if (w->fail_with == TIS_WAITED)
            unit_tis_read(&w->chip, reg, p, n);
        memset(p, 0xA5, n);
        return gone(w, e);
    }
    unit_tis_read(&w->chip, reg, p, n);
    if (reg == 0x018)
        w->room = (size_t)p[1] | (size_t)p[2] << 8;
    return beyond(w, reg, n) ? TIS_WAITED : 0;
}

static int bus_write(void *arg, uint16_t reg, const uint8_t *p, size_t n, struct err *e)
{
    struct world *w = arg;

    assert_in_range(n, 1, w->bus.window);
    if (fails(w, reg))
        return gone(w, e);
    if (beyond(w, reg, n))
        return TIS_WAITED;
    unit_tis_write(&w->chip, reg, p, n);
    return 0;
}

static uint64_t fake_now(void *arg)
{
    return ((struct world *)arg)->us;
}

static void fake_sleep(void *arg, uint64_t us)
{
    ((struct world *)arg)->us += us;
}

static void execute(void *arg, const uint8_t *command, size_t len)
{
    struct world *w = arg;

    (void)command;
    (void)len;
    w->canceled = false;
    w->until = w->us + w->takes;
}

static bool answer(void *arg, uint8_t *response, size_t *len)
{
    static const uint8_t canceled[10] = {0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x09, 0x09};
    struct world *w = arg;

    if (!w->canceled && w->us < w->until)
        return false;
    *len = w->canceled ? sizeof(canceled) : w->response_len;
    memcpy(response, w->canceled ? canceled : w->response, *len);
    return true;
}

static void nothing(void *arg)
{
    (void)arg;
}

static void cancel(void *arg)
{
    ((struct world *)arg)->canceled = true;
}

/* A response of `len` bytes whose content tells its place. */
static void respond(struct world *w, size_t len)
{
    const uint8_t head[10] = {0x80, 0x01, 0, 0, (uint8_t)(len >> 8), (uint8_t)len};

    for (size_t i = 0; i < len; i++)
        w->response[i] = (uint8_t)(i * 7);
    memcpy(w->response, head, sizeof(head));
    w->response_len = len;
}

static void begin_world(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->chip = (struct unit_tis){
        .execute = execute, .answer = answer, .abort = nothing, .cancel = cancel, .arg = w};
    w->bus = (struct tis_bus){bus_read, bus_write, w, 64};
    w->clock = (struct tis_clock){fake_now, fake_sleep, w};
    w->fail_reg = w->fail_with = -1;
    w->fails = 1;
    respond(w, 20);
}

static int talk(struct world *w, const uint8_t *command, size_t len, struct err *e)
{
    uint8_t got[TIS_MAX];
    size_t n = sizeof(got);

    if (w->t == NULL && tis_open(&w->t, &w->bus, &w->clock, e) != 0)
        return -1;
    if (tis_send(w->t, command, len, e) != 0 || tis_receive(w->t, got, &n, -1, e) != 0)
        return -1;
    assert_int_equal(n, w->response_len);
    assert_memory_equal(got, w->response, n);
    /* Aborted or done: ready for the next. */
    assert_true(w->chip.in_len == 0 || w->fail_at != 0);
    return 0;
}

static void end_world(struct world *w)
{
    tis_close(w->t, true);
    w->t = NULL;
}

static void test_commands_and_responses_of_all_sizes(void **state)
{
    static const unsigned bursts[] = {1, 3, 8, 32, 63, 64, 65, 256, 4096};
    static const size_t sizes[] = {10, 11, 63, 64, 65, 73, 74, 128, 138, 4095, 4096};
    uint8_t command[TIS_MAX] = {0x80, 0x01};
    struct world w;
    struct err e = {0};

    (void)state;
    for (size_t b = 0; b < ARRAY_LEN(bursts); b++) {
        begin_world(&w);
        w.chip.burst = bursts[b];
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            command[4] = (uint8_t)(sizes[i] >> 8);
            command[5] = (uint8_t)sizes[i];
            respond(&w, sizes[ARRAY_LEN(sizes) - 1 - i]);
            if (talk(&w, command, sizes[i], &e) != 0)
                fail_msg("burst %u, %zu bytes: %s", bursts[b], sizes[i], e.msg);
        }
        end_world(&w);
        assert_int_equal(w.chip.aborts, 0);
    }
}

static void test_a_chip_that_insists_on_its_burst_count_is_obeyed(void **state)
{
    static const unsigned bursts[] = {1, 8, 63, 64, 65, 100};
    uint8_t command[400] = {0x80, 0x01, 0, 0, 400 >> 8, 400 & 0xFF};
    struct world w;
    struct err e = {0};

    (void)state;
    for (size_t b = 0; b < ARRAY_LEN(bursts); b++) {
        begin_world(&w);
        w.strict = true;
        w.chip.burst = bursts[b];
        respond(&w, 1000);
        for (int i = 0; i < 3; i++) {
            if (talk(&w, command, sizeof(command), &e) != 0)
                fail_msg("burst %u: %s", bursts[b], e.msg);
        }
        /* It is tried once, and then no more. */
        assert_in_range(w.waits, 0, 1);
        end_world(&w);
    }
}

static void test_a_slow_chip_is_waited_for(void **state)
{
    struct world w;
    struct err e = {0};

    (void)state;
    begin_world(&w);
    w.chip.slow_ready = 9;
    w.chip.slow_valid = 5;
    w.takes = 170 * 1000000ULL;
    assert_int_equal(talk(&w, getrandom, 12, &e), 0);
    end_world(&w);
}

static void test_a_short_command_takes_few_accesses(void **state)
{
    struct world w;
    struct err e = {0};

    (void)state;
    begin_world(&w);
    assert_int_equal(talk(&w, getrandom, 12, &e), 0);
    w.accesses = 0;
    assert_int_equal(talk(&w, getrandom, 12, &e), 0);
    /* ready, status; command; status, go; status; response; ready */
    assert_int_equal(w.accesses, 8);
    w.accesses = 0;
    w.takes = 1000000;
    assert_int_equal(talk(&w, getrandom, 12, &e), 0);
    assert_in_range(w.accesses, 8, 50);
    /* Nor is the answer found late: within two fifths, and 50 ms at most. */
    w.us = 0;
    w.takes = 100000;
    assert_int_equal(talk(&w, getrandom, 12, &e), 0);
    assert_in_range(w.us, 100000, 141000);
    end_world(&w);
}

/* --- chips that are wrong ------------------------------------------------------------ */

static const struct {
    enum unit_tis_fault fault;
    enum err_code code;
    const char *says;
    uint64_t within_ms;
} wrong[] = {
    {TIS_ABSENT_ZEROS, E_NO_DEVICE, "no TPM answers in it", 1100},
    {TIS_ABSENT_ONES, E_NO_DEVICE, "no TPM answers in it", 1100},
    {TIS_NOT_UP, E_TPM, "does not come up", 1200},
    {TIS_REFUSED, E_BUSY, "another locality", 1200},
    {TIS_NEVER_READY, E_BUSY, "does not get ready", 2200},
    {TIS_BURST_ZERO, E_TPM, "does not take a command", 2200},
    {TIS_NEVER_VALID, E_TPM, "does not take a command", 2200},
    {TIS_ALL_ONES, E_IO, "no TPM answers behind", 2300},
    {TIS_EXPECTS, E_TPM, "expects more", 100},
    {TIS_DEAF, E_TPM, "stopped listening 8 bytes into a command of 12", 100},
    {TIS_SILENT, E_TPM, "did not answer within 300 s", 301000},
    {TIS_SIZE_NINE, E_TPM, "announced a response of 9 bytes", 100},
    {TIS_SIZE_ZERO, E_TPM, "announced a response of 0 bytes", 100},
    {TIS_SIZE_HUGE, E_TPM, "announced a response of 4294967295 bytes", 100},
    {TIS_SIZE_MORE, E_TPM, "ended 1 bytes early", 2300},
    {TIS_SIZE_LESS, E_TPM, "more to say than the 20 bytes", 100},
    {TIS_BURST_DRY, E_TPM, "bytes early", 2300},
};

static void test_each_wrong_chip_is_told_and_the_next_one_works(void **state)
{
    struct world w;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct err e = {0};

        begin_world(&w);
        w.chip.fault = wrong[i].fault;
        w.chip.burst = 8;
        assert_int_equal(talk(&w, getrandom, 12, &e), -1);
        if (e.code != wrong[i].code || strstr(e.msg, wrong[i].says) == NULL)
            fail_msg("fault %d: %d %s", (int)wrong[i].fault, (int)e.code, e.msg);
        if (w.us / 1000 > wrong[i].within_ms)
            fail_msg("fault %d: only after %lu ms", (int)wrong[i].fault,
                     (unsigned long)(w.us / 1000));
        w.chip.fault = TIS_SOUND;
        err_clear(&e);
        if (talk(&w, getrandom, 12, &e) != 0)
            fail_msg("after fault %d: %s", (int)wrong[i].fault, e.msg);
        end_world(&w);
    }
}

static void test_a_burst_of_64_k_is_no_reason_to_write_more_than_a_window(void **state)
{
    uint8_t command[200] = {0x80, 0x01, 0, 0, 0, 200};
    struct world w;
    struct err e = {0};

    (void)state;
    begin_world(&w);
    w.chip.fault = TIS_BURST_HUGE;
    respond(&w, 300);
    assert_int_equal(talk(&w, command, sizeof(command), &e), 0);
    end_world(&w);
}

static void test_a_response_larger_than_the_room_is_refused(void **state)
{
    uint8_t got[64];
    size_t n = sizeof(got);
    struct world w;
    struct err e = {0};

    (void)state;
    begin_world(&w);
    respond(&w, 65);
    assert_int_equal(tis_open(&w.t, &w.bus, &w.clock, &e), 0);
    assert_int_equal(tis_send(w.t, getrandom, 12, &e), 0);
    assert_int_equal(tis_receive(w.t, got, &n, -1, &e), -1);
    assert_int_equal(e.code, E_TPM);
    assert_non_null(strstr(e.msg, "there is room for 64"));
    respond(&w, 64);
    assert_int_equal(talk(&w, getrandom, 12, &e), 0);
    end_world(&w);
}

/* --- the caller ------------------------------------------------------------------------ */

static void test_what_is_no_command_is_not_sent(void **state)
{
    static const uint8_t lies[12] = {0x80, 0x01, 0, 0, 0, 13, 0, 0, 0x01, 0x7B, 0, 8};
    uint8_t got[64];
    size_t n = sizeof(got);
    struct world w;
    struct err e = {0};

    (void)state;
    begin_world(&w);
    assert_int_equal(tis_open(&w.t, &w.bus, &w.clock, &e), 0);
    assert_int_equal(tis_send(w.t, lies, sizeof(lies), NULL), -1);
    assert_int_equal(tis_send(w.t, getrandom, 9, NULL), -1);
    assert_int_equal(tis_send(w.t, getrandom, TIS_MAX + 1, NULL), -1);
    assert_int_equal(tis_receive(w.t, got, &n, -1, &e), -1);
    assert_int_equal(e.code, E_ARG);
    assert_int_equal(w.chip.in_len, 0);
    assert_int_equal(tis_cancel(w.t, NULL), 0);
    end_world(&w);
}

static void test_a_late_answer_can_be_asked_for_again(void **state)
{
    uint8_t got[64];
    size_t n = sizeof(got);
    struct world w;
    struct err e = {0};

    (void)state;
    begin_world(&w);
    w.takes = 5000000;
    assert_int_equal(tis_open(&w.t, &w.bus, &w.clock, &e), 0);
    assert_int_equal(tis_send(w.t, getrandom, 12, &e), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(tis_receive(w.t, got, &n, 0, &e), TIS_AGAIN);
    assert_int_equal(tis_receive(w.t, got, &n, 1000, &e), TIS_AGAIN);
    assert_in_range(w.us, 1000000, 1100000);
    assert_int_equal(tis_receive(w.t, got, &n, 10000, &e), 0);
    assert_int_equal(n, 20);
    assert_memory_equal(got, w.response, n);
    end_world(&w);
}

static void test_an_answer_that_nobody_fetched_is_not_the_next_ones(void **state)
{
    uint8_t got[64];
    size_t n = sizeof(got);
    struct world w;
    struct err e = {0};

    (void)state;
    begin_world(&w);
    w.takes = 1000;
    assert_int_equal(tis_open(&w.t, &w.bus, &w.clock, &e), 0);
    assert_int_equal(tis_send(w.t, getrandom, 12, &e), 0);
    assert_int_equal(tis_receive(w.t, got, &n, 0, &e), TIS_AGAIN);
    respond(&w, 33);
    assert_int_equal(talk(&w, getrandom, 12, &e), 0);
    assert_int_equal(w.chip.aborts, 1);
    end_world(&w);
}

static void test_a_command_can_be_cancelled(void **state)
{
    uint8_t got[64];
    size_t n = sizeof(got);
    struct world w;
    struct err e = {0};

    (void)state;
    begin_world(&w);
    w.takes = 60000000;
    assert_int_equal(tis_open(&w.t, &w.bus, &w.clock, &e), 0);
    assert_int_equal(tis_send(w.t, getrandom, 12, &e), 0);
    assert_int_equal(tis_cancel(w.t, &e), 0);
    assert_int_equal(tis_receive(w.t, got, &n, -1, &e), 0);
    assert_int_equal(n, 10);
    assert_int_equal(got[8] << 8 | got[9], 0x909);
    assert_true(w.us < 1000000);
    end_world(&w);
}

static void test_what_a_dead_program_left_half_done_is_aborted(void **state)
{
    struct world w;
    struct err e = {0};

    (void)state;
    begin_world(&w);
    unit_tis_write(&w.chip, 0, (const uint8_t[]){0x02}, 1);
    unit_tis_write(&w.chip, 0x18, (const uint8_t[]){0x40}, 1);
    unit_tis_write(&w.chip, 0x24, getrandom, 5);
    assert_int_equal(talk(&w, getrandom, 12, &e), 0);
    assert_int_equal(w.chip.aborts, 1);
    /* And in the middle of an execution, of a response. */
    w.takes = 1000;
    for (int i = 0; i < 2; i++) {
        unit_tis_write(&w.chip, 0x18, (const uint8_t[]){0x40}, 1);
        unit_tis_write(&w.chip, 0x24, getrandom, 12);
        unit_tis_write(&w.chip, 0x18, (const uint8_t[]){0x20}, 1);
        if (i == 1) {
            uint8_t some[12];

            w.us += 2000;
            unit_tis_read(&w.chip, 0x18, some, 4);
            unit_tis_read(&w.chip, 0x24, some, 12);
        }
        assert_int_equal(talk(&w, getrandom, 12, &e), 0);
    }
    end_world(&w);
}

/* --- buses that are wrong ---------------------------------------------------------------- */

static void test_unplugged_at_each_access(void **state)
{
    unsigned all;
    struct world w;
    struct err e = {0};

    (void)state;
    begin_world(&w);
    assert_int_equal(talk(&w, getrandom, 12, &e), 0);
    all = w.accesses;
    end_world(&w);
    for (unsigned at = 1; at <= all; at++) {
        begin_world(&w);
        w.fail_at = at;
        w.fails = 1000000;
        err_clear(&e);
        /* After the last byte of the response it is the next command's matter. */
        if (at == all)
            assert_int_equal(talk(&w, getrandom, 12, &e), 0);
        assert_int_equal(talk(&w, getrandom, 12, &e), -1);
        assert_int_equal(e.code, E_REMOVED);
        /* It is noticed at once, and nobody talks to what is not there. */
        assert_true(w.us < 10000);
        end_world(&w);
        assert_int_equal(w.accesses, at == all ? at + 1 : at);
    }
}

static void test_a_wait_once_anywhere_loses_nothing(void **state)
{
    struct world w;
    struct err e = {0};

    (void)state;
    for (unsigned at = 1; at < 40; at++) {
        begin_world(&w);
        w.chip.burst = 8;
        w.fail_at = at;
        w.fail_with = TIS_WAITED;
        err_clear(&e);
        if (talk(&w, getrandom, 12, &e) != 0) {
            /* Whether a spoilt "go" was one nobody knows: the only access not repeated. */
            assert_int_equal(e.code, E_IO);
            assert_non_null(strstr(e.msg, "asking to wait"));
            assert_int_equal(at, 13);
        }
        err_clear(&e);
        w.fail_at = 0;
        if (talk(&w, getrandom, 12, &e) != 0)
            fail_msg("after a wait at %u: %s", at, e.msg);
        end_world(&w);
    }
}

static void test_waits_without_end_are_an_error(void **state)
{
    static const int registers[] = {0x000, 0x018, 0x024, 0xF00};
    struct world w;
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(registers); i++) {
        begin_world(&w);
        w.fail_reg = registers[i];
        w.fail_at = 1;
        w.fails = 1000000;
        w.fail_with = TIS_WAITED;
        err_clear(&e);
        assert_int_equal(talk(&w, getrandom, 12, &e), -1);
        assert_int_equal(e.code, E_IO);
        assert_non_null(strstr(e.msg, "asking to wait"));
        assert_true(w.us < 5000000);
        w.fail_at = 0;
        err_clear(&e);
        assert_int_equal(talk(&w, getrandom, 12, &e), 0);
        end_world(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands_and_responses_of_all_sizes),
        cmocka_unit_test(test_a_chip_that_insists_on_its_burst_count_is_obeyed),
        cmocka_unit_test(test_a_slow_chip_is_waited_for),
        cmocka_unit_test(test_a_short_command_takes_few_accesses),
        cmocka_unit_test(test_each_wrong_chip_is_told_and_the_next_one_works),
        cmocka_unit_test(test_a_burst_of_64_k_is_no_reason_to_write_more_than_a_window),
        cmocka_unit_test(test_a_response_larger_than_the_room_is_refused),
        cmocka_unit_test(test_what_is_no_command_is_not_sent),
        cmocka_unit_test(test_a_late_answer_can_be_asked_for_again),
        cmocka_unit_test(test_an_answer_that_nobody_fetched_is_not_the_next_ones),
        cmocka_unit_test(test_a_command_can_be_cancelled),
        cmocka_unit_test(test_what_a_dead_program_left_half_done_is_aborted),
        cmocka_unit_test(test_unplugged_at_each_access),
        cmocka_unit_test(test_a_wait_once_anywhere_loses_nothing),
        cmocka_unit_test(test_waits_without_end_are_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
