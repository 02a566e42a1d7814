#include "tpm/survey.h"

#include "core/tpmname.h"
#include "tpm/ctx.h"
#include "tpm/rc.h"

int survey_handles(struct tpm *t, uint32_t first, uint32_t last, uint32_t *out, size_t max,
                   size_t *n, struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    uint32_t next = first;
    TPMI_YES_NO more = 1;
    size_t found = 0;

    if (sys == NULL)
        return -1;
    while (more != 0 && found < max && next >= first && next <= last) {
        TPMS_CAPABILITY_DATA data = {0};
        const TPML_HANDLE *list = &data.data.handles;
        TSS2_RC rc = Tss2_Sys_GetCapability(sys, NULL, TPM2_CAP_HANDLES, next, TPM2_MAX_CAP_HANDLES,
                                            &more, &data, NULL);

        if (rc != TSS2_RC_SUCCESS)
            return rc_fail(e, rc, "listing the TPM's handles");
        for (uint32_t i = 0; i < list->count && found < max && list->handle[i] <= last; i++)
            out[found++] = list->handle[i];
        if (list->count == 0)
            break;
        next = list->handle[list->count - 1] + 1;
    }
    *n = found;
    return 0;
}

int survey_public(struct tpm *t, uint32_t handle, struct buf *wire, struct err *e)
{
    TPM2B_NAME name = {.size = sizeof(name.name)}, qualified = {.size = sizeof(qualified.name)};
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPM2B_PUBLIC pub = {0};
    TSS2_RC rc;

    if (sys == NULL)
        return -1;
    rc = Tss2_Sys_ReadPublic(sys, handle, NULL, &pub, &name, &qualified, NULL);
    if (rc_base(rc) == TPM2_RC_HANDLE)
        return err_set_rc(e, E_NOT_FOUND, rc, "the TPM has no key at 0x%08x", handle);
    if (rc != TSS2_RC_SUCCESS)
        return rc_fail(e, rc, "reading a key's public area");
    return tpmname_marshal_public(&pub.publicArea, wire, e);
}

int survey_room(struct tpm *t, uint32_t *objects, uint32_t *sessions, struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPMS_CAPABILITY_DATA data = {0};
    TPMI_YES_NO more;
    TSS2_RC rc;

    if (sys == NULL)
        return -1;
    rc = Tss2_Sys_GetCapability(sys, NULL, TPM2_CAP_TPM_PROPERTIES, TPM2_PT_VAR,
                                TPM2_MAX_TPM_PROPERTIES, &more, &data, NULL);
    if (rc != TSS2_RC_SUCCESS)
        return rc_fail(e, rc, "reading the TPM's room");
    *objects = *sessions = 0;
    for (uint32_t i = 0; i < data.data.tpmProperties.count; i++) {
        const TPMS_TAGGED_PROPERTY *p = &data.data.tpmProperties.tpmProperty[i];

        if (p->property == TPM2_PT_HR_TRANSIENT_AVAIL)
            *objects = p->value;
        else if (p->property == TPM2_PT_HR_LOADED_AVAIL)
            *sessions = p->value;
    }
    return 0;
}
