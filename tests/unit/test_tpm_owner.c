/* Goal: on a dedicated machine the owner's authorisation is ours and needed for all that needs
 * it; and it is lost at no command at which a process may die. */
#include "tests/support/unit_thief.h"
#include "tpm/lockout.h"
#include "tpm/nv.h"
#include "tpm/owner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* More commands than any of these takes; ends the loops if one never ends. */
#define MANY 200

static struct lockout_state state_of(struct unit_tpm *w)
{
    struct lockout_state s = {0};
    struct err e = {0};

    if (lockout_read(w->tpm, &s, &e) != 0)
        fail_msg("%s", e.msg);
    return s;
}

static size_t owner_indices(void)
{
    uint32_t h[64];

    return unit_tpm_handles(NV_OWNER_FIRST, NV_OWNER_LAST, h, ARRAY_LEN(h));
}

static enum err_code provision(struct unit_tpm *w, const char *label, bool own,
                               struct token_report *report, struct err *e)
{
    struct token_params p = {.label = label,
                             .so_pin = unit_pin(UNIT_SO),
                             .user_pin = unit_pin(UNIT_USER),
                             .weak_lockout = true,
                             .own_tpm = own};
    struct err here = {0};

    if (e == NULL)
        e = &here;
    *e = (struct err){0};
    token_free(w->token);
    w->token = NULL;
    if (token_provision(&w->token, w->tpm, w->store, &p, report, e) != 0)
        return e->code;
    w->id = token_row(w->token)->id;
    return E_OK;
}

/* As a new process, which knows nothing. */
static void again(struct unit_tpm *w)
{
    unit_tpm_close(w);
    unit_tpm_open(w, NULL);
}

static void test_the_owner_is_ours_and_told_once(void **state)
{
    struct unit_tpm *w = *state;
    struct token_report report = {0};
    char script[200];

    assert_int_equal(provision(w, "first", true, &report, NULL), E_OK);
    assert_true(report.owner_set);
    assert_false(report.owner_foreign);
    assert_int_equal(strlen(report.owner_code), 64);
    assert_int_equal(token_row(w->token)->flags & STORE_TOKEN_OWNER, STORE_TOKEN_OWNER);
    assert_true(state_of(w).owner_set);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
    /* Nobody else defines anything. */
    assert_int_not_equal(unit_tpm_script("tpm2_nvdefine -Q -C o -s 8 2>/dev/null"), 0);
    snprintf(script, sizeof(script), "tpm2_changeauth -Q -c owner -p hex:%s", report.owner_code);
    assert_int_equal(unit_tpm_script(script), 0);
    /* What R keeps is not in force any more: that is no trouble. */
    again(w);
    assert_int_equal(token_owner(w->token, unit_pin(UNIT_SO), NULL), 0);
    assert_int_equal(token_erase(w->token, NULL), 0);
    assert_int_equal(owner_indices(), 0);
}

static void test_a_second_token_wants_it(void **state)
{
    struct unit_tpm *w = *state;
    struct token_report report = {0}, second = {0};
    uint8_t auth[OWNER_AUTH];
    int64_t first;
    struct token *k;
    struct err e;

    assert_int_equal(provision(w, "first", true, &report, NULL), E_OK);
    first = w->id;
    again(w);
    assert_int_equal(provision(w, "second", false, NULL, &e), E_DENIED);
    assert_non_null(strstr(e.msg, "--owner-auth-file"));
    assert_int_equal(owner_indices(), 4);
    /* A wrong one is told so, and nothing is left. */
    assert_int_equal(owner_know(w->tpm, unit_pin("not that one"), false, NULL), 0);
    assert_int_equal(provision(w, "second", false, NULL, &e), E_DENIED);
    assert_non_null(strstr(e.msg, "another than the one given"));
    assert_int_equal(owner_indices(), 4);
    /* By the code. */
    assert_int_equal(hex_decode(auth, sizeof(auth), report.owner_code), 0);
    assert_int_equal(owner_know(w->tpm, bytes_of(auth, sizeof(auth)), true, NULL), 0);
    assert_int_equal(provision(w, "second", false, &second, NULL), E_OK);
    assert_false(second.owner_set);
    assert_int_equal(token_row(w->token)->flags & STORE_TOKEN_OWNER, 0);
    assert_int_equal(token_erase(w->token, NULL), 0);
    /* By the first token, and kept by the third. */
    w->id = 0;
    again(w);
    k = unit_tpm_token(w, first);
    assert_int_equal(token_owner(k, unit_pin("not-the-so"), &e), -1);
    assert_int_equal(token_owner(k, unit_pin(UNIT_SO), NULL), 0);
    token_free(k);
    assert_int_equal(provision(w, "third", true, &second, NULL), E_OK);
    assert_false(second.owner_set);
    assert_int_equal(token_row(w->token)->flags & STORE_TOKEN_OWNER, STORE_TOKEN_OWNER);
    again(w);
    assert_int_equal(token_erase(w->token, &e), -1);
    assert_int_equal(e.code, E_DENIED);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(token_owner(w->token, unit_pin(UNIT_SO), NULL), 0);
    assert_int_equal(token_erase(w->token, NULL), 0);
    assert_true(state_of(w).owner_set);
    /* With the last that keeps it the hierarchy is given back. */
    w->id = first;
    again(w);
    assert_int_equal(token_owner(w->token, unit_pin(UNIT_SO), NULL), 0);
    assert_int_equal(token_erase(w->token, NULL), 0);
    assert_false(state_of(w).owner_set);
    assert_int_equal(owner_indices(), 0);
    w->id = 0;
}

