/* Goal: what an invitation grants beside a name - what the certificate is for, a person's name, a
 * clearance - comes out in the certificate, and again in the one that renews it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/renew.h"
#include "core/gate.h"
#include "tests/support/unit_enrol.h"

#include <stdio.h>
#include <string.h>

#define NOW UNIT_ENROL_NOW
#define DAY 86400
#define SYSTEM "1.3.6.1.4.1.32473.8.1"

static int set_up(void **state)
{
    struct clearance_system s;
    struct err e = {0};
    int rc;

    assert_int_equal(
        clearance_system_parse(SYSTEM, "secret=SECRET,confidential=CONFIDENTIAL", &s, &e), 0);
    unit_ca_clearances = &s;
    unit_ca_basic = true;
    rc = unit_enrol_up(state);
    unit_ca_clearances = NULL;
    unit_ca_basic = false;
    return rc;
}

static struct authority_invite for_name(const char *name)
{
    struct authority_invite p = unit_enrol_terms();

    p.name = name;
    return p;
}

/* Sends the forger's request in and gives its certificate; the caller frees it. */
static X509 *enrol(struct unit_enrol *w, time_t now)
{
    X509 *cert;

    unit_enrol_build(w);
    if (unit_enrol_at(w, now) != 0)
        fail_msg("%s", w->e.msg);
    cert = w->out.cert;
    w->out.cert = NULL;
    return cert;
}

static X509 *invited(struct unit_enrol *w, const struct authority_invite *p)
{
    static char san[100];

    unit_enrol_invite(w, p);
    /* As a request has it (cli/enrolment.c). */
    snprintf(san, sizeof(san), "%s:%s", strchr(p->name, '@') != NULL ? "email" : "DNS", p->name);
    w->f.cn = p->name;
    w->f.san = san;
    return enrol(w, p->now + 60);
}

static X509 *renewed(struct unit_enrol *w, X509 *old, time_t now)
{
    struct evidence_invitation v;

    if (renew_invitation(old, &v, &w->e) != 0)
        fail_msg("%s", w->e.msg);
    memcpy(w->f.nonce, v.nonce, sizeof(w->f.nonce));
    return enrol(w, now);
}

/* The path under the root, with the wanted use and, if any, class of clearance. */
static bool valid(struct unit_enrol *w, X509 *leaf, const char *usage, uint32_t class, time_t now)
{
    struct chain_anchor anchor = {.names = NULL};
    struct chain_terms t = {.anchor = &anchor,
                            .n_anchor = 1,
                            .untrusted = sk_X509_new_null(),
                            .now = now,
                            .explicit_policy = true,
                            .strict_names = true,
                            .usage = usage,
                            .clearance = class != 0 ? SYSTEM : NULL,
                            .classes = class};
    struct chain_verdict v;
    X509 *issuing;
    bool ok;

    assert_int_equal(authority_cert(w->us, REGISTRY_ROOT, 0, &anchor.cert, &w->e), 0);
    assert_int_equal(authority_cert(w->us, REGISTRY_ISSUING, OID_COMMUNICATIONS, &issuing, &w->e),
                     0);
    assert_true(sk_X509_push(t.untrusted, issuing) > 0);
    assert_int_equal(chain_check(leaf, &t, &v, &w->e), 0);
    ok = v.accepted;
    chain_free(&v);
    sk_X509_free(t.untrusted);
    return ok && gate_leaf_fault(leaf) == NULL;
}

#define TLS_SERVER "1.3.6.1.5.5.7.3.1"
#define TLS_CLIENT "1.3.6.1.5.5.7.3.2"
#define MAIL "1.3.6.1.5.5.7.3.4"
#define IKE "1.3.6.1.5.5.7.3.17"

