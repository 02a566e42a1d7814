/* Goal: paths are found whatever certificates come along, within bounds whatever they are, and a relying
 * party may narrow an anchor further. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/unit_chain.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Certificates of a test, freed at its end. */
struct world {
    X509 *x[300];
    unsigned n;
    STACK_OF(X509) * given;
    struct chain_anchor anchor[2];
    struct chain_terms t;
    struct chain_verdict v;
};

static int set_up(void **state)
{
    struct world *w = test_calloc(1, sizeof(*w));

    w->given = sk_X509_new_null();
    w->t = (struct chain_terms){
        .anchor = w->anchor, .n_anchor = 1, .untrusted = w->given, .now = UNIT_CHAIN_NOW};
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    for (unsigned i = 0; i < w->n; i++)
        X509_free(w->x[i]);
    sk_X509_free(w->given);
    chain_free(&w->v);
    test_free(w);
    return 0;
}

static X509 *make(struct world *w, const char *spec, unsigned at, unsigned by, const X509 *issuer)
{
    X509 *x = unit_chain_cert(spec, at, by, issuer);

    w->x[w->n++] = x;
    return x;
}

static X509 *give(struct world *w, X509 *x)
{
    assert_true(sk_X509_push(w->given, x) > 0);
    return x;
}

static void expect(struct world *w, X509 *leaf, enum chain_code want, const char *reason)
{
    struct err e = {0};

    chain_free(&w->v);
    if (chain_check(leaf, &w->t, &w->v, &e) != 0)
        fail_msg("%s", e.msg);
    if (w->v.code != want || (reason != NULL && strstr(w->v.reason, reason) == NULL))
        fail_msg("%s: %s", chain_code_name(w->v.code), w->v.reason);
}

/* An anchor (key 0), a CA (1) and a leaf (2). */
static X509 *simple(struct world *w)
{
    X509 *root = w->anchor[0].cert = make(w, "ca", 0, 0, NULL);
    X509 *ca = give(w, make(w, "ca|pol=P1", 1, 0, root));

    return make(w, "pol=P1", 2, 1, ca);
}

static void test_the_order_of_certificates_does_not_count(void **state)
{
    struct world *w = *state;
    X509 *root = w->anchor[0].cert = make(w, "ca", 0, 0, NULL);
    X509 *a = make(w, "ca", 1, 0, root), *b = make(w, "ca", 2, 1, a), *c = make(w, "ca", 3, 2, b);
    X509 *leaf = make(w, "", 4, 3, c);

    give(w, b);
    give(w, leaf);
    give(w, root);
    give(w, a);
    give(w, c);
    give(w, a);
    expect(w, leaf, CHAIN_OK, NULL);
    assert_int_equal(sk_X509_num(w->v.path), 5);
    assert_ptr_equal(sk_X509_value(w->v.path, 0), leaf);
    assert_ptr_equal(sk_X509_value(w->v.path, 1), c);
    assert_ptr_equal(sk_X509_value(w->v.path, 4), root);
}

static void test_a_missing_certificate_is_named(void **state)
{
    struct world *w = *state;
    X509 *leaf = simple(w);

    sk_X509_zero(w->given);
    expect(w, leaf, CHAIN_NO_PATH, "leads to the issuer 1");
    assert_ptr_equal(w->v.at, leaf);
}

static void test_cas_that_certify_each_other_lead_nowhere(void **state)
{
    struct world *w = *state;
    X509 *root = w->anchor[0].cert = make(w, "ca", 0, 0, NULL);
    X509 *a = make(w, "ca", 1, 1, NULL), *b = make(w, "ca", 2, 2, NULL);

    (void)root;
    give(w, make(w, "ca", 1, 2, b));
    give(w, make(w, "ca", 2, 1, a));
    expect(w, make(w, "", 3, 1, a), CHAIN_NO_PATH, NULL);
}

/* The mesh that bridges make: each certifies each. */
static void test_a_mesh_ends_within_bounds(void **state)
{
    struct world *w = *state;
    X509 *self[8];

    w->anchor[0].cert = make(w, "ca", 0, 0, NULL);
    for (unsigned i = 0; i < 8; i++)
        self[i] = make(w, "ca", 1 + i, 1 + i, NULL);
    for (unsigned i = 0; i < 8; i++) {
        for (unsigned j = 0; j < 8; j++) {
            if (i != j)
                give(w, make(w, "ca", 1 + i, 1 + j, self[j]));
        }
    }
    expect(w, make(w, "", 9, 1, self[0]), CHAIN_LIMIT, NULL);
    /* The anchor is tried before the mesh. */
    expect(w, make(w, "", 9, 0, w->anchor[0].cert), CHAIN_OK, NULL);
    give(w, make(w, "ca", 1, 0, w->anchor[0].cert));
    expect(w, make(w, "", 9, 1, self[0]), CHAIN_OK, NULL);
}

