/* Goal: a key that asks for the PIN before each use gets it from the TPM's own hands, once for
 * each use; wrong ones count; nothing is done twice. */
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

static enum err_code prove_fails(struct unit_tpm *w, const struct store_key *key, const char *pin)
{
    struct token_proof *p = NULL;
    struct err e = {0};

    assert_int_equal(token_prove(w->token, key, unit_pin(pin), &p, &e), -1);
    assert_null(p);
    return e.code;
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

/* --- one proof, one use ---------------------------------------------------------------- */

static void test_each_signature_takes_a_proof(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0};
    struct token_proof *p;

    create_p256(w, &key);
    assert_int_equal(sign(w, &key), E_LOGIN);
    p = prove(w, &key);
    assert_int_equal(sign(w, &key), E_LOGIN);
    token_present(w->token, p);
    assert_int_equal(sign(w, &key), E_OK);
    assert_int_equal(sign(w, &key), E_LOGIN);
    /* Used up: it is none any more. */
    token_present(w->token, p);
    assert_int_equal(sign(w, &key), E_LOGIN);
    token_proof_free(w->token, p);
    assert_int_equal(sign(w, &key), E_LOGIN);
    assert_int_equal(prove_and_sign(w, &key), E_OK);
    assert_int_equal(sessions(), 1);
    token_proof_free(w->token, NULL);
    store_key_free(&key);
}

static void test_a_proof_is_for_one_key(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key a = {0}, b = {0}, mine = {0};
    struct token_proof *p;
    struct err e = {0};

    create_p256(w, &a);
    create_p256(w, &b);
    unit_tpm_ecc(w, "P-256", &mine);
    p = prove(w, &a);
    token_present(w->token, p);
    assert_int_equal(sign(w, &b), E_LOGIN);
    /* Other keys go on as ever, and do not use it up. */
    assert_int_equal(sign(w, &mine), E_OK);
    assert_int_equal(sign(w, &a), E_OK);
    token_proof_free(w->token, p);
    p = prove(w, &a);
    token_present(w->token, p);
    token_present(w->token, NULL);
    assert_int_equal(sign(w, &a), E_LOGIN);
    token_present(w->token, p);
    token_proof_free(w->token, p);
    assert_int_equal(sign(w, &a), E_LOGIN);
    assert_int_equal(sessions(), 1);
    assert_int_equal(token_prove(w->token, &mine, unit_pin(UNIT_USER), &p, &e), -1);
    assert_int_equal(e.code, E_ARG);
    store_key_free(&a);
    store_key_free(&b);
    store_key_free(&mine);
}

static void test_a_proof_needs_the_login_and_ends_with_it(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0};
    struct token_proof *p;

    create_p256(w, &key);
    p = prove(w, &key);
    token_present(w->token, p);
    assert_int_equal(token_logout(w->token, NULL), 0);
    assert_int_equal(sign(w, &key), E_LOGIN);
    assert_int_equal(prove_fails(w, &key, UNIT_USER), E_LOGIN);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(sign(w, &key), E_LOGIN);
    token_proof_free(w->token, p);
    assert_int_equal(sessions(), 1);
    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
    assert_int_equal(prove_fails(w, &key, UNIT_SO), E_LOGIN);
    store_key_free(&key);
}

/* --- wrong PINs ------------------------------------------------------------------------- */

static uint32_t noted(struct unit_tpm *w)
{
    struct store_token row;

    assert_int_equal(store_token_get(w->store, w->id, &row, NULL), 0);
    return row.user_fails;
}

static void test_a_wrong_pin_counts_and_a_right_one_clears(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0};

    create_p256(w, &key);
    assert_int_equal(prove_fails(w, &key, "wrong-pin"), E_PIN_WRONG);
    assert_int_equal(noted(w), 1);
    assert_int_equal(prove_fails(w, &key, "wrong-pin"), E_PIN_WRONG);
    assert_int_equal(noted(w), 2);
    assert_int_equal(prove_fails(w, &key, "short"), E_PIN_LENGTH);
    assert_int_equal(noted(w), 2);
    assert_int_equal(prove_and_sign(w, &key), E_OK);
    assert_int_equal(noted(w), 0);
    /* The same counter as that of the login. */
    for (int i = 0; i < 9; i++)
        assert_int_equal(prove_fails(w, &key, "wrong-pin"), E_PIN_WRONG);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, "wrong-pin", NULL), E_PIN_WRONG);
    assert_int_equal(prove_fails(w, &key, UNIT_USER), E_PIN_LOCKED);
    assert_int_equal(noted(w), 10);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, NULL), E_PIN_LOCKED);
    assert_int_equal(unit_tpm_failures(), 0);
    assert_int_equal(sessions(), 1);
    store_key_free(&key);
}

