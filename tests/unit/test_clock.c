/* Goal: what an authority signs is dated so that a relying party whose clock is a little behind
 * takes it, and nothing is signed by a clock that went back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/crl.h"
#include "ca/ocsp.h"
#include "ca/vouch.h"
#include "core/chain.h"
#include "core/oid.h"
#include "tests/support/unit_ca.h"

#include <string.h>

#define NOW (UNIT_CA_NOW + 3600) /* the authority is an hour old */
#define DAY ((time_t)86400)

/* A leaf as it is issued at that time, recorded; its number in the registry. */
static X509 *leaf_at(struct unit_ca_world *w, time_t now, int64_t *id)
{
    X509 *cert =
        unit_ca_leaf(w->us, OID_COMMUNICATIONS, 3, "gw.us.example", NULL, now - ISSUE_SKEW);
    struct authority_entry x = {.issuer = REGISTRY_ISSUING,
                                .community = OID_COMMUNICATIONS,
                                .cert = cert,
                                .dns = "gw.us.example"};
    char serial[ISSUE_SERIAL_TEXT];
    struct registry_cert row;
    struct err e = {0};

    if (authority_record(authority_registry(w->us), &x, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(issue_serial(cert, serial, &e), 0);
    assert_int_equal(registry_cert(authority_registry(w->us), REGISTRY_ISSUING, OID_COMMUNICATIONS,
                                   serial, &row, &e),
                     1);
    *id = row.id;
    return cert;
}

static X509_CRL *crl_at(struct unit_ca_world *w, enum registry_role role, time_t now,
                        struct crl_made *made)
{
    struct crl_request r = {role, role == REGISTRY_ISSUING ? OID_COMMUNICATIONS : 0, .delta = false,
                            .now = now};
    struct buf der = {0};
    struct err e = {0};
    const uint8_t *p;
    X509_CRL *crl;

    if (crl_make(w->us, &r, &der, made, &e) != 0)
        fail_msg("%s", e.msg);
    p = der.p;
    crl = d2i_X509_CRL(NULL, &p, (long)der.len);
    assert_non_null(crl);
    buf_free(&der);
    return crl;
}

/* --- dates ---------------------------------------------------------------------------------- */

static void test_validities_begin_before_now(void **state)
{
    struct unit_ca_world *w = *state;
    const int64_t born = UNIT_CA_NOW - ISSUE_SKEW, life = 5 * 365 * DAY;
    static const struct {
        int64_t now, seconds; /* from UNIT_CA_NOW on */
        int64_t from, to;
    } rows[] = {
        {3600, DAY, 3600 - ISSUE_SKEW, 3600 - ISSUE_SKEW + DAY},
        /* Never before the issuer is valid itself, */
        {1 - ISSUE_SKEW, DAY, -ISSUE_SKEW, -ISSUE_SKEW + DAY},
        {-ISSUE_SKEW, DAY, -ISSUE_SKEW, -ISSUE_SKEW + DAY},
        /* nor after. */
        {5 * 365 * DAY - 10, DAY, 5 * 365 * DAY - 10 - ISSUE_SKEW, 5 * 365 * DAY - ISSUE_SKEW},
        /* One that is not valid yet shall not look as if it were. */
        {-ISSUE_SKEW - 1, DAY, -2 * ISSUE_SKEW - 1, -2 * ISSUE_SKEW - 1 + DAY},
    };
    struct subject s = {0};
    int64_t t = 0;
    X509 *ca = NULL;
    struct err e = {0};

    assert_int_equal(authority_cert(w->us, REGISTRY_ISSUING, OID_COMMUNICATIONS, &ca, &e), 0);
    assert_int_equal(issue_time(X509_get0_notBefore(ca), &t, &e), 0);
    assert_int_equal(t, born);
    assert_int_equal(issue_time(X509_get0_notAfter(ca), &t, &e), 0);
    assert_int_equal(t, born + life);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(issue_validity(ca, UNIT_CA_NOW + rows[i].now, rows[i].seconds, &s, &e), 0);
        assert_int_equal(s.not_before - UNIT_CA_NOW, rows[i].from);
        assert_int_equal(s.not_after - UNIT_CA_NOW, rows[i].to);
    }
    assert_int_equal(issue_validity(NULL, 1000, 10, &s, &e), 0);
    assert_int_equal(s.not_before, 1000 - ISSUE_SKEW);
    assert_int_equal(s.not_after, 1010 - ISSUE_SKEW);
}

/* core/chain's verdict, with fresh CRLs, by a clock that stands so. */
static enum chain_code judged(struct unit_ca_world *w, X509 *cert, X509_CRL *crl, X509_CRL *of_root,
                              time_t at)
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
    t.crls = crl != NULL ? sk_X509_CRL_new_null() : NULL;
    assert_true(sk_X509_push(t.untrusted, issuing) > 0);
    assert_true(crl == NULL || sk_X509_CRL_push(t.crls, of_root) > 0);
    assert_true(crl == NULL || sk_X509_CRL_push(t.crls, crl) > 0);
    assert_int_equal(chain_check(cert, &t, &v, &e), 0);
    code = v.code;
    chain_free(&v);
    sk_X509_free(t.untrusted);
    sk_X509_CRL_free(t.crls);
    return code;
}

