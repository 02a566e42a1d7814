/* Goal: a key that wants approvals does one thing for one approval, and nothing without: the
 * TPM that holds it checks the signature of another device over just that command. */
#include "tests/support/unit_approval.h"
#include "tests/support/unit_crypt.h"

#include "core/hash.h"
#include "core/tpmname.h"
#include "tpm/approval.h"
#include "tpm/attest.h"
#include "tpm/token_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const uint8_t digest_a[32] = {0xA}, digest_b[32] = {0xB};

static size_t sessions(void)
{
    uint32_t left[4];

    return unit_tpm_handles(0x02000000, UINT32_MAX, left, 4);
}

/* --- one approval, one use ------------------------------------------------------------ */

static void test_one_approval_is_one_signature(void **state)
{
    struct unit_approval *p = *state;
    struct approval_request r, sent;
    struct approval_command words;
    struct approval_answer a, got;
    struct buf file = {0};
    struct token_proof *proof;
    uint32_t rc;

    assert_int_equal(unit_approval_use(p, NULL, digest_a, NULL), E_REJECTED);
    proof = unit_approval_ask_sign(p, digest_a, &r);
    assert_int_equal(unit_approval_use(p, proof, digest_a, NULL), E_REJECTED);
    /* One file each way. */
    assert_int_equal(approval_request_encode(&r, &file, NULL), 0);
    assert_int_equal(approval_request_decode(buf_bytes(&file), &sent, NULL), 0);
    buf_free(&file);
    assert_int_equal(approval_check(&sent, &words, NULL), 0);
    assert_string_equal(words.scheme, "ECDSA");
    assert_true(bytes_equal(words.data, bytes_of(digest_a, 32)));
    assert_string_equal(sent.subject, "treaty, page 7");
    assert_string_equal(sent.approver_label, "officer");
    unit_approval_approve(p, &sent, &a);
    assert_int_equal(approval_answer_encode(&a, &file, NULL), 0);
    assert_int_equal(approval_answer_decode(buf_bytes(&file), &got, NULL), 0);
    buf_free(&file);
    assert_true(approval_answers(&got, &r));
    assert_int_equal(unit_approval_finish(p, proof, &got, &rc), E_OK);
    assert_int_equal(unit_approval_use(p, proof, digest_a, NULL), E_OK);
    assert_int_equal(unit_approval_use(p, proof, digest_a, NULL), E_REJECTED);
    unit_approval_done(p, proof, &r, &a);
    approval_request_free(&sent);
    approval_answer_free(&got);
    assert_int_equal(sessions(), 1);
}

static void test_what_it_costs(void **state)
{
    struct unit_approval *p = *state;
    struct approval_request r;
    struct approval_answer a;
    struct token_proof *proof;

    unit_tpm_close(p->user);
    unit_tpm_open(p->user, unit_spy(p->user, false));
    unit_tpm_login(p->user, TOKEN_USER, UNIT_USER);
    unit_spy_clear(p->user);
    proof = unit_approval_ask_sign(p, digest_a, &r);
    assert_int_equal(unit_spy_count(p->user, NULL), 1); /* StartAuthSession */
    token_approval_wait(p->user->token);
    assert_int_equal(unit_spy_count(p->user, NULL), 2); /* FlushContext */
    assert_int_equal(sessions(), 1);
    unit_approval_approve(p, &r, &a);
    unit_spy_clear(p->user);
    assert_int_equal(unit_approval_finish(p, proof, &a, NULL), E_OK);
    assert_int_equal(unit_spy_count(p->user, NULL), 4);
    assert_int_equal(unit_spy_count(p->user, "PolicySigned"), 1);
    unit_spy_clear(p->user);
    assert_int_equal(unit_approval_use(p, proof, digest_a, NULL), E_OK);
    assert_int_equal(unit_spy_count(p->user, "Sign"), 1);
    assert_int_equal(unit_spy_count(p->user, NULL), 3); /* StartAuthSession, Load, Sign */
    unit_approval_done(p, proof, &r, &a);
}

