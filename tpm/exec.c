#include "tpm/exec.h"

#include "core/hash.h"
#include "core/secret.h"
#include "tpm/ctx.h"
#include "tpm/rc.h"

#include <openssl/rand.h>
#include <string.h>

static const struct bytes nothing = {NULL, 0};

static struct bytes nonce(const TPM2B_NONCE *n)
{
    return bytes_of(n->buffer, n->size);
}

int exec_sapi(TSS2_RC rc, const char *what, struct err *e)
{
    return rc == TSS2_RC_SUCCESS ? 0 : rc_fail(e, rc, what);
}

int exec_complete(TSS2_SYS_CONTEXT *sys, TSS2_RC rc, const char *what, struct err *e)
{
    const uint8_t *area = NULL;
    size_t n = 0;

    /* The pointer leads into the context, which is ours to write. */
    if (Tss2_Sys_GetRpBuffer(sys, &n, &area) == TSS2_RC_SUCCESS)
        secret_wipe((void *)(uintptr_t)area, n);
    return exec_sapi(rc, what, e);
}

static TPMA_SESSION attributes(const struct exec_auth *a)
{
    return (TPMA_SESSION)((a->last ? 0 : TPMA_SESSION_CONTINUESESSION) |
                          (a->decrypt ? TPMA_SESSION_DECRYPT : 0) |
                          (a->audit ? TPMA_SESSION_AUDIT : 0) |
                          (a->encrypt ? TPMA_SESSION_ENCRYPT : 0));
}

/* The authValue that takes part in a session's HMAC: always in an HMAC session,
 * in a policy session only after PolicyAuthValue (Part 1, 19.6.15). */
static struct bytes hmac_auth(const struct exec_auth *a, bool response)
{
    if (a->session->type == TPM2_SE_POLICY && !a->session->auth_value)
        return nothing;
    return response && a->new_auth != NULL ? *a->new_auth : a->auth;
}

/* H(parts ‖ names ‖ parameters): cpHash and rpHash, Part 1, 16.7 and 16.8. */
static int p_hash(TSS2_SYS_CONTEXT *sys, const struct exec *x, bool response, uint8_t out[32],
                  struct err *e)
{
    const uint8_t *area = NULL;
    struct buf in = {0};
    size_t n = 0;
    uint8_t cc[4];
    int rc = -1;

    if (exec_sapi(Tss2_Sys_GetCommandCode(sys, cc), "command code", e) != 0 ||
        exec_sapi(response ? Tss2_Sys_GetRpBuffer(sys, &n, &area)
                           : Tss2_Sys_GetCpBuffer(sys, &n, &area),
                  "parameters", e) != 0)
        return -1;
    if (response)
        buf_u32(&in, TPM2_RC_SUCCESS);
    buf_add(&in, cc, sizeof(cc));
    for (size_t i = 0; !response && i < x->n_names; i++)
        buf_add(&in, x->name[i]->name, x->name[i]->size);
    buf_add(&in, area, n);
    if (buf_ok(&in, e) == 0)
        rc = hash_sha256(buf_bytes(&in), out, e);
    buf_free(&in);
    return rc;
}

static int encrypt_first(TSS2_SYS_CONTEXT *sys, const struct exec_auth *a, struct err *e)
{
    uint8_t plain[4096];
    const uint8_t *p = NULL;
    size_t n = 0;
    int rc = -1;

    if (exec_sapi(Tss2_Sys_GetDecryptParam(sys, &n, &p), "first parameter", e) != 0)
        return -1;
    if (n > sizeof(plain))
        return err_set(e, E_ARG, "a command parameter is too long to encrypt");
    if (n == 0)
        return 0;
    memcpy(plain, p, n);
    if (session_crypt(a->session, true, a->auth, nonce(&a->session->caller),
                      nonce(&a->session->tpm), plain, n, e) != 0 ||
        exec_sapi(Tss2_Sys_SetDecryptParam(sys, n, plain), "first parameter", e) != 0)
        goto out;
    rc = 0;
out:
    secret_wipe(plain, sizeof(plain));
    return rc;
}

static int decrypt_first(TSS2_SYS_CONTEXT *sys, const struct exec_auth *a, struct err *e)
{
    uint8_t plain[4096];
    const uint8_t *p = NULL;
    size_t n = 0;
    int rc = -1;

    if (exec_sapi(Tss2_Sys_GetEncryptParam(sys, &n, &p), "first response parameter", e) != 0)
        return -1;
    if (n > sizeof(plain))
        return err_set(e, E_TPM, "a response parameter is too long");
    if (n == 0)
        return 0;
    memcpy(plain, p, n);
    if (session_crypt(a->session, false, a->new_auth != NULL ? *a->new_auth : a->auth,
                      nonce(&a->session->tpm), nonce(&a->session->caller), plain, n, e) != 0 ||
        exec_sapi(Tss2_Sys_SetEncryptParam(sys, n, plain), "first response parameter", e) != 0)
        goto out;
    rc = 0;
out:
    secret_wipe(plain, sizeof(plain));
    return rc;
}

/* nonceTPM of the sessions that encrypt, where they are not the first: the first
 * session's HMAC binds them (Part 1, 19.6.5). */
static void other_nonces(const struct exec *x, struct session_hmac *h)
{
    const struct session *dec = NULL, *enc = NULL;

    for (size_t i = 0; i < x->n_auth; i++) {
        if (x->auth[i].decrypt)
            dec = x->auth[i].session;
        if (x->auth[i].encrypt)
            enc = x->auth[i].session;
    }
    if (dec != NULL && dec != x->auth[0].session)
        h->decrypt = nonce(&dec->tpm);
    if (enc != NULL && enc != x->auth[0].session && enc != dec)
        h->encrypt = nonce(&enc->tpm);
}

