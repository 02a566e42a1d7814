#ifndef TPM_PIN_H
#define TPM_PIN_H

#include "core/ecc.h"
#include "core/secret.h"
#include "core/store.h"
#include "tpm/policy.h"

/*
 * The two PIN locks of a token, both enforced by the TPM. Each side (user, SO) has
 * a counter index (U, O: PIN_FAIL, noDA) that counts wrong PINs for this token
 * alone, and a guard index (S, R: ordinary, DA-protected) that holds the secret.
 * A login passes both: PolicySecret(counter) with one half of scrypt(PIN), then the
 * guard's own authValue with the other half.
 *
 * No branch of any policy rests on PolicySecret of an NV index alone: whoever holds
 * owner authorisation can undefine an index and define it again under the same Name
 * with an authValue of their own.
 */

enum pin_side { PIN_USER, PIN_SO };

/* What scrypt(PIN) gives: one authValue for the counter, one for the guard. */
struct pin_auth {
    uint8_t counter[32];
    uint8_t guard[32];
};

int pin_derive(const struct store_token *row, enum pin_side side, struct bytes pin,
               struct pin_auth *out, struct err *e) MUST_USE;

/* What S and R hold. */
#define PIN_SECRET 32
struct pin_so_content {
    uint8_t secret[PIN_SECRET]; /* the token secret, the same as in S */
    uint8_t k_seed[32];         /* the SO's key K is derived from it */
    uint8_t lockout_auth[32];   /* zeros: not ours */
    uint8_t owner_auth[32];     /* zeros: not ours */
};

/* K, by which the SO resets the user's PIN without owner authorisation. */
struct pin_k {
    uint8_t d[32];
    struct ecc_point pub;
};
int pin_k_derive(const uint8_t seed[32], struct pin_k *out, struct err *e) MUST_USE;

/* Name of K's public area (Part 1, 16), as PolicySigned binds it. */
int pin_k_name(const uint8_t k_public[64], TPMT_PUBLIC *pub, TPM2B_NAME *name,
               struct err *e) MUST_USE;

/* Everything a PIN operation talks with: the TPM, the salted HMAC session and the
 * key that further sessions are salted to. */
struct pin_link {
    struct tpm *tpm;
    struct session *main;
    const struct salt_key *salt;
};

/*
 * Defines the four indices at row->nv[].handle with the given contents and fills in
 * their Names. row->k_public is there already, and in the store, so that pin_erase can
 * tell the indices from those of others. On failure whatever was defined stays for it.
 */
int pin_provision(const struct pin_link *l, struct store_token *row, const struct pin_auth auth[2],
                  const struct pin_so_content *content, struct err *e) MUST_USE;

/* Undefines the four indices: those that are there and are still this token's. Other
 * stores and programs draw from the same range, and a row may be old. */
int pin_erase(const struct pin_link *l, const struct store_token *row, struct err *e) MUST_USE;

/*
 * Passes both locks and reads the guard: `out` gets PIN_SECRET bytes for the user
 * or a whole struct pin_so_content for the SO. Seven commands beside the HMAC
 * session; the last is TPM2_Shutdown(CLEAR), without which a power cut would count
 * as a failed try of the TPM-wide counter. E_PIN_WRONG (counted by the counter
 * index only), E_PIN_LOCKED, E_PIN_INTERRUPT (the guard has another PIN than the
 * counter), E_LOCKOUT.
 */
int pin_open(const struct pin_link *l, const struct store_token *row, enum pin_side side,
             const struct pin_auth *auth, uint8_t *out, uint16_t len, struct err *e) MUST_USE;

/* A fresh policy session, in which nothing is proved yet. Waits for a slot. */
int pin_session(const struct pin_link *l, struct session *p, struct err *e) MUST_USE;

/* PolicySecret of a side's counter with its half of the PIN, in that session: lock 1. The
 * failures of pin_open but those of the guard; never to be tried again by itself. */
int pin_prove(const struct pin_link *l, const struct store_token *row, enum pin_side side,
              struct session *p, const uint8_t auth[32], struct err *e) MUST_USE;

/* Changes guard, then counter, from `old` to `fresh`, each proving the old. */
int pin_change_guard(const struct pin_link *l, const struct store_token *row, enum pin_side side,
                     const struct pin_auth *old, const uint8_t fresh[32], struct err *e) MUST_USE;
int pin_change_counter(const struct pin_link *l, const struct store_token *row, enum pin_side side,
                       const uint8_t old[32], const uint8_t fresh[32], struct err *e) MUST_USE;

/* By K: sets both authValues of the user side, the limit, and a count of zero. */
int pin_reset_user(const struct pin_link *l, const struct store_token *row, const struct pin_k *k,
                   const struct pin_auth *fresh, struct err *e) MUST_USE;

#endif
