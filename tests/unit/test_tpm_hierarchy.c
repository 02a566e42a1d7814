/* Goal: who was at the TPM before us has no way in left when a hierarchy is made ours, and nobody on
 * the way to the TPM talks us out of making it so. */
#include "tests/support/unit_thief.h"
#include "tpm/capability.h"
#include "tpm/hierarchy.h"
#include "tpm/lockout.h"
#include "tpm/nv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static int provision(struct unit_tpm *w, const char *label, enum token_guard guard, bool weak,
                     struct token_report *report, struct err *e)
{
    struct token_params p = {.label = label,
                             .so_pin = unit_pin(UNIT_SO),
                             .user_pin = unit_pin(UNIT_USER),
                             .weak_lockout = weak,
                             .own_tpm = guard == TOKEN_GUARD_COUNTER,
                             .guard = guard};

    token_free(w->token);
    w->token = NULL;
    if (token_provision(&w->token, w->tpm, w->store, &p, report, e) != 0)
        return -1;
    w->id = token_row(w->token)->id;
    return 0;
}

static void must(struct unit_tpm *w, const char *label, enum token_guard guard, bool weak,
                 struct token_report *report)
{
    struct err e = {0};

    if (provision(w, label, guard, weak, report, &e) != 0)
        fail_msg("%s", e.msg);
}

/* A policy that everybody fulfils: locality zero. `auth` as tpm2-tools write it. */
static void plant(struct unit_tpm *w, char hierarchy, const char *auth)
{
    char script[400];

    snprintf(script, sizeof(script),
             "cd %s && tpm2_startauthsession -S s && tpm2_policylocality -Q -S s -L policy zero && "
             "tpm2_flushcontext s && tpm2_setprimarypolicy -C %c -P '%s' -L policy -g sha256",
             w->dir, hierarchy, auth);
    assert_int_equal(unit_tpm_script(script), 0);
}

/* By that policy; `what` takes -p or -P and a session. */
static int by_policy(struct unit_tpm *w, const char *what)
{
    char script[400];

    snprintf(script, sizeof(script),
             "cd %s && tpm2_startauthsession --policy-session -S s && "
             "tpm2_policylocality -Q -S s zero && %s session:s 2>/dev/null; rc=$?; "
             "tpm2_flushcontext s; exit $rc",
             w->dir, what);
    return unit_tpm_script(script);
}

static struct hierarchy_policies policies(struct unit_tpm *w)
{
    struct hierarchy_policies p;

    assert_int_equal(hierarchy_policies(w->tpm, NULL, &p, NULL), 0);
    return p;
}

static void test_the_policies_of_who_was_there_before_go(void **state)
{
    static const char forgive[] = "tpm2_dictionarylockout -Q -c -p",
                      define[] = "tpm2_nvdefine -Q -C o -s 8 0x1900000 -P";
    struct unit_tpm *w = *state;

    assert_false(policies(w).owner || policies(w).lockout);
    plant(w, 'o', "");
    plant(w, 'l', "");
    assert_true(policies(w).owner && policies(w).lockout);
    /* The control: they open both. */
    assert_int_equal(by_policy(w, forgive), 0);
    assert_int_equal(by_policy(w, define), 0);
    assert_int_equal(unit_tpm_script("tpm2_nvundefine -Q -C o 0x1900000"), 0);
    must(w, "first", TOKEN_GUARD_COUNTER, false, NULL);
    assert_int_equal(token_row(w->token)->flags & STORE_TOKEN_WEAK_LOCKOUT, 0);
    assert_false(policies(w).owner || policies(w).lockout);
    assert_int_not_equal(by_policy(w, forgive), 0);
    assert_int_not_equal(by_policy(w, define), 0);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
}

/* One that was overlooked, by an older version of ours say. */
static void test_with_the_next_token_goes_one_that_was_left(void **state)
{
    struct unit_tpm *w = *state;
    struct token_report report = {0};
    char auth[90];

    must(w, "first", TOKEN_GUARD_COUNTER, true, &report);
    snprintf(auth, sizeof(auth), "hex:%s", report.owner_code);
    plant(w, 'o', auth);
    assert_true(policies(w).owner);
    must(w, "second", TOKEN_GUARD_COUNTER, true, NULL);
    assert_false(policies(w).owner);
    plant(w, 'o', auth);
    if (token_reset(w->token, unit_pin(UNIT_SO), "again", NULL) != 0)
        fail();
    assert_false(policies(w).owner);
}

