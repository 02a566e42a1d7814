/* Goal: a certificate renews itself, once, by its own key and TPM, while it is good; for nobody
 * else, and not when the authority or its officers have taken it back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/enrol.h"
#include "ca/registry_device.h"
#include "ca/renew.h"
#include "core/oid.h"
#include "tests/support/unit_ca.h"
#include "tests/support/unit_forge.h"

#include <string.h>

#define NOW ((time_t)UNIT_FORGE_NOW)
#define DAY ((time_t)86400)

struct world {
    char *dir;
    struct unit_ca_keys keys;
    struct authority *us;
    struct unit_forge f;
    struct enrol_outcome out;
    X509 *first; /* issued by invitation */
    struct registry_cert row;
    struct err e;
};

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

/* The nonce that the certificate is, given to the forger's TPM; the request is then made. */
static void renewing(struct world *w, X509 *old)
{
    struct evidence_invitation v;
    struct err e = {0};

    if (renew_invitation(old, &v, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(v.nonce_len, sizeof(w->f.nonce));
    memcpy(w->f.nonce, v.nonce, sizeof(w->f.nonce));
    unit_forge_build(&w->f);
}

static bool keep(void *ctx, const struct registry_cert *c)
{
    struct world *w = ctx;

    w->row = *c;
    return true;
}

static int set_up(void **state)
{
    struct world *w = test_calloc(1, sizeof(*w));
    struct authority_invite p = {.community = OID_COMMUNICATIONS,
                                 .level = 3,
                                 .name = UNIT_FORGE_SUBJECT,
                                 .days = 1,
                                 .now = NOW - 60};
    struct registry_wanted name = {.subject = "GW1.comms.example"};
    struct evidence_invitation v;
    struct buf pin = {0}, pem = {0};
    struct err e = {0};

    unit_forge_init(&w->f, UNIT_RSA, UNIT_P256, UNIT_P256);
    unit_forge_build(&w->f);
    assert_int_equal(issue_to_pem(w->f.ek_root, &pin, &e), 0);
    unit_forge_free(&w->f);
    unit_forge_init(&w->f, UNIT_RSA, UNIT_P256, UNIT_P256);
    w->dir = unit_ca_dir();
    w->us = unit_ca_make(w->dir, "US", "comms.example", buf_bytes(&pin), NOW - 3600, &w->keys);
    assert_int_equal(authority_invite(w->us, &p, &pem, &e), 0);
    assert_int_equal(evidence_invitation_from_pem(buf_bytes(&pem), &v, &e), 0);
    memcpy(w->f.nonce, v.nonce, sizeof(w->f.nonce));
    unit_forge_build(&w->f);
    if (enrol_at(w, NOW) != 0)
        fail_msg("%s", w->e.msg);
    w->first = w->out.cert;
    w->out.cert = NULL;
    assert_int_equal(registry_certs(authority_registry(w->us), &name, keep, w, &e), 0);
    assert_true(w->row.id > 0);
    buf_free(&pin);
    buf_free(&pem);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    X509_free(w->first);
    enrol_free(&w->out);
    unit_forge_free(&w->f);
    authority_close(w->us);
    unit_ca_keys_free(&w->keys);
    unit_ca_dir_remove(w->dir);
    test_free(w);
    return 0;
}

static void assert_refused(struct world *w, time_t now, const char *why)
{
    assert_int_equal(enrol_at(w, now), -1);
    assert_int_equal(w->e.code, E_REJECTED);
    if (strstr(w->e.msg, why) == NULL)
        fail_msg("%s", w->e.msg);
    assert_null(w->out.cert);
}

static void test_it_says_what_it_renews_to(void **state)
{
    struct world *w = *state;
    struct evidence_invitation v;
    X509 *root = NULL;
    struct err e = {0};

    assert_int_equal(renew_invitation(w->first, &v, &e), 0);
    assert_string_equal(v.subject, UNIT_FORGE_SUBJECT);
    assert_string_equal(v.authority, "Test Authority");
    assert_int_equal(v.community, OID_COMMUNICATIONS);
    assert_int_equal(v.level, 3);
    assert_int_equal(v.not_after, NOW - ISSUE_SKEW + 90 * DAY);
    assert_int_equal(authority_cert(w->us, REGISTRY_ROOT, 0, &root, &e), 0);
    assert_int_equal(renew_invitation(root, &v, &e), -1);
    assert_int_equal(e.code, E_FORMAT);
}

static void test_renewed_once_and_again_from_the_new_one(void **state)
{
    struct world *w = *state;
    X509 *second;

    renewing(w, w->first);
    if (enrol_at(w, NOW + 60 * DAY) != 0)
        fail_msg("%s", w->e.msg);
    second = w->out.cert;
    w->out.cert = NULL;
    assert_int_equal(X509_NAME_cmp(X509_get_subject_name(second), X509_get_subject_name(w->first)),
                     0);
    assert_int_equal(ASN1_TIME_cmp_time_t(X509_get0_notAfter(second), NOW - ISSUE_SKEW + 150 * DAY),
                     0);
    assert_int_equal(w->out.invitation.level, 3);
    /* The same request: the same certificate, whatever became of the older one. */
    assert_int_equal(
        registry_revoke(authority_registry(w->us), w->row.id, REGISTRY_SUPERSEDED, NOW, 0, &w->e),
        0);
    if (enrol_at(w, NOW + 60 * DAY) != 0)
        fail_msg("%s", w->e.msg);
    assert_true(w->out.again);
    assert_int_equal(X509_cmp(w->out.cert, second), 0);
    unit_forge_build(&w->f); /* other evidence for the same */
    assert_refused(w, NOW + 60 * DAY, "is revoked");
    renewing(w, second);
    if (enrol_at(w, NOW + 120 * DAY) != 0)
        fail_msg("%s", w->e.msg);
    X509_free(second);
}

static void test_another_request_for_the_same_is_refused(void **state)
{
    struct world *w = *state;

    renewing(w, w->first);
    assert_int_equal(enrol_at(w, NOW + 60 * DAY), 0);
    unit_forge_build(&w->f); /* other evidence for the same */
    assert_refused(w, NOW + 60 * DAY, "used already");
}

/* The nonce is in the registry from the first try on, which did not get as far as to take it. */
static void test_not_by_a_try_that_began_before_it_was_taken_back(void **state)
{
    struct world *w = *state;
    struct registry *r = authority_registry(w->us);
    size_t n = w->keys.n;
    struct authority *again = NULL;

    renewing(w, w->first);
    assert_int_equal(authority_open(&again, w->dir, false, unit_ca_signer_for, &w->keys, &w->e), 0);
    authority_close(w->us);
    w->us = again;
    r = authority_registry(w->us);
    w->keys.n = 0;
    assert_int_equal(enrol_at(w, NOW + 1), -1);
    assert_int_equal(w->e.code, E_NOT_FOUND);
    w->keys.n = n;
    err_clear(&w->e);
    assert_int_equal(registry_revoke(r, w->row.id, REGISTRY_KEY_COMPROMISE, NOW, 0, &w->e), 0);
    assert_refused(w, NOW + 2, "is revoked");
}

static void test_not_when_it_was_taken_back(void **state)
{
    struct world *w = *state;
    struct registry *r = authority_registry(w->us);
    struct err e = {0};

    renewing(w, w->first);
    assert_int_equal(registry_suspend(r, w->row.id, NOW, &e), 0);
    assert_refused(w, NOW + 1, "is suspended");
    assert_int_equal(renew_still(r, &w->row, &e), -1);
    err_clear(&e);
    assert_int_equal(registry_resume(r, w->row.id, NOW, &e), 0);
    assert_int_equal(renew_still(r, &w->row, &e), 0);
    assert_int_equal(registry_revoke(r, w->row.id, REGISTRY_SUPERSEDED, NOW, 0, &e), 0);
    assert_refused(w, NOW + 1, "is revoked");
    assert_int_equal(renew_still(r, &w->row, &e), -1);
}

static void test_a_hold_uses_nothing_up(void **state)
{
    struct world *w = *state;
    struct registry *r = authority_registry(w->us);
    struct err e = {0};

    renewing(w, w->first);
    assert_int_equal(registry_suspend(r, w->row.id, NOW, &e), 0);
    assert_refused(w, NOW + 1, "is suspended");
    assert_int_equal(registry_resume(r, w->row.id, NOW, &e), 0);
    if (enrol_at(w, NOW + 2) != 0)
        fail_msg("%s", w->e.msg);
}

static void test_not_past_its_end(void **state)
{
    struct world *w = *state;

    renewing(w, w->first);
    assert_refused(w, NOW + 90 * DAY, "has ended");
}

static void test_not_for_a_quarantined_device(void **state)
{
    struct world *w = *state;
    struct registry_device d = {.state = REGISTRY_DEVICE_QUARANTINED,
                                .oper = "O",
                                .officer = "F",
                                .note = "stolen",
                                .created_at = NOW};
    struct registry *r = authority_registry(w->us);
    struct err e = {0};

    assert_true(w->row.has_ek);
    assert_int_equal(registry_device_add(r, &d, &e), 0);
    assert_int_equal(registry_device_add_ek(r, d.id, w->row.ek_hash, &e), 0);
    renewing(w, w->first);
    assert_refused(w, NOW + 1, "");
    assert_int_equal(w->out.verdict.result[22 - 1].outcome, EVIDENCE_FAIL);
}

/* Who can read the certificate can compute its nonce; without the key that is all. */
static void test_another_key_or_tpm_cannot(void **state)
{
    struct world *w = *state;
    struct registry_invitation i;
    struct evidence_invitation v;
    struct err e = {0};

    renewing(w, w->first);
    w->f.csr_signer = w->f.other;
    unit_forge_build(&w->f);
    assert_refused(w, NOW + 1, "no invitation");
    w->f.csr_signer = w->f.subject;
    w->f.csr_key = w->f.csr_signer = w->f.other;
    unit_forge_build(&w->f);
    assert_refused(w, NOW + 1, "no invitation");
    assert_int_equal(renew_invitation(w->first, &v, &e), 0);
    assert_int_equal(
        registry_invitation(authority_registry(w->us), bytes_of(v.nonce, v.nonce_len), &i, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    /* The key's own TPM still can. */
    w->f.csr_key = w->f.csr_signer = w->f.subject;
    unit_forge_build(&w->f);
    if (enrol_at(w, NOW + 2) != 0)
        fail_msg("%s", w->e.msg);
}

/* The same key behind the EK of another TPM: the evidence is that of a copy. */
static void test_not_by_another_ek(void **state)
{
    struct world *w = *state;

    w->f.ek = unit_forge_key(UNIT_RSA, 7);
    renewing(w, w->first);
    assert_refused(w, NOW + 1, "");
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_it_says_what_it_renews_to),
        EACH(test_renewed_once_and_again_from_the_new_one),
        EACH(test_another_request_for_the_same_is_refused),
        EACH(test_not_by_a_try_that_began_before_it_was_taken_back),
        EACH(test_not_when_it_was_taken_back),
        EACH(test_a_hold_uses_nothing_up),
        EACH(test_not_past_its_end),
        EACH(test_not_for_a_quarantined_device),
        EACH(test_another_key_or_tpm_cannot),
        EACH(test_not_by_another_ek),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
