/* Goal: what an authority says of its certificates' status, OpenSSL reads and enforces as meant:
 * full and delta CRLs, holds that come and go, lists as long as a nation's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/crl.h"
#include "ca/urls.h"
#include "core/chain.h"
#include "core/oid.h"
#include "tests/support/unit_ca.h"

#include <openssl/rand.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define NOW UNIT_CA_NOW
#define DAY ((time_t)86400)

static int set_up(void **state)
{
    unit_ca_urls = true;
    return unit_ca_world_up(state);
}

/* --- making ------------------------------------------------------------------------------- */

/* A leaf, recorded; its number in the registry. */
static X509 *leaf(struct unit_ca_world *w, const char *dns, int64_t *id)
{
    X509 *cert = unit_ca_leaf(w->us, OID_COMMUNICATIONS, 3, dns, NULL, NOW);
    struct authority_entry x = {
        .issuer = REGISTRY_ISSUING, .community = OID_COMMUNICATIONS, .cert = cert, .dns = dns};
    struct registry_cert row;
    char serial[ISSUE_SERIAL_TEXT];
    struct err e = {0};

    assert_int_equal(authority_record(authority_registry(w->us), &x, &e), 0);
    assert_int_equal(issue_serial(cert, serial, &e), 0);
    assert_int_equal(registry_cert(authority_registry(w->us), REGISTRY_ISSUING, OID_COMMUNICATIONS,
                                   serial, &row, &e),
                     1);
    assert_int_equal(row.status.state, REGISTRY_GOOD);
    *id = row.id;
    return cert;
}

static X509_CRL *crl_of(struct unit_ca_world *w, const struct crl_request *r, struct crl_made *made)
{
    struct crl_made ignored;
    struct buf der = {0};
    struct err e = {0};
    const uint8_t *p;
    X509_CRL *crl;

    if (crl_make(w->us, r, &der, made != NULL ? made : &ignored, &e) != 0)
        fail_msg("%s", e.msg);
    p = der.p;
    crl = d2i_X509_CRL(NULL, &p, (long)der.len);
    assert_non_null(crl);
    assert_ptr_equal(p, der.p + der.len);
    buf_free(&der);
    return crl;
}

static X509_CRL *crl_at(struct unit_ca_world *w, bool delta, time_t now, struct crl_made *made)
{
    return crl_of(
        w, &(struct crl_request){REGISTRY_ISSUING, OID_COMMUNICATIONS, .delta = delta, .now = now},
        made);
}

static enum err_code crl_code(struct unit_ca_world *w, bool delta, time_t now)
{
    struct crl_request r = {REGISTRY_ISSUING, OID_COMMUNICATIONS, .delta = delta, .now = now};
    struct crl_made made;
    struct buf der = {0};
    struct err e = {0};
    int rc = crl_make(w->us, &r, &der, &made, &e);

    assert_int_equal(rc == 0, e.code == E_OK);
    buf_free(&der);
    return e.code;
}

/* OpenSSL's verdict on a leaf with these CRLs of its issuer, deltas in use. */
static int verdict(struct unit_ca_world *w, X509 *cert, X509_CRL *full, X509_CRL *delta, time_t at)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) *between = sk_X509_new_null();
    STACK_OF(X509_CRL) *crls = sk_X509_CRL_new_null();
    X509 *root = NULL, *issuing = NULL;
    struct err e = {0};
    int result;

    assert_int_equal(authority_cert(w->us, REGISTRY_ROOT, 0, &root, &e), 0);
    assert_int_equal(authority_cert(w->us, REGISTRY_ISSUING, OID_COMMUNICATIONS, &issuing, &e), 0);
    assert_int_equal(X509_STORE_add_cert(store, root), 1);
    assert_true(sk_X509_push(between, issuing) > 0);
    assert_true(full == NULL || sk_X509_CRL_push(crls, full) > 0);
    assert_true(delta == NULL || sk_X509_CRL_push(crls, delta) > 0);
    assert_int_equal(X509_STORE_CTX_init(ctx, store, cert, between), 1);
    X509_STORE_CTX_set0_crls(ctx, crls);
    X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), at);
    X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx),
                                X509_V_FLAG_CRL_CHECK | X509_V_FLAG_X509_STRICT |
                                    X509_V_FLAG_EXTENDED_CRL_SUPPORT | X509_V_FLAG_USE_DELTAS);
    result = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    sk_X509_free(between);
    sk_X509_CRL_free(crls);
    return result;
}

