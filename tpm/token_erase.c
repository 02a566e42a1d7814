#include "core/log.h"
#include "tpm/lockout.h"
#include "tpm/owner.h"
#include "tpm/pin_make.h"
#include "tpm/token_make.h"

#include <stdlib.h>
#include <string.h>

/* Does another finished token of this TPM keep the same ownerAuth? */
static int kept_elsewhere(struct token *k, int64_t id, bool *kept, struct err *e)
{
    struct store_token *list = NULL;
    size_t n = 0;

    *kept = false;
    if (store_token_list(k->store, &list, &n, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        *kept = *kept || (list[i].tpm == k->hw.id && list[i].id != id &&
                          (list[i].flags & (STORE_TOKEN_OWNER | STORE_TOKEN_INCOMPLETE)) ==
                              STORE_TOKEN_OWNER);
    free(list);
    return 0;
}

/*
 * Takes the indices of a row, which is marked INCOMPLETE, out of the TPM, then the row out of
 * the store. The last copy of an ownerAuth of ours goes only after that is empty again, so
 * that a crash at any command loses no hierarchy.
 */
static int discard(struct token *k, const struct store_token *row, struct err *e)
{
    struct pin_link link = {.tpm = k->tpm, .salt = &k->salt, .main = token_session(k, e)};
    bool kept = true;

    if (link.main == NULL)
        return -1;
    if ((row->flags & STORE_TOKEN_OWNER) != 0 && row->nv[STORE_NV_R].name.len != 0 &&
        owner_is_ours(k->tpm) && kept_elsewhere(k, row->id, &kept, e) != 0)
        return -1;
    if (!kept && owner_change(k->tpm, link.main, (struct bytes){NULL, 0}, e) != 0)
        return -1;
    if (pin_erase(&link, row, e) != 0)
        return -1;
    return store_token_delete(k->store, row->id, e);
}

/* What is known of ownerAuth is what is in force, or nothing is done. */
static int ready(struct token *k, struct err *e)
{
    struct lockout_state s;

    if (lockout_read(k->tpm, &s, e) != 0)
        return -1;
    return owner_ready(k->tpm, s.owner_set, e);
}

int token_discard(struct token *k, struct err *e)
{
    return ready(k, e) == 0 ? discard(k, &k->row, e) : -1;
}

int token_sweep(struct token *k, struct err *e)
{
    struct store_token *list = NULL;
    struct lockout_state s;
    size_t n = 0;
    int rc = -1;

    if (lockout_read(k->tpm, &s, e) != 0 || store_token_list(k->store, &list, &n, e) != 0)
        return -1;
    /* One of them may be the only one that knows how. Its SO PIN is not tried here: it would be
     * another token's, and cost one of the tries that are left to open it. */
    if (owner_ready(k->tpm, s.owner_set, e) != 0)
        goto out;
    for (size_t i = 0; i < n; i++) {
        if (list[i].tpm != k->hw.id || (list[i].flags & STORE_TOKEN_INCOMPLETE) == 0)
            continue;
        if (discard(k, &list[i], e) != 0)
            goto out;
        log_info("removed the unfinished token '%s'", list[i].label);
    }
    rc = 0;
out:
    free(list);
    return rc;
}

static int erase(struct token *k, struct err *e)
{
    if (token_reload(k, e) != 0)
        return -1;
    held_flush_all(k->tpm);
    /* The TPM first: a token is not to be marked because its TPM is not there. */
    if (token_session(k, e) == NULL || ready(k, e) != 0)
        return -1;
    if (store_token_note(k->store, &k->row, &(struct store_note){.set = STORE_TOKEN_INCOMPLETE},
                         e) != 0)
        return -1;
    return discard(k, &k->row, e);
}

int token_erase(struct token *k, struct err *e)
{
    int rc;

    if (store_hold(k->store, e) != 0)
        return -1;
    rc = erase(k, e);
    store_release(k->store);
    return rc;
}

/* What R holds: of any token, be it an unfinished one. */
static int open_content(struct token *k, struct bytes so_pin, struct secret **out, struct err *e)
{
    if (token_check_length(so_pin, e) != 0 || token_open_guard(k, TOKEN_SO, so_pin, out, e) != 0)
        return -1;
    token_note_pin(k, TOKEN_SO, E_OK);
    return 0;
}

int token_owner(struct token *k, struct bytes so_pin, struct err *e)
{
    const struct pin_so_content *content;
    struct secret *got = NULL;
    int rc;

    if (token_reload(k, e) != 0)
        return -1;
    /* Names are in the row before the auth is in the TPM. */
    if ((k->row.flags & STORE_TOKEN_OWNER) == 0 || k->row.nv[STORE_NV_R].name.len == 0)
        return err_set(e, E_NOT_FOUND, "token '%s' does not keep the TPM's owner authorisation",
                       k->row.label);
    if (open_content(k, so_pin, &got, e) != 0)
        return -1;
    content = (const struct pin_so_content *)(const void *)secret_peek(got);
    rc = owner_know(k->tpm, bytes_of(content->owner_auth, OWNER_AUTH), true, e);
    secret_free(got);
    return rc;
}

static bool take_code(const uint8_t auth[32], char out[80])
{
    static const uint8_t none[32];

    if (memcmp(auth, none, sizeof(none)) == 0)
        return false;
    hex_encode(out, auth, sizeof(none));
    return true;
}

int token_codes(struct token *k, struct bytes so_pin, struct token_report *out, struct err *e)
{
    const struct pin_so_content *content;
    struct secret *got = NULL;

    if (token_reload(k, e) != 0 || open_content(k, so_pin, &got, e) != 0)
        return -1;
    content = (const struct pin_so_content *)(const void *)secret_peek(got);
    *out = (struct token_report){0};
    out->lockout_set = take_code(content->lockout_auth, out->recovery_code);
    out->owner_set = take_code(content->owner_auth, out->owner_code);
    secret_free(got);
    if (out->lockout_set || out->owner_set)
        return 0;
    return err_set(e, E_NOT_FOUND,
                   "token '%s' keeps no recovery code: another token set the TPM's lockout "
                   "authorisation, or somebody else did",
                   k->row.label);
}
