/* Goal: what a token takes out of the TPM is its own, also where several stores share it; and
 * tokens of the first versions, whose SO indices bear no mark, go on working. */
#include "tests/support/unit_thief.h"
#include "tpm/nv.h"
#include "tpm/pin_make.h"
#include "tpm/token_priv.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define SECOND "second-pin"

static struct store_token row_of(struct unit_tpm *w, int64_t id)
{
    struct store_token row;

    assert_int_equal(store_token_get(w->store, id, &row, NULL), 0);
    return row;
}

static size_t owner_indices(void)
{
    uint32_t h[64];

    return unit_tpm_handles(NV_OWNER_FIRST, NV_OWNER_LAST, h, ARRAY_LEN(h));
}

/* Makes the indices of a token anew as the first versions did. */
static void unmark(struct unit_tpm *w, int64_t id)
{
    struct token *k = unit_tpm_token(w, id);
    struct pin_link link = {.tpm = w->tpm, .salt = &k->salt};
    struct store_token row = row_of(w, id);
    struct pin_so_content content;
    struct pin_auth auth[2];
    struct err e = {0};

    if (token_login(k, TOKEN_SO, unit_pin(UNIT_SO), &e) != 0)
        fail_msg("%s", e.msg);
    memcpy(&content, secret_peek(k->secret), sizeof(content));
    link.main = token_session(k, &e);
    assert_int_equal(pin_erase(&link, &row, &e), 0);
    assert_int_equal(pin_derive(&row, PIN_USER, unit_pin(UNIT_USER), &auth[PIN_USER], &e), 0);
    assert_int_equal(pin_derive(&row, PIN_SO, unit_pin(UNIT_SO), &auth[PIN_SO], &e), 0);
    row.flags &= ~STORE_TOKEN_MARKED;
    if (pin_provision(&link, &row, auth, &content, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(store_token_put(w->store, &row, &e), 0);
    token_free(k);
}

/* The row of one that died after its U was made: the others were planned only, at handles where
 * the second token has its own by now. */
static void dies_early(struct unit_tpm *w, int64_t first, int64_t second)
{
    struct store_token row = row_of(w, first), other = row_of(w, second);
    struct session *main;
    struct token *k = unit_tpm_token(w, first);

    main = token_session(k, NULL);
    for (size_t i = 0; i < STORE_NV_COUNT; i++) {
        if (i != STORE_NV_U) {
            assert_int_equal(nv_undefine(w->tpm, main, row.nv[i].handle, NULL), 0);
            row.nv[i].handle = other.nv[i].handle;
        }
        row.nv[i].name.len = 0;
    }
    row.flags |= STORE_TOKEN_INCOMPLETE;
    assert_int_equal(store_token_put(w->store, &row, NULL), 0);
    token_free(k);
}

static void works(struct unit_tpm *w, int64_t id)
{
    struct token *k = unit_tpm_token(w, id);

    assert_int_equal(unit_tpm_try(k, TOKEN_SO, UNIT_SO, NULL), E_OK);
    assert_int_equal(unit_tpm_try(k, TOKEN_USER, UNIT_USER, NULL), E_OK);
    token_free(k);
}

/* --- leftovers -------------------------------------------------------------------------------- */

static void swept(struct unit_tpm *w, bool old_first, bool old_second)
{
    int64_t first = unit_tpm_provision(w, "first"), second = unit_tpm_provision(w, "second");

    if (old_first)
        unmark(w, first);
    if (old_second)
        unmark(w, second);
    dies_early(w, first, second);
    assert_int_equal(owner_indices(), 5);
    (void)unit_tpm_provision(w, "third");
    /* U of the dead one is gone, and nothing else. */
    assert_int_equal(owner_indices(), 8);
    works(w, second);
    assert_int_equal(store_token_get(w->store, first, &(struct store_token){0}, NULL), -1);
}

static void test_a_dead_token_takes_none_of_another(void **state)
{
    swept(*state, false, false);
}

static void test_nor_of_one_of_the_first_versions(void **state)
{
    swept(*state, false, true);
}

static void test_nor_does_a_dead_one_of_the_first_versions(void **state)
{
    swept(*state, true, true);
}

static void test_no_two_tokens_have_the_same_policies(void **state)
{
    struct unit_tpm *w = *state;
    struct store_token a = row_of(w, unit_tpm_provision(w, "first")),
                       b = row_of(w, unit_tpm_provision(w, "second"));

    for (int i = 0; i < STORE_NV_COUNT; i++) {
        TPMS_NV_PUBLIC one, two;

        assert_int_equal(nv_public(w->tpm, a.nv[i].handle, &one, NULL, NULL), 0);
        assert_int_equal(nv_public(w->tpm, b.nv[i].handle, &two, NULL, NULL), 0);
        assert_memory_not_equal(one.authPolicy.buffer, two.authPolicy.buffer, 32);
    }
}

/* --- tokens of the first versions --------------------------------------------------------------- */

static void test_tokens_of_the_first_versions_work(void **state)
{
    struct unit_tpm *w = *state;
    struct err e = {0};
    struct token *k;

    w->id = unit_tpm_provision(w, "old");
    unmark(w, w->id);
    works(w, w->id);
    k = unit_tpm_token(w, w->id);
    if (token_set_pin(k, TOKEN_SO, unit_pin(UNIT_SO), unit_pin(SECOND), &e) != 0 ||
        token_set_pin(k, TOKEN_SO, unit_pin(SECOND), unit_pin(UNIT_SO), &e) != 0 ||
        token_set_pin(k, TOKEN_USER, unit_pin(UNIT_USER), unit_pin(SECOND), &e) != 0 ||
        token_login(k, TOKEN_SO, unit_pin(UNIT_SO), &e) != 0 ||
        token_init_pin(k, unit_pin(UNIT_USER), &e) != 0)
        fail_msg("%s", e.msg);
    works(w, w->id);
    /* Made anew it is like any other. */
    if (token_reset(k, unit_pin(UNIT_SO), "again", &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(owner_indices(), 4);
    assert_int_not_equal(token_row(k)->flags & STORE_TOKEN_MARKED, 0);
    token_free(k);
}

static void test_tokens_of_the_first_versions_are_erased(void **state)
{
    struct unit_tpm *w = *state;
    struct token *k;

    w->id = unit_tpm_provision(w, "old");
    unmark(w, w->id);
    k = unit_tpm_token(w, w->id);
    assert_int_equal(owner_indices(), 4);
    assert_int_equal(token_erase(k, NULL), 0);
    assert_int_equal(owner_indices(), 0);
    token_free(k);
    w->id = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACTORY(test_a_dead_token_takes_none_of_another),
        FACTORY(test_nor_of_one_of_the_first_versions),
        FACTORY(test_nor_does_a_dead_one_of_the_first_versions),
        FACTORY(test_no_two_tokens_have_the_same_policies),
        FACTORY(test_tokens_of_the_first_versions_work),
        FACTORY(test_tokens_of_the_first_versions_are_erased),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