/* That of core/chain, with the CRL of the issuing CA and the root's. */
static enum chain_code own_verdict(struct unit_ca_world *w, X509 *cert, X509_CRL *crl,
                                   X509_CRL *of_root, time_t at)
{
    struct chain_anchor anchor = {0};
    struct chain_terms t = {.anchor = &anchor, .n_anchor = 1, .now = at};
    struct chain_verdict v = {0};
    X509 *issuing = NULL;
    enum chain_code code;
    struct err e = {0};

    assert_int_equal(authority_cert(w->us, REGISTRY_ROOT, 0, &anchor.cert, &e), 0);
    assert_int_equal(authority_cert(w->us, REGISTRY_ISSUING, OID_COMMUNICATIONS, &issuing, &e), 0);
    t.untrusted = sk_X509_new_null();
    t.crls = sk_X509_CRL_new_null();
    assert_true(sk_X509_push(t.untrusted, issuing) > 0);
    assert_true(sk_X509_CRL_push(t.crls, of_root) > 0);
    assert_true(sk_X509_CRL_push(t.crls, crl) > 0);
    assert_int_equal(chain_check(cert, &t, &v, &e), 0);
    code = v.code;
    chain_free(&v);
    sk_X509_free(t.untrusted);
    sk_X509_CRL_free(t.crls);
    return code;
}

static int64_t number_of(X509_CRL *crl, int nid)
{
    int critical = 0;
    ASN1_INTEGER *n = X509_CRL_get_ext_d2i(crl, nid, &critical, NULL);
    int64_t v = -1;

    if (n != NULL)
        assert_int_equal(ASN1_INTEGER_get_int64(&v, n), 1);
    /* RFC 5280, 5.2.3 and 5.2.4. */
    assert_int_equal(critical, n == NULL ? -1 : nid == NID_delta_crl);
    ASN1_INTEGER_free(n);
    return v;
}

/* The entry's reason code; -1 without one. Fails when there is no entry. */
static long reason_in(X509_CRL *crl, X509 *cert)
{
    X509_REVOKED *entry = NULL;
    ASN1_ENUMERATED *v;
    long reason;
    STACK_OF(X509_REVOKED) *all = X509_CRL_get_REVOKED(crl);

    for (int i = 0; i < sk_X509_REVOKED_num(all); i++) {
        X509_REVOKED *x = sk_X509_REVOKED_value(all, i);

        if (ASN1_INTEGER_cmp(X509_REVOKED_get0_serialNumber(x), X509_get0_serialNumber(cert)) == 0)
            entry = x;
    }
    assert_non_null(entry);
    v = X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, NULL, NULL);
    reason = v != NULL ? ASN1_ENUMERATED_get(v) : -1;
    ASN1_ENUMERATED_free(v);
    return reason;
}

static int entries_in(X509_CRL *crl)
{
    int n = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl));

    return n < 0 ? 0 : n;
}

/* --- the story of a certificate ------------------------------------------------------------ */

