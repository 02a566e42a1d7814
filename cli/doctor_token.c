/* Tokens: are they complete, are their PINs fit for use, and does this TPM hold them? */
#include "cli/doctor.h"
#include "cli/inside.h"
#include "tpm/nv.h"
#include "tpm/pin.h"
#include "tpm/survey.h"

/* --- rows -------------------------------------------------------------------- */

static void check_state(struct doctor *d)
{
    for (size_t i = 0; i < d->n_tokens; i++) {
        const struct store_token *t = &d->token[i];

        if ((t->flags & STORE_TOKEN_INCOMPLETE) != 0) {
            doctor_problem(d, E_CORRUPT,
                           "token %s was never completed, or its erasure was interrupted",
                           t->label);
            doctor_todo(d,
                        "`fusetsu token erase --token %s --yes` removes the rest; so does the next"
                        " `fusetsu token init`",
                        t->serial);
        } else {
            doctor_say(d, DOCTOR_OK, "token %s is complete", t->label);
        }
    }
}

static bool check_user_pin(struct doctor *d, const struct store_token *t)
{
    if ((t->flags & STORE_TOKEN_PIN_SET) == 0) {
        doctor_problem(d, E_PIN_UNSET, "token %s has no user PIN yet", t->label);
        doctor_todo(d, "the SO sets it: `fusetsu token unblock --token %s`", t->serial);
    } else if ((t->flags & STORE_TOKEN_CHANGE_USER) != 0) {
        doctor_problem(d, E_PIN_INTERRUPT, "a change of the user PIN of token %s was interrupted",
                       t->label);
        doctor_todo(d,
                    "`fusetsu token set-pin --token %s` with the same two PINs completes it; or"
                    " the SO sets a new one with `fusetsu token unblock`",
                    t->serial);
    } else if (t->user_limit != 0 && t->user_fails >= t->user_limit) {
        doctor_problem(d, E_PIN_LOCKED, "the user PIN of token %s is locked: %u of %u wrong tries",
                       t->label, t->user_fails, t->user_limit);
        doctor_todo(d, "the SO sets a new one: `fusetsu token unblock --token %s`", t->serial);
    } else if (t->user_limit != 0 && t->user_fails + 1 >= t->user_limit) {
        doctor_say(d, DOCTOR_WARNING, "one more wrong user PIN locks token %s", t->label);
        doctor_todo(d, "see who tries; a right one clears the count");
    } else {
        return true;
    }
    return false;
}

static bool check_so_pin(struct doctor *d, const struct store_token *t)
{
    if ((t->flags & STORE_TOKEN_CHANGE_SO) != 0) {
        doctor_say(d, DOCTOR_WARNING, "a change of the SO PIN of token %s was interrupted",
                   t->label);
        doctor_todo(d,
                    "`fusetsu token set-pin --so --token %s` with the same two PINs completes it",
                    t->serial);
    } else if (t->so_limit != 0 && t->so_fails >= t->so_limit) {
        doctor_say(d, DOCTOR_WARNING,
                   "the SO PIN of token %s is locked: %u of %u wrong tries. Nobody can set a new"
                   " user PIN any more",
                   t->label, t->so_fails, t->so_limit);
        doctor_todo(d, "keep the user PIN safe; make a new token and certificates in time");
    } else if (t->so_limit != 0 && t->so_fails + 1 >= t->so_limit) {
        doctor_say(d, DOCTOR_WARNING, "one more wrong SO PIN locks it for good on token %s",
                   t->label);
        doctor_todo(d, "look it up before the next try; a right one clears the count");
    } else {
        return true;
    }
    return false;
}

static bool possible(uint32_t limit)
{
    return limit >= PIN_TRIES_MIN && limit <= PIN_TRIES_MAX;
}

/* Nobody makes others: the row was altered. The TPM has its own. */
static bool check_limits(struct doctor *d, const struct store_token *t)
{
    if ((t->flags & STORE_TOKEN_DA_ONLY) != 0 || (possible(t->user_limit) && possible(t->so_limit)))
        return true;
    doctor_problem(d, E_TAMPERED,
                   "the store says that the PINs of token %s lock after %u and %u wrong tries:"
                   " somebody has altered it. What counts is in the TPM",
                   t->label, t->user_limit, t->so_limit);
    doctor_todo(d, "see who can write to the store, and put back a copy from before");
    return false;
}

