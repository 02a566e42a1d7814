/* The TCTI on an emulated LetsTrust-TPM2Go, by libusb: commands, turns, and the plug. */
#include "tests/support/unit_usbstick.h"
#include "usb/hotplug.h"
#include "usb/tcti.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* The sanitizer looks for leaks itself, and keeps freed memory for a while. */
#ifdef __SANITIZE_ADDRESS__
#define REPLUGS 300
#define GROWTH_KB (256 * 1024)
#else
#define REPLUGS 1000
#define GROWTH_KB 256
#endif

static const uint8_t getrandom[12] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7B, 0, 8};

static TSS2_TCTI_CONTEXT *open_token(const char *conf, TSS2_RC *rc)
{
    TSS2_TCTI_CONTEXT *t;
    size_t size = 0;

    assert_int_equal(tcti_usb_init(NULL, &size, conf), TSS2_RC_SUCCESS);
    t = calloc(1, size);
    assert_non_null(t);
    *rc = tcti_usb_init(t, &size, conf);
    if (*rc == TSS2_RC_SUCCESS)
        return t;
    free(t);
    return NULL;
}

static void close_token(TSS2_TCTI_CONTEXT *t)
{
    if (t == NULL)
        return;
    Tss2_Tcti_Finalize(t);
    free(t);
}

static TSS2_RC receive(TSS2_TCTI_CONTEXT *t, int32_t timeout)
{
    uint8_t r[4096] = {0};
    size_t n = sizeof(r);
    TSS2_RC rc = Tss2_Tcti_Receive(t, &n, r, timeout);

    if (rc == TSS2_RC_SUCCESS) {
        assert_int_equal(n, 20);
        assert_int_equal(r[9], 0);
        assert_int_equal(r[11], 8);
    }
    return rc;
}

static TSS2_RC talk(TSS2_TCTI_CONTEXT *t)
{
    TSS2_RC rc = Tss2_Tcti_Transmit(t, sizeof(getrandom), getrandom);

    return rc != TSS2_RC_SUCCESS ? rc : receive(t, TSS2_TCTI_TIMEOUT_BLOCK);
}

/* One command on a connection of its own. */
static TSS2_RC once(const char *conf)
{
    TSS2_RC rc;
    TSS2_TCTI_CONTEXT *t = open_token(conf, &rc);

    if (t != NULL)
        rc = talk(t);
    close_token(t);
    return rc;
}

static void assert_works(const char *conf)
{
    TSS2_RC rc = once(conf);
    struct err e = {0};

    if (rc != TSS2_RC_SUCCESS && tcti_usb_why(&e) != 0)
        fail_msg("'%s': 0x%x %s", conf, rc, e.msg);
    assert_int_equal(rc, TSS2_RC_SUCCESS);
}

static void assert_fails(TSS2_RC got, TSS2_RC rc, const char *says)
{
    struct err e = {0};

    assert_int_equal(tcti_usb_why(&e), -1);
    if (got != rc || strstr(e.msg, says) == NULL)
        fail_msg("0x%x, not 0x%x; '%s', not '%s'", got, rc, e.msg, says);
}

static int plugged(void **state)
{
    (void)state;
    unit_usbstick("plug a");
    return 0;
}

static int unplugged(void **state)
{
    (void)state;
    unit_usbstick("unplug a");
    unit_usbstick("unplug b");
    return 0;
}

/* --- commands ------------------------------------------------------------------------ */

static void test_a_token_is_found_by_each_of_its_names(void **state)
{
    (void)state;
    assert_works("");
    assert_works("serial=A-1");
    assert_works("ltt2go");
    assert_works("ltt2go:");
    assert_works("ltt2go:serial=A-1");
}

