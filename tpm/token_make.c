#include "core/hash.h"
#include "core/log.h"
#include "core/tpmname.h"
#include "tpm/capability.h"
#include "tpm/hierarchy.h"
#include "tpm/lockout.h"
#include "tpm/nv.h"
#include "tpm/owner.h"
#include "tpm/pin_make.h"
#include "tpm/token_make.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_TRIES 10

static int check_tries(uint32_t tries, struct err *e)
{
    uint8_t content[PIN_COUNT];

    return tries == 0 ? 0 : pin_index_count(tries, content, e);
}

static void take_tries(struct store_token *row, const struct token_params *p)
{
    row->user_limit = p->user_tries != 0 ? p->user_tries : DEFAULT_TRIES;
    row->so_limit = p->so_tries != 0 ? p->so_tries : DEFAULT_TRIES;
}

static int check_params(const struct token_params *p, struct err *e)
{
    size_t n = p->label != NULL ? strlen(p->label) : 0;

    if (n == 0 || n > 32)
        return err_set(e, E_ARG, "a token label has 1 to 32 bytes, not %zu", n);
    if (p->so_pin.len < TOKEN_PIN_MIN || p->so_pin.len > TOKEN_PIN_MAX)
        return err_set(e, E_PIN_LENGTH, "the SO PIN must have %d to %d characters, not %zu",
                       TOKEN_PIN_MIN, TOKEN_PIN_MAX, p->so_pin.len);
    if (p->user_pin.len != 0 &&
        (p->user_pin.len < TOKEN_PIN_MIN || p->user_pin.len > TOKEN_PIN_MAX))
        return err_set(e, E_PIN_LENGTH, "the user PIN must have %d to %d characters, not %zu",
                       TOKEN_PIN_MIN, TOKEN_PIN_MAX, p->user_pin.len);
    if (check_tries(p->user_tries, e) != 0 || check_tries(p->so_tries, e) != 0)
        return -1;
    if (p->guard == TOKEN_GUARD_COUNTER && !p->own_tpm)
        return err_set(e, E_ARG,
                       "a PIN that its own count alone guards needs a TPM of one's own: whoever "
                       "knows the owner authorisation can set up that count anew and read the "
                       "secret behind it without the PIN; go on with --own-tpm, or without "
                       "--pin-guard counter");
    return 0;
}

/* Serial: 5 bytes of the storage primary's digest tell the TPM, 3 random ones the
 * token; unique in the store by constraint. */
static int draw_serial(struct token *k, struct err *e)
{
    uint8_t id[8], digest[32];

    if (hash_sha256(bytes_of(k->primary_name.name, k->primary_name.size), digest, e) != 0)
        return -1;
    memcpy(id, digest, 5);
    if (RAND_bytes(id + 5, 3) != 1)
        return err_openssl(e, E_CRYPTO, "random serial");
    hex_encode(k->row.serial, id, sizeof(id));
    return 0;
}

/* Random bytes that need both the TPM's and the system's generator to be bad. */
static int draw(struct tpm *t, uint8_t *out, size_t len, struct err *e)
{
    uint8_t other[32];

    if (len > sizeof(other))
        return err_set(e, E_ARG, "too many random bytes at once");
    if (tpm_random(t, out, len, e) != 0)
        return -1;
    if (RAND_bytes(other, (int)len) != 1)
        return err_openssl(e, E_CRYPTO, "random bytes");
    for (size_t i = 0; i < len; i++)
        out[i] ^= other[i];
    secret_wipe(other, sizeof(other));
    return 0;
}

static int plan_handles(struct token *k, struct err *e)
{
    uint32_t free_handle[STORE_NV_COUNT];

    if (nv_free(k->tpm, free_handle, STORE_NV_COUNT, e) != 0)
        return -1;
    for (size_t i = 0; i < STORE_NV_COUNT; i++) {
        bool counter = i == STORE_NV_U || i == STORE_NV_O;

        k->row.nv[i] = (struct store_index){0};
        if (!counter || (k->row.flags & STORE_TOKEN_DA_ONLY) == 0)
            k->row.nv[i].handle = free_handle[i];
    }
    return 0;
}

