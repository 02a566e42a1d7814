/* Goal: a key that is bound to PCRs works on the platform it was made on, and on no other; and
 * nobody can tell it otherwise. */
#include "tests/support/unit_crypt.h"

#include "core/tpmname.h"
#include "tpm/attest.h"
#include "tpm/exec.h"
#include "tpm/pcr.h"
#include "tpm/token_priv.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* PCR 16, the one for debugging: anybody may extend it, and set it back. */
#define PCR_16                                         \
    {                                                  \
        .hash = TPM2_ALG_SHA256, .select = { 0, 0, 1 } \
    }

static const struct key_spec ecc = {
    .type = TPM2_ALG_ECC, .sign = true, .decrypt = true, .pcrs = PCR_16};

static void set_back(void)
{
    assert_int_equal(unit_tpm_script("tpm2_pcrreset 16"), 0);
}

static void move(void)
{
    assert_int_equal(unit_tpm_script("tpm2_pcrextend 16:sha256=$(printf '%064d' 7)"), 0);
}

static void create(struct unit_tpm *w, const struct key_spec *spec, struct store_key *out)
{
    struct key_spec s = *spec;
    struct err e = {0};

    if (s.type == TPM2_ALG_ECC)
        s.curve = alg_curve_named("P-256");
    if (token_key_create(w->token, &s, out, &e) != 0)
        fail_msg("%s", e.msg);
}

/* One use; the code, E_OK when it worked. */
static enum err_code sign(struct unit_tpm *w, const struct store_key *key)
{
    struct err e = {0};

    return unit_tpm_sign(w->token, key, &e) == 0 ? E_OK : e.code;
}

