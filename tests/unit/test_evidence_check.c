/* Goal: each check of the verifier has input that fails it and nothing else, and good evidence
 * of every kind passes. */
#include "tests/support/unit_verdict.h"

#include "core/asn1.h"
#include "core/oid.h"
#include "core/tpmwire.h"

#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* --- the good path ------------------------------------------------------------ */

static void good(enum unit_key ek, enum unit_key ak, enum unit_key subject, bool pss)
{
    struct evidence_verdict v;
    struct unit_forge f;
    struct pubkey k;

    unit_forge_init(&f, ek, ak, subject);
    if (pss) {
        f.sig_pss = true;
        f.ak_pub.parameters.rsaDetail.scheme.scheme = TPM2_ALG_RSAPSS;
    }
    unit_forge_build(&f);
    unit_verdict_judge(&f, false, &v);
    unit_verdict_expect(&v, 0);
    assert_int_equal(v.level, 3);
    assert_int_equal(v.result[6].outcome, EVIDENCE_ASSERTED);
    assert_int_equal(v.result[15].outcome, EVIDENCE_PASS);
    f.terms.leaf = f.leaf;
    unit_verdict_judge(&f, true, &v);
    unit_verdict_expect(&v, 0);
    assert_int_equal(v.level, 3);
    assert_int_equal(v.result[6].outcome, EVIDENCE_PASS);
    assert_int_equal(v.result[23].outcome, EVIDENCE_PASS);
    unit_forge_pubkey(f.subject, &k);
    assert_true(v.has_subject && pubkey_equal(&v.subject, &k));
    assert_true(tpmname_equal(&v.ak_name, &f.ak_name));
    assert_true(tpmname_equal(&v.ek_name, &f.ek_name));
    unit_forge_free(&f);
}

static void test_a_p256_key_below_an_rsa_ek_is_level_3(void **state)
{
    (void)state;
    good(UNIT_RSA, UNIT_P256, UNIT_P256, false);
}

static void test_an_rsa_key_below_a_p384_ek_is_level_3(void **state)
{
    (void)state;
    good(UNIT_P384, UNIT_P256, UNIT_RSA, false);
}

static void test_rsa_aks_with_both_paddings_pass(void **state)
{
    (void)state;
    good(UNIT_P256, UNIT_RSA, UNIT_P384, false);
    good(UNIT_RSA, UNIT_RSA, UNIT_RSA, true);
}

static void test_an_ally_without_the_nonce_sees_what_is_asserted(void **state)
{
    struct evidence_verdict v;
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    unit_forge_build(&f);
    f.terms.nonce = (struct bytes){NULL, 0};
    f.terms.subject = NULL;
    f.terms.ek_spki_asserted = true;
    unit_verdict_judge(&f, true, &v);
    unit_verdict_expect(&v, 0);
    assert_int_equal(v.result[14].outcome, EVIDENCE_PASS);
    assert_int_equal(v.result[15].outcome, EVIDENCE_ASSERTED);
    assert_int_equal(v.result[21].outcome, EVIDENCE_ASSERTED);
    assert_int_equal(v.result[22].outcome, EVIDENCE_ASSERTED);
    assert_int_equal(v.result[16].outcome, EVIDENCE_NA);
    unit_forge_free(&f);
}

/* --- 1 and 2 ------------------------------------------------------------------ */

static void test_1_a_request_signed_by_another_key_is_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    f.csr_signer = f.other;
    unit_verdict_only(&f, 1);
}

static void test_1_a_request_signed_with_sha1_is_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    f.csr_md = EVP_sha1();
    unit_verdict_only(&f, 1);
}

static void trail_attest(struct unit_forge *f, struct buf *wire)
{
    (void)f;
    buf_u8(wire, 0);
}

static void trail_signature(struct unit_forge *f, struct evidence_bundle *b)
{
    (void)f;
    buf_u8(&b->certify.signature, 0);
}

