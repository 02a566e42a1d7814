/* Goal: one community of an ally becomes valid under our root, and nothing else does;
 * OpenSSL is the judge, under exactly one policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/bundle.h"
#include "core/asn1.h"
#include "core/oid.h"
#include "tests/support/unit_ca.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>

#define NOW ((time_t)1800000000)
#define DAY 86400

struct world {
    char *us_dir, *jp_dir;
    struct unit_ca_keys us_keys, jp_keys;
    struct authority *us, *jp;
    X509 *us_root, *us_cross, *jp_ca; /* borrowed */
    X509 *cross;                      /* us → jp communications */
};

static struct cross_request good_request(struct world *w)
{
    return (struct cross_request){.ally = w->jp_ca,
                                  .nation = "JP",
                                  .domain = "jp.example",
                                  .community = OID_COMMUNICATIONS,
                                  .now = NOW};
}

static X509 *cross_of(struct world *w, const struct cross_request *r)
{
    struct buf pem = {0};
    struct err e = {0};
    X509 *out = NULL;
    BIO *in;

    if (authority_cross(w->us, r, &pem, &e) != 0)
        fail_msg("%s", e.msg);
    in = BIO_new_mem_buf(pem.p, (int)pem.len);
    out = PEM_read_bio_X509(in, NULL, NULL, NULL);
    assert_non_null(out);
    BIO_free(in);
    buf_free(&pem);
    return out;
}

static int set_up(void **state)
{
    struct world *w = test_calloc(1, sizeof(*w));
    struct cross_request r;
    struct buf pin = {0};
    struct err e = {0};

    unit_ca_some_pin(&pin);
    w->us_dir = unit_ca_dir();
    w->jp_dir = unit_ca_dir();
    w->us = unit_ca_make(w->us_dir, "US", "us.example", buf_bytes(&pin), NOW, &w->us_keys);
    w->jp = unit_ca_make(w->jp_dir, "JP", "jp.example", buf_bytes(&pin), NOW, &w->jp_keys);
    buf_free(&pin);
    assert_int_equal(authority_cert(w->us, REGISTRY_ROOT, 0, &w->us_root, &e), 0);
    assert_int_equal(authority_cert(w->us, REGISTRY_CROSS, 0, &w->us_cross, &e), 0);
    assert_int_equal(authority_cert(w->jp, REGISTRY_ISSUING, OID_COMMUNICATIONS, &w->jp_ca, &e), 0);
    r = good_request(w);
    w->cross = cross_of(w, &r);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    X509_free(w->cross);
    authority_close(w->us);
    authority_close(w->jp);
    unit_ca_keys_free(&w->us_keys);
    unit_ca_keys_free(&w->jp_keys);
    unit_ca_dir_remove(w->us_dir);
    unit_ca_dir_remove(w->jp_dir);
    test_free(w);
    return 0;
}

/* An ally's leaf under our root, by way of the cross-certificate. */
static int judge_at(struct world *w, X509 *leaf, unsigned community, unsigned level, time_t at)
{
    X509 *const between[] = {w->us_cross, w->cross, NULL};

    return unit_ca_verify(leaf, w->us_root, between, community, level, at);
}

static int judge(struct world *w, X509 *leaf, unsigned community, unsigned level)
{
    return judge_at(w, leaf, community, level, NOW + DAY);
}

/* A leaf of the ally's communications CA gone astray: one extension replaced. */
static X509 *astray(struct world *w, int nid, const char *value)
{
    struct issue_issuer by = unit_ca_issuer(w->jp, REGISTRY_ISSUING, OID_COMMUNICATIONS);
    X509 *leaf = unit_ca_leaf(w->jp, OID_COMMUNICATIONS, 3, "gw.jp.example", NULL, NOW);

    unit_ca_set_ext(leaf, nid, value);
    unit_ca_resign(&leaf, &by);
    return leaf;
}