static void test_another_path_is_taken_when_one_fails(void **state)
{
    static const char *const bad[] = {"ca|to=U260101000000Z", "ca|pol=P2",
                                      "ca|nc=permitted;DNS:x.example", "bc=CA:FALSE",
                                      "ca|der=1.2.3.4:c:0500"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct world *w;
        X509 *root, *leaf, *ca;

        assert_int_equal(set_up((void **)&w), 0);
        w->t.explicit_policy = true;
        root = w->anchor[0].cert = make(w, "ca", 0, 0, NULL);
        give(w, make(w, bad[i], 1, 0, root));
        ca = give(w, make(w, "ca|pol=P1", 1, 0, root));
        leaf = make(w, "pol=P1|san=DNS:a.example", 2, 1, ca);
        expect(w, leaf, CHAIN_OK, NULL);
        assert_ptr_equal(sk_X509_value(w->v.path, 1), ca);
        tear_down((void **)&w);
    }
    (void)state;
}

static void test_a_cross_certificate_leads_to_the_other_root(void **state)
{
    struct world *w = *state;
    X509 *ours = w->anchor[0].cert = make(w, "ca|subj=/CN=ours", 0, 0, NULL);
    X509 *theirs = make(w, "ca|subj=/CN=theirs", 1, 1, NULL);
    X509 *ca = make(w, "ca|subj=/CN=issuing", 2, 1, theirs);
    X509 *leaf = make(w, "", 3, 2, ca);

    give(w, ca);
    give(w, theirs);
    expect(w, leaf, CHAIN_NO_PATH, "self-signed");
    give(w, make(w, "len=0|subj=/CN=issuing", 2, 0, ours));
    expect(w, leaf, CHAIN_OK, NULL);
    assert_int_equal(sk_X509_num(w->v.path), 3);
}

static void test_a_new_key_of_a_ca_is_another_ca(void **state)
{
    struct world *w = *state;
    X509 *root = w->anchor[0].cert = make(w, "ca", 0, 0, NULL);
    X509 *old = make(w, "ca|subj=/CN=CA", 1, 0, root), *new = make(w, "ca|subj=/CN=CA", 2, 0, root);

    give(w, old);
    expect(w, make(w, "", 3, 2, new), CHAIN_SIGNATURE, NULL);
    /* The old key certifies the new one: self-issued (3.2). */
    give(w, make(w, "ca|self", 2, 1, old));
    expect(w, make(w, "", 3, 2, new), CHAIN_OK, NULL);
    assert_int_equal(sk_X509_num(w->v.path), 4);
}

static void test_key_identifiers_decide_nothing(void **state)
{
    struct world *w = *state;
    X509 *root = w->anchor[0].cert = make(w, "ca|noids", 0, 0, NULL);
    X509 *ca = give(w, make(w, "ca|noids|der=2.5.29.14:n:040177", 1, 0, root));

    expect(w, make(w, "noids|der=2.5.29.35:n:3003800155", 2, 1, ca), CHAIN_OK, NULL);
}

static void test_false_friends_do_not_hide_the_right_one(void **state)
{
    struct world *w = *state;
    X509 *root = w->anchor[0].cert = make(w, "ca", 0, 0, NULL);
    X509 *ca = make(w, "ca|subj=/CN=CA", 1, 0, root);

    for (unsigned i = 0; i < 120; i++)
        give(w, make(w, "ca|subj=/CN=CA", 3 + i % 8, 0, root));
    give(w, ca);
    expect(w, make(w, "", 2, 1, ca), CHAIN_OK, NULL);
}

static void test_bounds(void **state)
{
    struct world *w = *state;
    X509 *root = w->anchor[0].cert = make(w, "ca", 0, 0, NULL), *up = root, *leaf = NULL;

    for (unsigned i = 1; i <= CHAIN_MAX_PATH + 1; i++) {
        if (leaf != NULL)
            give(w, leaf);
        leaf = make(w, "ca", i, i - 1, up);
        up = leaf;
        expect(w, leaf, i <= CHAIN_MAX_PATH ? CHAIN_OK : CHAIN_LIMIT, NULL);
    }
    for (int i = 0; i <= CHAIN_MAX_GIVEN; i++)
        give(w, up);
    expect(w, w->x[1], CHAIN_LIMIT, "certificates");
}