static void trail_public(struct unit_forge *f, struct evidence_bundle *b)
{
    (void)f;
    buf_u8(&b->certify.about, 0);
}

static void trail_parent(struct unit_forge *f, struct evidence_bundle *b)
{
    (void)f;
    buf_u8(&b->parent, 0);
}

static void test_2_a_byte_after_any_tpm_structure_is_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    f.on_attest_wire = trail_attest;
    unit_verdict_only(&f, 2);
    unit_verdict_start(&f);
    f.on_bundle = trail_signature;
    unit_verdict_only(&f, 2);
    unit_verdict_start(&f);
    f.on_bundle = trail_public;
    unit_verdict_only(&f, 2);
    unit_verdict_start(&f);
    f.on_bundle = trail_parent;
    unit_verdict_only(&f, 2);
    unit_verdict_start(&f);
    unit_forge_build(&f);
    buf_u8(&f.record.ak_public, 0);
    unit_verdict_only_built(&f, 2, true);
}

static void overrun(struct unit_forge *f, struct buf *wire)
{
    (void)f;
    wire->p[6] = 0xff; /* the size of qualifiedSigner */
}

static void no_public(struct unit_forge *f, struct evidence_bundle *b)
{
    (void)f;
    buf_free(&b->certify.about);
}

static void no_parent(struct unit_forge *f, struct evidence_bundle *b)
{
    (void)f;
    buf_free(&b->parent);
}

static void test_2_missing_and_overrun_parts_are_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    f.on_attest_wire = overrun;
    unit_verdict_only(&f, 2);
    unit_verdict_start(&f);
    f.on_bundle = no_public;
    unit_verdict_only(&f, 2);
    unit_verdict_start(&f);
    f.on_bundle = no_parent;
    unit_verdict_only(&f, 2);
}

/* The record's CSR again with a second attribute .59: OpenSSL would not add one. */
static void twice(struct unit_forge *f)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(asn1_csr);
    uint8_t *der = NULL, sig[200];
    int len = i2d_X509_REQ(f->record.csr, &der);
    asn1_csr *csr = asn1_decode(type, bytes_of(der, (size_t)len), EVIDENCE_MAX, "csr", NULL);
    struct buf info = {0}, out = {0};
    size_t sig_len = sizeof(sig);
    EVP_MD_CTX *m = EVP_MD_CTX_new();
    const uint8_t *p;

    assert_non_null(csr);
    for (int i = 0; i < sk_X509_ATTRIBUTE_num(csr->info->attributes); i++) {
        X509_ATTRIBUTE *a = sk_X509_ATTRIBUTE_value(csr->info->attributes, i);

        if (!oid_is(X509_ATTRIBUTE_get0_object(a), OID_ATTR_ATTESTATION))
            continue;
        sk_X509_ATTRIBUTE_push(csr->info->attributes, X509_ATTRIBUTE_dup(a));
        break;
    }
    assert_int_equal(asn1_encode(csr->info, ASN1_ITEM_rptr(asn1_csrinfo), &info, NULL), 0);
    assert_int_equal(EVP_DigestSignInit(m, NULL, EVP_sha256(), NULL, f->csr_signer), 1);
    assert_int_equal(EVP_DigestSign(m, sig, &sig_len, info.p, info.len), 1);
    assert_int_equal(ASN1_BIT_STRING_set(csr->signature, sig, (int)sig_len), 1);
    csr->signature->flags |= ASN1_STRING_FLAG_BITS_LEFT;
    assert_int_equal(asn1_encode(csr, type, &out, NULL), 0);
    X509_REQ_free(f->record.csr);
    p = out.p;
    f->record.csr = d2i_X509_REQ(NULL, &p, (long)out.len);
    assert_non_null(f->record.csr);
    EVP_MD_CTX_free(m);
    OPENSSL_free(der);
    asn1_free(csr, type);
    buf_free(&info);
    buf_free(&out);
}