static void test_own_leaf_is_valid_under_one_policy(void **state)
{
    struct world *w = *state;
    X509 *leaf = unit_ca_leaf(w->us, OID_COMMUNICATIONS, 3, "gw.us.example", NULL, NOW);
    X509 *ca = NULL;
    struct err e = {0};
    X509 *between[2] = {NULL, NULL};

    assert_int_equal(authority_cert(w->us, REGISTRY_ISSUING, OID_COMMUNICATIONS, &ca, &e), 0);
    between[0] = ca;
    for (unsigned level = 1; level <= 3; level++)
        assert_int_equal(
            unit_ca_verify(leaf, w->us_root, between, OID_COMMUNICATIONS, level, NOW + DAY),
            X509_V_OK);
    assert_int_equal(unit_ca_verify(leaf, w->us_root, between, OID_COMMUNICATIONS, 4, NOW + DAY),
                     X509_V_ERR_NO_EXPLICIT_POLICY);
    assert_int_equal(unit_ca_verify(leaf, w->us_root, between, OID_ELECTRICITY, 1, NOW + DAY),
                     X509_V_ERR_NO_EXPLICIT_POLICY);
    assert_int_equal(
        unit_ca_verify(leaf, w->us_root, between, OID_COMMUNICATIONS, 3, NOW + 91 * DAY),
        X509_V_ERR_CERT_HAS_EXPIRED);
    X509_free(leaf);
}

static void test_allys_leaf_is_valid_under_one_policy(void **state)
{
    struct world *w = *state;
    X509 *leaf = unit_ca_leaf(w->jp, OID_COMMUNICATIONS, 3, "gw.jp.example", NULL, NOW);

    assert_int_equal(judge(w, leaf, OID_COMMUNICATIONS, 1), X509_V_OK);
    assert_int_equal(judge(w, leaf, OID_COMMUNICATIONS, 3), X509_V_OK);
    assert_int_equal(judge(w, leaf, 0, 0), X509_V_OK);
    assert_int_equal(judge(w, leaf, OID_COMMUNICATIONS, 4), X509_V_ERR_NO_EXPLICIT_POLICY);
    assert_int_equal(judge(w, leaf, OID_ELECTRICITY, 1), X509_V_ERR_NO_EXPLICIT_POLICY);
    assert_int_equal(judge_at(w, leaf, OID_COMMUNICATIONS, 3, NOW + 91 * DAY),
                     X509_V_ERR_CERT_HAS_EXPIRED);
    X509_free(leaf);
}

static void test_without_a_cross_certificate_there_is_no_path(void **state)
{
    struct world *w = *state;
    X509 *leaf = unit_ca_leaf(w->jp, OID_ELECTRICITY, 3, "gw.jp.example", NULL, NOW);

    /* Without policy checking too: topology keeps the other community out. */
    assert_int_not_equal(judge(w, leaf, 0, 0), X509_V_OK);
    assert_int_not_equal(judge(w, leaf, OID_ELECTRICITY, 3), X509_V_OK);
    X509_free(leaf);
}

static void test_ally_that_claims_another_community_is_refused(void **state)
{
    struct world *w = *state;
    char policy[OID_TEXT_MAX];
    X509 *leaf;

    assert_int_equal(oid_policy(OID_ELECTRICITY, 3, policy, NULL), 0);
    leaf = astray(w, NID_certificate_policies, policy);
    assert_int_equal(judge(w, leaf, OID_ELECTRICITY, 3), X509_V_ERR_NO_EXPLICIT_POLICY);
    assert_int_equal(judge(w, leaf, OID_COMMUNICATIONS, 3), X509_V_ERR_NO_EXPLICIT_POLICY);
    X509_free(leaf);
    /* anyPolicy is inhibited. */
    leaf = astray(w, NID_certificate_policies, "2.5.29.32.0");
    assert_int_equal(judge(w, leaf, OID_COMMUNICATIONS, 3), X509_V_ERR_NO_EXPLICIT_POLICY);
    X509_free(leaf);
    leaf = astray(w, NID_certificate_policies, NULL);
    assert_int_equal(judge(w, leaf, OID_COMMUNICATIONS, 3), X509_V_ERR_NO_EXPLICIT_POLICY);
    X509_free(leaf);
}