/* Is there another token of ours in this TPM, which has set lockoutAuth then? */
static bool has_sibling(struct token *k)
{
    struct store_token *list = NULL;
    bool found = false;
    size_t n = 0;

    if (store_token_list(k->store, &list, &n, NULL) != 0)
        return false;
    for (size_t i = 0; i < n; i++)
        found = found || (list[i].tpm == k->hw.id && list[i].id != k->row.id &&
                          (list[i].flags & (STORE_TOKEN_INCOMPLETE | STORE_TOKEN_WEAK_LOCKOUT |
                                            STORE_TOKEN_FOREIGN_LOCKOUT)) == 0);
    free(list);
    return found;
}

/* Everything secret of a token in the making, in one locked place. */
struct making {
    struct pin_auth auth[2];
    struct pin_so_content content;
};

/* The public half of K is in the row before any index is made: it tells them from others'. */
static int note_k(struct token *k, const uint8_t seed[32], struct err *e)
{
    struct pin_k pair;
    int rc = pin_k_derive(seed, &pair, e);

    if (rc == 0) {
        memcpy(k->row.k_public, pair.pub.x, 32);
        memcpy(k->row.k_public + 32, pair.pub.y, 32);
    }
    secret_wipe(&pair, sizeof(pair));
    return rc;
}

static int draw_making(struct token *k, const struct token_params *p, struct making *m,
                       struct err *e)
{
    if (draw(k->tpm, k->row.salt, sizeof(k->row.salt), e) != 0 ||
        draw(k->tpm, m->content.secret, PIN_SECRET, e) != 0 ||
        draw(k->tpm, m->content.k_seed, 32, e) != 0 || note_k(k, m->content.k_seed, e) != 0 ||
        pin_derive(&k->row, PIN_SO, p->so_pin, &m->auth[PIN_SO], e) != 0)
        return -1;
    if (p->user_pin.len != 0)
        return pin_derive(&k->row, PIN_USER, p->user_pin, &m->auth[PIN_USER], e);
    /* Unknown to anybody until the SO sets a PIN. */
    if (RAND_bytes((uint8_t *)&m->auth[PIN_USER], (int)sizeof(m->auth[PIN_USER])) != 1)
        return err_openssl(e, E_CRYPTO, "random PIN");
    return 0;
}

/* lockoutAuth is changed only after the token that keeps it is complete, so that a
 * crash cannot lose it. The token stands whether or not this succeeds: it is marked
 * weak until then. */
static void settle_lockout(struct token *k, const struct token_params *p, const struct making *m,
                           struct token_report *report)
{
    struct err why = {0};
    struct session *main = token_session(k, &why);
    bool set = false;

    hex_encode(report->recovery_code, m->content.lockout_auth, 32);
    report->lockout_set = true;
    if (main != NULL && p->keep != NULL)
        p->keep(p->keep_arg, report);
    if (main == NULL || lockout_secure(k->tpm, main, m->content.lockout_auth, &set, &why) != 0) {
        log_warn("the TPM's lockout could not be %s: %s", set ? "closed to others" : "secured",
                 why.msg);
        report->lockout_set = set;
        return;
    }
    if (store_token_note(k->store, &k->row, &(struct store_note){.clear = STORE_TOKEN_WEAK_LOCKOUT},
                         &why) != 0)
        log_warn("the token is still marked as weakly guarded in the store: %s", why.msg);
}

/* What R is to keep of ownerAuth: ours that is in force and the only way in, else a fresh one. */
static int plan_owner(struct token *k, const struct token_params *p, bool set, struct making *m,
                      struct token_report *report, struct err *e)
{
    static const uint8_t none[OWNER_AUTH];
    struct bytes known = owner_auth(k->tpm);
    uint8_t *keep = m->content.owner_auth;