static void test_a_bound_key_signs_on_its_platform_only(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0}, free_key = {0};
    struct err e = {0};

    set_back();
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    create(w, &ecc, &key);
    unit_tpm_ecc(w, "P-256", &free_key);
    assert_int_equal(sign(w, &key), E_OK);
    assert_int_equal(sign(w, &key), E_OK);
    move();
    assert_int_equal(unit_tpm_sign(w->token, &key, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    assert_non_null(strstr(e.msg, "PCRs"));
    assert_int_equal(sign(w, &key), E_REJECTED);
    assert_int_equal(sign(w, &free_key), E_OK);
    set_back();
    assert_int_equal(sign(w, &key), E_OK);
    /* A power cut sets it back, too. */
    move();
    unit_tpm_cut();
    assert_int_equal(sign(w, &key), E_OK);
    assert_int_equal(unit_tpm_failures(), 0);
    store_key_free(&key);
    store_key_free(&free_key);
}

static void test_a_signer_over_a_bound_key_signs(void **state)
{
    static const uint8_t digest[32] = {1};
    struct unit_tpm *w = *state;
    struct store_key key = {0};
    struct signer *s = NULL;
    uint8_t sig[64];

    set_back();
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    create(w, &ecc, &key);
    assert_int_equal(token_signer(w->token, &key, &s, NULL), 0);
    store_key_free(&key);
    assert_int_equal(
        s->sign(s, PUBKEY_ECDSA, alg_hash_named("SHA256"), bytes_of(digest, 32), sig, NULL), 0);
    signer_free(s);
}

static void test_a_bound_service_key_works_without_login(void **state)
{
    struct unit_tpm *w = *state;
    struct key_spec spec = ecc;
    struct store_key key = {0}, got = {0};
    struct err e = {0};

    set_back();
    spec.mode = STORE_KEY_NONE;
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    create(w, &spec, &key);
    if (store_key_put(w->store, &key, token_seal(w->token), &e) != 0)
        fail_msg("%s", e.msg);
    unit_tpm_close(w);
    unit_tpm_open(w, unit_spy(w, false));
    if (store_key_get(w->store, w->id, key.uuid, NULL, &got, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(sign(w, &got), E_OK);
    unit_spy_clear(w);
    assert_int_equal(sign(w, &got), E_OK);
    assert_int_equal(unit_spy_count(w, NULL), 3);
    assert_int_equal(unit_spy_count(w, "PolicyAuthValue"), 0);
    move();
    assert_int_equal(sign(w, &got), E_REJECTED);
    set_back();
    store_key_free(&key);
    store_key_free(&got);
}

/* --- all uses ------------------------------------------------------------------------------ */

struct set {
    struct store_key rsa, ecc, aes, hmac;
    struct ecc_point peer;
    uint8_t sealed[256];
};

static const char text[] = "short and secret";

static void set_make(struct unit_tpm *w, struct set *s)
{
    static const struct key_spec rsa = {
        .type = TPM2_ALG_RSA, .bits = 2048, .sign = true, .decrypt = true, .pcrs = PCR_16};
    static const struct key_spec aes = {.type = TPM2_ALG_SYMCIPHER, .bits = 128, .pcrs = PCR_16};
    static const struct key_spec hmac = {.type = TPM2_ALG_KEYEDHASH, .pcrs = PCR_16};
    uint8_t d[ALG_MAX_COORD];
    struct pubkey pub;

    memset(s, 0, sizeof(*s));
    create(w, &rsa, &s->rsa);
    create(w, &ecc, &s->ecc);
    create(w, &aes, &s->aes);
    create(w, &hmac, &s->hmac);
    unit_crypt_pair(alg_curve_named("P-256"), 3, d, &s->peer);
    assert_int_equal(token_key_public(&s->rsa, &pub, NULL), 0);
    assert_int_equal(pubkey_oaep(&pub, alg_hash_named("SHA256"), (struct bytes){NULL, 0},
                                 unit_pin(text), s->sealed, NULL),
                     0);
}

static void set_free(struct set *s)
{
    store_key_free(&s->rsa);
    store_key_free(&s->ecc);
    store_key_free(&s->aes);
    store_key_free(&s->hmac);
}

static void use_all(struct unit_tpm *w, const struct set *s, enum err_code want)
{
    const struct alg_hash *h = alg_hash_named("SHA256");
    const struct token_rsa oaep = {.hash = h}, pkcs1 = {.hash = NULL};
    struct token_cipher how = {.mode = TOKEN_CBC, .encrypt = true};
    uint8_t data[2048] = {0}, out[2048];
    struct bytes some = bytes_of(data, 20), much = bytes_of(data, 2048);
    const struct token_sign sign_rsa = {
        .scheme = PUBKEY_RSASSA, .hash = h, .digest = bytes_of(data, 32)};
    size_t len;

#define USE(call)                                                  \
    do {                                                           \
        struct err e_ = {0};                                       \
        struct err *e = &e_;                                       \
        int rc_ = (call);                                          \
        if ((rc_ == 0) != (want == E_OK) || e->code != want)       \
            fail_msg("line %d: %d %s", __LINE__, e->code, e->msg); \
    } while (0)

    USE(token_sign(w->token, &s->rsa, &sign_rsa, out, e));
    USE(token_rsa_raw(w->token, &s->rsa, bytes_of(data, 256), out, e));
    USE(token_rsa_decrypt(w->token, &s->rsa, &oaep, bytes_of(s->sealed, 256), out, &len, e));
    if (want == E_OK)
        assert_true(bytes_equal(bytes_of(out, len), unit_pin(text)));
    else
        USE(token_rsa_decrypt(w->token, &s->rsa, &pkcs1, bytes_of(s->sealed, 256), out, &len, e));
    USE(token_ecdh(w->token, &s->ecc, &s->peer, out, e));
    USE(token_cipher(w->token, &s->aes, &how, much, out, e));
    USE(token_hmac(w->token, &s->hmac, h, &some, 1, out, e));
    USE(token_hmac(w->token, &s->hmac, h, &much, 1, out, e));
}

static void test_every_use_asks_for_the_pcrs(void **state)
{
    struct unit_tpm *w = *state;
    uint32_t left[4];
    struct set s;

    set_back();
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    set_make(w, &s);
    use_all(w, &s, E_OK);
    move();
    use_all(w, &s, E_REJECTED);
    set_back();
    use_all(w, &s, E_OK);
    /* The session that this process holds is all that is left. */
    assert_int_equal(unit_tpm_handles(0x02000000, UINT32_MAX, left, 4), 1);
    set_free(&s);
}

static void test_each_use_costs_three_commands_more(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0};

    set_back();
    unit_crypt_spied(w, false);
    unit_spy_clear(w);
    create(w, &ecc, &key);
    assert_int_equal(unit_spy_count(w, NULL), 2); /* PCR_Read, Create */
    assert_int_equal(sign(w, &key), E_OK);
    unit_spy_clear(w);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sign(w, &key), E_OK);
    assert_int_equal(unit_spy_count(w, "PolicyPCR"), 3);
    assert_int_equal(unit_spy_count(w, NULL), 12);
    store_key_free(&key);
}

/* --- what others see, and try ---------------------------------------------------------------- */

static void test_the_policy_is_there_for_all_to_see(void **state)
{
    struct unit_tpm *w = *state;
    struct tpmpolicy want = {{0}};
    struct key_identity id;
    struct store_key key = {0};
    struct pcr_bound b;
    TPMT_PUBLIC area;

    set_back();
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    create(w, &ecc, &key);
    assert_int_equal(tpmname_unmarshal_public(buf_bytes(&key.public), &area, NULL), 0);
    assert_int_equal(
        area.objectAttributes & (TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_ADMINWITHPOLICY), 0);
    assert_int_equal(area.objectAttributes & TPMA_OBJECT_FIXEDTPM, TPMA_OBJECT_FIXEDTPM);
    assert_int_equal(pcr_of_key(&key, &b, NULL), 0);
    assert_int_equal(b.selection.count, 1);
    assert_int_equal(tpmpolicy_pcr(&want, &b.selection, bytes_of(b.digest.buffer, 32), NULL), 0);
    assert_int_equal(tpmpolicy_authvalue(&want, NULL), 0);
    assert_int_equal(token_key_identity(w->token, &key, &id, NULL), 0);
    assert_true(bytes_equal(bytes_of(id.policy, id.policy_len), bytes_of(want.d, 32)));
    store_key_free(&key);
}

/* The public area says that the authValue will do. */
static void test_the_authvalue_alone_does_not_do(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0};
    const struct loaded_key *l = NULL;
    TPM2B_DIGEST d = {.size = 32};
    TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_ECDSA, .details.ecdsa.hashAlg = TPM2_ALG_SHA256};
    TPMT_TK_HASHCHECK ticket = {.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL};
    struct exec x = {.n_names = 1, .n_auth = 1};
    uint8_t auth_value[32];
    struct err e = {0};

    set_back();
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    create(w, &ecc, &key);
    assert_int_equal(token_key_load(w->token, &key, &l, NULL), 0);
    x.name[0] = &l->name;
    assert_int_equal(token_key_auth(w->token, &key, auth_value, &x.auth[0].auth, NULL), 0);
    x.auth[0].session = token_session(w->token, NULL);
    assert_int_equal(Tss2_Sys_Sign_Prepare(tpm_sys(w->tpm, NULL), l->handle, &d, &scheme, &ticket),
                     TSS2_RC_SUCCESS);
    assert_int_equal(exec_run(w->tpm, &x, "signing", &e), -1);
    assert_int_equal(e.code, E_DENIED);
    /* Nor does the public area that says so. */
    key.public.p[7] |= (uint8_t)TPMA_OBJECT_USERWITHAUTH;
    token_key_forget(w->token, key.uuid);
    assert_int_not_equal(sign(w, &key), E_OK);
    /* Nor creation data that name other PCRs, or none. */
    key.public.p[7] ^= (uint8_t)TPMA_OBJECT_USERWITHAUTH;
    assert_int_equal(sign(w, &key), E_OK);
    buf_free(&key.creation);
    key.creation = (struct buf){0};
    assert_int_not_equal(sign(w, &key), E_OK);
    buf_add(&key.creation, "\0\7garbage", 9);
    assert_int_equal(sign(w, &key), E_CORRUPT);
    store_key_free(&key);
}

