#ifndef CORE_GATE_PRIV_H
#define CORE_GATE_PRIV_H

#include "core/gate.h"

/* Why a verdict of CHAIN_CLEARANCE: what the leaf holds and what is wanted, by the names that both
 * nations have for it; cut to `size`. */
void gate_clearance_words(const struct gate_terms *t, const struct chain_verdict *v, char *out,
                          size_t size);

#endif
