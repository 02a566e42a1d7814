/* The way out of the TPM, for keys that were made to have one. */
#include "core/credential.h"
#include "core/pubkey.h"
#include "tpm/exec.h"
#include "tpm/key_policy.h"
#include "tpm/policy.h"

#include <string.h>
#include <tss2/tss2_mu.h>

struct value_job {
    const struct store_key *key;
    const struct credential_parent *parent;
    struct buf duplicate, seed;
};

/* The new parent lives in this process; the TPM needs its public half only. */
static int load_parent(struct token *k, const struct credential_parent *parent, TPM2_HANDLE *handle,
                       TPM2B_NAME *name, struct err *e)
{
    TPM2B_PUBLIC pub = {.publicArea = parent->pub};
    TPM2B_NAME got = {.size = sizeof(got.name)};
    TSS2_SYS_CONTEXT *sys = tpm_sys(k->tpm, e);
    struct buf wire = {0};
    int rc = -1;

    if (sys == NULL || tpmname_marshal_public(&parent->pub, &wire, e) != 0 ||
        tpmname_object(buf_bytes(&wire), name, e) != 0 ||
        exec_sapi(Tss2_Sys_LoadExternal(sys, NULL, NULL, &pub, TPM2_RH_NULL, handle, &got, NULL),
                  "loading the public half of a new parent", e) != 0)
        goto out;
    rc = 0;
out:
    buf_free(&wire);
    return rc;
}

/* TPM2_Duplicate (Part 3, 13.1). The Name of the new parent is what we computed, and in the
 * HMAC: the TPM wraps for no other. */
static int duplicate(struct token *k, struct value_job *j, struct session *p, TPM2_HANDLE parent,
                     const TPM2B_NAME *parent_name, struct err *e)
{
    TPM2B_DATA no_key = {0}, inner = {.size = sizeof(inner.buffer)};
    TPM2B_PRIVATE out = {.size = sizeof(out.buffer)};
    TPM2B_ENCRYPTED_SECRET seed = {.size = sizeof(seed.secret)};
    TPMT_SYM_DEF_OBJECT sym = {.algorithm = TPM2_ALG_NULL};
    const struct loaded_key *l = NULL;
    struct exec x = {.n_names = 2, .n_auth = 1};
    TSS2_SYS_CONTEXT *sys;
    const char *what = "taking a key out of the TPM";
    uint8_t auth_value[32];
    struct bytes auth;
    int rc = -1;

    if (token_key_auth(k, j->key, auth_value, &auth, e) != 0 ||
        token_key_load(k, j->key, &l, e) != 0 || (sys = tpm_sys(k->tpm, e)) == NULL)
        goto out;
    x.name[0] = &l->name;
    x.name[1] = parent_name;
    x.auth[0] = (struct exec_auth){.session = p, .auth = auth, .last = true};
    if (exec_sapi(Tss2_Sys_Duplicate_Prepare(sys, l->handle, parent, &no_key, &sym), what, e) !=
            0 ||
        exec_run(k->tpm, &x, what, e) != 0 ||
        exec_sapi(Tss2_Sys_Duplicate_Complete(sys, &inner, &out, &seed), what, e) != 0)
        goto out;
    buf_add(&j->duplicate, out.buffer, out.size);
    buf_add(&j->seed, seed.secret, seed.size);
    rc = buf_ok(&j->duplicate, e) == 0 ? buf_ok(&j->seed, e) : -1;
out:
    secret_wipe(auth_value, sizeof(auth_value));
    return rc;
}

/* Three transient slots: the key, its new parent, and the storage primary while the session
 * starts and the key is loaded. */
static int once(struct token *k, struct value_job *j, struct err *e)
{
    struct session p = {0}, *main;
    TPM2_HANDLE parent = 0;
    TPM2B_NAME name;
    int rc = -1;

    held_flush_all(k->tpm);
    main = token_session(k, e);
    if (main != NULL && policy_start(k->tpm, &k->salt, main, &p, e) == 0 &&
        policy_authvalue(k->tpm, &p, e) == 0 &&
        policy_command(k->tpm, &p, TPM2_CC_Duplicate, e) == 0 &&
        load_parent(k, j->parent, &parent, &name, e) == 0)
        rc = duplicate(k, j, &p, parent, &name, e);
    session_end(k->tpm, &p);
    tpm_flush(k->tpm, parent);
    held_flush(k->tpm, j->key->uuid);
    return rc;
}

static int value_op(struct token *k, void *arg, struct err *e)
{
    struct value_job *j = arg;

    for (int tries = 0;;) {
        struct err why = {0};

        if (once(k, j, &why) == 0)
            return 0;
        if (!held_try_again(k->tpm, why.rc, &tries))
            return err_take(e, &why);
    }
}

