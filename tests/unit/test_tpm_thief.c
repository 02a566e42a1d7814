/* Goal: a thief with the machine, the store and the rights of the TPM's owner gets at no secret
 * and at no key; every attack is shown to work on something that was made weak on purpose. */
#include "tests/support/unit_thief.h"
#include "tpm/exec.h"
#include "tpm/lockout.h"
#include "tpm/nv.h"
#include "tpm/pin.h"
#include "tpm/rc.h"
#include "tpm/token_priv.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct bytes none = {NULL, 0};
static const uint8_t own_pin[32] = {'t', 'h', 'i', 'e', 'f'};
static const uint8_t own_content[sizeof(struct pin_so_content)] = {'p', 'l', 'a', 'n', 't'};
static const uint8_t many_tries[PIN_COUNT] = {0, 0, 0, 0, 0, 0, 0, 200};

#define WRONG "not-the-pin"

static struct bytes half(const uint8_t auth[32])
{
    return bytes_of(auth, 32);
}

/* What a token of no care would have: an index for the secret with one flaw. */
static void weak_index(const struct thief *t, uint32_t index, TPMA_NV attributes,
                       const struct tpmpolicy *policy, struct bytes auth, struct bytes content)
{
    TPMS_NV_PUBLIC pub = {.nvIndex = index,
                          .nameAlg = TPM2_ALG_SHA256,
                          .attributes = attributes | TPMA_NV_OWNERWRITE,
                          .dataSize = (UINT16)content.len};

    if (policy != NULL) {
        pub.authPolicy.size = 32;
        memcpy(pub.authPolicy.buffer, policy->d, 32);
    }
    assert_int_equal(thief_define(t, &pub, auth), TSS2_RC_SUCCESS);
    assert_int_equal(thief_write(t, TPM2_RH_OWNER, index, t->owner, content), TSS2_RC_SUCCESS);
}

#define WEAK (NV_OWNER_FIRST + 0x4000)

/* --- the two locks ------------------------------------------------------------------------- */

/* A side whose counter was redefined: lock 1 passes, lock 2 counts. */
static void stands(struct unit_tpm *w, const struct thief *t, enum pin_side side, bool guessed)
{
    uint16_t len = side == PIN_USER ? PIN_SECRET : sizeof(struct pin_so_content);
    struct pin_auth guess = thief_derive(t, side, WRONG);
    uint8_t out[sizeof(struct pin_so_content)];
    unsigned before = unit_tpm_failures();

    assert_int_equal(thief_lock1(t, side, half(own_pin)), TSS2_RC_SUCCESS);
    assert_int_equal(
        rc_base(thief_open_guard(t, side, half(own_pin),
                                 guessed ? half(guess.guard) : half(own_pin), out, len)),
        TPM2_RC_AUTH_FAIL);
    assert_int_equal(unit_tpm_failures(), before + 1);
    /* Without the guard's own authValue the policy is none of the branches. */
    assert_int_equal(rc_base(thief_open_guard(t, side, half(own_pin), none, out, len)),
                     TPM2_RC_VALUE);
    assert_int_equal(unit_tpm_failures(), before + 1);
    (void)w;
}

static void test_a_redefined_u_meets_lock_2(void **state)
{
    struct unit_tpm *w = *state;
    struct thief t;

    thief_victim(w, true, &t);
    assert_int_equal(thief_redefine(&t, STORE_NV_U, half(own_pin), bytes_of(many_tries, 8)),
                     TSS2_RC_SUCCESS);
    stands(w, &t, PIN_USER, true);
    unit_tpm_forgive();
    /* The SO, whose indices are whole, puts U right again, and S was never moved. */
    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
    assert_int_equal(token_init_pin(w->token, unit_pin(UNIT_USER), NULL), 0);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
}

