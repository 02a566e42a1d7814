/* The wire: a response that was altered is noticed and its session given up; PINs, what comes
 * from them, the token secret and keys' authValues never cross it in the clear. */
#include "tests/support/unit_tpm.h"
#include "tpm/held.h"
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

/* Tampers with the first response to `command` in a child that runs `f`. */
static void struck(struct unit_tpm *w, const char *command, int (*f)(struct unit_tpm *w))
{
    unit_tpm_close(w);
    unit_spy_clear(w);
    assert_int_equal(unit_spy_child(w, "SPY_TAMPER", "1", command, f), 0);
}

static int login_twice(struct unit_tpm *w, size_t fresh)
{
    struct err e = {0};
    size_t sessions;

    CHILD_MUST(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, &e) == E_TAMPERED, &e);
    CHILD_MUST(token_who(w->token) == TOKEN_NOBODY, &e);
    CHILD_MUST(token_row(w->token)->user_fails == 0, &e);
    sessions = unit_spy_count(w, "StartAuthSession");
    CHILD_MUST(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, &e) == E_OK, &e);
    CHILD_MUST(unit_spy_count(w, "StartAuthSession") == sessions + fresh, &e);
    return 0;
}

/* The session that was lied about is not used again: a new one, beside the policy session. */
static int proof_twice(struct unit_tpm *w)
{
    return login_twice(w, 2);
}

/* NV_Read is authorised by the policy session alone. */
static int read_twice(struct unit_tpm *w)
{
    return login_twice(w, 1);
}

static void test_an_altered_proof_of_the_pin_is_noticed(void **state)
{
    struck(*state, "PolicySecret", proof_twice);
}

static void test_an_altered_secret_is_noticed(void **state)
{
    struck(*state, "NV_Read", read_twice);
}

static int sign_twice(struct unit_tpm *w)
{
    struct key_spec spec = {.type = TPM2_ALG_ECC, .curve = alg_curve_named("P-256"), .sign = true};
    struct store_key key = {0};
    struct err e = {0}, why = {0};
    size_t sessions;

    CHILD_MUST(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, &e) == E_OK, &e);
    CHILD_MUST(token_key_create(w->token, &spec, &key, &e) == 0, &e);
    sessions = unit_spy_count(w, "StartAuthSession");
    CHILD_MUST(unit_tpm_sign(w->token, &key, &why) == -1 && why.code == E_TAMPERED, &why);
    CHILD_MUST(unit_tpm_sign(w->token, &key, &e) == 0, &e);
    CHILD_MUST(unit_spy_count(w, "StartAuthSession") == sessions + 1, &e);
    CHILD_MUST(unit_tpm_sign(w->token, &key, &e) == 0, &e);
    store_key_free(&key);
    return 0;
}

static void test_an_altered_signature_is_noticed(void **state)
{
    struck(*state, "Sign", sign_twice);
}

static void test_an_altered_answer_to_load_is_noticed(void **state)
{
    struck(*state, "Load", sign_twice);
}

static int create_twice(struct unit_tpm *w)
{
    struct key_spec spec = {.type = TPM2_ALG_ECC, .curve = alg_curve_named("P-256"), .sign = true};
    struct store_key key = {0};
    struct err e = {0}, why = {0};

    CHILD_MUST(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, &e) == E_OK, &e);
    CHILD_MUST(token_key_create(w->token, &spec, &key, &why) == -1, &e);
    CHILD_MUST(why.code == E_TAMPERED, &why);
    CHILD_MUST(key.public.p == NULL && key.private.p == NULL, &e);
    CHILD_MUST(token_key_create(w->token, &spec, &key, &e) == 0, &e);
    CHILD_MUST(unit_tpm_sign(w->token, &key, &e) == 0, &e);
    store_key_free(&key);
    return 0;
}

static void test_an_altered_new_key_is_noticed(void **state)
{
    struck(*state, "Create", create_twice);
}

