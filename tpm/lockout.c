#include "tpm/lockout.h"

#include "core/secret.h"
#include "core/tpmname.h"
#include "tpm/ctx.h"
#include "tpm/rc.h"

#include <string.h>

#define RECOVERY_TIME 3600
#define LOCKOUT_RECOVERY 86400

int lockout_read(struct tpm *t, struct lockout_state *out, struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPMS_CAPABILITY_DATA data = {0};
    struct lockout_state s = {0};
    TPMI_YES_NO more;
    TSS2_RC rc;

    if (sys == NULL)
        return -1;
    rc = Tss2_Sys_GetCapability(sys, NULL, TPM2_CAP_TPM_PROPERTIES, TPM2_PT_VAR,
                                TPM2_MAX_TPM_PROPERTIES, &more, &data, NULL);
    if (rc != TSS2_RC_SUCCESS)
        return rc_fail(e, rc, "reading the TPM's lockout state");
    for (uint32_t i = 0; i < data.data.tpmProperties.count; i++) {
        const TPMS_TAGGED_PROPERTY *p = &data.data.tpmProperties.tpmProperty[i];

        switch (p->property) {
        case TPM2_PT_PERMANENT:
            s.owner_set = (p->value & TPMA_PERMANENT_OWNERAUTHSET) != 0;
            s.auth_set = (p->value & TPMA_PERMANENT_LOCKOUTAUTHSET) != 0;
            s.in_lockout = (p->value & TPMA_PERMANENT_INLOCKOUT) != 0;
            break;
        case TPM2_PT_LOCKOUT_COUNTER: s.count = p->value; break;
        case TPM2_PT_MAX_AUTH_FAIL: s.max_tries = p->value; break;
        case TPM2_PT_LOCKOUT_INTERVAL: s.interval = p->value; break;
        case TPM2_PT_LOCKOUT_RECOVERY: s.recovery = p->value; break;
        default: break;
        }
    }
    *out = s;
    return 0;
}

int lockout_secure(struct tpm *t, struct session *main, const uint8_t auth[32], struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    struct bytes fresh = {auth, 32};
    TPM2B_AUTH a = {.size = 32};
    TPM2B_NAME name;
    struct exec params = {.name = {&name}, .n_names = 1, .n_auth = 1};
    struct exec change = {.name = {&name}, .n_names = 1, .n_auth = 1};
    int rc = -1;

    if (sys == NULL)
        return -1;
    tpmname_handle(TPM2_RH_LOCKOUT, &name);
    params.auth[0] = (struct exec_auth){.session = main};
    change.auth[0] = (struct exec_auth){.session = main, .decrypt = true, .new_auth = &fresh};
    memcpy(a.buffer, auth, 32);
    if (exec_sapi(Tss2_Sys_DictionaryAttackParameters_Prepare(sys, TPM2_RH_LOCKOUT, LOCKOUT_TRIES,
                                                              RECOVERY_TIME, LOCKOUT_RECOVERY),
                  "setting the lockout parameters", e) != 0 ||
        exec_run(t, &params, "setting the lockout parameters", e) != 0 ||
        exec_sapi(Tss2_Sys_DictionaryAttackParameters_Complete(sys),
                  "setting the lockout parameters", e) != 0)
        goto out;
    if (exec_sapi(Tss2_Sys_HierarchyChangeAuth_Prepare(sys, TPM2_RH_LOCKOUT, &a),
                  "setting lockoutAuth", e) != 0 ||
        exec_run(t, &change, "setting lockoutAuth", e) != 0 ||
        exec_sapi(Tss2_Sys_HierarchyChangeAuth_Complete(sys), "setting lockoutAuth", e) != 0)
        goto out;
    rc = 0;
out:
    secret_wipe(&a, sizeof(a));
    return rc;
}