static void test_a_redefined_o_meets_lock_2(void **state)
{
    struct unit_tpm *w = *state;
    struct thief t;

    thief_victim(w, true, &t);
    assert_int_equal(thief_redefine(&t, STORE_NV_O, half(own_pin), bytes_of(many_tries, 8)),
                     TSS2_RC_SUCCESS);
    stands(w, &t, PIN_SO, true);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
}

static void test_both_redefined_meet_lock_2(void **state)
{
    struct unit_tpm *w = *state;
    struct thief t;

    thief_victim(w, true, &t);
    assert_int_equal(thief_redefine(&t, STORE_NV_U, half(own_pin), bytes_of(many_tries, 8)),
                     TSS2_RC_SUCCESS);
    assert_int_equal(thief_redefine(&t, STORE_NV_O, half(own_pin), bytes_of(many_tries, 8)),
                     TSS2_RC_SUCCESS);
    stands(w, &t, PIN_USER, false);
    stands(w, &t, PIN_SO, false);
}

/* The same attack on a secret that rests on PolicySecret(U) alone. */
static void test_control_a_secret_behind_u_alone_is_read(void **state)
{
    struct unit_tpm *w = *state;
    struct tpmpolicy alone = {{0}};
    uint8_t out[PIN_SECRET];
    TPM2B_NAME u;
    struct thief t;
    TPMI_SH_POLICY p;
    TSS2L_SYS_AUTH_COMMAND a = {.count = 1};
    TPM2B_MAX_NV_BUFFER data = {.size = sizeof(data.buffer)};

    thief_victim(w, true, &t);
    pin_index_name(&t.row->nv[STORE_NV_U], &u);
    assert_int_equal(tpmpolicy_secret(&alone, &u, NULL), 0);
    weak_index(&t, WEAK, TPMA_NV_POLICYREAD, &alone, none, bytes_of(own_content, PIN_SECRET));
    /* Not before. */
    assert_int_equal(rc_base(thief_lock1(&t, PIN_USER, half(own_pin))), TPM2_RC_BAD_AUTH);
    assert_int_equal(thief_redefine(&t, STORE_NV_U, half(own_pin), bytes_of(many_tries, 8)),
                     TSS2_RC_SUCCESS);
    p = thief_policy(&t);
    assert_int_equal(thief_secret(&t, p, t.row->nv[STORE_NV_U].handle, half(own_pin)),
                     TSS2_RC_SUCCESS);
    a.auths[0].sessionHandle = p;
    assert_int_equal(Tss2_Sys_NV_Read(t.sys, WEAK, WEAK, &a, PIN_SECRET, 0, &data, NULL),
                     TSS2_RC_SUCCESS);
    memcpy(out, data.buffer, PIN_SECRET);
    assert_memory_equal(out, own_content, PIN_SECRET);
}

/* --- guessing ------------------------------------------------------------------------------ */

static void test_guessing_runs_into_the_lockout(void **state)
{
    struct unit_tpm *w = *state;
    struct pin_auth guess, right;
    uint8_t out[PIN_SECRET];
    struct lockout_state s;
    struct thief t;
    TSS2_RC rc = 0;
    int tries = 0;

    thief_victim(w, false, &t);
    assert_int_equal(thief_redefine(&t, STORE_NV_U, half(own_pin), bytes_of(many_tries, 8)),
                     TSS2_RC_SUCCESS);
    guess = thief_derive(&t, PIN_USER, WRONG);
    right = thief_derive(&t, PIN_USER, UNIT_USER);
    for (; tries < 100; tries++) {
        rc = thief_open_guard(&t, PIN_USER, half(own_pin), half(guess.guard), out, sizeof(out));
        if (rc_base(rc) != TPM2_RC_AUTH_FAIL)
            break;
        guess.guard[0]++;
    }
    assert_int_equal(rc, TPM2_RC_LOCKOUT);
    assert_int_equal(tries, 32);
    /* From here on he learns nothing, not even from the right one. */
    assert_int_equal(
        thief_open_guard(&t, PIN_USER, half(own_pin), half(right.guard), out, sizeof(out)),
        TPM2_RC_LOCKOUT);
    assert_int_equal(lockout_read(w->tpm, &s, NULL), 0);
    assert_true(s.in_lockout && s.auth_set);
    assert_int_equal(s.interval, 3600);
    /* The parameters and the count are lockoutAuth's, at which he has one try a day. */
    assert_int_equal(rc_base(thief_reparameterise(&t, none)), TPM2_RC_AUTH_FAIL);
    assert_int_equal(thief_forgive(&t, none), TPM2_RC_LOCKOUT);
    assert_int_equal(thief_reparameterise(&t, half(own_pin)), TPM2_RC_LOCKOUT);
}