static void check_pins(struct doctor *d)
{
    for (size_t i = 0; i < d->n_tokens; i++) {
        const struct store_token *t = &d->token[i];
        bool user, so;

        if ((t->flags & STORE_TOKEN_INCOMPLETE) != 0 || !check_limits(d, t))
            continue;
        user = check_user_pin(d, t);
        so = check_so_pin(d, t);
        if (user && so)
            doctor_say(d, DOCTOR_OK,
                       "token %s, as last seen: %u of %u wrong user PINs, %u of %u wrong SO PINs",
                       t->label, t->user_fails, t->user_limit, t->so_fails, t->so_limit);
    }
}

/* --- in the TPM ---------------------------------------------------------------- */

static const char *const roles[STORE_NV_COUNT] = {
    [STORE_NV_U] = "counter of wrong user PINs",
    [STORE_NV_O] = "counter of wrong SO PINs",
    [STORE_NV_S] = "guard of the keys",
    [STORE_NV_R] = "guard of the SO's means",
};

static int look(struct doctor *d, const struct store_token *t, struct inside *out, struct err *e)
{
    for (size_t i = 0; i < d->n_tpm_rows; i++) {
        if (d->tpm_row[i].id == t->tpm)
            return inside_look(d->tpm, &d->tpm_row[i], t, out, e);
    }
    return err_set(e, E_CORRUPT, "the store does not say in which TPM token %s is", t->label);
}

static void say_missing(struct doctor *d, const struct store_token *t, const struct inside *in)
{
    for (size_t i = 0; i < STORE_NV_COUNT; i++) {
        if (in->index[i] == INSIDE_SAME || in->index[i] == INSIDE_NONE)
            continue;
        doctor_problem(d, E_NOT_FOUND, "token %s: index 0x%08X, the %s, %s", t->label,
                       t->nv[i].handle, roles[i],
                       in->index[i] == INSIDE_ABSENT
                           ? "is not in the TPM any more"
                           : "is another one than was made for it: defined anew, or by others");
        doctor_todo(d,
                    i == STORE_NV_O || i == STORE_NV_R
                        ? "the user PIN may still do; take the token's certificates to a new one"
                        : "its keys cannot be used any more: `fusetsu token erase --token %s"
                          " --yes`, then make a new one",
                    t->serial);
    }
}

static void say_elsewhere(struct doctor *d, const struct store_token *t, const struct inside *in)
{
    if (in->primary == INSIDE_SAME) {
        doctor_problem(d, E_NOT_FOUND,
                       "token %s was erased from this TPM: none of its indices is"
                       " there",
                       t->label);
        doctor_todo(d, "`fusetsu token erase --token %s --yes` takes it out of the store",
                    t->serial);
    } else {
        doctor_problem(
            d, E_NOT_FOUND,
            "token %s is not in this TPM: %s primary at its place and no index of it. The"
            " TPM was cleared, or it is another one",
            t->label, in->primary == INSIDE_ABSENT ? "no" : "another");
        doctor_todo(d,
                    "if it is another one, use the store that belongs to it (FUSETSU_STORE); a"
                    " token that was cleared is gone: `fusetsu token erase --token %s --yes"
                    " --forget`",
                    t->serial);
    }
}

static void check_inside(struct doctor *d)
{
    for (size_t i = 0; i < d->n_tokens; i++) {
        const struct store_token *t = &d->token[i];
        struct inside in;
        struct err e = {0};

        if ((t->flags & STORE_TOKEN_INCOMPLETE) != 0)
            continue;
        if (look(d, t, &in, &e) != 0) {
            doctor_failed(d, DOCTOR_PROBLEM, &e);
            continue;
        }
        if (!inside_home(&in)) {
            say_elsewhere(d, t, &in);
        } else if (in.primary != INSIDE_SAME) {
            doctor_problem(d, E_NOT_FOUND,
                           "token %s is in this TPM, but its storage primary %s: its keys cannot be"
                           " loaded",
                           t->label,
                           in.primary == INSIDE_ABSENT ? "was taken out"
                                                       : "gave place to another key");
            doctor_todo(d,
                        in.primary == INSIDE_ABSENT
                            ? "`fusetsu token init` of any token makes the same one again, unless"
                              " another program had made it"
                            : "move that key to another handle; then `fusetsu token init` of any"
                              " token makes the primary again");
        } else if (!inside_whole(&in)) {
            say_missing(d, t, &in);
        } else {
            doctor_say(d, DOCTOR_OK, "token %s: its primary and its four indices are in this TPM",
                       t->label);
        }
    }
}

