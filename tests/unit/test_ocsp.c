/* Goal: OCSP answers that OpenSSL accepts and that say what the registry says; nothing that comes
 * in as a question does harm; and answering costs little beside the signature. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/ocsp.h"
#include "core/oid.h"
#include "tests/support/unit_ca.h"
#include "tests/support/unit_dir.h"
#include "tests/support/unit_tpm.h"

#include <openssl/ocsp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOW UNIT_CA_NOW
#define DAY ((time_t)86400)

struct world {
    struct unit_ca_world *ca;
    struct signer *key;
    struct ocsp *o;
    X509 *issuer, *cert;
    const char *dir;
};

/* A responder of the issuing CA for communications with that key, which is freed with it. */
static void open_with(struct world *w, struct signer *key)
{
    struct registry_key where = {.token = "test", .id = {7}, .id_len = 1};
    struct err e = {0};

    assert_int_equal(ocsp_certify(w->ca->us, REGISTRY_ISSUING, OID_COMMUNICATIONS, &where,
                                  &key->pub, 7, NOW, &w->cert, &e),
                     0);
    if (ocsp_open(&w->o, w->ca->us, REGISTRY_ISSUING, OID_COMMUNICATIONS, key, NOW, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(
        authority_cert(w->ca->us, REGISTRY_ISSUING, OID_COMMUNICATIONS, &w->issuer, &e), 0);
}

static void bare(struct world *w)
{
    assert_int_equal(unit_ca_world_up((void **)&w->ca), 0);
    assert_int_equal(unit_dir_make(NULL), 0);
    w->dir = unit_dir();
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    bare(w);
    w->key = unit_ca_signer("P-256");
    open_with(w, w->key);
    *state = w;
    return 0;
}

static void take_down(struct world *w)
{
    ocsp_close(w->o);
    signer_free(w->key);
    X509_free(w->cert);
    unit_ca_world_down((void **)&w->ca);
    assert_int_equal(unit_dir_remove(NULL), 0);
    free(w);
}

static int tear_down(void **state)
{
    take_down(*state);
    return 0;
}

static X509 *leaf(struct world *w, const char *dns, int64_t *id)
{
    X509 *cert = unit_ca_leaf(w->ca->us, OID_COMMUNICATIONS, 3, dns, NULL, NOW);
    struct registry *r = authority_registry(w->ca->us);
    struct authority_entry x = {
        .issuer = REGISTRY_ISSUING, .community = OID_COMMUNICATIONS, .cert = cert, .dns = dns};
    char serial[ISSUE_SERIAL_TEXT];
    struct registry_cert row;
    struct err e = {0};

    assert_int_equal(authority_record(r, &x, &e), 0);
    assert_int_equal(issue_serial(cert, serial, &e), 0);
    assert_int_equal(registry_cert(r, REGISTRY_ISSUING, OID_COMMUNICATIONS, serial, &row, &e), 1);
    *id = row.id;
    return cert;
}

/* --- asking ------------------------------------------------------------------------------- */

static OCSP_REQUEST *question(X509 *cert, X509 *issuer, const EVP_MD *md, bool nonce)
{
    OCSP_REQUEST *req = OCSP_REQUEST_new();

    assert_non_null(OCSP_request_add0_id(req, OCSP_cert_to_id(md, cert, issuer)));
    if (nonce)
        assert_int_equal(OCSP_request_add1_nonce(req, NULL, 16), 1);
    return req;
}

static void encode(OCSP_REQUEST *req, struct buf *out)
{
    uint8_t *der = NULL;
    int len = i2d_OCSP_REQUEST(req, &der);

    assert_true(len > 0);
    buf_add(out, der, (size_t)len);
    OPENSSL_free(der);
}

static OCSP_RESPONSE *read_answer(struct buf *der)
{
    const uint8_t *p = der->p;
    OCSP_RESPONSE *r = d2i_OCSP_RESPONSE(NULL, &p, (long)der->len);

    assert_non_null(r);
    assert_ptr_equal(p, der->p + der->len);
    buf_free(der);
    return r;
}

/* The status of what the answer says, verified as a client does; -1: not verified. */
static int verified(struct world *w, OCSP_REQUEST *req, OCSP_RESPONSE *r, OCSP_CERTID *id,
                    int *reason, int *nonce)
{
    OCSP_BASICRESP *basic = OCSP_response_get1_basic(r);
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509) *between = sk_X509_new_null();
    ASN1_GENERALIZEDTIME *at, *from, *next;
    X509 *root = NULL;
    struct err e = {0};
    int status = -1;

    assert_non_null(basic);
    assert_int_equal(authority_cert(w->ca->us, REGISTRY_ROOT, 0, &root, &e), 0);
    assert_int_equal(X509_STORE_add_cert(store, root), 1);
    X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), NOW);
    assert_true(sk_X509_push(between, w->issuer) > 0);
    *nonce = OCSP_check_nonce(req, basic);
    if (OCSP_basic_verify(basic, between, store, 0) == 1) {
        assert_int_equal(OCSP_resp_find_status(basic, id, &status, reason, &at, &from, &next), 1);
        assert_int_equal(ASN1_TIME_cmp_time_t(from, NOW - ISSUE_SKEW), 0);
        assert_non_null(next);
    }
    sk_X509_free(between);
    X509_STORE_free(store);
    OCSP_BASICRESP_free(basic);
    return status;
}

