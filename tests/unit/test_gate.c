/* Goal: the gate lets in leaves of both nations for the community that is open, at the level that is accepted, and
 * nothing else, whoever issued it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/gate.h"
#include "tests/support/unit_nations.h"

#include <string.h>

#define NOW UNIT_CA_NOW
#define CLIENT "1.3.6.1.5.5.7.3.2"

static int set_up(void **state)
{
    struct unit_nations *w = test_calloc(1, sizeof(*w));
    struct err e = {0};

    unit_nations_up(w, NULL);
    unit_nations_agree(w, NULL, 86400);
    unit_good(federation_check(&w->f, NOW + 1, &e), &e);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct unit_nations *w = *state;

    unit_nations_down(w);
    test_free(w);
    return 0;
}

static struct gate_terms terms(struct unit_nations *w, unsigned side)
{
    return (struct gate_terms){.f = &w->f,
                               .side = side,
                               .community = OID_COMMUNICATIONS,
                               .now = NOW + 1,
                               .usage = CLIENT,
                               .clearance = -1};
}

/* `refused` NULL: it is let in. The leaf ends with it. */
static void judged(X509 *leaf, const struct gate_terms *t, const char *refused)
{
    struct chain_verdict v;
    struct err e = {0};

    unit_good(gate_check(leaf, NULL, t, &v, &e), &e);
    if (v.accepted != (refused == NULL) ||
        (refused != NULL && (v.clause == NULL || strstr(v.reason, refused) == NULL)))
        fail_msg("accepted %d: '%s'", v.accepted, v.reason);
    chain_free(&v);
    X509_free(leaf);
}

static X509 *leaf(struct unit_nations *w, int who, unsigned community, unsigned level,
                  const char *dns)
{
    return unit_ca_leaf(w->a[who], community, level, dns, NULL, NOW);
}

static void test_both_nations_are_let_in_on_both_sides(void **state)
{
    struct unit_nations *w = *state;

    for (unsigned side = 0; side < 2; side++) {
        struct gate_terms t = terms(w, side);

        judged(leaf(w, 0, OID_COMMUNICATIONS, 3, "gw.us.example"), &t, NULL);
        judged(leaf(w, 1, OID_COMMUNICATIONS, 3, "gw.jp.example"), &t, NULL);
        judged(leaf(w, 1, OID_COMMUNICATIONS, 4, "gw.jp.example"), &t, NULL);
    }
}

static void test_nothing_else_is(void **state)
{
    struct unit_nations *w = *state;
    struct gate_terms t = terms(w, 0), at2 = t, named = t, late = t, early = t, server = t;

    judged(leaf(w, 1, OID_ELECTRICITY, 3, "gw.jp.example"), &t, "");
    judged(leaf(w, 0, OID_ELECTRICITY, 3, "gw.us.example"), &t, "");
    judged(leaf(w, 1, OID_COMMUNICATIONS, 2, "gw.jp.example"), &t, "none of the policies");
    at2.level = 2;
    judged(leaf(w, 1, OID_COMMUNICATIONS, 2, "gw.jp.example"), &at2, NULL);
    named.name = "other.jp.example";
    judged(leaf(w, 1, OID_COMMUNICATIONS, 3, "gw.jp.example"), &named, "");
    late.now = NOW + 86400;
    judged(leaf(w, 1, OID_COMMUNICATIONS, 3, "gw.jp.example"), &late, "not in force");
    early.now = NOW - 1;
    judged(leaf(w, 1, OID_COMMUNICATIONS, 3, "gw.jp.example"), &early, "not in force");
    server.usage = "1.3.6.1.5.5.7.3.4";
    judged(leaf(w, 1, OID_COMMUNICATIONS, 3, "gw.jp.example"), &server, "");
    server.usage = CLIENT;
    server.community = OID_ELECTRICITY;
    judged(leaf(w, 1, OID_ELECTRICITY, 3, "gw.jp.example"), &server, "not open");
    /* Revocation is judged when there are CRLs, and there is none that judges this one. */
    t.crls = sk_X509_CRL_new_null();
    judged(leaf(w, 1, OID_COMMUNICATIONS, 3, "gw.jp.example"), &t, "");
    sk_X509_CRL_free(t.crls);
}

static void test_what_cannot_be_asked(void **state)
{
    struct unit_nations *w = *state;
    struct gate_terms t = terms(w, 0);
    X509 *x = leaf(w, 1, OID_COMMUNICATIONS, 3, "gw.jp.example");
    struct chain_verdict v;
    struct err e = {0};

    t.clearance = 4;
    assert_int_equal(gate_check(x, NULL, &t, &v, &e), -1);
    assert_int_equal(e.code, E_ARG);
    t.clearance = -1;
    t.community = 0;
    assert_int_equal(gate_check(x, NULL, &t, &v, NULL), -1);
    t.community = OID_COMMUNITIES + 1;
    assert_int_equal(gate_check(x, NULL, &t, &v, NULL), -1);
    t.community = OID_COMMUNICATIONS;
    t.side = 2;
    assert_int_equal(gate_check(x, NULL, &t, &v, NULL), -1);
    X509_free(x);
}