/* A second value in the one attribute. */
static void two_values(struct unit_forge *f, X509_REQ *csr)
{
    ASN1_OBJECT *oid = OBJ_txt2obj(OID_ATTR_ATTESTATION, 1);
    X509_ATTRIBUTE *a = X509_REQ_get_attr(csr, X509_REQ_get_attr_by_OBJ(csr, oid, -1));
    static const uint8_t empty[] = {0x30, 0x00};

    (void)f;
    assert_int_equal(X509_ATTRIBUTE_set1_data(a, V_ASN1_SEQUENCE, empty, sizeof(empty)), 1);
    ASN1_OBJECT_free(oid);
}

static void none(struct unit_forge *f, X509_REQ *csr)
{
    ASN1_OBJECT *oid = OBJ_txt2obj(OID_ATTR_ATTESTATION, 1);

    (void)f;
    X509_ATTRIBUTE_free(X509_REQ_delete_attr(csr, X509_REQ_get_attr_by_OBJ(csr, oid, -1)));
    ASN1_OBJECT_free(oid);
}

static void test_2_a_name_by_sha1_is_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    f.key_pub.nameAlg = TPM2_ALG_SHA1;
    unit_verdict_only(&f, 2);
}

static void test_2_two_bundles_two_values_or_none_are_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    unit_forge_build(&f);
    twice(&f);
    unit_verdict_only_built(&f, 2, true);
    unit_verdict_start(&f);
    f.on_csr = two_values;
    unit_verdict_only(&f, 2);
    unit_verdict_start(&f);
    f.on_csr = none;
    unit_verdict_only(&f, 2);
}

/* --- 3 to 6 ------------------------------------------------------------------- */

static void wrong_magic(struct unit_forge *f, struct buf *wire)
{
    (void)f;
    wire->p[0] ^= 1;
}

static void test_3_another_magic_is_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    f.on_attest_wire = wrong_magic;
    unit_verdict_only(&f, 3);
}

static void quote(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    a->type = TPM2_ST_ATTEST_QUOTE;
    memset(&a->attested, 0, sizeof(a->attested));
    a->attested.quote.pcrDigest.size = 32;
}

static void test_4_a_quote_in_the_certify_slot_is_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    f.on_attest = quote;
    unit_verdict_only(&f, 4);
}

static void test_5_a_sha1_signature_is_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    f.sig_hash = TPM2_ALG_SHA1;
    unit_verdict_only(&f, 5);
    /* also when the AK's own scheme says so */
    unit_verdict_start(&f);
    f.sig_hash = TPM2_ALG_SHA1;
    f.ak_pub.parameters.eccDetail.scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA1;
    unit_verdict_only(&f, 5);
}

static void test_5_a_scheme_other_than_the_aks_is_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_forge_init(&f, UNIT_RSA, UNIT_RSA, UNIT_P256);
    f.sig_pss = true;
    unit_verdict_only(&f, 5);
}

static void test_6_a_signature_by_another_key_is_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    f.attest_signer = f.other;
    unit_verdict_only(&f, 6);
}

static void zero_r(struct unit_forge *f, TPMT_SIGNATURE *s)
{
    (void)f;
    memset(s->signature.ecdsa.signatureR.buffer, 0, s->signature.ecdsa.signatureR.size);
}

static void zero_s(struct unit_forge *f, TPMT_SIGNATURE *s)
{
    (void)f;
    s->signature.ecdsa.signatureS.size = 0;
}

static void test_6_a_signature_with_a_zero_is_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    f.on_signature = zero_r;
    unit_verdict_only(&f, 6);
    unit_verdict_start(&f);
    f.on_signature = zero_s;
    unit_verdict_only(&f, 6);
}

/* --- 8 to 11 --------------------------------------------------------------------- */

