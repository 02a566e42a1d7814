/* Goal: the owner's rights put no secret of his into a token, no key of his before a login, and
 * no key of the token into his hands, whatever its mode. */
#include "core/tpmname.h"
#include "tests/support/unit_thief.h"
#include "tpm/exec.h"
#include "tpm/token_priv.h"
#include "tpm/rc.h"

#include <string.h>
#include <tss2/tss2_mu.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct bytes none = {NULL, 0};
static const uint8_t own_pin[32] = {'t', 'h', 'i', 'e', 'f'};
static const uint8_t planted[PIN_SECRET] = {'p', 'l', 'a', 'n', 't', 'e', 'd'};
static const uint8_t many_tries[PIN_COUNT] = {0, 0, 0, 0, 0, 0, 0, 200};

#define SRK 0x81000001U

static struct bytes half(const uint8_t auth[32])
{
    return bytes_of(auth, 32);
}

/* --- a secret of his --------------------------------------------------------------------- */

static void test_a_planted_secret_is_not_taken(void **state)
{
    struct unit_tpm *w = *state;
    struct thief t;

    thief_victim(w, true, &t);
    assert_int_equal(
        thief_write(&t, TPM2_RH_OWNER, t.row->nv[STORE_NV_S].handle, none, half(planted)),
        TPM2_RC_NV_AUTHORIZATION);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(thief_redefine(&t, STORE_NV_S, half(own_pin), half(planted)), TSS2_RC_SUCCESS);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, NULL), E_PIN_INTERRUPT);
    /* Not with a U of his beside it, and not in R. */
    assert_int_equal(thief_redefine(&t, STORE_NV_U, half(own_pin), bytes_of(many_tries, 8)),
                     TSS2_RC_SUCCESS);
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, NULL), E_PIN_WRONG);
    unit_tpm_forgive();
}

/* With the guard's own authValue, which takes the PIN, it would be taken; rows and keys of
 * before then tell. */
static void test_control_the_guards_own_authvalue_plants(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0}, got = {0};
    struct pin_auth right;
    struct err e = {0};
    struct thief t;

    thief_victim(w, true, &t);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_ecc(w, "P-256", &key);
    assert_int_equal(store_key_put(w->store, &key, token_seal(w->token), NULL), 0);
    right = thief_derive(&t, PIN_USER, UNIT_USER);
    assert_int_equal(thief_redefine(&t, STORE_NV_S, half(right.guard), half(planted)),
                     TSS2_RC_SUCCESS);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_memory_equal(secret_peek(w->token->secret), planted, PIN_SECRET);
    assert_int_equal(store_key_get(w->store, w->id, key.uuid, token_seal(w->token), &got, &e), -1);
    assert_int_equal(e.code, E_CORRUPT);
    assert_int_equal(unit_tpm_sign(w->token, &key, NULL), -1);
    store_key_free(&key);
}

/* --- a salting key of his ------------------------------------------------------------------ */

/* A key whose private half he has, where the storage primary was. */
static void plant_primary(void)
{
    assert_int_equal(
        unit_tpm_script(
            "cd \"$TPM_DIR\" && tpm2_evictcontrol -Q -C o -c 0x81000001 && "
            "openssl ecparam -name prime256v1 -genkey -noout -out thief.pem && "
            "tpm2_createprimary -Q -C o -c thief.ctx && tpm2_flushcontext -t && "
            "tpm2_import -Q -C thief.ctx -G ecc -i thief.pem -u thief.pub -r thief.priv "
            "-a 'userwithauth|decrypt|noda' && "
            "tpm2_flushcontext -t && tpm2_load -Q -C thief.ctx -u thief.pub -r thief.priv -c thief.key && "
            "tpm2_evictcontrol -Q -C o -c thief.key 0x81000001 && tpm2_flushcontext -t"),
        0);
}

static void restore_primary(struct unit_tpm *w)
{
    assert_int_equal(unit_tpm_script("tpm2_evictcontrol -Q -C o -c 0x81000001"), 0);
    /* The same seed makes the same key. */
    (void)unit_tpm_provision(w, "next");
}

static void test_a_forged_salting_key_is_told_no_pin(void **state)
{
    struct unit_tpm *w = *state;
    struct err e = {0};
    struct thief t;

    thief_victim(w, true, &t);
    plant_primary();
    unit_tpm_close(w);
    unit_tpm_open(w, unit_spy(w, false));
    assert_int_equal(unit_tpm_try(w->token, TOKEN_USER, UNIT_USER, &e), E_NOT_FOUND);
    assert_non_null(strstr(e.msg, "does not hold the storage primary"));
    assert_int_equal(unit_tpm_try(w->token, TOKEN_SO, UNIT_SO, &e), E_NOT_FOUND);
    assert_int_equal(unit_spy_count(w, "PolicySecret"), 0);
    assert_int_equal(token_row(w->token)->user_fails, 0);
    restore_primary(w);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
}