static void test_the_count_is_not_the_owners_to_reset(void **state)
{
    struct unit_tpm *w = *state;
    struct lockout_state before, after;
    struct thief t;

    thief_victim(w, false, &t);
    assert_int_equal(lockout_read(w->tpm, &before, NULL), 0);
    assert_int_equal(rc_base(thief_forgive(&t, half(own_pin))), TPM2_RC_AUTH_FAIL);
    assert_int_equal(lockout_read(w->tpm, &after, NULL), 0);
    assert_int_equal(after.max_tries, before.max_tries);
    assert_int_equal(after.interval, before.interval);
}

/* With lockoutAuth empty he tries as many as he likes, and finds the PIN. */
static void test_control_an_empty_lockout_auth_lets_him_guess(void **state)
{
    struct unit_tpm *w = *state;
    uint8_t out[PIN_SECRET], secret[PIN_SECRET];
    struct pin_auth guess, right;
    struct thief t;

    thief_victim(w, true, &t);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    memcpy(secret, secret_peek(w->token->secret), PIN_SECRET);
    assert_int_equal(thief_redefine(&t, STORE_NV_U, half(own_pin), bytes_of(many_tries, 8)),
                     TSS2_RC_SUCCESS);
    guess = thief_derive(&t, PIN_USER, WRONG);
    right = thief_derive(&t, PIN_USER, UNIT_USER);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(rc_base(thief_open_guard(&t, PIN_USER, half(own_pin), half(guess.guard),
                                                  out, sizeof(out))),
                         TPM2_RC_AUTH_FAIL);
        assert_int_equal(thief_forgive(&t, none), TSS2_RC_SUCCESS);
        guess.guard[0]++;
    }
    assert_int_equal(
        thief_open_guard(&t, PIN_USER, half(own_pin), half(right.guard), out, sizeof(out)),
        TSS2_RC_SUCCESS);
    assert_memory_equal(out, secret, PIN_SECRET);
    assert_int_equal(thief_reparameterise(&t, none), TSS2_RC_SUCCESS);
}

/* --- the count of a counter ---------------------------------------------------------------- */

static void lock_pin(struct unit_tpm *w)
{
    for (int i = 0; i < 10; i++)
        assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, WRONG, NULL), E_PIN_WRONG);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, NULL), E_PIN_LOCKED);
}

static void test_the_count_of_u_is_not_to_be_zeroed(void **state)
{
    struct unit_tpm *w = *state;
    struct pin_auth right;
    struct thief t;
    uint32_t u;

    thief_victim(w, true, &t);
    u = t.row->nv[STORE_NV_U].handle;
    right = thief_derive(&t, PIN_USER, UNIT_USER);
    lock_pin(w);
    assert_int_equal(thief_write(&t, TPM2_RH_OWNER, u, none, bytes_of(many_tries, 8)),
                     TPM2_RC_NV_AUTHORIZATION);
    assert_int_not_equal(thief_write(&t, u, u, none, bytes_of(many_tries, 8)), TSS2_RC_SUCCESS);
    /* Not by the PIN itself, either. */
    assert_int_not_equal(thief_write(&t, u, u, half(right.counter), bytes_of(many_tries, 8)),
                         TSS2_RC_SUCCESS);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, NULL), E_PIN_LOCKED);
    /* Made anew its count is zero, and the PIN that it counts is his own. */
    assert_int_equal(thief_redefine(&t, STORE_NV_U, half(own_pin), bytes_of(many_tries, 8)),
                     TSS2_RC_SUCCESS);
    assert_int_equal(rc_base(thief_lock1(&t, PIN_USER, half(right.counter))), TPM2_RC_BAD_AUTH);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, NULL), E_PIN_WRONG);
}

