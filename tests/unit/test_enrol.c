/* Goal: only good evidence for an open invitation gives a certificate, sealed to the
 * one TPM; everything else gives its reasons, and nothing is issued. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/again.h"
#include "ca/crl.h"
#include "ca/enrol.h"
#include "ca/registry_device.h"
#include "ca/registry_status.h"
#include "core/asn1.h"
#include "core/credential.h"
#include "core/hash.h"
#include "core/oid.h"
#include "tests/support/unit_activate.h"
#include "tests/support/unit_ca.h"
#include "tests/support/unit_forge.h"

#include <pthread.h>
#include <string.h>

#define NOW ((time_t)UNIT_FORGE_NOW)

struct world {
    char *dir;
    struct unit_ca_keys keys;
    struct authority *us;
    struct unit_forge f;
    struct enrol_outcome out;
    struct err e;
};

static int set_up(void **state)
{
    struct world *w = test_calloc(1, sizeof(*w));
    struct unit_forge first = {0};
    struct buf pin = {0};
    struct err e = {0};

    unit_forge_init(&first, UNIT_RSA, UNIT_P256, UNIT_P256);
    unit_forge_build(&first);
    assert_int_equal(issue_to_pem(first.ek_root, &pin, &e), 0);
    unit_forge_free(&first);
    w->dir = unit_ca_dir();
    w->us = unit_ca_make(w->dir, "US", "comms.example", buf_bytes(&pin), NOW - 3600, &w->keys);
    buf_free(&pin);
    unit_forge_init(&w->f, UNIT_RSA, UNIT_P256, UNIT_P256);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    enrol_free(&w->out);
    unit_forge_free(&w->f);
    authority_close(w->us);
    unit_ca_keys_free(&w->keys);
    unit_ca_dir_remove(w->dir);
    test_free(w);
    return 0;
}

static struct authority_invite good_invite(void)
{
    return (struct authority_invite){.community = OID_COMMUNICATIONS,
                                     .level = 3,
                                     .name = UNIT_FORGE_SUBJECT,
                                     .days = 1,
                                     .now = NOW - 60};
}

/* Invites, and gives the nonce to the forger's TPM. */
static void invite(struct world *w, const struct authority_invite *p)
{
    struct evidence_invitation v;
    struct buf pem = {0};
    struct err e = {0};

    if (authority_invite(w->us, p, &pem, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(evidence_invitation_from_pem(buf_bytes(&pem), &v, &e), 0);
    assert_int_equal(v.nonce_len, sizeof(w->f.nonce));
    memcpy(w->f.nonce, v.nonce, sizeof(w->f.nonce));
    buf_free(&pem);
}

/* The forger's request, sent in. */
static int enrol_at(struct world *w, time_t now)
{
    struct buf der = {0};
    int rc;

    enrol_free(&w->out);
    err_clear(&w->e);
    assert_int_equal(evidence_request_encode(&w->f.request, &der, &w->e), 0);
    rc = enrol_run(w->us, buf_bytes(&der), now, &w->out, &w->e);
    buf_free(&der);
    return rc;
}

static void build(struct world *w)
{
    unit_forge_build(&w->f);
}

static bool count(void *ctx, const struct registry_issued *i)
{
    if (i->issuer == REGISTRY_ISSUING || i->issuer == REGISTRY_ATTESTATION)
        ++*(unsigned *)ctx;
    return true;
}

static unsigned issued(struct world *w)
{
    unsigned n = 0;
    struct err e = {0};

    assert_int_equal(registry_issued(authority_registry(w->us), count, &n, &e), 0);
    return n;
}

static bool consumed(struct world *w)
{
    struct registry_invitation i;
    struct err e = {0};

    assert_int_equal(registry_invitation(authority_registry(w->us),
                                         bytes_of(w->f.nonce, sizeof(w->f.nonce)), &i, &e),
                     0);
    return i.consumed_at != 0;
}

/* Refused for that check (0: whichever), with nothing issued. */
static void assert_refused(struct world *w, int rc, unsigned check)
{
    assert_int_equal(rc, -1);
    if (w->e.code != E_REJECTED)
        fail_msg("%s: %s", err_name(w->e.code), w->e.msg);
    assert_true(w->out.judged);
    assert_null(w->out.cert);
    assert_int_equal(w->out.sealed.len, 0);
    assert_int_equal(issued(w), 0);
    if (check != 0) {
        assert_false(w->out.verdict.accepted);
        assert_int_equal(w->out.verdict.result[check - 1].outcome, EVIDENCE_FAIL);
    }
}

/* --- stories ------------------------------------------------------------- */

static void test_good_evidence_gives_a_certificate_for_that_tpm(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();
    struct credential_sealed sealed = {0};
    struct credential_issued got = {0};
    X509 *root = NULL, *between[2] = {NULL, NULL};
    uint8_t secret[32], hash[32], want[32];
    struct err e = {0};

    invite(w, &p);
    build(w);
    if (enrol_at(w, NOW) != 0)
        fail_msg("%s", w->e.msg);
    assert_true(w->out.verdict.accepted);
    assert_int_equal(issued(w), 2);
    assert_true(consumed(w));

    assert_int_equal(credential_decode(buf_bytes(&w->out.sealed), &sealed, &e), 0);
    assert_true(tpmname_equal(&sealed.ak_name, &w->f.ak_name));
    unit_activate(w->f.ek, &sealed, secret);
    if (credential_open(&sealed, bytes_of(secret, 32), &got, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(X509_cmp(got.cert, w->out.cert), 0);
    assert_int_equal(evidence_hash_get(got.cert, hash, &e), 0);
    assert_int_equal(evidence_record_hash(&got.record, want, &e), 0);
    assert_memory_equal(hash, want, 32);
    /* The subject is the authority's doing. */
    assert_int_equal(X509_check_host(got.cert, UNIT_FORGE_SUBJECT, 0, 0, NULL), 1);
    assert_int_equal(authority_cert(w->us, REGISTRY_ROOT, 0, &root, &e), 0);
    between[0] = sk_X509_value(got.chain, 0);
    assert_int_equal(unit_ca_verify(got.cert, root, between, OID_COMMUNICATIONS, 3, NOW + 86400),
                     X509_V_OK);
    assert_int_not_equal(
        unit_ca_verify(got.cert, root, between, OID_COMMUNICATIONS, 4, NOW + 86400), X509_V_OK);
    /* The AK's certificate stands under the Attestation CA, and is for nothing else. */
    between[0] = sk_X509_value(got.chain, 1);
    assert_int_equal(unit_ca_verify(got.record.ak_cert, root, between, 0, 0, NOW + 86400),
                     X509_V_OK);
    assert_int_equal(
        X509_get_extended_key_usage(got.record.ak_cert) & (XKU_SSL_SERVER | XKU_SSL_CLIENT), 0);
    credential_issued_free(&got);
    credential_sealed_free(&sealed);
}

static void test_rsa_and_p384_keys_are_served_too(void **state)
{
    static const enum unit_key kinds[][3] = {{UNIT_P384, UNIT_P384, UNIT_RSA},
                                             {UNIT_P256, UNIT_RSA, UNIT_P384}};
    struct world *w = *state;
    struct authority_invite p = good_invite();

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        unit_forge_free(&w->f);
        unit_forge_init(&w->f, kinds[i][0], kinds[i][1], kinds[i][2]);
        invite(w, &p);
        build(w);
        if (enrol_at(w, NOW) != 0)
            fail_msg("%s", w->e.msg);
        assert_int_equal(issued(w), 2 * (i + 1));
    }
}

/* What a TPM opens of it: the leaf. */
static X509 *opened(struct world *w)
{
    struct credential_sealed sealed = {0};
    struct credential_issued got = {0};
    uint8_t secret[32];
    struct err e = {0};
    X509 *leaf;

    assert_int_equal(credential_decode(buf_bytes(&w->out.sealed), &sealed, &e), 0);
    unit_activate(w->f.ek, &sealed, secret);
    if (credential_open(&sealed, bytes_of(secret, 32), &got, &e) != 0)
        fail_msg("%s", e.msg);
    leaf = got.cert;
    got.cert = NULL;
    credential_issued_free(&got);
    credential_sealed_free(&sealed);
    return leaf;
}

/* The answer may have got lost on its way, or whoever wrote it was killed. */
static void test_the_same_request_is_given_the_same_certificate(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();
    struct registry_invitation i;
    struct buf pem = {0}, first = {0};
    struct err e = {0};
    unsigned used;
    X509 *leaf, *again;

    invite(w, &p);
    build(w);
    assert_int_equal(evidence_request_to_pem(&w->f.request, &pem, &e), 0);
    assert_int_equal(enrol_before(w->us, buf_bytes(&pem), &i, &e), 0);
    assert_int_equal(enrol_at(w, NOW), 0);
    assert_false(w->out.again);
    leaf = opened(w);
    buf_add_bytes(&first, buf_bytes(&w->out.sealed));
    used = w->keys.opened;
    /* Even when the invitation has ended; the certificate lives longer. */
    assert_int_equal(enrol_at(w, NOW + 80 * 86400), 0);
    assert_true(w->out.again);
    assert_false(w->out.judged);
    assert_int_equal(X509_cmp(w->out.cert, leaf), 0);
    assert_false(bytes_equal(buf_bytes(&first), buf_bytes(&w->out.sealed)));
    again = opened(w);
    assert_int_equal(X509_cmp(again, leaf), 0);
    assert_int_equal(issued(w), 2);
    assert_int_equal(w->keys.opened, used);
    assert_int_equal(enrol_before(w->us, buf_bytes(&pem), &i, &e), 1);
    assert_true(i.issued != 0);
    X509_free(again);
    X509_free(leaf);
    buf_free(&first);
    buf_free(&pem);
}

static void test_the_file_that_was_handed_out_last_is_known(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();
    struct registry_invitation i;
    struct buf request = {0}, first = {0}, second = {0};
    struct err e = {0};

    invite(w, &p);
    build(w);
    assert_int_equal(evidence_request_to_pem(&w->f.request, &request, &e), 0);
    assert_int_equal(enrol_pem(w->us, buf_bytes(&request), NOW, &w->out, &first, &e), 0);
    assert_int_equal(enrol_before(w->us, buf_bytes(&request), &i, &e), 1);
    assert_true(again_is(&i, buf_bytes(&first)));
    assert_false(again_is(&i, bytes_of(first.p, first.len - 30)));
    assert_false(again_is(&i, bytes_of("", 0)));
    enrol_free(&w->out);
    assert_int_equal(enrol_pem(w->us, buf_bytes(&request), NOW, &w->out, &second, &e), 0);
    assert_int_equal(enrol_before(w->us, buf_bytes(&request), &i, &e), 1);
    assert_true(again_is(&i, buf_bytes(&second)));
    assert_false(again_is(&i, buf_bytes(&first)));
    buf_free(&request);
    buf_free(&first);
    buf_free(&second);
}

static bool last_leaf(void *ctx, const struct registry_cert *c)
{
    if (c->issuer == REGISTRY_ISSUING)
        *(int64_t *)ctx = c->id;
    return true;
}

static void test_a_certificate_that_was_taken_back_is_not_given_again(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();
    struct registry *r = authority_registry(w->us);
    struct err e = {0};
    int64_t id = 0;

#define NOT_AGAIN(now_, why_)                    \
    do {                                         \
        assert_int_equal(enrol_at(w, now_), -1); \
        assert_int_equal(w->e.code, E_REJECTED); \
        assert_non_null(strstr(w->e.msg, why_)); \
        assert_true(w->out.refused);             \
        assert_null(w->out.cert);                \
        assert_int_equal(w->out.sealed.len, 0);  \
    } while (0)
    invite(w, &p);
    build(w);
    assert_int_equal(enrol_at(w, NOW), 0);
    NOT_AGAIN(NOW + 90 * 86400, "has ended");
    assert_int_equal(registry_certs(r, &(struct registry_wanted){.subject = UNIT_FORGE_SUBJECT},
                                    last_leaf, &id, &e),
                     0);
    assert_int_equal(registry_suspend(r, id, NOW, &e), 0);
    NOT_AGAIN(NOW + 1, "is suspended");
    assert_int_equal(registry_resume(r, id, NOW, &e), 0);
    assert_int_equal(enrol_at(w, NOW + 1), 0);
    assert_int_equal(registry_revoke(r, id, REGISTRY_KEY_COMPROMISE, NOW, 0, &e), 0);
    NOT_AGAIN(NOW + 1, "is revoked");
    assert_int_equal(issued(w), 2);
#undef NOT_AGAIN
}

static void test_nor_to_a_device_that_was_quarantined(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();
    struct registry_device d = {.state = REGISTRY_DEVICE_QUARANTINED,
                                .oper = "O",
                                .officer = "F",
                                .note = "stolen",
                                .created_at = NOW};
    struct registry *r = authority_registry(w->us);
    struct pubkey ek;
    uint8_t id[32];
    struct err e = {0};

    invite(w, &p);
    build(w);
    assert_int_equal(enrol_at(w, NOW), 0);
    unit_forge_pubkey(w->f.ek, &ek);
    assert_int_equal(pubkey_id(&ek, id, &e), 0);
    assert_int_equal(registry_device_add(r, &d, &e), 0);
    assert_int_equal(registry_device_add_ek(r, d.id, id, &e), 0);
    assert_int_equal(enrol_at(w, NOW + 1), -1);
    assert_int_equal(w->e.code, E_REJECTED);
    assert_non_null(strstr(w->e.msg, "quarantined"));
    assert_int_equal(w->out.sealed.len, 0);
}

static void test_another_request_with_that_nonce_is_refused(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();
    unsigned used;

    invite(w, &p);
    build(w);
    assert_int_equal(enrol_at(w, NOW), 0);
    used = w->keys.opened;
    build(w); /* the same keys; the signatures are others */
    assert_int_equal(enrol_at(w, NOW + 1), -1);
    assert_int_equal(w->e.code, E_REJECTED);
    assert_non_null(strstr(w->e.msg, "used already"));
    assert_int_equal(w->out.verdict.result[15].outcome, EVIDENCE_FAIL);
    assert_true(w->out.refused);
    assert_null(w->out.cert);
    assert_int_equal(issued(w), 2);
    assert_int_equal(w->keys.opened, used);
}

/* As if the process had been killed between taking the nonce and recording. */
static void take(struct world *w)
{
    struct registry_invitation got;
    struct buf der = {0};
    uint8_t hash[32];
    struct err e = {0};

    assert_int_equal(evidence_request_encode(&w->f.request, &der, &e), 0);
    assert_int_equal(hash_sha256(buf_bytes(&der), hash, &e), 0);
    assert_int_equal(registry_consume(authority_registry(w->us),
                                      bytes_of(w->f.nonce, sizeof(w->f.nonce)), hash, NOW, &got,
                                      &e),
                     0);
    buf_free(&der);
}

static void test_a_request_that_was_interrupted_goes_on(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();

    invite(w, &p);
    build(w);
    take(w);
    if (enrol_at(w, NOW + 1) != 0)
        fail_msg("%s", w->e.msg);
    assert_true(w->out.judged);
    assert_false(w->out.again);
    assert_int_equal(issued(w), 2);
}

static void test_but_not_when_the_invitation_has_ended(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();

    invite(w, &p);
    build(w);
    take(w);
    assert_refused(w, enrol_at(w, NOW + 86400), 16);
    assert_non_null(strstr(w->e.msg, "has expired"));
}

static void test_nor_another_in_its_place(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();

    invite(w, &p);
    build(w);
    take(w);
    build(w);
    assert_refused(w, enrol_at(w, NOW + 1), 16);
    assert_non_null(strstr(w->e.msg, "used already"));
}

static void test_what_was_refused_stays_refused(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();

    p.level = 4;
    invite(w, &p);
    build(w);
    assert_refused(w, enrol_at(w, NOW), 0);
    assert_true(w->out.refused);
    assert_refused(w, enrol_at(w, NOW + 1), 16);
    assert_non_null(strstr(w->e.msg, "used already"));
    assert_true(w->out.refused);
}

static void test_expired_invitation_is_refused(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();

    invite(w, &p);
    build(w);
    assert_refused(w, enrol_at(w, NOW + 86400), 16);
    assert_non_null(strstr(w->e.msg, "expired"));
    assert_false(consumed(w));
}

static void test_unknown_nonce_is_refused(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();
    uint8_t right[32];

    invite(w, &p);
    memcpy(right, w->f.nonce, sizeof(right));
    w->f.nonce[0] ^= 1;
    build(w);
    assert_refused(w, enrol_at(w, NOW), 16);
    assert_false(w->out.invited);
    memcpy(w->f.nonce, right, sizeof(right));
    assert_false(consumed(w));
    assert_int_equal(w->keys.opened, 0);
}

static void test_another_ek_than_registered_is_refused(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();
    uint8_t other[32] = {1};

    p.ek_hash = other;
    invite(w, &p);
    build(w);
    assert_refused(w, enrol_at(w, NOW), 22);
    assert_true(consumed(w));
}

static void test_the_registered_ek_is_served(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();
    struct pubkey ek;
    uint8_t id[32];
    struct err e = {0};

    unit_forge_pubkey(w->f.ek, &ek);
    assert_int_equal(pubkey_id(&ek, id, &e), 0);
    p.ek_hash = id;
    invite(w, &p);
    build(w);
    assert_int_equal(enrol_at(w, NOW), 0);
    assert_int_equal(w->out.verdict.result[21].outcome, EVIDENCE_PASS);
}

static void test_ek_of_an_issuer_that_is_not_pinned_is_refused(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();

    invite(w, &p);
    w->f.ek_root_key = unit_forge_key(UNIT_P384, 8);
    w->f.ek_ca_key = unit_forge_key(UNIT_P384, 9);
    build(w);
    assert_refused(w, enrol_at(w, NOW), 18);
    assert_true(consumed(w));
}

static void test_software_key_with_forged_evidence_is_refused(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();

    invite(w, &p);
    w->f.attest_signer = w->f.other;
    build(w);
    assert_refused(w, enrol_at(w, NOW), 6);
    assert_true(consumed(w));
}

static void test_request_for_another_name_is_refused(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();

    p.name = "gw2.comms.example";
    invite(w, &p);
    build(w);
    assert_refused(w, enrol_at(w, NOW), 23);
}

static void test_level_that_is_not_proven_is_refused(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();

    p.level = 4;
    invite(w, &p);
    build(w);
    assert_refused(w, enrol_at(w, NOW), 0);
    assert_true(w->out.verdict.accepted);
    assert_non_null(strstr(w->e.msg, "level 4"));
}

static void test_missing_ca_key_costs_no_invitation(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();
    size_t n = w->keys.n;

    invite(w, &p);
    build(w);
    w->keys.n = 0;
    assert_int_equal(enrol_at(w, NOW), -1);
    assert_int_equal(w->e.code, E_NOT_FOUND);
    assert_false(w->out.refused);
    assert_false(consumed(w));
    assert_int_equal(issued(w), 0);
    w->keys.n = n;
    assert_int_equal(enrol_at(w, NOW), 0);
}

static void test_a_clock_that_went_back_costs_no_invitation(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();
    struct crl_request later = {REGISTRY_ROOT, 0, .delta = false, .now = NOW + 7200};
    struct crl_made made;
    struct buf crl = {0};

    invite(w, &p);
    build(w);
    assert_int_equal(crl_make(w->us, &later, &crl, &made, &w->e), 0);
    buf_free(&crl);
    assert_int_equal(enrol_at(w, NOW), -1);
    assert_int_equal(w->e.code, E_REJECTED);
    assert_non_null(strstr(w->e.msg, "the clock stands at"));
    assert_false(consumed(w));
    assert_int_equal(issued(w), 0);
    assert_int_equal(enrol_at(w, NOW + 7200), 0);
}

static void test_what_is_no_request_is_refused(void **state)
{
    struct world *w = *state;
    struct buf sealed = {0};
    static const char text[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    assert_int_equal(enrol_run(w->us, bytes_of("\x30\x00", 2), NOW, &w->out, &w->e), -1);
    assert_int_equal(w->e.code, E_FORMAT);
    err_clear(&w->e);
    assert_int_equal(
        enrol_pem(w->us, bytes_of(text, sizeof(text) - 1), NOW, &w->out, &sealed, &w->e), -1);
    assert_int_equal(w->e.code, E_FORMAT);
    assert_int_equal(sealed.len, 0);
    assert_int_equal(issued(w), 0);
}

static void test_files_in_and_out(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();
    struct credential_sealed s = {0};
    struct buf request = {0}, sealed = {0};
    struct err e = {0};

    invite(w, &p);
    build(w);
    assert_int_equal(evidence_request_to_pem(&w->f.request, &request, &e), 0);
    assert_int_equal(enrol_pem(w->us, buf_bytes(&request), NOW, &w->out, &sealed, &e), 0);
    assert_int_equal(credential_from_pem(buf_bytes(&sealed), &s, &e), 0);
    credential_sealed_free(&s);
    buf_free(&request);
    buf_free(&sealed);
}

static void test_invitations_are_bounded(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();
    struct buf pem = {0};

#define REFUSED(code_)                                                  \
    do {                                                                \
        err_clear(&w->e);                                               \
        assert_int_equal(authority_invite(w->us, &p, &pem, &w->e), -1); \
        assert_int_equal(w->e.code, code_);                             \
        assert_int_equal(pem.len, 0);                                   \
        p = good_invite();                                              \
    } while (0)
    p.community = OID_FINANCE;
    REFUSED(E_NOT_FOUND);
    p.level = 0;
    REFUSED(E_ARG);
    p.level = 5;
    REFUSED(E_ARG);
    p.name = "gw.other.example";
    REFUSED(E_ARG);
    p.name = "a23456789012345678901234567890.a23456789012345678901234567890.comms.example";
    REFUSED(E_ARG);
    p.days = 91;
    REFUSED(E_ARG);
#undef REFUSED
}

/* --- two at once --------------------------------------------------------- */

struct contender {
    const char *dir;
    struct unit_ca_keys *keys;
    struct bytes der;
    pthread_barrier_t *start;
    int rc;
    enum err_code code;
    bool bytes_out;
};

static void *contend(void *ctx)
{
    struct contender *c = ctx;
    struct authority *a = NULL;
    struct enrol_outcome out = {0};
    struct err e = {0};

    c->rc = authority_open(&a, c->dir, false, unit_ca_signer_for, c->keys, &e);
    pthread_barrier_wait(c->start);
    if (c->rc == 0)
        c->rc = enrol_run(a, c->der, NOW, &out, &e);
    c->code = e.code;
    c->bytes_out = out.sealed.len != 0;
    enrol_free(&out);
    authority_close(a);
    return NULL;
}

/* Both sent in at the same moment; how many were given a certificate. */
static int contend_with(struct world *w, struct bytes first, struct bytes second)
{
    struct contender c[2];
    struct unit_ca_keys keys[2] = {w->keys, w->keys};
    pthread_barrier_t start;
    pthread_t thread[2];

    assert_int_equal(pthread_barrier_init(&start, NULL, 2), 0);
    for (size_t i = 0; i < 2; i++) {
        c[i] = (struct contender){
            .dir = w->dir, .keys = &keys[i], .der = i == 0 ? first : second, .start = &start};
        assert_int_equal(pthread_create(&thread[i], NULL, contend, &c[i]), 0);
    }
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    pthread_barrier_destroy(&start);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(c[i].rc == 0, c[i].bytes_out);
        if (c[i].rc != 0)
            assert_int_equal(c[i].code, E_REJECTED);
    }
    return (c[0].rc == 0) + (c[1].rc == 0);
}

static void new_request(struct world *w, struct buf *der)
{
    struct err e = {0};

    build(w);
    buf_free(der);
    assert_int_equal(evidence_request_encode(&w->f.request, der, &e), 0);
}

static void test_of_two_requests_with_one_nonce_exactly_one_wins(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();
    struct buf first = {0}, second = {0};

    for (unsigned round = 1; round <= 5; round++) {
        unit_forge_free(&w->f);
        unit_forge_init(&w->f, UNIT_P256, UNIT_P256, UNIT_P256);
        invite(w, &p);
        new_request(w, &first);
        new_request(w, &second);
        assert_int_equal(contend_with(w, buf_bytes(&first), buf_bytes(&second)), 1);
        assert_int_equal(issued(w), 2 * round);
    }
    buf_free(&first);
    buf_free(&second);
}

static void test_of_one_request_sent_twice_at_once_one_certificate_comes(void **state)
{
    struct world *w = *state;
    struct authority_invite p = good_invite();
    struct buf der = {0};

    for (unsigned round = 1; round <= 5; round++) {
        unit_forge_free(&w->f);
        unit_forge_init(&w->f, UNIT_P256, UNIT_P256, UNIT_P256);
        invite(w, &p);
        new_request(w, &der);
        assert_int_equal(contend_with(w, buf_bytes(&der), buf_bytes(&der)), 2);
        assert_int_equal(issued(w), 2 * round);
    }
    buf_free(&der);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_good_evidence_gives_a_certificate_for_that_tpm),
        EACH(test_rsa_and_p384_keys_are_served_too),
        EACH(test_the_same_request_is_given_the_same_certificate),
        EACH(test_the_file_that_was_handed_out_last_is_known),
        EACH(test_a_certificate_that_was_taken_back_is_not_given_again),
        EACH(test_nor_to_a_device_that_was_quarantined),
        EACH(test_another_request_with_that_nonce_is_refused),
        EACH(test_a_request_that_was_interrupted_goes_on),
        EACH(test_but_not_when_the_invitation_has_ended),
        EACH(test_nor_another_in_its_place),
        EACH(test_what_was_refused_stays_refused),
        EACH(test_expired_invitation_is_refused),
        EACH(test_unknown_nonce_is_refused),
        EACH(test_another_ek_than_registered_is_refused),
        EACH(test_the_registered_ek_is_served),
        EACH(test_ek_of_an_issuer_that_is_not_pinned_is_refused),
        EACH(test_software_key_with_forged_evidence_is_refused),
        EACH(test_request_for_another_name_is_refused),
        EACH(test_level_that_is_not_proven_is_refused),
        EACH(test_missing_ca_key_costs_no_invitation),
        EACH(test_a_clock_that_went_back_costs_no_invitation),
        EACH(test_what_is_no_request_is_refused),
        EACH(test_files_in_and_out),
        EACH(test_invitations_are_bounded),
        EACH(test_of_two_requests_with_one_nonce_exactly_one_wins),
        EACH(test_of_one_request_sent_twice_at_once_one_certificate_comes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
