#include "tpm/policy.h"

#include "core/ecc.h"
#include "core/hash.h"
#include "core/secret.h"
#include "core/tpmname.h"
#include "tpm/ctx.h"
#include "tpm/rc.h"

#include <string.h>

int policy_start(struct tpm *t, const struct salt_key *key, struct session *under,
                 struct session *out, struct err *e)
{
    TPM2B_NAME key_name, null_name;
    /* A session beside the handles must encrypt, decrypt or audit (Part 3, 5.6). */
    struct exec x = {
        .name = {&key_name, &null_name},
        .n_names = 2,
        .auth[0] = {.session = under, .encrypt = true},
        .n_auth = 1,
    };
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    const char *what = "opening a policy session with the TPM";
    struct session_salt salt;
    struct session s;
    struct buf wire = {0};
    int rc = -1;

    if (sys == NULL)
        return -1;
    tpmname_handle(TPM2_RH_NULL, &null_name);
    if (session_prepare(TPM2_SE_POLICY, key, &s, &salt, e) != 0 ||
        tpmname_marshal_public(key->pub, &wire, e) != 0 ||
        tpmname_object(buf_bytes(&wire), &key_name, e) != 0 ||
        exec_sapi(Tss2_Sys_StartAuthSession_Prepare(sys, key->handle, TPM2_RH_NULL, &s.caller,
                                                    &salt.encrypted, TPM2_SE_POLICY,
                                                    &salt.symmetric, TPM2_ALG_SHA256),
                  what, e) != 0 ||
        exec_run(t, &x, what, e) != 0 ||
        exec_sapi(Tss2_Sys_StartAuthSession_Complete(sys, &s.handle, &s.tpm), what, e) != 0 ||
        session_finish(&s, &salt, e) != 0)
        goto out;
    *out = s;
    rc = 0;
out:
    if (rc != 0)
        session_end(t, &s);
    secret_wipe(&salt, sizeof(salt));
    session_gone(&s);
    buf_free(&wire);
    return rc;
}

int policy_secret(struct tpm *t, struct session *p, struct session *hmac, uint32_t entity,
                  const TPM2B_NAME *name, struct bytes auth, struct err *e)
{
    TPM2B_NAME session_name;
    struct exec x = {
        .name = {name, &session_name},
        .n_names = 2,
        .auth[0] = {.session = hmac, .auth = auth},
        .n_auth = 1,
    };
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPM2B_NONCE nonce = {0}, ref = {0};
    TPM2B_DIGEST cp_hash = {0};
    TPM2B_TIMEOUT timeout = {.size = sizeof(timeout.buffer)};
    TPMT_TK_AUTH ticket = {0};

    if (sys == NULL)
        return -1;
    tpmname_handle(p->handle, &session_name);
    if (exec_sapi(Tss2_Sys_PolicySecret_Prepare(sys, entity, p->handle, &nonce, &cp_hash, &ref, 0),
                  "proving a secret", e) != 0 ||
        exec_run(t, &x, "proving a secret", e) != 0)
        return -1;
    return exec_sapi(Tss2_Sys_PolicySecret_Complete(sys, &timeout, &ticket), "proving a secret", e);
}

int policy_authvalue(struct tpm *t, struct session *p, struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);

    if (sys == NULL ||
        exec_sapi(Tss2_Sys_PolicyAuthValue(sys, p->handle, NULL, NULL), "PolicyAuthValue", e) != 0)
        return -1;
    p->auth_value = true;
    return 0;
}

int policy_command(struct tpm *t, struct session *p, TPM2_CC code, struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);

    if (sys == NULL)
        return -1;
    return exec_sapi(Tss2_Sys_PolicyCommandCode(sys, p->handle, NULL, code, NULL),
                     "PolicyCommandCode", e);
}

int policy_nvwritten(struct tpm *t, struct session *p, bool written, struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);

    if (sys == NULL)
        return -1;
    return exec_sapi(
        Tss2_Sys_PolicyNvWritten(sys, p->handle, NULL, written ? TPM2_YES : TPM2_NO, NULL),
        "PolicyNvWritten", e);
}

int policy_pcr(struct tpm *t, struct session *p, const TPML_PCR_SELECTION *pcrs,
               const TPM2B_DIGEST *digest, struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);

    if (sys == NULL)
        return -1;
    return exec_sapi(Tss2_Sys_PolicyPCR(sys, p->handle, NULL, digest, pcrs, NULL), "PolicyPCR", e);
}