/* Whoever believes the public area that the wire gives is heard by him. */
static void test_control_a_salting_key_from_the_wire_serves_him(void **state)
{
    TPM2B_NAME name = {.size = sizeof(name.name)}, qn = {.size = sizeof(qn.name)};
    struct unit_tpm *w = *state;
    TPM2B_PUBLIC pub = {0};
    struct session s = {0};
    struct thief t;
    TPM2B_DIGEST random;
    struct exec x = {.auth[0] = {.session = &s, .encrypt = true}, .n_auth = 1};

    thief_victim(w, true, &t);
    plant_primary();
    assert_int_equal(Tss2_Sys_ReadPublic(t.sys, SRK, NULL, &pub, &name, &qn, NULL),
                     TSS2_RC_SUCCESS);
    assert_int_equal(
        session_start(w->tpm, TPM2_SE_HMAC, &(struct salt_key){SRK, &pub.publicArea}, &s, NULL), 0);
    random.size = sizeof(random.buffer);
    assert_int_equal(Tss2_Sys_GetRandom_Prepare(t.sys, 8), TSS2_RC_SUCCESS);
    assert_int_equal(exec_run(w->tpm, &x, "talking to the thief", NULL), 0);
    assert_int_equal(Tss2_Sys_GetRandom_Complete(t.sys, &random), TSS2_RC_SUCCESS);
    session_end(w->tpm, &s);
    restore_primary(w);
}

/* --- keys ----------------------------------------------------------------------------------- */

static TPM2_HANDLE load(const struct thief *t, const struct store_key *key)
{
    TSS2L_SYS_AUTH_COMMAND a = {.count = 1, .auths[0].sessionHandle = TPM2_RS_PW};
    TPM2B_PRIVATE private = {.size = (UINT16)key->private.len};
    TPM2B_NAME name = {.size = sizeof(name.name)};
    TPM2B_PUBLIC public = {0};
    TPM2_HANDLE h = 0;
    size_t off = 0;

    memcpy(private.buffer, key->private.p, key->private.len);
    assert_int_equal(
        Tss2_MU_TPMT_PUBLIC_Unmarshal(key->public.p, key->public.len, &off, &public.publicArea),
        TSS2_RC_SUCCESS);
    assert_int_equal(Tss2_Sys_Load(t->sys, SRK, &a, &private, &public, &h, &name, NULL),
                     TSS2_RC_SUCCESS);
    return h;
}

static TSS2_RC sign(const struct thief *t, TPM2_HANDLE key, uint32_t session, struct bytes auth)
{
    TSS2L_SYS_AUTH_COMMAND a = {.count = 1, .auths[0].sessionHandle = session};
    TPMT_TK_HASHCHECK ticket = {.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL};
    TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_ECDSA, .details.ecdsa.hashAlg = TPM2_ALG_SHA256};
    TPM2B_DIGEST digest = {.size = 32};
    TPMT_SIGNATURE sig = {0};

    a.auths[0].hmac.size = (UINT16)auth.len;
    if (auth.len != 0)
        memcpy(a.auths[0].hmac.buffer, auth.p, auth.len);
    return Tss2_Sys_Sign(t->sys, key, &a, &digest, &scheme, &ticket, &sig, NULL);
}

static void create(struct unit_tpm *w, enum store_key_mode mode, struct store_key *out)
{
    struct key_spec spec = {
        .type = TPM2_ALG_ECC, .curve = alg_curve_named("P-256"), .sign = true, .mode = mode};
    struct err e = {0};

    if (token_key_create(w->token, &spec, out, &e) != 0)
        fail_msg("%s", e.msg);
}

/* As a victim who has logged out, and whose U was redefined. */
static void robbed(struct unit_tpm *w, enum store_key_mode mode, struct store_key *key,
                   struct thief *t)
{
    thief_victim(w, true, t);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    create(w, mode, key);
    assert_int_equal(token_logout(w->token, NULL), 0);
    assert_int_equal(thief_redefine(t, STORE_NV_U, half(own_pin), bytes_of(many_tries, 8)),
                     TSS2_RC_SUCCESS);
}

static void test_keys_of_a_session_stay_shut(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0};
    struct pin_auth right;
    TPMI_SH_POLICY p;
    struct thief t;
    TPM2_HANDLE h;

    robbed(w, STORE_KEY_SESSION, &key, &t);
    right = thief_derive(&t, PIN_USER, UNIT_USER);
    h = load(&t, &key);
    assert_int_equal(rc_base(sign(&t, h, TPM2_RS_PW, none)), TPM2_RC_BAD_AUTH);
    assert_int_equal(rc_base(sign(&t, h, TPM2_RS_PW, half(own_pin))), TPM2_RC_BAD_AUTH);
    /* The PIN is not the key's authValue: even it opens nothing past S. */
    assert_int_equal(rc_base(sign(&t, h, TPM2_RS_PW, half(right.guard))), TPM2_RC_BAD_AUTH);
    p = thief_policy(&t);
    assert_int_equal(thief_secret(&t, p, t.row->nv[STORE_NV_U].handle, half(own_pin)),
                     TSS2_RC_SUCCESS);
    assert_int_not_equal(sign(&t, h, p, none), TSS2_RC_SUCCESS);
    thief_flush(&t, p);
    thief_flush(&t, h);
    store_key_free(&key);
}

