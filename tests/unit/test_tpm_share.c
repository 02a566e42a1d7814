/* One bare TPM, several processes: they take turns, find out what was flushed of theirs before
 * they use it, and clean up after the dead. */
#include "tests/support/unit_share.h"
#include "tpm/ctx.h"
#include "tpm/share.h"
#include "tpm/share_file.h"
#include "tpm/token_priv.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct unit_share_three *begin(struct unit_tpm *w)
{
    static struct unit_share_three t;

    unit_share_begin(&t, w, NULL);
    return &t;
}

/* --- which TPMs ---------------------------------------------------------------------- */

static void test_only_bare_tpms_are_shared(void **state)
{
    static const struct {
        const char *tcti, *bare;
    } row[] = {
        {"swtpm:path=/x/sock", "swtpm:path=/x/sock"},
        {"swtpm", "swtpm"},
        {"mssim:host=a,port=1", "mssim:host=a,port=1"},
        {"device:/dev/tpm0", "device:/dev/tpm0"},
        {"pcap:device:/dev/tpm1", "device:/dev/tpm1"},
        {"/lib/spy.so:swtpm:path=/x/sock", "swtpm:path=/x/sock"},
        {"device:/dev/tpmrm0", NULL},
        {"device", NULL},
        {"device:/dev/tpm", NULL},
        {"tabrmd:bus_name=x", NULL},
        {"cmd:tpm2_send", NULL},
        {"libtpms:x", NULL},
        {"swtpmish:x", NULL},
        {"/lib/spy.so", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        const char *bare = share_bare(row[i].tcti);

        if (row[i].bare == NULL)
            assert_null(bare);
        else
            assert_string_equal(bare, row[i].bare);
    }
}

/* --- turns ------------------------------------------------------------------------------ */

static void test_three_processes_sign_in_turn(void **state)
{
    struct unit_share_three *t = begin(*state);

    for (int round = 0; round < 10; round++) {
        for (size_t i = 0; i < ARRAY_LEN(t->p); i++)
            assert_int_equal(unit_share_sign(&t->p[i], &t->key[i]), 0);
    }
    unit_share_end(t);
}

static void test_alone_a_signature_is_one_command(void **state)
{
    struct unit_tpm *w = *state, p;
    struct store_key key = {0};

    unit_share_join(w, &p, unit_spy(w, false));
    unit_tpm_ecc(&p, "P-256", &key);
    assert_int_equal(unit_share_sign(&p, &key), 0);
    unit_spy_clear(w);
    for (int i = 0; i < 10; i++)
        assert_int_equal(unit_share_sign(&p, &key), 0);
    assert_int_equal(unit_spy_count(w, NULL), 10);
    assert_int_equal(unit_spy_count(w, "Sign"), 10);
    store_key_free(&key);
    unit_tpm_close(&p);
    unit_share_nothing_left();
}

/* A login takes two of three sessions: the third process has taken that of the first. */
static void test_an_evicted_session_is_not_used(void **state)
{
    struct unit_tpm *w = *state;
    char plain[300], spied[300];
    struct unit_share_three t;

    snprintf(plain, sizeof(plain), "%s", w->tcti);
    snprintf(spied, sizeof(spied), "%s", unit_spy(w, true));
    snprintf(w->tcti, sizeof(w->tcti), "%s", plain);
    unit_share_begin(&t, w, spied);
    assert_int_equal(unit_share_sessions(), 2);
    unit_spy_clear(w);
    assert_int_equal(unit_share_sign(&t.p[0], &t.key[0]), 0);
    assert_int_equal(unit_spy_count(w, "Sign"), 1);
    assert_true(unit_spy_count(w, "StartAuthSession") >= 1);
    unit_share_end(&t);
}

static void test_a_reset_of_the_tpm_confuses_no_one(void **state)
{
    struct unit_share_three *t = begin(*state);

    for (size_t first = 0; first < ARRAY_LEN(t->p); first++) {
        unit_tpm_cut();
        for (size_t i = 0; i < ARRAY_LEN(t->p); i++) {
            size_t at = (first + i) % ARRAY_LEN(t->p);

            /* The TPM numbers from the start: these are handles that others remember. */
            unit_tpm_login(&t->p[at], TOKEN_USER, UNIT_USER);
            assert_int_equal(unit_share_sign(&t->p[at], &t->key[at]), 0);
        }
    }
    assert_int_equal(token_row(t->p[0].token)->user_fails, 0);
    unit_share_end(t);
}

/* What was loaded over a connection that broke is not lost: it is flushed when needed. */
static void test_a_broken_connection_leaves_nothing(void **state)
{
    struct unit_tpm *w = *state, p;
    struct store_key key = {0};

    unit_share_join(w, &p, w->tcti);
    unit_tpm_ecc(&p, "P-256", &key);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(unit_share_sign(&p, &key), 0);
        tpm_lost(p.tpm);
    }
    assert_int_equal(unit_share_sign(&p, &key), 0);
    store_key_free(&key);
    unit_tpm_close(&p);
    unit_share_nothing_left();
}

