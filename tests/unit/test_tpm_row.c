/* Goal: whoever can write to the store, but has neither PIN nor the owner's rights, weakens nothing
 * that the TPM guards: not the limits, not the locks, not whose signature counts as the SO's. */
#include "core/hash.h"
#include "tests/support/unit_thief.h"
#include "tpm/ctx.h"
#include "tpm/lockout.h"
#include "tpm/nv.h"
#include "tpm/token_priv.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define WRONG "not-the-pin"

static void provision(struct unit_tpm *w, bool own, enum token_guard guard)
{
    struct token_params p = {.label = "victim",
                             .so_pin = unit_pin(UNIT_SO),
                             .user_pin = unit_pin(UNIT_USER),
                             .user_tries = 3,
                             .so_tries = 5,
                             .weak_lockout = true,
                             .own_tpm = own,
                             .guard = guard};
    struct err e = {0};

    if (token_provision(&w->token, w->tpm, w->store, &p, NULL, &e) != 0)
        fail_msg("%s", e.msg);
    w->id = token_row(w->token)->id;
}

static struct store_token row_of(struct unit_tpm *w)
{
    struct store_token row;

    assert_int_equal(store_token_get(w->store, w->id, &row, NULL), 0);
    return row;
}

static void put(struct unit_tpm *w, struct store_token *row)
{
    assert_int_equal(store_token_put(w->store, row, NULL), 0);
}

static void set_limits(struct unit_tpm *w, uint32_t user, uint32_t so)
{
    struct store_token row = row_of(w);

    row.user_limit = user;
    row.so_limit = so;
    put(w, &row);
}

/* Wrong PINs until the TPM, not the row, says that there were enough. */
static uint32_t tries_of(struct unit_tpm *w, enum token_user who)
{
    uint32_t n = 0;

    while (n < 100 && unit_tpm_try(w->token, who, WRONG, NULL) == E_PIN_WRONG)
        n++;
    assert_int_equal(unit_tpm_try(w->token, who, WRONG, NULL), E_PIN_LOCKED);
    return n;
}

static void set_pin(struct unit_tpm *w)
{
    struct err e = {0};

    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
    if (token_init_pin(w->token, unit_pin(UNIT_USER), &e) != 0)
        fail_msg("%s", e.msg);
}

/* --- how often a PIN may be tried ------------------------------------------------------------ */

static void test_an_unblock_keeps_the_limit_of_the_tpm(void **state)
{
    static const uint32_t said[] = {1000000, 32, 4, 33, UINT32_MAX};
    struct unit_tpm *w = *state;

    provision(w, false, TOKEN_GUARD_DA);
    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        set_limits(w, said[i], 5);
        set_pin(w);
        assert_int_equal(row_of(w).user_limit, 3);
        assert_int_equal(tries_of(w, TOKEN_USER), 3);
    }
    assert_int_equal(unit_tpm_failures(), 0);
}

static void test_a_limit_that_leaves_no_try_is_none(void **state)
{
    struct unit_tpm *w = *state;

    provision(w, false, TOKEN_GUARD_DA);
    set_limits(w, 0, 5);
    set_pin(w);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(tries_of(w, TOKEN_USER), 3);
}

static void test_a_counter_that_was_made_anew_gets_no_limit_of_the_thief(void **state)
{
    static const uint8_t many[PIN_COUNT] = {0, 0, 0, 0, 0, 1, 0, 0};
    struct unit_tpm *w = *state;
    struct thief t;

    provision(w, false, TOKEN_GUARD_DA);
    t = (struct thief){.sys = tpm_sys(w->tpm, NULL), .row = token_row(w->token)};
    set_limits(w, 1000000, 5);
    assert_int_equal(thief_redefine(&t, STORE_NV_U, unit_pin("thief"), bytes_of(many, 8)),
                     TSS2_RC_SUCCESS);
    set_pin(w);
    assert_int_equal(row_of(w).user_limit, PIN_TRIES_MAX);
    assert_int_equal(tries_of(w, TOKEN_USER), PIN_TRIES_MAX);
}

