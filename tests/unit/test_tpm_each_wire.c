/* Goal: a use for which the PIN was proved is one command, whatever it is, and is not tried a
 * second time whatever happens. */
#include "tests/support/unit_crypt.h"

#include "core/tpmname.h"
#include "tpm/attest.h"
#include "tpm/exec.h"
#include "tpm/policy.h"
#include "tpm/token_priv.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct key_spec p256(void)
{
    return (struct key_spec){.type = TPM2_ALG_ECC,
                             .curve = alg_curve_named("P-256"),
                             .sign = true,
                             .decrypt = true,
                             .mode = STORE_KEY_EACH};
}

static void create(struct unit_tpm *w, const struct key_spec *spec, struct store_key *out)
{
    struct err e = {0};

    if (token_key_create(w->token, spec, out, &e) != 0)
        fail_msg("%s", e.msg);
}

static void create_p256(struct unit_tpm *w, struct store_key *out)
{
    struct key_spec spec = p256();

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    create(w, &spec, out);
}

static struct token_proof *prove(struct unit_tpm *w, const struct store_key *key)
{
    struct token_proof *p = NULL;
    struct err e = {0};

    if (token_prove(w->token, key, unit_pin(UNIT_USER), &p, &e) != 0)
        fail_msg("%s", e.msg);
    return p;
}

/* One signature without a proof of its own; the code, E_OK when it worked. */
static enum err_code sign(struct unit_tpm *w, const struct store_key *key)
{
    struct err e = {0};

    return unit_tpm_sign(w->token, key, &e) == 0 ? E_OK : e.code;
}

static enum err_code prove_and_sign(struct unit_tpm *w, const struct store_key *key)
{
    struct token_proof *p = prove(w, key);
    enum err_code code;

    token_present(w->token, p);
    code = sign(w, key);
    token_proof_free(w->token, p);
    return code;
}

static size_t sessions(void)
{
    uint32_t left[4];

    return unit_tpm_handles(0x02000000, UINT32_MAX, left, 4);
}

/* --- all uses, one command each ------------------------------------------------------------ */

struct set {
    struct store_key both, sign_only, ecc;
    struct pubkey pub, sign_pub;
    struct ecc_point peer;
    uint8_t oaep[256], pkcs1[256];
};

static const char text[] = "short and secret";
static const uint8_t some[64] = {9, 8, 7};

static void set_make(struct unit_tpm *w, struct set *s)
{
    struct key_spec rsa = {
        .type = TPM2_ALG_RSA, .bits = 2048, .sign = true, .mode = STORE_KEY_EACH};
    struct key_spec ecc = p256();
    uint8_t d[ALG_MAX_COORD], em[256] = {0, 2};

    memset(s, 0, sizeof(*s));
    create(w, &rsa, &s->sign_only);
    rsa.decrypt = true;
    create(w, &rsa, &s->both);
    create(w, &ecc, &s->ecc);
    unit_crypt_pair(ecc.curve, 3, d, &s->peer);
    assert_int_equal(token_key_public(&s->both, &s->pub, NULL), 0);
    assert_int_equal(token_key_public(&s->sign_only, &s->sign_pub, NULL), 0);
    assert_int_equal(pubkey_oaep(&s->pub, alg_hash_named("SHA256"), (struct bytes){NULL, 0},
                                 unit_pin(text), s->oaep, NULL),
                     0);
    memset(em + 2, 0x77, sizeof(em) - 2);
    em[256 - sizeof(text)] = 0;
    memcpy(em + 256 - sizeof(text) + 1, text, sizeof(text) - 1);
    assert_int_equal(pubkey_rsa_raw(&s->pub, bytes_of(em, 256), s->pkcs1, NULL), 0);
}

static void set_free(struct set *s)
{
    store_key_free(&s->both);
    store_key_free(&s->sign_only);
    store_key_free(&s->ecc);
}

/* A use that was proved: it works, the one command of its name and nothing else but maybe the
 * loading of the key. */
#define USE(key, name, call)                                                                \
    do {                                                                                    \
        struct token_proof *p_ = prove(w, (key));                                           \
        struct err e_ = {0};                                                                \
        struct err *e = &e_;                                                                \
        token_present(w->token, p_);                                                        \
        unit_spy_clear(w);                                                                  \
        if ((call) != 0)                                                                    \
            fail_msg("line %d: %s", __LINE__, e->msg);                                      \
        assert_int_equal(unit_spy_count(w, (name)), 1);                                     \
        assert_in_range(unit_spy_count(w, NULL) - unit_spy_count(w, "FlushContext"), 1, 2); \
        token_proof_free(w->token, p_);                                                     \
    } while (0)

static void signs(struct unit_tpm *w, const struct store_key *key, const struct pubkey *pub,
                  const struct token_sign *what, const char *command)
{
    uint8_t sig[512];

    USE(key, command, token_sign(w->token, key, what, sig, e));
    assert_int_equal(pubkey_verify(pub, what->scheme, what->hash, what->salt, what->digest,
                                   bytes_of(sig, pub->n_len), NULL),
                     0);
}

