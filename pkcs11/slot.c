#include "pkcs11/slot.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "pkcs11/builtin.h"

void slot_free(struct slot *s)
{
    if (s == NULL)
        return;
    index_free(s->index);
    token_free(s->token);
    free(s);
}

void slot_free_all(struct library *lib)
{
    for (size_t i = 0; i < lib->n_slot; i++)
        slot_free(lib->slot[i]);
    free(lib->slot);
    lib->slot = NULL;
    lib->n_slot = 0;
}

void slot_clear(struct slot *s)
{
    index_free(s->index);
    s->index = NULL;
    token_free(s->token);
    s->token = NULL;
    if (s->site->usb != NULL) {
        site_close(s->site);
        memset(&s->row, 0, sizeof(s->row));
    }
}

struct slot *slot_add(struct library *lib, struct site *site, CK_SLOT_ID id, struct err *e)
{
    struct slot **grown = realloc(lib->slot, (lib->n_slot + 1) * sizeof(struct slot *));
    struct slot *s = NULL;

    if (grown != NULL) {
        lib->slot = grown;
        s = calloc(1, sizeof(*s));
    }
    if (s == NULL) {
        err_set(e, E_MEMORY, "out of memory for a slot");
        return NULL;
    }
    s->id = id;
    s->site = site;
    lib->slot[lib->n_slot++] = s;
    return s;
}

static struct slot *slot_of_row(const struct library *lib, int64_t row)
{
    for (size_t i = 0; i < lib->n_slot; i++) {
        if (lib->slot[i]->site == &lib->home && lib->slot[i]->row.id == row)
            return lib->slot[i];
    }
    return NULL;
}

/* Slots of tokens that are no longer in the store stay, without a token: slots do
 * not vanish under an application (5.5 C_GetSlotList). */
static void mark_missing(struct library *lib, const struct store_token *t, size_t n)
{
    for (size_t i = 0; i < lib->n_slot; i++) {
        struct slot *s = lib->slot[i];
        bool there = s->row.id == 0 || s->site != &lib->home;

        for (size_t k = 0; k < n && !there; k++)
            there = t[k].id == s->row.id;
        s->present = s->present && there;
    }
}

static int take_rows(struct library *lib, const struct store_token *t, size_t n, struct err *e)
{
    struct err why = {0};
    struct slot *s;

    mark_missing(lib, t, n);
    for (size_t i = 0; i < n; i++) {
        if ((t[i].flags & STORE_TOKEN_INCOMPLETE) != 0)
            continue;
        s = slot_of_row(lib, t[i].id);
        if (s == NULL && (s = slot_add(lib, &lib->home, (CK_SLOT_ID)t[i].id, e)) == NULL)
            return -1;
        s->row = t[i];
        s->row_generation = s->site->generation;
        s->present = true;
        if (s->token != NULL && token_reload(s->token, &why) != 0) {
            log_warn("%s", why.msg);
            err_clear(&why);
        }
    }
    return 0;
}

/* The slot in which this process made the first token, when that was erased: the place for
 * the next one, under the id that it always had. */
static struct slot *vacated(struct library *lib)
{
    for (size_t i = 0; i < lib->n_slot; i++) {
        struct slot *s = lib->slot[i];

        if (s->id == SLOT_EMPTY_ID && !s->present && s->n_session == 0) {
            slot_clear(s);
            memset(&s->row, 0, sizeof(s->row));
            return s;
        }
    }
    return NULL;
}

/* The place for the first token is there just while there is no token, be it on USB. */
static int empty_slot(struct library *lib, bool usable, struct err *e)
{
    struct slot *empty = NULL;
    size_t tokens = lib->plugs != NULL ? hotplug_count(lib->plugs) : 0, at = 0;

    for (size_t i = 0; i < lib->n_slot; i++) {
        if (lib->slot[i]->site != &lib->home)
            continue;
        if (lib->slot[i]->row.id != 0) {
            tokens += lib->slot[i]->present;
        } else {
            empty = lib->slot[i];
            at = i;
        }
    }
    if (tokens == 0 && empty == NULL && (empty = vacated(lib)) == NULL &&
        (empty = slot_add(lib, &lib->home, SLOT_EMPTY_ID, e)) == NULL)
        return -1;
    if (tokens == 0) {
        empty->present = usable;
    } else if (empty != NULL) {
        /* No session can be open on it, so nothing refers to it. */
        slot_free(empty);
        memmove(&lib->slot[at], &lib->slot[at + 1], (lib->n_slot - at - 1) * sizeof(struct slot *));
        lib->n_slot--;
    }
    return 0;
}

static bool has_token(const struct slot *s)
{
    return s->present && s->row.id != 0;
}

/* The work of slot_refresh, but for the events. */
static int refresh(struct library *lib, struct err *e)
{
    struct store_token *t = NULL;
    struct err why = {0};
    bool usable = true;
    size_t n = 0;
    int rc;

    if (site_store(&lib->home, false, &why) != 0) {
        usable = why.code == E_NOT_FOUND && lib->conf != NULL;
    } else if (store_token_list(lib->home.store, &t, &n, &why) != 0) {
        /* Known slots stay as they are; the next call may succeed (a busy store). */
        log_warn("%s", why.msg);
        return lib->n_slot > lib->n_usb ? 0 : empty_slot(lib, false, e);
    }
    rc = take_rows(lib, t, n, e);
    free(t);
    return rc == 0 ? empty_slot(lib, usable, e) : -1;
}

