#include "cli/verdict.h"

#include "cli/out.h"

/* What the outcome means to a reader who did not issue the certificate. */
static const char *outcome_word(enum evidence_outcome o)
{
    switch (o) {
    case EVIDENCE_PASS: return "recomputed";
    case EVIDENCE_ASSERTED: return "asserted";
    case EVIDENCE_FAIL: return "FAILED";
    case EVIDENCE_NA: break;
    }
    return "not judged";
}

static void print_failure(FILE *f, const struct evidence_result *r)
{
    /* One line, however long: scripts take the first. */
    fprintf(f, "check %u failed: %s (%s)\n", r->number, r->title, r->clause);
    out_words(f, 2, r->reason);
}

void verdict_print(FILE *f, const struct evidence_verdict *v)
{
    for (size_t i = 0; i < EVIDENCE_CHECKS; i++) {
        const struct evidence_result *r = &v->result[i];
        char why[400];

        fprintf(f, "  %2u  %-11s ", r->number, outcome_word(r->outcome));
        out_words_from(f, 18, 18, r->title);
        if (r->outcome == EVIDENCE_FAIL) {
            snprintf(why, sizeof(why), "%s: %s", r->clause, r->reason);
            out_words(f, 18, why);
        }
    }
}

void verdict_print_failures(FILE *f, const struct evidence_verdict *v)
{
    for (size_t i = 0; i < EVIDENCE_CHECKS; i++) {
        if (v->result[i].outcome == EVIDENCE_FAIL)
            print_failure(f, &v->result[i]);
    }
}

json_t *verdict_json(const struct evidence_verdict *v)
{
    json_t *checks = json_array();

    for (size_t i = 0; i < EVIDENCE_CHECKS; i++) {
        const struct evidence_result *r = &v->result[i];
        json_t *row = json_pack("{s:i,s:s,s:s,s:s,s:o}", "check", (int)r->number, "title", r->title,
                                "clause", r->clause, "outcome", evidence_outcome_name(r->outcome),
                                "reason", out_json_text(r->reason));

        if (json_array_append_new(checks, row) != 0) {
            json_decref(checks);
            return NULL;
        }
    }
    return json_pack("{s:b,s:i,s:o}", "accepted", v->accepted ? 1 : 0, "level", (int)v->level,
                     "checks", checks);
}
