/* Goal: of what is handed in as a CRL only that counts which a CA of the federation has signed, in full, for now, and
 * not an older one than is there; by those that count the gate refuses what is revoked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/crl.h"
#include "core/federation_trust.h"
#include "core/gate.h"
#include "tests/support/unit_nations.h"

#include <openssl/ec.h>
#include <openssl/x509v3.h>
#include <string.h>

#define NOW UNIT_CA_NOW
#define DAY ((time_t)86400)

/* --- one CA, and CRLs of any kind by it ------------------------------------------------------------------ */

struct toy {
    EVP_PKEY *key, *other;
    X509 *ca, *deaf; /* deaf: the same, and may not sign CRLs */
    struct federation_crls s;
};

static void name_it(X509_NAME *name)
{
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                (const unsigned char *)"Toy CA", -1, -1, 0),
                     1);
}

static X509_EXTENSION *extension(int nid, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert_non_null(ext);
    return ext;
}

static X509 *ca_for(EVP_PKEY *key, const char *usage)
{
    X509 *x = X509_new();
    X509_EXTENSION *ext = extension(NID_key_usage, usage);

    assert_int_equal(X509_set_version(x, X509_VERSION_3), 1);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    name_it(X509_get_subject_name(x));
    assert_int_equal(X509_set_issuer_name(x, X509_get_subject_name(x)), 1);
    assert_non_null(ASN1_TIME_set(X509_getm_notBefore(x), NOW));
    assert_non_null(ASN1_TIME_set(X509_getm_notAfter(x), NOW + 1000 * DAY));
    assert_int_equal(X509_set_pubkey(x, key), 1);
    assert_int_equal(X509_add_ext(x, ext, -1), 1);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    X509_EXTENSION_free(ext);
    return x;
}

static int toy_up(void **state)
{
    struct toy *t = test_calloc(1, sizeof(*t));

    t->key = EVP_EC_gen("P-256");
    t->other = EVP_EC_gen("P-256");
    t->ca = ca_for(t->key, "critical,keyCertSign,cRLSign");
    t->deaf = ca_for(t->key, "critical,keyCertSign");
    t->s = (struct federation_crls){.need = {{.name = "root", .by = t->ca}}, .n = 1};
    *state = t;
    return 0;
}

static int toy_down(void **state)
{
    struct toy *t = *state;

    federation_crls_free(&t->s);
    X509_free(t->ca);
    X509_free(t->deaf);
    EVP_PKEY_free(t->key);
    EVP_PKEY_free(t->other);
    test_free(t);
    return 0;
}

struct kind {
    long number; /* 0: none */
    time_t from, until;
    long revoked; /* 0: none */
    int nid;      /* one more extension; 0: none */
    const char *value;
    bool critical_entry;
    EVP_PKEY *by;
    const EVP_MD *md;
};

static void add(X509_CRL *crl, int nid, const char *value)
{
    X509_EXTENSION *ext = extension(nid, value);

    assert_int_equal(X509_CRL_add_ext(crl, ext, -1), 1);
    X509_EXTENSION_free(ext);
}

static void add_number(X509_CRL *crl, int nid, long number, bool critical)
{
    ASN1_INTEGER *n = ASN1_INTEGER_new();

    assert_int_equal(ASN1_INTEGER_set(n, number), 1);
    assert_int_equal(X509_CRL_add1_ext_i2d(crl, nid, n, critical, 0), 1);
    ASN1_INTEGER_free(n);
}

static void add_entry(X509_CRL *crl, long serial, bool critical)
{
    X509_REVOKED *r = X509_REVOKED_new();
    ASN1_INTEGER *n = ASN1_INTEGER_new();
    ASN1_TIME *at = ASN1_TIME_set(NULL, NOW);

    ASN1_INTEGER_set(n, serial);
    assert_int_equal(X509_REVOKED_set_serialNumber(r, n), 1);
    assert_int_equal(X509_REVOKED_set_revocationDate(r, at), 1);
    if (critical) {
        X509_EXTENSION *ext = extension(NID_netscape_comment, "critical,x");

        assert_int_equal(X509_REVOKED_add_ext(r, ext, -1), 1);
        X509_EXTENSION_free(ext);
    }
    assert_int_equal(X509_CRL_add0_revoked(crl, r), 1);
    ASN1_INTEGER_free(n);
    ASN1_TIME_free(at);
}

