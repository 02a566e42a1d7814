#include "core/log.h"
#include "core/tpmname.h"
#include "tpm/lockout.h"
#include "tpm/rc.h"
#include "tpm/token_priv.h"

#include <stdlib.h>
#include <string.h>

static int pin_primary(struct token *k, struct err *e)
{
    struct bytes wire = {k->hw.primary_public, k->hw.primary_public_len};

    if (tpmname_unmarshal_public(wire, &k->primary, e) != 0 ||
        tpmname_object(wire, &k->primary_name, e) != 0)
        return err_prefix(e, "the storage primary of token '%s' in the store", k->row.label);
    k->salt.handle = k->hw.primary;
    k->salt.pub = &k->primary;
    return 0;
}

int token_open(struct token **out, struct tpm *t, struct store *s, int64_t id, struct err *e)
{
    struct token *k = calloc(1, sizeof(*k));
    struct tpm_caps caps;

    if (k == NULL)
        return err_set(e, E_MEMORY, "out of memory for a token");
    k->tpm = t;
    k->store = s;
    if (store_token_get(s, id, &k->row, e) != 0 || store_tpm_get(s, k->row.tpm, &k->hw, e) != 0 ||
        pin_primary(k, e) != 0) {
        token_free(k);
        return -1;
    }
    if (tpm_caps_decode(bytes_of(k->hw.caps, k->hw.caps_len), &caps, NULL) == 0)
        tpm_set_caps(t, &caps);
    *out = k;
    return 0;
}

static void forget_login(struct token *k)
{
    secret_free(k->secret);
    secret_free(k->seal);
    k->secret = NULL;
    k->seal = NULL;
    k->who = TOKEN_NOBODY;
    k->proof = NULL;
}

void token_free(struct token *k)
{
    if (k == NULL)
        return;
    forget_login(k);
    free(k->ticket);
    free(k);
}

const struct store_token *token_row(const struct token *k)
{
    return &k->row;
}

int token_reload(struct token *k, struct err *e)
{
    return store_token_get(k->store, k->row.id, &k->row, e);
}

int token_same(struct token *k, struct err *e)
{
    char was[sizeof(k->row.serial)];

    memcpy(was, k->row.serial, sizeof(was));
    if (token_reload(k, e) != 0)
        return -1;
    if (memcmp(was, k->row.serial, sizeof(was)) == 0)
        return 0;
    return err_set(e, E_NOT_FOUND,
                   "the token with serial number %s was made anew by another process just now "
                   "(C_InitToken): its keys and its user PIN are gone; nothing was tried",
                   was);
}

enum token_user token_who(const struct token *k)
{
    return k->who;
}

struct tpm *token_tpm(struct token *k)
{
    return k->tpm;
}

struct store *token_store(struct token *k)
{
    return k->store;
}

const struct store_seal *token_stamp(const struct token *k)
{
    return k->seal != NULL ? (const struct store_seal *)(const void *)secret_peek(k->seal) : NULL;
}

const struct store_seal *token_seal(const struct token *k)
{
    return k->who == TOKEN_USER ? token_stamp(k) : NULL;
}

struct session *token_session(struct token *k, struct err *e)
{
    struct err why = {0};
    struct session *s = held_session(k->tpm, &k->salt, &why);

    if (s != NULL)
        return s;
    if (rc_base(why.rc) == TPM2_RC_HANDLE || rc_base(why.rc) == TPM2_RC_VALUE ||
        why.rc == TPM2_RC_REFERENCE_H0)
        err_set_rc(e, E_NOT_FOUND, why.rc,
                   "the TPM has no storage primary at 0x%08x: it was cleared, or the store '%s' "
                   "belongs to another TPM",
                   k->hw.primary, store_path(k->store));
    else
        err_take(e, &why);
    return NULL;
}

struct token_marks token_marks(enum token_user who)
{
    static const struct token_marks user = {STORE_TOKEN_CHANGE_USER, STORE_TOKEN_SPLIT_USER},
                                    so = {STORE_TOKEN_CHANGE_SO, STORE_TOKEN_SPLIT_SO};