static void test_each_kind_is_for_its_use_alone(void **state)
{
    static const char *const use[] = {TLS_SERVER, TLS_CLIENT, IKE, MAIL};
    static const struct {
        const char *kind, *name, *uses;
    } rows[] = {{NULL, UNIT_FORGE_SUBJECT, "1110"},       {"gateway", UNIT_FORGE_SUBJECT, "1110"},
                {"server", UNIT_FORGE_SUBJECT, "1000"},   {"client", UNIT_FORGE_SUBJECT, "0100"},
                {"ike", UNIT_FORGE_SUBJECT, "0010"},      {NULL, "alice@comms.example", "0101"},
                {"person", "alice@comms.example", "0101"}};
    struct unit_enrol *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct authority_invite p = for_name(rows[i].name);
        time_t now = NOW + (time_t)i * 2 * DAY; /* the clock never goes back */
        X509 *cert, *next;

        p.profile = rows[i].kind;
        p.now = now;
        cert = invited(w, &p);
        next = renewed(w, cert, now + DAY);
        for (size_t u = 0; u < ARRAY_LEN(use); u++) {
            assert_int_equal(valid(w, cert, use[u], 0, now + 61), rows[i].uses[u] == '1');
            assert_int_equal(valid(w, next, use[u], 0, now + DAY + 1), rows[i].uses[u] == '1');
        }
        X509_free(cert);
        X509_free(next);
    }
}

static void test_a_person(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = for_name("a.liddell@mail.comms.example");
    X509 *cert, *next;
    char text[100];

    p.person = "Alice Liddell, 第一課";
    p.clearance = "secret";
    cert = invited(w, &p);
    for (int i = 0; i < 2; i++) {
        const X509_NAME *name = X509_get_subject_name(cert);

        assert_true(X509_NAME_get_text_by_NID(name, NID_commonName, text, sizeof(text)) > 0);
        assert_string_equal(text, p.person);
        /* The mail address in the name tells two of the same name apart. */
        assert_true(X509_NAME_get_text_by_NID(name, NID_userId, text, sizeof(text)) > 0);
        assert_string_equal(text, p.name);
        assert_int_equal(X509_check_email(cert, p.name, 0, 0), 1);
        assert_int_equal(X509_check_host(cert, "mail.comms.example", 0, 0, NULL), 0);
        assert_true(valid(w, cert, MAIL, CHAIN_SECRET, NOW + i * 20 * DAY + 1));
        assert_true(valid(w, cert, MAIL, CHAIN_CONFIDENTIAL, NOW + i * 20 * DAY + 1));
        assert_false(valid(w, cert, MAIL, CHAIN_TOP_SECRET, NOW + i * 20 * DAY + 1));
        /* With a clearance 30 days, not 90. */
        assert_int_equal(
            ASN1_TIME_cmp_time_t(X509_get0_notAfter(cert), NOW + (i * 20 + 30) * DAY - ISSUE_SKEW),
            0);
        if (i == 1)
            break;
        next = renewed(w, cert, NOW + 20 * DAY);
        X509_free(cert);
        cert = next;
    }
    X509_free(cert);
}

static void test_without_a_name_it_is_the_address(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = for_name("a.liddell@comms.example");
    X509 *cert = invited(w, &p);
    char text[100];

    assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, text,
                                          sizeof(text)) > 0);
    assert_string_equal(text, "a liddell");
    assert_int_equal(ASN1_TIME_cmp_time_t(X509_get0_notAfter(cert), NOW + 90 * DAY - ISSUE_SKEW),
                     0);
    X509_free(cert);
}

/* The lower levels have a CA of their own: who has the issuing CA alone finds no path, whatever it
 * makes of policies. */