static void test_foreign_names_of_every_form_are_refused(void **state)
{
    static const char *const bad[] = {
        "DNS:gw.us.example",
        "DNS:gw.jp.example,DNS:gw.us.example",
        "DNS:gw.jp.example,email:minister@us.example",
        "DNS:gw.jp.example,URI:https://gw.us.example/x",
        "DNS:gw.jp.example,IP:192.0.2.1",
        "DNS:gw.jp.example,IP:2001:db8::1",
    };
    static const char *const good[] = {
        "DNS:gw.jp.example,DNS:jp.example",
        "DNS:gw.jp.example,email:minister@jp.example,email:a@post.jp.example",
        "DNS:gw.jp.example,URI:https://gw.jp.example/x",
    };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        X509 *leaf = astray(w, NID_subject_alt_name, bad[i]);
        int verdict = judge(w, leaf, OID_COMMUNICATIONS, 3);

        if (verdict != X509_V_ERR_PERMITTED_VIOLATION && verdict != X509_V_ERR_EXCLUDED_VIOLATION)
            fail_msg("%s: verdict %d", bad[i], verdict);
        X509_free(leaf);
    }
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        X509 *leaf = astray(w, NID_subject_alt_name, good[i]);

        assert_int_equal(judge(w, leaf, OID_COMMUNICATIONS, 3), X509_V_OK);
        X509_free(leaf);
    }
}

static void test_subject_of_another_nation_is_refused(void **state)
{
    struct world *w = *state;
    struct issue_issuer by = unit_ca_issuer(w->jp, REGISTRY_ISSUING, OID_COMMUNICATIONS);
    X509 *leaf = unit_ca_leaf(w->jp, OID_COMMUNICATIONS, 3, "gw.jp.example", NULL, NOW);
    X509_NAME *name = issue_name("US", "Org", NULL, "gw.jp.example", NULL);

    assert_int_equal(X509_set_subject_name(leaf, name), 1);
    unit_ca_resign(&leaf, &by);
    assert_int_equal(judge(w, leaf, OID_COMMUNICATIONS, 3), X509_V_ERR_PERMITTED_VIOLATION);
    X509_NAME_free(name);
    X509_free(leaf);
}

static void test_a_ca_below_the_allys_is_refused(void **state)
{
    struct world *w = *state;
    struct issue_issuer by = unit_ca_issuer(w->jp, REGISTRY_ISSUING, OID_COMMUNICATIONS);
    struct signer *k = unit_ca_signer("P-256");
    struct issue_issuer sub = {.signer = k};
    X509 *ca = unit_ca_leaf(w->jp, OID_COMMUNICATIONS, 4, "ca.jp.example", &k->pub, NOW);
    X509 *leaf = unit_ca_leaf(w->jp, OID_COMMUNICATIONS, 3, "gw.jp.example", NULL, NOW);
    AUTHORITY_KEYID *aki;

    unit_ca_set_ext(ca, NID_basic_constraints, "critical,CA:TRUE");
    unit_ca_set_ext(ca, NID_key_usage, "critical,keyCertSign");
    unit_ca_set_ext(ca, NID_subject_key_identifier, "hash");
    unit_ca_resign(&ca, &by);
    assert_int_equal(X509_set_issuer_name(leaf, X509_get_subject_name(ca)), 1);
    aki = AUTHORITY_KEYID_new();
    aki->keyid = ASN1_OCTET_STRING_dup(X509_get0_subject_key_id(ca));
    assert_int_equal(
        X509_add1_ext_i2d(leaf, NID_authority_key_identifier, aki, 0, X509V3_ADD_REPLACE), 1);
    AUTHORITY_KEYID_free(aki);
    unit_ca_resign(&leaf, &sub);
    {
        X509 *const between[] = {w->us_cross, w->cross, ca, NULL};

        assert_int_equal(unit_ca_verify(leaf, w->us_root, between, 0, 0, NOW + DAY),
                         X509_V_ERR_PATH_LENGTH_EXCEEDED);
    }
    X509_free(ca);
    X509_free(leaf);
    signer_free(k);
}