    return who == TOKEN_USER ? user : so;
}

/* The last known counts are kept in the store so that C_GetTokenInfo costs nothing;
 * a store that cannot be written is no reason to refuse a login. */
static void note_tries(struct token *k, enum token_user who, uint32_t fails, uint32_t set,
                       uint32_t clear)
{
    uint32_t *f = who == TOKEN_USER ? &k->row.user_fails : &k->row.so_fails;
    struct store_note note = {.set = set, .clear = clear};
    struct err why = {0};

    k->unsaved &= ~clear;
    if (*f == fails && (k->row.flags & clear) == 0 && (k->row.flags & set) == set)
        return;
    *f = fails;
    k->row.flags = (k->row.flags | set) & ~clear;
    if (who == TOKEN_USER)
        note.user_fails = &fails;
    else
        note.so_fails = &fails;
    if (store_token_note(k->store, &k->row, &note, &why) != 0) {
        k->unsaved |= set;
        log_info("what the TPM said to the PIN was not noted: %s", why.msg);
    }
}

/* Where the TPM has no PIN indices its one count is the count of both PINs: what others
 * failed is in it. */
static uint32_t count_of_all(struct token *k, uint32_t otherwise)
{
    struct lockout_state s;

    if ((k->row.flags & STORE_TOKEN_DA_ONLY) == 0 || lockout_read(k->tpm, &s, NULL) != 0)
        return otherwise;
    return s.count;
}

void token_note_pin(struct token *k, enum token_user who, enum err_code code)
{
    uint32_t limit = who == TOKEN_USER ? k->row.user_limit : k->row.so_limit;
    uint32_t fails = who == TOKEN_USER ? k->row.user_fails : k->row.so_fails;
    struct token_marks m = token_marks(who);

    if (code == E_PIN_WRONG) {
        fails = count_of_all(k, fails + 1);
        note_tries(k, who, fails < limit ? fails : limit, 0, 0);
    } else if (code == E_PIN_LOCKED) {
        note_tries(k, who, limit, 0, 0);
    } else if (code == E_OK) {
        note_tries(k, who, 0, 0, 0);
    } else if (code == E_PIN_INTERRUPT) {
        /* Lock 1 has passed. */
        note_tries(k, who, 0, m.change | m.split, 0);
    }
}

int token_check_length(struct bytes pin, struct err *e)
{
    if (pin.len < TOKEN_PIN_MIN || pin.len > TOKEN_PIN_MAX)
        return err_set(e, E_PIN_LENGTH, "a PIN has %d to %d characters, not %zu", TOKEN_PIN_MIN,
                       TOKEN_PIN_MAX, pin.len);
    return 0;
}

int token_check_pin(const struct token *k, enum token_user who, struct bytes pin, struct err *e)
{
    if ((k->row.flags & STORE_TOKEN_INCOMPLETE) != 0)
        return err_set(e, E_CORRUPT,
                       "token '%s' was never finished; make it again (fusetsu token init)",
                       k->row.label);
    if (token_check_length(pin, e) != 0)
        return -1;
    if (who == TOKEN_USER && (k->row.flags & STORE_TOKEN_PIN_SET) == 0)
        return err_set(e, E_PIN_UNSET,
                       "token '%s' has no user PIN yet; the SO sets it first (C_InitPIN, or "
                       "fusetsu token unblock)",
                       k->row.label);
    return 0;
}

/* What is known to fail at S or R is not tried again there: a service that tries the same PIN
 * all the time would lock the TPM for all its users. */
static int beware(struct token *k, const struct pin_link *l, enum token_user who,
                  const struct pin_auth *auth, struct err *e)
{
    enum pin_side side = who == TOKEN_USER ? PIN_USER : PIN_SO;
    struct token_marks m = token_marks(who);
    uint32_t flags = k->row.flags;

    /* Unless somebody has completed the change. */
    if ((flags & m.change) != 0)
        flags |= k->unsaved;
    if ((flags & m.split) == 0)
        return 0;
    return pin_check(l, &k->row, side, auth, e) == 0 ? pin_interrupted(&k->row, e) : -1;
}

