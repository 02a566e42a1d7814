/* Goal: the other guards of the secret hold what they promise: the PIN's own count alone on a TPM
 * whose owner is nobody else, and the TPM's count alone where it has no PIN indices. */
#include "cli/inside.h"
#include "tests/support/unit_thief.h"
#include "tpm/lockout.h"
#include "tpm/nv.h"
#include "tpm/owner.h"
#include "tpm/rc.h"
#include "tpm/token_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define WRONG "not-the-pin"
#define SECOND "second-pin"
#define MANY 200

static const struct bytes none = {NULL, 0};
static const uint8_t own_pin[32] = {'t', 'h', 'i', 'e', 'f'};
static const uint8_t many_tries[PIN_COUNT] = {0, 0, 0, 0, 0, 0, 0, 200};

static int provision(struct unit_tpm *w, enum token_guard guard, bool own,
                     struct token_report *report, struct err *e)
{
    struct token_params p = {.label = "guarded",
                             .so_pin = unit_pin(UNIT_SO),
                             .user_pin = unit_pin(UNIT_USER),
                             .weak_lockout = true,
                             .own_tpm = own,
                             .guard = guard};

    token_free(w->token);
    w->token = NULL;
    if (token_provision(&w->token, w->tpm, w->store, &p, report, e) != 0)
        return -1;
    w->id = token_row(w->token)->id;
    return 0;
}

static void counted(struct unit_tpm *w, struct token_report *report)
{
    struct err e = {0};

    if (provision(w, TOKEN_GUARD_COUNTER, true, report, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(token_row(w->token)->flags & STORE_TOKEN_COUNTER, STORE_TOKEN_COUNTER);
}

static size_t owner_indices(void)
{
    uint32_t h[64];

    return unit_tpm_handles(NV_OWNER_FIRST, NV_OWNER_LAST, h, ARRAY_LEN(h));
}

/* What both kinds do as every token does. */
static void works(struct unit_tpm *w)
{
    struct store_key key = {0};
    struct err e = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_ecc(w, "P-256", &key);
    assert_int_equal(unit_tpm_sign(w->token, &key, &e), 0);
    assert_int_equal(token_set_pin(w->token, TOKEN_USER, unit_pin(WRONG), unit_pin(SECOND), &e),
                     -1);
    assert_int_equal(e.code, E_PIN_WRONG);
    e = (struct err){0};
    if (token_set_pin(w->token, TOKEN_USER, unit_pin(UNIT_USER), unit_pin(SECOND), &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, NULL), E_PIN_WRONG);
    unit_tpm_login(w, TOKEN_USER, SECOND);
    assert_int_equal(unit_tpm_sign(w->token, &key, &e), 0);
    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
    if (token_init_pin(w->token, unit_pin(UNIT_USER), &e) != 0)
        fail_msg("%s", e.msg);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(unit_tpm_sign(w->token, &key, &e), 0);
    if (token_set_pin(w->token, TOKEN_SO, unit_pin(UNIT_SO), unit_pin(SECOND), &e) != 0 ||
        token_set_pin(w->token, TOKEN_SO, unit_pin(SECOND), unit_pin(UNIT_SO), &e) != 0)
        fail_msg("%s", e.msg);
    store_key_free(&key);
}

/* --- by the counter alone ------------------------------------------------------------------ */

static void test_it_is_refused_on_a_tpm_of_others(void **state)
{
    struct unit_tpm *w = *state;
    struct err e = {0};

    assert_int_equal(provision(w, TOKEN_GUARD_COUNTER, false, NULL, &e), -1);
    assert_int_equal(e.code, E_ARG);
    assert_non_null(strstr(e.msg, "--own-tpm"));
    assert_int_equal(owner_indices(), 0);
}

static void test_a_counted_token_works(void **state)
{
    struct unit_tpm *w = *state;
    unsigned before = unit_tpm_failures();

    counted(w, NULL);
    works(w);
    for (int i = 0; i < 10; i++)
        assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, WRONG, NULL), E_PIN_WRONG);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, NULL), E_PIN_LOCKED);
    assert_int_equal(unit_tpm_failures(), before);
    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
    assert_int_equal(token_init_pin(w->token, unit_pin(UNIT_USER), NULL), 0);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(token_reset(w->token, unit_pin(UNIT_SO), "again", NULL), 0);
    assert_int_equal(token_row(w->token)->flags & (STORE_TOKEN_COUNTER | STORE_TOKEN_OWNER),
                     STORE_TOKEN_COUNTER | STORE_TOKEN_OWNER);
    assert_int_equal(owner_indices(), 4);
}

