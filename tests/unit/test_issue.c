/* Goal: one certificate, exactly as asked; what breaks its profile is not issued. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/crl.h"
#include "core/asn1.h"
#include "core/evidence.h"
#include "core/oid.h"
#include "tests/support/unit_ca.h"

#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOW UNIT_CA_NOW

/* A subject that the gateway profile takes; the test then spoils one thing. */
struct draft {
    struct signer *own;
    X509_NAME *name;
    struct subject s;
};

static struct draft draft_of(const char *dns)
{
    static const uint8_t evidence[32] = {7};
    struct draft d = {.own = unit_ca_signer("P-256")};

    d.name = issue_name("US", "Org", "communications", dns, NULL);
    assert_non_null(d.name);
    d.s = (struct subject){
        .name = d.name,
        .key = &d.own->pub,
        .not_before = NOW,
        .not_after = NOW + 90 * 86400,
        .community = OID_COMMUNICATIONS,
        .level = 3,
        .dns = dns,
        .evidence_hash = evidence,
    };
    return d;
}

static void draft_free(struct draft *d)
{
    X509_NAME_free(d->name);
    signer_free(d->own);
}

static enum err_code issue_code(struct unit_ca_world *w, const struct draft *d)
{
    struct issue_issuer by = unit_ca_issuer(w->us, REGISTRY_ISSUING, OID_COMMUNICATIONS);
    X509 *cert = NULL;
    struct err e = {0};
    int rc = issue_certificate(PROFILE_GATEWAY, &by, &d->s, &cert, &e);

    assert_int_equal(rc == 0, cert != NULL);
    assert_int_equal(rc == 0, e.code == E_OK);
    X509_free(cert);
    return e.code;
}

