#include "cli/inside.h"

#include "tpm/nv.h"
#include "tpm/survey.h"

static enum inside_thing compare(struct bytes a, struct bytes b)
{
    return bytes_equal(a, b) ? INSIDE_SAME : INSIDE_OTHER;
}

static int look_primary(struct tpm *t, const struct store_tpm *hw, enum inside_thing *out,
                        struct err *e)
{
    struct buf wire = {0};
    struct err why = {0};
    int rc = 0;

    *out = INSIDE_ABSENT;
    if (survey_public(t, hw->primary, &wire, &why) == 0)
        *out = compare(buf_bytes(&wire), bytes_of(hw->primary_public, hw->primary_public_len));
    else if (why.code != E_NOT_FOUND)
        rc = err_take(e, &why);
    buf_free(&wire);
    return rc;
}

static int look_index(struct tpm *t, const struct store_index *v, enum inside_thing *out,
                      struct err *e)
{
    struct err why = {0};
    TPMS_NV_PUBLIC pub;
    TPM2B_NAME name;

    *out = v->handle == 0 ? INSIDE_NONE : INSIDE_ABSENT;
    if (v->handle == 0)
        return 0;
    if (nv_public(t, v->handle, &pub, &name, &why) == 0)
        *out = compare(bytes_of(name.name, name.size), bytes_of(v->name.name, v->name.len));
    else if (why.code != E_NOT_FOUND)
        return err_take(e, &why);
    return 0;
}

int inside_look(struct tpm *tpm, const struct store_tpm *hw, const struct store_token *t,
                struct inside *out, struct err *e)
{
    struct inside in;

    if (look_primary(tpm, hw, &in.primary, e) != 0)
        return -1;
    for (size_t i = 0; i < STORE_NV_COUNT; i++) {
        if (look_index(tpm, &t->nv[i], &in.index[i], e) != 0)
            return -1;
    }
    *out = in;
    return 0;
}

bool inside_whole(const struct inside *in)
{
    bool whole = in->primary == INSIDE_SAME;

    for (size_t i = 0; i < STORE_NV_COUNT; i++)
        whole = whole && (in->index[i] == INSIDE_SAME || in->index[i] == INSIDE_NONE);
    return whole;
}

bool inside_home(const struct inside *in)
{
    bool any = false;

    for (size_t i = 0; i < STORE_NV_COUNT; i++)
        any = any || in->index[i] == INSIDE_SAME;
    return in->index[STORE_NV_U] == INSIDE_SAME || in->index[STORE_NV_S] == INSIDE_SAME ||
           (in->primary == INSIDE_SAME && any);
}