static void test_a_counted_login_costs_less_and_leaves_no_trace(void **state)
{
    struct unit_tpm *w = *state;

    counted(w, NULL);
    unit_tpm_close(w);
    unit_tpm_open(w, unit_spy(w, false));
    unit_spy_clear(w);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(unit_spy_count(w, NULL), 5);
    assert_int_equal(unit_spy_count(w, "Shutdown"), 0);
    for (int i = 0; i < 4; i++) {
        unit_tpm_cut();
        unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    }
    unit_tpm_cut();
    assert_int_equal(unit_tpm_failures(), 0);
}

static struct thief thief_of(struct unit_tpm *w, struct bytes owner)
{
    return (struct thief){.sys = tpm_sys(w->tpm, NULL), .row = token_row(w->token), .owner = owner};
}

static void test_the_thief_cannot_move_u(void **state)
{
    struct unit_tpm *w = *state;
    TPMS_NV_PUBLIC pub;
    struct thief t;
    uint8_t out[PIN_SECRET];
    uint32_t s;

    counted(w, NULL);
    t = thief_of(w, none);
    s = t.row->nv[STORE_NV_S].handle;
    assert_int_equal(rc_base(thief_undefine(&t, t.row->nv[STORE_NV_U].handle)), TPM2_RC_BAD_AUTH);
    t.owner = bytes_of(own_pin, 32);
    assert_int_equal(
        rc_base(thief_redefine(&t, STORE_NV_U, bytes_of(own_pin, 32), bytes_of(many_tries, 8))),
        TPM2_RC_BAD_AUTH);
    assert_int_equal(nv_public(w->tpm, s, &pub, NULL, NULL), 0);
    pub.nvIndex++;
    assert_int_equal(rc_base(thief_define(&t, &pub, none)), TPM2_RC_BAD_AUTH);
    /* S has no authValue that would open it, and takes no write but by U. */
    assert_int_not_equal(thief_read(&t, s, s, none, out, sizeof(out)), TSS2_RC_SUCCESS);
    assert_int_not_equal(thief_read(&t, TPM2_RH_OWNER, s, none, out, sizeof(out)), TSS2_RC_SUCCESS);
    assert_int_not_equal(thief_write(&t, s, s, none, bytes_of(out, 32)), TSS2_RC_SUCCESS);
    assert_int_equal(
        rc_base(thief_open_guard(&t, PIN_USER, bytes_of(own_pin, 32), none, out, sizeof(out))),
        TPM2_RC_BAD_AUTH);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
}

/* Which is why it takes an owner authorisation that nobody knows. */
static void test_control_with_the_owner_auth_he_reads_the_secret(void **state)
{
    struct unit_tpm *w = *state;
    struct token_report report = {0};
    uint8_t owner[OWNER_AUTH], out[PIN_SECRET], secret[PIN_SECRET];
    struct thief t;

    counted(w, &report);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    memcpy(secret, secret_peek(w->token->secret), PIN_SECRET);
    assert_int_equal(hex_decode(owner, sizeof(owner), report.owner_code), 0);
    t = thief_of(w, bytes_of(owner, sizeof(owner)));
    assert_int_equal(thief_redefine(&t, STORE_NV_U, bytes_of(own_pin, 32), bytes_of(many_tries, 8)),
                     TSS2_RC_SUCCESS);
    assert_int_equal(thief_open_guard(&t, PIN_USER, bytes_of(own_pin, 32), none, out, sizeof(out)),
                     TSS2_RC_SUCCESS);
    assert_memory_equal(out, secret, PIN_SECRET);
}

static int provisions(struct unit_tpm *w)
{
    struct err e = {0};

    CHILD_MUST(provision(w, TOKEN_GUARD_COUNTER, true, NULL, &e) == 0, &e);
    return 0;
}

