/* Goal: a key that is bound to PCRs outlives a firmware update, when the SO says so and not
 * otherwise. */
#include "tests/support/unit_crypt.h"

#include "core/tpmname.h"
#include "tpm/attest.h"
#include "tpm/key_extra.h"
#include "tpm/pcr_approve.h"
#include "tpm/pcr_approved.h"

#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct key_pcrs pcr_16 = {.hash = TPM2_ALG_SHA256, .select = {0, 0, 1}};

static void set_back(void)
{
    assert_int_equal(unit_tpm_script("tpm2_pcrreset 16"), 0);
}

static void move(void)
{
    assert_int_equal(unit_tpm_script("tpm2_pcrextend 16:sha256=$(printf '%064d' 7)"), 0);
}

static struct key_spec spec(void)
{
    return (struct key_spec){.type = TPM2_ALG_ECC,
                             .curve = alg_curve_named("P-256"),
                             .sign = true,
                             .pcrs = pcr_16,
                             .pcrs_updatable = true};
}

/* Made by the user, and stored. */
static void create(struct unit_tpm *w, const struct key_spec *s, struct store_key *out)
{
    struct err e = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    if (token_key_create(w->token, s, out, &e) != 0 ||
        store_key_put(w->store, out, token_seal(w->token), &e) != 0)
        fail_msg("%s", e.msg);
}

/* As another process would see it. */
static void again(struct unit_tpm *w, struct store_key *key)
{
    uint8_t uuid[STORE_UUID];
    struct err e = {0};

    memcpy(uuid, key->uuid, STORE_UUID);
    store_key_free(key);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    if (store_key_get(w->store, w->id, uuid, token_seal(w->token), key, &e) != 0)
        fail_msg("%s", e.msg);
}

static enum err_code approve(struct unit_tpm *w, struct store_key *key,
                             const struct pcrvalues *values, bool only, size_t want)
{
    struct pcrvalues now;
    struct err e = {0};
    size_t n = 0;

    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
    if ((values != NULL || pcr_approve_now(w->token, key->uuid, &now, &e) == 0) &&
        pcr_approve(w->token, key->uuid, values != NULL ? values : &now, only, &n, &e) == 0)
        assert_int_equal(n, want);
    again(w, key);
    return e.code;
}

static enum err_code sign(struct unit_tpm *w, const struct store_key *key)
{
    struct err e = {0};

    return unit_tpm_sign(w->token, key, &e) == 0 ? E_OK : e.code;
}

static void test_the_same_key_after_an_update(void **state)
{
    struct unit_tpm *w = *state;
    struct key_spec s = spec();
    struct store_key key = {0};

    set_back();
    create(w, &s, &key);
    assert_int_equal(sign(w, &key), E_REJECTED);
    assert_int_equal(approve(w, &key, NULL, false, 1), E_OK);
    assert_int_equal(sign(w, &key), E_OK);
    assert_int_equal(sign(w, &key), E_OK);
    move();
    assert_int_equal(sign(w, &key), E_REJECTED);
    assert_int_equal(approve(w, &key, NULL, false, 2), E_OK);
    assert_int_equal(sign(w, &key), E_OK);
    /* Both states side by side; the same twice is once. */
    assert_int_equal(approve(w, &key, NULL, false, 2), E_OK);
    set_back();
    assert_int_equal(sign(w, &key), E_OK);
    move();
    assert_int_equal(sign(w, &key), E_OK);
    assert_int_equal(approve(w, &key, NULL, true, 1), E_OK);
    assert_int_equal(sign(w, &key), E_OK);
    set_back();
    assert_int_equal(sign(w, &key), E_REJECTED);
    unit_tpm_cut();
    assert_int_equal(sign(w, &key), E_REJECTED);
    move();
    assert_int_equal(sign(w, &key), E_OK);
    assert_int_equal(unit_tpm_failures(), 0);
    store_key_free(&key);
}

