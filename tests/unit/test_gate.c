/* Goal: the gate lets in leaves of both nations for the community that is open, at the level that is accepted, and
 * nothing else, whoever issued it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/part.h"
#include "core/gate.h"
#include "tests/support/unit_ca.h"

#include <string.h>

#define NOW UNIT_CA_NOW
#define CLIENT "1.3.6.1.5.5.7.3.2"

struct world {
    char *dir[2];
    struct unit_ca_keys keys[2];
    struct authority *a[2];
    struct federation f;
};

static const unsigned communities[] = {OID_COMMUNICATIONS};
static const char *const nation[] = {"US", "JP"}, *const domain[] = {"us.example", "jp.example"};

static void good(int rc, const struct err *e)
{
    if (rc != 0)
        fail_msg("%s", e->msg);
}

static void part(struct world *w, int who, struct federation *out)
{
    struct cross_request r = {.nation = nation[1 - who],
                              .domain = domain[1 - who],
                              .community = OID_COMMUNICATIONS,
                              .now = NOW};
    struct part p = {.ally = nation[1 - who],
                     .accepts = 3,
                     .community = communities,
                     .n_community = 1,
                     .now = NOW + 1};
    struct buf pem = {0};
    struct err e = {0};

    good(authority_cert(w->a[1 - who], REGISTRY_ISSUING, OID_COMMUNICATIONS, &r.ally, &e), &e);
    good(authority_cross(w->a[who], &r, &pem, &e), &e);
    good(part_make(w->a[who], &p, out, &e), &e);
    buf_free(&pem);
}

static int set_up(void **state)
{
    struct world *w = test_calloc(1, sizeof(*w));
    struct federation p[2] = {{.n_side = 0}, {.n_side = 0}};
    struct buf pin = {0};
    struct err e = {0};

    unit_ca_some_pin(&pin);
    for (int i = 0; i < 2; i++) {
        w->dir[i] = unit_ca_dir();
        w->a[i] = unit_ca_make(w->dir[i], nation[i], domain[i], buf_bytes(&pin), NOW, &w->keys[i]);
    }
    buf_free(&pin);
    for (int i = 0; i < 2; i++)
        part(w, i, &p[i]);
    w->f = (struct federation){.name = "x", .sequence = 1, .from = NOW, .until = NOW + 86400};
    good(federation_join(&p[0], &p[1], &w->f, &e), &e);
    good(federation_check(&w->f, NOW + 1, &e), &e);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    federation_free(&w->f);
    for (int i = 0; i < 2; i++) {
        authority_close(w->a[i]);
        unit_ca_keys_free(&w->keys[i]);
        unit_ca_dir_remove(w->dir[i]);
    }
    test_free(w);
    return 0;
}

static struct gate_terms terms(struct world *w, unsigned side)
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

    good(gate_check(leaf, NULL, t, &v, &e), &e);
    if (v.accepted != (refused == NULL) ||
        (refused != NULL && (v.clause == NULL || strstr(v.reason, refused) == NULL)))
        fail_msg("accepted %d: '%s'", v.accepted, v.reason);
    chain_free(&v);
    X509_free(leaf);
}

static X509 *leaf(struct world *w, int who, unsigned community, unsigned level, const char *dns)
{
    return unit_ca_leaf(w->a[who], community, level, dns, NULL, NOW);
}

static void test_both_nations_are_let_in_on_both_sides(void **state)
{
    struct world *w = *state;

    for (unsigned side = 0; side < 2; side++) {
        struct gate_terms t = terms(w, side);

        judged(leaf(w, 0, OID_COMMUNICATIONS, 3, "gw.us.example"), &t, NULL);
        judged(leaf(w, 1, OID_COMMUNICATIONS, 3, "gw.jp.example"), &t, NULL);
        judged(leaf(w, 1, OID_COMMUNICATIONS, 4, "gw.jp.example"), &t, NULL);
    }
}

static void test_nothing_else_is(void **state)
{
    struct world *w = *state;
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
    struct world *w = *state;
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
    struct world *w = *state;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_nations_are_let_in_on_both_sides),
        cmocka_unit_test(test_nothing_else_is),
        cmocka_unit_test(test_what_cannot_be_asked),
        cmocka_unit_test(test_a_name_that_applications_fall_for),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