static X509_CRL *make(const struct toy *t, const struct kind *k)
{
    X509_CRL *crl = X509_CRL_new();
    X509_NAME *name = X509_NAME_new();
    ASN1_TIME *from = ASN1_TIME_set(NULL, k->from != 0 ? k->from : NOW),
              *until = ASN1_TIME_set(NULL, k->until != 0 ? k->until : NOW + 8 * DAY);

    name_it(name);
    assert_int_equal(X509_CRL_set_version(crl, X509_CRL_VERSION_2), 1);
    assert_int_equal(X509_CRL_set_issuer_name(crl, name), 1);
    assert_int_equal(X509_CRL_set1_lastUpdate(crl, from), 1);
    assert_int_equal(X509_CRL_set1_nextUpdate(crl, until), 1);
    if (k->number != 0)
        add_number(crl, NID_crl_number, k->number, false);
    if (k->nid == NID_delta_crl)
        add_number(crl, NID_delta_crl, 1, true);
    else if (k->nid != 0)
        add(crl, k->nid, k->value);
    if (k->revoked != 0)
        add_entry(crl, k->revoked, k->critical_entry);
    assert_true(X509_CRL_sign(crl, k->by != NULL ? k->by : t->key,
                              k->md != NULL ? k->md : EVP_sha256()) > 0);
    X509_NAME_free(name);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    return crl;
}

/* `refused` NULL: it is taken. What is there is another one only if it is. */
static void taken(struct toy *t, const struct kind *k, const char *refused)
{
    X509_CRL *crl = make(t, k), *before = t->s.need[0].crl;
    enum federation_crls_taken how;
    struct err e = {0};
    int rc = federation_crls_take(&t->s, crl, NOW + 1, &how, &e);

    if (refused == NULL) {
        unit_good(rc, &e);
        assert_ptr_equal(t->s.need[0].crl, crl);
    } else {
        assert_int_equal(rc, -1);
        assert_int_equal(e.code, E_REJECTED);
        if (strstr(e.msg, refused) == NULL)
            fail_msg("'%s'", e.msg);
        assert_ptr_equal(t->s.need[0].crl, before);
    }
    X509_CRL_free(crl);
}

static void test_what_is_no_full_crl_by_that_key_is_refused(void **state)
{
    struct toy *t = *state;

    taken(t, &(struct kind){.number = 1, .by = t->other}, "not signed by");
    taken(t, &(struct kind){.number = 1, .md = EVP_sha1()}, "not signed by");
    taken(t, &(struct kind){.number = 2, .nid = NID_delta_crl}, "delta");
    taken(t,
          &(struct kind){.number = 1,
                         .nid = NID_issuing_distribution_point,
                         .value = "critical,onlyuser:TRUE"},
          "some certificates");
    taken(t,
          &(struct kind){
              .number = 1, .nid = NID_issuing_distribution_point, .value = "critical,onlyCA:TRUE"},
          "some certificates");
    taken(t, &(struct kind){.number = 1, .nid = NID_netscape_comment, .value = "critical,x"},
          "critical extension");
    taken(t, &(struct kind){.number = 1, .revoked = 7, .critical_entry = true},
          "critical extension");
    taken(t, &(struct kind){.number = 0}, "no number");
    taken(t, &(struct kind){.number = -3}, "no number");
    taken(t, &(struct kind){.number = 1, .until = NOW}, "not of now");
    taken(t, &(struct kind){.number = 1, .from = NOW + 2}, "not of now");
    t->s.need[0].by = t->deaf;
    taken(t, &(struct kind){.number = 1}, "not signed by");
    t->s.need[0].by = t->ca;
    taken(t, &(struct kind){.number = 1, .nid = NID_netscape_comment, .value = "x"}, NULL);
}

static void test_an_older_one_does_not_come_back(void **state)
{
    struct toy *t = *state;
    X509_CRL *again;
    enum federation_crls_taken how;
    struct err e = {0};

    taken(t, &(struct kind){.number = 300}, NULL);
    again = t->s.need[0].crl;
    unit_good(federation_crls_take(&t->s, again, NOW + 1, &how, &e), &e);
    assert_int_equal(how, FEDERATION_CRLS_SAME);
    taken(t, &(struct kind){.number = 299}, "older");
    /* Two of one CA at once: the order does not count. */
    taken(t, &(struct kind){.number = 302, .revoked = 7}, NULL);
    taken(t, &(struct kind){.number = 301}, "older");
    taken(t, &(struct kind){.number = 302}, "same number");
}

