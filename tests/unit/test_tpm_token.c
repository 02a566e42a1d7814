/* The life of a token: made, opened, reset, erased; refused with a sentence where the TPM is
 * not there or is not the one. And how many commands each step costs. */
#include "tests/support/unit_tpm.h"
#include "tpm/lockout.h"
#include "tpm/nv.h"
#include "tpm/pin.h"
#include "tpm/token_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static size_t owner_indices(void)
{
    uint32_t h[64];

    return unit_tpm_handles(NV_OWNER_FIRST, NV_OWNER_LAST, h, ARRAY_LEN(h));
}

static size_t rows(struct unit_tpm *w)
{
    struct store_token *list = NULL;
    size_t n = 0;

    assert_int_equal(store_token_list(w->store, &list, &n, NULL), 0);
    free(list);
    return n;
}

static enum err_code provision(struct unit_tpm *w, const char *label, const char *so,
                               const char *user, bool weak, struct token_report *report)
{
    struct token_params p = {
        .label = label, .so_pin = unit_pin(so), .user_pin = unit_pin(user), .weak_lockout = weak};
    struct token *k = NULL;
    struct err e = {0};
    int rc = token_provision(&k, w->tpm, w->store, &p, report, &e);

    if (rc == 0)
        w->id = token_row(k)->id;
    else
        assert_null(k);
    token_free(k);
    return rc == 0 ? E_OK : e.code;
}

static void test_a_new_token_is_open_with_nobody_logged_in(void **state)
{
    struct unit_tpm *w = *state;
    struct token_params p = {.label = "gateway",
                             .so_pin = unit_pin(UNIT_SO),
                             .user_pin = unit_pin(UNIT_USER),
                             .weak_lockout = true};

    assert_int_equal(token_provision(&w->token, w->tpm, w->store, &p, NULL, NULL), 0);
    w->id = token_row(w->token)->id;
    assert_int_equal(token_who(w->token), TOKEN_NOBODY);
    assert_null(token_seal(w->token));
    assert_string_equal(token_row(w->token)->label, "gateway");
    assert_int_equal(strlen(token_row(w->token)->serial), 16);
    assert_int_equal(token_row(w->token)->flags,
                     STORE_TOKEN_PIN_SET | STORE_TOKEN_WEAK_LOCKOUT | STORE_TOKEN_MARKED);
    assert_int_equal(token_row(w->token)->user_limit, 10);
    assert_int_equal(owner_indices(), 4);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(token_who(w->token), TOKEN_USER);
    assert_non_null(token_seal(w->token));
    assert_int_equal(token_logout(w->token, NULL), 0);
    assert_null(token_seal(w->token));
}

static void test_the_so_sees_no_seal(void **state)
{
    struct unit_tpm *w = *state;

    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
    assert_int_equal(token_who(w->token), TOKEN_SO);
    assert_null(token_seal(w->token));
}

static void test_logout_without_login_is_refused(void **state)
{
    struct unit_tpm *w = *state;
    struct err e = {0};

    assert_int_equal(token_logout(w->token, &e), -1);
    assert_int_equal(e.code, E_LOGIN);
}

static void test_labels_have_1_to_32_bytes(void **state)
{
    struct unit_tpm *w = *state;
    const char *longest = "12345678901234567890123456789012";

    assert_int_equal(provision(w, "", UNIT_SO, UNIT_USER, true, NULL), E_ARG);
    assert_int_equal(provision(w, NULL, UNIT_SO, UNIT_USER, true, NULL), E_ARG);
    assert_int_equal(
        provision(w, "123456789012345678901234567890123", UNIT_SO, UNIT_USER, true, NULL), E_ARG);
    assert_int_equal(rows(w), 0);
    assert_int_equal(provision(w, longest, UNIT_SO, UNIT_USER, true, NULL), E_OK);
    w->token = unit_tpm_token(w, w->id);
    assert_string_equal(token_row(w->token)->label, longest);
}

