/* Power cuts, broken connections, and processes killed at every single command: nothing is
 * lost, nothing leaks, and nobody pays with tries for it. */
#include "tests/support/unit_tpm.h"
#include "tpm/nv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define SECOND "second-pin"

/* More commands than any of these takes; ends the loops if one never ends. */
#define MANY 200

/* --- power cuts -------------------------------------------------------------------- */

static void test_after_a_power_cut_keys_sign_without_a_new_login(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key a = {0}, b = {0};
    struct err e = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_ecc(w, "P-256", &a);
    unit_tpm_ecc(w, "P-256", &b);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(unit_tpm_sign(w->token, &a, NULL), 0);
        assert_int_equal(unit_tpm_sign(w->token, &b, NULL), 0);
        unit_tpm_cut();
        if (unit_tpm_sign(w->token, &a, &e) != 0 || unit_tpm_sign(w->token, &b, &e) != 0)
            fail_msg("%s", e.msg);
        assert_int_equal(token_who(w->token), TOKEN_USER);
    }
    store_key_free(&a);
    store_key_free(&b);
}

static void test_after_a_power_cut_keys_are_made_and_imported(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key a = {0}, b = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_ecc(w, "P-256", &a);
    unit_tpm_cut();
    unit_tpm_ecc(w, "P-256", &b);
    assert_int_equal(unit_tpm_sign(w->token, &b, NULL), 0);
    store_key_free(&a);
    store_key_free(&b);
}

static void test_after_a_power_cut_pins_work_at_once(void **state)
{
    struct unit_tpm *w = *state;
    struct err e = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_cut();
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, "not-the-pin", NULL), E_PIN_WRONG);
    unit_tpm_cut();
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_cut();
    if (token_set_pin(w->token, TOKEN_USER, unit_pin(UNIT_USER), unit_pin(SECOND), &e) != 0)
        fail_msg("%s", e.msg);
    unit_tpm_cut();
    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
    unit_tpm_cut();
    if (token_init_pin(w->token, unit_pin(UNIT_USER), &e) != 0)
        fail_msg("%s", e.msg);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(unit_tpm_failures(), 0);
}

static void test_power_cuts_after_logins_count_nothing(void **state)
{
    struct unit_tpm *w = *state;

    assert_int_equal(unit_tpm_failures(), 0);
    for (int i = 0; i < 6; i++) {
        unit_tpm_login(w, TOKEN_USER, UNIT_USER);
        unit_tpm_cut();
    }
    assert_int_equal(unit_tpm_failures(), 0);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(token_row(w->token)->user_fails, 0);
}

static void test_power_cuts_after_pin_changes_count_nothing(void **state)
{
    struct unit_tpm *w = *state;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            token_set_pin(w->token, TOKEN_USER, unit_pin(UNIT_USER), unit_pin(SECOND), NULL), 0);
        unit_tpm_cut();
        assert_int_equal(
            token_set_pin(w->token, TOKEN_USER, unit_pin(SECOND), unit_pin(UNIT_USER), NULL), 0);
        unit_tpm_cut();
    }
    assert_int_equal(unit_tpm_failures(), 0);
}

/* The count of wrong PINs is the TPM's, in NV: no power cut clears it. */
static void test_a_power_cut_gives_no_tries_back(void **state)
{
    struct unit_tpm *w = *state;

    for (int i = 0; i < 10; i++) {
        assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, "not-the-pin", NULL), E_PIN_WRONG);
        if (i % 3 == 2)
            unit_tpm_cut();
    }
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, NULL), E_PIN_LOCKED);
}

/* --- a connection that breaks, a TPM that is busy ------------------------------------- */

static int login_over_a_break(struct unit_tpm *w)
{
    struct err e = {0};
    enum err_code first = unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, &e);

    CHILD_MUST(first == E_OK || first == E_REMOVED || first == E_NO_DEVICE, &e);
    CHILD_MUST(token_row(w->token)->user_fails == 0, &e);
    /* What a resource manager would have done with the broken connection's sessions. */
    unit_tpm_flush();
    CHILD_MUST(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, &e) == E_OK, &e);
    return 0;
}

