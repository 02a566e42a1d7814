#include "tpm/pin_make.h"

#include "core/log.h"
#include "core/tpmname.h"
#include "tpm/nv.h"

#include <string.h>

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
                  struct bytes auth, struct bytes content, struct err *e)
{
    struct store_index *index = &row->nv[which];
    struct pin_policy policy;
    struct session p = {0};
    TPMS_NV_PUBLIC pub;
    TPM2B_NAME name;
    int rc = -1;

    if (pin_index_public(row, which, &policy, &pub, e) != 0)
        return -1;
    if (nv_define(l->tpm, l->main, &pub, auth, e) != 0 || tpmname_nv(&pub, &name, e) != 0 ||
        pin_session(l, &p, e) != 0)
        goto out;
    if (policy_nvwritten(l->tpm, &p, false, e) != 0 ||
        policy_command(l->tpm, &p, TPM2_CC_NV_Write, e) != 0 ||
        policy_or(l->tpm, &p, policy.branch, policy.n, e) != 0 ||
        nv_write(l->tpm, &p, index->handle, &name, auth, content, e) != 0)
        goto out;
    rc = note_name(index, &pub, e);
out:
    session_end(l->tpm, &p);
    return rc;
}

static int define_counters(const struct pin_link *l, struct store_token *row,
                           const struct pin_auth auth[2], struct err *e)
{
    uint8_t u[PIN_COUNT], o[PIN_COUNT];

    if (pin_index_count(row->user_limit, u, e) != 0 || pin_index_count(row->so_limit, o, e) != 0)
        return -1;
    if (define(l, row, STORE_NV_U, bytes_of(auth[PIN_USER].counter, 32), bytes_of(u, sizeof(u)),
               e) != 0)
        return -1;
    return define(l, row, STORE_NV_O, bytes_of(auth[PIN_SO].counter, 32), bytes_of(o, sizeof(o)),
                  e);
}

int pin_provision(const struct pin_link *l, struct store_token *row, const struct pin_auth auth[2],
                  const struct pin_so_content *content, struct err *e)
{
    struct bytes s_auth = {auth[PIN_USER].guard, 32};

    if (pin_index_guard(row, PIN_USER) == PIN_COUNTED)
        s_auth.len = 0;
    if (pin_index_guard(row, PIN_USER) != PIN_ALONE && define_counters(l, row, auth, e) != 0)
        return -1;
    if (define(l, row, STORE_NV_S, s_auth, bytes_of(content->secret, PIN_SECRET), e) != 0)
        return -1;
    return define(l, row, STORE_NV_R, bytes_of(auth[PIN_SO].guard, 32),
                  bytes_of(content, sizeof(*content)), e);
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
    static const enum store_nv usual[] = {STORE_NV_S, STORE_NV_R, STORE_NV_O, STORE_NV_U};
    static const enum store_nv no_counters[] = {STORE_NV_R, STORE_NV_S, STORE_NV_O, STORE_NV_U};
    bool alone = pin_index_guard(row, PIN_USER) == PIN_ALONE;
    bool marked = (row->flags & STORE_TOKEN_MARKED) != 0;
    /* K in the policies makes the indices this token's. Without its mark those of the SO look
     * alike in all tokens: they are believed only beside a U of ours, which therefore goes last,
     * or beside S, where there is no U; and only in a token that was finished, for beside a U that
     * was all there was others may have made their own meanwhile. */
    const enum store_nv *order = alone ? no_counters : usual;
    enum store_nv witness = alone ? STORE_NV_S : STORE_NV_U;
    struct store_token full = *row;
    TPMS_NV_PUBLIC pub[STORE_NV_COUNT];
    struct pin_policy policy;
    bool ours, known;

    for (int i = 0; i < STORE_NV_COUNT; i++) {
        if (pin_index_public(&full, (enum store_nv)i, &policy, &pub[i], e) != 0 ||
            note_name(&full.nv[i], &pub[i], e) != 0)
            return -1;
    }
    if (is_ours(l, &pub[witness], &known, e) != 0)
        return -1;
    for (size_t i = 0; i < STORE_NV_COUNT; i++) {
        enum store_nv which = order[i];

        if (is_ours(l, &pub[which], &ours, e) != 0)
            return -1;
        if (!marked && (which == STORE_NV_O || which == STORE_NV_R))
            ours = ours && known && row->nv[which].name.len != 0;
        if (ours && nv_undefine(l->tpm, l->main, row->nv[which].handle, e) != 0)
            return -1;
    }
    return 0;
}
