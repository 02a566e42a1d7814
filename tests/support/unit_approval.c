#include "tests/support/unit_approval.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct token_sign over(const uint8_t digest[32])
{
    return (struct token_sign){.scheme = PUBKEY_ECDSA, .digest = bytes_of(digest, 32)};
}

/* Another world in the n-th TPM of this run. */
struct unit_tpm *unit_approval_world(const char *tcti)
{
    void *w = NULL;
    char *was = strdup(getenv("FUSETSU_TCTI"));

    if (tcti != NULL)
        setenv("FUSETSU_TCTI", tcti, 1);
    (void)unit_tpm_with_token(&w);
    setenv("FUSETSU_TCTI", was, 1);
    free(was);
    return w;
}

void unit_approval_unworld(struct unit_tpm *w, const char *tcti)
{
    void *p = w;
    char *was = strdup(getenv("FUSETSU_TCTI"));

    if (tcti != NULL)
        setenv("FUSETSU_TCTI", tcti, 1);
    (void)unit_tpm_remove(&p);
    setenv("FUSETSU_TCTI", was, 1);
    free(was);
}

void unit_approval_approver(struct unit_tpm *w, struct store_key *key, struct approval_approver *a,
                            struct buf *der)
{
    struct err e = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    if (token_approver_create(w->token, "officer", a, &e) != 0 ||
        approval_approver_encode(a, der, &e) != 0)
        fail_msg("%s", e.msg);
    approval_approver_free(a);
    if (token_approver_find(w->token, "officer", NULL, key, a, &e) != 0)
        fail_msg("%s", e.msg);
}

struct key_spec unit_approval_spec(const struct unit_approval *p)
{
    return (struct key_spec){.type = TPM2_ALG_ECC,
                             .curve = alg_curve_named("P-256"),
                             .sign = true,
                             .decrypt = true,
                             .mode = STORE_KEY_APPROVED,
                             .approver = buf_bytes(&p->der),
                             .purpose = unit_pin("contracts")};
}

void unit_approval_key(struct unit_approval *p, const struct key_spec *spec, struct store_key *out)
{
    struct err e = {0};

    if (token_key_create(p->user->token, spec, out, &e) != 0)
        fail_msg("%s", e.msg);
}

int unit_approval_set_up(void **state)
{
    struct unit_approval *p = calloc(1, sizeof(*p));
    struct key_spec spec;
    const char *second = getenv("TPM_TCTI_2");

    p->tcti = strdup(second != NULL ? second : getenv("FUSETSU_TCTI"));
    p->user = unit_approval_world(NULL);
    p->officer = unit_approval_world(p->tcti);
    unit_approval_approver(p->officer, &p->approver_key, &p->approver, &p->der);
    unit_tpm_login(p->user, TOKEN_USER, UNIT_USER);
    spec = unit_approval_spec(p);
    unit_approval_key(p, &spec, &p->key);
    *state = p;
    return 0;
}

int unit_approval_tear_down(void **state)
{
    struct unit_approval *p = *state;

    store_key_free(&p->key);
    store_key_free(&p->approver_key);
    approval_approver_free(&p->approver);
    buf_free(&p->der);
    unit_approval_unworld(p->officer, p->tcti);
    unit_approval_unworld(p->user, NULL);
    free(p->tcti);
    free(p);
    return 0;
}

struct token_proof *unit_approval_ask(struct unit_approval *p, const struct approval_use *use,
                                      uint32_t seconds, struct approval_request *r)
{
    const struct approval_words words = {
        .label = "contracts", .subject = "treaty, page 7", .expiration = seconds};
    struct token_proof *proof = NULL;
    struct err e = {0};

    if (token_approval_prepare(p->user->token, &p->key, use, &words, &proof, r, &e) != 0)
        fail_msg("%s", e.msg);
    return proof;
}

struct token_proof *unit_approval_ask_sign(struct unit_approval *p, const uint8_t digest[32],
                                           struct approval_request *r)
{
    struct token_sign what = over(digest);
    struct approval_use use = {.sign = &what};

    return unit_approval_ask(p, &use, 600, r);
}

enum err_code unit_approval_by(struct unit_tpm *w, const struct store_key *key, const char *pin,
                               const struct approval_request *r, struct approval_answer *out)
{
    struct token_proof *proof = NULL;
    struct err e = {0};
    int rc;

    if (token_prove(w->token, key, unit_pin(pin), &proof, &e) != 0)
        return e.code;
    token_present(w->token, proof);
    rc = token_approval_sign(w->token, key, r, out, &e);
    token_proof_free(w->token, proof);
    return rc == 0 ? E_OK : e.code;
}

void unit_approval_approve(struct unit_approval *p, const struct approval_request *r,
                           struct approval_answer *out)
{
    assert_int_equal(unit_approval_by(p->officer, &p->approver_key, UNIT_USER, r, out), E_OK);
}

/* Finishes; the code, and what the TPM said. */
enum err_code unit_approval_finish(struct unit_approval *p, struct token_proof *proof,
                                   const struct approval_answer *a, uint32_t *rc)
{
    struct err e = {0};
    int r = token_approval_finish(p->user->token, &p->key, proof, a, &e);

    if (rc != NULL)
        *rc = e.rc;
    return r == 0 ? E_OK : e.code;
}

/* Presents (NULL: nothing) and signs. */
enum err_code unit_approval_use(struct unit_approval *p, struct token_proof *proof,
                                const uint8_t digest[32], uint32_t *rc)
{
    struct token_sign what = over(digest);
    uint8_t sig[2 * ALG_MAX_COORD];
    struct pubkey pub;
    struct err e = {0};

    token_present(p->user->token, proof);
    if (token_sign(p->user->token, &p->key, &what, sig, &e) == 0) {
        assert_int_equal(token_key_public(&p->key, &pub, NULL), 0);
        assert_int_equal(pubkey_verify(&pub, PUBKEY_ECDSA, alg_hash_named("SHA256"), 0, what.digest,
                                       bytes_of(sig, 64), NULL),
                         0);
    }
    if (rc != NULL)
        *rc = e.rc;
    return e.code;
}

void unit_approval_done(struct unit_approval *p, struct token_proof *proof,
                        struct approval_request *r, struct approval_answer *a)
{
    token_proof_free(p->user->token, proof);
    approval_request_free(r);
    approval_answer_free(a);
}
