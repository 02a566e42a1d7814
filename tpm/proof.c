#include "tpm/proof.h"

#include "tpm/pcr_approved.h"
#include "tpm/policy.h"

#include <stdlib.h>
#include <string.h>

struct token_proof *proof_new(struct token *k, const struct store_key *key, struct err *e)
{
    struct token_proof *p = calloc(1, sizeof(*p));

    if (p == NULL) {
        err_set(e, E_MEMORY, "out of memory for a proof");
        return NULL;
    }
    memcpy(p->uuid, key->uuid, STORE_UUID);
    p->generation = tpm_generation(k->tpm);
    return p;
}

/* [PolicyPCR], PolicySecret, PolicyAuthValue: as tpm/key_policy.c has it. No PIN is sent where
 * the PCRs are wrong already. */
static int pass(struct token *k, const struct store_key *key, const struct pcr_bound *b,
                const struct pin_auth *auth, struct session *p, struct err *e)
{
    struct pin_link link = {.tpm = k->tpm, .main = token_session(k, e), .salt = &k->salt};

    if (link.main == NULL || token_same(k, e) != 0 || pin_session(&link, p, e) != 0 ||
        pcr_approved_satisfy(k, key, b, true, p, e) != 0 ||
        pin_prove(&link, &k->row, PIN_USER, p, auth->counter, e) != 0)
        return -1;
    token_note_pin(k, TOKEN_USER, E_OK);
    return policy_authvalue(k->tpm, p, e);
}

static int check(struct token *k, const struct store_key *key, struct bytes pin, struct err *e)
{
    if (k->who != TOKEN_USER)
        return err_set(e, E_LOGIN, "log in to token '%s' first", k->row.label);
    if (key->mode != STORE_KEY_EACH)
        return err_set(e, E_ARG, "this key asks for no PIN of its own");
    return token_reload(k, e) == 0 ? token_check_pin(k, TOKEN_USER, pin, e) : -1;
}

int token_prove(struct token *k, const struct store_key *key, struct bytes pin,
                struct token_proof **out, struct err *e)
{
    struct secret *auth = NULL;
    struct token_proof *p = NULL;
    struct pcr_bound b;
    struct err why = {0};
    int rc = -1;

    if (check(k, key, pin, e) != 0 || pcr_of_key(key, &b, e) != 0)
        return -1;
    p = proof_new(k, key, e);
    auth = secret_new(sizeof(struct pin_auth), e);
    if (p == NULL || auth == NULL)
        goto out;
    if (pin_derive(&k->row, PIN_USER, pin, (struct pin_auth *)(void *)secret_data(auth), e) != 0)
        goto out;
    if (pass(k, key, &b, (const struct pin_auth *)(const void *)secret_peek(auth), &p->session,
             &why) != 0) {
        token_note_pin(k, TOKEN_USER, why.code);
        /* A PIN was on its way: never tried again by itself, but the next try starts anew. */
        session_end(k->tpm, &p->session);
        if (tpm_is_stale(&why))
            tpm_lost(k->tpm);
        err_take(e, &why);
        goto out;
    }
    /* A session that was out of step may have been renewed on the way. */
    p->generation = tpm_generation(k->tpm);
    p->ready = true;
    *out = p;
    p = NULL;
    rc = 0;
out:
    free(p);
    secret_free(auth);
    return rc;
}

bool proof_live(struct token *k, const struct token_proof *p)
{
    return p->session.handle != 0 && p->generation == tpm_generation(k->tpm) &&
           tpm_has(k->tpm, p->session.handle);
}

void token_proof_free(struct token *k, struct token_proof *p)
{
    if (p == NULL)
        return;
    if (k->proof == p)
        k->proof = NULL;
    if (proof_live(k, p))
        session_end(k->tpm, &p->session);
    secret_wipe(p, sizeof(*p));
    free(p);
}

void token_present(struct token *k, struct token_proof *p)
{
    k->proof = p;
}

bool proof_there(const struct token *k, const struct store_key *key)
{
    return k->proof != NULL && k->proof->ready && k->proof->session.handle != 0 &&
           memcmp(k->proof->uuid, key->uuid, STORE_UUID) == 0;
}

int proof_take(struct token *k, const struct store_key *key, struct session *out, struct err *e)
{
    struct token_proof *p = k->proof;
    bool good;

    if (!proof_there(k, key) && key->mode == STORE_KEY_APPROVED)
        return err_set(e, E_REJECTED,
                       "each use of this key takes the approval of another device, for just that "
                       "use; `fusetsu key sign` asks for it");
    if (!proof_there(k, key))
        return err_set(
            e, E_LOGIN,
            "this key asks for the user PIN before each use; prove the PIN for this one");
    k->proof = NULL;
    good = proof_live(k, p);
    if (good)
        *out = p->session;
    session_gone(&p->session);
    return good ? 0
                : err_set(e, E_REMOVED,
                          "the TPM was reset, or another process needed the room, after the use "
                          "was proved or approved; prove it again");
}
