#include "tpm/authorise.h"

#include "core/tpmname.h"
#include "tpm/pcr_approved.h"
#include "tpm/policy.h"
#include "tpm/proof.h"
#include "tpm/rc.h"

#include <string.h>

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
    return key->mode == STORE_KEY_EACH || key->mode == STORE_KEY_APPROVED;
}

/* A session that satisfies the policy of a key which is bound to PCRs. */
static int follow(struct token *k, const struct store_key *key, const struct pcr_bound *b,
                  struct session *p, struct err *e)
{
    struct session *main = token_session(k, e);

    if (main == NULL || policy_start(k->tpm, &k->salt, main, p, e) != 0 ||
        pcr_approved_satisfy(k, key, b, false, p, e) != 0)
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

struct load_job {
    const struct store_key *key;
    const struct loaded_key *loaded;
};

static int load_op(struct token *k, void *arg, struct err *e)
{
    struct load_job *j = arg;

    return token_key_load(k, j->key, &j->loaded, e);
}

/* The key loaded, and the session in which the PIN was proved. Loading proves nothing: it may
 * be done twice, and finds out about a reset before the proof is looked at. */
static int load_and_take(struct token *k, const struct store_key *key, struct authorise *u,
                         const struct loaded_key **l, struct err *e)
{
    struct load_job j = {.key = key};
    bool loaded = false;
    struct pcr_bound b;

    if (pcr_of_key(key, &b, e) != 0)
        return -1;
    u->pcrs = b.selection.count != 0;
    if (proof_there(k, key))
        loaded = token_retry(k, load_op, &j, e) == 0;
    if (proof_take(k, key, &u->policy, e) != 0 || !loaded)
        return -1;
    *l = j.loaded;
    return 0;
}

/* Nothing is sent: the handle does not matter, it is no part of cpHash (Part 1, 16.7). */
static int begin_plan(struct token *k, const struct store_key *key, struct authorise *u,
                      struct err *e)
{
    u->plan = true;
    u->handle = (TPM2_HANDLE)TPM2_HT_TRANSIENT << 24;
    u->sys = tpm_sys(k->tpm, e);
    return u->sys != NULL ? tpmname_object(buf_bytes(&key->public), &u->name, e) : -1;
}

/* The command that was prepared, as cpHash sees it. */
static int run_plan(struct token *k, struct authorise *u, const char *what, struct err *e)
{
    const uint8_t *area = NULL;
    struct reader r;
    uint8_t code[4];
    size_t n = 0;

    if (exec_sapi(Tss2_Sys_GetCommandCode(u->sys, code), what, e) != 0 ||
        exec_sapi(Tss2_Sys_GetCpBuffer(u->sys, &n, &area), what, e) != 0)
        return -1;
    r = reader_of(code, sizeof(code));
    k->plan->command = reader_u32(&r);
    buf_add(&k->plan->parameters, area, n);
    return err_set(e, E_BUSY, "%s: noted, not done", what);
}

int authorise_begin(struct token *k, const struct store_key *key, bool decrypt, bool encrypt,
                    struct authorise *u, struct err *e)
{
    const struct loaded_key *l = NULL;
    struct exec_auth *a = &u->x.auth[0];
    int rc;

    *u = (struct authorise){.x = {.n_names = 1, .n_auth = 1}};
    if (token_key_auth(k, key, u->auth_value, &u->auth, e) != 0)
        return -1;
    if (k->plan != NULL)
        return begin_plan(k, key, u, e);
    u->approved = key->mode == STORE_KEY_APPROVED;
    if (authorise_once(key))
        rc = load_and_take(k, key, u, &l, e);
    else if (by_value(key))
        rc = token_key_load(k, key, &l, e);
    else
        rc = load_and_follow(k, key, u, &l, e);
    if (rc != 0)
        return -1;
    u->handle = l->handle;
    u->name = l->name;
    u->x.name[0] = &u->name;
    /* cpHash is over what is on the wire (Part 1, 16.7): who approves must know that before. */
    *a =
        (struct exec_auth){.auth = u->auth, .decrypt = decrypt && !u->approved, .encrypt = encrypt};
    a->last = u->policy.handle != 0;
    a->session = a->last ? &u->policy : token_session(k, e);
    u->sys = tpm_sys(k->tpm, e);
    return a->session != NULL && u->sys != NULL ? 0 : -1;
}

int authorise_run(struct token *k, struct authorise *u, const char *what, struct err *e)
{
    struct err why = {0};

    if (u->plan)
        return run_plan(k, u, what, e);
    if (exec_run(k->tpm, &u->x, what, &why) == 0)
        return 0;
    if (u->approved && rc_base(why.rc) == TPM2_RC_POLICY_FAIL)
        return err_set_rc(e, E_REJECTED, why.rc,
                          "%s: something else was approved than this (0x%03x)", what, why.rc);
    if (u->approved && rc_base(why.rc) == TPM2_RC_EXPIRED)
        return err_set_rc(e, E_REJECTED, why.rc, "%s: the approval has expired (0x%03x)", what,
                          why.rc);
    if (u->pcrs && rc_base(why.rc) == TPM2_RC_POLICY_FAIL)
        return pcr_refused(why.rc, e);
    if (why.rc == TPM2_RC_PCR_CHANGED)
        return err_set_rc(e, E_REJECTED, why.rc,
                          "the platform's PCRs changed while it was proved that they are those the "
                          "key is bound to; try again (0x%03x)",
                          why.rc);
    return err_take(e, &why);
}

void authorise_end(struct token *k, struct authorise *u)
{
    session_end(k->tpm, &u->policy);
    secret_wipe(u, sizeof(*u));
}

static int one_try(struct token *k, int (*op)(struct token *k, void *arg, struct err *e), void *arg,
                   struct err *e)
{
    struct err why = {0};

    if (op(k, arg, &why) == 0)
        return 0;
    if (!tpm_is_stale(&why))
        return err_take(e, &why);
    tpm_lost(k->tpm);
    return err_set_rc(e, E_REMOVED, why.rc,
                      "the TPM was reset, or stopped answering, while a key was used for which a "
                      "PIN had been proved or an approval given; that has to be done again "
                      "(0x%03x)",
                      why.rc);
}

int authorise_retry(struct token *k, const struct store_key *key,
                    int (*op)(struct token *k, void *arg, struct err *e), void *arg, struct err *e)
{
    struct err why = {0};

    if (authorise_once(key) && k->plan == NULL)
        return one_try(k, op, arg, e);
    if (token_retry(k, op, arg, &why) == 0)
        return 0;
    if (why.rc != TPM2_RC_PCR_CHANGED)
        return err_take(e, &why);
    return token_retry(k, op, arg, e);
}