static void test_rsa_signatures_are_one_command(void **state)
{
    const struct alg_hash *h = alg_hash_named("SHA256");
    const struct token_sign pkcs1 = {
        .scheme = PUBKEY_RSASSA, .hash = h, .digest = bytes_of(some, 32)};
    const struct token_sign bare = {.scheme = PUBKEY_RSASSA, .digest = bytes_of(some, 7)};
    struct token_sign pss = {
        .scheme = PUBKEY_RSAPSS, .hash = h, .mgf = h, .salt = 32, .digest = bytes_of(some, 32)};
    struct unit_tpm *w = *state;
    struct set s;
    uint8_t out[512];

    unit_crypt_spied(w, false);
    set_make(w, &s);
    signs(w, &s.both, &s.pub, &pkcs1, "Sign");
    signs(w, &s.both, &s.pub, &bare, "RSA_Decrypt");
    /* How the TPM salts is not known yet: padded here, as long as the key allows. */
    signs(w, &s.both, &s.pub, &pss, "RSA_Decrypt");
    signs(w, &s.sign_only, &s.sign_pub, &pss, "Sign");
    signs(w, &s.both, &s.pub, &pss, "Sign");
    pss.salt = 5;
    signs(w, &s.both, &s.pub, &pss, "RSA_Decrypt");
    USE(&s.both, "RSA_Decrypt", token_rsa_raw(w->token, &s.both, bytes_of(s.pkcs1, 256), out, e));
    set_free(&s);
}

static void test_decryption_and_agreement_are_one_command(void **state)
{
    const struct token_rsa oaep = {.hash = alg_hash_named("SHA256")}, pkcs1 = {.hash = NULL};
    struct unit_tpm *w = *state;
    struct set s;
    uint8_t out[512];
    size_t len;
    struct token_proof *p;
    struct err why = {0};

    unit_crypt_spied(w, false);
    set_make(w, &s);
    USE(&s.both, "RSA_Decrypt",
        token_rsa_decrypt(w->token, &s.both, &oaep, bytes_of(s.oaep, 256), out, &len, e));
    assert_true(bytes_equal(bytes_of(out, len), unit_pin(text)));
    USE(&s.both, "RSA_Decrypt",
        token_rsa_decrypt(w->token, &s.both, &pkcs1, bytes_of(s.pkcs1, 256), out, &len, e));
    assert_true(bytes_equal(bytes_of(out, len), unit_pin(text)));
    USE(&s.ecc, "ECDH_ZGen", token_ecdh(w->token, &s.ecc, &s.peer, out, e));
    /* Wrong padding is no reason to try again, either. */
    p = prove(w, &s.both);
    token_present(w->token, p);
    unit_spy_clear(w);
    assert_int_equal(
        token_rsa_decrypt(w->token, &s.both, &oaep, bytes_of(s.pkcs1, 256), out, &len, &why), -1);
    assert_int_equal(why.code, E_DATA);
    assert_int_equal(unit_spy_count(w, "RSA_Decrypt"), 1);
    token_proof_free(w->token, p);
    assert_int_equal(sessions(), 1);
    set_free(&s);
}

static void test_proving_costs_three_commands_and_shows_no_pin(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0};
    struct pin_auth auth;
    struct token_proof *p;

    unit_crypt_spied(w, true);
    create_p256(w, &key);
    unit_spy_clear(w);
    p = prove(w, &key);
    assert_int_equal(unit_spy_count(w, NULL), 3);
    assert_int_equal(unit_spy_count(w, "PolicySecret"), 1);
    token_present(w->token, p);
    assert_int_equal(sign(w, &key), E_OK);
    assert_int_equal(unit_spy_count(w, NULL), 5);
    token_proof_free(w->token, p);
    assert_int_equal(unit_spy_count(w, NULL), 5);
    assert_int_equal(pin_derive(token_row(w->token), PIN_USER, unit_pin(UNIT_USER), &auth, NULL),
                     0);
    assert_false(unit_spy_saw(w, auth.counter, sizeof(auth.counter)));
    assert_false(unit_spy_saw(w, UNIT_USER, strlen(UNIT_USER)));
    store_key_free(&key);
}

/* --- resets and breaks ----------------------------------------------------------------------------- */