    if (owner_ready(k->tpm, set, e) != 0)
        return -1;
    report->owner_foreign = set && !owner_is_ours(k->tpm);
    if (!p->own_tpm)
        return 0;
    if (report->owner_foreign || (set && known.len > OWNER_AUTH))
        return err_set(e, E_DENIED,
                       "the TPM's owner authorisation was set by somebody else: this TPM does "
                       "not serve fusetsu alone; empty it first (tpm2_changeauth -c owner), or "
                       "go on without --own-tpm");
    k->row.flags |= STORE_TOKEN_OWNER;
    if (set) {
        struct session *main = token_session(k, e);

        memset(keep, 0, OWNER_AUTH);
        memcpy(keep, known.p, known.len);
        return main != NULL ? owner_close(k->tpm, main, e) : -1;
    }
    return memcmp(keep, none, OWNER_AUTH) == 0 ? draw(k->tpm, keep, OWNER_AUTH, e) : 0;
}

/* R holds the new ownerAuth already, and the row says where R is, whatever happens now. */
static int settle_owner(struct token *k, const struct token_params *p, const struct making *m,
                        struct token_report *report, struct err *e)
{
    struct bytes fresh = {m->content.owner_auth, OWNER_AUTH};
    struct session *main = token_session(k, e);

    if (main == NULL || store_token_put(k->store, &k->row, e) != 0)
        return -1;
    report->owner_set = true;
    hex_encode(report->owner_code, m->content.owner_auth, OWNER_AUTH);
    if (p->keep != NULL)
        p->keep(p->keep_arg, report);
    if (owner_change(k->tpm, main, fresh, e) != 0) {
        report->owner_set = false;
        /* The TPM may have done it all the same: token_discard asks. */
        if (owner_know(k->tpm, fresh, true, NULL) != 0)
            log_debug("the owner authorisation that was sent is not remembered");
        return -1;
    }
    return 0;
}

static int define(struct token *k, const struct token_params *p, const struct making *m,
                  bool settle, struct token_report *report, struct err *e)
{
    struct pin_link link = {.tpm = k->tpm, .salt = &k->salt, .main = token_session(k, e)};

    if (link.main == NULL || pin_provision(&link, &k->row, m->auth, &m->content, e) != 0)
        return -1;
    return settle ? settle_owner(k, p, m, report, e) : 0;
}

/* Who makes a TPM look older than it is takes one of the two locks away. */
static int ask(struct token *k, bool *pin_fail, struct err *e)
{
    struct session *main = token_session(k, e);
    struct tpm_caps caps;

    if (main == NULL || capability_pin_fail(k->tpm, main, pin_fail, e) != 0 ||
        tpm_caps(k->tpm, &caps, e) != 0)
        return -1;
    if (caps.pin_fail != *pin_fail)
        return err_set(e, E_TAMPERED,
                       "the TPM is of another revision than it seemed to be: something between "
                       "this program and the TPM altered what it says of itself");
    return 0;
}

static int plan_guard(struct token *k, const struct token_params *p,
                      const struct lockout_state *lockout, bool secure, struct err *e)
{
    bool pin_fail = false;

    if (ask(k, &pin_fail, e) != 0)
        return -1;
    if (p->guard == TOKEN_GUARD_COUNTER && !pin_fail)
        return err_set(e, E_UNSUPPORTED,
                       "this TPM has no PIN indices (its specification is older than 1.38): go on "
                       "without --pin-guard counter");
    if (p->guard == TOKEN_GUARD_COUNTER)
        k->row.flags |= STORE_TOKEN_COUNTER;
    if (!pin_fail) {
        k->row.flags |= STORE_TOKEN_DA_ONLY;
        k->row.user_limit = k->row.so_limit = secure ? LOCKOUT_TRIES : lockout->max_tries;
    }
    return 0;
}

static int make(struct token *k, const struct token_params *p, struct making *m,
                struct token_report *report, struct err *e)
{
    struct session *main = token_session(k, e);
    struct hierarchy_policies policy;
    struct lockout_state lockout;
    bool secure;