/* Asks live, with a nonce. */
static int ask(struct world *w, X509 *cert, X509 *issuer, const EVP_MD *md, int *reason)
{
    OCSP_REQUEST *req = question(cert, issuer, md, true);
    OCSP_CERTID *id = OCSP_onereq_get0_id(OCSP_request_onereq_get0(req, 0));
    struct buf in = {0}, out = {0};
    struct err e = {0};
    OCSP_RESPONSE *r;
    int status, nonce = 0;

    encode(req, &in);
    if (ocsp_answer(w->o, buf_bytes(&in), NOW, &out, &e) != 0)
        fail_msg("%s", e.msg);
    r = read_answer(&out);
    assert_int_equal(OCSP_response_status(r), OCSP_RESPONSE_STATUS_SUCCESSFUL);
    status = verified(w, req, r, id, reason, &nonce);
    assert_int_equal(nonce, 1);
    OCSP_RESPONSE_free(r);
    OCSP_REQUEST_free(req);
    buf_free(&in);
    return status;
}

static void test_responder_is_certified_for_that_alone(void **state)
{
    struct world *w = *state;
    EXTENDED_KEY_USAGE *eku = X509_get_ext_d2i(w->cert, NID_ext_key_usage, NULL, NULL);

    assert_int_equal(sk_ASN1_OBJECT_num(eku), 1);
    assert_int_equal(OBJ_obj2nid(sk_ASN1_OBJECT_value(eku, 0)), NID_OCSP_sign);
    assert_true(X509_get_ext_by_NID(w->cert, NID_id_pkix_OCSP_noCheck, -1) >= 0);
    assert_true(X509_get_ext_by_NID(w->cert, NID_certificate_policies, -1) < 0);
    assert_int_equal(X509_check_ca(w->cert), 0);
    EXTENDED_KEY_USAGE_free(eku);
}

