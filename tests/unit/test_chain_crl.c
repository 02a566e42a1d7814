/* Goal: with CRLs given, a certificate counts only when a current, complete list by its own issuer says
 * that it is not revoked (RFC 5280, 5 and 6.3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/unit_chain.h"

#include <string.h>

/* One CRL: by whom, when, what it lists and how it is made odd. */
struct list {
    unsigned by;               /* key */
    long serial;               /* revoked; 0: none */
    int from, to;              /* seconds from now; to 0: no nextUpdate */
    bool last;                 /* its nextUpdate is now */
    const char *ext, *ext_hex; /* extension OID and value; critical */
    const char *entry;         /* critical extension of the entry */
    bool sha1, other_name, spoilt;
};

#define GOOD .from = -60, .to = 60
#define IDP "2.5.29.28"

static const struct row {
    const char *name;
    struct list list[3]; /* ends with one that is all zero */
    enum chain_code want;
    const char *ca; /* the CA's fields; NULL: "ca" */
} rows[] = {
    {"both are fine", {{.by = 0, GOOD}, {.by = 1, GOOD}}, CHAIN_OK, NULL},
    {"none for the leaf", {{.by = 0, GOOD}}, CHAIN_NO_CRL, NULL},
    {"none for the CA", {{.by = 1, GOOD}}, CHAIN_NO_CRL, NULL},
    {"the leaf is revoked", {{.by = 0, GOOD}, {.by = 1, .serial = 102, GOOD}}, CHAIN_REVOKED, NULL},
    {"the CA is revoked", {{.by = 0, .serial = 101, GOOD}, {.by = 1, GOOD}}, CHAIN_REVOKED, NULL},
    {"another is revoked",
     {{.by = 0, .serial = 102, GOOD}, {.by = 1, .serial = 101, GOOD}},
     CHAIN_OK,
     NULL},
    {"the list is over", {{.by = 0, GOOD}, {.by = 1, .from = -60, .to = -1}}, CHAIN_NO_CRL, NULL},
    {"the list is yet to come",
     {{.by = 0, GOOD}, {.by = 1, .from = 1, .to = 60}},
     CHAIN_NO_CRL,
     NULL},
    {"the first second counts", {{.by = 0, GOOD}, {.by = 1, .from = 0, .to = 1}}, CHAIN_OK, NULL},
    {"so does the one at which it ends",
     {{.by = 0, GOOD}, {.by = 1, .from = -60, .last = true}},
     CHAIN_OK,
     NULL},
    {"the list has no end", {{.by = 0, GOOD}, {.by = 1, .from = -60}}, CHAIN_NO_CRL, NULL},
    {"the list is by another key", {{.by = 0, GOOD}, {.by = 2, GOOD}}, CHAIN_NO_CRL, NULL},
    {"the list is by another name",
     {{.by = 0, GOOD}, {.by = 1, GOOD, .other_name = true}},
     CHAIN_NO_CRL,
     NULL},
    {"the signature is spoilt",
     {{.by = 0, GOOD}, {.by = 1, GOOD, .spoilt = true}},
     CHAIN_NO_CRL,
     NULL},
    {"the signature is by SHA-1",
     {{.by = 0, GOOD}, {.by = 1, GOOD, .sha1 = true}},
     CHAIN_NO_CRL,
     NULL},
    {"the CA may not sign lists",
     {{.by = 0, GOOD}, {.by = 1, GOOD}},
     CHAIN_NO_CRL,
     "ca|ku=keyCertSign"},
    {"an unknown critical extension",
     {{.by = 0, GOOD}, {.by = 1, GOOD, .ext = "1.2.3.4", .ext_hex = "0500"}},
     CHAIN_NO_CRL,
     NULL},
    {"an entry with one",
     {{.by = 0, GOOD}, {.by = 1, .serial = 5, GOOD, .entry = "1.2.3.4"}},
     CHAIN_NO_CRL,
     NULL},
    {"for end entities alone: of the leaf",
     {{.by = 0, GOOD}, {.by = 1, GOOD, .ext = IDP, .ext_hex = "30038101ff"}},
     CHAIN_OK,
     NULL},
    {"for end entities alone: of the CA",
     {{.by = 0, GOOD, .ext = IDP, .ext_hex = "30038101ff"}, {.by = 1, GOOD}},
     CHAIN_NO_CRL,
     NULL},
    {"for CAs alone: of the CA",
     {{.by = 0, GOOD, .ext = IDP, .ext_hex = "30038201ff"}, {.by = 1, GOOD}},
     CHAIN_OK,
     NULL},
    {"for CAs alone: of the leaf",
     {{.by = 0, GOOD}, {.by = 1, GOOD, .ext = IDP, .ext_hex = "30038201ff"}},
     CHAIN_NO_CRL,
     NULL},
    {"an indirect list",
     {{.by = 0, GOOD}, {.by = 1, GOOD, .ext = IDP, .ext_hex = "30038401ff"}},
     CHAIN_NO_CRL,
     NULL},
    {"for some reasons alone",
     {{.by = 0, GOOD}, {.by = 1, GOOD, .ext = IDP, .ext_hex = "300483020640"}},
     CHAIN_NO_CRL,
     NULL},
    {"for attribute certificates",
     {{.by = 0, GOOD}, {.by = 1, GOOD, .ext = IDP, .ext_hex = "30038501ff"}},
     CHAIN_NO_CRL,
     NULL},
    {"a delta list is not complete",
     {{.by = 0, GOOD}, {.by = 1, GOOD, .ext = "2.5.29.27", .ext_hex = "020101"}},
     CHAIN_NO_CRL,
     NULL},
    {"a delta list revokes",
     {{.by = 0, GOOD}, {.by = 1, .serial = 102, GOOD, .ext = "2.5.29.27", .ext_hex = "020101"}},
     CHAIN_REVOKED,
     NULL},
};

