#include "tpm/key_policy.h"

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
    return 0;
}

int key_policy_set(const struct key_spec *spec, TPMT_PUBLIC *area, struct err *e)
{
    struct tpmpolicy p;

    if (!spec->extractable)
        return 0;
    if (may_leave(&p, e) != 0)
        return -1;
    area->objectAttributes &= (TPMA_OBJECT) ~(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT);
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
