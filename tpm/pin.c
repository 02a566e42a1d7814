#include "tpm/pin.h"

#include "core/kdf.h"
#include "core/log.h"
#include "core/tpmname.h"
#include "tpm/ctx.h"
#include "tpm/held.h"
#include "tpm/nv.h"
#include "tpm/rc.h"

#include <string.h>

static enum store_nv counter_of(enum pin_side side)
{
    return side == PIN_USER ? STORE_NV_U : STORE_NV_O;
}

static enum store_nv guard_of(enum pin_side side)
{
    return side == PIN_USER ? STORE_NV_S : STORE_NV_R;
}

int pin_derive(const struct store_token *row, enum pin_side side, struct bytes pin,
               struct pin_auth *out, struct err *e)
{
    uint8_t both[64];
    struct buf salt = {0};
    int rc = -1;

    buf_str(&salt, row->serial);
    buf_add(&salt, row->salt, sizeof(row->salt));
    buf_u8(&salt, (uint8_t)side);
    if (buf_ok(&salt, e) != 0 || kdf_scrypt(pin, buf_bytes(&salt), both, sizeof(both), e) != 0)
        goto out;
    memcpy(out->counter, both, 32);
    memcpy(out->guard, both + 32, 32);
    rc = 0;
out:
    buf_free(&salt);
    secret_wipe(both, sizeof(both));
    return rc;
}

int pin_k_derive(const uint8_t seed[32], struct pin_k *out, struct err *e)
{
    uint8_t wide[40];
    int rc = -1;

    if (kdf_hkdf(bytes_of(seed, 32), bytes_of("fusetsu K", 9), wide, sizeof(wide), e) == 0 &&
        ecc_from_seed(alg_curve_of(TPM2_ECC_NIST_P256), bytes_of(wide, sizeof(wide)), out->d,
                      &out->pub, e) == 0)
        rc = 0;
    secret_wipe(wide, sizeof(wide));
    return rc;
}

/*
 * Without a resource manager the TPM has three sessions for all processes; others hold
 * their second one for a login only, as we do here. No authValue is used yet: what a reset
 * of the TPM left, or a session that is out of step, is renewed once, and a TPM that does
 * not hold the storage primary is told apart from a wrong PIN.
 */
int pin_session(const struct pin_link *l, struct session *p, struct err *e)
{
    bool renewed = false;

    for (int tries = 0;;) {
        struct err why = {0};
        bool refused;

        if (policy_start(l->tpm, l->salt, l->main, p, &why) == 0)
            return 0;
        refused = rc_base(why.rc) == TPM2_RC_BAD_AUTH || rc_base(why.rc) == TPM2_RC_AUTH_FAIL;
        if (refused)
            session_end(l->tpm, l->main);
        if ((refused || tpm_is_stale(&why)) && !renewed) {
            renewed = true;
            /* The session is renewed in its place, where l->main points to. */
            if (held_session(l->tpm, l->salt, e) == NULL)
                return -1;
        } else if (refused) {
            return err_set_rc(e, E_NOT_FOUND, why.rc,
                              "this TPM does not hold the storage primary of the token: it was "
                              "cleared, or the store belongs to another TPM");
        } else if (!held_try_again(l->tpm, why.rc, &tries)) {
            return err_take(e, &why);
        }
    }
}

/* After the use of a DA-protected entity (Part 1, 19.8.6): an unclean power cut
 * would otherwise count as a failed try. Some resource managers refuse it. */
static void orderly(const struct pin_link *l)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(l->tpm, NULL);
    TSS2_RC rc;

    if (sys == NULL)
        return;
    rc = Tss2_Sys_Shutdown(sys, NULL, TPM2_SU_CLEAR, NULL);
    if (rc != TSS2_RC_SUCCESS)
        log_info("TPM2_Shutdown was refused (0x%03x): a power cut now may count as a wrong PIN",
                 rc);
}

/* Lock 1: proves the PIN to the counter index. The failure says what it means. */
int pin_prove(const struct pin_link *l, const struct store_token *row, enum pin_side side,
              struct session *p, const uint8_t auth[32], struct err *e)
{
    const struct store_index *index = &row->nv[counter_of(side)];
    const char *who = side == PIN_USER ? "user" : "SO";
    struct err why = {0};
    TPM2B_NAME name;
    TSS2_RC base;

