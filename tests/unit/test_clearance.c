/* Goal: a clearance is granted only as far as each CA's certificate says, an ally's only as far as its
 * cross-certificate says, and never one of our own system by an ally. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/gate.h"
#include "core/hash.h"
#include "tests/support/unit_nations.h"

#include <stdio.h>
#include <string.h>

#define NOW UNIT_CA_NOW
#define US "1.3.6.1.4.1.32473.8.1"
#define JP "1.3.6.1.4.1.32473.8.2"

/* --- words ---------------------------------------------------------------------------------- */

static void test_systems_are_read(void **state)
{
    struct clearance_system s;
    struct clearance c;
    struct buf text = {0};
    struct err e = {0};

    (void)state;
    assert_int_equal(clearance_system_parse(JP, "confidential=極秘,restricted=秘", &s, &e), 0);
    assert_int_equal(clearance_system_classes(&s), CHAIN_CONFIDENTIAL | CHAIN_RESTRICTED);
    /* By either name; the lower ones come along. */
    assert_int_equal(clearance_grant(&s, "極秘", &c, &e), 0);
    assert_int_equal(c.classes, CHAIN_CONFIDENTIAL | CHAIN_RESTRICTED);
    assert_string_equal(c.policy, JP);
    assert_int_equal(clearance_grant(&s, "restricted", &c, &e), 0);
    assert_int_equal(c.classes, CHAIN_RESTRICTED);
    clearance_text(&s, CHAIN_CONFIDENTIAL | CHAIN_RESTRICTED | CHAIN_SECRET, &text);
    assert_string_equal(buf_cstr(&text), "secret, 極秘, 秘");
    buf_free(&text);
    assert_int_equal(clearance_grant(&s, "secret", &c, &e), -1);
    assert_int_equal(e.code, E_ARG);
    assert_non_null(strstr(e.msg, "極秘"));
    err_clear(&e);
    assert_int_equal(clearance_grant(&(struct clearance_system){.policy = ""}, "secret", &c, &e),
                     -1);
    assert_int_equal(e.code, E_REJECTED);
    err_clear(&e);
    assert_int_equal(clearance_parse(US, "secret,top-secret", &c, &e), 0);
    assert_int_equal(c.classes, CHAIN_SECRET | CHAIN_TOP_SECRET);
}

/* Both words of one class may be the same. */
static void test_a_name_is_one_class(void **state)
{
    struct clearance_system s;
    struct clearance c;
    struct err e = {0};

    (void)state;
    assert_int_equal(clearance_system_parse(US, "secret=secret,restricted=Restricted", &s, &e), 0);
    assert_int_equal(clearance_grant(&s, "secret", &c, &e), 0);
    assert_int_equal(c.classes, CHAIN_SECRET | CHAIN_RESTRICTED);
    /* One that was made before: neither is granted by that name. */
    memcpy(s.name[2], "secret", sizeof("secret"));
    assert_int_equal(clearance_grant(&s, "secret", &c, &e), -1);
    assert_int_equal(e.code, E_ARG);
    err_clear(&e);
    assert_int_equal(clearance_grant(&s, "restricted", &c, &e), 0);
    assert_int_equal(c.classes, CHAIN_RESTRICTED);
}