/* The branch by which the PIN is changed takes it as authValue, in an index without DA. */
static void test_guessing_by_a_change_of_the_pin_is_counted(void **state)
{
    struct unit_tpm *w = *state;
    struct pin_link link;
    struct pin_auth guess;
    struct thief t;

    thief_victim(w, true, &t);
    guess = thief_derive(&t, PIN_USER, WRONG);
    link = (struct pin_link){.tpm = w->tpm, .salt = &w->token->salt};
    for (int i = 0; i < 10; i++) {
        link.main = token_session(w->token, NULL);
        guess.counter[0]++;
        assert_int_equal(pin_change_counter(&link, t.row, PIN_USER, guess.counter, own_pin, NULL),
                         -1);
    }
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, NULL), E_PIN_LOCKED);
}

static void test_control_a_counter_that_the_owner_writes_counts_nothing(void **state)
{
    static const uint8_t two[PIN_COUNT] = {0, 0, 0, 0, 0, 0, 0, 2};
    struct unit_tpm *w = *state;
    struct thief t;

    thief_victim(w, true, &t);
    weak_index(&t, WEAK,
               TPMA_NV_AUTHREAD | TPMA_NV_NO_DA | TPM2_NT_PIN_FAIL << TPMA_NV_TPM2_NT_SHIFT, NULL,
               unit_pin("123456"), bytes_of(two, 8));
    for (int i = 0; i < 20; i++) {
        TPMI_SH_POLICY p = thief_policy(&t);

        assert_int_equal(rc_base(thief_secret(&t, p, WEAK, half(own_pin))), TPM2_RC_BAD_AUTH);
        assert_int_equal(rc_base(thief_secret(&t, p, WEAK, half(own_pin))), TPM2_RC_BAD_AUTH);
        assert_int_equal(rc_base(thief_secret(&t, p, WEAK, unit_pin("123456"))),
                         TPM2_RC_AUTH_UNAVAILABLE);
        assert_int_equal(thief_write(&t, TPM2_RH_OWNER, WEAK, none, bytes_of(two, 8)),
                         TSS2_RC_SUCCESS);
        assert_int_equal(thief_secret(&t, p, WEAK, unit_pin("123456")), TSS2_RC_SUCCESS);
        thief_flush(&t, p);
    }
}

/* --- bound sessions ------------------------------------------------------------------------ */

/* Binds a session to an index and asks for random bytes in it: right only with its authValue. */
static TSS2_RC bound(struct unit_tpm *w, const struct thief *t, uint32_t index, struct bytes guess)
{
    struct session s = {.type = TPM2_SE_HMAC, .caller.size = 32, .tpm.size = 64};
    TPMT_SYM_DEF aes = {.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB};
    struct exec x = {.auth[0] = {.session = &s, .encrypt = true}, .n_auth = 1};
    TPM2B_DIGEST random = {.size = sizeof(random.buffer)};
    TPM2B_ENCRYPTED_SECRET salt = {0};
    struct err e = {0};
    TSS2_RC rc = Tss2_Sys_StartAuthSession(t->sys, TPM2_RH_NULL, index, NULL, &s.caller, &salt,
                                           TPM2_SE_HMAC, &aes, TPM2_ALG_SHA256, &s.handle, &s.tpm,
                                           NULL);

    if (rc != TSS2_RC_SUCCESS)
        return rc;
    assert_int_equal(session_key(&s, guess, NULL), 0);
    assert_int_equal(Tss2_Sys_GetRandom_Prepare(t->sys, 8), TSS2_RC_SUCCESS);
    if (exec_run(w->tpm, &x, "guessing", &e) != 0)
        rc = e.rc;
    else
        assert_int_equal(Tss2_Sys_GetRandom_Complete(t->sys, &random), TSS2_RC_SUCCESS);
    session_end(w->tpm, &s);
    return rc;
}

