#include "tpm/lockout.h"

#include "core/tpmname.h"
#include "tpm/capability.h"
#include "tpm/ctx.h"
#include "tpm/hierarchy.h"

#define RECOVERY_TIME 3600
#define LOCKOUT_RECOVERY 86400

int lockout_read(struct tpm *t, struct lockout_state *out, struct err *e)
{
    return lockout_read_in(t, NULL, out, e);
}

int lockout_read_in(struct tpm *t, struct session *session, struct lockout_state *out,
                    struct err *e)
{
    struct lockout_state s = {0};
    TPMS_CAPABILITY_DATA data;

    if (capability_read(t, session, TPM2_CAP_TPM_PROPERTIES, TPM2_PT_VAR, TPM2_MAX_TPM_PROPERTIES,
                        &data, e) != 0)
        return -1;
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

static int set_parameters(struct tpm *t, struct session *main, struct bytes auth, struct err *e)
{
    const char *what = "setting the lockout parameters";
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPM2B_NAME name;
    struct exec x = {.name = {&name}, .n_names = 1, .n_auth = 1};

    if (sys == NULL)
        return -1;
    tpmname_handle(TPM2_RH_LOCKOUT, &name);
    x.auth[0] = (struct exec_auth){.session = main, .auth = auth};
    if (exec_sapi(Tss2_Sys_DictionaryAttackParameters_Prepare(sys, TPM2_RH_LOCKOUT, LOCKOUT_TRIES,
                                                              RECOVERY_TIME, LOCKOUT_RECOVERY),
                  what, e) != 0 ||
        exec_run(t, &x, what, e) != 0)
        return -1;
    return exec_sapi(Tss2_Sys_DictionaryAttackParameters_Complete(sys), what, e);
}

int lockout_secure(struct tpm *t, struct session *main, const uint8_t auth[32], bool *set,
                   struct err *e)
{
    static const struct bytes none = {NULL, 0};
    struct bytes fresh = {auth, 32};

    *set = false;
    /* Before, so that they are there whatever happens next; and again when nobody else can. */
    if (set_parameters(t, main, none, e) != 0 ||
        hierarchy_set_auth(t, main, TPM2_RH_LOCKOUT, none, fresh, e) != 0)
        return -1;
    *set = true;
    if (hierarchy_no_policy(t, main, TPM2_RH_LOCKOUT, fresh, e) != 0)
        return -1;
    return set_parameters(t, main, fresh, e);
}