static void test_every_status_is_told(void **state)
{
    struct world *w = *state;
    struct registry *r = authority_registry(w->ca->us);
    struct err e = {0};
    int64_t id, other;
    int reason = 0;
    X509 *c = leaf(w, "a.us.example", &id), *d = leaf(w, "b.us.example", &other);
    X509 *never = unit_ca_leaf(w->ca->us, OID_COMMUNICATIONS, 3, "c.us.example", NULL, NOW);
    X509 *foreign = NULL;

    assert_int_equal(ask(w, c, w->issuer, EVP_sha1(), &reason), V_OCSP_CERTSTATUS_GOOD);
    assert_int_equal(ask(w, c, w->issuer, EVP_sha256(), &reason), V_OCSP_CERTSTATUS_GOOD);
    assert_int_equal(registry_suspend(r, id, NOW, &e), 0);
    assert_int_equal(ask(w, c, w->issuer, EVP_sha1(), &reason), V_OCSP_CERTSTATUS_REVOKED);
    assert_int_equal(reason, OCSP_REVOKED_STATUS_CERTIFICATEHOLD);
    assert_int_equal(registry_resume(r, id, NOW, &e), 0);
    assert_int_equal(ask(w, c, w->issuer, EVP_sha1(), &reason), V_OCSP_CERTSTATUS_GOOD);
    assert_int_equal(registry_revoke(r, id, REGISTRY_KEY_COMPROMISE, NOW, 0, &e), 0);
    assert_int_equal(ask(w, c, w->issuer, EVP_sha256(), &reason), V_OCSP_CERTSTATUS_REVOKED);
    assert_int_equal(reason, OCSP_REVOKED_STATUS_KEYCOMPROMISE);
    assert_int_equal(registry_revoke(r, other, REGISTRY_UNSPECIFIED, NOW, 0, &e), 0);
    assert_int_equal(ask(w, d, w->issuer, EVP_sha1(), &reason), V_OCSP_CERTSTATUS_REVOKED);
    assert_int_equal(reason, OCSP_REVOKED_STATUS_NOSTATUS);
    /* Not issued, of another CA, or under another hash: unknown. */
    assert_int_equal(ask(w, never, w->issuer, EVP_sha1(), &reason), V_OCSP_CERTSTATUS_UNKNOWN);
    assert_int_equal(authority_cert(w->ca->us, REGISTRY_ISSUING, OID_ELECTRICITY, &foreign, &e), 0);
    /* For the other CA, which did not certify the responder, its answer is not even valid. */
    assert_int_equal(ask(w, c, foreign, EVP_sha1(), &reason), -1);
    assert_int_equal(ask(w, c, w->issuer, EVP_sha512(), &reason), V_OCSP_CERTSTATUS_UNKNOWN);
    X509_free(c);
    X509_free(d);
    X509_free(never);
}

/* --- what is no question ------------------------------------------------------------------- */

static int status_of(struct world *w, struct bytes request)
{
    struct buf out = {0};
    struct err e = {0};
    OCSP_RESPONSE *r;
    int status;

    assert_int_equal(ocsp_answer(w->o, request, NOW, &out, &e), 0);
    r = read_answer(&out);
    status = OCSP_response_status(r);
    OCSP_RESPONSE_free(r);
    return status;
}

/* With the extension changed or added as given, in hex of an OCTET STRING's DER. */
static int status_with(struct world *w, X509 *cert, int nid, const void *value, size_t len,
                       bool critical, int times)
{
    OCSP_REQUEST *req = question(cert, w->issuer, EVP_sha1(), false);
    ASN1_OCTET_STRING *os = ASN1_OCTET_STRING_new();
    struct buf der = {0};
    int status;

    assert_int_equal(ASN1_OCTET_STRING_set(os, value, (int)len), 1);
    for (int i = 0; i < times; i++) {
        X509_EXTENSION *ext = X509_EXTENSION_create_by_NID(NULL, nid, critical, os);

        assert_int_equal(OCSP_REQUEST_add_ext(req, ext, -1), 1);
        X509_EXTENSION_free(ext);
    }
    encode(req, &der);
    status = status_of(w, buf_bytes(&der));
    ASN1_OCTET_STRING_free(os);
    OCSP_REQUEST_free(req);
    buf_free(&der);
    return status;
}

#define MALFORMED OCSP_RESPONSE_STATUS_MALFORMEDREQUEST
#define SUCCESS OCSP_RESPONSE_STATUS_SUCCESSFUL

