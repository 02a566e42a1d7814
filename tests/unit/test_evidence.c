/* Goal: messages survive the journey byte for byte; anything cut, doubled, padded or of
 * another kind is refused with words that help. */
#include "tests/support/unit_forge.h"

#include "core/asn1.h"
#include "core/oid.h"

#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct evidence_invitation invitation(void)
{
    struct evidence_invitation v = {.authority = "Example authority",
                                    .nonce_len = 32,
                                    .subject = UNIT_FORGE_SUBJECT,
                                    .community = OID_COMMUNICATIONS,
                                    .level = 3,
                                    .not_after = UNIT_FORGE_NOW,
                                    .has_ek = true};

    memset(v.nonce, 7, 32);
    memset(v.ek_spki, 8, 32);
    return v;
}

static void build(struct unit_forge *f)
{
    unit_forge_init(f, UNIT_RSA, UNIT_P256, UNIT_P256);
    unit_forge_build(f);
}

/* --- round trips ----------------------------------------------------------------- */

static void test_an_invitation_comes_back_as_it_was(void **state)
{
    struct evidence_invitation v = invitation(), got;
    struct buf pem = {0};

    (void)state;
    for (int ek = 0; ek < 2; ek++) {
        v.has_ek = ek != 0;
        if (!v.has_ek)
            memset(v.ek_spki, 0, 32);
        else
            memset(v.ek_spki, 8, 32);
        buf_free(&pem);
        assert_int_equal(evidence_invitation_to_pem(&v, &pem, NULL), 0);
        memset(&got, 0xee, sizeof(got));
        assert_int_equal(evidence_invitation_from_pem(buf_bytes(&pem), &got, NULL), 0);
        assert_string_equal(got.authority, v.authority);
        assert_string_equal(got.subject, v.subject);
        assert_int_equal(got.nonce_len, 32);
        assert_memory_equal(got.nonce, v.nonce, 32);
        assert_int_equal(got.community, v.community);
        assert_int_equal(got.level, v.level);
        assert_int_equal(got.not_after, v.not_after);
        assert_int_equal(got.has_ek, v.has_ek);
        assert_memory_equal(got.ek_spki, v.ek_spki, 32);
    }
    buf_free(&pem);
}

static void test_an_invitation_that_makes_no_sense_is_refused(void **state)
{
    struct evidence_invitation v;
    struct buf der = {0};

    (void)state;
    v = invitation();
    v.nonce_len = 7;
    assert_int_equal(evidence_invitation_encode(&v, &der, NULL), -1);
    v.nonce_len = 65;
    assert_int_equal(evidence_invitation_encode(&v, &der, NULL), -1);
    v = invitation();
    v.community = 5;
    assert_int_equal(evidence_invitation_encode(&v, &der, NULL), -1);
    v = invitation();
    v.level = 0;
    assert_int_equal(evidence_invitation_encode(&v, &der, NULL), -1);
    assert_int_equal(der.len, 0);
    /* control characters are seen by the reader */
    v = invitation();
    v.subject[2] = '\n';
    assert_int_equal(evidence_invitation_encode(&v, &der, NULL), 0);
    assert_int_equal(evidence_invitation_decode(buf_bytes(&der), &v, NULL), -1);
    buf_free(&der);
}

