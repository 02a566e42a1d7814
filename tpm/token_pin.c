#include "tpm/token_priv.h"

#include <string.h>

static struct pin_auth *auth_of(struct secret *s)
{
    return (struct pin_auth *)(void *)secret_data(s);
}

static int mark(struct token *k, uint32_t set, uint32_t clear, struct err *e)
{
    return store_token_note(k->store, &k->row, &(struct store_note){.set = set, .clear = clear}, e);
}

/* All is done: the marks go, and the TPM counts from zero. */
static int done(struct token *k, enum token_user who, uint32_t set, struct err *e)
{
    struct token_marks m = token_marks(who);
    struct store_note note = {.set = set, .clear = m.change | m.split};
    const uint32_t none = 0;

    k->unsaved &= ~note.clear;
    if (who == TOKEN_USER)
        note.user_fails = &none;
    else
        note.so_fails = &none;
    /* The SO has set the limit anew, too. */
    if ((set & STORE_TOKEN_PIN_SET) != 0)
        note.user_limit = &k->row.user_limit;
    return store_token_note(k->store, &k->row, &note, e);
}

static int check_new(struct bytes pin, struct err *e)
{
    if (pin.len < TOKEN_PIN_MIN || pin.len > TOKEN_PIN_MAX)
        return err_set(e, E_PIN_LENGTH, "the new PIN must have %d to %d characters, not %zu",
                       TOKEN_PIN_MIN, TOKEN_PIN_MAX, pin.len);
    return 0;
}

/*
 * Guard first, then counter. After a crash in between the counter has the old PIN
 * and the guard the new: the mark in the store makes the next change with the same
 * two PINs look whether the guard took the new one already.
 */
static int change(struct token *k, const struct pin_link *l, enum pin_side side,
                  struct pin_auth *old, struct pin_auth *fresh, bool pending, struct err *e)
{
    struct pin_auth mixed = {{0}, {0}};
    uint8_t content[sizeof(struct pin_so_content)];
    uint16_t len = side == PIN_USER ? PIN_SECRET : sizeof(content);
    bool alone = pin_index_guard(&k->row, side) == PIN_ALONE;
    bool guard_done = false;
    int rc = -1;

    if (pending) {
        struct err why = {0};

        memcpy(mixed.counter, old->counter, sizeof(mixed.counter));
        memcpy(mixed.guard, fresh->guard, sizeof(mixed.guard));
        guard_done = pin_open(l, &k->row, side, &mixed, content, len, &why) == 0;
        if (!guard_done && why.code != E_PIN_INTERRUPT && !(alone && why.code == E_PIN_WRONG)) {
            err_take(e, &why);
            goto out;
        }
    }
    if (!guard_done && pin_change_guard(l, &k->row, side, old, fresh->guard, e) != 0)
        goto out;
    rc = pin_change_counter(l, &k->row, side, old->counter, fresh->counter, e);
out:
    secret_wipe(&mixed, sizeof(mixed));
    secret_wipe(content, sizeof(content));
    return rc;
}

int token_set_pin(struct token *k, enum token_user who, struct bytes old, struct bytes pin,
                  struct err *e)
{
    struct token_marks m = token_marks(who);
    enum pin_side side = who == TOKEN_USER ? PIN_USER : PIN_SO;
    struct pin_link link = {.tpm = k->tpm, .salt = &k->salt};
    struct secret *was = NULL, *will = NULL;
    struct err why = {0};
    bool pending;
    int rc = -1;

    if (check_new(pin, e) != 0 || token_reload(k, e) != 0)
        return -1;
    if (who == TOKEN_USER && (k->row.flags & STORE_TOKEN_PIN_SET) == 0)
        return err_set(e, E_PIN_UNSET, "token '%s' has no user PIN yet", k->row.label);
    was = secret_new(sizeof(struct pin_auth), e);
    will = secret_new(sizeof(struct pin_auth), e);
    if (was == NULL || will == NULL || pin_derive(&k->row, side, old, auth_of(was), e) != 0 ||
        pin_derive(&k->row, side, pin, auth_of(will), e) != 0)
        goto out;
    link.main = token_session(k, e);
    if (link.main == NULL || token_same(k, e) != 0)
        goto out;
    pending = (k->row.flags & m.change) != 0;
    if (mark(k, m.change, 0, e) != 0)
        goto out;
    if (change(k, &link, side, auth_of(was), auth_of(will), pending, &why) != 0) {
        token_note_pin(k, who, why.code);
        /* Nothing was changed by a refused old PIN: no mark then. */
        if (!pending && (why.code == E_PIN_WRONG || why.code == E_PIN_LOCKED) &&
            mark(k, 0, m.change, NULL) != 0)
            goto refused;
        if (tpm_is_stale(&why))
            tpm_lost(k->tpm);
    refused:
        err_take(e, &why);
        goto out;
    }
    rc = done(k, who, 0, e);
out:
    secret_free(was);
    secret_free(will);
    return rc;
}

/* Is it still the token that the SO logged in to? Else no mark is to be left in it. */
static int check_so(const struct token *k, const struct pin_k *so, struct err *e)
{
    if (memcmp(so->pub.x, k->row.k_public, 32) == 0 &&
        memcmp(so->pub.y, k->row.k_public + 32, 32) == 0)
        return 0;
    return err_set(e, E_NOT_FOUND, "token '%s' was made anew since the SO logged in; log in again",
                   k->row.label);
}

int token_init_pin(struct token *k, struct bytes pin, struct err *e)
{
    const struct pin_so_content *content;
    struct pin_link link = {.tpm = k->tpm, .salt = &k->salt};
    struct secret *fresh = NULL, *key = NULL;
    struct pin_k *so;
    int rc = -1;

    if (k->who != TOKEN_SO)
        return err_set(e, E_LOGIN, "the SO must be logged in to set the user PIN of token '%s'",
                       k->row.label);
    if (check_new(pin, e) != 0 || token_reload(k, e) != 0)
        return -1;
    fresh = secret_new(sizeof(struct pin_auth), e);
    key = secret_new(sizeof(struct pin_k), e);
    if (fresh == NULL || key == NULL || pin_derive(&k->row, PIN_USER, pin, auth_of(fresh), e) != 0)
        goto out;
    content = (const struct pin_so_content *)(const void *)secret_peek(k->secret);
    so = (struct pin_k *)(void *)secret_data(key);
    if (pin_k_derive(content->k_seed, so, e) != 0)
        goto out;
    link.main = token_session(k, e);
    /* The mark stays until all is done: a login in between is told what happened. */
    if (link.main == NULL || token_same(k, e) != 0 || check_so(k, so, e) != 0 ||
        pin_tries(&link, &k->row, PIN_USER, &k->row.user_limit, e) != 0 ||
        mark(k, STORE_TOKEN_CHANGE_USER, 0, e) != 0 ||
        pin_reset_user(&link, &k->row, so, auth_of(fresh), e) != 0)
        goto out;
    rc = done(k, TOKEN_USER, STORE_TOKEN_PIN_SET, e);
out:
    secret_free(fresh);
    secret_free(key);
    return rc;
}