int policy_or(struct tpm *t, struct session *p, const struct tpmpolicy *branch, size_t n,
              struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPML_DIGEST list = {.count = (UINT32)n};

    if (sys == NULL)
        return -1;
    if (n < 2 || n > ARRAY_LEN(list.digests))
        return err_set(e, E_ARG, "PolicyOR takes 2 to 8 branches, not %zu", n);
    for (size_t i = 0; i < n; i++) {
        list.digests[i].size = sizeof(branch[i].d);
        memcpy(list.digests[i].buffer, branch[i].d, sizeof(branch[i].d));
    }
    return exec_sapi(Tss2_Sys_PolicyOR(sys, p->handle, NULL, &list, NULL), "PolicyOR", e);
}

int policy_signed_by(struct tpm *t, struct session *p, uint32_t key,
                     const struct policy_signature *s, struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPM2B_DIGEST cp_hash = {.size = (UINT16)s->cp_hash.len};
    TPM2B_TIMEOUT timeout = {.size = sizeof(timeout.buffer)};
    TPMT_TK_AUTH ticket = {0};

    if (sys == NULL)
        return -1;
    if (s->cp_hash.len > sizeof(cp_hash.buffer) || s->expiration > INT32_MAX)
        return err_set(e, E_FORMAT, "a signature for a policy is over values that no TPM takes");
    if (s->cp_hash.len != 0)
        memcpy(cp_hash.buffer, s->cp_hash.p, s->cp_hash.len);
    return exec_sapi(Tss2_Sys_PolicySigned(sys, key, p->handle, NULL, &p->tpm, &cp_hash, s->ref,
                                           (INT32)s->expiration, s->signature, &timeout, &ticket,
                                           NULL),
                     "PolicySigned", e);
}

int policy_authorize(struct tpm *t, struct session *p, const struct tpmpolicy *approved,
                     const TPM2B_NONCE *ref, const TPM2B_NAME *key, const TPMT_TK_VERIFIED *ticket,
                     struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPM2B_DIGEST digest = {.size = sizeof(approved->d)};

    if (sys == NULL)
        return -1;
    memcpy(digest.buffer, approved->d, sizeof(approved->d));
    return exec_sapi(
        Tss2_Sys_PolicyAuthorize(sys, p->handle, NULL, &digest, ref, key, ticket, NULL),
        "PolicyAuthorize", e);
}

int policy_signed(struct tpm *t, struct session *p, uint32_t key, const uint8_t d[32],
                  struct err *e)
{
    const struct alg_curve *curve = alg_curve_of(TPM2_ECC_NIST_P256);
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPMT_SIGNATURE sig = {.sigAlg = TPM2_ALG_ECDSA};
    TPM2B_NONCE nonce = p->tpm, ref = {0};
    TPM2B_DIGEST cp_hash = {0};
    TPM2B_TIMEOUT timeout = {.size = sizeof(timeout.buffer)};
    TPMT_TK_AUTH ticket = {0};
    struct buf in = {0};
    uint8_t digest[32], rs[64];
    int rc = -1;

    if (sys == NULL)
        return -1;
    /* aHash: nonceTPM ‖ expiration ‖ cpHashA ‖ policyRef (Part 3, 23.3.1). */
    buf_add(&in, p->tpm.buffer, p->tpm.size);
    buf_u32(&in, 0);
    if (buf_ok(&in, e) != 0 || hash_sha256(buf_bytes(&in), digest, e) != 0 ||
        ecc_sign(curve, d, bytes_of(digest, sizeof(digest)), rs, e) != 0)
        goto out;
    sig.signature.ecdsa.hash = TPM2_ALG_SHA256;
    sig.signature.ecdsa.signatureR.size = 32;
    sig.signature.ecdsa.signatureS.size = 32;
    memcpy(sig.signature.ecdsa.signatureR.buffer, rs, 32);
    memcpy(sig.signature.ecdsa.signatureS.buffer, rs + 32, 32);
    rc = exec_sapi(Tss2_Sys_PolicySigned(sys, key, p->handle, NULL, &nonce, &cp_hash, &ref, 0, &sig,
                                         &timeout, &ticket, NULL),
                   "PolicySigned", e);
out:
    buf_free(&in);
    return rc;
}
