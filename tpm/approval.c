/* The user's side of tpm/approval.h. */
#include "tpm/approval.h"

#include "core/tpmname.h"
#include "core/tpmwire.h"
#include "tpm/crypt.h"
#include "tpm/external.h"
#include "tpm/key_extra.h"
#include "tpm/pcr_approved.h"
#include "tpm/proof.h"
#include "tpm/rc.h"

#include <stdio.h>
#include <string.h>

/* --- what is to come -------------------------------------------------------------- */

static int go(struct token *k, const struct store_key *key, const struct approval_use *use,
              struct err *e)
{
    uint8_t out[PUBKEY_MAX_RSA];

    if (use->sign != NULL)
        return token_sign(k, key, use->sign, out, e);
    if (use->peer != NULL)
        return token_ecdh(k, key, use->peer, out, e);
    return token_rsa_raw(k, key, use->decrypt, out, e);
}

/* Goes through the motions: authorise_run() notes the command. */
static int plan(struct token *k, const struct store_key *key, const struct approval_use *use,
                struct token_plan *out, struct err *e)
{
    struct err why = {0};
    int rc;

    k->plan = out;
    rc = go(k, key, use, &why);
    k->plan = NULL;
    if (out->command == 0)
        return rc != 0 ? err_take(e, &why)
                       : err_set(e, E_UNSUPPORTED, "this use of the key needs no approval");
    return buf_ok(&out->parameters, e);
}

/* --- the approver of a key ----------------------------------------------------------- */

static int approver_of(const struct store_key *key, struct approval_approver *a,
                       char purpose[APPROVAL_TEXT], struct err *e)
{
    struct key_extra x;

    if (key->mode != STORE_KEY_APPROVED)
        return err_set(e, E_ARG, "this key is used without approvals");
    if (key_extra_read(key, &x, e) != 0)
        return -1;
    if (x.approver.len == 0 || x.purpose.len == 0 || x.purpose.len >= APPROVAL_TEXT)
        return err_set(e, E_CORRUPT,
                       "it is not stored who approves the use of this key; restore the store from "
                       "a backup");
    memset(purpose, 0, APPROVAL_TEXT);
    memcpy(purpose, x.purpose.p, x.purpose.len);
    return approval_approver_decode(x.approver, a, e);
}

static void copy_text(char out[APPROVAL_TEXT], const char *text)
{
    snprintf(out, APPROVAL_TEXT, "%s", text != NULL ? text : "");
}

/* Everything but the nonce. */
static int describe(const struct token *k, const struct store_key *key,
                    const struct approval_words *words, const struct token_plan *p,
                    struct approval_request *r, struct err *e)
{
    struct approval_approver a;
    uint8_t cp_hash[32];
    TPM2B_NAME name;
    int rc = -1;

    if (approver_of(key, &a, r->purpose, e) != 0)
        return -1;
    memcpy(r->serial, k->row.serial, sizeof(r->serial));
    copy_text(r->label, words->label);
    copy_text(r->subject, words->subject);
    copy_text(r->approver_label, a.label);
    r->command = p->command;
    r->expiration = words->expiration;
    buf_add_bytes(&r->key, buf_bytes(&key->public));
    buf_add_bytes(&r->parameters, buf_bytes(&p->parameters));
    if (tpmname_object(buf_bytes(&a.public), &r->approver, e) == 0 &&
        tpmname_object(buf_bytes(&key->public), &name, e) == 0 &&
        approval_cp_hash(p->command, &name, buf_bytes(&p->parameters), cp_hash, e) == 0) {
        buf_add(&r->cp_hash, cp_hash, sizeof(cp_hash));
        if (buf_ok(&r->key, e) == 0 && buf_ok(&r->parameters, e) == 0)
            rc = buf_ok(&r->cp_hash, e);
    }
    approval_approver_free(&a);
    return rc;
}

int token_approval_prepare(struct token *k, const struct store_key *key,
                           const struct approval_use *use, const struct approval_words *words,
                           struct token_proof **out, struct approval_request *request,
                           struct err *e)
{
    struct pin_link link = {.tpm = k->tpm, .salt = &k->salt};
    struct approval_request r = {.serial = ""};
    struct approval_command ignored;
    struct token_plan p = {.command = 0};
    struct token_proof *proof = NULL;
    int rc = -1;

