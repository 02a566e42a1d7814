#ifndef TPM_PIN_H
#define TPM_PIN_H

#include "core/ecc.h"
#include "core/secret.h"
#include "tpm/pin_index.h"
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
 * with an authValue of their own. There is one exception, which takes an ownerAuth that
 * nobody knows (PIN_COUNTED), and one kind of TPM that has no counters (PIN_ALONE).
 */

/* What scrypt(PIN) gives: one authValue for the counter, one for the guard. */
struct pin_auth {
    uint8_t counter[32];
    uint8_t guard[32];
};

int pin_derive(const struct store_token *row, enum pin_side side, struct bytes pin,
               struct pin_auth *out, struct err *e) MUST_USE;

/* K, by which the SO resets the user's PIN without owner authorisation. */
struct pin_k {
    uint8_t d[32];
    struct ecc_point pub;
};
int pin_k_derive(const uint8_t seed[32], struct pin_k *out, struct err *e) MUST_USE;

/* Everything a PIN operation talks with: the TPM, the salted HMAC session and the
 * key that further sessions are salted to. */
struct pin_link {
    struct tpm *tpm;
    struct session *main;
    const struct salt_key *salt;
};

/*
 * Passes both locks and reads the guard: `out` gets PIN_SECRET bytes for the user
 * or a whole struct pin_so_content for the SO. Seven commands beside the HMAC
 * session; the last is TPM2_Shutdown(CLEAR), without which a power cut would count
 * as a failed try of the TPM-wide counter. E_PIN_WRONG (counted by the counter
 * index only), E_PIN_LOCKED, E_PIN_INTERRUPT (the guard has another PIN than the
 * counter), E_LOCKOUT. E_TAMPERED, before the PIN is used, where the row is not of one piece;
 * when a user's login worked, row->k_public is the K that the TPM knows.
 *
 * PIN_COUNTED: four commands, and no trace in the TPM-wide counter. PIN_ALONE: five, and
 * E_PIN_WRONG is counted TPM-wide.
 */
int pin_open(const struct pin_link *l, const struct store_token *row, enum pin_side side,
             const struct pin_auth *auth, uint8_t *out, uint16_t len, struct err *e) MUST_USE;

/* Lock 1 alone: is it the PIN? Answered, and counted, as by pin_open; S and R are left alone. */
int pin_check(const struct pin_link *l, const struct store_token *row, enum pin_side side,
              const struct pin_auth *auth, struct err *e) MUST_USE;

/* E_PIN_INTERRUPT in words. */
int pin_interrupted(const struct store_token *row, struct err *e);

/* A fresh policy session, in which nothing is proved yet. Waits for a slot. */
int pin_session(const struct pin_link *l, struct session *p, struct err *e) MUST_USE;

/* PolicySecret of a side's counter with its half of the PIN, in that session: lock 1. The
 * failures of pin_open but those of the guard; never to be tried again by itself. */
int pin_prove(const struct pin_link *l, const struct store_token *row, enum pin_side side,
              struct session *p, const uint8_t auth[32], struct err *e) MUST_USE;

/* Changes guard, then counter, from `old` to `fresh`, each proving the old. What a side does
 * not have is not changed; the old PIN is proved all the same. */
int pin_change_guard(const struct pin_link *l, const struct store_token *row, enum pin_side side,
                     const struct pin_auth *old, const uint8_t fresh[32], struct err *e) MUST_USE;
int pin_change_counter(const struct pin_link *l, const struct store_token *row, enum pin_side side,
                       const uint8_t old[32], const uint8_t fresh[32], struct err *e) MUST_USE;

/* What the TPM says of a side's counter (Part 2, 13.3), which anybody may read. There is one. */
int pin_count(const struct pin_link *l, const struct store_token *row, enum pin_side side,
              uint32_t *fails, uint32_t *limit, struct err *e) MUST_USE;

/*
 * How many wrong tries a side's counter is to allow when it is set anew: what the TPM has there,
 * read in a salted session, or the row where that says less; never beyond the bounds of
 * tpm/pin_index.h. Four commands. PIN_ALONE: what the row says; there is no counter.
 */
int pin_tries(const struct pin_link *l, const struct store_token *row, enum pin_side side,
              uint32_t *limit, struct err *e) MUST_USE;

/* By K: sets both authValues of the user side, the limit, and a count of zero. */
int pin_reset_user(const struct pin_link *l, const struct store_token *row, const struct pin_k *k,
                   const struct pin_auth *fresh, struct err *e) MUST_USE;

#endif