static void test_nonces_are_bounded(void **state)
{
    struct world *w = *state;
    uint8_t nonce[40] = {V_ASN1_OCTET_STRING};
    int64_t id;
    X509 *c = leaf(w, "a.us.example", &id);
    static const struct {
        uint8_t len;
        int want;
    } each[] = {{0, MALFORMED}, {1, SUCCESS}, {16, SUCCESS}, {32, SUCCESS}, {33, MALFORMED}};

    for (size_t i = 0; i < ARRAY_LEN(each); i++) {
        nonce[1] = each[i].len;
        assert_int_equal(
            status_with(w, c, NID_id_pkix_OCSP_Nonce, nonce, 2u + each[i].len, false, 1),
            each[i].want);
    }
    nonce[1] = 16;
    assert_int_equal(status_with(w, c, NID_id_pkix_OCSP_Nonce, nonce, 18, false, 2), MALFORMED);
    assert_int_equal(status_with(w, c, NID_id_pkix_OCSP_Nonce, nonce, 17, false, 1), MALFORMED);
    nonce[0] = V_ASN1_INTEGER;
    assert_int_equal(status_with(w, c, NID_id_pkix_OCSP_Nonce, nonce, 18, false, 1), MALFORMED);
    nonce[0] = V_ASN1_OCTET_STRING;
    assert_int_equal(status_with(w, c, NID_netscape_comment, nonce, 18, false, 1), SUCCESS);
    assert_int_equal(status_with(w, c, NID_netscape_comment, nonce, 18, true, 1), MALFORMED);
    X509_free(c);
}

static void test_what_is_no_question_is_malformed(void **state)
{
    struct world *w = *state;
    OCSP_REQUEST *none = OCSP_REQUEST_new(), *good, *many = OCSP_REQUEST_new();
    struct buf der = {0}, whole = {0};
    int64_t id;
    X509 *c = leaf(w, "a.us.example", &id);
    uint8_t *junk = calloc(1, OCSP_REQUEST_MAX + 1);

    assert_int_equal(status_of(w, bytes_of(NULL, 0)), MALFORMED);
    assert_int_equal(status_of(w, bytes_of(junk, OCSP_REQUEST_MAX + 1)), MALFORMED);
    encode(none, &der);
    assert_int_equal(status_of(w, buf_bytes(&der)), MALFORMED);
    good = question(c, w->issuer, EVP_sha1(), true);
    encode(good, &whole);
    assert_int_equal(status_of(w, buf_bytes(&whole)), SUCCESS);
    for (size_t n = 0; n < whole.len; n++)
        assert_int_equal(status_of(w, bytes_of(whole.p, n)), MALFORMED);
    buf_u8(&whole, 0);
    assert_int_equal(status_of(w, buf_bytes(&whole)), MALFORMED);
    for (int i = 0; i < OCSP_ASKED_MAX + 1; i++) {
        assert_non_null(OCSP_request_add0_id(many, OCSP_cert_to_id(EVP_sha1(), c, w->issuer)));
        der.len = 0;
        encode(many, &der);
        assert_int_equal(status_of(w, buf_bytes(&der)), i < OCSP_ASKED_MAX ? SUCCESS : MALFORMED);
    }
    /* One bit changed anywhere: an answer in any case. */
    for (size_t i = 0; i < whole.len - 1; i++) {
        struct buf bent = {0};

        buf_add(&bent, whole.p, whole.len - 1);
        bent.p[i] ^= 0x10;
        status_of(w, buf_bytes(&bent));
        buf_free(&bent);
    }
    free(junk);
    OCSP_REQUEST_free(none);
    OCSP_REQUEST_free(good);
    OCSP_REQUEST_free(many);
    buf_free(&der);
    buf_free(&whole);
    X509_free(c);
}