static void test_cross_certificate_keeps_name_and_key_identifier(void **state)
{
    struct world *w = *state;
    struct pubkey a, b;
    int64_t to = 0;

    assert_int_equal(
        X509_NAME_cmp(X509_get_subject_name(w->cross), X509_get_subject_name(w->jp_ca)), 0);
    assert_true(bytes_equal(issue_ski(w->cross), issue_ski(w->jp_ca)));
    assert_int_equal(pubkey_from_x509(&a, w->cross, NULL), 0);
    assert_int_equal(pubkey_from_x509(&b, w->jp_ca, NULL), 0);
    assert_true(pubkey_equal(&a, &b));
    assert_int_equal(X509_get_pathlen(w->cross), 0);
    assert_int_equal(issue_time(X509_get0_notAfter(w->cross), &to, NULL), 0);
    assert_int_equal(to, NOW - ISSUE_SKEW + 365 * DAY);
}

static int critical(X509 *cert, int nid)
{
    int at = X509_get_ext_by_NID(cert, nid, -1);

    return at < 0 ? -1 : X509_EXTENSION_get_critical(X509_get_ext(cert, at));
}

static void test_strict_is_critical_where_compat_is_not(void **state)
{
    struct world *w = *state;
    struct cross_request r = good_request(w);
    X509 *leaf = unit_ca_leaf(w->jp, OID_COMMUNICATIONS, 3, "gw.jp.example", NULL, NOW);
    X509 *strict;

    r.strict = true;
    strict = cross_of(w, &r);
    assert_int_equal(critical(w->cross, NID_certificate_policies), 0);
    assert_int_equal(critical(w->cross, NID_policy_constraints), 0);
    assert_int_equal(critical(w->cross, NID_inhibit_any_policy), 0);
    assert_int_equal(critical(w->cross, NID_name_constraints), 1);
    assert_int_equal(critical(strict, NID_certificate_policies), 1);
    assert_int_equal(critical(strict, NID_policy_constraints), 1);
    assert_int_equal(critical(strict, NID_inhibit_any_policy), 1);
    assert_int_equal(critical(strict, NID_name_constraints), 1);
    assert_int_equal(critical(strict, NID_policy_mappings), -1);
    {
        X509 *const between[] = {w->us_cross, strict, NULL};

        assert_int_equal(
            unit_ca_verify(leaf, w->us_root, between, OID_COMMUNICATIONS, 3, NOW + DAY), X509_V_OK);
    }
    X509_free(strict);
    X509_free(leaf);
}

static void test_one_for_ike_is_of_use_in_ike_alone(void **state)
{
    struct world *w = *state;
    struct cross_request r = good_request(w);
    NAME_CONSTRAINTS *names, *usual;
    X509 *ike;

    r.ike = true;
    ike = cross_of(w, &r);
    /* All name forms but IP addresses, which strongSwan cannot read there. */
    names = X509_get_ext_d2i(ike, NID_name_constraints, NULL, NULL);
    usual = X509_get_ext_d2i(w->cross, NID_name_constraints, NULL, NULL);
    assert_int_equal(sk_GENERAL_SUBTREE_num(names->permittedSubtrees),
                     sk_GENERAL_SUBTREE_num(usual->permittedSubtrees));
    assert_null(names->excludedSubtrees);
    assert_int_equal(sk_GENERAL_SUBTREE_num(usual->excludedSubtrees), 2);
    assert_int_equal(X509_check_purpose(w->cross, X509_PURPOSE_SSL_SERVER, 1), 1);
    assert_int_equal(X509_check_purpose(w->cross, X509_PURPOSE_SSL_CLIENT, 1), 1);
    assert_int_equal(X509_check_purpose(ike, X509_PURPOSE_SSL_SERVER, 1), 0);
    assert_int_equal(X509_check_purpose(ike, X509_PURPOSE_SSL_CLIENT, 1), 0);
    NAME_CONSTRAINTS_free(names);
    NAME_CONSTRAINTS_free(usual);
    X509_free(ike);
}

