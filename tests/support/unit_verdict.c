#include "tests/support/unit_verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

void unit_verdict_start(struct unit_forge *f)
{
    unit_forge_init(f, UNIT_RSA, UNIT_P256, UNIT_P256);
}

void unit_verdict_judge(struct unit_forge *f, bool record, struct evidence_verdict *v)
{
    struct err e = {0};
    int rc = record ? evidence_check_record(&f->record, &f->terms, v, &e)
                    : evidence_check_request(&f->request, &f->terms, v, &e);

    if (rc != 0)
        fail_msg("%s", e.msg);
}

/* Exactly check `number` fails (0: none), with and without the record's AK certificate. */
void unit_verdict_expect(const struct evidence_verdict *v, unsigned number)
{
    for (size_t i = 0; i < EVIDENCE_CHECKS; i++) {
        const struct evidence_result *r = &v->result[i];

        assert_int_equal(r->number, i + 1);
        assert_true(r->title != NULL && r->clause != NULL && r->reason[0] != 0);
        if ((r->outcome == EVIDENCE_FAIL) != (r->number == number))
            fail_msg("check %u: %s: %s (expected check %u to fail)", r->number,
                     evidence_outcome_name(r->outcome), r->reason, number);
    }
    if (number != 0) {
        struct err e = {0};

        assert_false(v->accepted);
        assert_true(v->level < 3);
        assert_int_equal(evidence_check_verdict(v, &e), -1);
        assert_int_equal(e.code, E_REJECTED);
        print_message("  %s\n", e.msg);
    } else if (!v->accepted) {
        fail_msg("nothing failed, but the verdict is not acceptance");
    }
}

void unit_verdict_only_built(struct unit_forge *f, unsigned number, bool record)
{
    struct evidence_verdict v;

    unit_verdict_judge(f, record, &v);
    unit_verdict_expect(&v, number);
    unit_forge_free(f);
}

void unit_verdict_only(struct unit_forge *f, unsigned number)
{
    unit_forge_build(f);
    unit_verdict_only_built(f, number, true);
}
