#include "tpm/crypt_priv.h"
#include "tpm/rc.h"

#include <string.h>

struct hmac_job {
    const struct store_key *key;
    const struct alg_hash *hash;
    const struct bytes *part;
    size_t n, total;
    uint8_t *mac;
};

/* Where in the parts the next chunk begins. */
struct feed {
    size_t part, at;
};

static const char *const what = "HMAC";

static void fill(const struct hmac_job *j, struct feed *f, TPM2B_MAX_BUFFER *out)
{
    out->size = 0;
    while (f->part < j->n && out->size < CRYPT_CHUNK) {
        struct bytes p = j->part[f->part];
        size_t room = CRYPT_CHUNK - out->size;
        size_t take = p.len - f->at < room ? p.len - f->at : room;

        if (take != 0)
            memcpy(out->buffer + out->size, p.p + f->at, take);
        out->size = (UINT16)(out->size + take);
        f->at += take;
        if (f->at == p.len)
            *f = (struct feed){.part = f->part + 1};
    }
}

static int keep(const struct hmac_job *j, const TPM2B_DIGEST *d, struct err *e)
{
    if (d->size != j->hash->size)
        return err_set(e, E_TPM, "%s: the TPM gave %u bytes for %s", what, (unsigned)d->size,
                       j->hash->name);
    memcpy(j->mac, d->buffer, d->size);
    return 0;
}

static int at_once(struct token *k, void *arg, struct err *e)
{
    const struct hmac_job *j = arg;
    TPM2B_DIGEST out = {.size = sizeof(out.buffer)};
    struct feed f = {0};
    TPM2B_MAX_BUFFER in;
    struct authorise u;
    int rc = -1;

    fill(j, &f, &in);
    if (authorise_begin(k, j->key, true, true, &u, e) == 0 &&
        exec_sapi(Tss2_Sys_HMAC_Prepare(u.sys, u.handle, &in, j->hash->tpm), what, e) == 0 &&
        authorise_run(k, &u, what, e) == 0 &&
        exec_complete(u.sys, Tss2_Sys_HMAC_Complete(u.sys, &out), what, e) == 0)
        rc = keep(j, &out, e);
    secret_wipe(&in, sizeof(in));
    secret_wipe(&out, sizeof(out));
    authorise_end(k, &u);
    return rc;
}

/* --- sequences ----------------------------------------------------------------- */

/* The sequence gets the authValue of its key: with an empty one, any other user of the TPM
 * could feed it, or have it completed over what it likes. */
static int start_once(struct token *k, const struct hmac_job *j, TPM2_HANDLE *out, struct err *e)
{
    TPM2B_AUTH auth = {0};
    struct authorise u;
    int rc = -1;

    if (authorise_begin(k, j->key, true, false, &u, e) != 0)
        goto out;
    auth.size = (UINT16)u.auth.len;
    if (u.auth.len != 0)
        memcpy(auth.buffer, u.auth.p, u.auth.len);
    if (exec_sapi(Tss2_Sys_HMAC_Start_Prepare(u.sys, u.handle, &auth, j->hash->tpm), what, e) ==
            0 &&
        authorise_run(k, &u, what, e) == 0 &&
        exec_sapi(Tss2_Sys_HMAC_Start_Complete(u.sys, out), what, e) == 0)
        rc = 0;
out:
    secret_wipe(&auth, sizeof(auth));
    authorise_end(k, &u);
    return rc;
}

/* Takes the slot that held.h leaves free. Where others hold it, our own keys give way. */
static int start(struct token *k, const struct hmac_job *j, TPM2_HANDLE *out, struct err *e)
{
    int tries = 0;

    for (;;) {
        struct err why = {0};

        if (start_once(k, j, out, &why) == 0)
            return 0;
        if (!held_try_again(k->tpm, why.rc, &tries))
            return err_take(e, &why);
    }
}