static void test_days_end_with_the_request(void **state)
{
    struct world *w = *state;
    struct cross_request r = good_request(w);
    X509 *cross;
    int64_t to = 0;

    r.days = 30;
    cross = cross_of(w, &r);
    assert_int_equal(issue_time(X509_get0_notAfter(cross), &to, NULL), 0);
    assert_int_equal(to, NOW - ISSUE_SKEW + 30 * DAY);
    X509_free(cross);
    /* The ally's own end comes first: five years, less a day. */
    r.days = 365;
    r.now = NOW + (time_t)(5 * 365 - 10) * DAY;
    cross = cross_of(w, &r);
    assert_int_equal(issue_time(X509_get0_notAfter(cross), &to, NULL), 0);
    assert_int_equal(to, NOW - ISSUE_SKEW + (int64_t)5 * 365 * DAY);
    X509_free(cross);
}

/* --- what is not cross-certified ----------------------------------------- */

static enum err_code code_of(struct world *w, const struct cross_request *r)
{
    struct buf pem = {0};
    struct err e = {0};
    int rc = authority_cross(w->us, r, &pem, &e);

    assert_int_equal(rc == 0, e.code == E_OK);
    assert_int_equal(rc == 0, pem.len != 0);
    buf_free(&pem);
    return e.code;
}

/* A change of the ally's CA certificate, signed by the ally's root again. */
static enum err_code code_with_ext(struct world *w, int nid, const char *value)
{
    struct issue_issuer root = unit_ca_issuer(w->jp, REGISTRY_ROOT, 0);
    struct cross_request r = good_request(w);
    enum err_code code;

    r.ally = X509_dup(w->jp_ca);
    unit_ca_set_ext(r.ally, nid, value);
    unit_ca_resign(&r.ally, &root);
    code = code_of(w, &r);
    X509_free(r.ally);
    return code;
}

static void test_what_is_no_issuing_ca_is_refused(void **state)
{
    struct world *w = *state;
    struct cross_request r = good_request(w);
    X509 *leaf = unit_ca_leaf(w->jp, OID_COMMUNICATIONS, 3, "gw.jp.example", NULL, NOW);
    struct err e = {0};

    r.ally = leaf;
    assert_int_equal(code_of(w, &r), E_REJECTED);
    assert_int_equal(authority_cert(w->jp, REGISTRY_ROOT, 0, &r.ally, &e), 0);
    assert_int_equal(code_of(w, &r), E_REJECTED);
    /* The Cross CA and the Attestation CA have no policy of the community. */
    assert_int_equal(authority_cert(w->jp, REGISTRY_CROSS, 0, &r.ally, &e), 0);
    assert_int_equal(code_of(w, &r), E_REJECTED);
    assert_int_equal(authority_cert(w->jp, REGISTRY_ATTESTATION, 0, &r.ally, &e), 0);
    assert_int_equal(code_of(w, &r), E_REJECTED);
    X509_free(leaf);
}

static void test_altered_ca_certificates_are_refused(void **state)
{
    struct world *w = *state;
    char both[2 * OID_TEXT_MAX + 2], own[OID_TEXT_MAX], policy[OID_TEXT_MAX];

    assert_int_equal(code_with_ext(w, NID_subject_key_identifier, "hash"), E_OK);
    assert_int_equal(code_with_ext(w, NID_subject_key_identifier, NULL), E_REJECTED);
    assert_int_equal(code_with_ext(w, NID_subject_key_identifier, "01"), E_REJECTED);
    assert_int_equal(code_with_ext(w, NID_key_usage, "critical,digitalSignature"), E_REJECTED);
    assert_int_equal(code_with_ext(w, NID_key_usage, NULL), E_REJECTED);
    assert_int_equal(code_with_ext(w, NID_basic_constraints, "CA:FALSE"), E_REJECTED);
    assert_int_equal(code_with_ext(w, NID_certificate_policies, NULL), E_REJECTED);
    assert_int_equal(code_with_ext(w, NID_certificate_policies, "2.5.29.32.0"), E_REJECTED);
    assert_int_equal(code_with_ext(w, NID_certificate_policies, "1.2.3.4"), E_REJECTED);
    assert_int_equal(oid_policy(OID_COMMUNICATIONS, 1, own, NULL), 0);
    assert_int_equal(oid_policy(OID_DEFENSE, 1, policy, NULL), 0);
    snprintf(both, sizeof(both), "%s,%s", own, policy);
    assert_int_equal(code_with_ext(w, NID_certificate_policies, both), E_REJECTED);
}