    /* In the session: else somebody in between could say that there is nothing to be done. */
    if (main == NULL || lockout_read_in(k->tpm, main, &lockout, e) != 0 ||
        hierarchy_policies(k->tpm, main, &policy, e) != 0)
        return -1;
    secure = !lockout.auth_set && !p->weak_lockout;
    report->lockout_foreign = lockout.auth_set && !has_sibling(k);
    report->lockout_policy = lockout.auth_set && policy.lockout;
    if (secure && draw(k->tpm, m->content.lockout_auth, 32, e) != 0)
        return -1;
    k->row.flags = STORE_TOKEN_INCOMPLETE | STORE_TOKEN_MARKED;
    if (plan_guard(k, p, &lockout, secure, e) != 0 ||
        plan_owner(k, p, lockout.owner_set, m, report, e) != 0 || plan_handles(k, e) != 0 ||
        store_token_put(k->store, &k->row, e) != 0)
        return -1;
    if (define(k, p, m, p->own_tpm && !lockout.owner_set, report, e) != 0) {
        struct err ignored = {0};

        if (token_discard(k, &ignored) != 0)
            log_info("an unfinished token stays in the store: %s", ignored.msg);
        return -1;
    }
    k->row.flags = (k->row.flags & ~STORE_TOKEN_INCOMPLETE) |
                   (p->user_pin.len != 0 ? STORE_TOKEN_PIN_SET : 0) |
                   (report->lockout_foreign ? STORE_TOKEN_FOREIGN_LOCKOUT : 0) |
                   (lockout.auth_set && !policy.lockout ? 0 : STORE_TOKEN_WEAK_LOCKOUT);
    if (store_token_put(k->store, &k->row, e) != 0)
        return -1;
    if (secure)
        settle_lockout(k, p, m, report);
    return 0;
}

int token_provision(struct token **out, struct tpm *t, struct store *s,
                    const struct token_params *p, struct token_report *report, struct err *e)
{
    struct token *k = calloc(1, sizeof(*k));
    struct token_report done = {0};
    struct secret *making = NULL;
    int rc = -1;

    if (k == NULL)
        return err_set(e, E_MEMORY, "out of memory for a token");
    k->tpm = t;
    k->store = s;
    /* Held, so that the sweep takes no token that another process is just making. */
    if (check_params(p, e) != 0 || store_hold(s, e) != 0 ||
        token_hw(t, s, p->ek_issuers, &k->hw, &done, e) != 0)
        goto out;
    if (tpmname_unmarshal_public(bytes_of(k->hw.primary_public, k->hw.primary_public_len),
                                 &k->primary, e) != 0 ||
        tpmname_object(bytes_of(k->hw.primary_public, k->hw.primary_public_len), &k->primary_name,
                       e) != 0)
        goto out;
    k->salt = (struct salt_key){k->hw.primary, &k->primary};
    k->row.tpm = k->hw.id;
    take_tries(&k->row, p);
    snprintf(k->row.label, sizeof(k->row.label), "%s", p->label);
    making = secret_new(sizeof(struct making), e);
    if (making == NULL || token_sweep(k, e) != 0 || draw_serial(k, e) != 0 ||
        draw_making(k, p, (struct making *)(void *)secret_data(making), e) != 0 ||
        make(k, p, (struct making *)(void *)secret_data(making), &done, e) != 0)
        goto out;
    if (report != NULL)
        *report = done;
    *out = k;
    k = NULL;
    rc = 0;
out:
    store_release(s);
    secret_wipe(&done, sizeof(done));
    secret_free(making);
    token_free(k);
    return rc;
}

/* Exchanges the rows: the token goes on with fresh indices, the placeholder takes
 * the old ones and is swept away, now or by the next provisioning. */
static int exchange(struct token *k, struct token *fresh, const char *label, struct err *e)
{
    struct store_token old = k->row, now = fresh->row;

    now.id = old.id;
    snprintf(now.label, sizeof(now.label), "%s", label);
    now.flags = (now.flags & ~STORE_TOKEN_PIN_SET) | (old.flags & STORE_TOKEN_WEAK_LOCKOUT);
    old.id = fresh->row.id;
    old.flags = STORE_TOKEN_INCOMPLETE | (old.flags & (STORE_TOKEN_OWNER | STORE_TOKEN_COUNTER |
                                                       STORE_TOKEN_DA_ONLY | STORE_TOKEN_MARKED));
    if (store_begin(k->store, e) != 0)
        return -1;
    /* The serial goes with the salt of scrypt, so it moves too; it is unique, and
     * so the old one leaves first. */
    if (store_token_clear(k->store, now.id, e) != 0 ||
        store_token_delete(k->store, old.id, e) != 0 || store_token_put(k->store, &now, e) != 0)
        goto fail;
    old.id = 0;
    if (store_token_put(k->store, &old, e) != 0 || store_commit(k->store, e) != 0)
        goto fail;
    k->row = now;
    fresh->row = old;
    return 0;
fail:
    store_rollback(k->store);
    return -1;
}

