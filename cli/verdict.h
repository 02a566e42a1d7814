#ifndef CLI_VERDICT_H
#define CLI_VERDICT_H

#include "core/evidence_check.h"

#include <jansson.h>
#include <stdio.h>

/* A verdict on evidence, for people and for scripts. */

/* Every check on its line: number, outcome, title; failures with clause and reason. */
void verdict_print(FILE *f, const struct evidence_verdict *v);

/* Only what failed: number, title, clause, reason. */
void verdict_print_failures(FILE *f, const struct evidence_verdict *v);

/* {"accepted", "level", "checks": [...]}; NULL when there is no memory. */
json_t *verdict_json(const struct evidence_verdict *v);

#endif
