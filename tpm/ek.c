#include "tpm/ek.h"

#include "core/ektemplate.h"
#include "core/tpmname.h"
#include "tpm/exec.h"
#include "tpm/rc.h"

#include <string.h>

/* Persistent handles of endorsement keys (TCG handle registry, 2.3.1). */
#define EK_FIRST 0x81010000U
#define EK_LAST 0x8101FFFFU

/* Is the object at `h` made from the template? Then its Name is noted. */
static bool is_ek(struct tpm *t, TPM2_HANDLE h, const TPMT_PUBLIC *want, TPM2B_NAME *name)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, NULL);
    TPM2B_NAME told = {.size = sizeof(told.name)}, qn = {.size = sizeof(qn.name)};
    TPM2B_PUBLIC pub = {0};
    struct buf wire = {0};
    bool same;

    if (sys == NULL || Tss2_Sys_ReadPublic(sys, h, NULL, &pub, &told, &qn, NULL) != TSS2_RC_SUCCESS)
        return false;
    same =
        pub.publicArea.type == want->type && pub.publicArea.nameAlg == want->nameAlg &&
        pub.publicArea.objectAttributes == want->objectAttributes &&
        pub.publicArea.authPolicy.size == want->authPolicy.size &&
        memcmp(pub.publicArea.authPolicy.buffer, want->authPolicy.buffer, want->authPolicy.size) ==
            0 &&
        (want->type == TPM2_ALG_ECC
             ? pub.publicArea.parameters.eccDetail.curveID == want->parameters.eccDetail.curveID
             : pub.publicArea.parameters.rsaDetail.keyBits == want->parameters.rsaDetail.keyBits);
    same = same && tpmname_marshal_public(&pub.publicArea, &wire, NULL) == 0 &&
           tpmname_object(buf_bytes(&wire), name, NULL) == 0;
    buf_free(&wire);
    return same;
}

static bool find_persistent(struct tpm *t, const TPMT_PUBLIC *want, struct ek *out)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, NULL);
    TPMS_CAPABILITY_DATA data = {0};
    TPMI_YES_NO more;

    if (sys == NULL || Tss2_Sys_GetCapability(sys, NULL, TPM2_CAP_HANDLES, EK_FIRST, 32, &more,
                                              &data, NULL) != TSS2_RC_SUCCESS)
        return false;
    for (uint32_t i = 0; i < data.data.handles.count; i++) {
        TPM2_HANDLE h = data.data.handles.handle[i];

        if (h >= EK_FIRST && h <= EK_LAST && is_ek(t, h, want, &out->name)) {
            out->handle = h;
            return true;
        }
    }
    return false;
}

static int create(struct tpm *t, const TPMT_PUBLIC *template, struct ek *out, struct err *e)
{
    TSS2L_SYS_AUTH_COMMAND auth = {.count = 1, .auths[0].sessionHandle = TPM2_RS_PW};
    TPM2B_SENSITIVE_CREATE sensitive = {0};
    TPM2B_PUBLIC in = {.publicArea = *template}, pub = {0};
    TPML_PCR_SELECTION pcr = {0};
    TPM2B_DATA outside = {0};
    TPM2B_CREATION_DATA data = {0};
    TPM2B_DIGEST digest = {.size = sizeof(digest.buffer)};
    TPMT_TK_CREATION ticket = {0};
    TPM2B_NAME told = {.size = sizeof(told.name)};
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    struct buf wire = {0};
    int rc = -1;

    if (sys == NULL)
        return -1;
    if (exec_sapi(Tss2_Sys_CreatePrimary(sys, TPM2_RH_ENDORSEMENT, &auth, &sensitive, &in, &outside,
                                         &pcr, &out->handle, &pub, &data, &digest, &ticket, &told,
                                         NULL),
                  "creating the endorsement key", e) != 0)
        return -1;
    out->transient = true;
    if (tpmname_marshal_public(&pub.publicArea, &wire, e) == 0 &&
        tpmname_object(buf_bytes(&wire), &out->name, e) == 0)
        rc = 0;
    buf_free(&wire);
    return rc;
}

int ek_find(struct tpm *t, uint32_t ek_index, struct ek *out, struct err *e)
{
    TPMT_PUBLIC template;

    *out = (struct ek){.template = ektemplate_of(ek_index)};
    if (out->template == NULL || ektemplate_public(ek_index, &template, e) != 0)
        return err_set(e, E_UNSUPPORTED, "no EK template is known for NV index 0x%08x", ek_index);
    /* The EK, its child and their loading take every slot that a chip has. */
    held_flush_all(t);
    if (find_persistent(t, &template, out))
        return 0;
    return create(t, &template, out, e);
}

int ek_open(struct token *k, uint32_t ek_index, struct ek *out, struct err *e)
{
    return ek_find(k->tpm, ek_index, out, e);
}

void ek_leave(struct tpm *t, struct ek *ek)
{
    session_end(t, &ek->policy);
    if (ek->transient && ek->handle != 0)
        tpm_flush(t, ek->handle);
    *ek = (struct ek){0};
}

void ek_close(struct token *k, struct ek *ek)
{
    ek_leave(k->tpm, ek);
}

int ek_parent(struct token *k, struct ek *ek, struct key_parent *out, struct err *e)
{
    struct session *main = token_session(k, e);
    TPM2B_NAME endorsement;

    if (main == NULL)
        return -1;
    *out = (struct key_parent){.handle = ek->handle, .name = &ek->name, .session = main};
    if (!ek->template->policy)
        return 0;
    tpmname_handle(TPM2_RH_ENDORSEMENT, &endorsement);
    session_end(k->tpm, &ek->policy);
    if (session_start(k->tpm, TPM2_SE_POLICY, &k->salt, &ek->policy, e) != 0 ||
        policy_secret(k->tpm, &ek->policy, main, TPM2_RH_ENDORSEMENT, &endorsement,
                      (struct bytes){NULL, 0}, e) != 0)
        return -1;
    out->session = &ek->policy;
    return 0;
}