/*
 * What the new token is to be like: the old one as it is in the TPM and by what its R holds. The
 * row does not say so: whoever wrote to it could have the new one made weaker.
 */
static int like_before(struct token *k, struct token_params *p, struct err *e)
{
    static const uint8_t none[OWNER_AUTH];
    const struct pin_so_content *old =
        (const struct pin_so_content *)(const void *)secret_peek(k->secret);
    struct pin_link link = {.tpm = k->tpm, .salt = &k->salt, .main = token_session(k, e)};
    struct err why = {0};
    bool counted = false;
    TPM2B_NAME s;

    if (link.main == NULL)
        return -1;
    p->own_tpm = memcmp(old->owner_auth, none, OWNER_AUTH) != 0;
    if (pin_index_guard(&k->row, PIN_USER) != PIN_ALONE) {
        if (pin_tries(&link, &k->row, PIN_SO, &p->so_tries, e) != 0)
            return -1;
        /* The user's side may be destroyed: then the token is made anew because of that. */
        if (pin_tries(&link, &k->row, PIN_USER, &p->user_tries, &why) != 0) {
            log_warn("the limit of the user PIN is not known any more: %s", why.msg);
            p->user_tries = DEFAULT_TRIES;
        }
    }
    if (p->own_tpm && (k->row.flags & STORE_TOKEN_COUNTER) != 0) {
        if (pin_index_written(&k->row, STORE_NV_S, &s, e) != 0 ||
            nv_is(k->tpm, link.main, k->row.nv[STORE_NV_S].handle, &s, &counted, e) != 0)
            return -1;
        if (counted)
            p->guard = TOKEN_GUARD_COUNTER;
    }
    return check_params(p, e);
}

int token_reset(struct token *k, struct bytes so_pin, const char *label, struct err *e)
{
    struct token_params p = {.label = label, .so_pin = so_pin, .weak_lockout = true};
    const struct pin_so_content *old;
    struct token_report report = {0};
    struct token fresh = {0};
    struct secret *making = NULL;
    struct making *m;
    bool learn = owner_auth(k->tpm).len == 0;
    int rc = -1;

    /* The store is held before the TPM, as everywhere: two processes never wait crosswise. */
    if (check_params(&p, e) != 0 || store_hold(k->store, e) != 0)
        return -1;
    if (token_login(k, TOKEN_SO, so_pin, e) != 0) {
        store_release(k->store);
        return -1;
    }
    making = secret_new(sizeof(*m), e);
    if (making == NULL || like_before(k, &p, e) != 0)
        goto out;
    m = (struct making *)(void *)secret_data(making);
    fresh = *k;
    fresh.who = TOKEN_NOBODY;
    fresh.row.id = 0;
    take_tries(&fresh.row, &p);
    if (draw_serial(&fresh, e) != 0 || draw_making(&fresh, &p, m, e) != 0)
        goto out;
    old = (const struct pin_so_content *)(const void *)secret_peek(k->secret);
    memcpy(m->content.lockout_auth, old->lockout_auth, sizeof(old->lockout_auth));
    memcpy(m->content.owner_auth, old->owner_auth, sizeof(old->owner_auth));
    if (learn && owner_know(k->tpm, bytes_of(old->owner_auth, OWNER_AUTH), true, e) != 0)
        goto out;
    fresh.salt.pub = &fresh.primary;
    if (make(&fresh, &p, m, &report, e) != 0 || exchange(k, &fresh, label, e) != 0)
        goto out;
    held_flush_all(k->tpm);
    rc = token_sweep(k, e);
out:
    if (learn)
        owner_forget(k->tpm);
    store_release(k->store);
    secret_free(making);
    if (k->who != TOKEN_NOBODY && token_logout(k, NULL) != 0)
        log_debug("logout after a reset failed");
    return rc;
}