static int child_signs(const struct unit_share_three *t)
{
    struct unit_tpm own = *t->w;
    struct err e = {0};

    for (size_t i = 0; i < ARRAY_LEN(t->p); i++)
        tpm_forget(t->p[i].tpm);
    unit_tpm_open(&own, own.tcti);
    tpm_share(own.tpm, own.dir);
    CHILD_MUST(unit_tpm_try(own.token, TOKEN_USER, UNIT_USER, &e) == E_OK, &e);
    for (int i = 0; i < 20; i++) {
        CHILD_MUST(unit_tpm_sign(own.token, &t->key[i % 3], &e) == 0, &e);
        tpm_release(own.tpm);
    }
    unit_tpm_close(&own);
    return 0;
}

static void test_a_child_takes_nothing_from_its_parent(void **state)
{
    struct unit_share_three *t = begin(*state);
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(child_signs(t));
    for (int i = 0; i < 20; i++)
        assert_int_equal(unit_share_sign(&t->p[0], &t->key[0]), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(unit_share_sign(&t->p[0], &t->key[0]), 0);
    unit_share_end(t);
}

/* --- the dead and the stopped --------------------------------------------------------------- */

/* Killed when the TPM has loaded something and nobody knows of it yet. */
static int dies(struct unit_tpm *w, const char *command, const char *nth)
{
    struct unit_tpm own = *w;
    struct key_spec spec = {.type = TPM2_ALG_ECC, .curve = alg_curve_named("P-256"), .sign = true};
    struct store_key key = {0};
    struct err e = {0};

    setenv("SPY_KILL_AFTER", nth, 1);
    setenv("SPY_KILL_AFTER_CC", command, 1);
    unit_tpm_open(&own, NULL);
    tpm_share(own.tpm, own.dir);
    CHILD_MUST(unit_tpm_try(own.token, TOKEN_USER, UNIT_USER, &e) == E_OK, &e);
    CHILD_MUST(token_key_create(own.token, &spec, &key, &e) == 0, &e);
    CHILD_MUST(unit_tpm_sign(own.token, &key, &e) == 0, &e);
    return 1;
}

static void test_what_the_killed_left_is_flushed(void **state)
{
    static const struct {
        const char *command, *nth;
    } when[] = {{"StartAuthSession", "1"},
                {"StartAuthSession", "2"},
                {"PolicySecret", "1"},
                {"NV_Read", "1"},
                {"Load", "1"},
                {"Sign", "1"},
                {"Create", "1"}};
    struct unit_tpm *w = *state, p;
    struct store_key key = {0};

    unit_spy(w, false);
    for (size_t i = 0; i < ARRAY_LEN(when); i++) {
        int status = 0;
        pid_t pid = fork();

        if (pid == 0)
            _exit(dies(w, when[i].command, when[i].nth));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_true(unit_share_sessions() + unit_share_objects() > 0);
        unit_share_join(w, &p, w->tcti);
        unit_tpm_ecc(&p, "P-256", &key);
        assert_int_equal(unit_share_sign(&p, &key), 0);
        assert_int_equal(unit_share_sessions(), 1);
        assert_int_equal(unit_share_objects(), 1);
        store_key_free(&key);
        unit_tpm_close(&p);
        assert_int_equal(unit_share_sessions() + unit_share_objects(), 0);
        unit_tpm_forgive();
    }
}

/* In a child: has the TPM in the middle of a call until it is killed. */
static pid_t holder(struct unit_tpm *w)
{
    int ready[2];
    char c = 0;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        struct unit_tpm own = *w;

        unit_tpm_open(&own, own.tcti);
        tpm_share(own.tpm, own.dir);
        if (tpm_sys(own.tpm, NULL) == NULL || write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void not_gone(void *arg, uint32_t handle)
{
    (void)arg;
    fail_msg("0x%08x is gone", handle);
}

static struct share *share_alone(struct unit_tpm *w, struct link **l)
{
    struct share *s = NULL;

    assert_int_equal(link_new(l, w->tcti, NULL), 0);
    assert_int_equal(share_new(&s, *l, w->tcti, w->dir, not_gone, NULL, NULL), 0);
    return s;
}

static void test_one_who_is_stopped_is_named_and_not_waited_for(void **state)
{
    struct unit_tpm *w = *state;
    pid_t pid = holder(w);
    struct link *l = NULL;
    struct share *s = share_alone(w, &l);
    struct err e = {0};
    char name[20];

    kill(pid, SIGSTOP);
    share_hurry(s);
    assert_int_equal(share_claim(s, &e), -1);
    assert_int_equal(e.code, E_BUSY);
    snprintf(name, sizeof(name), "process %d,", (int)pid);
    assert_non_null(strstr(e.msg, name));
    /* For the rest of the call the answer stands. */
    assert_int_equal(share_claim(s, NULL), -1);
    assert_false(share_release(s));
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(share_claim(s, NULL), 0);
    share_free(s);
    link_free(l);
}

static void test_more_processes_than_places_work(void **state)
{
    enum { MANY = SHARE_RECORDS + 3 };
    struct unit_tpm *w = *state, p;
    struct link *l[MANY] = {0};
    struct share *s[MANY];
    struct store_key key = {0};

    for (int i = 0; i < MANY; i++) {
        s[i] = share_alone(w, &l[i]);
        assert_int_equal(share_claim(s[i], NULL), 0);
        share_ready(s[i]);
        (void)share_release(s[i]);
    }
    unit_share_join(w, &p, w->tcti);
    unit_tpm_ecc(&p, "P-256", &key);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(unit_share_sign(&p, &key), 0);
        assert_int_equal(unit_share_sessions() + unit_share_objects(), 0);
    }
    for (int i = 0; i < MANY; i++) {
        share_free(s[i]);
        link_free(l[i]);
    }
    assert_int_equal(unit_share_sign(&p, &key), 0);
    assert_int_equal(unit_share_sessions() + unit_share_objects(), 2);
    store_key_free(&key);
    unit_tpm_close(&p);
    unit_share_nothing_left();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_bare_tpms_are_shared),
        SHARED(test_three_processes_sign_in_turn),
        SHARED(test_alone_a_signature_is_one_command),
        SHARED(test_an_evicted_session_is_not_used),
        SHARED(test_a_reset_of_the_tpm_confuses_no_one),
        SHARED(test_a_broken_connection_leaves_nothing),
        SHARED(test_a_child_takes_nothing_from_its_parent),
        SHARED(test_what_the_killed_left_is_flushed),
        SHARED(test_one_who_is_stopped_is_named_and_not_waited_for),
        SHARED(test_more_processes_than_places_work),
    };

    return cmocka_run_group_tests_name("tpm/share", tests, NULL, NULL);
}