static void test_what_was_kept_comes_back_whatever_its_age(void **state)
{
    struct toy *t = *state;
    X509_CRL *old = make(t, &(struct kind){.number = 5, .until = NOW + 4}),
             *foreign = make(t, &(struct kind){.number = 6, .by = t->other});
    struct buf pem = {0};
    struct err e = {0};

    assert_int_equal(federation_crls_pem(&t->s, OID_DEFENSE, &pem, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    assert_int_equal(pem.len, 0);
    assert_ptr_equal(federation_crls_lacking(&t->s, OID_DEFENSE, NOW), &t->s.need[0]);
    assert_int_equal(federation_crls_restore(&t->s.need[0], foreign, NULL), -1);
    assert_null(t->s.need[0].crl);
    unit_good(federation_crls_restore(&t->s.need[0], old, &e), &e);
    assert_null(federation_crls_lacking(&t->s, OID_DEFENSE, NOW + 4));
    assert_ptr_equal(federation_crls_lacking(&t->s, OID_DEFENSE, NOW + 5), &t->s.need[0]);
    assert_false(federation_crls_due(&t->s.need[0], NOW + 3));
    assert_true(federation_crls_due(&t->s.need[0], NOW + 4));
    taken(t, &(struct kind){.number = 4}, "older");
    X509_CRL_free(old);
    X509_CRL_free(foreign);
}

/* --- two authorities ------------------------------------------------------------------------------------------ */

struct world {
    struct unit_nations n;
    struct federation_crls s; /* of US */
};

static int world_up(void **state)
{
    struct world *w = test_calloc(1, sizeof(*w));

    unit_nations_up(&w->n, NULL);
    unit_nations_agree(&w->n, NULL, 30 * DAY);
    federation_crls_of(&w->n.f, (unsigned)federation_side_of(&w->n.f, "US"), &w->s);
    *state = w;
    return 0;
}

static int world_down(void **state)
{
    struct world *w = *state;

    federation_crls_free(&w->s);
    unit_nations_down(&w->n);
    test_free(w);
    return 0;
}

/* Hands in the next CRL of that CA. */
static int hand_in(struct world *w, int who, enum registry_role role, time_t now,
                   enum federation_crls_taken *how, struct err *e)
{
    struct crl_request r = {.issuer = role, .community = OID_COMMUNICATIONS, .now = now};
    struct crl_made made;
    struct buf der = {0};
    const uint8_t *p;
    X509_CRL *crl;
    int rc;

    if (role != REGISTRY_ISSUING)
        r.community = 0;
    unit_good(crl_make(w->n.a[who], &r, &der, &made, e), e);
    p = der.p;
    crl = d2i_X509_CRL(NULL, &p, (long)der.len);
    assert_non_null(crl);
    rc = federation_crls_take(&w->s, crl, now, how, e);
    X509_CRL_free(crl);
    buf_free(&der);
    return rc;
}

static void gate(struct world *w, X509 *leaf, time_t now, enum chain_code want)
{
    struct gate_terms t = {.f = &w->n.f,
                           .side = (unsigned)federation_side_of(&w->n.f, "US"),
                           .community = OID_COMMUNICATIONS,
                           .now = now,
                           .usage = "1.3.6.1.5.5.7.3.2",
                           .clearance = -1,
                           .crls = sk_X509_CRL_new_null()};
    struct chain_verdict v;
    struct err e = {0};

    for (size_t i = 0; i < w->s.n; i++) {
        if (w->s.need[i].crl != NULL)
            sk_X509_CRL_push(t.crls, w->s.need[i].crl);
    }
    unit_good(gate_check(leaf, NULL, &t, &v, &e), &e);
    if (v.code != want)
        fail_msg("%s: %s", chain_code_name(v.code), v.reason);
    chain_free(&v);
    sk_X509_CRL_free(t.crls);
}

static size_t anchors(struct world *w)
{
    struct federation_trust t, a;
    struct err e = {0};

    unit_good(federation_trust(&w->n.f, (unsigned)federation_side_of(&w->n.f, "US"),
                               OID_COMMUNICATIONS, false, &t, &e),
              &e);
    federation_trust_anchors(&t, &w->s, &a);
    assert_true(a.n != 0 && strcmp(a.name[a.n - 1], "issuing") == 0);
    return a.n;
}

static void test_each_ca_of_the_paths_is_needed_and_the_cut_is_known(void **state)
{
    static const struct {
        int who;
        enum registry_role role;
    } links[] = {
        {0, REGISTRY_ROOT}, {0, REGISTRY_CROSS}, {0, REGISTRY_ISSUING}, {1, REGISTRY_ISSUING}};
    struct world *w = *state;
    X509 *leaf = unit_ca_leaf(w->n.a[1], OID_COMMUNICATIONS, 3, "gw.jp.example", NULL, NOW);
    enum federation_crls_taken how;
    struct registry_cert row;
    char serial[ISSUE_SERIAL_TEXT];
    struct buf pem = {0};
    struct err e = {0};

    assert_int_equal(w->s.n, 4);
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        assert_non_null(federation_crls_lacking(&w->s, OID_COMMUNICATIONS, NOW + 1));
        assert_int_equal(federation_crls_pem(&w->s, OID_COMMUNICATIONS, &pem, NULL), -1);
        gate(w, leaf, NOW + 1, CHAIN_NO_CRL);
        unit_good(hand_in(w, links[i].who, links[i].role, NOW + 1, &how, &e), &e);
        assert_int_equal(how, FEDERATION_CRLS_NEW);
    }
    assert_null(federation_crls_lacking(&w->s, OID_COMMUNICATIONS, NOW + 1));
    unit_good(federation_crls_pem(&w->s, OID_COMMUNICATIONS, &pem, &e), &e);
    gate(w, leaf, NOW + 1, CHAIN_OK);
    assert_int_equal(anchors(w), 2);
    /* The Cross CA's is good for a day. */
    gate(w, leaf, NOW + 2 * DAY, CHAIN_NO_CRL);
    assert_string_equal(federation_crls_lacking(&w->s, OID_COMMUNICATIONS, NOW + 2 * DAY)->name,
                        "cross-ca");

    unit_good(hand_in(w, 1, REGISTRY_ROOT, NOW + 1, &how, &e), &e);
    assert_int_equal(how, FEDERATION_CRLS_SPARE);
    for (int who = 0; who < 2; who++) {
        how = FEDERATION_CRLS_NEW;
        unit_good(hand_in(w, who, REGISTRY_ATTESTATION, NOW + 1, &how, &e), &e);
        assert_int_equal(how, FEDERATION_CRLS_SPARE);
    }
    /* Of another organisation of that country it is nobody's. */
    w->s.root[0] = w->s.root[1];
    assert_int_equal(hand_in(w, 0, REGISTRY_ATTESTATION, NOW + 1, &how, &e), -1);
    assert_non_null(strstr(e.msg, "no CA of this federation"));
    e = (struct err){0};

    unit_good(
        issue_serial(
            w->n.f.side[federation_side_of(&w->n.f, "US")].community[OID_COMMUNICATIONS].cross,
            serial, &e),
        &e);
    assert_int_equal(
        registry_cert(authority_registry(w->n.a[0]), REGISTRY_CROSS, 0, serial, &row, &e), 1);
    unit_good(registry_revoke(authority_registry(w->n.a[0]), row.id, REGISTRY_PRIVILEGE_WITHDRAWN,
                              NOW + 2, 0, &e),
              &e);
    unit_good(hand_in(w, 0, REGISTRY_CROSS, NOW + 3, &how, &e), &e);
    assert_int_equal(how, FEDERATION_CRLS_NEW);
    gate(w, leaf, NOW + 3, CHAIN_REVOKED);
    /* An anchor is looked up in no CRL. */
    assert_int_equal(anchors(w), 1);
    buf_free(&pem);
    X509_free(leaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_no_full_crl_by_that_key_is_refused, toy_up,
                                        toy_down),
        cmocka_unit_test_setup_teardown(test_an_older_one_does_not_come_back, toy_up, toy_down),
        cmocka_unit_test_setup_teardown(test_what_was_kept_comes_back_whatever_its_age, toy_up,
                                        toy_down),
        cmocka_unit_test_setup_teardown(test_each_ca_of_the_paths_is_needed_and_the_cut_is_known,
                                        world_up, world_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
