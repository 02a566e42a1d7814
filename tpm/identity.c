#include "core/tpmname.h"
#include "tpm/token_priv.h"

#include <string.h>

int token_key_identity(const struct token *k, const struct store_key *key, struct key_identity *out,
                       struct err *e)
{
    struct key_identity id = {.policy_len = 0};
    TPM2B_NAME owner, primary;
    TPMT_PUBLIC area;

    if (key->use != STORE_USE_OBJECT || key->parent != 0)
        return err_set(e, E_UNSUPPORTED,
                       "an attestation key is no child of the token's storage primary");
    tpmname_handle(TPM2_RH_OWNER, &owner);
    if (tpmname_unmarshal_public(buf_bytes(&key->public), &area, e) != 0 ||
        tpmname_object(buf_bytes(&key->public), &id.name, e) != 0 ||
        tpmname_qualified(&owner, &k->primary_name, &primary, e) != 0 ||
        tpmname_qualified(&primary, &id.name, &id.qualified, e) != 0)
        return -1;
    if (area.authPolicy.size > sizeof(id.policy))
        return err_set(e, E_CORRUPT, "a stored key has a policy of %u bytes",
                       (unsigned)area.authPolicy.size);
    memcpy(id.policy, area.authPolicy.buffer, area.authPolicy.size);
    id.policy_len = area.authPolicy.size;
    *out = id;
    return 0;
}
