/* The two PIN locks: what a wrong PIN costs and whom, who may set a PIN, and that neither an
 * old copy of the store nor owner authorisation brings a way round them. */
#include "tests/support/unit_tpm.h"
#include "tpm/held.h"
#include "tpm/nv.h"
#include "tpm/pin.h"
#include "core/pin_policy.h"
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

/* tests/support starts tokens with ten tries. */
#define TRIES 10

static void wrong(struct token *k, enum token_user who, int times)
{
    for (int i = 0; i < times; i++)
        assert_int_equal(unit_tpm_try(k, who, WRONG, NULL), E_PIN_WRONG);
}

static void copy_store(const struct unit_tpm *w, const char *from, const char *to)
{
    char script[300];

    snprintf(script, sizeof(script), "cp %s/%s %s/%s", w->dir, from, w->dir, to);
    assert_int_equal(unit_tpm_script(script), 0);
}

static void test_a_wrong_pin_is_counted_for_this_token_only(void **state)
{
    struct unit_tpm *w = *state;
    struct token *other = unit_tpm_token(w, unit_tpm_provision(w, "other"));
    unsigned before = unit_tpm_failures();
    struct err e = {0};

    wrong(w->token, TOKEN_USER, 2);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, WRONG, &e), E_PIN_WRONG);
    assert_non_null(strstr(e.msg, "unit"));
    assert_int_equal(token_who(w->token), TOKEN_NOBODY);
    assert_int_equal(token_row(w->token)->user_fails, 3);
    assert_int_equal(token_row(w->token)->so_fails, 0);
    assert_int_equal(token_row(other)->user_fails, 0);
    assert_int_equal(before, 0);
    assert_int_equal(unit_tpm_failures(), 0);
    assert_int_equal(unit_tpm_try(other, TOKEN_USER, UNIT_USER, NULL), E_OK);
    token_free(other);
}

static void test_the_right_pin_clears_the_count(void **state)
{
    struct unit_tpm *w = *state;

    for (int round = 0; round < 2; round++) {
        wrong(w->token, TOKEN_USER, TRIES - 1);
        assert_int_equal(token_row(w->token)->user_fails, TRIES - 1);
        unit_tpm_login(w, TOKEN_USER, UNIT_USER);
        assert_int_equal(token_row(w->token)->user_fails, 0);
    }
    assert_int_equal(unit_tpm_failures(), 0);
}

static void test_at_the_limit_even_the_right_pin_is_refused(void **state)
{
    struct unit_tpm *w = *state;
    struct token *other = unit_tpm_token(w, unit_tpm_provision(w, "other"));
    struct err e = {0};

    wrong(w->token, TOKEN_USER, TRIES);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, &e), E_PIN_LOCKED);
    assert_non_null(strstr(e.msg, "SO"));
    assert_int_equal(token_row(w->token)->user_fails, TRIES);
    assert_int_equal(unit_tpm_failures(), 0);
    assert_int_equal(unit_tpm_try(other, TOKEN_USER, UNIT_USER, NULL), E_OK);
    token_free(other);
    /* A fresh store of this process does not unlock it: the TPM counts. */
    unit_tpm_close(w);
    unit_tpm_open(w, NULL);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, NULL), E_PIN_LOCKED);
}

static void test_the_so_unblocks_with_a_new_pin(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_ecc(w, "P-256", &key);
    wrong(w->token, TOKEN_USER, TRIES);
    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
    assert_int_equal(token_init_pin(w->token, unit_pin("second-pin"), NULL), 0);
    assert_int_equal(token_row(w->token)->user_fails, 0);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, NULL), E_PIN_WRONG);
    unit_tpm_login(w, TOKEN_USER, "second-pin");
    /* The secret is the same: keys made before still sign. */
    assert_int_equal(unit_tpm_sign(w->token, &key, NULL), 0);
    wrong(w->token, TOKEN_USER, TRIES);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, "second-pin", NULL), E_PIN_LOCKED);
    store_key_free(&key);
}

static void test_so_pin_has_a_count_of_its_own(void **state)
{
    struct unit_tpm *w = *state;

    wrong(w->token, TOKEN_SO, TRIES);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_SO, UNIT_SO, NULL), E_PIN_LOCKED);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(unit_tpm_failures(), 0);
}

