/* Goal: an invitation remembers which request took it and what came of that, and gives one answer,
 * whoever is killed in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/registry.h"
#include "tests/support/unit_registry.h"

#include <stdio.h>
#include <string.h>

#define NOW UNIT_REGISTRY_NOW

/* SHA-256 of two requests. */
static const uint8_t one[32] = {1}, other[32] = {2};

/* Its first run may have been killed. */
static void test_the_same_request_goes_on_until_the_invitation_ends(void **state)
{
    struct unit_registry *p = *state;
    struct registry_invitation i = unit_registry_invitation(1), got;
    struct err e = {0};

    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(registry_invitation_of(p->r, one, &got, &e), 0);
    assert_int_equal(registry_consume(p->r, unit_registry_nonce(&i), one, NOW + 1, &got, &e), 0);
    assert_int_equal(registry_consume(p->r, unit_registry_nonce(&i), one, NOW + 99, &got, &e), 0);
    assert_int_equal(got.consumed_at, NOW + 1);
    assert_int_equal(registry_consume(p->r, unit_registry_nonce(&i), one, NOW + 100, &got, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    assert_non_null(strstr(e.msg, "expired"));
    err_clear(&e);
    assert_int_equal(registry_consume(p->r, unit_registry_nonce(&i), other, NOW + 100, &got, &e),
                     -1);
    assert_non_null(strstr(e.msg, "used already"));
    err_clear(&e);
    assert_int_equal(registry_invitation_of(p->r, one, &got, &e), 1);
    assert_memory_equal(got.nonce, i.nonce, 32);
    assert_int_equal(registry_invitation_of(p->r, other, &got, &e), 0);
}

static void test_an_invitation_has_one_answer(void **state)
{
    struct unit_registry *p = *state;
    struct registry_invitation i = unit_registry_invitation(1), got;
    struct registry_issued leaf = unit_registry_issued("0102"),
                           second = unit_registry_issued("0103");
    struct buf der = {0}, evidence = {0};
    struct err e = {0};

    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(registry_add_issued(p->r, &leaf, &e), 0);
    assert_int_equal(registry_add_issued(p->r, &second, &e), 0);
    /* Not before it is taken, not for another request, not by a certificate that is not there. */
    assert_int_equal(registry_answer(p->r, unit_registry_nonce(&i), one, "0102", other, &e), 0);
    assert_int_equal(registry_consume(p->r, unit_registry_nonce(&i), one, NOW, &got, &e), 0);
    assert_int_equal(registry_answer(p->r, unit_registry_nonce(&i), other, "0102", other, &e), 0);
    assert_int_equal(registry_answer(p->r, unit_registry_nonce(&i), one, "0104", other, &e), 0);
    assert_int_equal(registry_resealed(p->r, unit_registry_nonce(&i), other, &e), 0);
    assert_int_equal(registry_invitation(p->r, unit_registry_nonce(&i), &got, &e), 0);
    assert_int_equal(got.issued, 0);
    assert_false(got.has_sealed);
    assert_int_equal(registry_answer(p->r, unit_registry_nonce(&i), one, "0102", other, &e), 1);
    assert_int_equal(registry_answer(p->r, unit_registry_nonce(&i), one, "0103", other, &e), 0);
    /* Nor is it refused any more. */
    assert_int_equal(registry_refuse(p->r, unit_registry_nonce(&i), one, NOW, "late", &e), 0);
    assert_int_equal(registry_invitation(p->r, unit_registry_nonce(&i), &got, &e), 0);
    assert_int_equal(got.refused_at, 0);
    assert_true(registry_is_by(&got, one));
    assert_false(registry_goes_on(&got, one));
    assert_true(got.has_sealed);
    assert_memory_equal(got.sealed_hash, other, 32);
    assert_int_equal(registry_consume(p->r, unit_registry_nonce(&i), one, NOW, &got, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    err_clear(&e);
    assert_int_equal(registry_issued_of(p->r, got.issued, &der, &evidence, &e), 0);
    assert_true(bytes_equal(buf_bytes(&der), leaf.der));
    assert_true(bytes_equal(buf_bytes(&evidence), leaf.evidence));
    assert_int_equal(registry_issued_of(p->r, 1000, &der, &evidence, &e), -1);
    assert_int_equal(e.code, E_CORRUPT);
    buf_free(&der);
    buf_free(&evidence);
}

static void test_what_was_refused_is_not_answered(void **state)
{
    struct unit_registry *p = *state;
    struct registry_invitation i = unit_registry_invitation(1), got;
    struct registry_issued leaf = unit_registry_issued("0102");
    struct buf why = {0};
    struct err e = {0};

    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(registry_add_issued(p->r, &leaf, &e), 0);
    assert_int_equal(registry_consume(p->r, unit_registry_nonce(&i), one, NOW, &got, &e), 0);
    assert_int_equal(registry_refuse(p->r, unit_registry_nonce(&i), other, NOW, "not this", &e), 0);
    assert_int_equal(registry_invitation(p->r, unit_registry_nonce(&i), &got, &e), 0);
    assert_int_equal(got.refused_at, 0);
    assert_int_equal(registry_refuse(p->r, unit_registry_nonce(&i), one, NOW + 5, "why", &e), 0);
    assert_int_equal(registry_answer(p->r, unit_registry_nonce(&i), one, "0102", other, &e), 0);
    assert_int_equal(registry_invitation(p->r, unit_registry_nonce(&i), &got, &e), 0);
    assert_int_equal(got.refused_at, NOW + 5);
    assert_int_equal(registry_consume(p->r, unit_registry_nonce(&i), one, NOW, &got, &e), -1);
    assert_non_null(strstr(e.msg, "used already"));
    err_clear(&e);
    assert_int_equal(registry_refusal(p->r, unit_registry_nonce(&i), &why, &e), 0);
    assert_string_equal(buf_cstr(&why), "why");
    assert_int_equal(registry_refusal(p->r, bytes_of("12345678", 8), &why, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    buf_free(&why);
}

static void test_what_became_of_one(void **state)
{
    const int64_t end = NOW + 100;
    static const struct {
        int64_t consumed, issued, refused;
        bool request;
        enum registry_outcome before, after; /* its end */
        const char *name;
    } rows[] = {{0, 0, 0, false, REGISTRY_OPEN, REGISTRY_EXPIRED, "open"},
                {NOW, 0, 0, true, REGISTRY_TAKEN, REGISTRY_EXPIRED, "taken"},
                {NOW, 7, 0, true, REGISTRY_ANSWERED, REGISTRY_ANSWERED, "issued"},
                {NOW, 0, NOW, true, REGISTRY_REFUSED, REGISTRY_REFUSED, "refused"},
                {NOW, 0, 0, false, REGISTRY_USED, REGISTRY_USED, "used"}};

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        struct registry_invitation i = {.expires_at = end,
                                        .consumed_at = rows[n].consumed,
                                        .has_request = rows[n].request,
                                        .issued = rows[n].issued,
                                        .refused_at = rows[n].refused};

        assert_int_equal(registry_outcome(&i, end - 1), rows[n].before);
        assert_int_equal(registry_outcome(&i, end), rows[n].after);
        assert_string_equal(registry_outcome_name(rows[n].before), rows[n].name);
    }
    assert_string_equal(registry_outcome_name(REGISTRY_EXPIRED), "expired");
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, unit_registry_up, unit_registry_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_the_same_request_goes_on_until_the_invitation_ends),
        EACH(test_an_invitation_has_one_answer),
        EACH(test_what_was_refused_is_not_answered),
        cmocka_unit_test(test_what_became_of_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