static int feed_all(struct token *k, const struct hmac_job *j, TPM2_HANDLE sequence, struct exec *x,
                    struct err *e)
{
    TPMT_TK_HASHCHECK ticket = {0};
    TPM2B_DIGEST out = {.size = sizeof(out.buffer)};
    TSS2_SYS_CONTEXT *sys = tpm_sys(k->tpm, e);
    struct feed f = {0};
    TPM2B_MAX_BUFFER in;
    int rc = -1;

    if (sys == NULL)
        return -1;
    for (size_t left = j->total; left > CRYPT_CHUNK; left -= CRYPT_CHUNK) {
        fill(j, &f, &in);
        if (exec_sapi(Tss2_Sys_SequenceUpdate_Prepare(sys, sequence, &in), what, e) != 0 ||
            exec_run(k->tpm, x, what, e) != 0 ||
            exec_sapi(Tss2_Sys_SequenceUpdate_Complete(sys), what, e) != 0)
            goto out;
    }
    fill(j, &f, &in);
    x->auth[0].encrypt = true;
    if (exec_sapi(Tss2_Sys_SequenceComplete_Prepare(sys, sequence, &in, TPM2_RH_NULL), what, e) ==
            0 &&
        exec_run(k->tpm, x, what, e) == 0 &&
        exec_complete(sys, Tss2_Sys_SequenceComplete_Complete(sys, &out, &ticket), what, e) == 0)
        rc = keep(j, &out, e);
out:
    secret_wipe(&in, sizeof(in));
    secret_wipe(&out, sizeof(out));
    return rc;
}

static int in_sequence(struct token *k, void *arg, struct err *e)
{
    /* A sequence has the Empty Buffer as its Name (Part 1, 16). */
    static const TPM2B_NAME no_name;
    const struct hmac_job *j = arg;
    struct exec x = {.name = {&no_name}, .n_names = 1, .n_auth = 1};
    TPM2_HANDLE sequence = 0;
    uint8_t auth_value[32];
    struct bytes auth;
    int rc = -1;

    if (token_key_auth(k, j->key, auth_value, &auth, e) != 0 || start(k, j, &sequence, e) != 0)
        goto out;
    x.auth[0] = (struct exec_auth){.session = token_session(k, e), .auth = auth, .decrypt = true};
    if (x.auth[0].session != NULL)
        rc = feed_all(k, j, sequence, &x, e);
    /* Its end flushes a sequence (Part 3, 17.6). */
    if (rc != 0)
        tpm_flush(k->tpm, sequence);
out:
    secret_wipe(auth_value, sizeof(auth_value));
    return rc;
}

int token_hmac(struct token *k, const struct store_key *key, const struct alg_hash *hash,
               const struct bytes *part, size_t n, uint8_t *mac, struct err *e)
{
    struct hmac_job j = {.key = key, .hash = hash, .part = part, .n = n, .mac = mac};
    const TPMT_KEYEDHASH_SCHEME *scheme;
    struct err why = {0};
    TPMT_PUBLIC area;

    if (crypt_area(key, TPM2_ALG_KEYEDHASH, TPMA_OBJECT_SIGN_ENCRYPT, "make an HMAC", &area, e) !=
        0)
        return -1;
    if (hash->tpm == 0)
        return err_set(e, E_UNSUPPORTED, "no TPM has %s", hash->name);
    scheme = &area.parameters.keyedHashDetail.scheme;
    if (scheme->scheme == TPM2_ALG_HMAC && scheme->details.hmac.hashAlg != hash->tpm)
        return err_set(e, E_ARG, "this HMAC key is bound to another hash than %s", hash->name);
    for (size_t i = 0; i < n; i++)
        j.total += part[i].len;
    if (authorise_retry(k, key, j.total <= CRYPT_CHUNK ? at_once : in_sequence, &j, &why) == 0)
        return 0;
    /* Revision 1.59 reads the field as a MAC scheme, which may be a block cipher. */
    if (rc_base(why.rc) == TPM2_RC_HASH || rc_base(why.rc) == TPM2_RC_SYMMETRIC)
        return err_set_rc(e, E_UNSUPPORTED, why.rc, "this TPM does not have %s", hash->name);
    return err_take(e, &why);
}