/* --- what others see, and try ----------------------------------------------------------------- */

static void u_name(struct unit_tpm *w, TPM2B_NAME *out)
{
    const struct store_name *u = &token_row(w->token)->nv[STORE_NV_U].name;

    out->size = u->len;
    memcpy(out->name, u->name, u->len);
}

static void test_the_policy_is_there_for_all_to_see(void **state)
{
    struct unit_tpm *w = *state;
    struct tpmpolicy want = {{0}};
    struct key_identity id;
    struct store_key key = {0};
    TPMT_PUBLIC area;
    TPM2B_NAME u;

    create_p256(w, &key);
    u_name(w, &u);
    assert_int_equal(tpmpolicy_secret(&want, &u, NULL), 0);
    assert_int_equal(tpmpolicy_authvalue(&want, NULL), 0);
    assert_int_equal(token_key_identity(w->token, &key, &id, NULL), 0);
    assert_true(bytes_equal(bytes_of(id.policy, id.policy_len), bytes_of(want.d, 32)));
    assert_int_equal(tpmname_unmarshal_public(buf_bytes(&key.public), &area, NULL), 0);
    assert_int_equal(
        area.objectAttributes & (TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_ADMINWITHPOLICY), 0);
    store_key_free(&key);
}

/* Signs in `p`, or in the HMAC session; the code. */
static enum err_code sign_in(struct unit_tpm *w, const struct store_key *key, struct session *p)
{
    TPM2B_DIGEST d = {.size = 32};
    TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_ECDSA, .details.ecdsa.hashAlg = TPM2_ALG_SHA256};
    TPMT_TK_HASHCHECK ticket = {.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL};
    const struct loaded_key *l = NULL;
    struct exec x = {.n_names = 1, .n_auth = 1};
    uint8_t auth_value[32];
    struct err e = {0};

    assert_int_equal(token_key_load(w->token, key, &l, NULL), 0);
    assert_int_equal(token_key_auth(w->token, key, auth_value, &x.auth[0].auth, NULL), 0);
    x.name[0] = &l->name;
    x.auth[0].session = p != NULL ? p : token_session(w->token, NULL);
    assert_int_equal(Tss2_Sys_Sign_Prepare(tpm_sys(w->tpm, NULL), l->handle, &d, &scheme, &ticket),
                     TSS2_RC_SUCCESS);
    return exec_run(w->tpm, &x, "signing", &e) == 0 ? E_OK : e.code;
}