static void test_a_foreign_owner_gives_it(void **state)
{
    struct unit_tpm *w = *state;
    struct token_report report = {0};
    struct err e;

    /* No storage primary yet, either. */
    assert_int_equal(unit_tpm_script("tpm2_changeauth -Q -c owner foreign"), 0);
    assert_int_equal(provision(w, "first", false, NULL, &e), E_DENIED);
    assert_non_null(strstr(e.msg, "--owner-auth-file"));
    assert_int_equal(owner_know(w->tpm, unit_pin("foreign"), false, NULL), 0);
    assert_int_equal(provision(w, "first", true, NULL, &e), E_DENIED);
    assert_non_null(strstr(e.msg, "somebody else"));
    assert_int_equal(provision(w, "first", false, &report, &e), E_OK);
    assert_true(report.owner_foreign);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    again(w);
    assert_int_equal(owner_know(w->tpm, unit_pin("foreign"), false, NULL), 0);
    assert_int_equal(token_erase(w->token, NULL), 0);
    assert_true(state_of(w).owner_set);
    w->id = 0;
}

static void test_it_never_crosses_the_wire(void **state)
{
    struct unit_tpm *w = *state;
    struct token_report report = {0};
    uint8_t auth[OWNER_AUTH];

    unit_tpm_close(w);
    unit_tpm_open(w, unit_spy(w, true));
    assert_int_equal(provision(w, "first", true, &report, NULL), E_OK);
    assert_int_equal(hex_decode(auth, sizeof(auth), report.owner_code), 0);
    /* Another primary has to be made now, by the owner. */
    assert_int_equal(token_owner(w->token, unit_pin(UNIT_SO), NULL), 0);
    assert_int_equal(token_erase(w->token, NULL), 0);
    w->id = 0;
    assert_int_equal(unit_tpm_script("tpm2_evictcontrol -Q -C o -c 0x81000001 && "
                                     "tpm2_changeauth -Q -c owner foreign-and-weak"),
                     0);
    assert_int_equal(owner_know(w->tpm, unit_pin("foreign-and-weak"), false, NULL), 0);
    assert_int_equal(provision(w, "second", false, NULL, NULL), E_OK);
    assert_true(unit_spy_count(w, NULL) > 20);
    assert_int_equal(unit_spy_count(w, "EvictControl"), 2);
    assert_false(unit_spy_saw(w, auth, sizeof(auth)));
    assert_false(unit_spy_saw(w, "foreign-and-weak", 16));
}

static void test_a_reset_keeps_it(void **state)
{
    struct unit_tpm *w = *state;

    assert_int_equal(provision(w, "first", true, NULL, NULL), E_OK);
    again(w);
    assert_int_equal(token_reset(w->token, unit_pin(UNIT_SO), "again", NULL), 0);
    assert_int_equal(owner_indices(), 4);
    assert_int_equal(owner_auth(w->tpm).len, 0);
    assert_int_equal(token_row(w->token)->flags & STORE_TOKEN_OWNER, STORE_TOKEN_OWNER);
    again(w);
    assert_int_equal(token_owner(w->token, unit_pin(UNIT_SO), NULL), 0);
    assert_int_equal(token_erase(w->token, NULL), 0);
    assert_false(state_of(w).owner_set);
    w->id = 0;
}

