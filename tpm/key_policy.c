#include "tpm/key_policy.h"

#include "tpm/pcr.h"

#include <string.h>

/* Duplication takes a policy in which its command code stands (Part 1, 19.2: DUP role). */
static int may_leave(struct tpmpolicy *out, struct err *e)
{
    *out = (struct tpmpolicy){{0}};
    if (tpmpolicy_authvalue(out, e) != 0)
        return -1;
    return tpmpolicy_command(out, TPM2_CC_Duplicate, e);
}

int key_policy_check(const struct key_spec *spec, struct err *e)
{
    if (spec->mode != STORE_KEY_SESSION && spec->mode != STORE_KEY_NONE)
        return err_set(e, E_UNSUPPORTED, "this authorisation mode is not available yet");
    if (spec->extractable && spec->mode != STORE_KEY_SESSION)
        return err_set(e, E_UNSUPPORTED,
                       "a key that may leave the TPM must be one that is used after login");
    if (spec->extractable && spec->pcrs.hash != 0)
        return err_set(e, E_UNSUPPORTED, "a key that may leave the TPM cannot be bound to PCRs");
    return pcr_check(&spec->pcrs, e);
}

/* What each use has to satisfy. */
static int for_use(const struct key_spec *spec, const struct pcr_bound *pcrs, struct tpmpolicy *out,
                   struct err *e)
{
    struct bytes digest = bytes_of(pcrs->digest.buffer, pcrs->digest.size);

    *out = (struct tpmpolicy){{0}};
    if (tpmpolicy_pcr(out, &pcrs->selection, digest, e) != 0)
        return -1;
    return spec->mode == STORE_KEY_NONE ? 0 : tpmpolicy_authvalue(out, e);
}

int key_policy_set(const struct key_spec *spec, const struct pcr_bound *pcrs, TPMT_PUBLIC *area,
                   struct err *e)
{
    bool bound = pcrs != NULL && pcrs->selection.count != 0;
    TPMA_OBJECT drop = 0;
    struct tpmpolicy p;

    if (spec->extractable) {
        drop = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT;
        if (may_leave(&p, e) != 0)
            return -1;
    } else if (bound) {
        drop = TPMA_OBJECT_USERWITHAUTH;
        if (for_use(spec, pcrs, &p, e) != 0)
            return -1;
    } else {
        return 0;
    }
    area->objectAttributes &= (TPMA_OBJECT)~drop;
    area->authPolicy.size = sizeof(p.d);
    memcpy(area->authPolicy.buffer, p.d, sizeof(p.d));
    return 0;
}

int key_policy_extractable(const TPMT_PUBLIC *area, struct err *e)
{
    struct tpmpolicy p;

    if ((area->objectAttributes & (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT)) != 0)
        return 0;
    if (may_leave(&p, e) != 0)
        return -1;
    return bytes_equal(bytes_of(area->authPolicy.buffer, area->authPolicy.size),
                       bytes_of(p.d, sizeof(p.d)));
}