int token_open_guard(struct token *k, enum token_user who, struct bytes pin, struct secret **out,
                     struct err *e)
{
    enum pin_side side = who == TOKEN_USER ? PIN_USER : PIN_SO;
    size_t len = who == TOKEN_USER ? PIN_SECRET : sizeof(struct pin_so_content);
    struct secret *content = secret_new(len, e), *auth = NULL;
    struct pin_link link = {.tpm = k->tpm, .salt = &k->salt};
    const struct pin_auth *got;
    struct err why = {0};
    int rc = -1;

    if (content == NULL || (auth = secret_new(sizeof(struct pin_auth), e)) == NULL)
        goto out;
    if (pin_derive(&k->row, side, pin, (struct pin_auth *)(void *)secret_data(auth), e) != 0)
        goto out;
    link.main = token_session(k, e);
    if (link.main == NULL || token_same(k, e) != 0)
        goto out;
    got = (const struct pin_auth *)(const void *)secret_peek(auth);
    if (beware(k, &link, who, got, &why) != 0 ||
        pin_open(&link, &k->row, side, got, secret_data(content), (uint16_t)len, &why) != 0) {
        token_note_pin(k, who, why.code);
        /* A PIN was on its way: never tried again by itself, but the next try starts anew. */
        if (tpm_is_stale(&why))
            tpm_lost(k->tpm);
        err_take(e, &why);
        goto out;
    }
    *out = content;
    content = NULL;
    rc = 0;
out:
    secret_free(content);
    secret_free(auth);
    return rc;
}

static int seal_of(enum token_user who, const struct secret *content, struct secret **out,
                   struct err *e)
{
    struct bytes secret = secret_bytes(content);
    struct secret *seal = secret_new(sizeof(struct store_seal), e);

    if (seal == NULL)
        return -1;
    if (who == TOKEN_SO)
        secret =
            bytes_of(((const struct pin_so_content *)(const void *)secret.p)->secret, PIN_SECRET);
    if (store_seal_derive(secret, (struct store_seal *)(void *)secret_data(seal), e) != 0) {
        secret_free(seal);
        return -1;
    }
    *out = seal;
    return 0;
}

int token_login(struct token *k, enum token_user who, struct bytes pin, struct err *e)
{
    struct secret *content = NULL, *seal = NULL;
    struct token_marks m = token_marks(who);

    if (token_reload(k, e) != 0 || token_check_pin(k, who, pin, e) != 0 ||
        token_open_guard(k, who, pin, &content, e) != 0)
        return -1;
    if (seal_of(who, content, &seal, e) != 0) {
        secret_free(content);
        return -1;
    }
    forget_login(k);
    k->secret = content;
    k->seal = seal;
    k->who = who;
    if (who == TOKEN_USER)
        k->confirmed = k->row;
    /* Both locks took the same PIN: no change is pending. */
    note_tries(k, who, 0, 0, m.change | m.split);
    return 0;
}

int token_logout(struct token *k, struct err *e)
{
    if (k->who == TOKEN_NOBODY)
        return err_set(e, E_LOGIN, "nobody is logged in to token '%s'", k->row.label);
    forget_login(k);
    held_flush_all(k->tpm);
    return 0;
}

int token_retry(struct token *k, int (*op)(struct token *k, void *arg, struct err *e), void *arg,
                struct err *e)
{
    struct err why = {0};

    if (op(k, arg, &why) == 0)
        return 0;
    if (rc_base(why.rc) == TPM2_RC_BAD_AUTH) {
        /* Our keys' authValues are right and not counted: the session is out of step. */
        struct session *main = token_session(k, e);

        if (main == NULL)
            return -1;
        session_end(k->tpm, main);
    } else if (tpm_is_stale(&why)) {
        tpm_lost(k->tpm);
    } else {
        return err_take(e, &why);
    }
    return op(k, arg, e);
}