static void test_request_and_record_come_back_byte_for_byte(void **state)
{
    struct buf pem = {0}, again = {0};
    struct evidence_request r = {0};
    struct evidence_record c = {0};
    struct unit_forge f;

    (void)state;
    build(&f);
    assert_int_equal(evidence_request_to_pem(&f.request, &pem, NULL), 0);
    assert_int_equal(evidence_request_from_pem(buf_bytes(&pem), &r, NULL), 0);
    assert_int_equal(evidence_request_to_pem(&r, &again, NULL), 0);
    assert_true(bytes_equal(buf_bytes(&pem), buf_bytes(&again)));
    assert_int_equal(r.ek_template, f.ek_template);
    buf_free(&pem);
    buf_free(&again);
    assert_int_equal(evidence_record_to_pem(&f.record, &pem, NULL), 0);
    assert_int_equal(evidence_record_from_pem(buf_bytes(&pem), &c, NULL), 0);
    assert_int_equal(evidence_record_to_pem(&c, &again, NULL), 0);
    assert_true(bytes_equal(buf_bytes(&pem), buf_bytes(&again)));
    assert_int_equal(c.issued_at, UNIT_FORGE_NOW);
    buf_free(&pem);
    buf_free(&again);
    evidence_request_free(&r);
    evidence_record_free(&c);
    unit_forge_free(&f);
}

/* --- hostile bytes ----------------------------------------------------------------- */

static void test_every_cut_of_every_message_is_refused(void **state)
{
    struct evidence_invitation v = invitation(), gv;
    struct evidence_request gr = {0};
    struct evidence_record gc = {0};
    struct buf der[3] = {{0}};
    struct unit_forge f;

    (void)state;
    build(&f);
    assert_int_equal(evidence_invitation_encode(&v, &der[0], NULL), 0);
    assert_int_equal(evidence_request_encode(&f.request, &der[1], NULL), 0);
    assert_int_equal(evidence_record_encode(&f.record, &der[2], NULL), 0);
    for (size_t i = 0; i < 3; i++) {
        for (size_t cut = 0; cut <= der[i].len; cut++) {
            /* An exact copy, so that a read past the end is seen; the last one has a byte more. */
            size_t n = cut == der[i].len ? cut + 1 : cut;
            uint8_t *copy = OPENSSL_zalloc(n + (n == 0));
            struct bytes in = {copy, n};
            struct err e = {0};
            int rc;

            memcpy(copy, der[i].p, cut);
            rc = i == 0   ? evidence_invitation_decode(in, &gv, &e)
                 : i == 1 ? evidence_request_decode(in, &gr, &e)
                          : evidence_record_decode(in, &gc, &e);
            assert_int_equal(rc, -1);
            assert_int_equal(e.code, E_FORMAT);
            OPENSSL_free(copy);
        }
        buf_free(&der[i]);
    }
    unit_forge_free(&f);
}

static void test_encodings_other_than_der_are_refused(void **state)
{
    struct evidence_invitation v = invitation(), got;
    struct buf der = {0}, ber = {0};
    struct reader r;

    (void)state;
    assert_int_equal(evidence_invitation_encode(&v, &der, NULL), 0);
    /* the outer length in a longer form than needed */
    r = reader_of(der.p, der.len);
    assert_int_equal(reader_u8(&r), 0x30);
    assert_int_equal(reader_u8(&r), 0x81);
    buf_u8(&ber, 0x30);
    buf_u8(&ber, 0x82);
    buf_u16(&ber, reader_u8(&r));
    buf_add_bytes(&ber, reader_take(&r, r.left));
    assert_int_equal(evidence_invitation_decode(buf_bytes(&ber), &got, NULL), -1);
    buf_free(&der);
    buf_free(&ber);
}

static void test_a_newer_version_is_named_as_such(void **state)
{
    struct evidence_invitation v = invitation(), got;
    struct buf der = {0};
    struct err e = {0};

    (void)state;
    assert_int_equal(evidence_invitation_encode(&v, &der, NULL), 0);
    assert_int_equal(der.p[5], 1); /* 30 81 xx 02 01 01 */
    der.p[5] = 2;
    assert_int_equal(evidence_invitation_decode(buf_bytes(&der), &got, &e), -1);
    assert_int_equal(e.code, E_VERSION);
    buf_free(&der);
}