static void test_keys_that_want_the_pin_stay_shut(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0};
    TPMI_SH_POLICY p;
    struct thief t;
    TPM2_HANDLE h;

    robbed(w, STORE_KEY_EACH, &key, &t);
    h = load(&t, &key);
    assert_int_equal(rc_base(sign(&t, h, TPM2_RS_PW, none)), TPM2_RC_AUTH_UNAVAILABLE);
    p = thief_policy(&t);
    assert_int_equal(thief_secret(&t, p, t.row->nv[STORE_NV_U].handle, half(own_pin)),
                     TSS2_RC_SUCCESS);
    assert_int_equal(rc_base(sign(&t, h, p, none)), TPM2_RC_POLICY_FAIL);
    assert_int_equal(Tss2_Sys_PolicyPassword(t.sys, p, NULL, NULL), TSS2_RC_SUCCESS);
    assert_int_equal(rc_base(sign(&t, h, p, half(own_pin))), TPM2_RC_BAD_AUTH);
    assert_int_equal(rc_base(sign(&t, h, p, none)), TPM2_RC_BAD_AUTH);
    thief_flush(&t, p);
    thief_flush(&t, h);
    store_key_free(&key);
}

/* A key whose policy is PolicySecret(U) and nothing else. */
static void test_control_a_key_behind_u_alone_signs_for_him(void **state)
{
    TSS2L_SYS_AUTH_COMMAND a = {.count = 1, .auths[0].sessionHandle = TPM2_RS_PW};
    TPM2B_SENSITIVE_CREATE sensitive = {0};
    TPM2B_PRIVATE private = {.size = sizeof(private.buffer)};
    TPM2B_CREATION_DATA data = {0};
    TPM2B_DIGEST digest = {.size = sizeof(digest.buffer)};
    TPM2B_NAME u, name = {.size = sizeof(name.name)};
    TPML_PCR_SELECTION pcr = {0};
    TPM2B_PUBLIC in = {0}, public = {0};
    struct tpmpolicy alone = {{0}};
    struct unit_tpm *w = *state;
    struct store_key key = {0};
    TPM2B_DATA outside = {0};
    TPMT_TK_CREATION ticket;
    TPMI_SH_POLICY p;
    TPM2_HANDLE h = 0;
    struct thief t;

    robbed(w, STORE_KEY_EACH, &key, &t);
    pin_index_name(&t.row->nv[STORE_NV_U], &u);
    assert_int_equal(tpmpolicy_secret(&alone, &u, NULL), 0);
    assert_int_equal(tpmname_unmarshal_public(buf_bytes(&key.public), &in.publicArea, NULL), 0);
    in.publicArea.unique.ecc.x.size = in.publicArea.unique.ecc.y.size = 0;
    memcpy(in.publicArea.authPolicy.buffer, alone.d, 32);
    assert_int_equal(Tss2_Sys_Create(t.sys, SRK, &a, &sensitive, &in, &outside, &pcr, &private,
                                     &public, &data, &digest, &ticket, NULL),
                     TSS2_RC_SUCCESS);
    assert_int_equal(Tss2_Sys_Load(t.sys, SRK, &a, &private, &public, &h, &name, NULL),
                     TSS2_RC_SUCCESS);
    p = thief_policy(&t);
    assert_int_equal(thief_secret(&t, p, t.row->nv[STORE_NV_U].handle, half(own_pin)),
                     TSS2_RC_SUCCESS);
    assert_int_equal(sign(&t, h, p, none), TSS2_RC_SUCCESS);
    thief_flush(&t, h);
    store_key_free(&key);
}

/* The administrator asked for it by name. */
static void test_control_a_key_without_authorisation_signs(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0};
    struct thief t;
    TPM2_HANDLE h;

    robbed(w, STORE_KEY_NONE, &key, &t);
    h = load(&t, &key);
    assert_int_equal(sign(&t, h, TPM2_RS_PW, none), TSS2_RC_SUCCESS);
    thief_flush(&t, h);
    store_key_free(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACTORY(test_a_planted_secret_is_not_taken),
        FACTORY(test_control_the_guards_own_authvalue_plants),
        FACTORY(test_a_forged_salting_key_is_told_no_pin),
        FACTORY(test_control_a_salting_key_from_the_wire_serves_him),
        FACTORY(test_keys_of_a_session_stay_shut),
        FACTORY(test_keys_that_want_the_pin_stay_shut),
        FACTORY(test_control_a_key_behind_u_alone_signs_for_him),
        FACTORY(test_control_a_key_without_authorisation_signs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