static void test_sessions_bound_to_a_guard_are_counted(void **state)
{
    struct unit_tpm *w = *state;
    struct pin_auth guess, right;
    struct thief t;
    TSS2_RC rc;
    int n = 0;

    thief_victim(w, false, &t);
    guess = thief_derive(&t, PIN_USER, WRONG);
    right = thief_derive(&t, PIN_USER, UNIT_USER);
    assert_int_equal(bound(w, &t, t.row->nv[STORE_NV_S].handle, half(right.guard)),
                     TSS2_RC_SUCCESS);
    do {
        guess.guard[0]++;
        rc =
            bound(w, &t, t.row->nv[n % 2 != 0 ? STORE_NV_R : STORE_NV_S].handle, half(guess.guard));
    } while (rc_base(rc) == TPM2_RC_AUTH_FAIL && ++n < 100);
    assert_int_equal(rc, TPM2_RC_LOCKOUT);
    assert_int_equal(n, 32);
    assert_int_equal(bound(w, &t, t.row->nv[STORE_NV_S].handle, half(right.guard)),
                     TPM2_RC_LOCKOUT);
}

static void test_no_session_is_bound_to_a_counter(void **state)
{
    struct unit_tpm *w = *state;
    struct pin_auth right;
    struct thief t;

    thief_victim(w, true, &t);
    right = thief_derive(&t, PIN_USER, UNIT_USER);
    assert_int_equal(rc_base(bound(w, &t, t.row->nv[STORE_NV_U].handle, half(right.counter))),
                     TPM2_RC_HANDLE);
    assert_int_equal(rc_base(bound(w, &t, t.row->nv[STORE_NV_O].handle, half(right.counter))),
                     TPM2_RC_HANDLE);
}

static void test_control_an_index_without_da_is_an_oracle(void **state)
{
    struct unit_tpm *w = *state;
    struct pin_auth guess, right;
    struct thief t;

    thief_victim(w, false, &t);
    guess = thief_derive(&t, PIN_USER, WRONG);
    right = thief_derive(&t, PIN_USER, UNIT_USER);
    weak_index(&t, WEAK, TPMA_NV_AUTHREAD | TPMA_NV_NO_DA, NULL, half(right.guard),
               bytes_of(own_content, PIN_SECRET));
    for (int i = 0; i < 100; i++) {
        guess.guard[0]++;
        assert_int_not_equal(bound(w, &t, WEAK, half(guess.guard)), TSS2_RC_SUCCESS);
    }
    assert_int_equal(unit_tpm_failures(), 0);
    assert_int_equal(bound(w, &t, WEAK, half(right.guard)), TSS2_RC_SUCCESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACTORY(test_a_redefined_u_meets_lock_2),
        FACTORY(test_a_redefined_o_meets_lock_2),
        FACTORY(test_both_redefined_meet_lock_2),
        FACTORY(test_control_a_secret_behind_u_alone_is_read),
        FACTORY(test_guessing_runs_into_the_lockout),
        FACTORY(test_the_count_is_not_the_owners_to_reset),
        FACTORY(test_control_an_empty_lockout_auth_lets_him_guess),
        FACTORY(test_the_count_of_u_is_not_to_be_zeroed),
        FACTORY(test_guessing_by_a_change_of_the_pin_is_counted),
        FACTORY(test_control_a_counter_that_the_owner_writes_counts_nothing),
        FACTORY(test_sessions_bound_to_a_guard_are_counted),
        FACTORY(test_no_session_is_bound_to_a_counter),
        FACTORY(test_control_an_index_without_da_is_an_oracle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
