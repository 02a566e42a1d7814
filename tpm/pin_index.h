#ifndef TPM_PIN_INDEX_H
#define TPM_PIN_INDEX_H

#include "core/store.h"
#include "core/pin_policy.h"

/* What the NV indices of a token are: their policies, public areas and contents. */

enum pin_side { PIN_USER, PIN_SO };

/* What guards the secret of a side. */
enum pin_guard {
    PIN_BOTH,    /* the counter and the TPM-wide count: two locks */
    PIN_COUNTED, /* the counter alone: S of a TPM whose ownerAuth nobody knows */
    PIN_ALONE,   /* the TPM-wide count alone: the TPM has no PIN indices */
};
enum pin_guard pin_index_guard(const struct store_token *row, enum pin_side side);

/* What S and R hold. */
#define PIN_SECRET 32
struct pin_so_content {
    uint8_t secret[PIN_SECRET]; /* the token secret, the same as in S */
    uint8_t k_seed[32];         /* the SO's key K is derived from it */
    uint8_t lockout_auth[32];   /* zeros: not ours */
    uint8_t owner_auth[32];     /* zeros: not ours */
};

/* PIN_FAIL content: pinCount, pinLimit (Part 2, 13.3). */
#define PIN_COUNT 8

void pin_index_name(const struct store_index *i, TPM2B_NAME *out);

/* `row` has K and the Names of the counters. */
int pin_index_policy(const struct store_token *row, enum store_nv which, struct pin_policy *out,
                     struct err *e) MUST_USE;

/* The public area as defined, before it is written; its policy besides. */
int pin_index_public(const struct store_token *row, enum store_nv which, struct pin_policy *policy,
                     TPMS_NV_PUBLIC *out, struct err *e) MUST_USE;

/* The Name that the index has once it is written: that of `row` as K, policies and handles in
 * it give it, whatever Name it notes. `row` has the Names of the counters. */
int pin_index_written(const struct store_token *row, enum store_nv which, TPM2B_NAME *out,
                      struct err *e) MUST_USE;

/* Does the row note just that Name? E_TAMPERED when it does not. What the TPM then takes under
 * this Name it takes with K as the row has it. Nothing is sent. */
int pin_index_check(const struct store_token *row, enum store_nv which, struct err *e) MUST_USE;

/* How many wrong tries in a row a counter may allow. */
#define PIN_TRIES_MIN 3
#define PIN_TRIES_MAX 32

/* Content of a counter: no wrong tries so far, `limit` of them allowed. E_ARG beyond the two
 * bounds, whoever says so: a row of the store is not authenticated. */
int pin_index_count(uint32_t limit, uint8_t out[PIN_COUNT], struct err *e) MUST_USE;

#endif