static void test_pins_have_6_to_64_bytes(void **state)
{
    static const char many[] = "12345678901234567890123456789012345678901234567890123456789012345";
    struct unit_tpm *w = *state;

    assert_int_equal(provision(w, "a", "12345", UNIT_USER, true, NULL), E_PIN_LENGTH);
    assert_int_equal(provision(w, "a", many, UNIT_USER, true, NULL), E_PIN_LENGTH);
    assert_int_equal(provision(w, "a", UNIT_SO, "12345", true, NULL), E_PIN_LENGTH);
    assert_int_equal(provision(w, "a", UNIT_SO, many, true, NULL), E_PIN_LENGTH);
    assert_int_equal(rows(w), 0);
    assert_int_equal(owner_indices(), 0);
    assert_int_equal(provision(w, "a", "123456", many + 1, true, NULL), E_OK);
    w->token = unit_tpm_token(w, w->id);
    unit_tpm_login(w, TOKEN_USER, many + 1);
    unit_tpm_login(w, TOKEN_SO, "123456");
}

static void test_an_empty_lockout_auth_is_set_and_told_once(void **state)
{
    struct unit_tpm *w = *state;
    struct token_report report = {0}, second = {0};
    struct lockout_state s;
    char script[300];

    assert_int_equal(provision(w, "first", UNIT_SO, UNIT_USER, false, &report), E_OK);
    assert_true(report.lockout_set);
    assert_false(report.lockout_foreign);
    assert_int_equal(strlen(report.recovery_code), 64);
    w->token = unit_tpm_token(w, w->id);
    assert_int_equal(token_row(w->token)->flags & STORE_TOKEN_WEAK_LOCKOUT, 0);
    assert_int_equal(lockout_read(w->tpm, &s, NULL), 0);
    assert_true(s.auth_set);
    assert_int_equal(s.max_tries, 32);
    assert_int_equal(s.interval, 3600);
    assert_int_equal(s.recovery, 86400);
    token_free(w->token);
    w->token = NULL;
    assert_int_equal(provision(w, "second", UNIT_SO, UNIT_USER, false, &second), E_OK);
    assert_false(second.lockout_set);
    assert_false(second.lockout_foreign);
    /* The code is the lockoutAuth: with it the TPM is given back as it was. */
    snprintf(script, sizeof(script), "tpm2_changeauth -Q -c lockout -p hex:%s",
             report.recovery_code);
    assert_int_equal(unit_tpm_script(script), 0);
    assert_int_equal(lockout_read(w->tpm, &s, NULL), 0);
    assert_false(s.auth_set);
}

static void test_a_lockout_auth_of_others_is_reported(void **state)
{
    struct unit_tpm *w = *state;
    struct token_report report = {0};

    assert_int_equal(unit_tpm_script("tpm2_changeauth -Q -c lockout somebody-elses"), 0);
    assert_int_equal(provision(w, "first", UNIT_SO, UNIT_USER, false, &report), E_OK);
    assert_int_equal(unit_tpm_script("tpm2_changeauth -Q -c lockout -p somebody-elses"), 0);
    assert_true(report.lockout_foreign);
    assert_false(report.lockout_set);
    assert_string_equal(report.recovery_code, "");
}

static void test_erasing_gives_the_indices_back(void **state)
{
    struct unit_tpm *w = *state;

    assert_int_equal(owner_indices(), 4);
    assert_int_equal(token_erase(w->token, NULL), 0);
    assert_int_equal(owner_indices(), 0);
    assert_int_equal(rows(w), 0);
}

/* Another store's row has our handles: one of a provisioning that died, or an old backup. */
static int64_t row_of_others(struct unit_tpm *w, struct unit_tpm *there, uint32_t flags)
{
    struct store_token row = *token_row(w->token);
    struct store_tpm hw;
    char path[80];

    snprintf(path, sizeof(path), "%s/others.db", w->dir);
    assert_int_equal(store_open(&there->store, path, STORE_CREATE, NULL), 0);
    assert_int_equal(store_tpm_get(w->store, row.tpm, &hw, NULL), 0);
    hw.id = 0;
    assert_int_equal(store_tpm_put(there->store, &hw, NULL), 0);
    row.id = 0;
    row.tpm = hw.id;
    row.flags = flags;
    memset(row.k_public, 7, sizeof(row.k_public));
    assert_int_equal(store_token_put(there->store, &row, NULL), 0);
    there->tpm = w->tpm;
    return row.id;
}