static void test_an_approval_is_for_one_digest(void **state)
{
    struct unit_approval *p = *state;
    struct approval_request r;
    struct approval_answer a;
    struct token_proof *proof = unit_approval_ask_sign(p, digest_a, &r);
    uint32_t rc;

    unit_approval_approve(p, &r, &a);
    assert_int_equal(unit_approval_finish(p, proof, &a, NULL), E_OK);
    assert_int_equal(unit_approval_use(p, proof, digest_b, &rc), E_REJECTED);
    assert_int_equal(rc, 0x99D);
    unit_approval_done(p, proof, &r, &a);
}

static void test_an_approval_is_for_one_session(void **state)
{
    struct unit_approval *p = *state;
    struct approval_request r, r2;
    struct approval_answer a, a2;
    struct token_proof *proof = unit_approval_ask_sign(p, digest_a, &r);
    uint32_t rc;

    unit_approval_approve(p, &r, &a);
    assert_int_equal(unit_approval_finish(p, proof, &a, NULL), E_OK);
    assert_int_equal(unit_approval_use(p, proof, digest_a, NULL), E_OK);
    token_proof_free(p->user->token, proof);
    proof = unit_approval_ask_sign(p, digest_a, &r2);
    assert_false(approval_answers(&a, &r2));
    assert_int_equal(unit_approval_finish(p, proof, &a, &rc), E_REJECTED);
    assert_int_equal(rc, 0x5DB);
    assert_int_equal(unit_approval_use(p, proof, digest_a, NULL), E_REJECTED);
    /* The session still waits for the right one. */
    unit_approval_approve(p, &r2, &a2);
    assert_int_equal(unit_approval_finish(p, proof, &a2, NULL), E_OK);
    assert_int_equal(unit_approval_use(p, proof, digest_a, NULL), E_OK);
    approval_request_free(&r);
    approval_answer_free(&a);
    unit_approval_done(p, proof, &r2, &a2);
}

static uint64_t tpm_time(struct unit_approval *p)
{
    TPMS_TIME_INFO now = {0};

    assert_int_equal(Tss2_Sys_ReadClock(tpm_sys(p->user->tpm, NULL), NULL, &now, NULL),
                     TSS2_RC_SUCCESS);
    return now.time;
}

/* Until the TPM's clock is a good second further. */
static void pass_time(struct unit_approval *p)
{
    const struct timespec ts = {0, 20000000L};
    uint64_t until = tpm_time(p) + 1200;

    while (tpm_time(p) < until)
        nanosleep(&ts, NULL);
}

static void test_an_approval_expires(void **state)
{
    struct unit_approval *p = *state;
    struct token_sign what = {.scheme = PUBKEY_ECDSA, .digest = bytes_of(digest_a, 32)};
    struct approval_use use = {.sign = &what};
    struct approval_request r;
    struct approval_answer a;
    struct token_proof *proof = unit_approval_ask(p, &use, 1, &r), *late;
    uint32_t rc;

    unit_approval_approve(p, &r, &a);
    pass_time(p);
    assert_int_equal(unit_approval_finish(p, proof, &a, &rc), E_REJECTED);
    assert_int_equal(rc & 0xBF, TPM2_RC_EXPIRED);
    unit_approval_done(p, proof, &r, &a);
    late = unit_approval_ask(p, &use, 1, &r);
    unit_approval_approve(p, &r, &a);
    assert_int_equal(unit_approval_finish(p, late, &a, NULL), E_OK);
    pass_time(p);
    assert_int_equal(unit_approval_use(p, late, digest_a, &rc), E_REJECTED);
    assert_int_equal(rc & 0xBF, TPM2_RC_EXPIRED);
    unit_approval_done(p, late, &r, &a);
}

/* --- who approves ------------------------------------------------------------------------ */