/* Part 2, 12.3.2.4 TPMT_SENSITIVE, strictly: nothing behind it, and in its one wire form. */
static int parse(struct bytes wire, TPMT_SENSITIVE *out, struct err *e)
{
    struct secret *again = secret_new(sizeof(*out), e);
    size_t n = 0, m = 0;
    int rc = -1;

    if (again == NULL)
        return -1;
    if (Tss2_MU_TPMT_SENSITIVE_Unmarshal(wire.p, wire.len, &n, out) != TSS2_RC_SUCCESS ||
        n != wire.len ||
        Tss2_MU_TPMT_SENSITIVE_Marshal(out, secret_data(again), secret_len(again), &m) !=
            TSS2_RC_SUCCESS ||
        !bytes_equal(bytes_of(secret_peek(again), m), wire))
        err_set(e, E_FORMAT, "the TPM gave a sensitive area that does not parse");
    else
        rc = 0;
    secret_free(again);
    return rc;
}

/* The secret part, and the length that it must have; shorter only for a scalar. */
static struct bytes part_of(const TPMT_PUBLIC *area, const TPMT_SENSITIVE *t, size_t *want)
{
    const TPMU_SENSITIVE_COMPOSITE *s = &t->sensitive;
    const struct alg_curve *c;

    switch (area->type) {
    case TPM2_ALG_ECC:
        c = alg_curve_of(area->parameters.eccDetail.curveID);
        *want = c != NULL ? c->size : 0;
        return bytes_of(s->ecc.buffer, s->ecc.size);
    case TPM2_ALG_RSA:
        *want = area->unique.rsa.size / 2;
        return bytes_of(s->rsa.buffer, s->rsa.size);
    case TPM2_ALG_SYMCIPHER:
        *want = area->parameters.symDetail.sym.keyBits.aes / 8;
        return bytes_of(s->sym.buffer, s->sym.size);
    default: *want = s->bits.size; return bytes_of(s->bits.buffer, s->bits.size);
    }
}

static int value_of(const TPMT_PUBLIC *area, struct bytes wire, struct secret **out, struct err *e)
{
    struct secret *s = secret_new(sizeof(TPMT_SENSITIVE), e), *value = NULL;
    TPMT_SENSITIVE *t;
    struct bytes part;
    size_t want = 0;
    int rc = -1;

    if (s == NULL)
        return -1;
    t = (TPMT_SENSITIVE *)(void *)secret_data(s);
    if (parse(wire, t, e) != 0)
        goto out;
    part = part_of(area, t, &want);
    if (t->sensitiveType != area->type || part.len == 0 || part.len > want ||
        (part.len < want && area->type != TPM2_ALG_ECC)) {
        err_set(e, E_TPM, "the TPM gave %zu secret bytes of type 0x%04x for a key that has %zu",
                part.len, (unsigned)t->sensitiveType, want);
        goto out;
    }
    value = secret_new(want, e);
    if (value == NULL)
        goto out;
    memcpy(secret_data(value) + want - part.len, part.p, part.len);
    *out = value;
    rc = 0;
out:
    secret_free(s);
    return rc;
}

/* May this key leave? Told before any command. */
static int check(struct token *k, const struct store_key *key, TPMT_PUBLIC *area, struct err *e)
{
    int may;

    if (k->who != TOKEN_USER)
        return err_set(e, E_LOGIN, "log in to token '%s' first", k->row.label);
    if (tpmname_unmarshal_public(buf_bytes(&key->public), area, e) != 0)
        return -1;
    may = key_policy_extractable(area, e);
    if (may < 0)
        return -1;
    return may == 1 && key->use == STORE_USE_OBJECT && key->mode == STORE_KEY_SESSION
               ? 0
               : err_set(e, E_UNSUPPORTED,
                         "this key may not leave the TPM: it was not made extractable");
}

int token_key_value(struct token *k, const struct store_key *key, struct secret **out,
                    struct err *e)
{
    struct secret *made = secret_new(sizeof(struct credential_parent), e), *sensitive = NULL;
    struct value_job j = {.key = key};
    struct credential_parent *parent;
    TPM2B_NAME name;
    TPMT_PUBLIC area;
    int rc = -1;

    if (made == NULL || check(k, key, &area, e) != 0 ||
        tpmname_object(buf_bytes(&key->public), &name, e) != 0)
        goto out;
    parent = (struct credential_parent *)(void *)secret_data(made);
    j.parent = parent;
    if (credential_parent_make(parent, e) != 0 || token_retry(k, value_op, &j, e) != 0 ||
        credential_unwrap_duplicate(parent, &name, buf_bytes(&j.duplicate), buf_bytes(&j.seed),
                                    &sensitive, e) != 0)
        goto out;
    rc = value_of(&area, secret_bytes(sensitive), out, e);
out:
    secret_free(sensitive);
    secret_free(made);
    buf_free(&j.duplicate);
    buf_free(&j.seed);
    return rc;
}