static void test_low_levels_are_kept_apart(void **state)
{
    struct unit_enrol *w = *state;
    X509 *root, *issuing, *basic, *between[2] = {NULL, NULL};

    assert_int_equal(authority_cert(w->us, REGISTRY_ROOT, 0, &root, &w->e), 0);
    assert_int_equal(authority_cert(w->us, REGISTRY_ISSUING, OID_COMMUNICATIONS, &issuing, &w->e),
                     0);
    assert_int_equal(authority_cert(w->us, REGISTRY_BASIC, OID_COMMUNICATIONS, &basic, &w->e), 0);
    for (unsigned level = 1; level <= 3; level++) {
        struct authority_invite p = for_name(UNIT_FORGE_SUBJECT);
        time_t now = NOW + (time_t)level * 2 * DAY;
        X509 *leaf[2];

        p.level = level;
        p.now = now;
        leaf[0] = invited(w, &p);
        leaf[1] = renewed(w, leaf[0], now + DAY);
        for (int i = 0; i < 2; i++) {
            between[0] = level < 3 ? basic : issuing;
            assert_int_equal(
                unit_ca_verify(leaf[i], root, between, OID_COMMUNICATIONS, level, now + 2 * DAY),
                X509_V_OK);
            between[0] = level < 3 ? issuing : basic;
            assert_int_not_equal(unit_ca_verify(leaf[i], root, between, 0, 0, now + 2 * DAY),
                                 X509_V_OK);
            X509_free(leaf[i]);
        }
    }
}

/* What the basic CA would sign for a higher level is good for none of them. */
static void test_a_basic_ca_cannot_do_more(void **state)
{
    struct unit_enrol *w = *state;
    struct issue_issuer by = unit_ca_issuer(w->us, REGISTRY_BASIC, OID_COMMUNICATIONS);
    X509 *leaf = unit_ca_leaf(w->us, OID_COMMUNICATIONS, 3, "gw.comms.example", NULL, NOW);
    X509 *root, *between[2] = {by.cert, NULL};
    AUTHORITY_KEYID *aki = AUTHORITY_KEYID_new();

    aki->keyid = X509_get_ext_d2i(by.cert, NID_subject_key_identifier, NULL, NULL);
    assert_int_equal(X509_set_issuer_name(leaf, X509_get_subject_name(by.cert)), 1);
    assert_int_equal(
        X509_add1_ext_i2d(leaf, NID_authority_key_identifier, aki, 0, X509V3_ADD_REPLACE), 1);
    unit_ca_resign(&leaf, &by);
    assert_int_equal(authority_cert(w->us, REGISTRY_ROOT, 0, &root, &w->e), 0);
    assert_int_equal(unit_ca_verify(leaf, root, between, 0, 0, NOW + 1), X509_V_OK);
    assert_int_equal(unit_ca_verify(leaf, root, between, OID_COMMUNICATIONS, 2, NOW + 1),
                     X509_V_OK);
    assert_int_not_equal(unit_ca_verify(leaf, root, between, OID_COMMUNICATIONS, 3, NOW + 1),
                         X509_V_OK);
    AUTHORITY_KEYID_free(aki);
    X509_free(leaf);
}

static void refused(struct unit_enrol *w, const struct authority_invite *p, enum err_code code)
{
    struct buf pem = {0};

    err_clear(&w->e);
    if (authority_invite(w->us, p, &pem, &w->e) == 0)
        fail_msg("invited: %s", p->name);
    assert_int_equal(w->e.code, code);
    assert_int_equal(pem.len, 0);
}