static int change_twice(struct unit_tpm *w)
{
    struct bytes old = unit_pin(UNIT_USER), fresh = unit_pin("second-pin");
    struct err e = {0}, why = {0};

    CHILD_MUST(token_set_pin(w->token, TOKEN_USER, old, fresh, &why) == -1, &e);
    CHILD_MUST(why.code == E_TAMPERED, &why);
    /* The TPM did it all the same: the same two PINs finish the change. */
    CHILD_MUST(token_set_pin(w->token, TOKEN_USER, old, fresh, &e) == 0, &e);
    CHILD_MUST(unit_tpm_try(w->token, TOKEN_USER, "second-pin", &e) == E_OK, &e);
    return 0;
}

static void test_an_altered_answer_to_a_pin_change_is_noticed(void **state)
{
    struck(*state, "NV_ChangeAuth", change_twice);
}

/* A response that was lost on the way leaves our nonces behind the TPM's: every HMAC of that
 * session is refused from then on, and must cost neither a try nor the rest of the process. */
static void test_a_session_out_of_step_is_renewed(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0};
    struct err e = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_ecc(w, "P-256", &key);
    held_session(w->tpm, &w->token->salt, NULL)->tpm.buffer[0] ^= 1;
    if (unit_tpm_sign(w->token, &key, &e) != 0)
        fail_msg("%s", e.msg);
    held_session(w->tpm, &w->token->salt, NULL)->tpm.buffer[0] ^= 1;
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(token_row(w->token)->user_fails, 0);
    assert_int_equal(unit_tpm_failures(), 0);
    store_key_free(&key);
}

/* --- what crosses the wire -------------------------------------------------------- */

static void password_read(struct unit_tpm *w, uint32_t index, struct bytes auth)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(w->tpm, NULL);
    TPM2B_MAX_NV_BUFFER data = {.size = sizeof(data.buffer)};
    TPMS_NV_PUBLIC pub;
    TPM2B_NAME name;
    struct exec x = {.name = {&name, &name}, .n_names = 2, .auth[0] = {.auth = auth}, .n_auth = 1};

    assert_int_equal(nv_public(w->tpm, index, &pub, &name, NULL), 0);
    assert_int_equal(Tss2_Sys_NV_Read_Prepare(sys, index, index, 4, 0), 0);
    assert_int_equal(exec_run(w->tpm, &x, "reading", NULL), 0);
    assert_int_equal(Tss2_Sys_NV_Read_Complete(sys, &data), 0);
    assert_int_equal(data.size, 4);
}

/* The search finds what is there: an authValue that travels encrypted when its index is
 * defined, and in the clear as a password. */
static void test_the_search_sees_a_password_and_not_an_encrypted_auth(void **state)
{
    struct unit_tpm *w = *state;
    struct bytes auth = unit_pin("seen by everybody");
    struct session *owner;
    TPMS_NV_PUBLIC pub = {
        .nvIndex = 0x01800100,
        .nameAlg = TPM2_ALG_SHA256,
        .attributes = TPMA_NV_AUTHREAD | TPMA_NV_AUTHWRITE,
        .dataSize = 4,
    };
    struct exec write = {.n_names = 2, .n_auth = 1};
    TPM2B_MAX_NV_BUFFER four = {.size = 4, .buffer = "four"};
    TPM2B_NAME name;
    TSS2_SYS_CONTEXT *sys;

    unit_tpm_close(w);
    unit_tpm_open(w, unit_spy(w, true));
    owner = held_session(w->tpm, &w->token->salt, NULL);
    assert_non_null(owner);
    assert_int_equal(nv_define(w->tpm, owner, &pub, auth, NULL), 0);
    assert_false(unit_spy_saw(w, auth.p, auth.len));
    assert_int_equal(nv_public(w->tpm, pub.nvIndex, &pub, &name, NULL), 0);
    write.name[0] = write.name[1] = &name;
    write.auth[0] = (struct exec_auth){.session = owner, .auth = auth, .decrypt = true};
    sys = tpm_sys(w->tpm, NULL);
    assert_int_equal(Tss2_Sys_NV_Write_Prepare(sys, pub.nvIndex, pub.nvIndex, &four, 0), 0);
    assert_int_equal(exec_run(w->tpm, &write, "writing", NULL), 0);
    assert_false(unit_spy_saw(w, auth.p, auth.len));
    assert_false(unit_spy_saw(w, "four", 4));
    password_read(w, pub.nvIndex, auth);
    assert_true(unit_spy_saw(w, auth.p, auth.len));
    assert_true(unit_spy_saw(w, "four", 4));
    assert_int_equal(nv_undefine(w->tpm, owner, pub.nvIndex, NULL), 0);
}