static void test_revoked_is_refused_and_good_is_not(void **state)
{
    struct unit_ca_world *w = *state;
    struct registry *r = authority_registry(w->us);
    int64_t good, bad, bare;
    X509 *g = leaf(w, "good.us.example", &good), *b = leaf(w, "bad.us.example", &bad);
    X509 *u = leaf(w, "bare.us.example", &bare);
    struct crl_made made;
    struct err e = {0};
    X509_CRL *empty = crl_at(w, false, NOW, &made), *full;
    ASN1_GENERALIZEDTIME *when;
    AUTHORITY_KEYID *aki;

    assert_int_equal(made.entries, 0);
    assert_int_equal(made.row.number, 1);
    assert_null(X509_CRL_get_REVOKED(empty));
    assert_int_equal(verdict(w, b, empty, NULL, NOW + 60), X509_V_OK);
    assert_int_equal(registry_revoke(r, bad, REGISTRY_KEY_COMPROMISE, NOW + 60, NOW - 3600, &e), 0);
    assert_int_equal(registry_revoke(r, bare, REGISTRY_UNSPECIFIED, NOW + 60, 0, &e), 0);
    full = crl_at(w, false, NOW + 61, &made);
    assert_int_equal(made.entries, 2);
    assert_int_equal(X509_CRL_get_version(full), 1);
    assert_int_equal(number_of(full, NID_crl_number), 2);
    assert_int_equal(number_of(full, NID_delta_crl), -1);
    aki = X509_CRL_get_ext_d2i(full, NID_authority_key_identifier, NULL, NULL);
    assert_true(aki != NULL && aki->keyid != NULL && aki->issuer == NULL && aki->serial == NULL);
    AUTHORITY_KEYID_free(aki);
    assert_int_equal(reason_in(full, b), REGISTRY_KEY_COMPROMISE);
    assert_int_equal(reason_in(full, u), -1);
    when = X509_REVOKED_get_ext_d2i(sk_X509_REVOKED_value(X509_CRL_get_REVOKED(full), 0),
                                    NID_invalidity_date, NULL, NULL);
    assert_non_null(when);
    assert_int_equal(ASN1_TIME_cmp_time_t(when, NOW - 3600), 0);
    ASN1_GENERALIZEDTIME_free(when);
    assert_int_equal(verdict(w, b, full, NULL, NOW + 120), X509_V_ERR_CERT_REVOKED);
    assert_int_equal(verdict(w, u, full, NULL, NOW + 120), X509_V_ERR_CERT_REVOKED);
    assert_int_equal(verdict(w, g, full, NULL, NOW + 120), X509_V_OK);
    /* Without a CRL, or with an old one, nothing is known. */
    assert_int_equal(verdict(w, g, NULL, NULL, NOW + 120), X509_V_ERR_UNABLE_TO_GET_CRL);
    assert_int_equal(verdict(w, g, full, NULL, NOW + 8 * DAY), X509_V_ERR_CRL_HAS_EXPIRED);
    X509_CRL_free(empty);
    X509_CRL_free(full);
    X509_free(g);
    X509_free(b);
    X509_free(u);
}

static void test_a_hold_comes_and_goes_by_deltas(void **state)
{
    struct unit_ca_world *w = *state;
    struct registry *r = authority_registry(w->us);
    struct crl_made made;
    struct err e = {0};
    int64_t id;
    X509 *c = leaf(w, "hold.us.example", &id);
    X509_CRL *base = NULL, *d1, *d2, *base2, *d3;

    assert_int_equal(crl_code(w, true, NOW), E_REJECTED); /* a delta of nothing */
    base = crl_at(w, false, NOW, NULL);
    assert_int_equal(registry_suspend(r, id, NOW + 10, &e), 0);
    d1 = crl_at(w, true, NOW + 20, &made);
    assert_int_equal(made.entries, 1);
    assert_int_equal(made.row.base, 1);
    assert_int_equal(number_of(d1, NID_delta_crl), 1);
    assert_int_equal(number_of(d1, NID_crl_number), 2);
    assert_int_equal(reason_in(d1, c), REGISTRY_HOLD);
    assert_int_equal(verdict(w, c, base, NULL, NOW + 30), X509_V_OK);
    assert_int_equal(verdict(w, c, base, d1, NOW + 30), X509_V_ERR_CERT_REVOKED);
    base2 = crl_at(w, false, NOW + 40, &made);
    assert_int_equal(made.entries, 1);
    assert_int_equal(registry_resume(r, id, NOW + 50, &e), 0);
    d2 = crl_at(w, true, NOW + 60, &made);
    assert_int_equal(reason_in(d2, c), REGISTRY_REMOVED);
    assert_int_equal(verdict(w, c, base2, NULL, NOW + 70), X509_V_ERR_CERT_REVOKED);
    assert_int_equal(verdict(w, c, base2, d2, NOW + 70), X509_V_OK);
    /* In a full CRL nothing is left of it, and the next delta is empty. */
    X509_CRL_free(base);
    base = crl_at(w, false, NOW + 80, &made);
    assert_int_equal(made.entries, 0);
    d3 = crl_at(w, true, NOW + 90, &made);
    assert_int_equal(made.entries, 0);
    assert_int_equal(verdict(w, c, base, d3, NOW + 100), X509_V_OK);
    /* A clock that went back makes none; nor does a base that has expired. */
    assert_int_equal(crl_code(w, false, NOW + 89 - ISSUE_SKEW), E_REJECTED);
    assert_int_equal(crl_code(w, true, NOW + 8 * DAY), E_REJECTED);
    X509_CRL_free(base);
    X509_CRL_free(base2);
    X509_CRL_free(d1);
    X509_CRL_free(d2);
    X509_CRL_free(d3);
    X509_free(c);
}

