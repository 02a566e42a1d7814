#include "tpm/hierarchy.h"

#include "core/secret.h"
#include "core/tpmname.h"
#include "tpm/capability.h"
#include "tpm/ctx.h"
#include "tpm/rc.h"

#include <string.h>

int hierarchy_set_auth(struct tpm *t, struct session *main, uint32_t hierarchy, struct bytes old,
                       struct bytes fresh, struct err *e)
{
    const char *what = hierarchy == TPM2_RH_LOCKOUT ? "setting the lockout authorisation"
                                                    : "setting the owner authorisation";
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPM2B_AUTH a = {.size = (UINT16)fresh.len};
    TPM2B_NAME name;
    struct exec x = {.name = {&name}, .n_names = 1, .n_auth = 1};
    int rc = -1;

    if (sys == NULL)
        return -1;
    if (fresh.len > sizeof(a.buffer))
        return err_set(e, E_ARG, "an authorisation value is too long");
    if (fresh.len != 0)
        memcpy(a.buffer, fresh.p, fresh.len);
    tpmname_handle(hierarchy, &name);
    x.auth[0] =
        (struct exec_auth){.session = main, .auth = old, .decrypt = true, .new_auth = &fresh};
    if (exec_sapi(Tss2_Sys_HierarchyChangeAuth_Prepare(sys, hierarchy, &a), what, e) == 0 &&
        exec_run(t, &x, what, e) == 0)
        rc = exec_sapi(Tss2_Sys_HierarchyChangeAuth_Complete(sys), what, e);
    secret_wipe(&a, sizeof(a));
    return rc;
}

int hierarchy_no_policy(struct tpm *t, struct session *main, uint32_t hierarchy, struct bytes auth,
                        struct err *e)
{
    const char *what = hierarchy == TPM2_RH_LOCKOUT ? "emptying the lockout policy"
                                                    : "emptying the owner policy";
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    const TPM2B_DIGEST none = {0};
    TPM2B_NAME name;
    struct exec x = {.name = {&name}, .n_names = 1, .n_auth = 1};
    struct err why = {0};

    if (sys == NULL)
        return -1;
    tpmname_handle(hierarchy, &name);
    x.auth[0] = (struct exec_auth){.session = main, .auth = auth};
    if (exec_sapi(Tss2_Sys_SetPrimaryPolicy_Prepare(sys, hierarchy, &none, TPM2_ALG_NULL), what,
                  e) != 0)
        return -1;
    if (exec_run(t, &x, what, &why) != 0)
        /* A TPM without this command has no such policies. */
        return why.rc == TPM2_RC_COMMAND_CODE ? 0 : err_take(e, &why);
    return exec_sapi(Tss2_Sys_SetPrimaryPolicy_Complete(sys), what, e);
}

/* TPM_RH_OWNER is the first of the permanent handles that have one, TPM_RH_PLATFORM the last. */
#define HANDLES 16

int hierarchy_policies(struct tpm *t, struct session *session, struct hierarchy_policies *out,
                       struct err *e)
{
    struct hierarchy_policies p = {0};
    TPMS_CAPABILITY_DATA data;
    struct err why = {0};

    if (capability_read(t, session, TPM2_CAP_AUTH_POLICIES, TPM2_RH_OWNER, HANDLES, &data, &why) !=
        0) {
        if (rc_base(why.rc) != TPM2_RC_VALUE)
            return err_take(e, &why);
        data.data.authPolicies.count = 0;
    }
    for (uint32_t i = 0; i < data.data.authPolicies.count; i++) {
        const TPMS_TAGGED_POLICY *one = &data.data.authPolicies.policies[i];
        bool set = one->policyHash.hashAlg != TPM2_ALG_NULL;

        if (one->handle == TPM2_RH_OWNER)
            p.owner = set;
        else if (one->handle == TPM2_RH_LOCKOUT)
            p.lockout = set;
    }
    *out = p;
    return 0;
}
