#include "tpm/pin_index.h"

#include "core/log.h"
#include "core/tpmname.h"
#include "tpm/nv.h"
#include "tpm/pin.h"

#include <string.h>

void pin_index_name(const struct store_index *i, TPM2B_NAME *out)
{
    out->size = i->name.len;
    memcpy(out->name, i->name.name, i->name.len);
}

int pin_index_policy(const struct store_token *row, enum store_nv which, struct pin_policy *out,
                     struct err *e)
{
    TPM2B_NAME k, counter;
    TPMT_PUBLIC pub;

    if (pin_k_name(row->k_public, &pub, &k, e) != 0)
        return -1;
    switch (which) {
    case STORE_NV_U: return pin_policy_counter(&k, out, e);
    case STORE_NV_O: return pin_policy_counter(NULL, out, e);
    case STORE_NV_S:
        pin_index_name(&row->nv[STORE_NV_U], &counter);
        return pin_policy_guard(&counter, &k, out, e);
    default:
        pin_index_name(&row->nv[STORE_NV_O], &counter);
        return pin_policy_guard(&counter, NULL, out, e);
    }
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
    /* AUTHREAD lets the counter's authValue take part in PolicySecret. */
    if (which == STORE_NV_U || which == STORE_NV_O)
        out->attributes |= TPMA_NV_AUTHREAD | TPMA_NV_NO_DA |
                           TPM2_NT_PIN_FAIL << TPMA_NV_TPM2_NT_SHIFT;
    return 0;
}

/* Notes the Name that an index has once written (TPMA_NV_WRITTEN is part of it). */
static int note_name(struct store_index *index, TPMS_NV_PUBLIC *pub, struct err *e)
{
    TPM2B_NAME name;

    pub->attributes |= TPMA_NV_WRITTEN;
    if (tpmname_nv(pub, &name, e) != 0)
        return -1;
    index->name.len = name.size;
    memcpy(index->name.name, name.name, name.size);
    return 0;
}

/* Defines one index and writes it for the first time. */
static int define(const struct pin_link *l, struct store_token *row, enum store_nv which,
                  const uint8_t auth[32], struct bytes content, struct err *e)
{
    struct store_index *index = &row->nv[which];
    struct pin_policy policy;
    struct session p = {0};
    TPMS_NV_PUBLIC pub;
    TPM2B_NAME name;
    int rc = -1;

    if (pin_index_public(row, which, &policy, &pub, e) != 0)
        return -1;
    if (nv_define(l->tpm, l->main, &pub, bytes_of(auth, 32), e) != 0 ||
        tpmname_nv(&pub, &name, e) != 0 || pin_session(l, &p, e) != 0)
        goto out;
    if (policy_nvwritten(l->tpm, &p, false, e) != 0 ||
        policy_command(l->tpm, &p, TPM2_CC_NV_Write, e) != 0 ||
        policy_or(l->tpm, &p, policy.branch, policy.n, e) != 0 ||
        nv_write(l->tpm, &p, index->handle, &name, bytes_of(auth, 32), content, e) != 0)
        goto out;
    rc = note_name(index, &pub, e);
out:
    session_end(l->tpm, &p);
    return rc;
}

void pin_index_count(uint32_t limit, uint8_t out[PIN_COUNT])
{
    memset(out, 0, PIN_COUNT);
    for (int i = 0; i < 4; i++)
        out[4 + i] = (uint8_t)(limit >> (24 - 8 * i));
}

int pin_provision(const struct pin_link *l, struct store_token *row, const struct pin_auth auth[2],
                  const struct pin_so_content *content, struct err *e)
{
    uint8_t u[PIN_COUNT], o[PIN_COUNT];

    pin_index_count(row->user_limit, u);
    pin_index_count(row->so_limit, o);
    if (define(l, row, STORE_NV_U, auth[PIN_USER].counter, bytes_of(u, sizeof(u)), e) != 0 ||
        define(l, row, STORE_NV_O, auth[PIN_SO].counter, bytes_of(o, sizeof(o)), e) != 0 ||
        define(l, row, STORE_NV_S, auth[PIN_USER].guard, bytes_of(content->secret, PIN_SECRET),
               e) != 0 ||
        define(l, row, STORE_NV_R, auth[PIN_SO].guard, bytes_of(content, sizeof(*content)), e) != 0)
        return -1;
    return 0;
}

/* Does the TPM have the index, with the policy that it has in this token? */
static int is_ours(const struct pin_link *l, const TPMS_NV_PUBLIC *want, bool *ours, struct err *e)
{
    struct err why = {0};
    TPMS_NV_PUBLIC got;

    *ours = false;
    if (want->nvIndex == 0)
        return 0;
    if (nv_public(l->tpm, want->nvIndex, &got, NULL, &why) != 0)
        return why.code == E_NOT_FOUND ? 0 : err_take(e, &why);
    *ours = bytes_equal(bytes_of(got.authPolicy.buffer, got.authPolicy.size),
                        bytes_of(want->authPolicy.buffer, want->authPolicy.size));
    if (!*ours)
        log_info("NV index 0x%08x belongs to something else by now; it stays", want->nvIndex);
    return 0;
}

int pin_erase(const struct pin_link *l, const struct store_token *row, struct err *e)
{
    /* The guards first: without them the keys are gone, whatever happens next. */
    static const enum store_nv order[] = {STORE_NV_S, STORE_NV_R, STORE_NV_O, STORE_NV_U};
    struct store_token full = *row;
    TPMS_NV_PUBLIC pub[STORE_NV_COUNT];
    struct pin_policy policy;
    bool ours, counter;

    for (int i = 0; i < STORE_NV_COUNT; i++) {
        if (pin_index_public(&full, (enum store_nv)i, &policy, &pub[i], e) != 0 ||
            note_name(&full.nv[i], &pub[i], e) != 0)
            return -1;
    }
    /* K's key in the policies of U and S makes them this token's; O and R look alike in all
     * tokens and are believed only beside a U of ours, which therefore goes last. */
    if (is_ours(l, &pub[STORE_NV_U], &counter, e) != 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        if (is_ours(l, &pub[order[i]], &ours, e) != 0)
            return -1;
        if (ours && (counter || order[i] == STORE_NV_S) &&
            nv_undefine(l->tpm, l->main, row->nv[order[i]].handle, e) != 0)
            return -1;
    }
    return 0;
}