/* --- killed at every command --------------------------------------------------------------- */

static int provisions(struct unit_tpm *w)
{
    struct err e = {0};

    CHILD_MUST(provision(w, "killed", true, NULL, &e) == E_OK, &e);
    return 0;
}

/* Erases all that the store has, by the SO PIN where it must be. */
static void erase_all(struct unit_tpm *w)
{
    struct store_token *list = NULL;
    struct err e = {0};
    size_t n = 0;

    assert_int_equal(store_token_list(w->store, &list, &n, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        struct token *k = unit_tpm_token(w, list[i].id);

        if (state_of(w).owner_set && owner_auth(w->tpm).len == 0 &&
            token_owner(k, unit_pin(UNIT_SO), &e) != 0)
            fail_msg("'%s': %s", list[i].label, e.msg);
        if (token_erase(k, &e) != 0)
            fail_msg("'%s': %s", list[i].label, e.msg);
        token_free(k);
    }
    free(list);
    assert_int_equal(owner_indices(), 0);
    assert_false(state_of(w).owner_set);
}

/* `token erase` repairs. */
static void erased_then(struct unit_tpm *w)
{
    erase_all(w);
}

/* As `--owner-token` does: an unfinished token lets go of it for its SO PIN. */
static void ask_the_dead(struct unit_tpm *w, const struct store_token *row)
{
    struct token *k = unit_tpm_token(w, row->id);

    if (state_of(w).owner_set && owner_auth(w->tpm).len == 0)
        assert_int_equal(token_owner(k, unit_pin(UNIT_SO), NULL), 0);
    token_free(k);
}

/* `token init` repairs. */
static void made_again(struct unit_tpm *w)
{
    struct store_token *list = NULL;
    size_t n = 0, dead = 0;
    struct err e;

    assert_int_equal(store_token_list(w->store, &list, &n, NULL), 0);
    for (size_t i = 0; i < n; i++)
        dead += (list[i].flags & STORE_TOKEN_INCOMPLETE) != 0;
    /* A finished one is simply there; its SO opens it. */
    if (n > dead)
        assert_int_equal(n, 1);
    if (n == dead) {
        for (size_t i = 0; i < n; i++)
            ask_the_dead(w, &list[i]);
        if (provision(w, "again", true, NULL, &e) != E_OK)
            fail_msg("%s", e.msg);
        assert_int_equal(owner_indices(), 4);
        assert_true(state_of(w).owner_set);
        unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    }
    free(list);
    w->id = 0;
    again(w);
    erase_all(w);
}

static void killed_everywhere(struct unit_tpm *w, int (*f)(struct unit_tpm *w),
                              void (*prepare)(struct unit_tpm *w),
                              void (*judge)(struct unit_tpm *w))
{
    static const char *const fault[] = {"SPY_KILL", "SPY_KILL_AFTER"};
    char nth[12];

    for (size_t when = 0; when < ARRAY_LEN(fault); when++) {
        int i = 1, rc = UNIT_KILLED;

        for (; rc == UNIT_KILLED && i < MANY; i++) {
            if (prepare != NULL)
                prepare(w);
            unit_tpm_close(w);
            snprintf(nth, sizeof(nth), "%d", i);
            rc = unit_spy_child(w, fault[when], nth, NULL, f);
            w->id = 0;
            unit_tpm_open(w, getenv("FUSETSU_TCTI"));
            judge(w);
            unit_tpm_forgive();
        }
        assert_int_equal(rc, 0);
        assert_true(i > 10);
    }
}

static void test_killed_anywhere_then_erased(void **state)
{
    killed_everywhere(*state, provisions, NULL, erased_then);
}

static void test_killed_anywhere_then_made_again(void **state)
{
    killed_everywhere(*state, provisions, NULL, made_again);
}

static void make_one(struct unit_tpm *w)
{
    assert_int_equal(provision(w, "one", true, NULL, NULL), E_OK);
}

static int erases(struct unit_tpm *w)
{
    struct err e = {0};

    CHILD_MUST(token_owner(w->token, unit_pin(UNIT_SO), &e) == 0, &e);
    CHILD_MUST(token_erase(w->token, &e) == 0, &e);
    return 0;
}

static void test_killed_anywhere_in_erasing_then_erased(void **state)
{
    killed_everywhere(*state, erases, make_one, erased_then);
}

static void test_killed_anywhere_in_erasing_then_made_again(void **state)
{
    killed_everywhere(*state, erases, make_one, made_again);
}

static int resets(struct unit_tpm *w)
{
    struct err e = {0};

    CHILD_MUST(token_reset(w->token, unit_pin(UNIT_SO), "again", &e) == 0, &e);
    return 0;
}

/* All rows keep it then: whichever is finished opens the way. */
static void one_is_whole(struct unit_tpm *w)
{
    struct store_token *list = NULL;
    size_t n = 0;

    assert_int_equal(store_token_list(w->store, &list, &n, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        struct token *k = unit_tpm_token(w, list[i].id);

        if ((list[i].flags & STORE_TOKEN_INCOMPLETE) == 0)
            assert_int_equal(token_owner(k, unit_pin(UNIT_SO), NULL), 0);
        token_free(k);
    }
    free(list);
    erase_all(w);
}

static void test_killed_anywhere_in_a_reset(void **state)
{
    killed_everywhere(*state, resets, make_one, one_is_whole);
}

/* Those who make other tokens have other SO PINs. */
static void test_an_unfinished_token_keeps_its_tries(void **state)
{
    struct unit_tpm *w = *state;
    struct store_token row;
    struct err e;

    assert_int_equal(provision(w, "first", true, NULL, NULL), E_OK);
    row = *token_row(w->token);
    assert_int_equal(
        store_token_note(w->store, &row, &(struct store_note){.set = STORE_TOKEN_INCOMPLETE}, NULL),
        0);
    again(w);
    for (int i = 0; i < 12; i++) {
        struct token_params p = {.label = "other",
                                 .so_pin = unit_pin("another-so"),
                                 .user_pin = unit_pin(UNIT_USER),
                                 .weak_lockout = true};
        struct token *k = NULL;

        e = (struct err){0};
        assert_int_equal(token_provision(&k, w->tpm, w->store, &p, NULL, &e), -1);
        assert_int_equal(e.code, E_DENIED);
        assert_non_null(strstr(e.msg, "--owner-token"));
    }
    assert_int_equal(token_reload(w->token, NULL), 0);
    assert_int_equal(token_row(w->token)->so_fails, 0);
    erase_all(w);
    w->id = 0;
    again(w);
}

/* The TPM does it and the answer is lost. */
static int loses_the_answer(struct unit_tpm *w)
{
    struct err e = {0};

    CHILD_MUST(provision(w, "lost", true, NULL, &e) != E_OK, &e);
    return 0;
}

static void test_a_refusal_leaves_nothing(void **state)
{
    struct unit_tpm *w = *state;

    unit_tpm_close(w);
    assert_int_equal(
        unit_spy_child(w, "SPY_FAIL", "1:0x101", "HierarchyChangeAuth", loses_the_answer), 0);
    assert_int_equal(unit_spy_child(w, "SPY_TAMPER", "1", "HierarchyChangeAuth", loses_the_answer),
                     0);
    unit_tpm_open(w, getenv("FUSETSU_TCTI"));
    erase_all(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACTORY(test_the_owner_is_ours_and_told_once),
        FACTORY(test_a_second_token_wants_it),
        FACTORY(test_a_foreign_owner_gives_it),
        FACTORY(test_it_never_crosses_the_wire),
        FACTORY(test_a_reset_keeps_it),
        FACTORY(test_killed_anywhere_then_erased),
        FACTORY(test_killed_anywhere_then_made_again),
        FACTORY(test_killed_anywhere_in_erasing_then_erased),
        FACTORY(test_killed_anywhere_in_erasing_then_made_again),
        FACTORY(test_killed_anywhere_in_a_reset),
        FACTORY(test_an_unfinished_token_keeps_its_tries),
        FACTORY(test_a_refusal_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