static void test_what_died_elsewhere_takes_no_index_of_ours(void **state)
{
    struct unit_tpm *w = *state, there = {.id = 0};
    struct token *k;

    (void)row_of_others(w, &there, STORE_TOKEN_INCOMPLETE);
    k = unit_tpm_token(&there, unit_tpm_provision(&there, "next"));
    assert_int_equal(rows(&there), 1);
    assert_int_equal(owner_indices(), 8);
    assert_int_equal(token_erase(k, NULL), 0);
    token_free(k);
    store_close(there.store);
    assert_int_equal(owner_indices(), 4);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
}

static void test_erasing_an_old_row_takes_no_index_of_ours(void **state)
{
    struct unit_tpm *w = *state, there = {.id = 0};
    int64_t id = row_of_others(w, &there, STORE_TOKEN_PIN_SET);
    struct token *k = unit_tpm_token(&there, id);

    assert_int_equal(token_erase(k, NULL), 0);
    token_free(k);
    store_close(there.store);
    assert_int_equal(owner_indices(), 4);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
}

static void test_two_tokens_in_one_tpm_know_nothing_of_each_other(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0};
    struct token *k;
    struct err e = {0};

    k = unit_tpm_token(w, unit_tpm_provision(w, "another"));
    assert_int_equal(owner_indices(), 8);
    assert_string_not_equal(token_row(w->token)->serial, token_row(k)->serial);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(token_who(k), TOKEN_NOBODY);
    unit_tpm_ecc(w, "P-256", &key);
    /* A key's authValue comes from the secret of its own token. */
    assert_int_equal(unit_tpm_sign(k, &key, &e), -1);
    assert_int_equal(e.code, E_LOGIN);
    assert_int_equal(unit_tpm_try(k, TOKEN_USER, UNIT_USER, NULL), E_OK);
    assert_int_equal(unit_tpm_sign(k, &key, NULL), -1);
    assert_int_equal(unit_tpm_sign(w->token, &key, NULL), 0);
    store_key_free(&key);
    assert_int_equal(token_erase(k, NULL), 0);
    token_free(k);
    assert_int_equal(owner_indices(), 4);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
}

static void test_reset_needs_the_so_pin(void **state)
{
    struct unit_tpm *w = *state;
    struct err e = {0};

    assert_int_equal(token_reset(w->token, unit_pin("not-the-so"), "again", &e), -1);
    assert_int_equal(e.code, E_PIN_WRONG);
    assert_string_equal(token_row(w->token)->label, "unit");
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
}

static void test_reset_destroys_the_keys_and_keeps_the_so(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0}, gone = {0};
    char serial[17];
    struct err e = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_ecc(w, "P-256", &key);
    assert_int_equal(store_key_put(w->store, &key, token_seal(w->token), NULL), 0);
    snprintf(serial, sizeof(serial), "%s", token_row(w->token)->serial);
    assert_int_equal(token_reset(w->token, unit_pin(UNIT_SO), "again", &e), 0);
    assert_int_equal(token_who(w->token), TOKEN_NOBODY);
    assert_int_equal(rows(w), 1);
    assert_int_equal(owner_indices(), 4);
    assert_string_equal(token_row(w->token)->label, "again");
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, NULL), E_PIN_UNSET);
    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
    assert_int_equal(token_init_pin(w->token, unit_pin("fresh-pin"), &e), 0);
    unit_tpm_login(w, TOKEN_USER, "fresh-pin");
    assert_int_equal(store_key_get(w->store, w->id, key.uuid, token_seal(w->token), &gone, NULL),
                     -1);
    /* The old blob is of no use either: its authValue came from the old secret. */
    assert_int_equal(unit_tpm_sign(w->token, &key, NULL), -1);
    store_key_free(&key);
}

/* --- the wrong TPM, or none --------------------------------------------------- */