static void test_a_proof_that_died_with_the_tpm_fails_cleanly(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0}, mine = {0};
    struct token_proof *p, *q;

    create_p256(w, &key);
    unit_tpm_ecc(w, "P-256", &mine);
    /* The use finds out by itself; the key was loaded. */
    assert_int_equal(prove_and_sign(w, &key), E_OK);
    p = prove(w, &key);
    unit_tpm_cut();
    token_present(w->token, p);
    assert_int_equal(sign(w, &key), E_REMOVED);
    assert_int_equal(sign(w, &key), E_LOGIN);
    token_proof_free(w->token, p);
    assert_int_equal(prove_and_sign(w, &key), E_OK);
    /* Found out by loading it. */
    p = prove(w, &key);
    unit_tpm_cut();
    token_key_forget(w->token, key.uuid);
    token_present(w->token, p);
    assert_int_equal(sign(w, &key), E_REMOVED);
    token_proof_free(w->token, p);
    /* Found out by another key; meanwhile another session may have the number of the old. */
    p = prove(w, &key);
    unit_tpm_cut();
    assert_int_equal(sign(w, &mine), E_OK);
    q = prove(w, &key);
    token_present(w->token, p);
    assert_int_equal(sign(w, &key), E_REMOVED);
    token_proof_free(w->token, p);
    token_present(w->token, q);
    assert_int_equal(sign(w, &key), E_OK);
    token_proof_free(w->token, q);
    assert_int_equal(sessions(), 1);
    assert_int_equal(unit_tpm_failures(), 0);
    store_key_free(&key);
    store_key_free(&mine);
}

static struct store_key child_key;

static int use_breaks(struct unit_tpm *w)
{
    struct token_proof *p = NULL;
    struct err e = {0};

    CHILD_MUST(token_login(w->token, TOKEN_USER, unit_pin(UNIT_USER), &e) == 0, &e);
    CHILD_MUST(token_prove(w->token, &child_key, unit_pin(UNIT_USER), &p, &e) == 0, &e);
    token_present(w->token, p);
    CHILD_MUST(unit_tpm_sign(w->token, &child_key, &e) == -1, &e);
    CHILD_MUST(e.code == E_REMOVED, &e);
    token_proof_free(w->token, p);
    unit_tpm_flush();
    unit_spy_clear(w);
    e = (struct err){0};
    CHILD_MUST(token_prove(w->token, &child_key, unit_pin(UNIT_USER), &p, &e) == 0, &e);
    token_present(w->token, p);
    CHILD_MUST(unit_tpm_sign(w->token, &child_key, &e) == 0, &e);
    CHILD_MUST(unit_spy_count(w, "Sign") == 1, &e);
    token_proof_free(w->token, p);
    return 0;
}

static int proof_breaks(struct unit_tpm *w)
{
    struct token_proof *p = NULL;
    struct err e = {0};

    CHILD_MUST(token_login(w->token, TOKEN_USER, unit_pin(UNIT_USER), &e) == 0, &e);
    unit_spy_clear(w);
    CHILD_MUST(token_prove(w->token, &child_key, unit_pin(UNIT_USER), &p, &e) == -1, &e);
    CHILD_MUST(e.code == E_REMOVED && p == NULL, &e);
    CHILD_MUST(unit_spy_count(w, "PolicySecret") <= 1, &e);
    CHILD_MUST(token_row(w->token)->user_fails == 0, &e);
    unit_tpm_flush();
    e = (struct err){0};
    CHILD_MUST(token_prove(w->token, &child_key, unit_pin(UNIT_USER), &p, &e) == 0, &e);
    token_present(w->token, p);
    CHILD_MUST(unit_tpm_sign(w->token, &child_key, &e) == 0, &e);
    token_proof_free(w->token, p);
    return 0;
}

static int loads_in_the_second_try(struct unit_tpm *w)
{
    struct token_proof *p = NULL;
    struct err e = {0};

    CHILD_MUST(token_login(w->token, TOKEN_USER, unit_pin(UNIT_USER), &e) == 0, &e);
    CHILD_MUST(token_prove(w->token, &child_key, unit_pin(UNIT_USER), &p, &e) == 0, &e);
    token_present(w->token, p);
    CHILD_MUST(unit_tpm_sign(w->token, &child_key, &e) == 0, &e);
    token_proof_free(w->token, p);
    return 0;
}

static void test_breaks_are_not_tried_again(void **state)
{
    struct unit_tpm *w = *state;

    create_p256(w, &child_key);
    unit_tpm_close(w);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1", "Sign", use_breaks), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x918", "Sign", use_breaks), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "2", "PolicySecret", proof_breaks), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "2", "PolicyAuthValue", proof_breaks), 0);
    /* Slots taken by others, a session out of step: no use of the proof yet. */
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x902", "Load", loads_in_the_second_try), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x9a2", "Load", loads_in_the_second_try), 0);
    assert_int_equal(
        unit_spy_child(w, "SPY_FAIL", "3:0x903", "StartAuthSession", loads_in_the_second_try), 0);
    assert_int_equal(unit_tpm_failures(), 0);
    store_key_free(&child_key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TOKEN(test_rsa_signatures_are_one_command),
        WITH_TOKEN(test_decryption_and_agreement_are_one_command),
        WITH_TOKEN(test_proving_costs_three_commands_and_shows_no_pin),
        WITH_TOKEN(test_a_proof_that_died_with_the_tpm_fails_cleanly),
        WITH_TOKEN(test_breaks_are_not_tried_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