static void test_an_anchor_vouches_for_others_only(void **state)
{
    struct world *w = *state;
    X509 *root = w->anchor[0].cert = make(w, "ca", 0, 0, NULL);

    expect(w, root, CHAIN_NO_PATH, "itself a trust anchor");
    expect(w, make(w, "ca", 1, 1, NULL), CHAIN_NO_PATH, "self-signed");
}

static void test_the_second_anchor_counts(void **state)
{
    struct world *w = *state;
    X509 *leaf = simple(w);

    w->anchor[1] = w->anchor[0];
    w->anchor[0].cert = make(w, "ca|subj=/CN=0", 5, 5, NULL);
    expect(w, leaf, CHAIN_SIGNATURE, NULL);
    w->t.n_anchor = 2;
    expect(w, leaf, CHAIN_OK, NULL);
}

static void test_a_relying_party_narrows_an_anchor(void **state)
{
    struct world *w = *state;
    X509 *leaf = simple(w);
    struct chain_anchor *a = &w->anchor[0];

    a->has_max_path = true;
    expect(w, leaf, CHAIN_PATHLEN, NULL);
    a->max_path = 1;
    expect(w, leaf, CHAIN_OK, NULL);
    w->t.explicit_policy = true;
    a->policies = unit_chain_policies("P2");
    expect(w, leaf, CHAIN_POLICY, NULL);
    sk_ASN1_OBJECT_pop_free(a->policies, ASN1_OBJECT_free);
    a->policies = unit_chain_policies("P1,P2");
    expect(w, leaf, CHAIN_OK, NULL);
    sk_ASN1_OBJECT_pop_free(a->policies, ASN1_OBJECT_free);
    a->policies = sk_ASN1_OBJECT_new_null();
    expect(w, leaf, CHAIN_POLICY, NULL);
    sk_ASN1_OBJECT_free(a->policies);
    a->policies = NULL;
}

static void test_a_relying_party_constrains_an_anchor_s_names(void **state)
{
    struct world *w = *state;
    X509 *leaf, *ca, *with = make(w, "ca|nc=permitted;DNS:us.example", 7, 7, NULL);
    NAME_CONSTRAINTS *nc = X509_get_ext_d2i(with, NID_name_constraints, NULL, NULL);

    w->anchor[0] = (struct chain_anchor){.cert = make(w, "ca", 0, 0, NULL), .names = nc};
    ca = give(w, make(w, "ca", 1, 0, w->anchor[0].cert));
    leaf = make(w, "san=DNS:gw.jp.example", 2, 1, ca);
    expect(w, leaf, CHAIN_NAME, NULL);
    expect(w, make(w, "san=DNS:gw.us.example", 2, 1, ca), CHAIN_OK, NULL);
    NAME_CONSTRAINTS_free(nc);
}

static void test_mappings_are_reported(void **state)
{
    struct world *w = *state;
    X509 *root = w->anchor[0].cert = make(w, "ca", 0, 0, NULL);
    X509 *a = give(w, make(w, "ca|pol=P1|map=P1:P2", 1, 0, root));
    X509 *b = give(w, make(w, "ca|pol=P2|map=P2:P3", 2, 1, a));
    STACK_OF(ASN1_OBJECT) *p = unit_chain_policies("P1,P2,P3");

    expect(w, make(w, "pol=P3", 3, 2, b), CHAIN_OK, NULL);
    assert_int_equal(w->v.n_mapping, 2);
    assert_int_equal(w->v.mapping[1].depth, 2);
    assert_int_equal(OBJ_cmp(w->v.mapping[0].issuer, sk_ASN1_OBJECT_value(p, 0)), 0);
    assert_int_equal(OBJ_cmp(w->v.mapping[1].subject, sk_ASN1_OBJECT_value(p, 2)), 0);
    sk_ASN1_OBJECT_pop_free(p, ASN1_OBJECT_free);
}

