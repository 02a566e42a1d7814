/* Goal: certificates and names in evidence: each fault fails its own check and nothing else. */
#include "core/oid.h"
#include "tests/support/unit_verdict.h"

#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* --- 7: the AK certificate ------------------------------------------------------ */

static void drop_ext(X509 *x, int nid)
{
    X509_EXTENSION_free(X509_delete_ext(x, X509_get_ext_by_NID(x, nid, -1)));
}

static void no_eku(struct unit_forge *f, X509 *x)
{
    (void)f;
    drop_ext(x, NID_ext_key_usage);
}

static void tls_eku(struct unit_forge *f, X509 *x)
{
    (void)f;
    drop_ext(x, NID_ext_key_usage);
    unit_forge_ext(x, NID_ext_key_usage, "serverAuth");
}

static void as_ca(struct unit_forge *f, X509 *x)
{
    (void)f;
    drop_ext(x, NID_basic_constraints);
    unit_forge_ext(x, NID_basic_constraints, "critical,CA:TRUE");
}

static void for_other(struct unit_forge *f, X509 *x)
{
    X509_set_pubkey(x, f->other);
}

static void test_7_ak_certificates_of_the_wrong_kind_are_refused(void **state)
{
    void (*const bad[])(struct unit_forge *, X509 *) = {no_eku, tls_eku, as_ca, for_other};
    struct unit_forge f;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        unit_verdict_start(&f);
        f.on_ak_cert = bad[i];
        unit_verdict_only(&f, 7);
    }
}

static void test_7_an_ak_without_certificate_or_sealing_is_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    unit_forge_build(&f);
    f.terms.ak_sealed = false;
    unit_verdict_only_built(&f, 7, false);
}

static void test_7_an_ak_certificate_of_an_unknown_or_expired_root_is_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    unit_forge_build(&f);
    f.terms.ak_roots = NULL;
    unit_verdict_only_built(&f, 7, true);
}

/* The same certificate with an extension more, signed and read anew: OpenSSL keeps what it
 * once read of the extensions. */
static X509 *extended(X509 *x, EVP_PKEY *key, int nid, const char *value)
{
    X509 *changed = X509_dup(x), *out;
    uint8_t *der = NULL;
    const uint8_t *p;
    int len;

    unit_forge_ext(changed, nid, value);
    assert_true(X509_sign(changed, key, EVP_sha256()) > 0);
    len = i2d_X509(changed, &der);
    p = der;
    out = d2i_X509(NULL, &p, len);
    assert_non_null(out);
    OPENSSL_free(der);
    X509_free(changed);
    return out;
}

static void test_7_an_ak_certified_by_a_ca_for_other_purposes_is_refused(void **state)
{
    static const char *const usage[] = {"serverAuth,clientAuth", OID_TCG_KP_AK};
    STACK_OF(X509) *roots = sk_X509_new_null();
    struct evidence_verdict v;
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    unit_forge_build(&f);
    f.terms.ak_roots = roots;
    for (size_t i = 0; i < ARRAY_LEN(usage); i++) {
        sk_X509_push(roots, extended(f.ca, f.ca_key, NID_ext_key_usage, usage[i]));
        unit_verdict_judge(&f, true, &v);
        unit_verdict_expect(&v, i == 0 ? 7 : 0);
        X509_free(sk_X509_pop(roots));
    }
    sk_X509_free(roots);
    unit_forge_free(&f);
}

static void test_7_a_revoked_ak_is_refused(void **state)
{
    STACK_OF(X509_CRL) *crls = sk_X509_CRL_new_null();
    struct evidence_verdict v;
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    unit_forge_build(&f);
    sk_X509_CRL_push(crls, unit_forge_crl(&f, NULL));
    f.terms.ak_crls = crls;
    unit_verdict_judge(&f, true, &v);
    unit_verdict_expect(&v, 0);
    X509_CRL_free(sk_X509_CRL_pop(crls));
    sk_X509_CRL_push(crls, unit_forge_crl(&f, f.record.ak_cert));
    unit_verdict_only_built(&f, 7, true);
    sk_X509_CRL_pop_free(crls, X509_CRL_free);
}