static void test_names_of_no_token_are_told(void **state)
{
    static const struct {
        const char *conf;
        TSS2_RC rc;
        const char *says;
    } wrong[] = {
        {"serial=A", TSS2_TCTI_RC_NO_CONNECTION, "A is not plugged in"},
        {"serial=A.*", TSS2_TCTI_RC_BAD_VALUE, "no USB token has a serial like"},
        {"serial=A-1x", TSS2_TCTI_RC_NO_CONNECTION, "not plugged in"},
        {"serial=", TSS2_TCTI_RC_BAD_VALUE, "no USB token has a serial like"},
        {"serial=../../etc", TSS2_TCTI_RC_BAD_VALUE, "no USB token has a serial like"},
        {"serial=..", TSS2_TCTI_RC_BAD_VALUE, "no USB token has a serial like"},
        {"ltt2go:A-1", TSS2_TCTI_RC_BAD_VALUE, "names no USB token"},
        {"ltt3go:serial=A-1", TSS2_TCTI_RC_BAD_VALUE, "no kind of USB token 'ltt3go'"},
        {"a-very-long-kind-of-token", TSS2_TCTI_RC_BAD_VALUE, "names no USB token"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_fails(once(wrong[i].conf), wrong[i].rc, wrong[i].says);
}

static void test_the_tcti_keeps_to_its_specification(void **state)
{
    TSS2_RC rc;
    TSS2_TCTI_CONTEXT *t = open_token("", &rc);
    TSS2_TCTI_POLL_HANDLE h[2];
    uint8_t r[4096];
    size_t n = sizeof(r);

    (void)state;
    assert_non_null(t);
    assert_int_equal(Tss2_Tcti_Receive(t, &n, r, 0), TSS2_TCTI_RC_BAD_SEQUENCE);
    assert_int_equal(Tss2_Tcti_Cancel(t), TSS2_TCTI_RC_BAD_SEQUENCE);
    assert_int_equal(Tss2_Tcti_SetLocality(t, 0), TSS2_RC_SUCCESS);
    assert_int_equal(Tss2_Tcti_SetLocality(t, 3), TSS2_TCTI_RC_NOT_SUPPORTED);
    assert_int_equal(Tss2_Tcti_GetPollHandles(t, h, &n), TSS2_TCTI_RC_NOT_IMPLEMENTED);
    assert_int_equal(Tss2_Tcti_Transmit(t, 5, getrandom), TSS2_TCTI_RC_BAD_VALUE);
    assert_int_equal(Tss2_Tcti_Transmit(t, 12, getrandom), TSS2_RC_SUCCESS);
    assert_int_equal(Tss2_Tcti_Transmit(t, 12, getrandom), TSS2_TCTI_RC_BAD_SEQUENCE);
    /* The size first, too small a buffer, and then the bytes. */
    n = 0;
    assert_int_equal(Tss2_Tcti_Receive(t, &n, NULL, -1), TSS2_RC_SUCCESS);
    assert_int_equal(n, 20);
    n = 19;
    assert_int_equal(Tss2_Tcti_Receive(t, &n, r, -1), TSS2_TCTI_RC_INSUFFICIENT_BUFFER);
    assert_int_equal(n, 20);
    assert_int_equal(Tss2_Tcti_Cancel(t), TSS2_RC_SUCCESS);
    assert_int_equal(Tss2_Tcti_Receive(t, &n, r, -1), TSS2_RC_SUCCESS);
    assert_int_equal(n, 20);
    assert_int_equal(Tss2_Tcti_Receive(t, &n, r, -1), TSS2_TCTI_RC_BAD_SEQUENCE);
    close_token(t);
}

static void test_a_late_answer_and_a_cancelled_command(void **state)
{
    TSS2_RC rc;
    TSS2_TCTI_CONTEXT *t = open_token("", &rc);
    uint8_t r[64];
    size_t n = sizeof(r);

    (void)state;
    unit_usbstick("delay a 300");
    assert_int_equal(Tss2_Tcti_Transmit(t, 12, getrandom), TSS2_RC_SUCCESS);
    assert_int_equal(receive(t, 0), TSS2_TCTI_RC_TRY_AGAIN);
    assert_int_equal(receive(t, 50), TSS2_TCTI_RC_TRY_AGAIN);
    assert_int_equal(receive(t, TSS2_TCTI_TIMEOUT_BLOCK), TSS2_RC_SUCCESS);
    unit_usbstick("delay a 60000");
    assert_int_equal(Tss2_Tcti_Transmit(t, 12, getrandom), TSS2_RC_SUCCESS);
    assert_int_equal(Tss2_Tcti_Cancel(t), TSS2_RC_SUCCESS);
    assert_int_equal(Tss2_Tcti_Receive(t, &n, r, TSS2_TCTI_TIMEOUT_BLOCK), TSS2_RC_SUCCESS);
    assert_int_equal(r[8] << 8 | r[9], 0x909);
    /* Ended in the middle of a command: the next one knows nothing of it. */
    assert_int_equal(Tss2_Tcti_Transmit(t, 12, getrandom), TSS2_RC_SUCCESS);
    close_token(t);
    unit_usbstick("delay a 0");
    assert_works("");
}

/* Upstream takes three URBs for each of 51 accesses to a chip for `tpm2_getrandom`; the story
 * counts whole programs, this one a command. */
static void test_a_command_takes_few_transfers(void **state)
{
    TSS2_RC rc;
    TSS2_TCTI_CONTEXT *t = open_token("", &rc);
    unsigned long before;

    (void)state;
    assert_int_equal(talk(t), TSS2_RC_SUCCESS);
    before = unit_usbstick_count("a").urbs;
    for (int i = 0; i < 10; i++)
        assert_int_equal(talk(t), TSS2_RC_SUCCESS);
    assert_in_range(unit_usbstick_count("a").urbs - before, 0, 10 * 3 * 10);
    close_token(t);
}

/* --- the plug ------------------------------------------------------------------------- */

static void test_unplugged_at_each_transfer(void **state)
{
    static const char *const how[] = {"", " dirty"};
    unsigned long all = unit_usbstick_count("a").urbs;

    (void)state;
    unit_usbstick("unplug a");
    unit_usbstick("plug a");
    assert_works("");
    all = unit_usbstick_count("a").urbs - all;
    assert_in_range(all, 50, 120);
    for (unsigned long at = 1; at < all - 3; at += 2) {
        unit_usbstick("unplug a");
        unit_usbstick("plug a");
        unit_usbstick("cut a %lu%s", at, how[at / 2 % 2]);
        assert_fails(once(""), TSS2_TCTI_RC_NO_CONNECTION, "was unplugged; plug it in again");
        assert_fails(once("serial=A-1"), TSS2_TCTI_RC_NO_CONNECTION, "not plugged in");
        unit_usbstick("plug a");
        assert_works("");
    }
}

static void test_a_context_does_not_take_another_token_for_its_own(void **state)
{
    TSS2_RC rc;
    TSS2_TCTI_CONTEXT *t = open_token("", &rc);

    (void)state;
    assert_int_equal(talk(t), TSS2_RC_SUCCESS);
    unit_usbstick("unplug a");
    unit_usbstick("plug b");
    assert_fails(talk(t), TSS2_TCTI_RC_NO_CONNECTION, "A-1 was unplugged");
    unit_usbstick("plug a");
    assert_fails(talk(t), TSS2_TCTI_RC_NO_CONNECTION, "A-1 was unplugged");
    close_token(t);
    assert_works("serial=A-1");
}

static void test_two_tokens_at_once_by_their_serials(void **state)
{
    struct unit_usbstick_count a, b;
    TSS2_RC rc;
    TSS2_TCTI_CONTEXT *one, *two;

    (void)state;
    unit_usbstick("plug b");
    assert_fails(once(""), TSS2_TCTI_RC_BAD_VALUE, "several USB tokens are there");
    assert_fails(once("ltt2go"), TSS2_TCTI_RC_BAD_VALUE, "A-1 (at 1-1), B-2 (at 1-2)");
    one = open_token("serial=A-1", &rc);
    two = open_token("ltt2go:serial=B-2", &rc);
    assert_int_equal(talk(one), TSS2_RC_SUCCESS);
    assert_int_equal(talk(two), TSS2_RC_SUCCESS);
    a = unit_usbstick_count("a");
    b = unit_usbstick_count("b");
    /* Both in the middle of a command. */
    for (int i = 0; i < 5; i++) {
        assert_int_equal(Tss2_Tcti_Transmit(one, 12, getrandom), TSS2_RC_SUCCESS);
        assert_int_equal(Tss2_Tcti_Transmit(two, 12, getrandom), TSS2_RC_SUCCESS);
        assert_int_equal(receive(one, -1), TSS2_RC_SUCCESS);
        assert_int_equal(receive(two, -1), TSS2_RC_SUCCESS);
    }
    assert_int_equal(unit_usbstick_count("a").commands, a.commands + 5);
    assert_int_equal(unit_usbstick_count("b").commands, b.commands + 5);
    /* The loss of one is not the other's. */
    unit_usbstick("unplug a");
    assert_int_equal(talk(one), TSS2_TCTI_RC_NO_CONNECTION);
    assert_int_equal(talk(two), TSS2_RC_SUCCESS);
    close_token(one);
    close_token(two);
}

static size_t entries(const char *dir)
{
    DIR *d = opendir(dir);
    size_t n = 0;

    assert_non_null(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static long resident_kb(void)
{
    long size = 0, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &size, &pages), 2);
    fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void replug(struct hotplug *h, TSS2_TCTI_CONTEXT **t, bool used)
{
    unsigned generation = hotplug_generation(h);
    TSS2_RC rc;

    unit_usbstick("unplug a");
    if (used)
        assert_int_equal(talk(*t), TSS2_TCTI_RC_NO_CONNECTION);
    hotplug_look(h);
    assert_int_equal(hotplug_count(h), 0);
    assert_int_equal(hotplug_generation(h), generation + 1);
    unit_usbstick("plug a");
    hotplug_look(h);
    assert_int_equal(hotplug_count(h), 1);
    assert_int_equal(hotplug_generation(h), generation + 2);
    close_token(*t);
    *t = open_token("serial=A-1", &rc);
    assert_non_null(*t);
    if (used)
        assert_int_equal(talk(*t), TSS2_RC_SUCCESS);
}

static void test_a_thousand_replugs_leave_nothing_behind(void **state)
{
    const int times = REPLUGS;
    size_t fds, threads;
    long kb;
    TSS2_TCTI_CONTEXT *t;
    struct hotplug *h;
    TSS2_RC rc;

    (void)state;
    assert_int_equal(hotplug_new(&h, NULL), 0);
    hotplug_look(h);
    t = open_token("serial=A-1", &rc);
    for (int i = 0; i < 50; i++)
        replug(h, &t, i % 10 == 0);
    fds = entries("/proc/self/fd");
    threads = entries("/proc/self/task");
    kb = resident_kb();
    for (int i = 50; i < times; i++)
        replug(h, &t, i % 10 == 0);
    assert_int_equal(entries("/proc/self/fd"), fds);
    assert_in_range(entries("/proc/self/task"), 0, threads);
    assert_true(resident_kb() - kb < GROWTH_KB);
    close_token(t);
    hotplug_free(h);
    /* The emulation hears of the end from the kernel, in its own time. */
    for (int i = 0; i < 500 && unit_usbstick_count("a").open != 0; i++)
        nanosleep(&(struct timespec){0, 10000000L}, NULL);
    assert_int_equal(unit_usbstick_count("a").open, 0);
}

/* --- several processes ------------------------------------------------------------------ */

/* umockdev names the socket of a netlink listener after its descriptor's number, and unlinks what
 * has that name: processes that begin at once must not have the same numbers. */
#define OWN_FDS 32

static pid_t child_of(size_t n, void (*run)(void))
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        for (size_t i = 0; i < n * OWN_FDS; i++) {
            if (dup(0) < 0)
                _exit(2);
        }
        run();
        _exit(0);
    }
    return pid;
}

static pid_t child(void (*run)(void))
{
    return child_of(1, run);
}

static void fifty(void)
{
    TSS2_RC rc;
    TSS2_TCTI_CONTEXT *t = open_token("serial=A-1", &rc);

    for (int i = 0; i < 50; i++) {
        struct err e = {0};

        if (t != NULL && talk(t) == TSS2_RC_SUCCESS)
            continue;
        (void)tcti_usb_why(&e);
        fprintf(stderr, "# in a child: %s\n", e.msg);
        _exit(1);
    }
    close_token(t);
}

static void test_processes_take_turns(void **state)
{
    struct unit_usbstick_count before = unit_usbstick_count("a");
    pid_t pid[3];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pid); i++)
        pid[i] = child_of(i, fifty);
    for (size_t i = 0; i < ARRAY_LEN(pid); i++) {
        int status;

        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_int_equal(status, 0);
    }
    /* Not one command was sent twice or spoiled (one is TPM2_Startup). */
    assert_in_range(unit_usbstick_count("a").commands - before.commands, 150, 152);
}