/* Eleven policies, each mapped to all eleven, seven times: 11^8 nodes of a tree (CVE-2023-0464). */
static void test_policies_do_not_explode(void **state)
{
    struct world *w = *state;
    X509 *up = w->anchor[0].cert = make(w, "ca", 0, 0, NULL);
    char pol[512] = "", map[3000] = "", spec[4000];
    clock_t before;

    for (int i = 0; i < 11; i++) {
        snprintf(pol + strlen(pol), sizeof(pol) - strlen(pol), "%s1.2.%d", i != 0 ? "," : "",
                 i + 1);
        for (int j = 0; j < 11; j++)
            snprintf(map + strlen(map), sizeof(map) - strlen(map), "%s1.2.%d:1.2.%d",
                     i + j != 0 ? "," : "", i + 1, j + 1);
    }
    snprintf(spec, sizeof(spec), "ca|pol=%s|map=%s", pol, map);
    for (unsigned i = 1; i < 9; i++)
        up = give(w, make(w, spec, i, i - 1, up));
    snprintf(spec, sizeof(spec), "pol=%s", pol);
    w->t.explicit_policy = true;
    before = clock();
    expect(w, make(w, spec, 9, 8, up), CHAIN_OK, NULL);
    assert_true(clock() - before < 2 * CLOCKS_PER_SEC);
    assert_int_equal(sk_ASN1_OBJECT_num(w->v.user), 11);
    /* One that no policy of the leaf leads to. */
    expect(w, make(w, "pol=P1", 9, 8, up), CHAIN_POLICY, NULL);
}

static void test_too_many_policies_are_refused(void **state)
{
    struct world *w = *state;
    X509 *up = w->anchor[0].cert = make(w, "ca", 0, 0, NULL);
    char spec[4000] = "ca|pol=1.2.1";

    for (int i = 1; i < CHAIN_MAX_LIST; i++)
        snprintf(spec + strlen(spec), sizeof(spec) - strlen(spec), ",1.2.%d", i + 1);
    for (unsigned i = 1; i < 9; i++)
        up = give(w, make(w, spec, i, i - 1, up));
    expect(w, up, CHAIN_LIMIT, "policies on the path");
    snprintf(spec + strlen(spec), sizeof(spec) - strlen(spec), ",1.2.1000");
    expect(w, make(w, spec, 1, 0, w->anchor[0].cert), CHAIN_LIMIT, "entries");
}

/* Each name against each constraint of two CAs. */
static void test_too_many_names_are_refused(void **state)
{
    struct world *w = *state;
    X509 *root = w->anchor[0].cert = make(w, "ca", 0, 0, NULL), *ca = root;
    char nc[4000] = "ca|nc=permitted;DNS:a.example", san[4000] = "san=DNS:a.example";

    for (int i = 1; i < CHAIN_MAX_LIST; i++) {
        snprintf(nc + strlen(nc), sizeof(nc) - strlen(nc), ",permitted;DNS:x%d.example", i);
        snprintf(san + strlen(san), sizeof(san) - strlen(san), ",DNS:x%d.example", i);
    }
    for (unsigned i = 1; i <= 3; i++)
        ca = give(w, make(w, nc, i, i - 1, ca));
    expect(w, make(w, "san=DNS:x127.example", 4, 3, ca), CHAIN_OK, NULL);
    expect(w, make(w, san, 4, 3, ca), CHAIN_LIMIT, "too many names");
}

static void test_unusable_questions(void **state)
{
    struct world *w = *state;
    X509 *leaf = simple(w);
    struct err e = {0};

    assert_int_equal(chain_check(NULL, &w->t, &w->v, &e), -1);
    assert_int_equal(e.code, E_ARG);
    w->t.ip = bytes_of("12345", 5);
    err_clear(&e);
    assert_int_equal(chain_check(leaf, &w->t, &w->v, &e), -1);
    assert_int_equal(e.code, E_ARG);
    w->t.ip.len = 0;
    w->t.n_anchor = 0;
    err_clear(&e);
    assert_int_equal(chain_check(leaf, &w->t, &w->v, &e), -1);
    assert_int_equal(e.code, E_ARG);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_order_of_certificates_does_not_count),
        TEST(test_a_missing_certificate_is_named),
        TEST(test_cas_that_certify_each_other_lead_nowhere),
        TEST(test_a_mesh_ends_within_bounds),
        TEST(test_another_path_is_taken_when_one_fails),
        TEST(test_a_cross_certificate_leads_to_the_other_root),
        TEST(test_a_new_key_of_a_ca_is_another_ca),
        TEST(test_key_identifiers_decide_nothing),
        TEST(test_false_friends_do_not_hide_the_right_one),
        TEST(test_bounds),
        TEST(test_an_anchor_vouches_for_others_only),
        TEST(test_the_second_anchor_counts),
        TEST(test_a_relying_party_narrows_an_anchor),
        TEST(test_a_relying_party_constrains_an_anchor_s_names),
        TEST(test_mappings_are_reported),
        TEST(test_policies_do_not_explode),
        TEST(test_too_many_policies_are_refused),
        TEST(test_too_many_names_are_refused),
        TEST(test_unusable_questions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