static void test_a_token_without_user_pin_says_so(void **state)
{
    struct unit_tpm *w = *state;
    struct token_params p = {.label = "blank", .so_pin = unit_pin(UNIT_SO), .weak_lockout = true};
    struct err e = {0};

    assert_int_equal(token_provision(&w->token, w->tpm, w->store, &p, NULL, NULL), 0);
    w->id = token_row(w->token)->id;
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, &e), E_PIN_UNSET);
    e = (struct err){0};
    assert_int_equal(
        token_set_pin(w->token, TOKEN_USER, unit_pin(UNIT_USER), unit_pin("second-pin"), &e), -1);
    assert_int_equal(e.code, E_PIN_UNSET);
    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
    assert_int_equal(token_init_pin(w->token, unit_pin(UNIT_USER), NULL), 0);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
}

static void test_only_the_so_sets_the_user_pin(void **state)
{
    struct unit_tpm *w = *state;
    struct err e = {0};

    assert_int_equal(token_init_pin(w->token, unit_pin("second-pin"), &e), -1);
    assert_int_equal(e.code, E_LOGIN);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    e = (struct err){0};
    assert_int_equal(token_init_pin(w->token, unit_pin("second-pin"), &e), -1);
    assert_int_equal(e.code, E_LOGIN);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
}

static void change(struct unit_tpm *w, enum token_user who, const char *old)
{
    struct err e = {0};

    if (token_set_pin(w->token, who, unit_pin(old), unit_pin("second-pin"), &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(token_row(w->token)->flags & (STORE_TOKEN_CHANGE_USER | STORE_TOKEN_CHANGE_SO),
                     0);
    assert_int_equal(unit_tpm_try(w->token, who, old, NULL), E_PIN_WRONG);
    unit_tpm_login(w, who, "second-pin");
}

static void test_the_old_pin_is_gone_after_a_change(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_ecc(w, "P-256", &key);
    change(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(unit_tpm_sign(w->token, &key, NULL), 0);
    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
    assert_int_equal(unit_tpm_failures(), 0);
    store_key_free(&key);
}

static void test_the_so_changes_the_so_pin(void **state)
{
    struct unit_tpm *w = *state;

    change(w, TOKEN_SO, UNIT_SO);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_login(w, TOKEN_SO, "second-pin");
    assert_int_equal(token_init_pin(w->token, unit_pin("third-pin"), NULL), 0);
    unit_tpm_login(w, TOKEN_USER, "third-pin");
}

static void test_a_change_with_a_wrong_old_pin_changes_nothing(void **state)
{
    struct unit_tpm *w = *state;
    struct err e = {0};

    assert_int_equal(
        token_set_pin(w->token, TOKEN_USER, unit_pin(WRONG), unit_pin("second-pin"), &e), -1);
    assert_int_equal(e.code, E_PIN_WRONG);
    assert_int_equal(token_row(w->token)->user_fails, 1);
    assert_int_equal(token_row(w->token)->flags & STORE_TOKEN_CHANGE_USER, 0);
    assert_int_equal(unit_tpm_failures(), 0);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
}

static void test_a_new_pin_of_bad_length_never_reaches_the_tpm(void **state)
{
    static const char many[] = "12345678901234567890123456789012345678901234567890123456789012345";
    struct unit_tpm *w = *state;
    struct err e = {0};

    unit_tpm_close(w);
    unit_tpm_open(w, unit_spy(w, false));
    assert_int_equal(
        token_set_pin(w->token, TOKEN_USER, unit_pin(UNIT_USER), unit_pin("12345"), &e), -1);
    assert_int_equal(e.code, E_PIN_LENGTH);
    e = (struct err){0};
    assert_int_equal(token_set_pin(w->token, TOKEN_USER, unit_pin(UNIT_USER), unit_pin(many), &e),
                     -1);
    assert_int_equal(e.code, E_PIN_LENGTH);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, "12345", NULL), E_PIN_LENGTH);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, many, NULL), E_PIN_LENGTH);
    assert_int_equal(unit_spy_count(w, NULL), 0);
}