static void test_only_changes_that_make_sense(void **state)
{
    struct unit_ca_world *w = *state;
    struct registry *r = authority_registry(w->us);
    struct registry_cert row;
    struct err e = {0};
    int64_t id;
    X509 *c = leaf(w, "states.us.example", &id);
    char serial[ISSUE_SERIAL_TEXT];

    assert_int_equal(issue_serial(c, serial, &e), 0);
    assert_int_equal(registry_resume(r, id, NOW, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    err_clear(&e);
    assert_int_equal(registry_revoke(r, id, REGISTRY_HOLD, NOW, 0, &e), -1);
    assert_int_equal(e.code, E_ARG);
    err_clear(&e);
    assert_int_equal(registry_revoke(r, id, 7, NOW, 0, &e), -1);
    err_clear(&e);
    assert_int_equal(registry_suspend(r, id, NOW + 5, &e), 0);
    assert_int_equal(registry_suspend(r, id, NOW + 6, &e), -1);
    assert_non_null(strstr(e.msg, "is suspended"));
    err_clear(&e);
    assert_int_equal(registry_revoke(r, id, REGISTRY_SUPERSEDED, NOW + 9, 0, &e), 0);
    assert_int_equal(registry_cert(r, REGISTRY_ISSUING, OID_COMMUNICATIONS, serial, &row, &e), 1);
    assert_int_equal(row.status.state, REGISTRY_REVOKED);
    assert_int_equal(row.status.since, NOW + 5); /* the hold's time stays */
    assert_int_equal(row.status.reason, REGISTRY_SUPERSEDED);
    assert_int_equal(registry_revoke(r, id, REGISTRY_SUPERSEDED, NOW + 9, 0, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    err_clear(&e);
    assert_int_equal(registry_resume(r, id, NOW + 9, &e), -1);
    err_clear(&e);
    assert_int_equal(registry_suspend(r, id, NOW + 9, &e), -1);
    err_clear(&e);
    assert_int_equal(registry_revoke(r, 99999, REGISTRY_SUPERSEDED, NOW, 0, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    err_clear(&e);
    /* The same serial of another CA is another certificate. */
    assert_int_equal(registry_cert(r, REGISTRY_ISSUING, OID_ELECTRICITY, serial, &row, &e), 0);
    assert_int_equal(registry_cert(r, REGISTRY_ROOT, 0, serial, &row, &e), 0);
    X509_free(c);
}

static void test_expired_ones_leave_after_one_more_crl(void **state)
{
    struct unit_ca_world *w = *state;
    struct registry *r = authority_registry(w->us);
    struct crl_made made;
    struct err e = {0};
    int64_t id;

    X509_free(leaf(w, "old.us.example", &id));
    assert_int_equal(registry_revoke(r, id, REGISTRY_CESSATION, NOW, 0, &e), 0);
    X509_CRL_free(crl_at(w, false, NOW, &made));
    assert_int_equal(made.entries, 1);
    X509_CRL_free(crl_at(w, false, NOW + 91 * DAY, &made));
    assert_int_equal(made.entries, 1); /* RFC 5280, 3.3: one beyond its end */
    X509_CRL_free(crl_at(w, false, NOW + 92 * DAY, &made));
    assert_int_equal(made.entries, 0);
}

static void test_each_ca_has_its_own(void **state)
{
    struct unit_ca_world *w = *state;
    struct err e = {0};
    int64_t id;
    struct crl_request other = {REGISTRY_ISSUING, OID_ELECTRICITY, .delta = false, .now = NOW + 1};
    struct crl_request root = {REGISTRY_ROOT, 0, .delta = false, .now = NOW + 1};
    struct crl_made made;
    struct buf der = {0};

    X509_free(leaf(w, "one.us.example", &id));
    assert_int_equal(registry_revoke(authority_registry(w->us), id, REGISTRY_CESSATION, NOW, 0, &e),
                     0);
    assert_int_equal(crl_make(w->us, &other, &der, &made, &e), 0);
    assert_int_equal(made.entries, 0);
    assert_int_equal(made.row.number, 1);
    assert_int_equal(crl_make(w->us, &root, &der, &made, &e), 0);
    assert_int_equal(made.entries, 0);
    assert_int_equal(made.row.next_update - made.row.this_update, 30 * DAY + ISSUE_SKEW);
    other.community = OID_FINANCE; /* there is none */
    assert_int_equal(crl_make(w->us, &other, &der, &made, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    buf_free(&der);
}

/* --- where it is ---------------------------------------------------------------------------- */

static void point_is(const CRL_DIST_POINTS *points, const char *url)
{
    const GENERAL_NAME *name;

    assert_non_null(points);
    assert_int_equal(sk_DIST_POINT_num(points), 1);
    name = sk_GENERAL_NAME_value(sk_DIST_POINT_value(points, 0)->distpoint->name.fullname, 0);
    assert_int_equal(name->type, GEN_URI);
    assert_string_equal((const char *)ASN1_STRING_get0_data(name->d.uniformResourceIdentifier),
                        url);
}

static void test_certificates_say_where(void **state)
{
    struct unit_ca_world *w = *state;
    X509 *root = NULL, *issuing = NULL, *c;
    CRL_DIST_POINTS *p;
    AUTHORITY_INFO_ACCESS *access;
    X509_CRL *crl = crl_at(w, false, NOW, NULL);
    struct err e = {0};
    int64_t id;

    c = leaf(w, "where.us.example", &id);
    p = X509_get_ext_d2i(c, NID_crl_distribution_points, NULL, NULL);
    point_is(p, "http://crl.test/issuing-communications.crl");
    CRL_DIST_POINTS_free(p);
    access = X509_get_ext_d2i(c, NID_info_access, NULL, NULL);
    assert_int_equal(sk_ACCESS_DESCRIPTION_num(access), 1);
    assert_int_equal(OBJ_obj2nid(sk_ACCESS_DESCRIPTION_value(access, 0)->method), NID_ad_OCSP);
    AUTHORITY_INFO_ACCESS_free(access);
    p = X509_CRL_get_ext_d2i(crl, NID_freshest_crl, NULL, NULL);
    point_is(p, "http://crl.test/issuing-communications-delta.crl");
    CRL_DIST_POINTS_free(p);
    assert_int_equal(authority_cert(w->us, REGISTRY_ISSUING, OID_COMMUNICATIONS, &issuing, &e), 0);
    p = X509_get_ext_d2i(issuing, NID_crl_distribution_points, NULL, NULL);
    point_is(p, "http://crl.test/root.crl");
    CRL_DIST_POINTS_free(p);
    assert_int_equal(authority_cert(w->us, REGISTRY_ROOT, 0, &root, &e), 0);
    assert_true(X509_get_ext_by_NID(root, NID_crl_distribution_points, -1) < 0);
    assert_true(X509_get_ext_by_NID(root, NID_info_access, -1) < 0);
    X509_CRL_free(crl);
    X509_free(c);
}

static void test_without_urls_there_are_no_deltas(void **state)
{
    struct unit_ca_world *w;
    struct err e = {0};
    int64_t id;
    X509 *c;

    (void)state;
    unit_ca_urls = false;
    assert_int_equal(unit_ca_world_up((void **)&w), 0);
    c = leaf(w, "bare.us.example", &id);
    assert_true(X509_get_ext_by_NID(c, NID_crl_distribution_points, -1) < 0);
    assert_true(X509_get_ext_by_NID(c, NID_info_access, -1) < 0);
    assert_int_equal(crl_code(w, false, NOW), E_OK);
    assert_int_equal(crl_code(w, true, NOW), E_REJECTED);
    X509_free(c);
    unit_ca_world_down((void **)&w);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(urls_check("it", (const char *[]){"http://a", "http://a.b/c:1"}[i], &e),
                         0);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(urls_check("it",
                                    (const char *[]){"https://a", "http://", "http:///x",
                                                     "http://a b", "ldap://a", "http://a\n"}[i],
                                    NULL),
                         -1);
}

/* --- as long as a nation's ------------------------------------------------------------------ */

static int64_t microseconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void add_many(struct registry *r, int n)
{
    struct registry_issued i = {.issuer = REGISTRY_ISSUING,
                                .community = OID_COMMUNICATIONS,
                                .subject = "gw.us.example",
                                .der = bytes_of("cert", 4),
                                .issued_at = NOW,
                                .expires_at = NOW + 90 * DAY};
    struct registry_cert row;
    struct err e = {0};
    uint8_t raw[16];

    assert_int_equal(registry_begin(r, &e), 0);
    for (int k = 0; k < n; k++) {
        assert_int_equal(issue_draw_serial(raw, &e), 0);
        hex_encode(i.serial, raw, sizeof(raw));
        assert_int_equal(registry_add_issued(r, &i, &e), 0);
        assert_int_equal(registry_cert(r, REGISTRY_ISSUING, OID_COMMUNICATIONS, i.serial, &row, &e),
                         1);
        assert_int_equal(registry_revoke(r, row.id, REGISTRY_KEY_COMPROMISE, NOW, 0, &e), 0);
    }
    assert_int_equal(registry_commit(r, &e), 0);
}

#ifdef __SANITIZE_ADDRESS__
enum { N = 5000, KIB = 1 << 20 }; /* a sanitizer's time and memory say nothing */
#else
enum { N = 100000, KIB = 64 * 1024 };
#endif

static void test_a_hundred_thousand_entries(void **state)
{
    struct unit_ca_world *w = *state;
    struct crl_request r = {REGISTRY_ISSUING, OID_COMMUNICATIONS, .delta = false, .now = NOW + 1};
    struct crl_request root = {REGISTRY_ROOT, 0, .delta = false, .now = NOW + 1};
    X509 *issuing = NULL, *c, *good;
    struct crl_made made;
    struct buf der = {0};
    struct rusage before, after;
    struct err e = {0};
    X509_CRL *crl, *of_root;
    int64_t id, t;
    const uint8_t *p;

    add_many(authority_registry(w->us), N);
    good = leaf(w, "good.us.example", &id);
    c = leaf(w, "among.us.example", &id);
    assert_int_equal(registry_revoke(authority_registry(w->us), id, REGISTRY_CESSATION, NOW, 0, &e),
                     0);
    getrusage(RUSAGE_SELF, &before);
    t = microseconds();
    assert_int_equal(crl_make(w->us, &r, &der, &made, &e), 0);
    t = microseconds() - t;
    getrusage(RUSAGE_SELF, &after);
    print_message("%d entries: %zu bytes in %lld ms, %ld KiB more memory\n", N, der.len,
                  (long long)(t / 1000), after.ru_maxrss - before.ru_maxrss);
    assert_int_equal(made.entries, N + 1);
    assert_true(t < 10 * 1000000);
    assert_true(after.ru_maxrss - before.ru_maxrss < KIB);
    t = microseconds();
    p = der.p;
    crl = d2i_X509_CRL(NULL, &p, (long)der.len);
    assert_non_null(crl);
    assert_int_equal(entries_in(crl), N + 1);
    assert_int_equal(authority_cert(w->us, REGISTRY_ISSUING, OID_COMMUNICATIONS, &issuing, &e), 0);
    assert_int_equal(X509_CRL_verify(crl, X509_get0_pubkey(issuing)), 1);
    assert_int_equal(verdict(w, c, crl, NULL, NOW + 2), X509_V_ERR_CERT_REVOKED);
    assert_int_equal(verdict(w, good, crl, NULL, NOW + 2), X509_V_OK);
    t = microseconds() - t;
    print_message("OpenSSL reads and enforces it in %lld ms\n", (long long)(t / 1000));
    assert_true(t < 10 * 1000000);
    of_root = crl_of(w, &root, NULL);
    t = microseconds();
    assert_int_equal(own_verdict(w, c, crl, of_root, NOW + 2), CHAIN_REVOKED);
    assert_int_equal(own_verdict(w, good, crl, of_root, NOW + 2), CHAIN_OK);
    t = microseconds() - t;
    print_message("core/chain judges two by it in %lld ms\n", (long long)(t / 1000));
    assert_true(t < 10 * 1000000);
    X509_CRL_free(of_root);
    X509_CRL_free(crl);
    X509_free(good);
    X509_free(c);
    buf_free(&der);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, set_up, unit_ca_world_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_revoked_is_refused_and_good_is_not),
        EACH(test_a_hold_comes_and_goes_by_deltas),
        EACH(test_only_changes_that_make_sense),
        EACH(test_expired_ones_leave_after_one_more_crl),
        EACH(test_each_ca_has_its_own),
        EACH(test_certificates_say_where),
        cmocka_unit_test(test_without_urls_there_are_no_deltas),
        EACH(test_a_hundred_thousand_entries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
