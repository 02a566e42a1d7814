/* Goal: what the authority itself is to blame for - a CA that has ended, or that may not issue what
 * was granted, another process's later date - costs no applicant the invitation: nobody is invited
 * to it, and a request that came before may come again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/oid.h"
#include "tests/support/unit_enrol.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#define NOW UNIT_ENROL_NOW
#define DAY 86400
#define ALICE "alice@comms.example"

/* --- an authority with a CA that is not as it should be -------------------------------------------- */

/* Puts a certificate into the registry and reads all anew. */
static void replace(struct unit_enrol *w, enum registry_role role, unsigned community, X509 *cert)
{
    sqlite3_stmt *st = NULL;
    struct buf der = {0};
    sqlite3 *db = NULL;
    char path[200];

    assert_int_equal(issue_to_der(cert, &der, &w->e), 0);
    authority_close(w->us);
    snprintf(path, sizeof(path), "%s/registry.db", w->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "UPDATE ca SET cert = ? WHERE role = ? AND community = ?",
                                        -1, &st, NULL),
                     SQLITE_OK);
    sqlite3_bind_blob(st, 1, der.p, (int)der.len, SQLITE_STATIC);
    sqlite3_bind_int(st, 2, (int)role);
    sqlite3_bind_int(st, 3, (int)community);
    assert_int_equal(sqlite3_step(st), SQLITE_DONE);
    assert_int_equal(sqlite3_changes(db), 1);
    sqlite3_finalize(st);
    sqlite3_close(db);
    buf_free(&der);
    assert_int_equal(authority_open(&w->us, w->dir, false, unit_ca_signer_for, &w->keys, &w->e), 0);
}

/* A copy of that CA's certificate with one thing changed, signed by the root. */
static X509 *changed(struct unit_enrol *w, enum registry_role role, unsigned community,
                     const char *eku, time_t end)
{
    struct issue_issuer root = unit_ca_issuer(w->us, REGISTRY_ROOT, 0);
    X509 *is = NULL, *cert;

    assert_int_equal(authority_cert(w->us, role, community, &is, &w->e), 0);
    cert = X509_dup(is);
    assert_non_null(cert);
    if (eku != NULL)
        unit_ca_set_ext(cert, NID_ext_key_usage, eku);
    if (end != 0)
        assert_non_null(ASN1_TIME_set(X509_getm_notAfter(cert), end));
    unit_ca_resign(&cert, &root);
    return cert;
}

static struct registry_invitation row(struct unit_enrol *w)
{
    struct registry_invitation i;

    assert_int_equal(registry_invitation(authority_registry(w->us),
                                         bytes_of(w->f.nonce, sizeof(w->f.nonce)), &i, &w->e),
                     0);
    return i;
}

static void not_its_fault(struct unit_enrol *w, int rc, const char *why)
{
    assert_int_equal(rc, -1);
    assert_int_equal(w->e.code, E_REJECTED);
    if (strstr(w->e.msg, why) == NULL || strstr(w->e.msg, "may come again") == NULL)
        fail_msg("%s", w->e.msg);
    assert_false(w->out.refused);
    err_clear(&w->e);
    assert_int_equal(row(w).refused_at, 0);
}

/* Invited and asked while the CA was good, judged while it is `bad`, and then once more. */
static void comes_again(struct unit_enrol *w, const char *name, enum registry_role role,
                        unsigned community, X509 *bad, const char *why)
{
    struct authority_invite p = unit_enrol_terms();
    X509 *is = NULL, *good;

    assert_int_equal(authority_cert(w->us, role, community, &is, &w->e), 0);
    good = X509_dup(is);
    p.name = name;
    unit_enrol_invite(w, &p);
    w->f.cn = name;
    w->f.san = strchr(name, '@') != NULL ? "email:" ALICE : NULL;
    unit_enrol_build(w);
    replace(w, role, community, bad);
    not_its_fault(w, unit_enrol_at(w, NOW), why);
    assert_false(unit_enrol_consumed(w));
    assert_int_equal(unit_enrol_issued(w), 0);
    replace(w, role, community, good);
    if (unit_enrol_at(w, NOW) != 0)
        fail_msg("%s", w->e.msg);
    X509_free(good);
    X509_free(bad);
}

/* As an authority that was made before there were persons. */
static void test_a_ca_that_may_not_issue_it(void **state)
{
    struct unit_enrol *w = *state;

    comes_again(w, ALICE, REGISTRY_ISSUING, OID_COMMUNICATIONS,
                changed(w, REGISTRY_ISSUING, OID_COMMUNICATIONS,
                        "serverAuth,clientAuth,1.3.6.1.5.5.7.3.17", 0),
                "not certified for what");
}

static void test_a_ca_that_has_ended(void **state)
{
    struct unit_enrol *w = *state;

    comes_again(w, UNIT_FORGE_SUBJECT, REGISTRY_ISSUING, OID_COMMUNICATIONS,
                changed(w, REGISTRY_ISSUING, OID_COMMUNICATIONS, NULL, NOW), "has ended");
}

static void test_an_attestation_ca_that_has_ended(void **state)
{
    struct unit_enrol *w = *state;

    comes_again(w, UNIT_FORGE_SUBJECT, REGISTRY_ATTESTATION, 0,
                changed(w, REGISTRY_ATTESTATION, 0, NULL, NOW), "has ended");
}