static void test_pins_are_bytes_not_text(void **state)
{
    static const uint8_t odd[8] = {0, 0xff, 0, 1, 0x80, '\n', 0, 7};
    struct unit_tpm *w = *state;

    assert_int_equal(
        token_set_pin(w->token, TOKEN_USER, unit_pin(UNIT_USER), bytes_of(odd, 8), NULL), 0);
    assert_int_equal(token_login(w->token, TOKEN_USER, bytes_of(odd, 7), NULL), -1);
    assert_int_equal(token_login(w->token, TOKEN_USER, bytes_of(odd, 8), NULL), 0);
}

/* --- those who hold more than they should -------------------------------------- */

static void test_an_old_copy_of_the_store_brings_no_old_pin_back(void **state)
{
    struct unit_tpm *w = *state;

    unit_tpm_close(w);
    copy_store(w, "store.db", "old.db");
    unit_tpm_open(w, NULL);
    change(w, TOKEN_USER, UNIT_USER);
    unit_tpm_close(w);
    copy_store(w, "old.db", "store.db");
    unit_tpm_open(w, NULL);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, NULL), E_PIN_WRONG);
    unit_tpm_login(w, TOKEN_USER, "second-pin");
}

static void test_an_old_copy_of_the_store_brings_no_tries_back(void **state)
{
    struct unit_tpm *w = *state;

    unit_tpm_close(w);
    copy_store(w, "store.db", "old.db");
    unit_tpm_open(w, NULL);
    wrong(w->token, TOKEN_USER, TRIES);
    unit_tpm_close(w);
    copy_store(w, "old.db", "store.db");
    unit_tpm_open(w, NULL);
    assert_int_equal(token_row(w->token)->user_fails, 0);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, NULL), E_PIN_LOCKED);
}

/*
 * Whoever holds owner authorisation undefines the user's counter and defines it again: same
 * handle, attributes and policy, an authValue of their own, a first write. Its Name is the
 * same then, and lock 1 lets them pass.
 */
static void steal_counter(struct unit_tpm *w, const uint8_t auth[32])
{
    static const uint8_t content[8] = {0, 0, 0, 0, 0, 0, 0, 200};
    const struct store_index *u = &token_row(w->token)->nv[STORE_NV_U];
    struct session *owner = held_session(w->tpm, &w->token->salt, NULL), p = {0};
    struct pin_policy policy;
    TPM2B_NAME name, k;
    TPMS_NV_PUBLIC pub;
    TPMT_PUBLIC k_pub;

    assert_non_null(owner);
    assert_int_equal(nv_public(w->tpm, u->handle, &pub, NULL, NULL), 0);
    assert_int_equal(nv_undefine(w->tpm, owner, u->handle, NULL), 0);
    pub.attributes &= ~(TPMA_NV)TPMA_NV_WRITTEN;
    assert_int_equal(nv_define(w->tpm, owner, &pub, bytes_of(auth, 32), NULL), 0);
    assert_int_equal(nv_public(w->tpm, u->handle, &pub, &name, NULL), 0);
    assert_int_equal(pin_policy_k(token_row(w->token)->k_public, &k_pub, &k, NULL), 0);
    assert_int_equal(pin_policy_counter(&k, &policy, NULL), 0);
    assert_int_equal(session_start(w->tpm, TPM2_SE_POLICY, &w->token->salt, &p, NULL), 0);
    assert_int_equal(policy_nvwritten(w->tpm, &p, false, NULL), 0);
    assert_int_equal(policy_command(w->tpm, &p, TPM2_CC_NV_Write, NULL), 0);
    assert_int_equal(policy_or(w->tpm, &p, policy.branch, policy.n, NULL), 0);
    assert_int_equal(
        nv_write(w->tpm, &p, u->handle, &name, bytes_of(auth, 32), bytes_of(content, 8), NULL), 0);
    session_end(w->tpm, &p);
    assert_int_equal(nv_public(w->tpm, u->handle, &pub, &name, NULL), 0);
    assert_int_equal(name.size, u->name.len);
    assert_memory_equal(name.name, u->name.name, name.size);
}