/* The honest limit: an old row brings an old approval back. */
static void test_an_old_copy_of_the_store_remembers(void **state)
{
    struct unit_tpm *w = *state;
    struct key_spec s = spec();
    struct store_key key = {0}, old = {0};

    set_back();
    create(w, &s, &key);
    assert_int_equal(approve(w, &key, NULL, false, 1), E_OK);
    assert_int_equal(store_key_copy(&key, &old, NULL), 0);
    move();
    assert_int_equal(approve(w, &key, NULL, true, 1), E_OK);
    set_back();
    assert_int_equal(sign(w, &key), E_REJECTED);
    assert_int_equal(sign(w, &old), E_OK);
    store_key_free(&key);
    store_key_free(&old);
}

static void test_values_known_beforehand(void **state)
{
    struct unit_tpm *w = *state;
    struct key_spec s = spec();
    struct store_key key = {0};
    struct pcrvalues v;
    struct err e = {0};
    char path[80], script[200], file[4096];
    size_t n;
    FILE *f;

    set_back();
    move();
    snprintf(path, sizeof(path), "%s/pcrs", w->dir);
    snprintf(script, sizeof(script), "tpm2_pcrread >%s", path);
    assert_int_equal(unit_tpm_script(script), 0);
    set_back();
    f = fopen(path, "r");
    assert_non_null(f);
    n = fread(file, 1, sizeof(file), f);
    assert_int_equal(fclose(f), 0);
    if (pcrvalues_read(bytes_of(file, n), TPM2_ALG_SHA256, &v, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(v.there, 0xffffff);
    create(w, &s, &key);
    assert_int_equal(approve(w, &key, NULL, false, 1), E_OK);
    assert_int_equal(approve(w, &key, &v, false, 2), E_OK);
    assert_int_equal(sign(w, &key), E_OK);
    move();
    assert_int_equal(sign(w, &key), E_OK);
    v.there = 1;
    assert_int_equal(approve(w, &key, &v, false, 0), E_ARG);
    v.hash = TPM2_ALG_SHA384;
    assert_int_equal(approve(w, &key, &v, false, 0), E_ARG);
    store_key_free(&key);
}

static void test_values_as_text(void **state)
{
    static const char *const bad[] = {"sha256:\n 24: 0x00", "sha256:\n 1: 0x00", "sha256:\nhello",
                                      "sha256:\n : 0x00"};
    struct pcrvalues v;
    char twice[400];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(pcrvalues_read(unit_pin(bad[i]), TPM2_ALG_SHA256, &v, NULL), -1);
    snprintf(twice, sizeof(twice), "sha256:\n7: 0x%064d\n 7 :0x%064d\n", 1, 2);
    assert_int_equal(pcrvalues_read(unit_pin(twice), TPM2_ALG_SHA256, &v, NULL), -1);
    assert_int_equal(pcrvalues_read(unit_pin("sha1:\nhello\n"), TPM2_ALG_SHA256, &v, NULL), 0);
    assert_int_equal(v.there, 0);
}

/* --- who can, and for what ------------------------------------------------------------- */

static void test_only_the_so_approves(void **state)
{
    struct unit_tpm *w = *state;
    struct key_spec s = spec();
    struct store_key key = {0}, fixed = {0};
    struct pcrvalues v = {.hash = TPM2_ALG_SHA256, .there = 1u << 16};
    struct err e = {0};
    size_t n;

    set_back();
    create(w, &s, &key);
    assert_int_equal(pcr_approve_now(w->token, key.uuid, &v, &e), -1);
    assert_int_equal(e.code, E_LOGIN);
    e = (struct err){0};
    assert_int_equal(pcr_approve(w->token, key.uuid, &v, false, &n, &e), -1);
    assert_int_equal(e.code, E_LOGIN);
    s.pcrs_updatable = false;
    create(w, &s, &fixed);
    assert_int_equal(approve(w, &fixed, NULL, false, 0), E_ARG);
    assert_int_equal(sign(w, &fixed), E_OK);
    s.pcrs_updatable = true;
    s.pcrs.hash = 0;
    assert_int_equal(token_key_supported(w->token, &s, NULL), -1);
    store_key_free(&key);
    store_key_free(&fixed);
}

static void test_an_approval_is_for_one_key(void **state)
{
    struct unit_tpm *w = *state;
    struct key_spec s = spec();
    struct store_key a = {0}, b = {0};
    struct key_extra x;

    set_back();
    create(w, &s, &a);
    create(w, &s, &b);
    assert_int_equal(approve(w, &a, NULL, false, 1), E_OK);
    assert_int_equal(sign(w, &b), E_REJECTED);
    /* Whoever writes the row of one into the other's. */
    assert_int_equal(key_extra_read(&a, &x, NULL), 0);
    assert_int_equal(key_extra_write(&b, &x, NULL), 0);
    assert_int_not_equal(sign(w, &b), E_OK);
    /* Or another digest. */
    move();
    x.pcrs[0].digest[0] ^= 1;
    assert_int_equal(key_extra_write(&a, &x, NULL), 0);
    assert_int_equal(sign(w, &a), E_REJECTED);
    store_key_free(&a);
    store_key_free(&b);
}

static void test_sixteen_at_most(void **state)
{
    struct unit_tpm *w = *state;
    struct pcrvalues v = {.hash = TPM2_ALG_SHA256, .there = 1u << 16};
    struct key_spec s = spec();
    struct store_key key = {0};

    create(w, &s, &key);
    for (size_t i = 0; i < KEY_EXTRA_PCRS; i++) {
        v.value[16][0] = (uint8_t)(i + 1);
        assert_int_equal(approve(w, &key, &v, false, i + 1), E_OK);
    }
    v.value[16][0] = 0;
    assert_int_equal(approve(w, &key, &v, false, 0), E_FULL);
    set_back();
    assert_int_equal(sign(w, &key), E_REJECTED);
    assert_int_equal(approve(w, &key, &v, true, 1), E_OK);
    assert_int_equal(sign(w, &key), E_OK);
    store_key_free(&key);
}

/* --- with all modes ---------------------------------------------------------------------- */

static void test_with_a_pin_and_without_any(void **state)
{
    struct unit_tpm *w = *state;
    struct key_spec s = spec();
    struct store_key each = {0}, none = {0};
    struct token_proof *p = NULL;
    struct err e = {0};

    set_back();
    s.mode = STORE_KEY_EACH;
    create(w, &s, &each);
    s.mode = STORE_KEY_NONE;
    create(w, &s, &none);
    assert_int_equal(token_prove(w->token, &each, unit_pin(UNIT_USER), &p, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    assert_int_equal(approve(w, &each, NULL, false, 1), E_OK);
    assert_int_equal(approve(w, &none, NULL, false, 1), E_OK);
    e = (struct err){0};
    if (token_prove(w->token, &each, unit_pin(UNIT_USER), &p, &e) != 0)
        fail_msg("%s", e.msg);
    token_present(w->token, p);
    assert_int_equal(sign(w, &each), E_OK);
    token_proof_free(w->token, p);
    assert_int_equal(token_logout(w->token, NULL), 0);
    assert_int_equal(sign(w, &none), E_OK);
    move();
    assert_int_equal(sign(w, &none), E_REJECTED);
    store_key_free(&each);
    store_key_free(&none);
}

static void test_what_it_costs(void **state)
{
    struct unit_tpm *w = *state;
    struct key_spec s = spec();
    struct store_key key = {0};

    set_back();
    create(w, &s, &key);
    assert_int_equal(approve(w, &key, NULL, false, 1), E_OK);
    unit_tpm_close(w);
    unit_tpm_open(w, unit_spy(w, false));
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_spy_clear(w);
    assert_int_equal(sign(w, &key), E_OK);
    /* Load; StartAuthSession, PolicyPCR, LoadExternal, VerifySignature, FlushContext,
     * PolicyAuthorize, PolicyAuthValue, Sign. */
    assert_int_equal(unit_spy_count(w, NULL), 9);
    unit_spy_clear(w);
    assert_int_equal(sign(w, &key), E_OK);
    assert_int_equal(unit_spy_count(w, NULL), 5);
    assert_int_equal(unit_spy_count(w, "PolicyAuthorize"), 1);
    store_key_free(&key);
}

static void test_the_policy_is_there_for_all_to_see(void **state)
{
    static const uint8_t nonce[32] = {1};
    struct unit_tpm *w = *state;
    struct key_spec s = spec();
    struct store_key key = {0}, ak = {0};
    struct tpmpolicy want;
    struct buf attest = {0}, sig = {0};
    struct attest_ek *ek = NULL;
    struct key_identity id;
    struct err e = {0};
    size_t n = 0;

    create(w, &s, &key);
    assert_int_equal(pcr_approved_policy(w->token, key.uuid, &want, NULL), 0);
    assert_int_equal(tpmpolicy_authvalue(&want, NULL), 0);
    assert_int_equal(token_key_identity(w->token, &key, &id, NULL), 0);
    assert_true(bytes_equal(bytes_of(id.policy, id.policy_len), bytes_of(want.d, 32)));
    if (attest_ek_read(w->tpm, &ek, &n, &e) != 0 ||
        attest_ak(w->token, ek[0].index, &ak, &e) != 0 ||
        attest_certify(w->token, &key, &ak, nonce, &attest, &sig, &e) != 0)
        fail_msg("%s", e.msg);
    attest_ek_free(ek, n);
    buf_free(&attest);
    buf_free(&sig);
    store_key_free(&key);
    store_key_free(&ak);
}

/* --- a man in the middle ----------------------------------------------------------------- */

static uint8_t lied_about[STORE_UUID];

static int lied_to(struct unit_tpm *w)
{
    struct pcrvalues v = {.there = 0};
    struct err e = {0};

    CHILD_MUST(token_login(w->token, TOKEN_SO, unit_pin(UNIT_SO), &e) == 0, &e);
    CHILD_MUST(pcr_approve_now(w->token, lied_about, &v, &e) == -1, NULL);
    CHILD_MUST(e.code == E_TAMPERED && v.there == 0, &e);
    /* Once: the next answer is true. */
    CHILD_MUST(pcr_approve_now(w->token, lied_about, &v, &e) == 0 && v.there == 1u << 16, &e);
    return 0;
}

static void test_values_that_were_changed_on_the_way_are_noticed(void **state)
{
    struct unit_tpm *w = *state;
    struct key_spec s = spec();
    struct store_key key = {0};

    set_back();
    create(w, &s, &key);
    memcpy(lied_about, key.uuid, STORE_UUID);
    store_key_free(&key);
    unit_tpm_close(w);
    assert_int_equal(unit_spy_child(w, "SPY_TAMPER", "1", "PCR_Read", lied_to), 0);
    unit_tpm_open(w, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TOKEN(test_the_same_key_after_an_update),
        WITH_TOKEN(test_an_old_copy_of_the_store_remembers),
        WITH_TOKEN(test_values_known_beforehand),
        WITH_TOKEN(test_values_as_text),
        WITH_TOKEN(test_only_the_so_approves),
        WITH_TOKEN(test_values_that_were_changed_on_the_way_are_noticed),
        WITH_TOKEN(test_an_approval_is_for_one_key),
        WITH_TOKEN(test_sixteen_at_most),
        WITH_TOKEN(test_with_a_pin_and_without_any),
        WITH_TOKEN(test_what_it_costs),
        WITH_TOKEN(test_the_policy_is_there_for_all_to_see),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
