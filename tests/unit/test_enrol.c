/* Goal: only good evidence for an open invitation gives a certificate, sealed to the
 * one TPM; everything else gives its reasons, and nothing is issued. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/enrol.h"
#include "core/asn1.h"
#include "core/credential.h"
#include "core/oid.h"
#include "tests/support/unit_activate.h"
#include "tests/support/unit_enrol.h"

#include <string.h>

#define NOW UNIT_ENROL_NOW

/* --- stories ------------------------------------------------------------- */

static void test_good_evidence_gives_a_certificate_for_that_tpm(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();
    struct credential_sealed sealed = {0};
    struct credential_issued got = {0};
    X509 *root = NULL, *between[2] = {NULL, NULL};
    uint8_t secret[32], hash[32], want[32];
    struct err e = {0};

    unit_enrol_invite(w, &p);
    unit_enrol_build(w);
    if (unit_enrol_at(w, NOW) != 0)
        fail_msg("%s", w->e.msg);
    assert_true(w->out.verdict.accepted);
    assert_int_equal(unit_enrol_issued(w), 2);
    assert_true(unit_enrol_consumed(w));

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
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        unit_forge_free(&w->f);
        unit_forge_init(&w->f, kinds[i][0], kinds[i][1], kinds[i][2]);
        unit_enrol_invite(w, &p);
        unit_enrol_build(w);
        if (unit_enrol_at(w, NOW) != 0)
            fail_msg("%s", w->e.msg);
        assert_int_equal(unit_enrol_issued(w), 2 * (i + 1));
    }
}

static void test_expired_invitation_is_refused(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();

    p.now = NOW - 2 * 86400;
    unit_enrol_invite(w, &p);
    unit_enrol_build(w);
    unit_enrol_refused(w, unit_enrol_at(w, NOW), 16);
    assert_non_null(strstr(w->e.msg, "expired"));
    assert_false(unit_enrol_consumed(w));
}

static void test_unknown_nonce_is_refused(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();
    uint8_t right[32];

    unit_enrol_invite(w, &p);
    memcpy(right, w->f.nonce, sizeof(right));
    w->f.nonce[0] ^= 1;
    unit_enrol_build(w);
    unit_enrol_refused(w, unit_enrol_at(w, NOW), 16);
    assert_false(w->out.invited);
    memcpy(w->f.nonce, right, sizeof(right));
    assert_false(unit_enrol_consumed(w));
    assert_int_equal(w->keys.opened, 0);
}

static void test_another_ek_than_registered_is_refused(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();
    uint8_t other[32] = {1};

    p.ek_hash = other;
    unit_enrol_invite(w, &p);
    unit_enrol_build(w);
    unit_enrol_refused(w, unit_enrol_at(w, NOW), 22);
    assert_true(unit_enrol_consumed(w));
}

static void test_the_registered_ek_is_served(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();
    struct pubkey ek;
    uint8_t id[32];
    struct err e = {0};

    unit_forge_pubkey(w->f.ek, &ek);
    assert_int_equal(pubkey_id(&ek, id, &e), 0);
    p.ek_hash = id;
    unit_enrol_invite(w, &p);
    unit_enrol_build(w);
    assert_int_equal(unit_enrol_at(w, NOW), 0);
    assert_int_equal(w->out.verdict.result[21].outcome, EVIDENCE_PASS);
}

static void test_ek_of_an_issuer_that_is_not_pinned_is_refused(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();

    unit_enrol_invite(w, &p);
    w->f.ek_root_key = unit_forge_key(UNIT_P384, 8);
    w->f.ek_ca_key = unit_forge_key(UNIT_P384, 9);
    unit_enrol_build(w);
    unit_enrol_refused(w, unit_enrol_at(w, NOW), 18);
    assert_true(unit_enrol_consumed(w));
}

static void test_software_key_with_forged_evidence_is_refused(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();

    unit_enrol_invite(w, &p);
    w->f.attest_signer = w->f.other;
    unit_enrol_build(w);
    unit_enrol_refused(w, unit_enrol_at(w, NOW), 6);
    assert_true(unit_enrol_consumed(w));
}

