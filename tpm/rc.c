#include "tpm/rc.h"

#include <tss2/tss2_rc.h>

/* Response codes that say more to a person than their name does. */
static const struct {
    TSS2_RC base;
    enum err_code code;
    const char *say;
} table[] = {
    {TPM2_RC_LOCKOUT, E_LOCKOUT,
     "the TPM is in dictionary-attack lockout for all its users; wait for its recovery time or "
     "use the recovery code"},
    {TPM2_RC_OBJECT_MEMORY, E_BUSY, "the TPM has no free object slot; another process holds them"},
    {TPM2_RC_SESSION_MEMORY, E_BUSY,
     "the TPM has no free session slot; another process holds them"},
    {TPM2_RC_OBJECT_HANDLES, E_BUSY, "the TPM has no free object handle"},
    {TPM2_RC_SESSION_HANDLES, E_BUSY, "the TPM has no free session handle"},
    {TPM2_RC_MEMORY, E_BUSY, "the TPM is out of working memory; try again"},
    {TPM2_RC_RETRY, E_BUSY, "the TPM kept asking to try again"},
    {TPM2_RC_YIELDED, E_BUSY, "the TPM kept asking to try again"},
    {TPM2_RC_TESTING, E_BUSY, "the TPM is still testing itself"},
    {TPM2_RC_CONTEXT_GAP, E_BUSY,
     "the TPM takes no more sessions, since the oldest that is saved is too old: a process that "
     "has one is stopped, or a resource manager was killed and left it there; end the one, or "
     "restart the other with --flush-all"},
    {TPM2_RC_NV_RATE, E_BUSY, "the TPM limits NV writes; try again in a while"},
    {TPM2_RC_NV_UNAVAILABLE, E_BUSY, "the TPM's NV memory is not available now"},
    {TPM2_RC_NV_SPACE, E_FULL,
     "the TPM's NV memory is full; erase a token or other NV indices first"},
    {TPM2_RC_NV_DEFINED, E_EXISTS, "the NV index exists already"},
    {TPM2_RC_INITIALIZE, E_NO_DEVICE, "the TPM was not started up (TPM2_Startup)"},
    {TPM2_RC_FAILURE, E_NO_DEVICE, "the TPM is in failure mode; it needs a reset"},
    {TPM2_RC_AUTH_MISSING, E_DENIED, "an authorisation is missing"},
    {TPM2_RC_AUTH_UNAVAILABLE, E_DENIED, "the authorisation value may not be used here"},
    {TPM2_RC_AUTH_FAIL, E_DENIED, "wrong authorisation value"},
    {TPM2_RC_BAD_AUTH, E_DENIED, "wrong authorisation value"},
    {TPM2_RC_POLICY_FAIL, E_DENIED, "the policy is not satisfied"},
    {TPM2_RC_COMMAND_CODE, E_UNSUPPORTED, "this TPM does not have the command"},
    {TPM2_RC_CURVE, E_UNSUPPORTED, "this TPM does not have the curve"},
};

TSS2_RC rc_base(TSS2_RC rc)
{
    if ((rc & TSS2_RC_LAYER_MASK) != 0)
        return rc;
    return (rc & TPM2_RC_FMT1) != 0 ? rc & 0xBF : rc;
}

bool rc_is_transport(TSS2_RC rc)
{
    /* SAPI's own two: what came back is no response. Its others blame the caller. */
    return (rc & TSS2_RC_LAYER_MASK) == TSS2_TCTI_RC_LAYER ||
           rc == TSS2_SYS_RC_MALFORMED_RESPONSE || rc == TSS2_SYS_RC_INSUFFICIENT_RESPONSE;
}

int rc_fail(struct err *e, TSS2_RC rc, const char *what)
{
    TSS2_RC base = rc_base(rc);

    if (rc_is_transport(rc))
        return err_set_rc(e, E_REMOVED, rc,
                          "%s: the TPM stopped answering (%s); check that it is there and that "
                          "nothing else holds it",
                          what, Tss2_RC_Decode(rc));
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].base == base)
            return err_set_rc(e, table[i].code, rc, "%s: %s (0x%03x)", what, table[i].say, rc);
    }
    return err_set_rc(e, E_TPM, rc, "%s: %s (0x%03x)", what, Tss2_RC_Decode(rc), rc);
}
