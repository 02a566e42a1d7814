#include "tpm/primary.h"

#include "core/log.h"
#include "core/tpmname.h"
#include "tpm/ctx.h"
#include "tpm/exec.h"
#include "tpm/owner.h"
#include "tpm/rc.h"

/* TCG handle registry, 2.3.1: persistent objects of the owner, storage keys. */
#define FIRST_HANDLE 0x81000001U
#define HANDLES 8

#define MUST_HAVE                                                            \
    (TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT | TPMA_OBJECT_FIXEDTPM |   \
     TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA | TPMA_OBJECT_USERWITHAUTH | \
     TPMA_OBJECT_SENSITIVEDATAORIGIN)

void primary_template(bool ecc, TPMT_PUBLIC *out)
{
    TPMT_SYM_DEF_OBJECT sym = {
        .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB};

    *out = (TPMT_PUBLIC){.nameAlg = TPM2_ALG_SHA256, .objectAttributes = MUST_HAVE};
    if (ecc) {
        out->type = TPM2_ALG_ECC;
        out->parameters.eccDetail.symmetric = sym;
        out->parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
        out->parameters.eccDetail.curveID = TPM2_ECC_NIST_P256;
        out->parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
    } else {
        out->type = TPM2_ALG_RSA;
        out->parameters.rsaDetail.symmetric = sym;
        out->parameters.rsaDetail.scheme.scheme = TPM2_ALG_NULL;
        out->parameters.rsaDetail.keyBits = 2048;
    }
}

/* noDA on the parent is what keeps a power cut from counting as a failed guess. */
static bool fits(const TPMT_PUBLIC *p)
{
    return (p->objectAttributes & MUST_HAVE) == MUST_HAVE && p->nameAlg == TPM2_ALG_SHA256 &&
           ((p->type == TPM2_ALG_ECC && p->parameters.eccDetail.curveID == TPM2_ECC_NIST_P256) ||
            (p->type == TPM2_ALG_RSA && p->parameters.rsaDetail.keyBits == 2048));
}

/* A primary key of `hierarchy` in a transient slot. With `session` the command is authorised
 * by `auth` in it, else by an empty authValue. */
static int make(struct tpm *t, TPMI_RH_HIERARCHY hierarchy, struct session *session,
                struct bytes auth, TPM2_HANDLE *h, TPM2B_PUBLIC *out, struct err *e)
{
    const char *what = "creating the storage primary";
    TPM2B_SENSITIVE_CREATE sensitive = {0};
    TPM2B_PUBLIC in = {0};
    TPML_PCR_SELECTION pcr = {0};
    TPM2B_DATA outside = {0};
    TPM2B_CREATION_DATA data = {0};
    TPM2B_DIGEST digest = {.size = sizeof(digest.buffer)};
    TPMT_TK_CREATION ticket = {0};
    TPM2B_NAME name, told = {.size = sizeof(told.name)};
    struct exec x = {.name = {&name}, .n_names = 1, .n_auth = 1};
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    struct tpm_caps caps;

    if (sys == NULL || tpm_caps(t, &caps, e) != 0)
        return -1;
    primary_template(caps.p256, &in.publicArea);
    tpmname_handle(hierarchy, &name);
    x.auth[0] = (struct exec_auth){.session = session, .auth = auth};
    *out = (TPM2B_PUBLIC){0};
    if (exec_sapi(Tss2_Sys_CreatePrimary_Prepare(sys, hierarchy, &sensitive, &in, &outside, &pcr),
                  what, e) != 0 ||
        exec_run(t, &x, what, e) != 0)
        return -1;
    return exec_sapi(Tss2_Sys_CreatePrimary_Complete(sys, h, out, &data, &digest, &ticket, &told),
                     what, e);
}

static int persist(struct tpm *t, struct session *session, TPM2_HANDLE h, const TPM2B_PUBLIC *pub,
                   uint32_t handle, struct err *e)
{
    const char *what = "making the storage primary persistent";
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPM2B_NAME owner, object;
    struct exec x = {.name = {&owner, &object}, .n_names = 2, .n_auth = 1};
    struct buf wire = {0};
    int rc = -1;

    if (sys == NULL)
        return -1;
    tpmname_handle(TPM2_RH_OWNER, &owner);
    x.auth[0] = (struct exec_auth){.session = session, .auth = owner_auth(t)};
    if (tpmname_marshal_public(&pub->publicArea, &wire, e) == 0 &&
        tpmname_object(buf_bytes(&wire), &object, e) == 0 &&
        exec_sapi(Tss2_Sys_EvictControl_Prepare(sys, TPM2_RH_OWNER, h, handle), what, e) == 0 &&
        exec_run(t, &x, what, e) == 0)
        rc = exec_sapi(Tss2_Sys_EvictControl_Complete(sys), what, e);
    buf_free(&wire);
    return rc;
}

/*
 * Where ownerAuth is not empty it goes into the HMAC of a session, and is no password on the
 * wire. There is no pinned key yet to salt that to: a primary of the null hierarchy keeps
 * listeners from guessing a weak one.
 */
static int salted(struct tpm *t, TPM2_HANDLE *key, struct session *out, struct err *e)
{
    TPM2B_PUBLIC pub;

    if (make(t, TPM2_RH_NULL, NULL, (struct bytes){NULL, 0}, key, &pub, e) != 0)
        return -1;
    return session_start(t, TPM2_SE_HMAC, &(struct salt_key){*key, &pub.publicArea}, out, e);
}

static int create(struct tpm *t, uint32_t handle, TPM2B_PUBLIC *out, struct err *e)
{
    bool known = owner_auth(t).len != 0;
    struct session session = {0}, *use = known ? &session : NULL;
    TPM2_HANDLE salt = 0, h = 0;
    struct err why = {0};
    int rc;

    rc = known ? salted(t, &salt, &session, &why) : 0;
    if (rc == 0)
        rc = make(t, TPM2_RH_OWNER, use, owner_auth(t), &h, out, &why);
    if (rc == 0)
        rc = persist(t, use, h, out, handle, &why);
    session_end(t, &session);
    tpm_flush(t, h);
    tpm_flush(t, salt);
    if (rc != 0)
        return owner_failed(t, &why, e);
    log_info("storage primary made at 0x%08x", handle);
    return 0;
}

int primary_ensure(struct tpm *t, uint32_t *handle, struct buf *wire, struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);

    if (sys == NULL)
        return -1;
    for (uint32_t h = FIRST_HANDLE; h < FIRST_HANDLE + HANDLES; h++) {
        TPM2B_PUBLIC pub = {0};
        TPM2B_NAME name = {.size = sizeof(name.name)}, qn = {.size = sizeof(qn.name)};
        TSS2_RC rc = Tss2_Sys_ReadPublic(sys, h, NULL, &pub, &name, &qn, NULL);

        if (rc_base(rc) == TPM2_RC_HANDLE) {
            if (create(t, h, &pub, e) != 0)
                return -1;
        } else if (rc != TSS2_RC_SUCCESS) {
            return rc_fail(e, rc, "reading the storage primary");
        } else if (!fits(&pub.publicArea)) {
            continue;
        }
        if (tpmname_marshal_public(&pub.publicArea, wire, e) != 0)
            return -1;
        *handle = h;
        return 0;
    }
    return err_set(e, E_FULL,
                   "the persistent handles 0x%08x to 0x%08x hold other keys; free one of them",
                   FIRST_HANDLE, FIRST_HANDLE + HANDLES - 1);
}