static void test_a_break_at_any_command_of_a_login_is_got_over(void **state)
{
    struct unit_tpm *w = *state;
    char nth[12];

    unit_tpm_close(w);
    for (int i = 1; i <= 9; i++) {
        snprintf(nth, sizeof(nth), "%d", i);
        assert_int_equal(unit_spy_child(w, "SPY_FAIL", nth, NULL, login_over_a_break), 0);
    }
    assert_int_equal(unit_tpm_failures(), 0);
}

static int sign_over_a_break(struct unit_tpm *w)
{
    struct key_spec spec = {.type = TPM2_ALG_ECC, .curve = alg_curve_named("P-256"), .sign = true};
    struct store_key key = {0};
    struct err e = {0};

    CHILD_MUST(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, &e) == E_OK, &e);
    CHILD_MUST(token_key_create(w->token, &spec, &key, &e) == 0, &e);
    CHILD_MUST(unit_tpm_sign(w->token, &key, &e) == 0, &e);
    CHILD_MUST(unit_tpm_sign(w->token, &key, &e) == 0, &e);
    store_key_free(&key);
    return 0;
}

static void test_a_break_while_signing_is_not_even_noticed(void **state)
{
    struct unit_tpm *w = *state;

    unit_tpm_close(w);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1", "Sign", sign_over_a_break), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "2", "Sign", sign_over_a_break), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1", "Load", sign_over_a_break), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1", "Create", sign_over_a_break), 0);
}

static void test_a_busy_tpm_is_asked_again(void **state)
{
    /* TPM_RC_RETRY, YIELDED, TESTING, NV_RATE (Part 2, 6.6.3). */
    static const char *const busy[] = {"1:0x922", "1:0x908", "1:0x90a", "1:0x920"};
    struct unit_tpm *w = *state;

    unit_tpm_close(w);
    for (size_t i = 0; i < ARRAY_LEN(busy); i++)
        assert_int_equal(unit_spy_child(w, "SPY_FAIL", busy[i], "Sign", sign_over_a_break), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x902", "Load", sign_over_a_break), 0);
    assert_int_equal(
        unit_spy_child(w, "SPY_FAIL", "1:0x903", "StartAuthSession", sign_over_a_break), 0);
    assert_int_equal(
        unit_spy_child(w, "SPY_FAIL", "2:0x903", "StartAuthSession", sign_over_a_break), 0);
}

static int told_of_the_lockout(struct unit_tpm *w)
{
    struct err e = {0};

    CHILD_MUST(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, &e) == E_LOCKOUT, &e);
    CHILD_MUST(token_row(w->token)->user_fails == 0, &e);
    CHILD_MUST(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, &e) == E_OK, &e);
    return 0;
}

static void test_the_tpm_wide_lockout_is_not_a_locked_pin(void **state)
{
    struct unit_tpm *w = *state;

    unit_tpm_close(w);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x921", "NV_Read", told_of_the_lockout), 0);
}

/* --- killed at every command ------------------------------------------------------------ */

static size_t owner_indices(void)
{
    uint32_t h[64];

    return unit_tpm_handles(NV_OWNER_FIRST, NV_OWNER_LAST, h, ARRAY_LEN(h));
}