static void second_tpm(struct unit_tpm *w, char tcti[200])
{
    const char *dir = getenv("TPM_DIR");

    assert_non_null(dir);
    assert_int_equal(unit_tpm_script("tpm_make \"$TPM_DIR/tpm2\" \"$(dirname \"$EK_CA_PEM\")\" "
                                     "none && tpm_start \"$TPM_DIR/tpm2\""),
                     0);
    snprintf(tcti, 200, "swtpm:path=%s/tpm2/sock", dir);
    unit_tpm_close(w);
}

static void no_second_tpm(void)
{
    assert_int_equal(unit_tpm_script("tpm_stop \"$TPM_DIR/tpm2\" && rm -r \"$TPM_DIR/tpm2\""), 0);
}

static void test_a_tpm_without_our_primary_is_not_the_one(void **state)
{
    struct unit_tpm *w = *state;
    enum err_code login;
    struct err e = {0};
    char tcti[200];

    second_tpm(w, tcti);
    unit_tpm_open(w, tcti);
    login = unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, &e);
    unit_tpm_close(w);
    no_second_tpm();
    unit_tpm_open(w, getenv("FUSETSU_TCTI"));
    assert_int_equal(login, E_NOT_FOUND);
    assert_non_null(strstr(e.msg, "another TPM"));
    assert_int_equal(token_row(w->token)->user_fails, 0);
}

/* The other TPM has a token of another store at the very same handles: no wrong PIN is told,
 * noted here, or counted there. */
static void test_another_token_at_the_same_handles_loses_no_try(void **state)
{
    struct unit_tpm *w = *state, there = {.id = 0};
    uint32_t noted;
    enum err_code login, later;
    struct err e = {0};
    char tcti[200], path[80];

    second_tpm(w, tcti);
    unit_tpm_open(w, tcti);
    snprintf(path, sizeof(path), "%s/neighbour.db", w->dir);
    assert_int_equal(tpm_new(&there.tpm, tcti, NULL), 0);
    assert_int_equal(store_open(&there.store, path, STORE_CREATE, NULL), 0);
    there.id = unit_tpm_provision(&there, "neighbour");
    there.token = unit_tpm_token(&there, there.id);
    login = unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, &e);
    noted = token_row(w->token)->user_fails;
    later = unit_tpm_try(there.token, TOKEN_USER, UNIT_USER, NULL);
    unit_tpm_close(&there);
    unit_tpm_close(w);
    no_second_tpm();
    unit_tpm_open(w, getenv("FUSETSU_TCTI"));
    assert_int_equal(login, E_NOT_FOUND);
    assert_non_null(strstr(e.msg, "another TPM"));
    assert_int_equal(noted, 0);
    assert_int_equal(later, E_OK);
}

static void test_no_tpm_at_all_says_where_it_looked(void **state)
{
    struct unit_tpm *w = *state;
    struct err e = {0};
    char tcti[100];

    unit_tpm_close(w);
    snprintf(tcti, sizeof(tcti), "swtpm:path=%s/no-socket", w->dir);
    unit_tpm_open(w, tcti);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, &e), E_NO_DEVICE);
    assert_non_null(strstr(e.msg, tcti));
    assert_non_null(strstr(e.msg, "FUSETSU_TCTI"));
    assert_int_equal(provision(w, "a", UNIT_SO, UNIT_USER, true, NULL), E_NO_DEVICE);
    assert_int_equal(rows(w), 1);
}

static void test_a_cleared_tpm_is_told_so(void **state)
{
    struct unit_tpm *w = *state;
    struct err e = {0};

    assert_int_equal(unit_tpm_script("tpm2_clear -Q"), 0);
    unit_tpm_close(w);
    unit_tpm_open(w, NULL);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, &e), E_NOT_FOUND);
    assert_non_null(strstr(e.msg, "cleared"));
}

/* --- what it costs -------------------------------------------------------------- */

static size_t spent(struct unit_tpm *w)
{
    size_t n = unit_spy_count(w, NULL);

    unit_spy_clear(w);
    return n;
}

