#ifndef TESTS_SUPPORT_UNIT_VERDICT_H
#define TESTS_SUPPORT_UNIT_VERDICT_H

#include "tests/support/unit_forge.h"

/* Forged evidence before the verifier: what the tests of single checks have in common. */

/* Good evidence of a P-256 key and AK below an RSA EK, not yet built. */
void unit_verdict_start(struct unit_forge *f);

/* Judges the record (or the request) by f->terms. */
void unit_verdict_judge(struct unit_forge *f, bool record, struct evidence_verdict *v);

/* Exactly check `number` failed; 0: none did, and the evidence was accepted. */
void unit_verdict_expect(const struct evidence_verdict *v, unsigned number);

/* Judge, expect, free: of evidence that is built / is still to be built. */
void unit_verdict_only_built(struct unit_forge *f, unsigned number, bool record);
void unit_verdict_only(struct unit_forge *f, unsigned number);

#endif
