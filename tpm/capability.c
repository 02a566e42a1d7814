#include "tpm/capability.h"

#include "tpm/ctx.h"
#include "tpm/rc.h"

int capability_read(struct tpm *t, struct session *session, TPM2_CAP which, uint32_t first,
                    uint32_t count, TPMS_CAPABILITY_DATA *out, struct err *e)
{
    const char *what = "asking the TPM about itself";
    struct exec x = {.auth[0] = {.session = session, .audit = true}, .n_auth = 1};
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPMI_YES_NO more = 0;
    TSS2_RC rc;

    *out = (TPMS_CAPABILITY_DATA){0};
    if (sys == NULL)
        return -1;
    if (session == NULL) {
        rc = Tss2_Sys_GetCapability(sys, NULL, which, first, count, &more, out, NULL);
        return rc == TSS2_RC_SUCCESS ? 0 : rc_fail(e, rc, what);
    }
    if (exec_sapi(Tss2_Sys_GetCapability_Prepare(sys, which, first, count), what, e) != 0 ||
        exec_run(t, &x, what, e) != 0)
        return -1;
    return exec_sapi(Tss2_Sys_GetCapability_Complete(sys, &more, out), what, e);
}

int capability_pin_fail(struct tpm *t, struct session *session, bool *has, struct err *e)
{
    TPMS_CAPABILITY_DATA data;
    const TPML_TAGGED_TPM_PROPERTY *p = &data.data.tpmProperties;

    if (capability_read(t, session, TPM2_CAP_TPM_PROPERTIES, TPM2_PT_REVISION, 1, &data, e) != 0)
        return -1;
    if (p->count == 0 || p->tpmProperty[0].property != TPM2_PT_REVISION)
        return err_set(e, E_TPM, "the TPM does not say which revision it is of");
    *has = p->tpmProperty[0].value >= CAPS_PIN_FAIL;
    return 0;
}
