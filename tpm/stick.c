#include "tpm/stick.h"

#include "core/log.h"
#include "core/store_backup.h"
#include "tpm/nv.h"
#include "tpm/stick_nv.h"
#include "tpm/token_priv.h"

#include <stdlib.h>
#include <string.h>

struct stick {
    struct tpm *tpm;
    char *name;
    unsigned copy; /* in force */
    struct stick_descriptor d;
    uint64_t newest;            /* generation, of a copy that was not whole perhaps */
    struct buf wire;            /* the image in force */
    struct store_backup *image; /* the same, read */
    struct store *store;
    int64_t row;         /* of the token in it */
    struct token *token; /* the caller's */
};

/* --- reading ------------------------------------------------------------------------ */

/* Both descriptors, the newer first. How many there are; none: why. */
static size_t look(struct tpm *t, struct stick_descriptor d[STICK_COPIES],
                   unsigned copy[STICK_COPIES], struct err *e)
{
    struct err worst = {0};
    size_t n = 0;

    for (unsigned i = 0; i < STICK_COPIES; i++) {
        struct err why = {0};

        if (stick_nv_descriptor(t, i, &d[n], &why) == 0) {
            copy[n++] = i;
            continue;
        }
        if (worst.code == E_OK || worst.code == E_NOT_FOUND)
            worst = why;
        if (why.code != E_NOT_FOUND && why.code != E_CORRUPT)
            break;
    }
    /* A newer program's copy, or a TPM that does not answer, is no older copy's chance. */
    if (n == 0 || (worst.code != E_OK && worst.code != E_NOT_FOUND && worst.code != E_CORRUPT)) {
        err_take(e, &worst);
        return 0;
    }
    if (n == STICK_COPIES && d[1].generation > d[0].generation) {
        struct stick_descriptor older = d[0];
        unsigned at = copy[0];

        d[0] = d[1];
        copy[0] = copy[1];
        d[1] = older;
        copy[1] = at;
    }
    return n;
}

static int take(struct stick *s, unsigned copy, const struct stick_descriptor *d, struct err *e)
{
    struct buf wire = {0};

    if (stick_nv_image(s->tpm, copy, d, &wire, e) == 0 &&
        store_backup_read(&s->image, buf_bytes(&wire), s->name, e) == 0) {
        s->copy = copy;
        s->d = *d;
        s->wire = wire;
        return 0;
    }
    buf_free(&wire);
    return -1;
}

/* The newest that is whole. */
static int find(struct stick *s, struct err *e)
{
    struct stick_descriptor d[STICK_COPIES];
    unsigned copy[STICK_COPIES];
    struct err why = {0};
    size_t n = look(s->tpm, d, copy, &why);

    if (n == 0) {
        if (why.code == E_NOT_FOUND)
            return err_set(e, E_NOT_FOUND, "%s carries no token; `fusetsu usb provision` makes one",
                           s->name);
        err_take(e, &why);
        return err_prefix(e, "%s", s->name);
    }
    s->newest = d[0].generation;
    for (size_t i = 0; i < n; i++) {
        struct err this = {0};

        if (take(s, copy[i], &d[i], &this) == 0) {
            if (i > 0)
                log_warn("%s: %s; the copy before it is used", s->name, why.msg);
            return 0;
        }
        if (i == 0)
            why = this;
        if (this.code != E_CORRUPT && this.code != E_FORMAT && this.code != E_NOT_FOUND)
            return err_take(e, &this);
    }
    err_take(e, &why);
    return err_prefix(e, "%s", s->name);
}

int stick_read(struct stick **out, struct tpm *t, const char *name, struct err *e)
{
    struct stick *s = calloc(1, sizeof(*s));

    if (s == NULL || (s->name = strdup(name)) == NULL) {
        stick_free(s);
        return err_set(e, E_MEMORY, "out of memory for a token");
    }
    s->tpm = t;
    if (find(s, e) != 0 || store_backup_scratch(s->image, NULL, &s->store, &s->row, e) != 0) {
        stick_free(s);
        return -1;
    }
    *out = s;
    return 0;
}