static int command_auths(struct exec *x, const uint8_t cp_hash[32], TSS2L_SYS_AUTH_COMMAND *out,
                         struct err *e)
{
    out->count = (UINT16)x->n_auth;
    for (size_t i = 0; i < x->n_auth; i++) {
        struct exec_auth *a = &x->auth[i];
        TPMS_AUTH_COMMAND *c = &out->auths[i];
        struct session_hmac over = {.p_hash = cp_hash, .attributes = attributes(a)};
        struct session *s = a->session;

        if (s == NULL) {
            c->sessionHandle = TPM2_RS_PW;
            if (a->auth.len > sizeof(c->hmac.buffer))
                return err_set(e, E_ARG, "an authorisation value is too long");
            if (a->auth.len != 0)
                memcpy(c->hmac.buffer, a->auth.p, a->auth.len);
            c->hmac.size = (UINT16)a->auth.len;
            continue;
        }
        over.newer = nonce(&s->caller);
        over.older = nonce(&s->tpm);
        if (i == 0)
            other_nonces(x, &over);
        if (session_hmac(s, hmac_auth(a, false), &over, c->hmac.buffer, e) != 0)
            return -1;
        c->hmac.size = 32;
        c->sessionHandle = s->handle;
        c->sessionAttributes = over.attributes;
        c->nonce = s->caller;
    }
    return 0;
}

static int check_response(struct exec *x, TSS2_SYS_CONTEXT *sys, const char *what, struct err *e)
{
    TSS2L_SYS_AUTH_RESPONSE r = {0};
    uint8_t rp_hash[32], want[32];

    if (exec_sapi(Tss2_Sys_GetRspAuths(sys, &r), what, e) != 0 ||
        p_hash(sys, x, true, rp_hash, e) != 0)
        return -1;
    if (r.count != x->n_auth)
        return err_set(e, E_TAMPERED, "%s: the response has %u authorisations instead of %zu", what,
                       r.count, x->n_auth);
    for (size_t i = 0; i < x->n_auth; i++) {
        struct exec_auth *a = &x->auth[i];
        struct session_hmac over = {.p_hash = rp_hash};

        if (a->session == NULL)
            continue;
        over.attributes = r.auths[i].sessionAttributes;
        over.newer = nonce(&r.auths[i].nonce);
        over.older = nonce(&a->session->caller);
        if (session_hmac(a->session, hmac_auth(a, true), &over, want, e) != 0)
            return -1;
        if (!bytes_equal(bytes_of(want, sizeof(want)),
                         bytes_of(r.auths[i].hmac.buffer, r.auths[i].hmac.size)))
            return err_set(e, E_TAMPERED,
                           "%s: the TPM's response does not verify; something between this "
                           "program and the TPM altered it, or it is not the TPM of this token",
                           what);
        a->session->tpm = r.auths[i].nonce;
    }
    return 0;
}

/* Fresh nonceCaller for every session of the command. */
static int roll(struct exec *x, struct err *e)
{
    for (size_t i = 0; i < x->n_auth; i++) {
        struct session *s = x->auth[i].session;

        if (s != NULL && RAND_bytes(s->caller.buffer, s->caller.size) != 1)
            return err_openssl(e, E_CRYPTO, "random nonce");
    }
    return 0;
}

int exec_run(struct tpm *t, struct exec *x, const char *what, struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TSS2L_SYS_AUTH_COMMAND auths = {0};
    uint8_t cp_hash[32];
    TSS2_RC sapi;
    int rc = -1;

    if (sys == NULL || roll(x, e) != 0)
        return -1;
    for (size_t i = 0; i < x->n_auth; i++) {
        if (x->auth[i].decrypt && encrypt_first(sys, &x->auth[i], e) != 0)
            return -1;
    }
    if (p_hash(sys, x, false, cp_hash, e) != 0 || command_auths(x, cp_hash, &auths, e) != 0)
        goto out;
    if (x->n_auth != 0 && exec_sapi(Tss2_Sys_SetCmdAuths(sys, &auths), what, e) != 0)
        goto out;
    sapi = Tss2_Sys_Execute(sys);
    if (sapi != TSS2_RC_SUCCESS) {
        struct err why = {.rc = sapi};

        /* A reset, or a response that was lost: the TPM's nonces may have rolled without
         * ours, and an HMAC over old ones would count as a wrong PIN. */
        if (tpm_is_stale(&why))
            tpm_lost(t);
        if (rc_is_transport(sapi) && tpm_failure(t, e) != 0)
            (void)err_prefix(e, "%s", what);
        (void)rc_fail(e, sapi, what);
        goto out;
    }
    if (x->n_auth != 0 && check_response(x, sys, what, e) != 0) {
        for (size_t i = 0; i < x->n_auth; i++) {
            if (x->auth[i].session != NULL)
                session_end(t, x->auth[i].session);
        }
        goto out;
    }
    for (size_t i = 0; i < x->n_auth; i++) {
        if (x->auth[i].encrypt && decrypt_first(sys, &x->auth[i], e) != 0)
            goto out;
    }
    for (size_t i = 0; i < x->n_auth; i++) {
        if (x->auth[i].session != NULL && x->auth[i].last) {
            tpm_ended(t, x->auth[i].session->handle);
            session_gone(x->auth[i].session);
        }
    }
    rc = 0;
out:
    secret_wipe(&auths, sizeof(auths));
    return rc;
}