static X509_CRL *make(const struct list *l, const X509_NAME *issuer)
{
    X509_CRL *crl = X509_CRL_new(), *again;
    ASN1_TIME *t = ASN1_TIME_new();
    uint8_t *der = NULL;
    const uint8_t *p;
    int len;

    assert_int_equal(X509_CRL_set_version(crl, 1), 1);
    assert_int_equal(X509_CRL_set_issuer_name(crl, issuer), 1);
    ASN1_TIME_set(t, UNIT_CHAIN_NOW + l->from);
    X509_CRL_set1_lastUpdate(crl, t);
    ASN1_TIME_set(t, UNIT_CHAIN_NOW + l->to);
    if (l->to != 0 || l->last)
        X509_CRL_set1_nextUpdate(crl, t);
    if (l->serial != 0) {
        X509_REVOKED *r = X509_REVOKED_new();
        ASN1_INTEGER *n = ASN1_INTEGER_new();

        ASN1_INTEGER_set(n, l->serial);
        X509_REVOKED_set_serialNumber(r, n);
        X509_REVOKED_set_revocationDate(r, t);
        if (l->entry != NULL) {
            X509_EXTENSION *e = unit_chain_extension(l->entry, true, "0500");

            assert_int_equal(X509_REVOKED_add_ext(r, e, -1), 1);
            X509_EXTENSION_free(e);
        }
        assert_int_equal(X509_CRL_add0_revoked(crl, r), 1);
        ASN1_INTEGER_free(n);
    }
    if (l->ext != NULL) {
        X509_EXTENSION *e = unit_chain_extension(l->ext, true, l->ext_hex);

        assert_int_equal(X509_CRL_add_ext(crl, e, -1), 1);
        X509_EXTENSION_free(e);
    }
    assert_true(X509_CRL_sign(crl, unit_chain_key(l->by), l->sha1 ? EVP_sha1() : EVP_sha256()) > 0);
    len = i2d_X509_CRL(crl, &der);
    assert_true(len > 0);
    der[len - 1] ^= l->spoilt ? 1 : 0;
    p = der;
    again = d2i_X509_CRL(NULL, &p, len);
    assert_non_null(again);
    OPENSSL_free(der);
    ASN1_TIME_free(t);
    X509_CRL_free(crl);
    return again;
}

static void run(void **state)
{
    const struct row *r = *state;
    X509 *root = unit_chain_cert("ca", 0, 0, NULL);
    X509 *ca = unit_chain_cert(r->ca != NULL ? r->ca : "ca", 1, 0, root);
    X509 *leaf = unit_chain_cert("", 2, 1, ca);
    struct chain_anchor anchor = {.cert = root};
    struct chain_terms t = {.anchor = &anchor,
                            .n_anchor = 1,
                            .untrusted = sk_X509_new_null(),
                            .crls = sk_X509_CRL_new_null(),
                            .now = UNIT_CHAIN_NOW};
    struct chain_verdict v = {0};
    struct err e = {0};

    assert_true(sk_X509_push(t.untrusted, ca) > 0);
    for (size_t i = 0; r->list[i].from != 0 || r->list[i].to != 0; i++) {
        const struct list *l = &r->list[i];
        X509 *of = l->by == 0 ? root : ca;

        if (l->other_name)
            of = leaf;
        assert_true(sk_X509_CRL_push(t.crls, make(l, X509_get_subject_name(of))) > 0);
    }
    if (chain_check(leaf, &t, &v, &e) != 0)
        fail_msg("%s", e.msg);
    if (v.code != r->want)
        fail_msg("%s where %s was expected: %s", chain_code_name(v.code), chain_code_name(r->want),
                 v.reason);
    chain_free(&v);
    sk_X509_free(t.untrusted);
    sk_X509_CRL_pop_free(t.crls, X509_CRL_free);
    X509_free(root);
    X509_free(ca);
    X509_free(leaf);
}

int main(void)
{
    static struct CMUnitTest tests[ARRAY_LEN(rows)];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tests[i].name = rows[i].name;
        tests[i].test_func = run;
        tests[i].initial_state = (void *)(uintptr_t)&rows[i];
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