static void test_clocks_a_little_behind_take_what_is_fresh(void **state)
{
    struct unit_ca_world *w = *state;
    struct crl_made made, root;
    int64_t id;
    X509 *cert = leaf_at(w, NOW, &id);
    X509_CRL *of_root = crl_at(w, REGISTRY_ROOT, NOW, &root);
    X509_CRL *crl = crl_at(w, REGISTRY_ISSUING, NOW, &made);
    time_t first = NOW - ISSUE_SKEW;

    assert_int_equal(made.row.this_update, first);
    assert_int_equal(made.row.next_update, NOW + 7 * DAY);
    /* At the very first and the very last second, not one beside them. */
    assert_int_equal(judged(w, cert, NULL, NULL, first), CHAIN_OK);
    assert_int_equal(judged(w, cert, NULL, NULL, first - 1), CHAIN_TIME);
    assert_int_equal(judged(w, cert, NULL, NULL, first + 90 * DAY), CHAIN_OK);
    assert_int_equal(judged(w, cert, NULL, NULL, first + 90 * DAY + 1), CHAIN_TIME);
    assert_int_equal(judged(w, cert, crl, of_root, first), CHAIN_OK);
    assert_int_equal(judged(w, cert, crl, of_root, NOW + 7 * DAY), CHAIN_OK);
    assert_int_equal(judged(w, cert, crl, of_root, NOW + 7 * DAY + 1), CHAIN_NO_CRL);
    X509_CRL_free(crl);
    X509_CRL_free(of_root);
    X509_free(cert);
    /* A CRL of a second later is not there yet for who is that far behind. */
    cert = leaf_at(w, NOW, &id);
    crl = crl_at(w, REGISTRY_ISSUING, NOW + 1, &made);
    of_root = crl_at(w, REGISTRY_ROOT, NOW, &root);
    assert_int_equal(judged(w, cert, crl, of_root, first), CHAIN_NO_CRL);
    X509_CRL_free(crl);
    X509_CRL_free(of_root);
    X509_free(cert);
}

/* --- a clock that went back ------------------------------------------------------------------ */

/* Everything that an authority signs, at a time; what is refused must be for the clock. */
enum kind { INVITE, CROSS, CRL, RESPONDER, OCSP, EK, RECORD, KINDS };