static void test_wrong_terms_are_refused(void **state)
{
    struct world *w = *state;
    struct cross_request r = good_request(w);

    r.community = OID_ELECTRICITY;
    assert_int_equal(code_of(w, &r), E_REJECTED);
    r.community = 9;
    assert_int_equal(code_of(w, &r), E_ARG);
    r = good_request(w);
    r.nation = "US";
    assert_int_equal(code_of(w, &r), E_REJECTED);
    r.nation = "FR";
    assert_int_equal(code_of(w, &r), E_REJECTED);
    r = good_request(w);
    r.domain = "us.example";
    assert_int_equal(code_of(w, &r), E_REJECTED);
    r.domain = "jp.us.example";
    assert_int_equal(code_of(w, &r), E_REJECTED);
    r.domain = "example";
    assert_int_equal(code_of(w, &r), E_ARG);
    r = good_request(w);
    r.days = 366;
    assert_int_equal(code_of(w, &r), E_ARG);
    r = good_request(w);
    r.strict = r.ike = true;
    assert_int_equal(code_of(w, &r), E_ARG);
    r = good_request(w);
    r.now = NOW - ISSUE_SKEW - 1;
    assert_int_equal(code_of(w, &r), E_REJECTED);
    r.now = NOW + (time_t)5 * 365 * DAY;
    assert_int_equal(code_of(w, &r), E_REJECTED);
}

static void test_weak_key_of_the_ally_is_refused(void **state)
{
    struct world *w = *state;
    struct issue_issuer root = unit_ca_issuer(w->jp, REGISTRY_ROOT, 0);
    struct cross_request r = good_request(w);
    EVP_PKEY *rsa = EVP_RSA_gen(2048);

    r.ally = X509_dup(w->jp_ca);
    assert_int_equal(X509_set_pubkey(r.ally, rsa), 1);
    unit_ca_resign(&r.ally, &root);
    assert_int_equal(code_of(w, &r), E_REJECTED);
    X509_free(r.ally);
    EVP_PKEY_free(rsa);
}

static void test_our_own_cross_key_is_refused(void **state)
{
    struct world *w = *state;
    struct issue_issuer root = unit_ca_issuer(w->jp, REGISTRY_ROOT, 0);
    struct cross_request r = good_request(w);

    r.ally = X509_dup(w->jp_ca);
    assert_int_equal(X509_set_pubkey(r.ally, X509_get0_pubkey(w->us_cross)), 1);
    unit_ca_resign(&r.ally, &root);
    assert_int_equal(code_of(w, &r), E_REJECTED);
    X509_free(r.ally);
}

/* --- bundles ------------------------------------------------------------- */

