#ifndef TPM_PIN_INDEX_H
#define TPM_PIN_INDEX_H

#include "core/store.h"
#include "tpm/pin_policy.h"

/* What the NV indices of a token are: their policies, public areas and contents. */

/* PIN_FAIL content: pinCount, pinLimit (Part 2, 13.3). */
#define PIN_COUNT 8

void pin_index_name(const struct store_index *i, TPM2B_NAME *out);

/* `row` has K and the Names of the counters. */
int pin_index_policy(const struct store_token *row, enum store_nv which, struct pin_policy *out,
                     struct err *e) MUST_USE;

/* The public area as defined, before it is written; its policy besides. */
int pin_index_public(const struct store_token *row, enum store_nv which, struct pin_policy *policy,
                     TPMS_NV_PUBLIC *out, struct err *e) MUST_USE;

/* Content of a counter: no wrong tries so far, `limit` of them allowed. */
void pin_index_count(uint32_t limit, uint8_t out[PIN_COUNT]);

#endif