static enum err_code sign_at(struct unit_ca_world *w, X509 *ally, struct signer *key,
                             enum kind kind, time_t now)
{
    struct registry_key where = {.token = "test", .id = {7}, .id_len = 1};
    struct authority_invite invite = {
        .community = OID_COMMUNICATIONS, .level = 3, .name = "gw.us.example", .now = now};
    struct cross_request cross = {.ally = ally,
                                  .nation = "JP",
                                  .domain = "jp.example",
                                  .community = OID_COMMUNICATIONS,
                                  .now = now};
    struct crl_request crl = {REGISTRY_ISSUING, OID_ELECTRICITY, .delta = false, .now = now};
    struct registry_device device = {.oper = "O", .officer = "F"};
    struct signer *ek = unit_ca_signer("P-256");
    struct vouch vouch = {.ek = &ek->pub,
                          .tpm = {"id:53544D20", "Model", "id:00010002"},
                          .dns = "gw.us.example",
                          .community = OID_COMMUNICATIONS,
                          .device = &device,
                          .now = now};
    struct authority_entry entry = {.issuer = REGISTRY_ISSUING, .community = OID_COMMUNICATIONS};
    struct buf out = {0};
    struct crl_made made;
    struct ocsp *o = NULL;
    X509 *cert = NULL;
    struct err e = {0};
    int rc = 0;

    switch (kind) {
    case INVITE: rc = authority_invite(w->us, &invite, &out, &e); break;
    case CROSS: rc = authority_cross(w->us, &cross, &out, &e); break;
    case CRL: rc = crl_make(w->us, &crl, &out, &made, &e); break;
    case RESPONDER:
        rc = ocsp_certify(w->us, REGISTRY_ISSUING, OID_COMMUNICATIONS, &where, &key->pub, 7, now,
                          NULL, &e);
        break;
    case OCSP: rc = ocsp_open(&o, w->us, REGISTRY_ISSUING, OID_COMMUNICATIONS, key, now, &e); break;
    case EK: rc = vouch_for(w->us, &vouch, &cert, &e); break;
    default:
        /* Whoever forgets to ask does not get it into the registry. */
        entry.cert =
            unit_ca_leaf(w->us, OID_COMMUNICATIONS, 3, "gw.us.example", NULL, now - ISSUE_SKEW);
        rc = authority_record(authority_registry(w->us), &entry, &e);
        X509_free(entry.cert);
        break;
    }
    if (rc != 0 && strstr(e.msg, "the clock stands at 20") == NULL)
        fail_msg("%d: %s", (int)kind, e.msg);
    assert_int_equal(rc == 0, e.code == E_OK);
    ocsp_close(o);
    X509_free(cert);
    signer_free(ek);
    buf_free(&out);
    return e.code;
}

static void test_a_clock_that_went_back_signs_nothing(void **state)
{
    struct unit_ca_world *w = *state;
    struct signer *key = unit_ca_signer("P-256");
    struct unit_ca_keys keys = {0};
    struct registry_key where = {.token = "test", .id = {7}, .id_len = 1};
    struct buf pin = {0};
    char *dir = unit_ca_dir();
    struct authority *jp;
    X509 *ally = NULL;
    struct err e = {0};
    unsigned opened;
    int64_t id;

    unit_ca_some_pin(&pin);
    jp = unit_ca_make(dir, "JP", "jp.example", buf_bytes(&pin), UNIT_CA_NOW, &keys);
    assert_int_equal(authority_cert(jp, REGISTRY_ISSUING, OID_COMMUNICATIONS, &ally, &e), 0);
    assert_int_equal(ocsp_certify(w->us, REGISTRY_ISSUING, OID_COMMUNICATIONS, &where, &key->pub, 7,
                                  UNIT_CA_NOW, NULL, &e),
                     0);
    X509_free(leaf_at(w, NOW, &id));
    opened = w->keys.opened;
    for (enum kind kind = INVITE; kind < KINDS; kind++)
        assert_int_equal(sign_at(w, ally, key, kind, NOW - ISSUE_SKEW - 1), E_REJECTED);
    assert_int_equal(w->keys.opened, opened); /* nobody was asked for a PIN in vain */
    for (enum kind kind = INVITE; kind < KINDS; kind++)
        assert_int_equal(sign_at(w, ally, key, kind, NOW - ISSUE_SKEW), E_OK);
    authority_close(jp);
    unit_ca_keys_free(&keys);
    unit_ca_dir_remove(dir);
    signer_free(key);
    buf_free(&pin);
}

/* A clock that was a year ahead: what it dated is revoked, the next CRLs are made with right dates,
 * and all goes on. */