static void test_leaf_says_what_was_asked(void **state)
{
    struct unit_ca_world *w = *state;
    X509 *leaf = unit_ca_leaf(w->us, OID_COMMUNICATIONS, 3, "gw1.us.example", NULL, NOW);
    struct issue_issuer by = unit_ca_issuer(w->us, REGISTRY_ISSUING, OID_COMMUNICATIONS);
    EXTENDED_KEY_USAGE *eku = X509_get_ext_d2i(leaf, NID_ext_key_usage, NULL, NULL);
    AUTHORITY_KEYID *aki = X509_get_ext_d2i(leaf, NID_authority_key_identifier, NULL, NULL);
    uint8_t hash[32], want[32] = {1, 2, 3};
    char line[200];
    int64_t t = 0;
    struct err e = {0};

    X509_NAME_oneline(X509_get_subject_name(leaf), line, sizeof(line));
    assert_string_equal(line, "/C=US/O=Test Authority/OU=communications/CN=gw1.us.example");
    assert_int_equal(issue_time(X509_get0_notBefore(leaf), &t, &e), 0);
    assert_int_equal(t, NOW);
    assert_int_equal(issue_time(X509_get0_notAfter(leaf), &t, &e), 0);
    assert_int_equal(t, NOW + 90 * 86400);
    assert_int_equal(X509_check_host(leaf, "gw1.us.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ca(leaf), 0);
    assert_int_equal(X509_get_key_usage(leaf), KU_DIGITAL_SIGNATURE);
    assert_int_equal(sk_ASN1_OBJECT_num(eku), 3);
    assert_int_equal(evidence_hash_get(leaf, hash, &e), 0);
    assert_memory_equal(hash, want, 32);
    /* The key identifier only: issuer and serial would tie a path to one certificate. */
    assert_non_null(aki->keyid);
    assert_null(aki->issuer);
    assert_null(aki->serial);
    assert_true(bytes_equal(asn1_octets(aki->keyid), issue_ski(by.cert)));
    EXTENDED_KEY_USAGE_free(eku);
    AUTHORITY_KEYID_free(aki);
    X509_free(leaf);
}

static void test_serials_never_repeat(void **state)
{
    enum { N = 200 };
    struct unit_ca_world *w = *state;
    struct draft d = draft_of("gw1.us.example");
    struct issue_issuer by = unit_ca_issuer(w->us, REGISTRY_ISSUING, OID_COMMUNICATIONS);
    static char serial[N][ISSUE_SERIAL_TEXT];

    for (size_t i = 0; i < N; i++) {
        X509 *cert = NULL;
        struct err e = {0};

        assert_int_equal(issue_certificate(PROFILE_GATEWAY, &by, &d.s, &cert, &e), 0);
        assert_int_equal(issue_serial(cert, serial[i], &e), 0);
        assert_int_equal(strlen(serial[i]), 32);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(serial[i], serial[j]);
        X509_free(cert);
    }
    draft_free(&d);
}

static int by_value(const void *a, const void *b)
{
    return memcmp(a, b, ISSUE_SERIAL_BYTES);
}

/* Nor do a million of them, of which every bit but the two fixed ones is drawn like a coin: ten
 * standard deviations off the half would not be seen in the age of the world. */
static void test_a_million_serials_never_repeat(void **state)
{
    enum { N = 1000000, OFF = 10 * 500 };
    uint8_t(*serial)[ISSUE_SERIAL_BYTES] = malloc(sizeof(*serial) * N);
    uint32_t ones[8 * ISSUE_SERIAL_BYTES] = {0};
    struct err e = {0};

    (void)state;
    assert_non_null(serial);
    for (size_t i = 0; i < N; i++) {
        if (issue_draw_serial(serial[i], &e) != 0)
            fail_msg("%s", e.msg);
        for (size_t bit = 0; bit < ARRAY_LEN(ones); bit++)
            ones[bit] += (serial[i][bit / 8] >> (7 - bit % 8)) & 1;
    }
    assert_int_equal(ones[0], 0); /* positive */
    assert_int_equal(ones[1], N); /* and never shorter */
    for (size_t bit = 2; bit < ARRAY_LEN(ones); bit++)
        assert_in_range(ones[bit], N / 2 - OFF, N / 2 + OFF);
    qsort(serial, N, sizeof(*serial), by_value);
    for (size_t i = 1; i < N; i++)
        assert_true(memcmp(serial[i - 1], serial[i], ISSUE_SERIAL_BYTES) < 0);
    free(serial);
}

/* A process that is forked off draws others. */
static void test_a_child_draws_other_serials(void **state)
{
    uint8_t ours[ISSUE_SERIAL_BYTES], theirs[ISSUE_SERIAL_BYTES];
    struct err e = {0};
    int pipes[2];
    pid_t pid;

    (void)state;
    assert_int_equal(issue_draw_serial(ours, &e), 0);
    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    if (pid == 0)
        _exit(issue_draw_serial(theirs, NULL) == 0 &&
                      write(pipes[1], theirs, sizeof(theirs)) == (ssize_t)sizeof(theirs)
                  ? 0
                  : 1);
    assert_int_equal(issue_draw_serial(ours, &e), 0);
    assert_int_equal(read(pipes[0], theirs, sizeof(theirs)), sizeof(theirs));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_memory_not_equal(ours, theirs, sizeof(ours));
    close(pipes[0]);
    close(pipes[1]);
}

/* --- the year 2050 (RFC 5280, 4.1.2.5): UTCTime before, GeneralizedTime from then on ---------- */

#define Y2050 ((time_t)2524608000)

static void times_are(const ASN1_TIME *t, int type, const char *text, int64_t value)
{
    int64_t got = 0;

    assert_int_equal(ASN1_STRING_type(t), type);
    assert_string_equal((const char *)ASN1_STRING_get0_data(t), text);
    assert_int_equal(issue_time(t, &got, NULL), 0);
    assert_int_equal(got, value);
}

static void test_validity_crosses_2050(void **state)
{
    static const uint8_t evidence[32] = {7};
    struct unit_ca_keys keys = {0};
    char *dir = unit_ca_dir();
    struct buf pin = {0};
    struct draft d = draft_of("gw1.us.example");
    struct issue_issuer by;
    struct crl_request r = {REGISTRY_ISSUING, OID_COMMUNICATIONS, .delta = false, .now = Y2050 - 1};
    struct crl_made made;
    struct buf der = {0};
    struct authority *a;
    struct err e = {0};
    X509 *cert = NULL, *root = NULL, *between[2] = {NULL, NULL};
    X509_CRL *crl;
    const uint8_t *p;

    (void)state;
    unit_ca_some_pin(&pin);
    a = unit_ca_make(dir, "US", "us.example", buf_bytes(&pin), Y2050 - 10 * 86400, &keys);
    by = unit_ca_issuer(a, REGISTRY_ISSUING, OID_COMMUNICATIONS);
    d.s.evidence_hash = evidence;
    d.s.not_before = Y2050 - 1;
    d.s.not_after = Y2050;
    assert_int_equal(issue_certificate(PROFILE_GATEWAY, &by, &d.s, &cert, &e), 0);
    times_are(X509_get0_notBefore(cert), V_ASN1_UTCTIME, "491231235959Z", Y2050 - 1);
    times_are(X509_get0_notAfter(cert), V_ASN1_GENERALIZEDTIME, "20500101000000Z", Y2050);
    assert_int_equal(authority_cert(a, REGISTRY_ROOT, 0, &root, &e), 0);
    between[0] = by.cert;
    assert_int_equal(unit_ca_verify(cert, root, between, OID_COMMUNICATIONS, 3, Y2050 - 1),
                     X509_V_OK);
    assert_int_equal(unit_ca_verify(cert, root, between, OID_COMMUNICATIONS, 3, Y2050 + 1),
                     X509_V_ERR_CERT_HAS_EXPIRED);
    X509_free(cert);
    cert = NULL;
    /* Up to the second before, both are UTCTime. */
    d.s.not_before = Y2050 - 86400;
    d.s.not_after = Y2050 - 1;
    assert_int_equal(issue_certificate(PROFILE_GATEWAY, &by, &d.s, &cert, &e), 0);
    times_are(X509_get0_notAfter(cert), V_ASN1_UTCTIME, "491231235959Z", Y2050 - 1);
    X509_free(cert);
    assert_int_equal(crl_make(a, &r, &der, &made, &e), 0);
    p = der.p;
    crl = d2i_X509_CRL(NULL, &p, (long)der.len);
    times_are(X509_CRL_get0_lastUpdate(crl), V_ASN1_UTCTIME, "491231235459Z",
              Y2050 - 1 - ISSUE_SKEW);
    times_are(X509_CRL_get0_nextUpdate(crl), V_ASN1_GENERALIZEDTIME, "20500107235959Z",
              Y2050 - 1 + 7 * 86400);
    X509_CRL_free(crl);
    buf_free(&der);
    buf_free(&pin);
    draft_free(&d);
    authority_close(a);
    unit_ca_keys_free(&keys);
    unit_ca_dir_remove(dir);
}

static void test_times_have_one_form(void **state)
{
    static const struct {
        int type;
        const char *text;
        int64_t want; /* 0: refused */
    } rows[] = {
        {V_ASN1_UTCTIME, "491231235959Z", Y2050 - 1},
        {V_ASN1_GENERALIZEDTIME, "20500101000000Z", Y2050},
        {V_ASN1_GENERALIZEDTIME, "20491231235959Z", 0},
        {V_ASN1_UTCTIME, "500101000000Z", -631152000},
        {V_ASN1_UTCTIME, "691231235959Z", -1},
        {V_ASN1_GENERALIZEDTIME, "19491231235959Z", 0},
        {V_ASN1_GENERALIZEDTIME, "99991231235959Z", 253402300799},
        {V_ASN1_UTCTIME, "161231235960Z", 0}, /* a leap second */
        {V_ASN1_UTCTIME, "161231235961Z", 0},
        {V_ASN1_GENERALIZEDTIME, "20501231235960Z", 0},
        {V_ASN1_UTCTIME, "1612312359Z", 0},
        {V_ASN1_GENERALIZEDTIME, "205012312359Z", 0},
        {V_ASN1_UTCTIME, "161231235959+0900", 0},
        {V_ASN1_UTCTIME, "1612312359+0900", 0},
        {V_ASN1_GENERALIZEDTIME, "20501231235959+0000", 0},
        {V_ASN1_GENERALIZEDTIME, "2050123123+0900", 0},
        {V_ASN1_GENERALIZEDTIME, "205012312359.5Z", 0},
        {V_ASN1_GENERALIZEDTIME, "20501231235959.5Z", 0},
        {V_ASN1_UTCTIME, "170229000000Z", 0},
        {V_ASN1_UTCTIME, "160229000000Z", 1456704000},
        {V_ASN1_UTCTIME, "161231240000Z", 0},
        {V_ASN1_UTCTIME, "161231235959", 0},
        {V_ASN1_UTCTIME, "", 0},
        {V_ASN1_OCTET_STRING, "161231235959Z", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ASN1_TIME *t = ASN1_STRING_type_new(rows[i].type);
        struct err e = {0};
        int64_t got = 0;

        assert_int_equal(ASN1_STRING_set(t, rows[i].text, -1), 1);
        if (issue_time(t, &got, &e) != (rows[i].want != 0 ? 0 : -1) || got != rows[i].want)
            fail_msg("%s", rows[i].text);
        assert_int_equal(e.code, rows[i].want != 0 ? E_OK : E_FORMAT);
        ASN1_TIME_free(t);
    }
}

static void test_rsa_leaf_may_encipher_keys(void **state)
{
    struct unit_ca_world *w = *state;
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    struct buf spki = {0};
    struct pubkey key;
    uint8_t *der = NULL;
    int len = i2d_PUBKEY(rsa, &der);
    struct err e = {0};
    X509 *leaf;

    assert_true(len > 0);
    assert_int_equal(pubkey_from_spki(&key, bytes_of(der, (size_t)len), &e), 0);
    leaf = unit_ca_leaf(w->us, OID_COMMUNICATIONS, 3, "rsa.us.example", &key, NOW);
    assert_int_equal(X509_get_key_usage(leaf), KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT);
    X509_free(leaf);
    OPENSSL_free(der);
    buf_free(&spki);
    EVP_PKEY_free(rsa);
}

static void test_weak_rsa_key_is_refused(void **state)
{
    struct unit_ca_world *w = *state;
    struct draft d = draft_of("gw1.us.example");
    struct pubkey weak = {.type = TPM2_ALG_RSA, .exponent = 65537, .n_len = 128};

    memset(weak.n, 0xc5, 128);
    d.s.key = &weak;
    assert_int_equal(issue_code(w, &d), E_REJECTED);
    draft_free(&d);
}

static void test_too_long_a_validity_is_refused(void **state)
{
    struct unit_ca_world *w = *state;
    struct draft d = draft_of("gw1.us.example");

    assert_int_equal(issue_code(w, &d), E_OK);
    d.s.not_after++;
    assert_int_equal(issue_code(w, &d), E_REJECTED);
    d.s.not_after = d.s.not_before;
    assert_int_equal(issue_code(w, &d), E_REJECTED);
    draft_free(&d);
}

static void test_validity_outside_the_issuers_is_refused(void **state)
{
    struct unit_ca_world *w = *state;
    struct draft d = draft_of("gw1.us.example");

    d.s.not_before = NOW - ISSUE_SKEW - 1;
    d.s.not_after = NOW + 86400;
    assert_int_equal(issue_code(w, &d), E_REJECTED);
    d.s.not_before = NOW + (time_t)5 * 365 * 86400 - 86400;
    d.s.not_after = d.s.not_before + 2 * 86400;
    assert_int_equal(issue_code(w, &d), E_REJECTED);
    draft_free(&d);
}

static void test_name_outside_the_own_domain_is_refused(void **state)
{
    struct unit_ca_world *w = *state;
    struct draft d = draft_of("gw1.jp.example");

    assert_int_equal(issue_code(w, &d), E_REJECTED);
    draft_free(&d);
    d = draft_of("gw1.notus.example");
    assert_int_equal(issue_code(w, &d), E_REJECTED);
    draft_free(&d);
    /* A subject of another nation under a good DNS name. */
    d = draft_of("gw1.us.example");
    X509_NAME_free(d.name);
    d.name = issue_name("JP", "Org", NULL, "gw1.us.example", NULL);
    d.s.name = d.name;
    assert_int_equal(issue_code(w, &d), E_REJECTED);
    draft_free(&d);
}

static void test_missing_parts_are_refused(void **state)
{
    struct unit_ca_world *w = *state;
    struct draft d = draft_of("gw1.us.example");

    d.s.evidence_hash = NULL;
    assert_int_equal(issue_code(w, &d), E_REJECTED);
    draft_free(&d);
    d = draft_of("gw1.us.example");
    d.s.dns = NULL;
    assert_int_equal(issue_code(w, &d), E_REJECTED);
    d.s.dns = "gw1.us.example";
    d.s.level = 5;
    assert_int_equal(issue_code(w, &d), E_ARG);
    d.s.level = 3;
    d.s.name = NULL;
    assert_int_equal(issue_code(w, &d), E_ARG);
    draft_free(&d);
}

static void test_a_key_that_is_not_the_issuers_is_refused(void **state)
{
    struct unit_ca_world *w = *state;
    struct draft d = draft_of("gw1.us.example");
    struct issue_issuer by = unit_ca_issuer(w->us, REGISTRY_ISSUING, OID_COMMUNICATIONS);
    struct signer *other = unit_ca_signer("P-256");
    X509 *cert = NULL;
    struct err e = {0};

    by.signer = other;
    assert_int_equal(issue_certificate(PROFILE_GATEWAY, &by, &d.s, &cert, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    assert_null(cert);
    signer_free(other);
    draft_free(&d);
}

/* A TPM that signs something else, or garbage, must not give a certificate. */
static int sign_garbage(struct signer *s, enum pubkey_scheme scheme, const struct alg_hash *hash,
                        struct bytes digest, uint8_t *sig, struct err *e)
{
    (void)scheme, (void)hash, (void)digest, (void)e;
    memset(sig, 0x11, pubkey_sig_len(&s->pub));
    return 0;
}

static void test_a_bad_signature_is_noticed(void **state)
{
    struct unit_ca_world *w = *state;
    struct draft d = draft_of("gw1.us.example");
    struct issue_issuer by = unit_ca_issuer(w->us, REGISTRY_ISSUING, OID_COMMUNICATIONS);
    struct signer broken = *by.signer;
    X509 *cert = NULL;
    struct err e = {0};

    broken.sign = sign_garbage;
    by.signer = &broken;
    assert_int_equal(issue_certificate(PROFILE_GATEWAY, &by, &d.s, &cert, &e), -1);
    assert_int_equal(e.code, E_CRYPTO);
    assert_null(cert);
    draft_free(&d);
}

static void test_dns_names_are_strict(void **state)
{
    static const char *const good[] = {"a.b", "gw1.us.example", "xn--wgv71a119e.jp",
                                       "1.2.3.example", "a-b.c-d.e"};
    static const char *const bad[] = {"",      "host",     "Gw.example", "*.example", "a..b",
                                      ".a.b",  "a.b.",     "-a.b",       "a-.b",      "a_b.c",
                                      "a b.c", "10.0.0.1", "a.b/c",      "a.\xc3\xa9"};
    char longest[300];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_int_equal(issue_check_dns(good[i], NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(issue_check_dns(bad[i], NULL), -1);
    assert_int_equal(issue_check_dns(NULL, NULL), -1);
    for (size_t i = 0; i < sizeof(longest) - 1; i++)
        longest[i] = i % 50 == 49 ? '.' : 'a';
    longest[253] = 0;
    assert_int_equal(issue_check_dns(longest, NULL), 0);
    longest[253] = 'a';
    longest[254] = 0;
    assert_int_equal(issue_check_dns(longest, NULL), -1);
    memset(longest, 'a', 64);
    memcpy(longest + 64, ".b", 3);
    assert_int_equal(issue_check_dns(longest, NULL), -1);
    assert_true(issue_within("us.example", "us.example"));
    assert_true(issue_within("a.us.example", "us.example"));
    assert_false(issue_within("aus.example", "us.example"));
    assert_false(issue_within("example", "us.example"));
}

static void test_names_are_strict(void **state)
{
    char longest[66];

    (void)state;
    memset(longest, 'x', 65);
    longest[65] = 0;
    assert_null(issue_name("us", "O", NULL, "c", NULL));
    assert_null(issue_name("USA", "O", NULL, "c", NULL));
    assert_null(issue_name("US", "", NULL, "c", NULL));
    assert_null(issue_name("US", longest, NULL, "c", NULL));
    assert_null(issue_name("US", "O", NULL, longest, NULL));
    assert_null(issue_name("US", "\xff\xfe", NULL, "c", NULL));
}

static void test_trailing_bytes_after_a_certificate_are_refused(void **state)
{
    struct unit_ca_world *w = *state;
    struct buf der = {0};
    X509 *root = NULL, *back = NULL;
    struct err e = {0};

    assert_int_equal(authority_cert(w->us, REGISTRY_ROOT, 0, &root, &e), 0);
    assert_int_equal(issue_to_der(root, &der, &e), 0);
    assert_int_equal(issue_from_der(buf_bytes(&der), &back, &e), 0);
    X509_free(back);
    back = NULL;
    buf_u8(&der, 0);
    assert_int_equal(issue_from_der(buf_bytes(&der), &back, &e), -1);
    assert_int_equal(e.code, E_FORMAT);
    err_clear(&e);
    assert_int_equal(issue_from_der(bytes_of(der.p, der.len - 2), &back, &e), -1);
    assert_int_equal(e.code, E_FORMAT);
    assert_null(back);
    buf_free(&der);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaf_says_what_was_asked),
        cmocka_unit_test(test_serials_never_repeat),
        cmocka_unit_test(test_a_million_serials_never_repeat),
        cmocka_unit_test(test_a_child_draws_other_serials),
        cmocka_unit_test(test_validity_crosses_2050),
        cmocka_unit_test(test_times_have_one_form),
        cmocka_unit_test(test_rsa_leaf_may_encipher_keys),
        cmocka_unit_test(test_weak_rsa_key_is_refused),
        cmocka_unit_test(test_too_long_a_validity_is_refused),
        cmocka_unit_test(test_validity_outside_the_issuers_is_refused),
        cmocka_unit_test(test_name_outside_the_own_domain_is_refused),
        cmocka_unit_test(test_missing_parts_are_refused),
        cmocka_unit_test(test_a_key_that_is_not_the_issuers_is_refused),
        cmocka_unit_test(test_a_bad_signature_is_noticed),
        cmocka_unit_test(test_dns_names_are_strict),
        cmocka_unit_test(test_names_are_strict),
        cmocka_unit_test(test_trailing_bytes_after_a_certificate_are_refused),
    };

    return cmocka_run_group_tests(tests, unit_ca_world_up, unit_ca_world_down);
}
