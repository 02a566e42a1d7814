#include "tpm/owner.h"

#include "core/secret.h"
#include "core/tpmname.h"
#include "tpm/ctx.h"
#include "tpm/exec.h"
#include "tpm/rc.h"

#include <string.h>

#define HOW                                                                              \
    "name a file that holds it with --owner-auth-file, or, where a token of this store " \
    "keeps it, that token with --owner-token"

int owner_know(struct tpm *t, struct bytes auth, bool ours, struct err *e)
{
    struct secret *s = NULL;

    while (auth.len > 0 && auth.p[auth.len - 1] == 0)
        auth.len--;
    if (auth.len > sizeof(TPMU_HA))
        return err_set(e, E_ARG, "an owner authorisation has at most %zu bytes, not %zu",
                       sizeof(TPMU_HA), auth.len);
    if (auth.len > 0 && (s = secret_copy(auth.p, auth.len, e)) == NULL)
        return -1;
    tpm_set_owner(t, s, s != NULL && ours);
    return 0;
}

void owner_forget(struct tpm *t)
{
    tpm_set_owner(t, NULL, false);
}

struct bytes owner_auth(const struct tpm *t)
{
    bool ours;

    return secret_bytes(tpm_owner(t, &ours));
}

bool owner_is_ours(const struct tpm *t)
{
    bool ours;

    (void)tpm_owner(t, &ours);
    return ours;
}

int owner_ready(struct tpm *t, bool set, struct err *e)
{
    if (!set)
        owner_forget(t);
    else if (owner_auth(t).len == 0)
        return err_set(e, E_DENIED,
                       "the TPM's owner authorisation is set, and not known here; " HOW);
    return 0;
}

int owner_failed(const struct tpm *t, const struct err *why, struct err *e)
{
    TSS2_RC base = rc_base(why->rc);

    if (base != TPM2_RC_BAD_AUTH && base != TPM2_RC_AUTH_FAIL)
        return err_take(e, why);
    if (owner_auth(t).len != 0)
        return err_set_rc(e, E_DENIED, why->rc,
                          "the TPM's owner authorisation is another than the one given; nothing "
                          "was done");
    return err_set_rc(e, E_DENIED, why->rc,
                      "the TPM's owner authorisation is set, and not known here; " HOW);
}

int owner_change(struct tpm *t, struct session *main, struct bytes fresh, struct err *e)
{
    const char *what = "setting the owner authorisation";
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPM2B_AUTH a = {.size = (UINT16)fresh.len};
    TPM2B_NAME name;
    struct exec x = {.name = {&name}, .n_names = 1, .n_auth = 1};
    struct err why = {0};
    int rc = -1;

    if (sys == NULL)
        return -1;
    if (fresh.len > sizeof(a.buffer))
        return err_set(e, E_ARG, "an authorisation value is too long");
    if (fresh.len != 0)
        memcpy(a.buffer, fresh.p, fresh.len);
    tpmname_handle(TPM2_RH_OWNER, &name);
    x.auth[0] = (struct exec_auth){
        .session = main, .auth = owner_auth(t), .decrypt = true, .new_auth = &fresh};
    if (exec_sapi(Tss2_Sys_HierarchyChangeAuth_Prepare(sys, TPM2_RH_OWNER, &a), what, e) != 0)
        goto out;
    if (exec_run(t, &x, what, &why) != 0) {
        owner_failed(t, &why, e);
        goto out;
    }
    if (exec_sapi(Tss2_Sys_HierarchyChangeAuth_Complete(sys), what, e) != 0)
        goto out;
    rc = owner_know(t, fresh, true, e);
out:
    secret_wipe(&a, sizeof(a));
    return rc;
}