static void test_no_other_approver_does(void **state)
{
    struct unit_approval *p = *state;
    char *third = strdup(getenv("TPM_TCTI_3") != NULL ? getenv("TPM_TCTI_3") : p->tcti);
    struct unit_tpm *other = unit_approval_world(third);
    struct approval_approver stranger;
    struct approval_request r;
    struct approval_answer a;
    struct store_key key;
    struct buf der = {0};
    struct token_proof *proof = unit_approval_ask_sign(p, digest_a, &r);
    TPM2B_NAME right = r.approver;
    uint32_t rc;

    unit_approval_approver(other, &key, &stranger, &der);
    assert_int_equal(unit_approval_by(other, &key, UNIT_USER, &r, &a), E_REJECTED);
    /* One that signs whatever it is asked. */
    assert_int_equal(tpmname_object(buf_bytes(&stranger.public), &r.approver, NULL), 0);
    assert_int_equal(unit_approval_by(other, &key, UNIT_USER, &r, &a), E_OK);
    a.approver = right;
    assert_int_equal(unit_approval_finish(p, proof, &a, &rc), E_REJECTED);
    assert_int_equal(rc, 0x5DB);
    unit_approval_done(p, proof, &r, &a);
    store_key_free(&key);
    approval_approver_free(&stranger);
    buf_free(&der);
    unit_approval_unworld(other, third);
    free(third);
}

static enum err_code asked(struct unit_approval *p, const struct approval_request *r)
{
    struct approval_answer a;
    enum err_code code = unit_approval_by(p->officer, &p->approver_key, UNIT_USER, r, &a);

    if (code == E_OK)
        approval_answer_free(&a);
    return code;
}

static void test_what_an_approver_refuses(void **state)
{
    struct unit_approval *p = *state;
    struct approval_request r;
    struct token_proof *proof = unit_approval_ask_sign(p, digest_a, &r);
    struct buf was;

    assert_int_equal(asked(p, &r), E_OK);
    /* Words that are not those of the hash. */
    r.parameters.p[2] ^= 1;
    assert_int_equal(asked(p, &r), E_REJECTED);
    r.parameters.p[2] ^= 1;
    r.command = TPM2_CC_RSA_Decrypt;
    assert_int_equal(asked(p, &r), E_REJECTED);
    r.command = TPM2_CC_Certify;
    assert_int_equal(asked(p, &r), E_REJECTED);
    r.command = TPM2_CC_Sign;
    r.key.p[r.key.len - 1] ^= 1;
    assert_int_equal(asked(p, &r), E_REJECTED);
    r.key.p[r.key.len - 1] ^= 1;
    /* Blank ones. */
    was = r.nonce;
    r.nonce = (struct buf){0};
    assert_int_equal(asked(p, &r), E_REJECTED);
    r.nonce = was;
    was = r.cp_hash;
    r.cp_hash = (struct buf){0};
    assert_int_equal(asked(p, &r), E_REJECTED);
    r.cp_hash = was;
    r.expiration = 0;
    assert_int_equal(asked(p, &r), E_REJECTED);
    r.expiration = UINT32_MAX;
    assert_int_equal(asked(p, &r), E_REJECTED);
    r.expiration = 600;
    assert_int_equal(asked(p, &r), E_OK);
    token_proof_free(p->user->token, proof);
    approval_request_free(&r);
}

static void test_an_approver_proves_the_pin_each_time(void **state)
{
    struct unit_approval *p = *state;
    struct approval_request r;
    struct approval_answer a;
    struct token_proof *proof = unit_approval_ask_sign(p, digest_a, &r);
    struct store_key mine = {0};
    struct err e = {0};

    assert_int_equal(token_approval_sign(p->officer->token, &p->approver_key, &r, &a, &e), -1);
    assert_int_equal(e.code, E_LOGIN);
    assert_int_equal(unit_approval_by(p->officer, &p->approver_key, "wrong-pin", &r, &a),
                     E_PIN_WRONG);
    assert_int_equal(token_row(p->officer->token)->user_fails, 1);
    unit_approval_approve(p, &r, &a);
    assert_int_equal(token_row(p->officer->token)->user_fails, 0);
    approval_answer_free(&a);
    /* No other key of the token signs approvals. */
    unit_tpm_ecc(p->officer, "P-256", &mine);
    e = (struct err){0};
    assert_int_equal(token_approval_sign(p->officer->token, &mine, &r, &a, &e), -1);
    assert_int_equal(e.code, E_ARG);
    store_key_free(&mine);
    token_proof_free(p->user->token, proof);
    approval_request_free(&r);
}