static void test_what_a_clock_ahead_dated_is_revoked(void **state)
{
    struct unit_ca_world *w = *state;
    struct registry *r = authority_registry(w->us);
    struct crl_made made;
    struct err e = {0};
    int64_t right, ahead, other;
    struct crl_request root = {.issuer = REGISTRY_ROOT, .now = NOW};
    struct crl_request issuing = {
        .issuer = REGISTRY_ISSUING, .community = OID_COMMUNICATIONS, .now = NOW};
    struct buf der = {0};

    X509_free(leaf_at(w, NOW, &right));
    X509_free(leaf_at(w, NOW, &other));
    assert_int_equal(registry_revoke(r, other, REGISTRY_SUPERSEDED, NOW, 0, &e), 0);
    X509_free(leaf_at(w, NOW + 365 * DAY, &ahead));
    assert_int_equal(authority_clock(w->us, NOW, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    assert_non_null(strstr(e.msg, "2027-01-15 09:00:00Z"));
    assert_non_null(strstr(e.msg, "2028-01-15 08:55:00Z"));
    err_clear(&e);
    assert_int_equal(registry_suspend(r, ahead, NOW, &e), 0);
    assert_int_equal(authority_clock(w->us, NOW, NULL), -1);
    assert_int_equal(registry_revoke(r, ahead, REGISTRY_SUPERSEDED, NOW, 0, &e), 0);
    assert_int_equal(authority_clock(w->us, NOW, &e), 0);
    assert_int_equal(authority_clock(w->us, NOW - ISSUE_SKEW, &e), 0);
    assert_int_equal(authority_clock(w->us, NOW - ISSUE_SKEW - 1, NULL), -1);
    X509_CRL_free(crl_at(w, REGISTRY_ROOT, NOW + 365 * DAY, &made));
    X509_CRL_free(crl_at(w, REGISTRY_ISSUING, NOW + 365 * DAY, &made));
    assert_int_equal(authority_clock(w->us, NOW, &e), -1);
    assert_non_null(strstr(e.msg, "last CRL"));
    err_clear(&e);
    assert_int_equal(crl_make(w->us, &root, &der, &made, &e), -1);
    err_clear(&e);
    root.clock_was_ahead = issuing.clock_was_ahead = true;
    assert_int_equal(crl_make(w->us, &root, &der, &made, &e), 0);
    assert_int_equal(made.row.this_update, NOW - ISSUE_SKEW);
    assert_int_equal(authority_clock(w->us, NOW, NULL), -1); /* the other CA's */
    assert_int_equal(crl_make(w->us, &issuing, &der, &made, &e), 0);
    assert_int_equal(made.row.number, 2);
    assert_int_equal(made.row.this_update, NOW - ISSUE_SKEW);
    /* What is revoked is in it, though it will have ended by the date of the one before. */
    assert_int_equal(made.entries, 2);
    assert_int_equal(authority_clock(w->us, NOW, &e), 0);
    /* Not as long as a certificate is dated so. */
    X509_free(leaf_at(w, NOW + 10 * DAY, &ahead));
    assert_int_equal(crl_make(w->us, &root, &der, &made, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    buf_free(&der);
}

/* Of two CRLs the later is the one that counts, though the clock went back a little between. */
static void test_crls_are_dated_in_order(void **state)
{
    struct unit_ca_world *w = *state;
    struct crl_made first, second;

    X509_CRL_free(crl_at(w, REGISTRY_ISSUING, NOW, &first));
    X509_CRL_free(crl_at(w, REGISTRY_ISSUING, NOW - 100, &second));
    assert_int_equal(second.row.number, first.row.number + 1);
    assert_int_equal(second.row.this_update, first.row.this_update);
    assert_int_equal(second.row.next_update, NOW - 100 + 7 * DAY);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, unit_ca_world_up, unit_ca_world_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_validities_begin_before_now),
        EACH(test_clocks_a_little_behind_take_what_is_fresh),
        EACH(test_a_clock_that_went_back_signs_nothing),
        EACH(test_what_a_clock_ahead_dated_is_revoked),
        EACH(test_crls_are_dated_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