static void test_8_an_ak_that_signs_anything_is_refused(void **state)
{
    static const uint32_t clear[] = {TPMA_OBJECT_RESTRICTED, TPMA_OBJECT_FIXEDTPM,
                                     TPMA_OBJECT_FIXEDPARENT, TPMA_OBJECT_SENSITIVEDATAORIGIN};
    struct unit_forge f;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(clear); i++) {
        unit_verdict_start(&f);
        f.ak_pub.objectAttributes &= ~clear[i];
        unit_verdict_only(&f, 8);
    }
    unit_verdict_start(&f);
    f.ak_pub.objectAttributes |= TPMA_OBJECT_DECRYPT;
    unit_verdict_only(&f, 8);
}

/* The AK is the child of another TPM's EK. */
static void other_ek(struct unit_forge *f, TPMS_ATTEST *a)
{
    TPM2B_NAME root, ek = f->ek_name, qn;

    ek.name[10] ^= 1;
    tpmname_handle(TPM2_RH_ENDORSEMENT, &root);
    assert_int_equal(tpmname_qualified(&root, &ek, &qn, NULL), 0);
    assert_int_equal(tpmname_qualified(&qn, &f->ak_name, &a->qualifiedSigner, NULL), 0);
}

/* The AK is a primary of the endorsement hierarchy, no child of the EK. */
static void primary_ak(struct unit_forge *f, TPMS_ATTEST *a)
{
    TPM2B_NAME root;

    tpmname_handle(TPM2_RH_ENDORSEMENT, &root);
    assert_int_equal(tpmname_qualified(&root, &f->ak_name, &a->qualifiedSigner, NULL), 0);
}

static void test_9_an_ak_of_another_tpm_is_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    f.on_attest = other_ek;
    unit_verdict_only(&f, 9);
    unit_verdict_start(&f);
    f.on_attest = primary_ak;
    unit_verdict_only(&f, 9);
}

static void other_name(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    a->attested.certify.name.name[5] ^= 1;
}

static void test_10_another_attested_name_is_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    f.on_attest = other_name;
    unit_verdict_only(&f, 10);
}

static void test_11_a_request_for_another_key_is_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    f.csr_key = f.csr_signer = f.other;
    unit_verdict_only(&f, 11);
    /* a point off the curve, with a Name that fits */
    unit_verdict_start(&f);
    f.key_pub.unique.ecc.y.buffer[7] ^= 1;
    unit_verdict_only(&f, 11);
}

/* --- 12 to 14 -------------------------------------------------------------------- */

static void test_12_imported_and_movable_keys_are_refused(void **state)
{
    static const uint32_t clear[] = {TPMA_OBJECT_FIXEDTPM, TPMA_OBJECT_FIXEDPARENT,
                                     TPMA_OBJECT_SENSITIVEDATAORIGIN, TPMA_OBJECT_SIGN_ENCRYPT};
    static const uint32_t set[] = {TPMA_OBJECT_ENCRYPTEDDUPLICATION, TPMA_OBJECT_RESTRICTED,
                                   TPMA_OBJECT_DECRYPT};
    struct unit_forge f;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(clear); i++) {
        unit_verdict_start(&f);
        f.key_pub.objectAttributes &= ~clear[i];
        unit_verdict_only(&f, 12);
    }
    for (size_t i = 0; i < ARRAY_LEN(set); i++) {
        unit_verdict_start(&f);
        f.key_pub.objectAttributes |= set[i];
        unit_verdict_only(&f, 12);
    }
}

static void test_12_decrypt_is_fine_where_the_profile_allows_it(void **state)
{
    struct evidence_verdict v;
    struct unit_forge f;

    (void)state;
    unit_forge_init(&f, UNIT_RSA, UNIT_P256, UNIT_RSA);
    f.key_pub.objectAttributes |= TPMA_OBJECT_DECRYPT;
    unit_forge_build(&f);
    f.terms.profile = evidence_profile_signing(true);
    unit_verdict_judge(&f, true, &v);
    unit_verdict_expect(&v, 0);
    unit_forge_free(&f);
}

static void test_12_an_empty_profile_still_refuses_a_movable_key(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    f.key_pub.objectAttributes &= ~(uint32_t)(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT);
    unit_forge_build(&f);
    f.terms.profile = (struct evidence_profile){0};
    unit_verdict_only_built(&f, 12, true);
}