void stick_free(struct stick *s)
{
    if (s == NULL)
        return;
    store_close(s->store);
    store_backup_free(s->image);
    buf_free(&s->wire);
    free(s->name);
    free(s);
}

struct store *stick_store(struct stick *s)
{
    return s->store;
}

const struct store_token *stick_row(const struct stick *s)
{
    return store_backup_token(s->image);
}

int64_t stick_id(const struct stick *s)
{
    return s->row;
}

struct stick_room stick_room(const struct stick *s)
{
    return (struct stick_room){s->d.length, (size_t)s->d.part * s->d.parts};
}

int stick_verify(struct stick *s, struct err *e)
{
    const struct store_seal *seal = s->token != NULL ? token_seal(s->token) : NULL;

    if (seal == NULL)
        return err_set(e, E_LOGIN, "what %s carries can be checked after the user's login only",
                       s->name);
    return store_backup_verify(s->image, s->store, s->row, seal, e);
}

/* --- counts of wrong PINs -------------------------------------------------------------- */

int stick_count(struct stick *s, struct err *e)
{
    struct token *k = s->token;
    struct pin_link l = {.tpm = k->tpm, .salt = &k->salt};
    struct store_note note = {0};
    uint32_t user = 0, so = 0, limit;

    if (pin_index_guard(&k->row, PIN_SO) == PIN_ALONE)
        return 0;
    l.main = token_session(k, e);
    if (l.main == NULL || pin_count(&l, &k->row, PIN_USER, &user, &limit, e) != 0 ||
        pin_count(&l, &k->row, PIN_SO, &so, &limit, e) != 0)
        return -1;
    note.user_fails = &user;
    note.so_fails = &so;
    return store_token_note(s->store, &k->row, &note, e);
}

/* --- writing --------------------------------------------------------------------------- */

/* What the login gave: the token secret is first in both. */
static int secrets(struct token *k, struct stick_key *key, struct store_seal *seal, struct err *e)
{
    struct bytes secret;

    if (k->secret == NULL)
        return err_set(e, E_LOGIN,
                       "token '%s' keeps its rows in its TPM: log in to change anything",
                       k->row.label);
    secret = bytes_of(secret_peek(k->secret), PIN_SECRET);
    return stick_nv_key(secret, key, e) == 0 ? store_seal_derive(secret, seal, e) : -1;
}

/* Is what was read still the newest? */
static int check_newest(struct stick *s, struct err *e)
{
    struct stick_descriptor d[STICK_COPIES];
    unsigned copy[STICK_COPIES];

    if (look(s->tpm, d, copy, e) == 0)
        return -1;
    if (d[0].generation == s->newest)
        return 0;
    return err_set(e, E_BUSY,
                   "another process changed %s meanwhile, and nothing was written; do it again",
                   s->name);
}

struct saving {
    struct stick *s;
    const struct stick_key *key;
    struct bytes image;
};

static int write_image(struct token *k, void *arg, struct err *e)
{
    struct saving *w = arg;
    struct stick *s = w->s;
    struct pin_link l = {.tpm = k->tpm, .salt = &k->salt, .main = token_session(k, e)};
    struct stick_descriptor d = s->d;

    if (l.main == NULL || check_newest(s, e) != 0)
        return -1;
    d.generation = s->newest + 1;
    if (stick_nv_write(&l, w->key, 1 - s->copy, &d, w->image, e) != 0)
        return -1;
    s->d = d;
    s->newest = d.generation;
    s->copy = 1 - s->copy;
    return 0;
}

static int save(struct stick *s, const struct stick_key *key, const struct store_seal *seal,
                struct err *e)
{
    struct store_backup *image = NULL;
    struct store_backup_size n;
    struct saving w = {.s = s, .key = key};
    struct buf wire = {0};
    int rc = -1;

