#include "tpm/pin_index.h"

#include "core/tpmname.h"

#include <string.h>

void pin_index_name(const struct store_index *i, TPM2B_NAME *out)
{
    out->size = i->name.len;
    memcpy(out->name, i->name.name, i->name.len);
}

enum pin_guard pin_index_guard(const struct store_token *row, enum pin_side side)
{
    if ((row->flags & STORE_TOKEN_DA_ONLY) != 0)
        return PIN_ALONE;
    return side == PIN_USER && (row->flags & STORE_TOKEN_COUNTER) != 0 ? PIN_COUNTED : PIN_BOTH;
}

int pin_index_policy(const struct store_token *row, enum store_nv which, struct pin_policy *out,
                     struct err *e)
{
    bool alone = pin_index_guard(row, PIN_USER) == PIN_ALONE;
    TPM2B_NAME k, counter;
    TPMT_PUBLIC pub;

    if (pin_policy_k(row->k_public, &pub, &k, e) != 0)
        return -1;
    switch (which) {
    case STORE_NV_U: return pin_policy_counter(&k, out, e);
    case STORE_NV_O:
        if (pin_policy_counter(NULL, out, e) != 0)
            return -1;
        break;
    case STORE_NV_S:
        pin_index_name(&row->nv[STORE_NV_U], &counter);
        if (pin_index_guard(row, PIN_USER) == PIN_COUNTED)
            return pin_policy_counted(&counter, out, e);
        return pin_policy_guard(alone ? NULL : &counter, &k, out, e);
    default:
        pin_index_name(&row->nv[STORE_NV_O], &counter);
        if (pin_policy_guard(alone ? NULL : &counter, NULL, out, e) != 0)
            return -1;
        break;
    }
    return (row->flags & STORE_TOKEN_MARKED) != 0 ? pin_policy_mark(&k, out, e) : 0;
}

int pin_index_public(const struct store_token *row, enum store_nv which, struct pin_policy *policy,
                     TPMS_NV_PUBLIC *out, struct err *e)
{
    static const uint16_t size[STORE_NV_COUNT] = {
        [STORE_NV_U] = PIN_COUNT,
        [STORE_NV_O] = PIN_COUNT,
        [STORE_NV_S] = PIN_SECRET,
        [STORE_NV_R] = sizeof(struct pin_so_content),
    };

    if (pin_index_policy(row, which, policy, e) != 0)
        return -1;
    *out = (TPMS_NV_PUBLIC){
        .nvIndex = row->nv[which].handle,
        .nameAlg = TPM2_ALG_SHA256,
        .attributes = TPMA_NV_POLICYREAD | TPMA_NV_POLICYWRITE,
        .authPolicy.size = 32,
        .dataSize = size[which],
    };
    memcpy(out->authPolicy.buffer, policy->all.d, 32);
    /* Nothing that is guessed is its authValue: it has none. */
    if (which == STORE_NV_S && pin_index_guard(row, PIN_USER) == PIN_COUNTED)
        out->attributes |= TPMA_NV_NO_DA;
    /* AUTHREAD lets the counter's authValue take part in PolicySecret. */
    if (which == STORE_NV_U || which == STORE_NV_O)
        out->attributes |= TPMA_NV_AUTHREAD | TPMA_NV_NO_DA |
                           TPM2_NT_PIN_FAIL << TPMA_NV_TPM2_NT_SHIFT;
    return 0;
}

int pin_index_written(const struct store_token *row, enum store_nv which, TPM2B_NAME *out,
                      struct err *e)
{
    struct pin_policy policy;
    TPMS_NV_PUBLIC pub;

    if (pin_index_public(row, which, &policy, &pub, e) != 0)
        return -1;
    /* TPMA_NV_WRITTEN is part of the Name. */
    pub.attributes |= TPMA_NV_WRITTEN;
    return tpmname_nv(&pub, out, e);
}

int pin_index_check(const struct store_token *row, enum store_nv which, struct err *e)
{
    TPM2B_NAME want, noted;

    pin_index_name(&row->nv[which], &noted);
    if (pin_index_written(row, which, &want, e) != 0)
        return -1;
    if (!tpmname_equal(&want, &noted))
        return err_set(e, E_TAMPERED,
                       "the row of token '%s' in the store does not fit together: somebody altered "
                       "it; put back a copy from before (fusetsu token restore)",
                       row->label);
    return 0;
}

int pin_index_count(uint32_t limit, uint8_t out[PIN_COUNT], struct err *e)
{
    if (limit < PIN_TRIES_MIN || limit > PIN_TRIES_MAX)
        return err_set(e, E_ARG, "a PIN may lock after %d to %d wrong tries, not %u", PIN_TRIES_MIN,
                       PIN_TRIES_MAX, limit);
    memset(out, 0, PIN_COUNT);
    for (int i = 0; i < 4; i++)
        out[4 + i] = (uint8_t)(limit >> (24 - 8 * i));
    return 0;
}