static void test_13_another_authorization_is_refused(void **state)
{
    static const uint32_t flip[] = {TPMA_OBJECT_USERWITHAUTH, TPMA_OBJECT_ADMINWITHPOLICY,
                                    TPMA_OBJECT_NODA};
    struct unit_forge f;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(flip); i++) {
        unit_verdict_start(&f);
        f.key_pub.objectAttributes ^= flip[i];
        unit_verdict_only(&f, 13);
    }
    unit_verdict_start(&f);
    f.key_pub.authPolicy.size = 32;
    memset(f.key_pub.authPolicy.buffer, 7, 32);
    unit_verdict_only(&f, 13);
}

static void test_13_the_policy_asked_for_is_accepted_and_needed(void **state)
{
    struct evidence_verdict v;
    struct unit_forge f;
    uint8_t policy[32];

    (void)state;
    memset(policy, 7, sizeof(policy));
    unit_verdict_start(&f);
    f.key_pub.authPolicy.size = 32;
    memcpy(f.key_pub.authPolicy.buffer, policy, 32);
    f.key_pub.objectAttributes &= ~(uint32_t)TPMA_OBJECT_USERWITHAUTH;
    unit_forge_build(&f);
    f.terms.profile.required &= ~(uint32_t)TPMA_OBJECT_USERWITHAUTH;
    f.terms.profile.forbidden |= TPMA_OBJECT_USERWITHAUTH;
    f.terms.profile.auth_policy = bytes_of(policy, sizeof(policy));
    unit_verdict_judge(&f, true, &v);
    unit_verdict_expect(&v, 0);
    policy[31] ^= 1;
    unit_verdict_only_built(&f, 13, true);
}

static void other_qualified(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    a->attested.certify.qualifiedName.name[20] ^= 1;
}

static void test_14_another_parent_is_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    f.on_attest = other_qualified;
    unit_verdict_only(&f, 14);
    unit_verdict_start(&f);
    f.parent_hierarchy = TPM2_RH_NULL;
    unit_verdict_only(&f, 14);
    unit_verdict_start(&f);
    f.parent_pub.objectAttributes &= ~(uint32_t)TPMA_OBJECT_FIXEDTPM;
    unit_verdict_only(&f, 14);
}

/* --- 15 and 16 ------------------------------------------------------------------- */

static void constant_extra(struct unit_forge *f, TPMS_ATTEST *a)
{
    static const uint8_t constant[] = {0x00, 0xff, 0x55, 0xaa};

    (void)f;
    a->extraData.size = sizeof(constant);
    memcpy(a->extraData.buffer, constant, sizeof(constant));
}

/* The bundle stays, the subject changes. */
static void new_subject(struct unit_forge *f, X509_REQ *csr)
{
    X509_NAME *n = X509_NAME_new();

    (void)f;
    X509_NAME_add_entry_by_NID(n, NID_commonName, MBSTRING_UTF8, (const unsigned char *)"someone",
                               -1, -1, 0);
    X509_REQ_set_subject_name(csr, n);
    X509_NAME_free(n);
}

static void test_15_evidence_not_made_for_this_request_is_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    f.on_attest = constant_extra;
    unit_verdict_only(&f, 15);
    unit_verdict_start(&f);
    f.on_csr = new_subject;
    unit_verdict_only(&f, 15);
    /* evidence for another session's nonce */
    unit_verdict_start(&f);
    unit_forge_build(&f);
    f.nonce[0] ^= 1;
    unit_verdict_only_built(&f, 15, false);
}

static void test_16_stale_wrong_and_missing_nonces_are_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    unit_forge_build(&f);
    f.terms.nonce_state = EVIDENCE_NONCE_STALE;
    unit_verdict_only_built(&f, 16, false);
    unit_verdict_start(&f);
    unit_forge_build(&f);
    f.terms.nonce = (struct bytes){NULL, 0};
    unit_verdict_only_built(&f, 16, false);
    unit_verdict_start(&f);
    unit_forge_build(&f);
    f.record.nonce.p[0] ^= 1;
    unit_verdict_only_built(&f, 16, true);
}