    if (index->name.len == 0)
        return err_set(e, E_UNSUPPORTED, "token '%s' has no index that counts PINs", row->label);
    if (pin_index_check(row, counter_of(side), e) != 0)
        return -1;
    pin_index_name(index, &name);
    if (policy_secret(l->tpm, p, l->main, index->handle, &name, bytes_of(auth, 32), &why) == 0)
        return 0;
    base = rc_base(why.rc);
    if (base == TPM2_RC_BAD_AUTH || base == TPM2_RC_AUTH_FAIL)
        return err_set_rc(e, E_PIN_WRONG, why.rc, "wrong %s PIN for token '%s'", who, row->label);
    if (base == TPM2_RC_AUTH_UNAVAILABLE)
        return err_set_rc(e, E_PIN_LOCKED, why.rc,
                          "the %s PIN of token '%s' is locked after too many wrong tries; %s", who,
                          row->label,
                          side == PIN_USER ? "the SO can set a new one (fusetsu token unblock)"
                                           : "the token can only be erased and made anew");
    if (base == TPM2_RC_HANDLE || base == TPM2_RC_NV_UNINITIALIZED)
        return err_set_rc(e, E_NOT_FOUND, why.rc,
                          "the TPM no longer has the PIN index 0x%08x of token '%s': the TPM was "
                          "cleared, or this store belongs to another TPM",
                          index->handle, row->label);
    return err_set_rc(e, why.code, why.rc, "%s", why.msg);
}

int pin_interrupted(const struct store_token *row, struct err *e)
{
    return err_set(e, E_PIN_INTERRUPT,
                   "a PIN change of token '%s' was interrupted; set the PIN again with the same "
                   "old and new PIN (fusetsu token set-pin), or have the SO reset it",
                   row->label);
}

/* Lock 2 refused although lock 1 passed, or is the only one. */
static int guard_failure(const struct store_token *row, enum pin_side side, const struct err *why,
                         struct err *e)
{
    TSS2_RC base = rc_base(why->rc);

    if (base == TPM2_RC_AUTH_FAIL && pin_index_guard(row, side) == PIN_ALONE)
        return err_set_rc(e, E_PIN_WRONG, why->rc,
                          "wrong %s PIN for token '%s'; this TPM counts it for all its users",
                          side == PIN_USER ? "user" : "SO", row->label);
    if (base == TPM2_RC_AUTH_FAIL)
        return pin_interrupted(row, e);
    if (base == TPM2_RC_HANDLE)
        return err_set_rc(e, E_NOT_FOUND, why->rc,
                          "the TPM no longer holds the secret of token '%s': it was erased",
                          row->label);
    return err_set_rc(e, why->code, why->rc, "%s", why->msg);
}

/* A policy session that has passed lock 1, if there is one, and satisfies the guard's policy
 * for reading, or with `code` for that command. */
static int enter_guard(const struct pin_link *l, const struct store_token *row, enum pin_side side,
                       const struct pin_auth *auth, TPM2_CC code, struct session *p, struct err *e)
{
    enum pin_guard guard = pin_index_guard(row, side);
    struct pin_policy policy;

    /* A guard that is asked under another Name than its own counts a failed try, TPM-wide. */
    if (pin_index_check(row, guard_of(side), e) != 0 ||
        pin_index_policy(row, guard_of(side), &policy, e) != 0 || pin_session(l, p, e) != 0)
        return -1;
    if ((guard != PIN_ALONE && pin_prove(l, row, side, p, auth->counter, e) != 0) ||
        (guard != PIN_COUNTED && policy_authvalue(l->tpm, p, e) != 0) ||
        (code != 0 && policy_command(l->tpm, p, code, e) != 0))
        return -1;
    return policy_or(l->tpm, p, policy.branch, policy.n, e);
}