static size_t count_certs(const struct buf *pem)
{
    BIO *in = BIO_new_mem_buf(pem->p, (int)pem->len);
    X509 *cert;
    size_t n = 0;

    while ((cert = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL) {
        X509_free(cert);
        n++;
    }
    BIO_free(in);
    return n;
}

static struct buf bundle_of(struct world *w, const struct bundle *b, enum err_code code)
{
    struct buf pem = {0};
    struct err e = {0};

    assert_int_equal(bundle_pem(authority_registry(w->us), b, &pem, &e), code == E_OK ? 0 : -1);
    assert_int_equal(e.code, code);
    return pem;
}

static size_t count_bundle(struct world *w, const struct bundle *b)
{
    struct buf pem = bundle_of(w, b, E_OK);
    size_t n = count_certs(&pem);

    buf_free(&pem);
    return n;
}

static void test_bundle_holds_one_community_only(void **state)
{
    struct world *w = *state;
    struct bundle b = {.community = OID_COMMUNICATIONS, .own = true, .now = NOW + DAY};

    /* Root, Cross CA, at least one cross-certificate, own issuing CA. */
    assert_true(count_bundle(w, &b) >= 4);
    b.own = false;
    b.community = OID_ELECTRICITY;
    assert_int_equal(count_bundle(w, &b), 2);
    /* Cross-certificates that are over are left out. */
    b.community = OID_COMMUNICATIONS;
    b.now = NOW + (time_t)3600 * DAY;
    assert_int_equal(count_bundle(w, &b), 2);
    b = (struct bundle){.community = OID_DEFENSE, .own = true, .now = NOW};
    bundle_of(w, &b, E_NOT_FOUND);
    b.ike = true;
    bundle_of(w, &b, E_NOT_FOUND);
    b = (struct bundle){.community = 0, .now = NOW};
    bundle_of(w, &b, E_ARG);
}

static void test_bundle_for_ike_holds_what_is_for_ike(void **state)
{
    struct world *w = *state;
    struct bundle b = {.community = OID_COMMUNICATIONS, .own = true, .now = NOW + DAY};
    struct cross_request r = good_request(w);
    X509 *cert = NULL, *own = NULL, *ike = NULL;
    size_t usual = count_bundle(w, &b);
    struct err e = {0};
    struct buf pem;
    BIO *in;

    r.ike = true;
    X509_free(cross_of(w, &r));
    assert_int_equal(count_bundle(w, &b), usual);
    b.ike = true;
    pem = bundle_of(w, &b, E_OK);
    assert_true(count_certs(&pem) >= 4);
    assert_int_equal(authority_cert(w->us, REGISTRY_ISSUING, OID_COMMUNICATIONS, &own, &e), 0);
    in = BIO_new_mem_buf(pem.p, (int)pem.len);
    for (size_t i = 0; (cert = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL; i++) {
        /* Root and Cross CA serve both; the rest is for IKE, under the same names and keys. */
        assert_int_equal(X509_check_purpose(cert, X509_PURPOSE_SSL_SERVER, 1), i < 2);
        X509_free(ike);
        ike = cert;
    }
    /* Our own is the last one. */
    assert_int_equal(X509_NAME_cmp(X509_get_subject_name(ike), X509_get_subject_name(own)), 0);
    assert_true(bytes_equal(issue_ski(ike), issue_ski(own)));
    assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(ike), X509_get0_pubkey(own)), 1);
    assert_int_equal(X509_verify(ike, X509_get0_pubkey(w->us_root)), 1);
    X509_free(ike);
    BIO_free(in);
    buf_free(&pem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_leaf_is_valid_under_one_policy),
        cmocka_unit_test(test_allys_leaf_is_valid_under_one_policy),
        cmocka_unit_test(test_without_a_cross_certificate_there_is_no_path),
        cmocka_unit_test(test_ally_that_claims_another_community_is_refused),
        cmocka_unit_test(test_foreign_names_of_every_form_are_refused),
        cmocka_unit_test(test_subject_of_another_nation_is_refused),
        cmocka_unit_test(test_a_ca_below_the_allys_is_refused),
        cmocka_unit_test(test_cross_certificate_keeps_name_and_key_identifier),
        cmocka_unit_test(test_strict_is_critical_where_compat_is_not),
        cmocka_unit_test(test_one_for_ike_is_of_use_in_ike_alone),
        cmocka_unit_test(test_what_is_no_issuing_ca_is_refused),
        cmocka_unit_test(test_altered_ca_certificates_are_refused),
        cmocka_unit_test(test_wrong_terms_are_refused),
        cmocka_unit_test(test_weak_key_of_the_ally_is_refused),
        cmocka_unit_test(test_our_own_cross_key_is_refused),
        cmocka_unit_test(test_bundle_holds_one_community_only),
        cmocka_unit_test(test_bundle_for_ike_holds_what_is_for_ike),
        /* Years ahead; the clock of this authority does not come back from there. */
        cmocka_unit_test(test_days_end_with_the_request),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
