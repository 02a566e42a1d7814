#include "tpm/owner.h"

#include "core/secret.h"
#include "tpm/ctx.h"
#include "tpm/hierarchy.h"
#include "tpm/rc.h"

#define HOW                                                                              \
    "name a file that holds it with --owner-auth-file, or, where a token of this store " \
    "keeps it, be it an unfinished one, that token with --owner-token"

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
    struct err why = {0};

    if (hierarchy_set_auth(t, main, TPM2_RH_OWNER, owner_auth(t), fresh, &why) != 0)
        return owner_failed(t, &why, e);
    if (owner_know(t, fresh, true, e) != 0)
        return -1;
    return fresh.len != 0 ? owner_close(t, main, e) : 0;
}

int owner_close(struct tpm *t, struct session *main, struct err *e)
{
    struct err why = {0};

    if (hierarchy_no_policy(t, main, TPM2_RH_OWNER, owner_auth(t), &why) != 0)
        return owner_failed(t, &why, e);
    return 0;
}