static void test_a_lockout_that_is_not_ours_is_told(void **state)
{
    struct unit_tpm *w = *state;
    struct token_report report = {0};

    assert_int_equal(unit_tpm_script("tpm2_changeauth -Q -c lockout theirs"), 0);
    must(w, "first", TOKEN_GUARD_DA, false, &report);
    assert_true(report.lockout_foreign);
    assert_false(report.lockout_policy);
    assert_int_equal(token_row(w->token)->flags &
                         (STORE_TOKEN_FOREIGN_LOCKOUT | STORE_TOKEN_WEAK_LOCKOUT),
                     STORE_TOKEN_FOREIGN_LOCKOUT);
    /* Nor does the first token make it ours for the second. */
    plant(w, 'l', "theirs");
    must(w, "second", TOKEN_GUARD_DA, false, &report);
    assert_true(report.lockout_foreign && report.lockout_policy);
    assert_int_equal(token_row(w->token)->flags &
                         (STORE_TOKEN_FOREIGN_LOCKOUT | STORE_TOKEN_WEAK_LOCKOUT),
                     STORE_TOKEN_FOREIGN_LOCKOUT | STORE_TOKEN_WEAK_LOCKOUT);
}

static void test_a_lockout_of_ours_is_ours_for_the_second_token(void **state)
{
    struct unit_tpm *w = *state;
    struct token_report report = {0};

    must(w, "first", TOKEN_GUARD_DA, false, &report);
    assert_true(report.lockout_set);
    must(w, "second", TOKEN_GUARD_DA, false, &report);
    assert_false(report.lockout_set || report.lockout_foreign || report.lockout_policy);
    assert_int_equal(token_row(w->token)->flags, STORE_TOKEN_PIN_SET | STORE_TOKEN_MARKED);
}

/* --- on the way to the TPM ------------------------------------------------------------------- */

/* "good:evil": the TPM's TPMA_PERMANENT as it is, and with another bit set. */
static void lie(struct unit_tpm *w, uint32_t bit, char out[40])
{
    TPMS_CAPABILITY_DATA data;
    uint32_t now;

    assert_int_equal(
        capability_read(w->tpm, NULL, TPM2_CAP_TPM_PROPERTIES, TPM2_PT_PERMANENT, 1, &data, NULL),
        0);
    now = data.data.tpmProperties.tpmProperty[0].value;
    snprintf(out, 40, "00000200%08x:00000200%08x", now, now | bit);
}

static void lied_to(struct unit_tpm *w, uint32_t bit)
{
    struct lockout_state s;
    char replace[40];
    struct err e = {0};

    lie(w, bit, replace);
    unit_tpm_close(w);
    setenv("SPY_REPLACE", replace, 1);
    unit_tpm_open(w, unit_spy(w, false));
    /* The control: who asks without a session believes it. */
    assert_int_equal(lockout_read(w->tpm, &s, NULL), 0);
    assert_true(bit == TPMA_PERMANENT_LOCKOUTAUTHSET ? s.auth_set : s.owner_set);
    assert_int_equal(provision(w, "first", TOKEN_GUARD_DA, false, NULL, &e), -1);
    unsetenv("SPY_REPLACE");
    assert_int_equal(e.code, bit == TPMA_PERMANENT_LOCKOUTAUTHSET ? E_TAMPERED : E_DENIED);
}

static void test_nobody_says_that_the_lockout_is_secured(void **state)
{
    lied_to(*state, TPMA_PERMANENT_LOCKOUTAUTHSET);
}

static void test_nobody_says_that_the_owner_is_set(void **state)
{
    lied_to(*state, TPMA_PERMANENT_OWNERAUTHSET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACTORY(test_the_policies_of_who_was_there_before_go),
        FACTORY(test_with_the_next_token_goes_one_that_was_left),
        FACTORY(test_a_lockout_that_is_not_ours_is_told),
        FACTORY(test_a_lockout_of_ours_is_ours_for_the_second_token),
        FACTORY(test_nobody_says_that_the_lockout_is_secured),
        FACTORY(test_nobody_says_that_the_owner_is_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