/* --- 18: the EK certificate --------------------------------------------------------- */

static void no_usage(struct unit_forge *f, X509 *x)
{
    (void)f;
    drop_ext(x, NID_key_usage);
}

static void wrong_usage(struct unit_forge *f, X509 *x)
{
    (void)f;
    drop_ext(x, NID_key_usage);
    unit_forge_ext(x, NID_key_usage, "critical,digitalSignature");
}

static void no_tpm_names(struct unit_forge *f, X509 *x)
{
    (void)f;
    drop_ext(x, NID_subject_alt_name);
}

static void dns_names(struct unit_forge *f, X509 *x)
{
    (void)f;
    drop_ext(x, NID_subject_alt_name);
    unit_forge_ext(x, NID_subject_alt_name, "DNS:tpm.example");
}

static void test_18_ek_certificates_of_the_wrong_kind_are_refused(void **state)
{
    void (*const bad[])(struct unit_forge *, X509 *) = {
        no_eku, tls_eku, as_ca, no_usage, wrong_usage, no_tpm_names, dns_names};
    struct unit_forge f;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        unit_verdict_start(&f);
        f.on_ek_cert = bad[i];
        unit_verdict_only(&f, 18);
    }
}

static void test_18_a_pin_may_excuse_a_missing_eku_but_no_other(void **state)
{
    struct evidence_verdict v;
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    f.on_ek_cert = no_eku;
    unit_forge_build(&f);
    f.pin.eku_optional = true;
    unit_verdict_judge(&f, true, &v);
    unit_verdict_expect(&v, 0);
    unit_forge_free(&f);
    unit_verdict_start(&f);
    f.on_ek_cert = tls_eku;
    unit_forge_build(&f);
    f.pin.eku_optional = true;
    unit_verdict_only_built(&f, 18, true);
}

static void test_18_unpinned_expired_and_mismatched_eks_are_refused(void **state)
{
    struct evidence_verdict v;
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    unit_forge_build(&f);
    f.terms.n_pin = 0;
    unit_verdict_only_built(&f, 18, true);
    unit_verdict_start(&f);
    unit_forge_build(&f);
    f.pin.issuer = f.ca;
    unit_verdict_only_built(&f, 18, true);
    unit_verdict_start(&f);
    f.ek_not_after = UNIT_FORGE_NOW - 1;
    unit_verdict_only(&f, 18);
    /* the EK certificate itself is no pin */
    unit_verdict_start(&f);
    unit_forge_build(&f);
    f.pin.issuer = f.record.ek_cert;
    unit_verdict_only_built(&f, 18, true);
    /* the issuing CA alone is enough */
    unit_verdict_start(&f);
    unit_forge_build(&f);
    f.pin.issuer = f.ek_ca;
    unit_verdict_judge(&f, true, &v);
    unit_verdict_expect(&v, 0);
    unit_forge_free(&f);
    /* an RSA key under an ECC template */
    unit_verdict_start(&f);
    f.ek_template = 0x01C0000A;
    unit_verdict_only(&f, 18);
    unit_verdict_start(&f);
    f.ek_template = 0x01C00099;
    unit_verdict_only(&f, 18);
}

/* --- 22 to 24 ---------------------------------------------------------------------- */

static void test_22_an_unregistered_ek_is_refused(void **state)
{
    struct evidence_verdict v;
    struct unit_forge f;
    uint8_t id[32];
    struct pubkey k;

    (void)state;
    unit_verdict_start(&f);
    unit_forge_build(&f);
    unit_forge_pubkey(f.ek, &k);
    assert_int_equal(pubkey_id(&k, id, NULL), 0);
    f.terms.ek_spki = id;
    unit_verdict_judge(&f, true, &v);
    unit_verdict_expect(&v, 0);
    assert_int_equal(v.result[21].outcome, EVIDENCE_PASS);
    id[0] ^= 1;
    unit_verdict_only_built(&f, 22, true);
}