static void test_labels_of_approvers(void **state)
{
    struct unit_approval *p = *state;
    struct approval_approver a;
    struct store_key key;
    TPM2B_NAME name;
    struct err e = {0};

    assert_int_equal(token_approver_create(p->officer->token, "officer", &a, &e), -1);
    assert_int_equal(e.code, E_EXISTS);
    e = (struct err){0};
    assert_int_equal(token_approver_create(p->officer->token, "deputy", &a, &e), 0);
    assert_int_equal(tpmname_object(buf_bytes(&a.public), &name, NULL), 0);
    approval_approver_free(&a);
    assert_int_equal(token_approver_find(p->officer->token, NULL, &name, &key, &a, &e), 0);
    assert_string_equal(a.label, "deputy");
    assert_int_equal(key.mode, STORE_KEY_EACH);
    approval_approver_free(&a);
    store_key_free(&key);
    assert_int_equal(token_approver_find(p->officer->token, "nobody", NULL, &key, &a, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
}

/* --- other uses, and other ways ------------------------------------------------------------ */

static void test_key_agreement_and_rsa(void **state)
{
    struct unit_approval *p = *state;
    const struct alg_hash *h = alg_hash_named("SHA256");
    struct token_sign pkcs1 = {
        .scheme = PUBKEY_RSASSA, .hash = h, .digest = bytes_of(digest_a, 32)};
    struct token_sign pss = {
        .scheme = PUBKEY_RSAPSS, .hash = h, .mgf = h, .salt = 32, .digest = bytes_of(digest_a, 32)};
    struct key_spec spec = unit_approval_spec(p);
    struct ecc_point peer;
    struct approval_use use = {.peer = &peer};
    struct approval_request r;
    struct approval_answer a;
    struct token_proof *proof;
    struct store_key ecc;
    uint8_t d[ALG_MAX_COORD], out[512], in[256] = {1};
    struct err e = {0};

    unit_crypt_pair(spec.curve, 3, d, &peer);
    proof = unit_approval_ask(p, &use, 60, &r);
    unit_approval_approve(p, &r, &a);
    assert_int_equal(unit_approval_finish(p, proof, &a, NULL), E_OK);
    token_present(p->user->token, proof);
    if (token_ecdh(p->user->token, &p->key, &peer, out, &e) != 0)
        fail_msg("%s", e.msg);
    unit_approval_done(p, proof, &r, &a);
    ecc = p->key;
    spec.type = TPM2_ALG_RSA;
    spec.bits = 2048;
    unit_approval_key(p, &spec, &p->key);
    for (int i = 0; i < 3; i++) {
        use = (struct approval_use){.sign = i == 0   ? &pkcs1
                                            : i == 1 ? &pss
                                                     : NULL,
                                    .decrypt = bytes_of(in, i == 2 ? 256 : 0)};
        proof = unit_approval_ask(p, &use, 60, &r);
        unit_approval_approve(p, &r, &a);
        assert_int_equal(unit_approval_finish(p, proof, &a, NULL), E_OK);
        token_present(p->user->token, proof);
        if ((i < 2 ? token_sign(p->user->token, &p->key, use.sign, out, &e)
                   : token_rsa_raw(p->user->token, &p->key, use.decrypt, out, &e)) != 0)
            fail_msg("%d: %s", i, e.msg);
        unit_approval_done(p, proof, &r, &a);
    }
    pss.salt = 5;
    use = (struct approval_use){.sign = &pss};
    assert_int_equal(token_approval_prepare(p->user->token, &p->key, &use,
                                            &(struct approval_words){.expiration = 60}, &proof, &r,
                                            &e),
                     -1);
    assert_int_equal(e.code, E_UNSUPPORTED);
    store_key_free(&ecc);
}

static void test_a_reset_ends_the_wait(void **state)
{
    struct unit_approval *p = *state;
    struct approval_request r;
    struct approval_answer a;
    struct token_proof *proof = unit_approval_ask_sign(p, digest_a, &r);

    unit_approval_approve(p, &r, &a);
    unit_tpm_cut();
    assert_int_equal(unit_approval_finish(p, proof, &a, NULL), E_REMOVED);
    unit_approval_done(p, proof, &r, &a);
    proof = unit_approval_ask_sign(p, digest_a, &r);
    unit_approval_approve(p, &r, &a);
    assert_int_equal(unit_approval_finish(p, proof, &a, NULL), E_OK);
    assert_int_equal(unit_approval_use(p, proof, digest_a, NULL), E_OK);
    unit_approval_done(p, proof, &r, &a);
}

static void test_with_pcrs_too(void **state)
{
    struct unit_approval *p = *state;
    struct key_spec spec = unit_approval_spec(p);
    struct approval_request r;
    struct approval_answer a;
    struct token_proof *proof;

    assert_int_equal(unit_tpm_script("tpm2_pcrreset 16"), 0);
    store_key_free(&p->key);
    spec.pcrs = (struct key_pcrs){.hash = TPM2_ALG_SHA256, .select = {0, 0, 1}};
    unit_approval_key(p, &spec, &p->key);
    proof = unit_approval_ask_sign(p, digest_a, &r);
    unit_approval_approve(p, &r, &a);
    assert_int_equal(unit_tpm_script("tpm2_pcrextend 16:sha256=$(printf '%064d' 7)"), 0);
    assert_int_equal(unit_approval_finish(p, proof, &a, NULL), E_REJECTED);
    assert_int_equal(unit_tpm_script("tpm2_pcrreset 16"), 0);
    assert_int_equal(unit_approval_finish(p, proof, &a, NULL), E_OK);
    assert_int_equal(unit_approval_use(p, proof, digest_a, NULL), E_OK);
    unit_approval_done(p, proof, &r, &a);
}

static void test_the_policy_is_there_for_all_to_see(void **state)
{
    static const uint8_t nonce[32] = {1};
    struct unit_approval *p = *state;
    struct tpmpolicy want = {{0}};
    struct store_key ak = {0};
    struct buf attest = {0}, sig = {0};
    struct attest_ek *ek = NULL;
    struct key_identity id;
    TPM2B_NAME name;
    TPM2B_NONCE ref;
    TPMT_PUBLIC area;
    struct err e = {0};
    size_t n = 0;

    assert_int_equal(tpmname_object(buf_bytes(&p->approver.public), &name, NULL), 0);
    assert_int_equal(approval_ref(unit_pin("contracts"), &ref, NULL), 0);
    assert_int_equal(tpmpolicy_signed(&want, &name, bytes_of(ref.buffer, ref.size), NULL), 0);
    assert_int_equal(tpmpolicy_authvalue(&want, NULL), 0);
    assert_int_equal(token_key_identity(p->user->token, &p->key, &id, NULL), 0);
    assert_true(bytes_equal(bytes_of(id.policy, id.policy_len), bytes_of(want.d, 32)));
    assert_int_equal(tpmname_unmarshal_public(buf_bytes(&p->key.public), &area, NULL), 0);
    assert_int_equal(
        area.objectAttributes & (TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_ADMINWITHPOLICY), 0);
    /* Evidence takes no approval. */
    if (attest_ek_read(p->user->tpm, &ek, &n, &e) != 0 ||
        attest_ak(p->user->token, ek[0].index, &ak, &e) != 0 ||
        attest_certify(p->user->token, &p->key, &ak, nonce, &attest, &sig, &e) != 0)
        fail_msg("%s", e.msg);
    attest_ek_free(ek, n);
    buf_free(&attest);
    buf_free(&sig);
    store_key_free(&ak);
}

/* Writes a file for the script below. */
static void put(const struct unit_approval *p, const char *name, struct bytes b)
{
    uint8_t len[2] = {(uint8_t)(b.len >> 8), (uint8_t)b.len};
    char path[100];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", p->user->dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(len, 1, 2, f), 2);
    assert_int_equal(fwrite(b.p, 1, b.len, f), b.len);
    assert_int_equal(fclose(f), 0);
}

/* Whoever has the token secret, the store and the owner's authorisation, but no approval. */
static void test_nothing_else_opens_it(void **state)
{
    struct unit_approval *p = *state;
    uint8_t value[32];
    struct bytes auth;
    char hex[65], script[2000];
    struct err e = {0};

    assert_int_equal(token_key_auth(p->user->token, &p->key, value, &auth, &e), 0);
    hex_encode(hex, value, 32);
    put(p, "pub", buf_bytes(&p->key.public));
    put(p, "priv", buf_bytes(&p->key.private));
    unit_tpm_close(p->user);
    snprintf(
        script, sizeof(script),
        "cd %s && exec 2>errors && "
        "tpm2_load -Q -C 0x%x -u pub -r priv -c key.ctx || exit 10; "
        "head -c 32 /dev/zero >digest; "
        "no() { \"$@\" >out && exit 11; tpm2_flushcontext -t; tpm2_flushcontext -l; return 0; }; "
        "no tpm2_sign -c key.ctx -g sha256 -d -o sig digest; "
        "no tpm2_sign -c key.ctx -p hex:%s -g sha256 -d -o sig digest; "
        "tpm2_startauthsession --policy-session -S s.ctx && tpm2_policyauthvalue -Q -S s.ctx; "
        "no tpm2_sign -c key.ctx -p session:s.ctx+hex:%s -g sha256 -d -o sig digest; "
        "grep -q 0x12F errors || exit 12; grep -q 0x99D errors || exit 13; "
        /* Made persistent by the owner, with a new authValue: it stays as it is. */
        "tpm2_changeauth -Q -C 0x%x -c key.ctx -p hex:%s -r new hello && "
        "tpm2_load -Q -C 0x%x -u pub -r new -c new.ctx || exit 14; "
        "tpm2_evictcontrol -Q -C o -c new.ctx 0x81007777 || exit 15; "
        "no tpm2_sign -c 0x81007777 -p hello -g sha256 -d -o sig digest; "
        "no tpm2_ecdhzgen -c 0x81007777 -p hello; "
        "tpm2_evictcontrol -Q -C o -c 0x81007777; exit 0",
        p->user->dir, 0x81000001u, hex, hex, 0x81000001u, hex, 0x81000001u);
    assert_int_equal(unit_tpm_script(script), 0);
    unit_tpm_open(p->user, NULL);
}

#define PAIR(f) cmocka_unit_test_setup_teardown(f, unit_approval_set_up, unit_approval_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR(test_one_approval_is_one_signature),
        PAIR(test_what_it_costs),
        PAIR(test_an_approval_is_for_one_digest),
        PAIR(test_an_approval_is_for_one_session),
        PAIR(test_an_approval_expires),
        PAIR(test_no_other_approver_does),
        PAIR(test_what_an_approver_refuses),
        PAIR(test_an_approver_proves_the_pin_each_time),
        PAIR(test_labels_of_approvers),
        PAIR(test_key_agreement_and_rsa),
        PAIR(test_a_reset_ends_the_wait),
        PAIR(test_with_pcrs_too),
        PAIR(test_the_policy_is_there_for_all_to_see),
        PAIR(test_nothing_else_opens_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