int pin_open(const struct pin_link *l, const struct store_token *row, enum pin_side side,
             const struct pin_auth *auth, uint8_t *out, uint16_t len, struct err *e)
{
    const struct store_index *guard = &row->nv[guard_of(side)];
    bool counted = pin_index_guard(row, side) == PIN_COUNTED;
    struct session p = {0};
    struct err why = {0};
    TPM2B_NAME name;
    int rc = -1;

    pin_index_name(guard, &name);
    if (enter_guard(l, row, side, auth, 0, &p, e) != 0)
        goto out;
    if (nv_read(l->tpm, &p, guard->handle, &name, bytes_of(auth->guard, counted ? 0 : 32), out, len,
                &why) != 0) {
        guard_failure(row, side, &why, e);
        goto out;
    }
    /* Nothing of it is DA-protected then. */
    if (!counted)
        orderly(l);
    rc = 0;
out:
    session_end(l->tpm, &p);
    return rc;
}

int pin_check(const struct pin_link *l, const struct store_token *row, enum pin_side side,
              const struct pin_auth *auth, struct err *e)
{
    struct session p = {0};
    int rc = -1;

    if (pin_session(l, &p, e) == 0)
        rc = pin_prove(l, row, side, &p, auth->counter, e);
    session_end(l->tpm, &p);
    return rc;
}

int pin_change_guard(const struct pin_link *l, const struct store_token *row, enum pin_side side,
                     const struct pin_auth *old, const uint8_t fresh[32], struct err *e)
{
    const struct store_index *guard = &row->nv[guard_of(side)];
    struct session p = {0};
    struct err why = {0};
    TPM2B_NAME name;
    int rc = -1;

    if (pin_index_guard(row, side) == PIN_COUNTED)
        return pin_check(l, row, side, old, e);
    pin_index_name(guard, &name);
    if (enter_guard(l, row, side, old, TPM2_CC_NV_ChangeAuth, &p, e) != 0)
        goto out;
    if (nv_change_auth(l->tpm, &p, NULL, guard->handle, &name, bytes_of(old->guard, 32),
                       bytes_of(fresh, 32), &why) != 0) {
        guard_failure(row, side, &why, e);
        goto out;
    }
    orderly(l);
    rc = 0;
out:
    session_end(l->tpm, &p);
    return rc;
}

int pin_change_counter(const struct pin_link *l, const struct store_token *row, enum pin_side side,
                       const uint8_t old[32], const uint8_t fresh[32], struct err *e)
{
    const struct store_index *counter = &row->nv[counter_of(side)];
    struct pin_policy policy;
    struct session p = {0};
    TPM2B_NAME name;
    int rc = -1;

    if (pin_index_guard(row, side) == PIN_ALONE)
        return 0;
    pin_index_name(counter, &name);
    if (pin_index_policy(row, counter_of(side), &policy, e) != 0 || pin_session(l, &p, e) != 0 ||
        policy_authvalue(l->tpm, &p, e) != 0 ||
        policy_command(l->tpm, &p, TPM2_CC_NV_ChangeAuth, e) != 0 ||
        policy_or(l->tpm, &p, policy.branch, policy.n, e) != 0 ||
        nv_change_auth(l->tpm, &p, NULL, counter->handle, &name, bytes_of(old, 32),
                       bytes_of(fresh, 32), e) != 0)
        goto out;
    rc = 0;
out:
    session_end(l->tpm, &p);
    return rc;
}

/* A policy session satisfied by K's signature for one command on one index. */
static int by_k(const struct pin_link *l, const struct store_token *row, enum store_nv which,
                uint32_t key, const struct pin_k *k, TPM2_CC code, struct session *p, struct err *e)
{
    struct pin_policy policy;

    if (pin_index_policy(row, which, &policy, e) != 0 || pin_session(l, p, e) != 0)
        return -1;
    if (policy_signed(l->tpm, p, key, k->d, e) != 0 || policy_command(l->tpm, p, code, e) != 0 ||
        policy_or(l->tpm, p, policy.branch, policy.n, e) != 0) {
        session_end(l->tpm, p);
        return -1;
    }
    return 0;
}

static int reset_auth(const struct pin_link *l, const struct store_token *row, enum store_nv which,
                      uint32_t key, const struct pin_k *k, const uint8_t fresh[32], struct err *e)
{
    struct session p = {0};
    TPM2B_NAME name;
    int rc;

    pin_index_name(&row->nv[which], &name);
    if (by_k(l, row, which, key, k, TPM2_CC_NV_ChangeAuth, &p, e) != 0)
        return -1;
    rc = nv_change_auth(l->tpm, &p, l->main, row->nv[which].handle, &name, (struct bytes){NULL, 0},
                        bytes_of(fresh, 32), e);
    session_end(l->tpm, &p);
    return rc;
}