/* Every row is a finished token and every index belongs to one. Returns how many. */
static size_t nothing_leaked(struct unit_tpm *w)
{
    struct store_token *list = NULL;
    size_t n = 0;

    assert_int_equal(store_token_list(w->store, &list, &n, NULL), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(list[i].flags & STORE_TOKEN_INCOMPLETE, 0);
    free(list);
    assert_int_equal(owner_indices(), 4 * n);
    return n;
}

/* Kills children that run `f`, before and after each of their commands in turn; `judge`
 * looks at what is left, with the world open, and puts it back as it was. */
static void killed_everywhere(struct unit_tpm *w, int (*f)(struct unit_tpm *w),
                              void (*judge)(struct unit_tpm *w))
{
    static const char *const fault[] = {"SPY_KILL", "SPY_KILL_AFTER"};
    char nth[12];

    for (size_t when = 0; when < ARRAY_LEN(fault); when++) {
        int i = 1, rc = UNIT_KILLED;

        for (; rc == UNIT_KILLED && i < MANY; i++) {
            unit_tpm_close(w);
            snprintf(nth, sizeof(nth), "%d", i);
            rc = unit_spy_child(w, fault[when], nth, NULL, f);
            unit_tpm_open(w, getenv("FUSETSU_TCTI"));
            judge(w);
            unit_tpm_forgive();
        }
        assert_int_equal(rc, 0);
        assert_true(i > 5);
    }
}

static int changes_pin(struct unit_tpm *w, enum token_user who, const char *old)
{
    struct err e = {0};

    CHILD_MUST(token_set_pin(w->token, who, unit_pin(old), unit_pin(SECOND), &e) == 0, &e);
    return 0;
}

static int changes_user_pin(struct unit_tpm *w)
{
    return changes_pin(w, TOKEN_USER, UNIT_USER);
}

static int changes_so_pin(struct unit_tpm *w)
{
    return changes_pin(w, TOKEN_SO, UNIT_SO);
}

/* The old PIN or the new one opens; or the same change once more finishes it. */
static void one_pin_works(struct unit_tpm *w, enum token_user who, const char *old)
{
    enum err_code with_old = unit_tpm_try(w->token, who, old, NULL);
    struct err e = {0};

    if (with_old == E_OK)
        return;
    if (with_old == E_PIN_INTERRUPT) {
        assert_int_equal(unit_tpm_try(w->token, who, SECOND, NULL), E_PIN_WRONG);
        if (token_set_pin(w->token, who, unit_pin(old), unit_pin(SECOND), &e) != 0)
            fail_msg("%s", e.msg);
    } else {
        assert_int_equal(with_old, E_PIN_WRONG);
    }
    unit_tpm_login(w, who, SECOND);
    if (token_set_pin(w->token, who, unit_pin(SECOND), unit_pin(old), &e) != 0)
        fail_msg("%s", e.msg);
    unit_tpm_login(w, who, old);
}

static void user_pin_works(struct unit_tpm *w)
{
    one_pin_works(w, TOKEN_USER, UNIT_USER);
}

static void so_pin_works(struct unit_tpm *w)
{
    one_pin_works(w, TOKEN_SO, UNIT_SO);
}

static void test_killed_anywhere_in_a_pin_change(void **state)
{
    killed_everywhere(*state, changes_user_pin, user_pin_works);
}

static void test_killed_anywhere_in_a_change_of_the_so_pin(void **state)
{
    killed_everywhere(*state, changes_so_pin, so_pin_works);
}

static int resets_user_pin(struct unit_tpm *w)
{
    struct err e = {0};

    CHILD_MUST(unit_tpm_try(w->token, TOKEN_SO, UNIT_SO, &e) == E_OK, &e);
    CHILD_MUST(token_init_pin(w->token, unit_pin(SECOND), &e) == 0, &e);
    return 0;
}

static void the_so_can_reset(struct unit_tpm *w)
{
    struct err e = {0};

    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
    if (token_init_pin(w->token, unit_pin(UNIT_USER), &e) != 0)
        fail_msg("%s", e.msg);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
}

static void test_killed_anywhere_in_a_reset_of_the_user_pin(void **state)
{
    killed_everywhere(*state, resets_user_pin, the_so_can_reset);
}

static int provisions(struct unit_tpm *w)
{
    struct token_params p = {.label = "killed",
                             .so_pin = unit_pin(UNIT_SO),
                             .user_pin = unit_pin(UNIT_USER),
                             .weak_lockout = true};
    struct token *k = NULL;
    struct err e = {0};

    CHILD_MUST(token_provision(&k, w->tpm, w->store, &p, NULL, &e) == 0, &e);
    token_free(k);
    return 0;
}

static void erase_all_but(struct unit_tpm *w, int64_t keep)
{
    struct store_token *list = NULL;
    struct err e = {0};
    size_t n = 0;

    assert_int_equal(store_token_list(w->store, &list, &n, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        struct token *k = unit_tpm_token(w, list[i].id);

        if (list[i].id != keep && token_erase(k, &e) != 0)
            fail_msg("%s", e.msg);
        token_free(k);
    }
    free(list);
}

static void the_next_one_is_made(struct unit_tpm *w)
{
    int64_t id = unit_tpm_provision(w, "next");
    struct token *k = unit_tpm_token(w, id);

    assert_in_range(nothing_leaked(w), 1, 2);
    assert_int_equal(unit_tpm_try(k, TOKEN_USER, UNIT_USER, NULL), E_OK);
    token_free(k);
    erase_all_but(w, 0);
    assert_int_equal(owner_indices(), 0);
}

static void test_killed_anywhere_in_provisioning(void **state)
{
    killed_everywhere(*state, provisions, the_next_one_is_made);
}

static int erases(struct unit_tpm *w)
{
    struct err e = {0};

    CHILD_MUST(token_erase(w->token, &e) == 0, &e);
    return 0;
}

static void the_rest_is_swept(struct unit_tpm *w)
{
    int64_t id;

    token_free(w->token);
    w->token = NULL;
    id = unit_tpm_provision(w, "next");
    nothing_leaked(w);
    erase_all_but(w, id);
    assert_int_equal(nothing_leaked(w), 1);
    w->id = id;
    w->token = unit_tpm_token(w, id);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
}

/* The child's row may be gone when the world is opened again. */
static void open_again(struct unit_tpm *w)
{
    struct store_token row;

    w->id = store_token_get(w->store, w->id, &row, NULL) == 0 ? w->id : 0;
    if (w->id != 0)
        w->token = unit_tpm_token(w, w->id);
    the_rest_is_swept(w);
}

static void test_killed_anywhere_in_erasing(void **state)
{
    static const char *const fault[] = {"SPY_KILL", "SPY_KILL_AFTER"};
    struct unit_tpm *w = *state;
    char nth[12];

    for (size_t when = 0; when < ARRAY_LEN(fault); when++) {
        int rc = UNIT_KILLED;

        for (int i = 1; rc == UNIT_KILLED && i < MANY; i++) {
            int64_t id = w->id;

            unit_tpm_close(w);
            snprintf(nth, sizeof(nth), "%d", i);
            rc = unit_spy_child(w, fault[when], nth, NULL, erases);
            w->id = 0;
            unit_tpm_open(w, getenv("FUSETSU_TCTI"));
            w->id = id;
            open_again(w);
        }
        assert_int_equal(rc, 0);
    }
}

static int resets_token(struct unit_tpm *w)
{
    struct err e = {0};

    CHILD_MUST(token_reset(w->token, unit_pin(UNIT_SO), "again", &e) == 0, &e);
    return 0;
}

/* It is the old token with its PIN, or a new one without: never something between. */
static void old_or_new(struct unit_tpm *w)
{
    struct token *k;
    int64_t id;

    if (strcmp(token_row(w->token)->label, "unit") == 0)
        unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    else
        assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, NULL), E_PIN_UNSET);
    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
    /* The next provisioning sweeps away what is neither. */
    id = unit_tpm_provision(w, "next");
    assert_int_equal(nothing_leaked(w), 2);
    k = unit_tpm_token(w, id);
    assert_int_equal(token_erase(w->token, NULL), 0);
    token_free(w->token);
    token_free(k);
    w->token = NULL;
    erase_all_but(w, 0);
    w->id = unit_tpm_provision(w, "unit");
    w->token = unit_tpm_token(w, w->id);
}