static void send_and_wait(void)
{
    TSS2_RC rc;
    TSS2_TCTI_CONTEXT *t = open_token("serial=A-1", &rc);

    if (t != NULL && Tss2_Tcti_Transmit(t, 12, getrandom) == TSS2_RC_SUCCESS)
        (void)receive(t, TSS2_TCTI_TIMEOUT_BLOCK);
}

static void test_a_process_killed_in_a_command_leaves_the_token_to_the_next(void **state)
{
    unsigned long commands = unit_usbstick_count("a").commands;
    pid_t pid;

    (void)state;
    assert_works("");
    commands = unit_usbstick_count("a").commands;
    unit_usbstick("delay a 60000");
    pid = child(send_and_wait);
    while (unit_usbstick_count("a").commands == commands)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    unit_usbstick("delay a 0");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_works("");
    assert_works("serial=A-1");
    /* And at whatever moment. */
    for (int i = 0; i < 100; i++) {
        pid = child(send_and_wait);
        nanosleep(&(struct timespec){0, i * 60000L}, NULL);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    assert_works("");
}

static void test_a_program_that_takes_no_turns_is_told_of(void **state)
{
    (void)state;
    unit_usbstick("steal a");
    assert_fails(once(""), TSS2_TCTI_RC_IO_ERROR, "A-1 is in use by another process");
    unit_usbstick("give a");
    assert_works("");
}

static void test_after_fork_the_child_makes_its_own_connection(void **state)
{
    TSS2_RC rc;
    TSS2_TCTI_CONTEXT *t = open_token("", &rc);
    int status;
    pid_t pid;

    (void)state;
    assert_int_equal(talk(t), TSS2_RC_SUCCESS);
    pid = child(fifty);
    for (int i = 0; i < 25; i++)
        assert_int_equal(talk(t), TSS2_RC_SUCCESS);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(talk(t), TSS2_RC_SUCCESS);
    close_token(t);
}

#define plug_test(f) cmocka_unit_test_setup_teardown(f, plugged, unplugged)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        plug_test(test_a_token_is_found_by_each_of_its_names),
        plug_test(test_names_of_no_token_are_told),
        plug_test(test_the_tcti_keeps_to_its_specification),
        plug_test(test_a_late_answer_and_a_cancelled_command),
        plug_test(test_a_command_takes_few_transfers),
        plug_test(test_unplugged_at_each_transfer),
        plug_test(test_a_context_does_not_take_another_token_for_its_own),
        plug_test(test_two_tokens_at_once_by_their_serials),
        plug_test(test_a_thousand_replugs_leave_nothing_behind),
        plug_test(test_processes_take_turns),
        plug_test(test_a_process_killed_in_a_command_leaves_the_token_to_the_next),
        plug_test(test_a_program_that_takes_no_turns_is_told_of),
        plug_test(test_after_fork_the_child_makes_its_own_connection),
    };
    int rc;

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    if (!unit_usbstick_begin(argv))
        return 1;
    unit_usbstick("add a A-1");
    unit_usbstick("add b B-2");
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    unit_usbstick_end();
    return rc;
}