static void test_what_is_no_system(void **state)
{
    static const char *const lists[] = {
        "",
        "secret=",
        "=SECRET",
        "most-secret=S",
        "secret=A,secret=B",
        "secret=a\n",
        "secret=\xff",
        "secret=S\xc0\xae",
        "secret=\xe2\x80\xaeS",
        "secret=S\xe2\x80\x8b",
        "restricted=secret,secret=TOP",
        "secret=TOP,restricted=secret",
        "restricted=Top-Secret",
        "restricted=X,secret=X",
        "restricted=X,secret=x",
        "secret=A,,",
        "secret= A",
        "secret=A ",
        "secret=\"",
        "secret=\\",
        "secret=A\x1b[m",
        "SECRET=SECRET",
        "secret=\x7f",
        "secret=12345678901234567890123456789012345678901234567890123456789012345"};
    static const char *const policies[] = {"", "secret", "1", "1.2.3.", "2.999999.x", "1.2 3"};
    struct clearance_system s;
    struct clearance c;
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        if (clearance_system_parse(US, lists[i], &s, &e) == 0)
            fail_msg("read: '%s'", lists[i]);
        assert_int_equal(e.code, E_ARG);
        err_clear(&e);
    }
    for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
        assert_int_equal(clearance_system_parse(policies[i], "secret=S", &s, &e), -1);
        assert_int_equal(clearance_parse(policies[i], "secret", &c, NULL), -1);
        assert_int_equal(e.code, E_ARG);
        err_clear(&e);
    }
    assert_int_equal(clearance_parse(US, "", &c, NULL), -1);
    assert_int_equal(clearance_parse(US, "secret,SECRET", &c, NULL), -1);
}

/* --- certificates --------------------------------------------------------------------------- */

struct world {
    struct unit_nations n;
    struct clearance may; /* what US lets JP grant */
    char reason[300];     /* of the last verdict */
};

static void federate(struct world *w, const struct clearance *may)
{
    struct err e = {0};

    unit_nations_agree(&w->n, may, 86400);
    /* 極秘 counts as SECRET. */
    w->n.f.row[0] =
        (struct federation_row){.from = 1, .class = CHAIN_CONFIDENTIAL, .as = CHAIN_SECRET};
    w->n.f.n_row = 1;
    unit_good(federation_check(&w->n.f, NOW + 1, &e), &e);
}

static int set_up(void **state)
{
    struct world *w = test_calloc(1, sizeof(*w));
    struct clearance_system s[2];
    struct err e = {0};

    unit_good(clearance_system_parse(US, "confidential=CONFIDENTIAL,secret=SECRET", &s[0], &e), &e);
    unit_good(clearance_system_parse(JP, "restricted=秘,confidential=極秘", &s[1], &e), &e);
    unit_nations_up(&w->n, s);
    unit_good(clearance_parse(JP, "restricted,confidential", &w->may, &e), &e);
    federate(w, &w->may);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    unit_nations_down(&w->n);
    test_free(w);
    return 0;
}

/* A leaf of nation `who` that claims a clearance, whatever its CA may grant; NULL: none. */
static X509 *claiming(struct world *w, int who, const char *policy, uint32_t classes)
{
    struct issue_issuer by = unit_ca_issuer(w->n.a[who], REGISTRY_ISSUING, OID_COMMUNICATIONS);
    X509 *x = unit_ca_leaf(w->n.a[who], OID_COMMUNICATIONS, 3,
                           who == 0 ? "gw.us.example" : "gw.jp.example", NULL, NOW);
    struct clearance c = {.classes = classes};
    struct err e = {0};

    if (policy == NULL)
        return x;
    memcpy(c.policy, policy, strlen(policy) + 1);
    unit_good(clearance_put(x, &c, &e), &e);
    unit_ca_resign(&x, &by);
    return x;
}

/* Does the gate of US let it in, where this class is wanted? Ends the leaf. */
static bool let_in(struct world *w, X509 *leaf, int class)
{
    struct gate_terms t = {.f = &w->n.f,
                           .side = 0,
                           .community = OID_COMMUNICATIONS,
                           .now = NOW + 1,
                           .usage = "1.3.6.1.5.5.7.3.2",
                           .clearance = class};
    struct chain_verdict v;
    struct err e = {0};
    bool in;

    unit_good(gate_check(leaf, NULL, &t, &v, &e), &e);
    in = v.accepted;
    if (!in)
        assert_int_equal(v.code, CHAIN_CLEARANCE);
    snprintf(w->reason, sizeof(w->reason), "%s", v.reason);
    chain_free(&v);
    X509_free(leaf);
    return in;
}