/* --- hostile input ------------------------------------------------------------------ */

static void test_a_flipped_byte_anywhere_never_passes_unseen(void **state)
{
    struct evidence_verdict v;
    struct unit_forge f;
    struct buf der = {0};
    struct err e = {0};
    unsigned parsed = 0;

    (void)state;
    unit_verdict_start(&f);
    unit_forge_build(&f);
    f.terms.leaf = f.leaf;
    assert_int_equal(evidence_record_encode(&f.record, &der, &e), 0);
    for (size_t i = 0; i < der.len; i += 3) {
        struct evidence_record r = {0};

        der.p[i] ^= (uint8_t)(1u << (i % 8));
        if (evidence_record_decode(buf_bytes(&der), &r, NULL) == 0) {
            parsed++;
            assert_int_equal(evidence_check_record(&r, &f.terms, &v, NULL), 0);
            /* the leaf's hash sees every change, whatever else does */
            assert_false(v.accepted);
            assert_int_equal(v.result[23].outcome, EVIDENCE_FAIL);
        }
        der.p[i] ^= (uint8_t)(1u << (i % 8));
        evidence_record_free(&r);
    }
    assert_true(parsed > 100);
    buf_free(&der);
    unit_forge_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_p256_key_below_an_rsa_ek_is_level_3),
        cmocka_unit_test(test_an_rsa_key_below_a_p384_ek_is_level_3),
        cmocka_unit_test(test_rsa_aks_with_both_paddings_pass),
        cmocka_unit_test(test_an_ally_without_the_nonce_sees_what_is_asserted),
        cmocka_unit_test(test_1_a_request_signed_by_another_key_is_refused),
        cmocka_unit_test(test_1_a_request_signed_with_sha1_is_refused),
        cmocka_unit_test(test_2_a_byte_after_any_tpm_structure_is_refused),
        cmocka_unit_test(test_2_missing_and_overrun_parts_are_refused),
        cmocka_unit_test(test_2_a_name_by_sha1_is_refused),
        cmocka_unit_test(test_2_two_bundles_two_values_or_none_are_refused),
        cmocka_unit_test(test_3_another_magic_is_refused),
        cmocka_unit_test(test_4_a_quote_in_the_certify_slot_is_refused),
        cmocka_unit_test(test_5_a_sha1_signature_is_refused),
        cmocka_unit_test(test_5_a_scheme_other_than_the_aks_is_refused),
        cmocka_unit_test(test_6_a_signature_by_another_key_is_refused),
        cmocka_unit_test(test_6_a_signature_with_a_zero_is_refused),
        cmocka_unit_test(test_8_an_ak_that_signs_anything_is_refused),
        cmocka_unit_test(test_9_an_ak_of_another_tpm_is_refused),
        cmocka_unit_test(test_10_another_attested_name_is_refused),
        cmocka_unit_test(test_11_a_request_for_another_key_is_refused),
        cmocka_unit_test(test_12_imported_and_movable_keys_are_refused),
        cmocka_unit_test(test_12_decrypt_is_fine_where_the_profile_allows_it),
        cmocka_unit_test(test_12_an_empty_profile_still_refuses_a_movable_key),
        cmocka_unit_test(test_13_another_authorization_is_refused),
        cmocka_unit_test(test_13_the_policy_asked_for_is_accepted_and_needed),
        cmocka_unit_test(test_14_another_parent_is_refused),
        cmocka_unit_test(test_15_evidence_not_made_for_this_request_is_refused),
        cmocka_unit_test(test_16_stale_wrong_and_missing_nonces_are_refused),
        cmocka_unit_test(test_a_flipped_byte_anywhere_never_passes_unseen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