static void test_a_redefined_counter_does_not_open_the_guard(void **state)
{
    struct unit_tpm *w = *state;
    struct pin_link link = {.tpm = w->tpm, .salt = &w->token->salt};
    struct pin_auth guess;
    uint8_t out[PIN_SECRET] = {0};
    static const uint8_t zeros[PIN_SECRET];
    struct err e = {0};

    assert_int_equal(unit_tpm_failures(), 0);
    assert_int_equal(pin_derive(token_row(w->token), PIN_USER, unit_pin(WRONG), &guess, NULL), 0);
    steal_counter(w, guess.counter);
    link.main = held_session(w->tpm, &w->token->salt, NULL);
    assert_int_equal(pin_open(&link, token_row(w->token), PIN_USER, &guess, out, sizeof(out), &e),
                     -1);
    assert_int_equal(e.code, E_PIN_INTERRUPT);
    assert_memory_equal(out, zeros, sizeof(out));
    /* Lock 2 counts TPM-wide; with the counter redefined once more the next guess, too. */
    assert_int_equal(unit_tpm_failures(), 1);
    unit_tpm_forgive();
}

static void test_an_interrupted_change_uses_up_one_try_of_the_tpm(void **state)
{
    static const struct store_note forget = {.clear = STORE_TOKEN_SPLIT_USER};
    static const uint8_t other[32] = {9};
    struct store *store = NULL;
    struct token *k = NULL;
    struct store_token row;
    struct unit_tpm *w = *state;
    struct pin_link link = {.tpm = w->tpm, .salt = &w->token->salt};
    struct pin_auth auth;
    struct err e = {0};

    assert_int_equal(pin_derive(token_row(w->token), PIN_USER, unit_pin(UNIT_USER), &auth, NULL),
                     0);
    link.main = held_session(w->tpm, &w->token->salt, NULL);
    assert_int_equal(pin_change_guard(&link, token_row(w->token), PIN_USER, &auth, other, NULL), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, &e), E_PIN_INTERRUPT);
        assert_int_equal(unit_tpm_failures(), 1);
    }
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, WRONG, &e), E_PIN_WRONG);
    /* One that cannot write the store remembers it by itself. */
    row = *token_row(w->token);
    assert_int_equal(store_token_note(w->store, &row, &forget, NULL), 0);
    assert_int_equal(store_open(&store, store_path(w->store), STORE_READ, NULL), 0);
    assert_int_equal(token_open(&k, w->tpm, store, w->id, NULL), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(unit_tpm_try(k, TOKEN_USER, UNIT_USER, &e), E_PIN_INTERRUPT);
        assert_int_equal(unit_tpm_failures(), 2);
    }
    token_free(k);
    store_close(store);
    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
    assert_int_equal(token_init_pin(w->token, unit_pin(UNIT_USER), NULL), 0);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_forgive();
}

static void test_the_owner_cannot_read_the_guard(void **state)
{
    struct unit_tpm *w = *state;
    char script[200];

    snprintf(script, sizeof(script), "! tpm2_nvread -Q -C o 0x%08x 2>/dev/null",
             token_row(w->token)->nv[STORE_NV_S].handle);
    assert_int_equal(unit_tpm_script(script), 0);
    snprintf(script, sizeof(script), "! tpm2_nvread -Q 0x%08x 2>/dev/null",
             token_row(w->token)->nv[STORE_NV_S].handle);
    assert_int_equal(unit_tpm_script(script), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TOKEN(test_a_wrong_pin_is_counted_for_this_token_only),
        WITH_TOKEN(test_the_right_pin_clears_the_count),
        WITH_TOKEN(test_at_the_limit_even_the_right_pin_is_refused),
        WITH_TOKEN(test_the_so_unblocks_with_a_new_pin),
        WITH_TOKEN(test_so_pin_has_a_count_of_its_own),
        BARE(test_a_token_without_user_pin_says_so),
        WITH_TOKEN(test_only_the_so_sets_the_user_pin),
        WITH_TOKEN(test_the_old_pin_is_gone_after_a_change),
        WITH_TOKEN(test_the_so_changes_the_so_pin),
        WITH_TOKEN(test_a_change_with_a_wrong_old_pin_changes_nothing),
        WITH_TOKEN(test_a_new_pin_of_bad_length_never_reaches_the_tpm),
        WITH_TOKEN(test_pins_are_bytes_not_text),
        WITH_TOKEN(test_an_old_copy_of_the_store_brings_no_old_pin_back),
        WITH_TOKEN(test_an_old_copy_of_the_store_brings_no_tries_back),
        WITH_TOKEN(test_a_redefined_counter_does_not_open_the_guard),
        WITH_TOKEN(test_an_interrupted_change_uses_up_one_try_of_the_tpm),
        WITH_TOKEN(test_the_owner_cannot_read_the_guard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