#define COSTS_AT_MOST(w, n)                                              \
    do {                                                                 \
        size_t spent_ = spent(w);                                        \
        if (spent_ > (n))                                                \
            fail_msg("%zu commands instead of at most %d", spent_, (n)); \
    } while (0)

static void test_opening_sends_nothing(void **state)
{
    struct unit_tpm *w = *state;

    unit_tpm_close(w);
    unit_tpm_open(w, unit_spy(w, false));
    assert_int_equal(unit_spy_count(w, NULL), 0);
    assert_int_equal(token_reload(w->token, NULL), 0);
    assert_int_equal(
        token_key_supported(w->token, &(struct key_spec){.type = TPM2_ALG_RSA, .bits = 2048}, NULL),
        0);
    assert_int_equal(unit_spy_count(w, NULL), 0);
}

static void test_every_step_keeps_to_its_budget(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0}, second = {0};

    unit_tpm_close(w);
    unit_tpm_open(w, unit_spy(w, false));
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    COSTS_AT_MOST(w, 8);
    unit_tpm_ecc(w, "P-256", &key);
    COSTS_AT_MOST(w, 2);
    assert_int_equal(unit_tpm_sign(w->token, &key, NULL), 0);
    COSTS_AT_MOST(w, 2);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(unit_tpm_sign(w->token, &key, NULL), 0);
        assert_int_equal(spent(w), 1);
    }
    unit_tpm_ecc(w, "P-256", &second);
    COSTS_AT_MOST(w, 2);
    assert_int_equal(unit_tpm_sign(w->token, &second, NULL), 0);
    COSTS_AT_MOST(w, 2);
    assert_int_equal(token_logout(w->token, NULL), 0);
    COSTS_AT_MOST(w, 2);
    store_key_free(&key);
    store_key_free(&second);
}

static void test_a_wrong_pin_costs_at_most_five(void **state)
{
    struct unit_tpm *w = *state;

    unit_tpm_close(w);
    unit_tpm_open(w, unit_spy(w, false));
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, "not-the-pin", NULL), E_PIN_WRONG);
    COSTS_AT_MOST(w, 5);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, "not-the-pin", NULL), E_PIN_WRONG);
    COSTS_AT_MOST(w, 5);
}

/* Another process may have the TPM just then. */
static void test_a_key_is_not_noted_where_nothing_is_held(void **state)
{
    static const uint8_t uuid[STORE_UUID];
    struct unit_tpm *w = *state;
    TPM2B_NAME name = {0};

    assert_null(held_add(w->tpm, uuid, 0x80000000, &name));
    assert_null(held_find(w->tpm, uuid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BARE(test_a_new_token_is_open_with_nobody_logged_in),
        WITH_TOKEN(test_the_so_sees_no_seal),
        WITH_TOKEN(test_logout_without_login_is_refused),
        BARE(test_a_key_is_not_noted_where_nothing_is_held),
        BARE(test_labels_have_1_to_32_bytes),
        BARE(test_pins_have_6_to_64_bytes),
        BARE(test_an_empty_lockout_auth_is_set_and_told_once),
        BARE(test_a_lockout_auth_of_others_is_reported),
        WITH_TOKEN(test_erasing_gives_the_indices_back),
        WITH_TOKEN(test_what_died_elsewhere_takes_no_index_of_ours),
        WITH_TOKEN(test_erasing_an_old_row_takes_no_index_of_ours),
        WITH_TOKEN(test_two_tokens_in_one_tpm_know_nothing_of_each_other),
        WITH_TOKEN(test_reset_needs_the_so_pin),
        WITH_TOKEN(test_reset_destroys_the_keys_and_keeps_the_so),
        WITH_TOKEN(test_a_tpm_without_our_primary_is_not_the_one),
        WITH_TOKEN(test_another_token_at_the_same_handles_loses_no_try),
        WITH_TOKEN(test_no_tpm_at_all_says_where_it_looked),
        WITH_TOKEN(test_a_cleared_tpm_is_told_so),
        WITH_TOKEN(test_opening_sends_nothing),
        WITH_TOKEN(test_every_step_keeps_to_its_budget),
        WITH_TOKEN(test_a_wrong_pin_costs_at_most_five),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