/* --- indices of nobody ------------------------------------------------------------ */

/* In doubt it is. */
static bool at_home(struct doctor *d, const struct store_token *t)
{
    struct inside in;

    return (t->flags & STORE_TOKEN_INCOMPLETE) != 0 || look(d, t, &in, NULL) != 0 ||
           inside_home(&in);
}

/* Takes out of a list of handles those of the store's tokens; how many are left. */
static size_t strike_owned(struct doctor *d, uint32_t *list, size_t n)
{
    for (size_t i = 0; i < d->n_all; i++) {
        const struct store_token *t = &d->all[i];
        size_t left = 0;

        if (!at_home(d, t))
            continue;
        for (size_t k = 0; k < n; k++) {
            bool owned = false;

            for (size_t v = 0; v < STORE_NV_COUNT; v++)
                owned = owned || t->nv[v].handle == list[k];
            if (!owned)
                list[left++] = list[k];
        }
        n = left;
    }
    return n;
}

/* The form of the four indices that tpm/pin.c defines. */
static bool looks_like_ours(const TPMS_NV_PUBLIC *p)
{
    uint32_t type = (p->attributes & TPMA_NV_TPM2_NT_MASK) >> TPMA_NV_TPM2_NT_SHIFT;
    bool policy = (p->attributes & (TPMA_NV_POLICYREAD | TPMA_NV_POLICYWRITE)) ==
                  (TPMA_NV_POLICYREAD | TPMA_NV_POLICYWRITE);
    bool open = (p->attributes & (TPMA_NV_OWNERREAD | TPMA_NV_OWNERWRITE | TPMA_NV_AUTHWRITE)) != 0;

    if (!policy || open || p->authPolicy.size != 32)
        return false;
    if (type == TPM2_NT_PIN_FAIL)
        return (p->attributes & TPMA_NV_NO_DA) != 0;
    /* S behind U alone needs no DA. */
    if (type == TPM2_NT_ORDINARY && p->dataSize == PIN_SECRET)
        return true;
    return type == TPM2_NT_ORDINARY && (p->attributes & TPMA_NV_NO_DA) == 0 &&
           p->dataSize == sizeof(struct pin_so_content);
}

#define ORPHANS_NAMED 12

static void check_orphans(struct doctor *d)
{
    uint32_t list[512];
    struct buf names = {0};
    struct err e = {0};
    size_t n = 0, found = 0;

    if (survey_handles(d->tpm, NV_OWNER_FIRST, NV_OWNER_LAST, list, ARRAY_LEN(list), &n, &e) != 0) {
        doctor_failed(d, DOCTOR_WARNING, &e);
        return;
    }
    n = strike_owned(d, list, n);
    for (size_t i = 0; i < n; i++) {
        TPMS_NV_PUBLIC pub;

        if (nv_public(d->tpm, list[i], &pub, NULL, NULL) != 0 || !looks_like_ours(&pub))
            continue;
        if (found++ < ORPHANS_NAMED)
            buf_printf(&names, " 0x%08X", list[i]);
    }
    if (found == 0) {
        doctor_say(d, DOCTOR_OK, "every index that looks like a token's is one of this store's");
    } else {
        doctor_say(d, DOCTOR_NOTE, "%zu ind%s like a token's, but of no token of this store:%s%s",
                   found, found == 1 ? "ex looks" : "ices look", names.bad ? "" : buf_cstr(&names),
                   found > ORPHANS_NAMED ? " ..." : "");
        doctor_todo(d, "leave them if another user's store has them; if none has, `tpm2_nvundefine"
                       " -C o INDEX` frees each, and destroys the keys behind it");
    }
    buf_free(&names);
}

const struct doctor_check doctor_token_checks[] = {
    {"token", DOCTOR_TOKEN, check_state},
    {"pins", DOCTOR_TOKEN, check_pins},
    {"token-in-tpm", DOCTOR_TOKEN | DOCTOR_TPM, check_inside},
    {"orphans", DOCTOR_STORE | DOCTOR_TPM, check_orphans},
    {0},
};