int pin_count(const struct pin_link *l, const struct store_token *row, enum pin_side side,
              uint32_t *fails, uint32_t *limit, struct err *e)
{
    const struct store_index *counter = &row->nv[counter_of(side)];
    uint8_t content[PIN_COUNT] = {0};
    struct pin_policy policy;
    struct session p = {0};
    struct reader r = reader_of(content, sizeof(content));
    TPM2B_NAME name;
    int rc = -1;

    pin_index_name(counter, &name);
    if (pin_index_policy(row, counter_of(side), &policy, e) != 0 || pin_session(l, &p, e) != 0)
        return -1;
    if (policy_command(l->tpm, &p, TPM2_CC_NV_Read, e) == 0 &&
        policy_or(l->tpm, &p, policy.branch, policy.n, e) == 0 &&
        nv_read_blind(l->tpm, &p, counter->handle, &name, content, sizeof(content), e) == 0) {
        *fails = reader_u32(&r);
        *limit = reader_u32(&r);
        rc = 0;
    }
    session_end(l->tpm, &p);
    return rc;
}

int pin_tries(const struct pin_link *l, const struct store_token *row, enum pin_side side,
              uint32_t *limit, struct err *e)
{
    uint32_t said = side == PIN_USER ? row->user_limit : row->so_limit, found = said, fails;

    if (pin_index_guard(row, side) == PIN_ALONE) {
        *limit = said;
        return 0;
    }
    if (pin_count(l, row, side, &fails, &found, e) != 0)
        return -1;
    if (found != said)
        log_warn("token '%s': the store says %u tries of the %s PIN, the TPM %u", row->label, said,
                 side == PIN_USER ? "user" : "SO", found);
    if (said < found)
        found = said;
    *limit = found < PIN_TRIES_MIN ? PIN_TRIES_MIN : found < PIN_TRIES_MAX ? found : PIN_TRIES_MAX;
    return 0;
}

static int clear_count(const struct pin_link *l, const struct store_token *row, uint32_t key,
                       const struct pin_k *k, struct err *e)
{
    uint8_t content[PIN_COUNT];
    struct session p = {0};
    TPM2B_NAME name;
    int rc;

    pin_index_name(&row->nv[STORE_NV_U], &name);
    if (pin_index_count(row->user_limit, content, e) != 0 ||
        by_k(l, row, STORE_NV_U, key, k, TPM2_CC_NV_Write, &p, e) != 0)
        return -1;
    rc = nv_write_blind(l->tpm, &p, l->main, row->nv[STORE_NV_U].handle, &name,
                        bytes_of(content, sizeof(content)), e);
    session_end(l->tpm, &p);
    return rc;
}

int pin_reset_user(const struct pin_link *l, const struct store_token *row, const struct pin_k *k,
                   const struct pin_auth *fresh, struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(l->tpm, e);
    TPM2B_PUBLIC pub = {0};
    TPM2B_NAME want, got = {.size = sizeof(got.name)};
    enum pin_guard guard = pin_index_guard(row, PIN_USER);
    TPM2_HANDLE key = 0;
    int rc = -1;

    if (sys == NULL || pin_policy_k(row->k_public, &pub.publicArea, &want, e) != 0)
        return -1;
    if (exec_sapi(Tss2_Sys_LoadExternal(sys, NULL, NULL, &pub, TPM2_RH_NULL, &key, &got, NULL),
                  "loading the SO's public key", e) != 0)
        return -1;
    if (!tpmname_equal(&want, &got)) {
        err_set(e, E_TAMPERED, "the TPM named the SO's key otherwise than computed");
        goto out;
    }
    if (guard != PIN_COUNTED && reset_auth(l, row, STORE_NV_S, key, k, fresh->guard, e) != 0)
        goto out;
    if (guard != PIN_ALONE && (reset_auth(l, row, STORE_NV_U, key, k, fresh->counter, e) != 0 ||
                               clear_count(l, row, key, k, e) != 0))
        goto out;
    if (guard != PIN_COUNTED)
        orderly(l);
    rc = 0;
out:
    tpm_flush(l->tpm, key);
    return rc;
}