static void test_oversized_input_is_refused_unread(void **state)
{
    uint8_t *big = OPENSSL_zalloc(3 * EVIDENCE_MAX);
    struct evidence_request r = {0};
    struct err e = {0};

    (void)state;
    big[0] = 0x30;
    assert_int_equal(evidence_request_decode(bytes_of(big, EVIDENCE_MAX + 1), &r, &e), -1);
    assert_int_equal(e.code, E_FORMAT);
    err_clear(&e);
    assert_int_equal(evidence_request_from_pem(bytes_of(big, 3 * EVIDENCE_MAX), &r, &e), -1);
    assert_int_equal(e.code, E_FORMAT);
    OPENSSL_free(big);
}

/* --- PEM ---------------------------------------------------------------------------- */

static void test_text_around_the_block_is_passed_over(void **state)
{
    struct evidence_invitation v = invitation(), got;
    struct buf text = {0};

    (void)state;
    buf_str(&text, "Dear applicant,\n\nhere it is:\n\n");
    assert_int_equal(evidence_invitation_to_pem(&v, &text, NULL), 0);
    buf_str(&text, "\nKind regards -- the authority\n");
    assert_int_equal(evidence_invitation_from_pem(buf_bytes(&text), &got, NULL), 0);
    /* two of them would leave open which one is meant */
    assert_int_equal(evidence_invitation_to_pem(&v, &text, NULL), 0);
    assert_int_equal(evidence_invitation_from_pem(buf_bytes(&text), &got, NULL), -1);
    buf_free(&text);
}

static void test_the_wrong_kind_of_file_is_named(void **state)
{
    struct evidence_request r = {0};
    struct evidence_invitation v = invitation();
    struct unit_forge f;
    struct buf text = {0};
    struct err e = {0};
    BIO *b = BIO_new(BIO_s_mem());
    char *p;
    long n;

    (void)state;
    build(&f);
    PEM_write_bio_X509(b, f.ca);
    n = BIO_get_mem_data(b, &p);
    assert_int_equal(evidence_request_from_pem(bytes_of(p, (size_t)n), &r, &e), -1);
    assert_string_equal(e.msg, "this is a certificate, not an enrolment request");
    err_clear(&e);
    assert_int_equal(evidence_invitation_to_pem(&v, &text, NULL), 0);
    assert_int_equal(evidence_request_from_pem(buf_bytes(&text), &r, &e), -1);
    assert_string_equal(e.msg, "this is an invitation, not an enrolment request");
    err_clear(&e);
    assert_int_equal(evidence_request_from_pem(bytes_of("hello", 5), &r, &e), -1);
    assert_non_null(strstr(e.msg, "BEGIN FUSETSU ENROLMENT REQUEST"));
    err_clear(&e);
    buf_free(&text);
    assert_int_equal(evidence_request_encode(&f.request, &text, NULL), 0);
    assert_int_equal(evidence_request_from_pem(buf_bytes(&text), &r, &e), -1);
    assert_non_null(strstr(e.msg, "binary"));
    err_clear(&e);
    assert_int_equal(evidence_request_from_pem((struct bytes){NULL, 0}, &r, &e), -1);
    buf_free(&text);
    BIO_free(b);
    unit_forge_free(&f);
}

/* --- the bundle and the tie ------------------------------------------------------------ */

static void test_the_bundle_does_not_change_what_is_certified(void **state)
{
    uint8_t with[32], without[32], other[32];
    X509_REQ *bare = NULL;
    struct unit_forge f;
    ASN1_OBJECT *oid = OBJ_txt2obj(OID_ATTR_ATTESTATION, 1);
    uint8_t nonce[8] = {1};

    (void)state;
    build(&f);
    assert_int_equal(evidence_qualifying(bytes_of(nonce, 8), f.request.csr, with, NULL), 0);
    bare = X509_REQ_dup(f.request.csr);
    X509_ATTRIBUTE_free(X509_REQ_delete_attr(bare, X509_REQ_get_attr_by_OBJ(bare, oid, -1)));
    assert_true(X509_REQ_sign(bare, f.subject, EVP_sha384()) > 0);
    assert_int_equal(evidence_qualifying(bytes_of(nonce, 8), bare, without, NULL), 0);
    assert_memory_equal(with, without, 32);
    nonce[0] ^= 1;
    assert_int_equal(evidence_qualifying(bytes_of(nonce, 8), bare, other, NULL), 0);
    assert_memory_not_equal(with, other, 32);
    /* the length is part of it: no byte moves between nonce and key */
    assert_int_equal(evidence_qualifying(bytes_of(nonce, 7), bare, other, NULL), 0);
    assert_memory_not_equal(with, other, 32);
    X509_REQ_free(bare);
    ASN1_OBJECT_free(oid);
    unit_forge_free(&f);
}

