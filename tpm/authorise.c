#include "tpm/authorise.h"

#include "tpm/pcr.h"
#include "tpm/policy.h"
#include "tpm/rc.h"

#include <string.h>

/* Only the code that is worth another try is passed on: TPM_RC_VALUE means wrong data to
 * those who decrypt. */
static int wrong_pcrs(uint32_t rc, struct err *e)
{
    return err_set_rc(e, E_REJECTED, rc == TPM2_RC_PCR_CHANGED ? rc : 0,
                      "the platform's PCRs are not those the key is bound to: it was started, or "
                      "runs, other software than when the key was made (0x%03x)",
                      rc);
}

int authorise_pcrs(struct tpm *t, struct session *p, const struct pcr_bound *b, struct err *e)
{
    struct err why = {0};

    if (b->selection.count == 0 || policy_pcr(t, p, &b->selection, &b->digest, &why) == 0)
        return 0;
    return rc_base(why.rc) == TPM2_RC_VALUE ? wrong_pcrs(why.rc, e) : err_take(e, &why);
}

/* Does the TPM take the authValue alone (Part 2, 8.3.3.6 userWithAuth)? Read off the wire
 * form, because each use asks. */
static bool by_value(const struct store_key *key)
{
    struct reader r = reader_of(key->public.p, key->public.len);

    reader_u16(&r); /* type, nameAlg: Part 2, 12.2.4 */
    reader_u16(&r);
    return (reader_u32(&r) & TPMA_OBJECT_USERWITHAUTH) != 0;
}

bool authorise_once(const struct store_key *key)
{
    (void)key;
    return false;
}

/* A session that satisfies the policy of a key which is bound to PCRs. */
static int follow(struct token *k, const struct store_key *key, const struct pcr_bound *b,
                  struct session *p, struct err *e)
{
    struct session *main = token_session(k, e);

    if (main == NULL || policy_start(k->tpm, &k->salt, main, p, e) != 0 ||
        authorise_pcrs(k->tpm, p, b, e) != 0)
        return -1;
    return key->mode == STORE_KEY_NONE ? 0 : policy_authvalue(k->tpm, p, e);
}

/* The key loaded, and beside it such a session. */
static int load_and_follow(struct token *k, const struct store_key *key, struct authorise *u,
                           const struct loaded_key **l, struct err *e)
{
    struct pcr_bound b;

    if (pcr_of_key(key, &b, e) != 0)
        return -1;
    u->pcrs = b.selection.count != 0;
    for (int tries = 0;;) {
        struct err why = {0};

        if (token_key_load(k, key, l, e) != 0)
            return -1;
        if (follow(k, key, &b, &u->policy, &why) == 0)
            return 0;
        session_end(k->tpm, &u->policy);
        if (!held_try_again(k->tpm, why.rc, &tries))
            return err_take(e, &why);
    }
}

int authorise_begin(struct token *k, const struct store_key *key, bool decrypt, bool encrypt,
                    struct authorise *u, struct err *e)
{
    const struct loaded_key *l = NULL;
    struct exec_auth *a = &u->x.auth[0];

    *u = (struct authorise){.x = {.n_names = 1, .n_auth = 1}};
    if (token_key_auth(k, key, u->auth_value, &u->auth, e) != 0 ||
        (by_value(key) ? token_key_load(k, key, &l, e) : load_and_follow(k, key, u, &l, e)) != 0)
        return -1;
    u->handle = l->handle;
    u->name = l->name;
    u->x.name[0] = &u->name;
    *a = (struct exec_auth){.auth = u->auth, .decrypt = decrypt, .encrypt = encrypt};
    a->last = u->policy.handle != 0;
    a->session = a->last ? &u->policy : token_session(k, e);
    u->sys = tpm_sys(k->tpm, e);
    return a->session != NULL && u->sys != NULL ? 0 : -1;
}

int authorise_run(struct token *k, struct authorise *u, const char *what, struct err *e)
{
    struct err why = {0};

    if (exec_run(k->tpm, &u->x, what, &why) == 0)
        return 0;
    if (u->pcrs && (rc_base(why.rc) == TPM2_RC_POLICY_FAIL || why.rc == TPM2_RC_PCR_CHANGED))
        return wrong_pcrs(why.rc, e);
    return err_take(e, &why);
}

void authorise_end(struct token *k, struct authorise *u)
{
    session_end(k->tpm, &u->policy);
    secret_wipe(u, sizeof(*u));
}

int authorise_retry(struct token *k, const struct store_key *key,
                    int (*op)(struct token *k, void *arg, struct err *e), void *arg, struct err *e)
{
    struct err why = {0};

    (void)key;
    if (token_retry(k, op, arg, &why) == 0)
        return 0;
    if (why.rc != TPM2_RC_PCR_CHANGED)
        return err_take(e, &why);
    return token_retry(k, op, arg, e);
}