static void test_what_is_granted_is_read_back(void **state)
{
    struct world *w = *state;

    assert_true(let_in(w, claiming(w, 0, US, CHAIN_SECRET | CHAIN_CONFIDENTIAL), 4));
    assert_true(let_in(w, claiming(w, 0, US, CHAIN_SECRET | CHAIN_CONFIDENTIAL), 3));
    assert_true(let_in(w, claiming(w, 0, US, CHAIN_CONFIDENTIAL), 3));
    assert_false(let_in(w, claiming(w, 0, US, CHAIN_CONFIDENTIAL), 4));
    assert_false(let_in(w, claiming(w, 0, NULL, 0), 3));
    /* Not in our system, so not in the issuing CA's bound, whatever it says. */
    assert_false(let_in(w, claiming(w, 0, US, CHAIN_RESTRICTED), 3));
    assert_true(let_in(w, claiming(w, 1, JP, CHAIN_CONFIDENTIAL | CHAIN_RESTRICTED), 4));
    /* Refused in the words of both systems. */
    assert_false(let_in(w, claiming(w, 1, JP, CHAIN_RESTRICTED), 4));
    assert_string_equal(w->reason, "the path leaves it 秘 of JP; wanted is SECRET of US, as which "
                                   "counts 極秘 of JP");
    assert_false(let_in(w, claiming(w, 1, JP, CHAIN_CONFIDENTIAL | CHAIN_RESTRICTED), 3));
    assert_string_equal(w->reason,
                        "the path leaves it 極秘 of JP, 秘 of JP; wanted is CONFIDENTIAL "
                        "of US, as which nothing of JP counts");
    assert_false(let_in(w, claiming(w, 1, NULL, 0), 4));
    assert_non_null(strstr(w->reason, "no clearance of either nation"));
}

static void test_an_ally_grants_what_its_cross_certificate_says(void **state)
{
    struct world *w = *state;
    struct clearance less = w->may;

    less.classes = CHAIN_RESTRICTED;
    federate(w, &less);
    assert_false(let_in(w, claiming(w, 1, JP, CHAIN_CONFIDENTIAL | CHAIN_RESTRICTED), 4));
    /* Nothing said: nothing granted. */
    federate(w, NULL);
    assert_false(let_in(w, claiming(w, 1, JP, CHAIN_CONFIDENTIAL | CHAIN_RESTRICTED), 4));
    assert_false(let_in(w, claiming(w, 1, OID_CLEARANCE_NONE, CHAIN_SECRET), 4));
    federate(w, &w->may);
    assert_true(let_in(w, claiming(w, 1, JP, CHAIN_CONFIDENTIAL | CHAIN_RESTRICTED), 4));
}

static void test_an_ally_never_grants_ours(void **state)
{
    struct world *w = *state;
    struct clearance ours = {.policy = US, .classes = CHAIN_SECRET};
    struct federation_community *c = &w->n.f.side[0].community[OID_COMMUNICATIONS];
    struct issue_issuer cross = unit_ca_issuer(w->n.a[0], REGISTRY_CROSS, 0);
    ASN1_OBJECT *oid = oid_object(OID_EXT_CLEARANCE_CONSTRAINTS, NULL);
    struct err e = {0};

    assert_false(let_in(w, claiming(w, 1, US, CHAIN_SECRET), 4));
    /* A cross-certificate that sets no bound, as before there were any, does not open it. */
    X509_EXTENSION_free(X509_delete_ext(c->cross, X509_get_ext_by_OBJ(c->cross, oid, -1)));
    unit_ca_resign(&c->cross, &cross);
    assert_true(let_in(w, claiming(w, 1, JP, CHAIN_CONFIDENTIAL), 4));
    assert_false(let_in(w, claiming(w, 1, US, CHAIN_SECRET), 4));
    /* Nor one that was made for it by mistake. */
    unit_good(clearance_put_bound(c->cross, &ours, &e), &e);
    unit_ca_resign(&c->cross, &cross);
    assert_false(let_in(w, claiming(w, 1, US, CHAIN_SECRET), 4));
    ASN1_OBJECT_free(oid);
}

