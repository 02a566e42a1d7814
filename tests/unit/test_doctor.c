/* Goal: findings of the doctor keep their meaning on the way: what a message says and what to do
 * are told apart, the first problem decides, and a check is made only with what it needs. */
#include "cli/doctor.h"

#include "tests/support/unit_dir.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_spans_have_two_units_at_most(void **state)
{
    static const struct {
        uint64_t seconds;
        const char *text;
    } row[] = {
        {0, "0 seconds"},          {1, "1 second"},           {59, "59 seconds"},
        {60, "1 minute"},          {61, "1 minute 1 second"}, {3600, "1 hour"},
        {3660, "1 hour 1 minute"}, {3601, "1 hour"},          {115200, "1 day 8 hours"},
        {2 * 86400, "2 days"},     {86400 + 60, "1 day"},
    };
    char text[DOCTOR_SPAN];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        doctor_span(row[i].seconds, text);
        assert_string_equal(text, row[i].text);
    }
    doctor_span(UINT64_MAX, text);
    assert_non_null(strstr(text, " days"));
}

static void test_messages_are_split_where_advice_begins(void **state)
{
    struct doctor d = {.check = "x"};
    struct err e = {0};

    (void)state;
    err_set(&e, E_BUSY, "the store is locked; try again; or end the other");
    doctor_failed(&d, DOCTOR_PROBLEM, &e);
    assert_string_equal(d.finding[0].text, "the store is locked");
    assert_string_equal(d.finding[0].todo, "try again; or end the other");
    assert_int_equal(d.finding[0].code, E_BUSY);
    err_clear(&e);
    err_set(&e, E_TPM, "no advice here");
    doctor_failed(&d, DOCTOR_WARNING, &e);
    assert_string_equal(d.finding[1].text, "no advice here");
    assert_null(d.finding[1].todo);
    doctor_todo(&d, "do %s", "this");
    doctor_todo(&d, "do %s", "that");
    assert_string_equal(d.finding[1].todo, "do that");
    assert_string_equal(d.finding[1].check, "x");
    doctor_free(&d);
}

static void test_first_problem_decides(void **state)
{
    struct doctor d = {.check = "x"};

    (void)state;
    assert_int_equal(doctor_verdict(&d), E_OK);
    doctor_say(&d, DOCTOR_OK, "well");
    doctor_say(&d, DOCTOR_NOTE, "odd");
    assert_int_equal(cli_exit_code(doctor_verdict(&d)), CLI_OK);
    doctor_say(&d, DOCTOR_WARNING, "weak");
    assert_int_equal(cli_exit_code(doctor_verdict(&d)), CLI_REFUSED);
    doctor_problem(&d, E_LOCKOUT, "shut");
    doctor_problem(&d, E_NO_DEVICE, "gone");
    assert_int_equal(cli_exit_code(doctor_verdict(&d)), CLI_PIN);
    doctor_free(&d);
    doctor_problem(&d, E_NO_DEVICE, "gone");
    assert_int_equal(cli_exit_code(doctor_verdict(&d)), CLI_NO_TPM);
    doctor_free(&d);
}

static void give_tokens(struct doctor *d)
{
    d->n_tokens = 1;
    doctor_say(d, DOCTOR_OK, "made");
}

static void see_tokens(struct doctor *d)
{
    doctor_say(d, DOCTOR_OK, "seen");
}

static void test_checks_are_made_with_what_they_need(void **state)
{
    static const struct doctor_check table[] = {
        {"early", DOCTOR_TOKEN, see_tokens},
        {"give", 0, give_tokens},
        {"late", DOCTOR_TOKEN, see_tokens},
        {"never", DOCTOR_TPM, see_tokens},
        {0},
    };
    struct doctor d = {0};

    (void)state;
    assert_int_equal(doctor_run(&d, table), 2);
    assert_int_equal(d.n, 2);
    assert_string_equal(d.finding[0].check, "give");
    assert_string_equal(d.finding[1].check, "late");
    doctor_free(&d);
}

static void test_holder_of_a_file_is_named(void **state)
{
    const char *path = unit_dir_at("held");
    char who[DOCTOR_WHO], pid_text[24];
    int ready[2], fd;
    char byte = 0;
    pid_t pid;

    (void)state;
    assert_false(doctor_holder(path, who));
    fd = open(path, O_CREAT | O_RDWR, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_false(doctor_holder(path, who));
    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        fd = open(path, O_RDWR);
        _exit(write(ready[1], &byte, 1) == 1 && pause() != 0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_true(doctor_holder(path, who));
    snprintf(pid_text, sizeof(pid_text), "process %d (", (int)pid);
    assert_non_null(strstr(who, pid_text));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_false(doctor_holder(path, who));
    close(ready[0]);
    close(ready[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spans_have_two_units_at_most),
        cmocka_unit_test(test_messages_are_split_where_advice_begins),
        cmocka_unit_test(test_first_problem_decides),
        cmocka_unit_test(test_checks_are_made_with_what_they_need),
        IN_DIR(test_holder_of_a_file_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