/* No token of that kind is whole while the owner authorisation is empty. */
static void never_open(struct unit_tpm *w)
{
    struct store_token *list = NULL;
    struct lockout_state s;
    struct err e = {0};
    size_t n = 0;

    assert_int_equal(lockout_read(w->tpm, &s, NULL), 0);
    assert_int_equal(store_token_list(w->store, &list, &n, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        struct token *k = unit_tpm_token(w, list[i].id);

        assert_true((list[i].flags & STORE_TOKEN_INCOMPLETE) != 0 || s.owner_set);
        if (s.owner_set)
            assert_int_equal(token_owner(k, unit_pin(UNIT_SO), NULL), 0);
        if (token_erase(k, &e) != 0)
            fail_msg("%s", e.msg);
        token_free(k);
    }
    free(list);
    assert_int_equal(owner_indices(), 0);
    assert_int_equal(lockout_read(w->tpm, &s, NULL), 0);
    assert_false(s.owner_set);
}

static void test_killed_anywhere_it_is_never_open(void **state)
{
    static const char *const fault[] = {"SPY_KILL", "SPY_KILL_AFTER"};
    struct unit_tpm *w = *state;
    char nth[12];

    for (size_t when = 0; when < ARRAY_LEN(fault); when++) {
        int i = 1, rc = UNIT_KILLED;

        for (; rc == UNIT_KILLED && i < MANY; i++) {
            unit_tpm_close(w);
            snprintf(nth, sizeof(nth), "%d", i);
            rc = unit_spy_child(w, fault[when], nth, NULL, provisions);
            w->id = 0;
            unit_tpm_open(w, getenv("FUSETSU_TCTI"));
            never_open(w);
            unit_tpm_forgive();
        }
        assert_int_equal(rc, 0);
        assert_true(i > 10);
    }
}

/* --- by the TPM's count alone ----------------------------------------------------------------- */

/* Linked in front of tpm/capability.c's. */
int __real_capability_pin_fail(struct tpm *t, struct session *session, bool *has, struct err *e);
int __wrap_capability_pin_fail(struct tpm *t, struct session *session, bool *has, struct err *e);

static bool is_older;

int __wrap_capability_pin_fail(struct tpm *t, struct session *session, bool *has, struct err *e)
{
    int rc = __real_capability_pin_fail(t, session, has, e);

    if (rc == 0 && is_older)
        *has = false;
    return rc;
}

/* It looks older to whoever asks without a session, and refuses PIN indices. */
static void looks_older(struct unit_tpm *w)
{
    setenv("SPY_NO_PIN_FAIL", "1", 1);
    unit_tpm_close(w);
    unit_tpm_open(w, unit_spy(w, false));
}

static void older(struct unit_tpm *w)
{
    is_older = true;
    looks_older(w);
}

static int older_away(void **state)
{
    is_older = false;
    unsetenv("SPY_NO_PIN_FAIL");
    return thief_away(state);
}

#define OLDER(f) cmocka_unit_test_setup_teardown(f, thief_factory, older_away)

static void alone(struct unit_tpm *w)
{
    struct err e = {0};

    older(w);
    if (provision(w, TOKEN_GUARD_DA, false, NULL, &e) != 0)
        fail_msg("%s", e.msg);
}

static void test_a_tpm_without_pin_indices_gets_a_token_that_says_so(void **state)
{
    struct unit_tpm *w = *state;
    struct lockout_state s;
    struct inside in;

    alone(w);
    assert_int_equal(token_row(w->token)->flags, STORE_TOKEN_PIN_SET | STORE_TOKEN_WEAK_LOCKOUT |
                                                     STORE_TOKEN_DA_ONLY | STORE_TOKEN_MARKED);
    assert_int_equal(owner_indices(), 2);
    assert_int_equal(token_row(w->token)->nv[STORE_NV_U].handle, 0);
    assert_int_equal(lockout_read(w->tpm, &s, NULL), 0);
    assert_int_equal(token_row(w->token)->user_limit, s.max_tries);
    unit_tpm_close(w);
    unit_tpm_open(w, NULL);
    assert_int_equal(inside_look(w->tpm, &w->token->hw, token_row(w->token), &in, NULL), 0);
    assert_true(inside_whole(&in) && inside_home(&in));
    works(w);
    unit_tpm_forgive();
    assert_int_equal(token_erase(w->token, NULL), 0);
    assert_int_equal(owner_indices(), 0);
    w->id = 0;
}

/* Somebody on the way to the TPM would take one lock away. */
static void test_a_tpm_that_only_looks_older_gets_none(void **state)
{
    struct unit_tpm *w = *state;
    struct err e = {0};

    looks_older(w);
    assert_int_equal(provision(w, TOKEN_GUARD_DA, false, NULL, &e), -1);
    assert_int_equal(e.code, E_TAMPERED);
    assert_non_null(strstr(e.msg, "revision"));
    assert_int_equal(owner_indices(), 0);
}

static void test_the_control_has_them(void **state)
{
    struct unit_tpm *w = *state;

    assert_int_equal(provision(w, TOKEN_GUARD_DA, false, NULL, NULL), 0);
    assert_int_equal(token_row(w->token)->flags & STORE_TOKEN_DA_ONLY, 0);
    assert_int_equal(owner_indices(), 4);
}

static void test_its_counts_are_the_tpms(void **state)
{
    struct unit_tpm *w = *state;
    struct err e = {0};
    uint32_t limit;

    alone(w);
    limit = token_row(w->token)->user_limit;
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, WRONG, &e), E_PIN_WRONG);
    assert_non_null(strstr(e.msg, "for all its users"));
    assert_int_equal(token_row(w->token)->user_fails, 1);
    /* The SO's failure is in the count as well. */
    assert_int_equal(unit_tpm_try(w->token, TOKEN_SO, WRONG, NULL), E_PIN_WRONG);
    assert_int_equal(token_row(w->token)->so_fails, 2);
    for (uint32_t i = 2; i < limit; i++)
        assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, WRONG, NULL), E_PIN_WRONG);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, &e), E_LOCKOUT);
    unit_tpm_forgive();
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(token_row(w->token)->user_fails, 0);
}