static void test_killed_anywhere_in_a_reset_of_the_token(void **state)
{
    killed_everywhere(*state, resets_token, old_or_new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TOKEN(test_after_a_power_cut_keys_sign_without_a_new_login),
        WITH_TOKEN(test_after_a_power_cut_keys_are_made_and_imported),
        WITH_TOKEN(test_after_a_power_cut_pins_work_at_once),
        WITH_TOKEN(test_power_cuts_after_logins_count_nothing),
        WITH_TOKEN(test_power_cuts_after_pin_changes_count_nothing),
        WITH_TOKEN(test_a_power_cut_gives_no_tries_back),
        WITH_TOKEN(test_a_break_at_any_command_of_a_login_is_got_over),
        WITH_TOKEN(test_a_break_while_signing_is_not_even_noticed),
        WITH_TOKEN(test_a_busy_tpm_is_asked_again),
        WITH_TOKEN(test_the_tpm_wide_lockout_is_not_a_locked_pin),
        WITH_TOKEN(test_killed_anywhere_in_a_pin_change),
        WITH_TOKEN(test_killed_anywhere_in_a_change_of_the_so_pin),
        WITH_TOKEN(test_killed_anywhere_in_a_reset_of_the_user_pin),
        BARE(test_killed_anywhere_in_provisioning),
        WITH_TOKEN(test_killed_anywhere_in_erasing),
        WITH_TOKEN(test_killed_anywhere_in_a_reset_of_the_token),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