static void test_certify_needs_no_pcrs(void **state)
{
    static const uint8_t nonce[32] = {1};
    struct unit_tpm *w = *state;
    struct store_key key = {0}, ak = {0};
    struct buf attest = {0}, sig = {0};
    struct attest_ek *ek = NULL;
    struct err e = {0};
    size_t n = 0;

    set_back();
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    create(w, &ecc, &key);
    move();
    if (attest_ek_read(w->tpm, &ek, &n, &e) != 0 ||
        attest_ak(w->token, ek[0].index, &ak, &e) != 0 ||
        attest_certify(w->token, &key, &ak, nonce, &attest, &sig, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(sign(w, &key), E_REJECTED);
    set_back();
    attest_ek_free(ek, n);
    buf_free(&attest);
    buf_free(&sig);
    store_key_free(&key);
    store_key_free(&ak);
}

/* --- what cannot be ---------------------------------------------------------------------------- */

static enum err_code refused(struct unit_tpm *w, const struct key_spec *spec)
{
    struct store_key key = {0};
    struct err e = {0};

    assert_int_equal(token_key_create(w->token, spec, &key, &e), -1);
    return e.code;
}

static void test_what_cannot_be_bound_is_told(void **state)
{
    struct unit_tpm *w = *state;
    struct key_spec spec = ecc;
    struct pubkey pub = {.type = TPM2_ALG_ECC};
    struct store_key key = {0};
    uint8_t d[ALG_MAX_COORD];
    struct err e = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    spec.curve = pub.curve = alg_curve_named("P-256");
    spec.extractable = true;
    assert_int_equal(refused(w, &spec), E_UNSUPPORTED);
    spec.extractable = false;
    unit_crypt_pair(spec.curve, 1, d, &pub.point);
    assert_int_equal(token_key_import(w->token, &spec, &pub, bytes_of(d, 32), &key, &e), -1);
    assert_int_equal(e.code, E_UNSUPPORTED);
    spec.pcrs.hash = TPM2_ALG_AES;
    assert_int_equal(refused(w, &spec), E_ARG);
    /* A bank that the TPM does not have. */
    spec.pcrs.hash = TPM2_ALG_SHA1;
    assert_int_equal(refused(w, &spec), E_UNSUPPORTED);
    spec.pcrs = (struct key_pcrs){.hash = TPM2_ALG_SHA256};
    assert_int_equal(refused(w, &spec), E_ARG);
    /* All there are, read in three steps. */
    spec.pcrs = (struct key_pcrs){.hash = TPM2_ALG_SHA256, .select = {0xff, 0xff, 0xff}};
    create(w, &spec, &key);
    assert_int_equal(sign(w, &key), E_OK);
    store_key_free(&key);
}

static int lied_to(struct unit_tpm *w)
{
    struct key_spec spec = ecc;
    struct store_key key = {0};
    struct err e = {0};

    spec.curve = alg_curve_named("P-256");
    CHILD_MUST(token_login(w->token, TOKEN_USER, unit_pin(UNIT_USER), &e) == 0, &e);
    CHILD_MUST(token_key_create(w->token, &spec, &key, &e) == -1, &e);
    CHILD_MUST(e.code == E_TAMPERED, &e);
    return 0;
}

static struct store_key child_key;

static int signs(struct unit_tpm *w)
{
    struct err e = {0};

    CHILD_MUST(token_login(w->token, TOKEN_USER, unit_pin(UNIT_USER), &e) == 0, &e);
    CHILD_MUST(unit_tpm_sign(w->token, &child_key, &e) == 0, &e);
    CHILD_MUST(unit_tpm_sign(w->token, &child_key, &e) == 0, &e);
    return 0;
}

static void test_lies_about_pcrs_are_found_out_and_faults_got_over(void **state)
{
    struct unit_tpm *w = *state;

    set_back();
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    create(w, &ecc, &child_key);
    unit_tpm_close(w);
    assert_int_equal(unit_spy_child(w, "SPY_TAMPER", "1", "PCR_Read", lied_to), 0);
    /* TPM_RC_PCR_CHANGED, slots taken by others, a session out of step, a stale one. */
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x128", "Sign", signs), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "3:0x903", "StartAuthSession", signs), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "3:0x902", "StartAuthSession", signs), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "3:0x9a2", "StartAuthSession", signs), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "3:0x918", "StartAuthSession", signs), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x9a2", "Sign", signs), 0);
    assert_int_equal(unit_tpm_failures(), 0);
    store_key_free(&child_key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TOKEN(test_a_bound_key_signs_on_its_platform_only),
        WITH_TOKEN(test_a_signer_over_a_bound_key_signs),
        WITH_TOKEN(test_a_bound_service_key_works_without_login),
        WITH_TOKEN(test_every_use_asks_for_the_pcrs),
        WITH_TOKEN(test_each_use_costs_three_commands_more),
        WITH_TOKEN(test_the_policy_is_there_for_all_to_see),
        WITH_TOKEN(test_the_authvalue_alone_does_not_do),
        WITH_TOKEN(test_certify_needs_no_pcrs),
        WITH_TOKEN(test_what_cannot_be_bound_is_told),
        WITH_TOKEN(test_lies_about_pcrs_are_found_out_and_faults_got_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