static void test_a_bundle_with_certificates_is_read(void **state)
{
    struct evidence_bundle in = {0}, got = {0};
    X509_REQ *csr = X509_REQ_new();
    struct unit_forge f;

    (void)state;
    build(&f);
    X509_REQ_set_pubkey(csr, f.subject);
    buf_str(&in.certify.attest, "attest");
    buf_str(&in.certify.signature, "signature");
    in.certs = sk_X509_new_null();
    sk_X509_push(in.certs, f.ca);
    sk_X509_push(in.certs, f.ek_ca);
    assert_int_equal(evidence_bundle_attach(csr, &in, NULL), 0);
    assert_int_equal(evidence_bundle_attach(csr, &in, NULL), -1);
    assert_int_equal(evidence_bundle_extract(csr, &got, NULL), 0);
    assert_true(bytes_equal(buf_bytes(&got.certify.attest), buf_bytes(&in.certify.attest)));
    assert_true(bytes_equal(buf_bytes(&got.certify.signature), buf_bytes(&in.certify.signature)));
    assert_int_equal(got.certify.about.len + got.parent.len, 0);
    assert_int_equal(sk_X509_num(got.certs), 2);
    assert_int_equal(X509_cmp(sk_X509_value(got.certs, 1), f.ek_ca), 0);
    evidence_bundle_free(&got);
    buf_free(&in.certify.attest);
    buf_free(&in.certify.signature);
    sk_X509_free(in.certs);
    X509_REQ_free(csr);
    unit_forge_free(&f);
}

/* An older draft's statement with a hint, one of an unknown kind, and a certificate choice of
 * another format: AttestationBundle written by hand. */