static void not_seen(struct unit_tpm *w, const void *p, size_t len, const char *what)
{
    static const uint8_t zeros[32];

    if (len == 32 && memcmp(p, zeros, 32) == 0)
        return;
    if (unit_spy_saw(w, p, len))
        fail_msg("%s crossed the wire", what);
}

static void no_pin_was_seen(struct unit_tpm *w, enum pin_side side, const char *pin)
{
    struct pin_auth auth;

    assert_int_equal(pin_derive(token_row(w->token), side, unit_pin(pin), &auth, NULL), 0);
    not_seen(w, pin, strlen(pin), pin);
    not_seen(w, auth.counter, 32, "the authValue of a counter");
    not_seen(w, auth.guard, 32, "the authValue of a guard");
}

static void no_key_auth_was_seen(struct unit_tpm *w, const struct store_key *key)
{
    uint8_t value[32];
    struct bytes auth;

    assert_int_equal(token_key_auth(w->token, key, value, &auth, NULL), 0);
    assert_int_equal(auth.len, 32);
    not_seen(w, auth.p, auth.len, "a key's authValue");
}

static void import(struct unit_tpm *w, struct store_key *out)
{
    struct key_spec spec = {.type = TPM2_ALG_ECC, .curve = alg_curve_named("P-256"), .sign = true};
    struct pubkey pub = {.type = TPM2_ALG_ECC, .curve = spec.curve};
    uint8_t seed[40], d[32];

    memset(seed, 0x33, sizeof(seed));
    assert_int_equal(ecc_from_seed(spec.curve, bytes_of(seed, 40), d, &pub.point, NULL), 0);
    assert_int_equal(token_key_import(w->token, &spec, &pub, bytes_of(d, 32), out, NULL), 0);
    assert_int_equal(unit_tpm_sign(w->token, out, NULL), 0);
    not_seen(w, d, sizeof(d), "the private key that was imported");
}

static void test_no_secret_of_a_token_crosses_the_wire(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key ecc = {0}, rsa = {0}, in = {0};
    const struct pin_so_content *so;
    struct pin_k k;

    unit_tpm_close(w);
    unit_tpm_open(w, unit_spy(w, true));
    w->id = unit_tpm_provision(w, "watched");
    w->token = unit_tpm_token(w, w->id);
    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
    so = (const struct pin_so_content *)(const void *)secret_peek(w->token->secret);
    assert_int_equal(token_init_pin(w->token, unit_pin("second-pin"), NULL), 0);
    assert_int_equal(pin_k_derive(so->k_seed, &k, NULL), 0);
    not_seen(w, so->secret, 32, "the token secret");
    not_seen(w, so->k_seed, 32, "the seed of K");
    not_seen(w, k.d, 32, "K");
    unit_tpm_login(w, TOKEN_USER, "second-pin");
    assert_int_equal(
        token_set_pin(w->token, TOKEN_USER, unit_pin("second-pin"), unit_pin("third-pin"), NULL),
        0);
    unit_tpm_login(w, TOKEN_USER, "third-pin");
    unit_tpm_ecc(w, "P-256", &ecc);
    unit_tpm_rsa(w, true, &rsa);
    assert_int_equal(unit_tpm_sign(w->token, &ecc, NULL), 0);
    import(w, &in);
    no_pin_was_seen(w, PIN_SO, UNIT_SO);
    no_pin_was_seen(w, PIN_USER, UNIT_USER);
    no_pin_was_seen(w, PIN_USER, "second-pin");
    no_pin_was_seen(w, PIN_USER, "third-pin");
    not_seen(w, secret_peek(w->token->secret), PIN_SECRET, "the token secret");
    no_key_auth_was_seen(w, &ecc);
    no_key_auth_was_seen(w, &rsa);
    no_key_auth_was_seen(w, &in);
    /* And what is public is there: the search looks in the right place. */
    assert_true(unit_spy_saw(w, ecc.private.p, 64));
    store_key_free(&ecc);
    store_key_free(&rsa);
    store_key_free(&in);
}