static void test_what_is_not_granted(void **state)
{
    static const char *const addresses[] = {
        "alice@",
        "@comms.example",
        "Alice@comms.example",
        "a b@comms.example",
        ".a@comms.example",
        "a.@comms.example",
        "a..b@comms.example",
        "a@b@comms.example",
        "a@comms",
        "\"a\"@comms.example",
        "a@COMMS.example",
        "a@[192.0.2.1]",
        "a@other.example",
        "a@notcomms.example",
        "a\n@comms.example",
        "alice+x@comms.example",
        "alice+@comms.example",
        "-rf@comms.example",
        "_a@comms.example",
        "a23456789012345678901234567890123456789012345678901234567890123465@comms.example"};
    static const char *const persons[] = {
        "", "gw1.comms.example", "Dr. Alice", "alice@comms.example",
        "a234567890123456789012345678901234567890123456789012345678901234X",
        /* What is not seen, or is seen otherwise: */
        "Al\nice", "Al\x7fice", "Al\xc2\x85ice", " Alice", "Alice ", "\xe2\x80\xaegnp\xe2\x80\xac",
        "Al\xe2\x80\x8bice", "Al\xe2\x81\xa6ice", "Al\xd8\x9cice", "Al\xc2\xadice",
        "Al\xef\xbb\xbfice",
        /* a full stop and an @ of other widths; */
        "gw1\xef\xbc\x8e"
        "comms",
        "gw1\xe3\x80\x82"
        "comms",
        "gw1\xef\xbd\xa1"
        "comms",
        "gw1\xe2\x80\xa4"
        "comms",
        "gw1\xef\xb9\x92"
        "comms",
        "alice\xef\xbc\xa0"
        "comms",
        "alice\xef\xb9\xab"
        "comms",
        /* and no UTF-8. */
        "Al\xff", "Al\xc0\xae", "Al\xed\xa0\x80", "Al\xf4\x90\x80\x80", "Al\xe2\x80"};
    struct unit_enrol *w = *state;
    struct authority_invite p;

    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        p = for_name(addresses[i]);
        refused(w, &p, E_ARG);
    }
    for (size_t i = 0; i < ARRAY_LEN(persons); i++) {
        p = for_name("alice@comms.example");
        p.person = persons[i];
        refused(w, &p, E_ARG);
    }
    p = for_name("alice@comms.example");
    p.profile = "gateway";
    refused(w, &p, E_ARG);
    p.profile = "root";
    refused(w, &p, E_ARG);
    p = for_name(UNIT_FORGE_SUBJECT);
    p.profile = "person";
    refused(w, &p, E_ARG);
    p.profile = NULL;
    p.person = "Alice";
    refused(w, &p, E_ARG);
    p.person = NULL;
    p.clearance = "top-secret";
    refused(w, &p, E_ARG);
}

/* A certificate of a person whose subject claims another address, or a host, as an ally could make
 * it: path validation does not look there, the gate does. */
static void test_another_name_in_the_subject(void **state)
{
    static const struct {
        int nid;
        const char *value;
        bool good;
    } rows[] = {{NID_userId, "bob@us.example", false},
                {NID_pkcs9_emailAddress, "bob@us.example", false},
                {NID_commonName, "bob@us.example", false},
                {NID_commonName, "gw.us.example", false},
                {NID_commonName, "alice@comms.example", true},
                {NID_pkcs9_emailAddress, "alice@comms.example", true},
                {NID_commonName, "Bob", true}};
    struct unit_enrol *w = *state;
    struct authority_invite p = for_name("alice@comms.example");
    struct issue_issuer by = unit_ca_issuer(w->us, REGISTRY_ISSUING, OID_COMMUNICATIONS);
    X509 *cert = invited(w, &p);

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        X509 *x = X509_dup(cert);
        X509_NAME *name = X509_NAME_dup(X509_get_subject_name(x));

        assert_int_equal(X509_NAME_add_entry_by_NID(name, rows[i].nid, MBSTRING_UTF8,
                                                    (const unsigned char *)rows[i].value, -1, -1,
                                                    0),
                         1);
        assert_int_equal(X509_set_subject_name(x, name), 1);
        unit_ca_resign(&x, &by);
        assert_int_equal(gate_leaf_fault(x) == NULL, rows[i].good);
        X509_NAME_free(name);
        X509_free(x);
    }
    X509_free(cert);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, set_up, unit_enrol_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_each_kind_is_for_its_use_alone),   EACH(test_a_person),
        EACH(test_without_a_name_it_is_the_address), EACH(test_low_levels_are_kept_apart),
        EACH(test_a_basic_ca_cannot_do_more),        EACH(test_what_is_not_granted),
        EACH(test_another_name_in_the_subject),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