static void test_a_name_that_applications_fall_for(void **state)
{
    struct unit_nations *w = *state;
    struct gate_terms t = terms(w, 0);
    struct issue_issuer by = unit_ca_issuer(w->a[1], REGISTRY_ISSUING, OID_COMMUNICATIONS);
    X509 *x = leaf(w, 1, OID_COMMUNICATIONS, 3, "gw.jp.example");
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(x));

    assert_int_equal(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                                (const unsigned char *)"gw.us.example", -1, -1, 0),
                     1);
    assert_int_equal(X509_set_subject_name(x, name), 1);
    unit_ca_resign(&x, &by);
    judged(x, &t, "common name");
    X509_NAME_free(name);
}

/* The side has certified a third nation as well, which is another federation's matter. */
static void test_a_third_nation_is_not_let_in(void **state)
{
    struct unit_nations *w = *state;
    struct gate_terms t = terms(w, 0);
    struct cross_request r = {
        .nation = "KR", .domain = "kr.example", .community = OID_COMMUNICATIONS, .now = NOW};
    struct issue_issuer cross = unit_ca_issuer(w->a[0], REGISTRY_CROSS, 0);
    struct unit_ca_keys keys = {.n = 0};
    STACK_OF(X509) *sent = sk_X509_new_null();
    struct chain_verdict v;
    struct buf pin = {0};
    struct authority *kr;
    X509 *x, *third = NULL;
    struct err e = {0};
    char *dir = unit_ca_dir();

    unit_ca_some_pin(&pin);
    kr = unit_ca_make(dir, "KR", "kr.example", buf_bytes(&pin), NOW, &keys);
    unit_good(authority_cert(kr, REGISTRY_ISSUING, OID_COMMUNICATIONS, &r.ally, &e), &e);
    unit_good(cross_issue(&cross, "US", "us.example", &r, &third, &e), &e);
    x = unit_ca_leaf(kr, OID_COMMUNICATIONS, 3, "gw.kr.example", NULL, NOW);
    assert_true(sk_X509_push(sent, third) > 0);
    unit_good(gate_check(x, sent, &t, &v, &e), &e);
    assert_false(v.accepted);
    assert_int_equal(v.code, CHAIN_NO_PATH);
    chain_free(&v);
    sk_X509_free(sent);
    X509_free(third);
    X509_free(x);
    authority_close(kr);
    unit_ca_keys_free(&keys);
    unit_ca_dir_remove(dir);
    buf_free(&pin);
}

/* A leaf with one alternative name of that kind in place of its own. */
static X509 *named(struct unit_nations *w, const char *san)
{
    struct issue_issuer by = unit_ca_issuer(w->a[1], REGISTRY_ISSUING, OID_COMMUNICATIONS);
    X509 *x = leaf(w, 1, OID_COMMUNICATIONS, 3, "gw.jp.example");
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(x));

    X509_NAME_ENTRY_free(
        X509_NAME_delete_entry(name, X509_NAME_get_index_by_NID(name, NID_commonName, -1)));
    assert_int_equal(X509_set_subject_name(x, name), 1);
    unit_ca_set_ext(x, NID_subject_alt_name, san);
    unit_ca_resign(&x, &by);
    X509_NAME_free(name);
    return x;
}

static void test_persons_are_let_in_where_they_are_asked_for(void **state)
{
    struct unit_nations *w = *state;
    struct gate_terms t = terms(w, 0), both = t, alice = t, bob = t;

    both.persons = true;
    alice.name = "alice@jp.example";
    bob.name = "bob@jp.example";
    judged(named(w, "email:alice@jp.example"), &t, "a person's");
    judged(named(w, "email:alice@jp.example"), &both, NULL);
    judged(named(w, "DNS:gw.jp.example"), &both, NULL);
    judged(named(w, "email:alice@jp.example"), &alice, NULL);
    judged(named(w, "email:alice@jp.example"), &bob, "");
    judged(named(w, "email:alice@us.example"), &both, "");
    /* One thing or the other. */
    judged(named(w, "DNS:gw.jp.example,email:alice@jp.example"), &both, "DNS names, or mail");
    judged(named(w, "email:alice@jp.example,DNS:gw.jp.example"), &both, "DNS names, or mail");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_nations_are_let_in_on_both_sides),
        cmocka_unit_test(test_nothing_else_is),
        cmocka_unit_test(test_what_cannot_be_asked),
        cmocka_unit_test(test_a_name_that_applications_fall_for),
        cmocka_unit_test(test_a_third_nation_is_not_let_in),
        cmocka_unit_test(test_persons_are_let_in_where_they_are_asked_for),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