static void test_the_new_lockout_auth_does_not_cross_the_wire(void **state)
{
    struct unit_tpm *w = *state;
    struct token_params p = {.label = "watched", .so_pin = unit_pin(UNIT_SO)};
    struct token_report report = {0};
    uint8_t code[32];
    char script[200];

    unit_tpm_close(w);
    unit_tpm_open(w, unit_spy(w, true));
    assert_int_equal(token_provision(&w->token, w->tpm, w->store, &p, &report, NULL), 0);
    snprintf(script, sizeof(script), "tpm2_changeauth -Q -c lockout -p hex:%s",
             report.recovery_code);
    assert_int_equal(unit_tpm_script(script), 0);
    assert_true(report.lockout_set);
    assert_int_equal(hex_decode(code, 32, report.recovery_code), 0);
    not_seen(w, code, 32, "lockoutAuth");
}

/* By hand: memmem would be checked by the sanitizer, which owns some of what is read. */
__attribute__((no_sanitize("address"))) static unsigned count_in(const uint8_t *at,
                                                                 const uint8_t *end,
                                                                 const uint8_t *what, size_t len)
{
    unsigned n = 0;

    for (; (size_t)(end - at) >= len; at++) {
        size_t i = 0;

        while (i < len && at[i] == what[i])
            i++;
        n += i == len;
    }
    return n;
}

/* How often `what` stands in this process's writable memory. */
static unsigned copies(const uint8_t *what, size_t len)
{
    FILE *f = fopen("/proc/self/maps", "r");
    unsigned long from, to;
    unsigned n = 0;
    char line[512], mode[5];

    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL) {
        /* The sanitizer's shadow is larger than anything that holds data. */
        if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) == 3 && strncmp(mode, "rw", 2) == 0 &&
            to - from < 64UL << 20)
            n += count_in((const uint8_t *)from, (const uint8_t *)to, what, len);
    }
    fclose(f);
    return n;
}

static void test_the_token_secret_stands_in_one_place(void **state)
{
    struct unit_tpm *w = *state;

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(copies(secret_peek(w->token->secret), PIN_SECRET), 1);
    assert_int_equal(token_logout(w->token, NULL), 0);
    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
    assert_int_equal(copies(secret_peek(w->token->secret), PIN_SECRET), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TOKEN(test_an_altered_proof_of_the_pin_is_noticed),
        WITH_TOKEN(test_an_altered_secret_is_noticed),
        WITH_TOKEN(test_an_altered_signature_is_noticed),
        WITH_TOKEN(test_an_altered_answer_to_load_is_noticed),
        WITH_TOKEN(test_an_altered_new_key_is_noticed),
        WITH_TOKEN(test_an_altered_answer_to_a_pin_change_is_noticed),
        WITH_TOKEN(test_a_session_out_of_step_is_renewed),
        WITH_TOKEN(test_the_search_sees_a_password_and_not_an_encrypted_auth),
        WITH_TOKEN(test_the_token_secret_stands_in_one_place),
        BARE(test_no_secret_of_a_token_crosses_the_wire),
        BARE(test_the_new_lockout_auth_does_not_cross_the_wire),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