static bool let_in_with(struct world *w, X509 *leaf, X509 *sent, int class)
{
    struct gate_terms t = {.f = &w->n.f,
                           .community = OID_COMMUNICATIONS,
                           .now = NOW + 1,
                           .usage = "1.3.6.1.5.5.7.3.2",
                           .clearance = class};
    STACK_OF(X509) *along = sk_X509_new_null();
    struct chain_verdict v;
    struct err e = {0};
    bool in;

    assert_true(sk_X509_push(along, sent) > 0);
    unit_good(gate_check(leaf, along, &t, &v, &e), &e);
    in = v.accepted;
    chain_free(&v);
    sk_X509_free(along);
    X509_free(leaf);
    return in;
}

/* A cross-certificate that was replaced and has not ended: its bound was another. The peer sends it. */
static void test_a_replaced_cross_certificate_does_not_count(void **state)
{
    struct world *w = *state;
    struct clearance less = w->may, ours = {.policy = US, .classes = CHAIN_SECRET};
    struct issue_issuer cross = unit_ca_issuer(w->n.a[0], REGISTRY_CROSS, 0);
    X509 *wide = X509_dup(w->n.f.side[0].community[OID_COMMUNICATIONS].cross);
    X509 *unbound = X509_dup(wide);
    ASN1_OBJECT *oid = oid_object(OID_EXT_CLEARANCE_CONSTRAINTS, NULL);
    struct err e = {0};

    X509_EXTENSION_free(X509_delete_ext(unbound, X509_get_ext_by_OBJ(unbound, oid, -1)));
    unit_good(clearance_put_bound(unbound, &ours, &e), &e);
    unit_ca_resign(&unbound, &cross);
    less.classes = CHAIN_RESTRICTED;
    federate(w, &less);
    assert_false(let_in_with(w, claiming(w, 1, US, CHAIN_SECRET), unbound, 4));
    assert_false(let_in_with(w, claiming(w, 1, JP, CHAIN_CONFIDENTIAL), wide, 4));
    federate(w, &w->may);
    assert_true(let_in_with(w, claiming(w, 1, JP, CHAIN_CONFIDENTIAL), wide, 4));
    assert_false(let_in_with(w, claiming(w, 1, US, CHAIN_SECRET), unbound, 4));
    ASN1_OBJECT_free(oid);
    X509_free(wide);
    X509_free(unbound);
}

static void test_an_ally_is_not_granted_ours(void **state)
{
    struct world *w = *state;
    struct clearance ours = {.policy = US, .classes = CHAIN_SECRET};
    struct cross_request r = {.nation = "JP",
                              .domain = "jp.example",
                              .community = OID_COMMUNICATIONS,
                              .clearance = &ours,
                              .now = NOW};
    struct buf pem = {0};
    struct err e = {0};

    unit_good(authority_cert(w->n.a[1], REGISTRY_ISSUING, OID_COMMUNICATIONS, &r.ally, &e), &e);
    assert_int_equal(authority_cross(w->n.a[0], &r, &pem, &e), -1);
    assert_int_equal(e.code, E_ARG);
    assert_int_equal(pem.len, 0);
}