static void test_ended_or_foreign_keys_do_not_answer(void **state)
{
    struct world *w = *state;
    struct signer *other = unit_ca_signer("P-256");
    struct buf out = {0};
    struct err e = {0};
    struct ocsp *o = NULL;
    ASN1_GENERALIZEDTIME *from, *next;
    OCSP_BASICRESP *basic;
    int64_t id, end = 0;
    X509 *c = leaf(w, "a.us.example", &id);
    OCSP_REQUEST *req = question(c, w->issuer, EVP_sha1(), false);
    struct buf in = {0};
    OCSP_RESPONSE *r;

    assert_int_equal(ocsp_open(&o, w->ca->us, REGISTRY_ISSUING, OID_COMMUNICATIONS, other, NOW, &e),
                     -1);
    assert_int_equal(e.code, E_REJECTED);
    err_clear(&e);
    assert_int_equal(
        ocsp_open(&o, w->ca->us, REGISTRY_ISSUING, OID_COMMUNICATIONS, w->key, NOW + 7 * DAY, &e),
        -1);
    assert_int_equal(e.code, E_REJECTED);
    err_clear(&e);
    assert_int_equal(ocsp_open(&o, w->ca->us, REGISTRY_ROOT, 0, w->key, NOW, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    err_clear(&e);
    encode(req, &in);
    /* In its last second it answers, for no longer than it lasts; then not. */
    assert_int_equal(issue_time(X509_get0_notAfter(w->cert), &end, &e), 0);
    assert_int_equal(ocsp_answer(w->o, buf_bytes(&in), (time_t)end - 1, &out, &e), 0);
    r = read_answer(&out);
    basic = OCSP_response_get1_basic(r);
    OCSP_single_get0_status(OCSP_resp_get0(basic, 0), NULL, NULL, &from, &next);
    assert_int_equal(ASN1_TIME_cmp_time_t(from, (time_t)end - 1 - ISSUE_SKEW), 0);
    assert_int_equal(ASN1_TIME_cmp_time_t(next, (time_t)end), 0);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(r);
    assert_int_equal(ocsp_answer(w->o, buf_bytes(&in), (time_t)end, &out, &e), -1);
    r = read_answer(&out);
    assert_int_equal(OCSP_response_status(r), OCSP_RESPONSE_STATUS_INTERNALERROR);
    OCSP_RESPONSE_free(r);
    OCSP_REQUEST_free(req);
    buf_free(&in);
    signer_free(other);
    X509_free(c);
}

/* No answer is dated after now: a clock that goes back by more than answers are dated before their
 * time gets none signed. */
static void test_a_clock_that_went_back_answers_nothing(void **state)
{
    struct world *w = *state;
    int64_t id;
    X509 *c = leaf(w, "a.us.example", &id);
    OCSP_REQUEST *req = question(c, w->issuer, EVP_sha1(), false);
    static const struct {
        time_t at; /* from NOW on, one after the other */
        int want;
    } rows[] = {{1000, OCSP_RESPONSE_STATUS_SUCCESSFUL},
                {1000 - ISSUE_SKEW, OCSP_RESPONSE_STATUS_SUCCESSFUL},
                {1000 - ISSUE_SKEW - 1, OCSP_RESPONSE_STATUS_INTERNALERROR},
                {1000, OCSP_RESPONSE_STATUS_SUCCESSFUL}};
    struct buf in = {0}, out = {0};
    OCSP_RESPONSE *r;

    encode(req, &in);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = {0};
        bool fine = rows[i].want == OCSP_RESPONSE_STATUS_SUCCESSFUL;

        assert_int_equal(ocsp_answer(w->o, buf_bytes(&in), NOW + rows[i].at, &out, &e),
                         fine ? 0 : -1);
        assert_int_equal(e.code, fine ? E_OK : E_REJECTED);
        r = read_answer(&out);
        assert_int_equal(OCSP_response_status(r), rows[i].want);
        OCSP_RESPONSE_free(r);
    }
    OCSP_REQUEST_free(req);
    buf_free(&in);
    X509_free(c);
}

/* --- beforehand ------------------------------------------------------------------------------ */

static OCSP_RESPONSE *look_up(struct ocsp *o, const char *dir, OCSP_REQUEST *req, time_t now)
{
    struct buf in = {0}, out = {0};
    struct err e = {0};

    encode(req, &in);
    if (ocsp_lookup(o, dir, buf_bytes(&in), now, &out, &e) != 0)
        fail_msg("%s", e.msg);
    buf_free(&in);
    return read_answer(&out);
}

static int looked_up(struct world *w, X509 *cert, const EVP_MD *md, time_t now, int *reason)
{
    OCSP_REQUEST *req = question(cert, w->issuer, md, false);
    OCSP_CERTID *id = OCSP_onereq_get0_id(OCSP_request_onereq_get0(req, 0));
    OCSP_RESPONSE *r = look_up(w->o, w->dir, req, now);
    int nonce, status = -OCSP_response_status(r) - 100;

    if (OCSP_response_status(r) == OCSP_RESPONSE_STATUS_SUCCESSFUL)
        status = verified(w, req, r, id, reason, &nonce);
    OCSP_RESPONSE_free(r);
    OCSP_REQUEST_free(req);
    return status;
}

static void test_answers_signed_beforehand(void **state)
{
    struct world *w = *state;
    struct err e = {0};
    int64_t id, bad;
    size_t n = 0;
    int reason = 0;
    X509 *c = leaf(w, "a.us.example", &id), *b = leaf(w, "b.us.example", &bad);
    X509 *never = unit_ca_leaf(w->ca->us, OID_COMMUNICATIONS, 3, "c.us.example", NULL, NOW);
    OCSP_REQUEST *two = question(c, w->issuer, EVP_sha1(), false);
    struct ocsp *keyless = NULL;
    OCSP_RESPONSE *r;

    assert_int_equal(
        registry_revoke(authority_registry(w->ca->us), bad, REGISTRY_SUPERSEDED, NOW, 0, &e), 0);
    assert_int_equal(ocsp_presign(w->o, w->dir, NOW, &n, &e), 0);
    assert_int_equal(n, 3); /* and the responder's own */
    assert_int_equal(looked_up(w, c, EVP_sha1(), NOW, &reason), V_OCSP_CERTSTATUS_GOOD);
    assert_int_equal(looked_up(w, c, EVP_sha256(), NOW, &reason), V_OCSP_CERTSTATUS_GOOD);
    assert_int_equal(looked_up(w, b, EVP_sha1(), NOW, &reason), V_OCSP_CERTSTATUS_REVOKED);
    assert_int_equal(reason, OCSP_REVOKED_STATUS_SUPERSEDED);
    assert_int_equal(looked_up(w, never, EVP_sha1(), NOW, &reason),
                     -OCSP_RESPONSE_STATUS_UNAUTHORIZED - 100);
    /* To the last second, and not at the one at which the next is due. */
    assert_int_equal(looked_up(w, c, EVP_sha1(), NOW + DAY - 1, &reason), V_OCSP_CERTSTATUS_GOOD);
    assert_int_equal(looked_up(w, c, EVP_sha1(), NOW + DAY, &reason),
                     -OCSP_RESPONSE_STATUS_TRYLATER - 100);
    /* Two at once were not signed together. */
    assert_non_null(OCSP_request_add0_id(two, OCSP_cert_to_id(EVP_sha1(), b, w->issuer)));
    assert_int_equal(
        ocsp_open(&keyless, w->ca->us, REGISTRY_ISSUING, OID_COMMUNICATIONS, NULL, NOW, &e), 0);
    r = look_up(keyless, w->dir, two, NOW);
    assert_int_equal(OCSP_response_status(r), OCSP_RESPONSE_STATUS_UNAUTHORIZED);
    OCSP_RESPONSE_free(r);
    ocsp_close(keyless);
    OCSP_REQUEST_free(two);
    X509_free(c);
    X509_free(b);
    X509_free(never);
}

/* --- how fast ------------------------------------------------------------------------------ */

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void test_lookups_are_fast(void **state)
{
    enum { ROUNDS = 10, N = 1000 };
    struct world *w = *state;
    struct buf in = {0}, out = {0};
    struct err e = {0};
    int64_t id;
    size_t n;
    double t, best = 0;
    X509 *c = leaf(w, "a.us.example", &id);
    OCSP_REQUEST *req = question(c, w->issuer, EVP_sha1(), false);

    encode(req, &in);
    assert_int_equal(ocsp_presign(w->o, w->dir, NOW, &n, &e), 0);
    /* The best of some rounds: other processes want the processors too. */
    for (int round = 0; round < ROUNDS; round++) {
        t = seconds();
        for (int i = 0; i < N; i++) {
            out.len = 0;
            assert_int_equal(ocsp_lookup(w->o, w->dir, buf_bytes(&in), NOW, &out, &e), 0);
        }
        t = seconds() - t;
        best = N / t > best ? N / t : best;
    }
    print_message("%.0f lookups/s\n", best);
#ifndef __SANITIZE_ADDRESS__
    assert_true(best >= 5000);
#endif
    OCSP_REQUEST_free(req);
    buf_free(&in);
    buf_free(&out);
    X509_free(c);
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* By turns, so that what else the machine does falls on both: how much of the rate at which the
 * key signs is left for answers, by the medians of N of each. */
static double share(struct world *w, struct bytes question_der)
{
    enum { N = 150 };
    const struct alg_hash *hash = alg_hash_of(w->key->pub.curve->hash);
    uint8_t digest[32] = {1}, sig[ALG_MAX_COORD * 2];
    double raw[N], live[N], t;
    struct buf out = {0};
    struct err e = {0};

    for (int i = 0; i < N; i++) {
        t = seconds();
        assert_int_equal(
            w->key->sign(w->key, PUBKEY_ECDSA, hash, bytes_of(digest, hash->size), sig, &e), 0);
        raw[i] = seconds() - t;
        out.len = 0;
        t = seconds();
        assert_int_equal(ocsp_answer(w->o, question_der, NOW, &out, &e), 0);
        live[i] = seconds() - t;
    }
    buf_free(&out);
    qsort(raw, N, sizeof(*raw), by_size);
    qsort(live, N, sizeof(*live), by_size);
    print_message("%.0f answers/s, %.0f signatures/s: %.2f\n", 1 / live[N / 2], 1 / raw[N / 2],
                  raw[N / 2] / live[N / 2]);
    return raw[N / 2] / live[N / 2];
}

/* This TPM is a process on the same machine and signs in 0.3 ms; one of hardware takes ten or
 * more, so that nothing of its rate is lost that could be measured. */
static void test_live_answers_cost_a_signature(void **state)
{
    enum { ROUNDS = 20 };
    struct unit_tpm *tpm = *state;
    struct world *w = calloc(1, sizeof(*w));
    struct store_key key = {0};
    struct buf in = {0};
    double best = 0, now;
    struct err e = {0};
    int64_t id;
    OCSP_REQUEST *req;
    X509 *c;

    bare(w);
    unit_tpm_login(tpm, TOKEN_USER, UNIT_USER);
    unit_tpm_ecc(tpm, "P-256", &key);
    assert_int_equal(token_signer(tpm->token, &key, &w->key, &e), 0);
    open_with(w, w->key);
    c = leaf(w, "a.us.example", &id);
    req = question(c, w->issuer, EVP_sha1(), true);
    encode(req, &in);
    for (int round = 0; round < ROUNDS && best < 0.9; round++) {
        now = share(w, buf_bytes(&in));
        best = now > best ? now : best;
    }
#ifndef __SANITIZE_ADDRESS__
    assert_true(best >= 0.9);
#endif
    OCSP_REQUEST_free(req);
    buf_free(&in);
    X509_free(c);
    take_down(w);
    store_key_free(&key);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_responder_is_certified_for_that_alone),
        EACH(test_every_status_is_told),
        EACH(test_nonces_are_bounded),
        EACH(test_what_is_no_question_is_malformed),
        EACH(test_ended_or_foreign_keys_do_not_answer),
        EACH(test_a_clock_that_went_back_answers_nothing),
        EACH(test_answers_signed_beforehand),
        EACH(test_lookups_are_fast),
        WITH_TOKEN(test_live_answers_cost_a_signature),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