static void test_request_for_another_name_is_refused(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();

    p.dns = "gw2.comms.example";
    unit_enrol_invite(w, &p);
    unit_enrol_build(w);
    unit_enrol_refused(w, unit_enrol_at(w, NOW), 23);
}

static void test_level_that_is_not_proven_is_refused(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();

    p.level = 4;
    unit_enrol_invite(w, &p);
    unit_enrol_build(w);
    unit_enrol_refused(w, unit_enrol_at(w, NOW), 0);
    assert_true(w->out.verdict.accepted);
    assert_non_null(strstr(w->e.msg, "level 4"));
}

static void test_missing_ca_key_costs_no_invitation(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();
    size_t n = w->keys.n;

    unit_enrol_invite(w, &p);
    unit_enrol_build(w);
    w->keys.n = 0;
    assert_int_equal(unit_enrol_at(w, NOW), -1);
    assert_int_equal(w->e.code, E_NOT_FOUND);
    assert_false(w->out.refused);
    assert_false(unit_enrol_consumed(w));
    assert_int_equal(unit_enrol_issued(w), 0);
    w->keys.n = n;
    assert_int_equal(unit_enrol_at(w, NOW), 0);
}

static void test_what_is_no_request_is_refused(void **state)
{
    struct unit_enrol *w = *state;
    struct buf sealed = {0};
    static const char text[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    assert_int_equal(enrol_run(w->us, bytes_of("\x30\x00", 2), NOW, &w->out, &w->e), -1);
    assert_int_equal(w->e.code, E_FORMAT);
    err_clear(&w->e);
    assert_int_equal(
        enrol_pem(w->us, bytes_of(text, sizeof(text) - 1), NOW, &w->out, &sealed, &w->e), -1);
    assert_int_equal(w->e.code, E_FORMAT);
    assert_int_equal(sealed.len, 0);
    assert_int_equal(unit_enrol_issued(w), 0);
}

static void test_files_in_and_out(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();
    struct credential_sealed s = {0};
    struct buf request = {0}, sealed = {0};
    struct err e = {0};

    unit_enrol_invite(w, &p);
    unit_enrol_build(w);
    assert_int_equal(evidence_request_to_pem(&w->f.request, &request, &e), 0);
    assert_int_equal(enrol_pem(w->us, buf_bytes(&request), NOW, &w->out, &sealed, &e), 0);
    assert_int_equal(credential_from_pem(buf_bytes(&sealed), &s, &e), 0);
    credential_sealed_free(&s);
    buf_free(&request);
    buf_free(&sealed);
}

static void test_invitations_are_bounded(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();
    struct buf pem = {0};

#define REFUSED(code_)                                                  \
    do {                                                                \
        err_clear(&w->e);                                               \
        assert_int_equal(authority_invite(w->us, &p, &pem, &w->e), -1); \
        assert_int_equal(w->e.code, code_);                             \
        assert_int_equal(pem.len, 0);                                   \
        p = unit_enrol_terms();                                         \
    } while (0)
    p.community = OID_FINANCE;
    REFUSED(E_NOT_FOUND);
    p.level = 0;
    REFUSED(E_ARG);
    p.level = 5;
    REFUSED(E_ARG);
    p.dns = "gw.other.example";
    REFUSED(E_ARG);
    p.dns = "a23456789012345678901234567890.a23456789012345678901234567890.comms.example";
    REFUSED(E_ARG);
    p.days = 91;
    REFUSED(E_ARG);
#undef REFUSED
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, unit_enrol_up, unit_enrol_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_good_evidence_gives_a_certificate_for_that_tpm),
        EACH(test_rsa_and_p384_keys_are_served_too),
        EACH(test_expired_invitation_is_refused),
        EACH(test_unknown_nonce_is_refused),
        EACH(test_another_ek_than_registered_is_refused),
        EACH(test_the_registered_ek_is_served),
        EACH(test_ek_of_an_issuer_that_is_not_pinned_is_refused),
        EACH(test_software_key_with_forged_evidence_is_refused),
        EACH(test_request_for_another_name_is_refused),
        EACH(test_level_that_is_not_proven_is_refused),
        EACH(test_missing_ca_key_costs_no_invitation),
        EACH(test_what_is_no_request_is_refused),
        EACH(test_files_in_and_out),
        EACH(test_invitations_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