/* Another token than that CA's. */
static void test_a_wrong_key(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();
    struct signer *right = NULL, *wrong = unit_ca_signer("P-256");
    size_t at = 0;

    while (w->keys.key[at].role != REGISTRY_ISSUING ||
           w->keys.key[at].community != OID_COMMUNICATIONS)
        at++;
    unit_enrol_invite(w, &p);
    unit_enrol_build(w);
    right = w->keys.key[at].signer;
    w->keys.key[at].signer = wrong;
    not_its_fault(w, unit_enrol_at(w, NOW), "is not the one in");
    assert_false(unit_enrol_consumed(w));
    w->keys.key[at].signer = right;
    if (unit_enrol_at(w, NOW) != 0)
        fail_msg("%s", w->e.msg);
    signer_free(wrong);
}

/* --- nobody is invited to what cannot be issued ------------------------------------------------------ */

static void not_invited(struct unit_enrol *w, const char *name, const char *why)
{
    struct authority_invite p = unit_enrol_terms();
    struct buf pem = {0};

    p.name = name;
    assert_int_equal(authority_may_invite(w->us, &p, NULL, &w->e), -1);
    assert_int_equal(w->e.code, E_REJECTED);
    err_clear(&w->e);
    assert_int_equal(authority_invite(w->us, &p, &pem, &w->e), -1);
    assert_int_equal(w->e.code, E_REJECTED);
    if (strstr(w->e.msg, why) == NULL)
        fail_msg("%s", w->e.msg);
    assert_int_equal(pem.len, 0);
    err_clear(&w->e);
}

static void test_nobody_is_invited_to_it(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite host = unit_enrol_terms();
    X509 *cert = changed(w, REGISTRY_ISSUING, OID_COMMUNICATIONS,
                         "serverAuth,clientAuth,1.3.6.1.5.5.7.3.17", 0);

    replace(w, REGISTRY_ISSUING, OID_COMMUNICATIONS, cert);
    X509_free(cert);
    not_invited(w, ALICE, "not certified for what");
    /* A host's it may. */
    assert_int_equal(authority_may_invite(w->us, &host, NULL, &w->e), 0);
    cert = changed(w, REGISTRY_ATTESTATION, 0, NULL, host.now);
    replace(w, REGISTRY_ATTESTATION, 0, cert);
    X509_free(cert);
    not_invited(w, UNIT_FORGE_SUBJECT, "has ended");
    cert = changed(w, REGISTRY_ATTESTATION, 0, NULL, host.now + 1);
    replace(w, REGISTRY_ATTESTATION, 0, cert);
    X509_free(cert);
    assert_int_equal(authority_may_invite(w->us, &host, NULL, &w->e), 0);
    cert = changed(w, REGISTRY_ISSUING, OID_COMMUNICATIONS, NULL, host.now);
    replace(w, REGISTRY_ISSUING, OID_COMMUNICATIONS, cert);
    X509_free(cert);
    not_invited(w, UNIT_FORGE_SUBJECT, "has ended");
}

/* --- what changes while the keys sign ------------------------------------------------------------------ */

/* The issuing CA's key, which first lets another process record a certificate of a later date. */
static struct {
    struct unit_enrol *w;
    int (*sign)(struct signer *, enum pubkey_scheme, const struct alg_hash *, struct bytes,
                uint8_t *, struct err *);
    time_t date;
} other;

static int sign_late(struct signer *s, enum pubkey_scheme scheme, const struct alg_hash *hash,
                     struct bytes digest, uint8_t *sig, struct err *e)
{
    struct authority *a = NULL;
    X509 *cert;

    s->sign = other.sign;
    assert_int_equal(authority_open(&a, other.w->dir, false, unit_ca_signer_for, &other.w->keys, e),
                     0);
    cert = unit_ca_leaf(a, OID_ELECTRICITY, 3, "gw.comms.example", NULL, other.date - ISSUE_SKEW);
    assert_int_equal(authority_record(authority_registry(a),
                                      &(struct authority_entry){.issuer = REGISTRY_ISSUING,
                                                                .community = OID_ELECTRICITY,
                                                                .cert = cert,
                                                                .dns = "gw.comms.example"},
                                      e),
                     0);
    X509_free(cert);
    authority_close(a);
    return s->sign(s, scheme, hash, digest, sig, e);
}

static void test_another_process_was_later(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();
    struct issue_issuer by = unit_ca_issuer(w->us, REGISTRY_ISSUING, OID_COMMUNICATIONS);

    unit_enrol_invite(w, &p);
    unit_enrol_build(w);
    other.w = w;
    other.sign = by.signer->sign;
    other.date = NOW + ISSUE_SKEW + 60;
    by.signer->sign = sign_late;
    not_its_fault(w, unit_enrol_at(w, NOW), "the clock stands at");
    assert_ptr_equal(by.signer->sign, other.sign);
    assert_true(unit_enrol_consumed(w));
    /* The other's alone is there. */
    assert_int_equal(unit_enrol_issued(w), 1);
    if (unit_enrol_at(w, NOW + ISSUE_SKEW + 60) != 0)
        fail_msg("%s", w->e.msg);
    assert_int_equal(unit_enrol_issued(w), 3);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, unit_enrol_up, unit_enrol_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_a_ca_that_may_not_issue_it),       EACH(test_a_ca_that_has_ended),
        EACH(test_an_attestation_ca_that_has_ended), EACH(test_a_wrong_key),
        EACH(test_nobody_is_invited_to_it),          EACH(test_another_process_was_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