static void test_23_a_request_for_another_name_is_refused(void **state)
{
    static const char *const san[] = {"evil.example", "DNS:" UNIT_FORGE_SUBJECT ",DNS:evil.example",
                                      "IP:192.0.2.1", "email:a@example.org"};
    struct unit_forge f;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(san); i++) {
        unit_verdict_start(&f);
        f.san = san[i];
        unit_verdict_only(&f, 23);
    }
    unit_verdict_start(&f);
    f.cn = "evil.example";
    unit_verdict_only(&f, 23);
    unit_verdict_start(&f);
    f.cn = "no dns name";
    f.san = NULL;
    unit_verdict_only(&f, 0);
}

static void test_24_a_certificate_of_other_evidence_is_refused(void **state)
{
    struct unit_forge f;
    X509 *leaf;

    (void)state;
    unit_verdict_start(&f);
    unit_forge_build(&f);
    f.record.issued_at++;
    f.terms.leaf = f.leaf;
    unit_verdict_only_built(&f, 24, true);
    unit_verdict_start(&f);
    unit_forge_build(&f);
    X509_set_pubkey(f.leaf, f.other);
    X509_sign(f.leaf, f.ca_key, EVP_sha256());
    f.terms.leaf = f.leaf;
    unit_verdict_only_built(&f, 24, true);
    unit_verdict_start(&f);
    unit_forge_build(&f);
    leaf = f.ca;
    f.terms.leaf = leaf;
    unit_verdict_only_built(&f, 24, true);
}

/* A second list of wanted extensions, in Microsoft's attribute; OpenSSL reads the first alone. */
static void two_lists(struct unit_forge *f, X509_REQ *csr)
{
    STACK_OF(X509_EXTENSION) *x = sk_X509_EXTENSION_new_null();

    (void)f;
    sk_X509_EXTENSION_push(
        x, X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:gw2.comms.example"));
    assert_int_equal(X509_REQ_add_extensions_nid(csr, x, NID_ms_ext_req), 1);
    sk_X509_EXTENSION_pop_free(x, X509_EXTENSION_free);
}

static void broken_list(struct unit_forge *f, X509_REQ *csr)
{
    (void)f;
    assert_int_equal(X509_REQ_add1_attr_by_NID(csr, NID_ext_req, V_ASN1_SEQUENCE,
                                               (const unsigned char *)"\x30\x03\x02\x01\x05", 5),
                     1);
}

static void test_23_names_that_are_hidden_are_refused(void **state)
{
    struct unit_forge f;

    (void)state;
    unit_verdict_start(&f);
    f.on_bare_csr = two_lists;
    unit_verdict_only(&f, 23);
    unit_verdict_start(&f);
    f.san = NULL;
    f.on_bare_csr = broken_list;
    unit_verdict_only(&f, 23);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_7_ak_certificates_of_the_wrong_kind_are_refused),
        cmocka_unit_test(test_7_an_ak_without_certificate_or_sealing_is_refused),
        cmocka_unit_test(test_7_an_ak_certificate_of_an_unknown_or_expired_root_is_refused),
        cmocka_unit_test(test_7_an_ak_certified_by_a_ca_for_other_purposes_is_refused),
        cmocka_unit_test(test_7_a_revoked_ak_is_refused),
        cmocka_unit_test(test_18_ek_certificates_of_the_wrong_kind_are_refused),
        cmocka_unit_test(test_18_a_pin_may_excuse_a_missing_eku_but_no_other),
        cmocka_unit_test(test_18_unpinned_expired_and_mismatched_eks_are_refused),
        cmocka_unit_test(test_22_an_unregistered_ek_is_refused),
        cmocka_unit_test(test_23_a_request_for_another_name_is_refused),
        cmocka_unit_test(test_23_names_that_are_hidden_are_refused),
        cmocka_unit_test(test_24_a_certificate_of_other_evidence_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