    if (store_backup_write(s->store, s->row, seal, false, &wire, &n, e) != 0)
        goto out;
    w.image = buf_bytes(&wire);
    /* Counts of wrong PINs, which are the TPM's, or what speeds up searches. */
    rc = bytes_equal(w.image, buf_bytes(&s->wire)) ? 0 : -1;
    if (rc == 0 || store_backup_read(&image, w.image, s->name, e) != 0)
        goto out;
    if (wire.len > stick_room(s).total) {
        err_set(e, E_FULL,
                "%s has room for %zu bytes of keys and certificates, and with this it would take "
                "%zu: delete some that are no longer used, or make the token anew with more room",
                s->name, stick_room(s).total, wire.len);
        goto out;
    }
    if (write_image(s->token, &w, e) != 0)
        goto out;
    store_backup_free(s->image);
    s->image = image;
    image = NULL;
    buf_free(&s->wire);
    s->wire = wire;
    wire = (struct buf){0};
    rc = 0;
out:
    store_backup_free(image);
    buf_free(&wire);
    return rc;
}

/* Nobody is logged in: what was noted of a PIN stays in memory, the rest cannot be kept. */
static int keep_nothing(struct stick *s, struct err *e)
{
    struct store_backup_size was = store_backup_size(s->image), now;

    if (store_backup_count(s->store, s->row, &now, e) != 0)
        return -1;
    if (was.keys == now.keys && was.objects == now.objects)
        return 0;
    return err_set(e, E_LOGIN, "%s keeps its rows in its TPM: log in to change anything", s->name);
}

static int keep(void *arg, struct err *e)
{
    struct stick *s = arg;
    struct store_seal seal;
    struct stick_key key;
    int rc = -1;

    if (s->token->secret == NULL)
        return keep_nothing(s, e);
    if (secrets(s->token, &key, &seal, e) == 0)
        rc = save(s, &key, &seal, e);
    secret_wipe(&seal, sizeof(seal));
    secret_wipe(&key, sizeof(key));
    return rc;
}

int stick_token(struct stick *s, struct token **out, struct err *e)
{
    if (token_open(&s->token, s->tpm, s->store, s->row, e) != 0) {
        s->token = NULL;
        return -1;
    }
    store_keeper(s->store, keep, s);
    *out = s->token;
    return 0;
}

void stick_let_go(struct stick *s)
{
    store_keeper(s->store, NULL, NULL);
}

/* --- making and taking away --------------------------------------------------------------- */

/* Room as wanted, and the first image in it. */
static int fill(struct token *k, const struct pin_link *l, const struct stick_key *key,
                const struct store_seal *seal, size_t room, struct err *e)
{
    const size_t want = room != 0 ? room : STICK_ROOM;
    struct stick_descriptor d = {0};
    struct store_backup_size n;
    struct buf wire = {0};
    size_t total;
    int rc = -1;

    if (store_backup_write(k->store, k->row.id, seal, false, &wire, &n, e) != 0 ||
        stick_nv_define(l, key, want, &d, e) != 0)
        goto out;
    total = (size_t)d.part * d.parts;
    if (total < wire.len || (room != 0 && total < room)) {
        err_set(e, E_FULL,
                "the TPM has room for an image of %zu bytes (twice), and %zu are wanted: erase "
                "other tokens of this TPM, or ask for less",
                total, total < wire.len ? wire.len : room);
        goto out;
    }
    d.generation = 1;
    rc = stick_nv_write(l, key, 0, &d, buf_bytes(&wire), e);
out:
    if (rc != 0 && stick_nv_undefine(l, NULL) != 0)
        log_info("a part of an image stays in the TPM; `fusetsu usb erase` removes it");
    buf_free(&wire);
    return rc;
}

int stick_create(struct token *k, size_t room, struct err *e)
{
    struct pin_link l = {.tpm = k->tpm, .salt = &k->salt};
    struct store_seal seal;
    struct stick_key key;
    int rc = -1;

    if (secrets(k, &key, &seal, e) == 0 && (l.main = token_session(k, e)) != NULL)
        rc = fill(k, &l, &key, &seal, room, e);
    secret_wipe(&seal, sizeof(seal));
    secret_wipe(&key, sizeof(key));
    return rc;
}

int stick_erase(struct tpm *t, struct token *k, struct err *e)
{
    struct pin_link l = {.tpm = t, .main = k != NULL ? token_session(k, e) : NULL};

    return k != NULL && l.main == NULL ? -1 : stick_nv_undefine(&l, e);
}