static void test_hints_and_unknown_statements_are_passed_over(void **state)
{
    static const uint8_t
        bundle
            [] =
                {
                    0x30, 0x2d, 0x30, 0x26, 0x30, 0x1b, 0x06, 0x05, 0x67, 0x81,
                    0x05, 0x14, 0x01, /* 2.23.133.20.1 */
                    0x30, 0x0a, 0x04, 0x03, 'a',  'b',  'c',  0x04, 0x03, 'd',
                    'e',  'f',  0x0c, 0x06, 'h',  'i',  'n',  't',  'e',  'd',
                    0x30, 0x07, 0x06, 0x03, 0x2a, 0x03, 0x04, 0x05, 0x00, /* 1.2.3.4, NULL */
                    0x30, 0x03, 0xa3, 0x01, 0x00,                         /* [3] */
                };
    static const uint8_t two_certify[] = {
        0x30, 0x2a, 0x30, 0x28, 0x30, 0x12, 0x06, 0x05, 0x67, 0x81, 0x05, 0x14, 0x01, 0x30, 0x09,
        0x04, 0x03, 'a',  'b',  'c',  0x04, 0x02, 'd',  'e',  0x30, 0x12, 0x06, 0x05, 0x67, 0x81,
        0x05, 0x14, 0x01, 0x30, 0x09, 0x04, 0x03, 'a',  'b',  'c',  0x04, 0x02, 'd',  'e',
    };
    ASN1_OBJECT *oid = OBJ_txt2obj(OID_ATTR_ATTESTATION, 1);
    struct evidence_bundle got = {0};
    struct err e = {0};
    X509_REQ *csr = X509_REQ_new(), *two = X509_REQ_new();

    (void)state;
    assert_int_equal(X509_REQ_add1_attr_by_OBJ(csr, oid, V_ASN1_SEQUENCE, bundle, sizeof(bundle)),
                     1);
    if (evidence_bundle_extract(csr, &got, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(got.certify.attest.len, 3);
    assert_null(got.certs);
    evidence_bundle_free(&got);
    assert_int_equal(
        X509_REQ_add1_attr_by_OBJ(two, oid, V_ASN1_SEQUENCE, two_certify, sizeof(two_certify)), 1);
    assert_int_equal(evidence_bundle_extract(two, &got, &e), -1);
    assert_non_null(strstr(e.msg, "two Certify"));
    X509_REQ_free(csr);
    X509_REQ_free(two);
    ASN1_OBJECT_free(oid);
}

static void test_every_cut_of_a_bundle_is_refused(void **state)
{
    ASN1_OBJECT *oid = OBJ_txt2obj(OID_ATTR_ATTESTATION, 1);
    struct evidence_bundle got = {0};
    struct buf whole = {0};
    struct unit_forge f;
    ASN1_TYPE *v;
    int at;

    (void)state;
    build(&f);
    at = X509_REQ_get_attr_by_OBJ(f.request.csr, oid, -1);
    v = X509_ATTRIBUTE_get0_type(X509_REQ_get_attr(f.request.csr, at), 0);
    buf_add_bytes(&whole, asn1_octets(v->value.sequence));
    for (size_t cut = 0; cut < whole.len; cut++) {
        assert_int_equal(ASN1_STRING_set(v->value.sequence, whole.p, (int)cut), 1);
        assert_int_equal(evidence_bundle_extract(f.request.csr, &got, NULL), -1);
    }
    buf_free(&whole);
    ASN1_OBJECT_free(oid);
    unit_forge_free(&f);
}

/* --- identifiers ------------------------------------------------------------------------ */

static void test_policies_name_community_and_level_together(void **state)
{
    char text[OID_TEXT_MAX];
    unsigned c = 0, l = 0;

    (void)state;
    for (unsigned i = 1; i <= OID_COMMUNITIES; i++) {
        for (unsigned j = 1; j <= OID_LEVELS; j++) {
            ASN1_OBJECT *o;

            assert_int_equal(oid_policy(i, j, text, NULL), 0);
            o = oid_object(text, NULL);
            assert_non_null(o);
            assert_true(oid_policy_of(o, &c, &l));
            assert_true(c == i && l == j);
            ASN1_OBJECT_free(o);
        }
        assert_int_equal(oid_community_named(oid_community_name(i)), i);
    }
    assert_int_equal(oid_policy(0, 1, text, NULL), -1);
    assert_int_equal(oid_policy(1, 5, text, NULL), -1);
    assert_null(oid_community_name(5));
    assert_int_equal(oid_community_named("nobody"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_invitation_comes_back_as_it_was),
        cmocka_unit_test(test_an_invitation_that_makes_no_sense_is_refused),
        cmocka_unit_test(test_request_and_record_come_back_byte_for_byte),
        cmocka_unit_test(test_every_cut_of_every_message_is_refused),
        cmocka_unit_test(test_encodings_other_than_der_are_refused),
        cmocka_unit_test(test_a_newer_version_is_named_as_such),
        cmocka_unit_test(test_oversized_input_is_refused_unread),
        cmocka_unit_test(test_text_around_the_block_is_passed_over),
        cmocka_unit_test(test_the_wrong_kind_of_file_is_named),
        cmocka_unit_test(test_the_bundle_does_not_change_what_is_certified),
        cmocka_unit_test(test_a_bundle_with_certificates_is_read),
        cmocka_unit_test(test_hints_and_unknown_statements_are_passed_over),
        cmocka_unit_test(test_every_cut_of_a_bundle_is_refused),
        cmocka_unit_test(test_policies_name_community_and_level_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