    if (k->who != TOKEN_USER)
        return err_set(e, E_LOGIN, "log in to token '%s' first", k->row.label);
    if (key->mode != STORE_KEY_APPROVED)
        return err_set(e, E_ARG, "this key is used without approvals");
    if (plan(k, key, use, &p, e) != 0 || describe(k, key, words, &p, &r, e) != 0)
        goto out;
    proof = proof_new(k, key, e);
    link.main = token_session(k, e);
    if (proof == NULL || link.main == NULL || pin_session(&link, &proof->session, e) != 0)
        goto out;
    proof->generation = tpm_generation(k->tpm);
    buf_add(&r.nonce, proof->session.tpm.buffer, proof->session.tpm.size);
    /* What the approver would refuse is not asked. */
    if (buf_ok(&r.nonce, e) != 0 || approval_check(&r, &ignored, e) != 0)
        goto out;
    *out = proof;
    *request = r;
    proof = NULL;
    rc = 0;
out:
    if (rc != 0)
        approval_request_free(&r);
    token_proof_free(k, proof);
    buf_free(&p.parameters);
    return rc;
}

void token_approval_wait(struct token *k)
{
    struct session *main = token_session(k, NULL);

    held_flush_all(k->tpm);
    if (main != NULL)
        session_end(k->tpm, main);
    tpm_release(k->tpm);
}

/* --- the answer ----------------------------------------------------------------------- */

static int refused(const struct err *why, struct err *e)
{
    switch (rc_base(why->rc)) {
    case TPM2_RC_SIGNATURE:
        return err_set_rc(e, E_REJECTED, why->rc,
                          "the approval is by another key, or for another request or session "
                          "than this one (0x%03x)",
                          why->rc);
    case TPM2_RC_EXPIRED:
        return err_set_rc(e, E_REJECTED, why->rc, "the approval has expired (0x%03x)", why->rc);
    case TPM2_RC_NONCE:
        /* Our handle, somebody else's session. */
        return err_set_rc(e, E_REMOVED, why->rc,
                          "the TPM has lost the session that waited for the approval; ask again "
                          "(0x%03x)",
                          why->rc);
    default: return err_take(e, why);
    }
}

static int give(struct token *k, struct token_proof *p, const struct approval_approver *a,
                const struct policy_signature *s, struct err *e)
{
    TPMT_PUBLIC area;
    TPM2_HANDLE handle = 0;
    struct err why = {0};
    int rc;

    if (tpmname_unmarshal_public(buf_bytes(&a->public), &area, e) != 0 ||
        external_load(k->tpm, &area, TPM2_RH_NULL, true, &handle, e) != 0)
        return -1;
    rc = policy_signed_by(k->tpm, &p->session, handle, s, &why);
    tpm_flush(k->tpm, handle);
    return rc == 0 ? 0 : refused(&why, e);
}

static int satisfy(struct token *k, const struct store_key *key, struct token_proof *p,
                   const struct approval_answer *answer, struct err *e)
{
    char purpose[APPROVAL_TEXT];
    struct approval_approver a;
    TPMT_SIGNATURE sig;
    TPM2B_NONCE ref;
    struct policy_signature s = {.cp_hash = buf_bytes(&answer->cp_hash),
                                 .ref = &ref,
                                 .expiration = answer->expiration,
                                 .signature = &sig};
    struct pcr_bound b;
    int rc = -1;

    if (tpmwire_signature(buf_bytes(&answer->signature), &sig, e) != 0 ||
        pcr_of_key(key, &b, e) != 0 || approver_of(key, &a, purpose, e) != 0)
        return -1;
    /* Once in a session: after a refused answer there may come another. */
    if (approval_ref(bytes_of(purpose, strlen(purpose)), &ref, e) == 0 &&
        (p->pcrs || pcr_approved_satisfy(k, key, &b, true, &p->session, e) == 0)) {
        p->pcrs = true;
        if (give(k, p, &a, &s, e) == 0)
            rc = policy_authvalue(k->tpm, &p->session, e);
    }
    approval_approver_free(&a);
    return rc;
}

int token_approval_finish(struct token *k, const struct store_key *key, struct token_proof *p,
                          const struct approval_answer *answer, struct err *e)
{
    struct err why = {0};

    if (p->ready || memcmp(p->uuid, key->uuid, STORE_UUID) != 0)
        return err_set(e, E_ARG, "that is no session which waits for an approval of this key");
    if (!proof_live(k, p))
        return err_set(
            e, E_REMOVED,
            "the TPM was reset, or another process needed the room, after the approval was "
            "asked for; ask again");
    if (satisfy(k, key, p, answer, &why) == 0) {
        p->ready = true;
        return 0;
    }
    if (!tpm_is_stale(&why))
        return err_take(e, &why);
    tpm_lost(k->tpm);
    return err_set_rc(e, E_REMOVED, why.rc,
                      "the TPM was reset, or lost the session that waited for the approval; ask "
                      "again (0x%03x)",
                      why.rc);
}