static void test_the_token_secret_alone_does_not_do(void **state)
{
    struct unit_tpm *w = *state;
    struct session p = {0};
    struct store_key key = {0};
    struct err e = {0};

    create_p256(w, &key);
    assert_int_equal(sign_in(w, &key, NULL), E_DENIED);
    if (policy_start(w->tpm, &w->token->salt, token_session(w->token, &e), &p, &e) != 0 ||
        policy_authvalue(w->tpm, &p, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(sign_in(w, &key, &p), E_DENIED);
    session_end(w->tpm, &p);
    /* A row that says that it needs no PIN. */
    key.mode = STORE_KEY_SESSION;
    assert_int_not_equal(sign(w, &key), E_OK);
    key.mode = STORE_KEY_NONE;
    assert_int_not_equal(sign(w, &key), E_OK);
    key.mode = STORE_KEY_EACH;
    assert_int_equal(prove_and_sign(w, &key), E_OK);
    store_key_free(&key);
}

static void test_certify_takes_no_proof(void **state)
{
    static const uint8_t nonce[32] = {1};
    struct unit_tpm *w = *state;
    struct store_key key = {0}, ak = {0};
    struct buf attest = {0}, sig = {0};
    struct attest_ek *ek = NULL;
    struct err e = {0};
    size_t n = 0;

    create_p256(w, &key);
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

/* --- other ways to have one ---------------------------------------------------------------------- */

static void test_imported_keys_can_ask_too(void **state)
{
    static const enum store_key_mode mode[] = {STORE_KEY_EACH, STORE_KEY_NONE};
    struct unit_tpm *w = *state;
    struct key_spec spec = p256();
    struct pubkey pub = {.type = TPM2_ALG_ECC, .curve = spec.curve};
    uint8_t d[ALG_MAX_COORD];

    unit_crypt_pair(spec.curve, 5, d, &pub.point);
    for (size_t i = 0; i < ARRAY_LEN(mode); i++) {
        struct store_key key = {0};
        struct err e = {0};

        unit_tpm_login(w, TOKEN_USER, UNIT_USER);
        spec.mode = mode[i];
        if (token_key_import(w->token, &spec, &pub, bytes_of(d, 32), &key, &e) != 0)
            fail_msg("%s", e.msg);
        assert_int_equal(key.mode, mode[i]);
        if (mode[i] == STORE_KEY_EACH) {
            assert_int_equal(sign(w, &key), E_LOGIN);
            assert_int_equal(prove_and_sign(w, &key), E_OK);
        }
        assert_int_equal(token_logout(w->token, NULL), 0);
        assert_int_equal(sign(w, &key), mode[i] == STORE_KEY_NONE ? E_OK : E_LOGIN);
        store_key_free(&key);
    }
}

static void test_secret_keys_cannot_ask(void **state)
{
    static const uint16_t type[] = {TPM2_ALG_SYMCIPHER, TPM2_ALG_KEYEDHASH};
    struct unit_tpm *w = *state;
    struct key_spec spec = p256();
    struct err e = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(token_key_supported(w->token, &spec, NULL), 0);
    spec.extractable = true;
    assert_int_equal(token_key_supported(w->token, &spec, &e), -1);
    assert_int_equal(e.code, E_UNSUPPORTED);
    for (size_t i = 0; i < ARRAY_LEN(type); i++) {
        spec = (struct key_spec){.type = type[i],
                                 .bits = type[i] == TPM2_ALG_SYMCIPHER ? 128 : 0,
                                 .mode = STORE_KEY_EACH};
        e = (struct err){0};
        assert_int_equal(token_key_supported(w->token, &spec, &e), -1);
        assert_int_equal(e.code, E_UNSUPPORTED);
    }
}

static void test_pin_and_pcrs_together(void **state)
{
    struct unit_tpm *w = *state;
    struct key_spec spec = p256();
    struct store_key key = {0};
    struct token_proof *p;

    assert_int_equal(unit_tpm_script("tpm2_pcrreset 16"), 0);
    unit_crypt_spied(w, false);
    spec.pcrs = (struct key_pcrs){.hash = TPM2_ALG_SHA256, .select = {0, 0, 1}};
    create(w, &spec, &key);
    assert_int_equal(prove_and_sign(w, &key), E_OK);
    /* Any PCR that moves after the proof spoils it, but those that the platform does not count
     * (16 and from 21 on). */
    p = prove(w, &key);
    assert_int_equal(unit_tpm_script("tpm2_pcrextend 10:sha256=$(printf '%064d' 7)"), 0);
    token_present(w->token, p);
    assert_int_equal(sign(w, &key), E_REJECTED);
    token_proof_free(w->token, p);
    assert_int_equal(prove_and_sign(w, &key), E_OK);
    assert_int_equal(unit_tpm_script("tpm2_pcrextend 16:sha256=$(printf '%064d' 7)"), 0);
    /* Found out before the PIN is sent. */
    unit_spy_clear(w);
    assert_int_equal(prove_fails(w, &key, "wrong-pin"), E_REJECTED);
    assert_int_equal(unit_spy_count(w, "PolicySecret"), 0);
    assert_int_equal(noted(w), 0);
    assert_int_equal(unit_tpm_script("tpm2_pcrreset 16"), 0);
    assert_int_equal(prove_and_sign(w, &key), E_OK);
    assert_int_equal(sessions(), 1);
    store_key_free(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TOKEN(test_each_signature_takes_a_proof),
        WITH_TOKEN(test_a_proof_is_for_one_key),
        WITH_TOKEN(test_a_proof_needs_the_login_and_ends_with_it),
        WITH_TOKEN(test_a_wrong_pin_counts_and_a_right_one_clears),
        WITH_TOKEN(test_the_policy_is_there_for_all_to_see),
        WITH_TOKEN(test_the_token_secret_alone_does_not_do),
        WITH_TOKEN(test_certify_takes_no_proof),
        WITH_TOKEN(test_imported_keys_can_ask_too),
        WITH_TOKEN(test_secret_keys_cannot_ask),
        WITH_TOKEN(test_pin_and_pcrs_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