static void test_logins_there_cost_five_and_power_cuts_count_nothing(void **state)
{
    struct unit_tpm *w = *state;

    alone(w);
    unit_tpm_close(w);
    unit_tpm_open(w, NULL);
    unit_spy_clear(w);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_in_range(unit_spy_count(w, NULL), 6, 7);
    for (int i = 0; i < 4; i++) {
        unit_tpm_cut();
        unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    }
    unit_tpm_cut();
    assert_int_equal(unit_tpm_failures(), 0);
}

static void test_what_needs_a_count_is_refused_there(void **state)
{
    struct key_spec spec = {.type = TPM2_ALG_ECC,
                            .curve = alg_curve_named("P-256"),
                            .sign = true,
                            .mode = STORE_KEY_EACH};
    struct unit_tpm *w = *state;
    struct store_key key = {0};
    struct err e = {0};

    alone(w);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(token_key_create(w->token, &spec, &key, &e), -1);
    assert_int_equal(e.code, E_UNSUPPORTED);
    e = (struct err){0};
    assert_int_equal(provision(w, TOKEN_GUARD_COUNTER, true, NULL, &e), -1);
    assert_int_equal(e.code, E_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACTORY(test_it_is_refused_on_a_tpm_of_others),
        FACTORY(test_a_counted_token_works),
        FACTORY(test_a_counted_login_costs_less_and_leaves_no_trace),
        FACTORY(test_the_thief_cannot_move_u),
        FACTORY(test_control_with_the_owner_auth_he_reads_the_secret),
        FACTORY(test_killed_anywhere_it_is_never_open),
        OLDER(test_a_tpm_without_pin_indices_gets_a_token_that_says_so),
        OLDER(test_a_tpm_that_only_looks_older_gets_none),
        FACTORY(test_the_control_has_them),
        OLDER(test_its_counts_are_the_tpms),
        OLDER(test_logins_there_cost_five_and_power_cuts_count_nothing),
        OLDER(test_what_needs_a_count_is_refused_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