static void test_no_ca_is_made_to_grant_more(void **state)
{
    struct world *w = *state;
    struct issue_issuer by = unit_ca_issuer(w->n.a[0], REGISTRY_ISSUING, OID_COMMUNICATIONS);
    struct clearance c = {.policy = US, .classes = CHAIN_TOP_SECRET};
    struct signer *own = unit_ca_signer("P-256");
    static const uint8_t evidence[32] = {1};
    struct subject s = {.key = &own->pub,
                        .not_before = NOW,
                        .not_after = NOW + 30 * 86400,
                        .community = OID_COMMUNICATIONS,
                        .level = 3,
                        .dns = "gw.us.example",
                        .clearance = &c,
                        .evidence_hash = evidence};
    struct err e = {0};
    X509_NAME *name = issue_name("US", "Org", "communications", s.dns, &e);
    struct cross_request r = {.nation = "JP",
                              .domain = "jp.example",
                              .community = OID_COMMUNICATIONS,
                              .clearance = &c,
                              .now = NOW};
    struct buf pem = {0};
    X509 *cert = NULL;

    s.name = name;
    assert_int_equal(issue_certificate(PROFILE_GATEWAY, &by, &s, &cert, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    assert_non_null(strstr(e.msg, "may not grant"));
    err_clear(&e);
    memcpy(c.policy, JP, sizeof(JP));
    c.classes = CHAIN_CONFIDENTIAL;
    assert_int_equal(issue_certificate(PROFILE_GATEWAY, &by, &s, &cert, NULL), -1);
    memcpy(c.policy, US, sizeof(US));
    c.classes = CHAIN_SECRET;
    /* A clearance is not for long. */
    s.not_after++;
    assert_int_equal(issue_certificate(PROFILE_GATEWAY, &by, &s, &cert, &e), -1);
    assert_non_null(strstr(e.msg, "with a clearance"));
    err_clear(&e);
    s.not_after--;
    unit_good(issue_certificate(PROFILE_GATEWAY, &by, &s, &cert, &e), &e);
    X509_free(cert);
    /* The ally's own CA has no such bound: somebody mistook the policy. */
    memcpy(c.policy, "1.3.6.1.4.1.32473.8.3", sizeof("1.3.6.1.4.1.32473.8.3"));
    unit_good(authority_cert(w->n.a[1], REGISTRY_ISSUING, OID_COMMUNICATIONS, &r.ally, &e), &e);
    assert_int_equal(authority_cross(w->n.a[0], &r, &pem, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    X509_NAME_free(name);
    signer_free(own);
    buf_free(&pem);
}

/* The bytes of RFC 5913's structures, as another encoder makes them (openssl asn1parse -genconf):
 * policyId 1.2.3.4, {confidential}; {unclassified} alone is the default and left out. */
static void test_known_bytes(void **state)
{
    static const uint8_t bound[] = {0x30, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x2a,
                                    0x03, 0x04, 0x03, 0x02, 0x04, 0x10};
    static const uint8_t plain[] = {0x30, 0x07, 0x30, 0x05, 0x06, 0x03, 0x2a, 0x03, 0x04};
    struct clearance c = {.policy = "1.2.3.4", .classes = CHAIN_CONFIDENTIAL};
    struct err e = {0};
    X509 *x = X509_new();
    const ASN1_OCTET_STRING *v;

    (void)state;
    unit_good(clearance_put_bound(x, &c, &e), &e);
    c.classes = CHAIN_UNCLASSIFIED;
    unit_good(clearance_put_bound(x, &c, &e), &e);
    v = X509_EXTENSION_get_data(X509_get_ext(x, 0));
    assert_int_equal(ASN1_STRING_length(v), sizeof(bound));
    assert_memory_equal(ASN1_STRING_get0_data(v), bound, sizeof(bound));
    assert_int_equal(X509_EXTENSION_get_critical(X509_get_ext(x, 0)), 0);
    v = X509_EXTENSION_get_data(X509_get_ext(x, 1));
    assert_int_equal(ASN1_STRING_length(v), sizeof(plain));
    assert_memory_equal(ASN1_STRING_get0_data(v), plain, sizeof(plain));
    X509_free(x);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_systems_are_read),
        cmocka_unit_test(test_a_name_is_one_class),
        cmocka_unit_test(test_what_is_no_system),
        cmocka_unit_test(test_known_bytes),
        EACH(test_what_is_granted_is_read_back),
        EACH(test_an_ally_grants_what_its_cross_certificate_says),
        EACH(test_an_ally_never_grants_ours),
        EACH(test_a_replaced_cross_certificate_does_not_count),
        EACH(test_an_ally_is_not_granted_ours),
        EACH(test_no_ca_is_made_to_grant_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