static void test_a_token_made_anew_has_the_limits_of_the_old_one(void **state)
{
    struct unit_tpm *w = *state;
    struct err e = {0};

    provision(w, false, TOKEN_GUARD_DA);
    set_limits(w, 1000000, 4000000000U);
    if (token_reset(w->token, unit_pin(UNIT_SO), "again", &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(row_of(w).user_limit, 3);
    assert_int_equal(row_of(w).so_limit, 5);
    set_pin(w);
    assert_int_equal(tries_of(w, TOKEN_USER), 3);
    assert_int_equal(tries_of(w, TOKEN_SO), 5);
}

static void test_limits_beyond_the_bounds_are_not_made(void **state)
{
    static const uint32_t bad[] = {1, 2, 33, UINT32_MAX};
    struct unit_tpm *w = *state;
    struct token_params p = {.label = "x", .so_pin = unit_pin(UNIT_SO), .weak_lockout = true};
    uint32_t h[8];

    for (size_t i = 0; i < 2 * ARRAY_LEN(bad); i++) {
        struct err e = {0};

        p.user_tries = i % 2 != 0 ? bad[i / 2] : 0;
        p.so_tries = i % 2 != 0 ? 0 : bad[i / 2];
        assert_int_equal(token_provision(&w->token, w->tpm, w->store, &p, NULL, &e), -1);
        assert_int_equal(e.code, E_ARG);
        assert_non_null(strstr(e.msg, "3 to 32"));
    }
    assert_int_equal(unit_tpm_handles(NV_OWNER_FIRST, NV_OWNER_LAST, h, ARRAY_LEN(h)), 0);
}

/* --- what guards the secret ------------------------------------------------------------------- */

static void test_a_token_made_anew_keeps_its_two_locks(void **state)
{
    static const uint32_t said[] = {STORE_TOKEN_COUNTER, STORE_TOKEN_COUNTER | STORE_TOKEN_OWNER};
    struct unit_tpm *w = *state;
    struct lockout_state s;
    struct err e = {0};

    provision(w, false, TOKEN_GUARD_DA);
    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        struct store_token row = row_of(w);
        TPMS_NV_PUBLIC pub;

        row.flags |= said[i];
        put(w, &row);
        if (token_reset(w->token, unit_pin(UNIT_SO), "again", &e) != 0)
            fail_msg("%s", e.msg);
        row = row_of(w);
        assert_int_equal(row.flags & (STORE_TOKEN_COUNTER | STORE_TOKEN_OWNER), 0);
        assert_int_equal(nv_public(w->tpm, row.nv[STORE_NV_S].handle, &pub, NULL, NULL), 0);
        assert_int_equal(pub.attributes & TPMA_NV_NO_DA, 0);
    }
    assert_int_equal(lockout_read(w->tpm, &s, NULL), 0);
    assert_false(s.owner_set);
    set_pin(w);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
}

/* Also where the TPM is ours alone, which the row says truly. */
static void test_the_guard_of_an_own_tpm_is_that_of_s(void **state)
{
    struct unit_tpm *w = *state;
    struct store_token row;
    struct err e = {0};

    provision(w, true, TOKEN_GUARD_DA);
    row = row_of(w);
    row.flags |= STORE_TOKEN_COUNTER;
    put(w, &row);
    if (token_reset(w->token, unit_pin(UNIT_SO), "again", &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(row_of(w).flags & (STORE_TOKEN_COUNTER | STORE_TOKEN_OWNER),
                     STORE_TOKEN_OWNER);
}

/* --- whose row it is ---------------------------------------------------------------------------- */

static void refused(struct unit_tpm *w, enum token_user who)
{
    struct err e = {0};

    assert_int_equal(unit_tpm_try(w->token, who, who == TOKEN_USER ? UNIT_USER : UNIT_SO, &e),
                     E_TAMPERED);
    assert_non_null(strstr(e.msg, "altered"));
}

static void test_a_row_that_does_not_fit_together_sends_no_pin(void **state)
{
    struct unit_tpm *w = *state;
    struct store_token good, bad;
    uint32_t fails;

    provision(w, false, TOKEN_GUARD_DA);
    good = row_of(w);
    fails = unit_tpm_failures();
    for (int i = 0; i < 3; i++) {
        bad = good;
        if (i == 0)
            bad.k_public[0] ^= 1;
        else if (i == 1)
            bad.nv[STORE_NV_S].name.name[10] ^= 1;
        else
            bad.nv[STORE_NV_U].name.name[10] ^= 1;
        put(w, &bad);
        refused(w, TOKEN_USER);
    }
    bad = good;
    bad.nv[STORE_NV_R].name.name[10] ^= 1;
    put(w, &bad);
    refused(w, TOKEN_SO);
    put(w, &good);
    /* Nothing was counted, neither here nor there. */
    assert_int_equal(tries_of(w, TOKEN_USER), 3);
    assert_int_equal(unit_tpm_failures(), fails);
}

/* Makes a key whose PCRs the SO may approve; what its policy says is K. */
static int updatable(struct unit_tpm *w, struct store_key *key, struct err *e)
{
    struct key_spec spec = {.type = TPM2_ALG_ECC,
                            .curve = alg_curve_named("P-256"),
                            .sign = true,
                            .mode = STORE_KEY_NONE,
                            .pcrs = {.hash = TPM2_ALG_SHA256, .select = {0, 0, 1}},
                            .pcrs_updatable = true};

    return token_key_create(w->token, &spec, key, e);
}

static void another_k(struct store_token *row)
{
    uint8_t seed[32] = {'t', 'h', 'i', 'e', 'f'};
    struct pin_k k;

    assert_int_equal(pin_k_derive(seed, &k, NULL), 0);
    memcpy(row->k_public, k.pub.x, 32);
    memcpy(row->k_public + 32, k.pub.y, 32);
}

/* Is the key's policy PolicyAuthorize by that K? */
static bool by_k(struct unit_tpm *w, const struct store_key *key, const uint8_t k_public[64])
{
    struct tpmpolicy want = {{0}};
    struct key_identity id;
    struct buf in = {0};
    uint8_t ref[32];
    TPMT_PUBLIC pub;
    TPM2B_NAME k;

    buf_str(&in, "fusetsu pcrs 1");
    buf_add(&in, key->uuid, STORE_UUID);
    assert_int_equal(hash_sha256(buf_bytes(&in), ref, NULL), 0);
    buf_free(&in);
    assert_int_equal(pin_policy_k(k_public, &pub, &k, NULL), 0);
    assert_int_equal(tpmpolicy_authorize(&want, &k, bytes_of(ref, sizeof(ref)), NULL), 0);
    assert_int_equal(token_key_identity(w->token, key, &id, NULL), 0);
    return bytes_equal(bytes_of(id.policy, id.policy_len), bytes_of(want.d, sizeof(want.d)));
}

static void test_another_k_approves_no_pcrs(void **state)
{
    struct unit_tpm *w = *state;
    struct key_spec spec = {.type = TPM2_ALG_ECC, .curve = alg_curve_named("P-256"), .sign = true};
    struct token_proof *proof = NULL;
    struct store_token good, row;
    struct store_key key = {0};
    struct err e = {0};

    /* Here S is behind U alone, and K is not in its policy. */
    provision(w, true, TOKEN_GUARD_COUNTER);
    good = row = row_of(w);
    another_k(&row);
    put(w, &row);
    refused(w, TOKEN_USER);
    /* Nor is it taken while the user is logged in. */
    put(w, &good);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    put(w, &row);
    assert_int_equal(token_reload(w->token, NULL), 0);
    if (updatable(w, &key, &e) != 0)
        fail_msg("%s", e.msg);
    assert_true(by_k(w, &key, good.k_public));
    assert_false(by_k(w, &key, row.k_public));
    store_key_free(&key);
    /* Each use asks for the index that was there at the login. */
    row = good;
    row.nv[STORE_NV_U].name.name[10] ^= 1;
    put(w, &row);
    assert_int_equal(token_reload(w->token, NULL), 0);
    spec.mode = STORE_KEY_EACH;
    if (token_key_create(w->token, &spec, &key, &e) != 0)
        fail_msg("%s", e.msg);
    put(w, &good);
    assert_int_equal(token_prove(w->token, &key, unit_pin(UNIT_USER), &proof, &e), 0);
    token_present(w->token, proof);
    assert_int_equal(unit_tpm_sign(w->token, &key, &e), 0);
    token_proof_free(w->token, proof);
    store_key_free(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACTORY(test_an_unblock_keeps_the_limit_of_the_tpm),
        FACTORY(test_a_limit_that_leaves_no_try_is_none),
        FACTORY(test_a_counter_that_was_made_anew_gets_no_limit_of_the_thief),
        FACTORY(test_a_token_made_anew_has_the_limits_of_the_old_one),
        FACTORY(test_limits_beyond_the_bounds_are_not_made),
        FACTORY(test_a_token_made_anew_keeps_its_two_locks),
        FACTORY(test_the_guard_of_an_own_tpm_is_that_of_s),
        FACTORY(test_a_row_that_does_not_fit_together_sends_no_pin),
        FACTORY(test_another_k_approves_no_pcrs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