/* 5.5 C_WaitForSlotEvent. What was there at the first look is no event. */
int slot_refresh(struct library *lib, struct err *e)
{
    int rc;

    for (size_t i = 0; i < lib->n_slot; i++)
        lib->slot[i]->had_token = has_token(lib->slot[i]);
    rc = refresh(lib, e);
    for (size_t i = 0; i < lib->n_slot && lib->listed; i++) {
        if (lib->slot[i]->site == &lib->home && has_token(lib->slot[i]) != lib->slot[i]->had_token)
            lib->slot[i]->event = true;
    }
    lib->listed = true;
    return rc;
}

struct slot *slot_find(const struct library *lib, CK_SLOT_ID id)
{
    for (size_t i = 0; i < lib->n_slot; i++) {
        if (lib->slot[i]->id == id)
            return lib->slot[i];
    }
    return NULL;
}

void slot_reread(struct slot *s)
{
    struct store_token t;

    if (s->row.id == 0 || site_store(s->site, false, NULL) != 0 ||
        s->row_generation == s->site->generation ||
        store_token_get(s->site->store, s->row.id, &t, NULL) != 0 ||
        (s->token != NULL && token_reload(s->token, NULL) != 0))
        return;
    s->row = t;
    s->row_generation = s->site->generation;
}

const struct store_token *slot_row(const struct slot *s)
{
    return s->token != NULL ? token_row(s->token) : &s->row;
}

int slot_token(struct slot *s, struct token **out, struct err *e)
{
    if (s->token == NULL && site_token(s->site, s->row.id, &s->token, e) != 0)
        return -1;
    *out = s->token;
    return 0;
}

enum token_user slot_who(const struct slot *s)
{
    return s->token != NULL ? token_who(s->token) : TOKEN_NOBODY;
}

/* Tells the index who is logged in now, and whether anything changed. */
static void tell_index(struct library *lib, struct slot *s)
{
    const struct index_source from = {
        .store = s->site->store,
        .token = s->row.id,
        .seal = s->token != NULL ? token_seal(s->token) : NULL,
        .last = &lib->last_handle,
    };

    index_source(s->index, &from, s->stale || s->generation != s->site->generation);
    s->generation = s->site->generation;
    s->stale = false;
}

int slot_index(struct library *lib, struct slot *s, struct index **out, struct err *e)
{
    if (site_store(s->site, false, e) != 0)
        return -1;
    if (s->index == NULL) {
        if (index_new(&s->index, e) != 0)
            return -1;
        if (builtin_add(s->index, &lib->last_handle, e) != 0) {
            index_free(s->index);
            s->index = NULL;
            return -1;
        }
        s->stale = true;
    }
    tell_index(lib, s);
    *out = s->index;
    return 0;
}

void slot_recheck(struct library *lib, struct slot *s)
{
    struct index *x = NULL;
    struct err why = {0};

    if (s->index != NULL && slot_index(lib, s, &x, &why) != 0)
        log_warn("%s", why.msg);
}

struct object *slot_object(struct library *lib, struct slot *s, CK_OBJECT_HANDLE handle)
{
    if (s->index == NULL)
        return NULL;
    if (s->stale)
        tell_index(lib, s);
    return index_get(s->index, handle);
}

int slot_key(struct slot *s, struct object *o, const struct store_key **out, struct err *e)
{
    const struct store_seal *seal = s->token != NULL ? token_seal(s->token) : NULL;
    struct store_key *key = NULL;

    if (o->key != NULL && (seal == NULL || !o->key_unproved)) {
        *out = o->key;
        return 0;
    }
    if (!o->row.has_key)
        return err_set(e, E_NOT_FOUND, "the object has no key in the TPM");
    if (o->key != NULL) {
        /* After the login nothing is taken on trust, not even what the TPM holds by that name. */
        token_key_forget(s->token, o->key->uuid);
        object_free_key(o->key);
        o->key = NULL;
    }
    key = calloc(1, sizeof(*key));
    if (key == NULL)
        return err_set(e, E_MEMORY, "out of memory for a key");
    if (site_store(s->site, false, e) != 0 ||
        store_key_get(s->site->store, s->row.id, o->row.key, seal, key, e) != 0) {
        object_free_key(key);
        return -1;
    }
    o->key = key;
    o->key_unproved = seal == NULL;
    *out = key;
    return 0;
}

bool slot_caps(struct slot *s, struct tpm_caps *out)
{
    struct token *k;

    /* Opening the token gives the TPM object what the store remembers of it, so
     * that this sends nothing. */
    return s->row.id != 0 && s->present && slot_token(s, &k, NULL) == 0 &&
           tpm_caps(token_tpm(k), out, NULL) == 0;
}
