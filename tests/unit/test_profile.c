/* Goal: the table of certificate kinds says what federation between nations needs,
 * and OpenSSL reads the certificates made from it the same way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/policy.h"
#include "core/asn1.h"
#include "tests/support/unit_ca.h"

#include <string.h>

#define NOW UNIT_CA_NOW

static void test_every_row_is_whole(void **state)
{
    (void)state;
    for (int i = 0; i < PROFILE_COUNT; i++) {
        const struct profile *p = profile_get((enum profile_id)i);

        assert_non_null(p);
        assert_non_null(p->name);
        assert_true(p->max_seconds > 0);
        assert_true(p->min_ecc_bits >= 256);
        assert_int_equal(p->ca, (p->key_usage & KU_KEY_CERT_SIGN) != 0);
        if (!p->ca)
            assert_int_equal(p->pathlen, PROFILE_ABSENT);
    }
    assert_null(profile_get(PROFILE_COUNT));
    assert_null(profile_get((enum profile_id) - 1));
}

static void test_cross_certificates_are_short_and_constrained(void **state)
{
    const struct profile *compat = profile_get(PROFILE_CROSS_COMPAT);
    const struct profile *strict = profile_get(PROFILE_CROSS_STRICT);

    (void)state;
    assert_true(compat->max_seconds <= 365 * 86400 && strict->max_seconds <= 365 * 86400);
    assert_int_equal(compat->pathlen, 0);
    assert_true(compat->constraints && strict->constraints);
    assert_false(compat->policies_critical || compat->policy_rules_critical);
    assert_true(strict->policies_critical && strict->policy_rules_critical);
    assert_int_equal(profile_get(PROFILE_GATEWAY)->max_seconds, 90 * 86400);
}

static void test_each_ca_is_valid_under_the_root(void **state)
{
    struct unit_ca_world *w = *state;
    X509 *root = NULL, *sub = NULL;
    struct err e = {0};

    assert_int_equal(authority_cert(w->us, REGISTRY_ROOT, 0, &root, &e), 0);
    assert_int_equal(unit_ca_verify(root, root, NULL, 0, 0, NOW), X509_V_OK);
    assert_int_equal(authority_cert(w->us, REGISTRY_CROSS, 0, &sub, &e), 0);
    assert_int_equal(unit_ca_verify(sub, root, NULL, 0, 0, NOW), X509_V_OK);
    assert_int_equal(X509_get_pathlen(sub), 1);
    assert_int_equal(authority_cert(w->us, REGISTRY_ATTESTATION, 0, &sub, &e), 0);
    assert_int_equal(unit_ca_verify(sub, root, NULL, 0, 0, NOW), X509_V_OK);
    assert_int_equal(X509_get_pathlen(sub), 0);
    assert_int_equal(authority_cert(w->us, REGISTRY_ISSUING, OID_ELECTRICITY, &sub, &e), 0);
    assert_int_equal(unit_ca_verify(sub, root, NULL, OID_ELECTRICITY, 4, NOW), X509_V_OK);
    assert_int_not_equal(unit_ca_verify(sub, root, NULL, OID_COMMUNICATIONS, 1, NOW), X509_V_OK);
    assert_int_equal(X509_get_pathlen(sub), 0);
}

static void test_attestation_ca_is_valid_for_no_community(void **state)
{
    struct unit_ca_world *w = *state;
    X509 *root = NULL, *sub = NULL;
    struct err e = {0};

    assert_int_equal(authority_cert(w->us, REGISTRY_ROOT, 0, &root, &e), 0);
    assert_int_equal(authority_cert(w->us, REGISTRY_ATTESTATION, 0, &sub, &e), 0);
    for (unsigned c = 1; c <= OID_COMMUNITIES; c++)
        assert_int_equal(unit_ca_verify(sub, root, NULL, c, 1, NOW), X509_V_ERR_NO_EXPLICIT_POLICY);
}

static void test_policies_of_a_level_include_all_lower_ones(void **state)
{
    struct err e = {0};
    CERTIFICATEPOLICIES *p = policy_levels(OID_FINANCE, 3, &e);

    (void)state;
    assert_non_null(p);
    assert_int_equal(sk_POLICYINFO_num(p), 3);
    for (int i = 0; i < 3; i++) {
        unsigned c = 0, l = 0;

        assert_true(oid_policy_of(sk_POLICYINFO_value(p, i)->policyid, &c, &l));
        assert_int_equal(c, OID_FINANCE);
        assert_int_equal(l, 3 - i);
    }
    CERTIFICATEPOLICIES_free(p);
    assert_null(policy_levels(5, 1, &e));
    assert_int_equal(e.code, E_ARG);
    err_clear(&e);
    assert_null(policy_levels(1, 0, &e));
    assert_int_equal(e.code, E_ARG);
    assert_string_equal(policy_level_name(3), "attested");
    assert_null(policy_level_name(0));
    assert_null(policy_level_name(5));
}

static void test_keys_of_an_authority_are_all_different(void **state)
{
    static const unsigned communities[] = {OID_FINANCE};
    struct signer *k = unit_ca_signer("P-384");
    struct authority_key same = {.signer = k};
    struct buf pin = {0};
    struct authority_params p = {.nation = "US",
                                 .org = "Org",
                                 .domain = "us.example",
                                 .communities = communities,
                                 .n_communities = 1,
                                 .root = same,
                                 .cross = same,
                                 .attestation = same,
                                 .issuing = &same,
                                 .now = NOW};
    char *dir = unit_ca_dir();
    struct err e = {0};

    (void)state;
    unit_ca_some_pin(&pin);
    p.ek_pins_pem = buf_bytes(&pin);
    assert_int_equal(authority_init(dir, &p, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    unit_ca_dir_remove(dir);
    buf_free(&pin);
    signer_free(k);
}

/* What authority_init() takes for an authority of one community, all keys on one curve. */
struct offer {
    struct signer *key[4];
    struct authority_key issuing;
    struct buf pin;
    struct authority_params p;
};

static void offer_make(struct offer *o, const char *curve)
{
    static const unsigned communities[] = {OID_FINANCE};

    *o = (struct offer){.p = {.nation = "US",
                              .org = "Org",
                              .domain = "us.example",
                              .communities = communities,
                              .n_communities = 1,
                              .issuing = &o->issuing,
                              .now = NOW}};
    for (size_t i = 0; i < ARRAY_LEN(o->key); i++)
        o->key[i] = unit_ca_signer(curve);
    o->p.root.signer = o->key[0];
    o->p.cross.signer = o->key[1];
    o->p.attestation.signer = o->key[2];
    o->issuing.signer = o->key[3];
    unit_ca_some_pin(&o->pin);
    o->p.ek_pins_pem = buf_bytes(&o->pin);
}

static void offer_free(struct offer *o)
{
    buf_free(&o->pin);
    for (size_t i = 0; i < ARRAY_LEN(o->key); i++)
        signer_free(o->key[i]);
}

static void test_weak_root_key_leaves_no_registry(void **state)
{
    char *dir = unit_ca_dir();
    struct err e = {0};
    struct authority *a = NULL;
    struct offer o;

    (void)state;
    offer_make(&o, "P-256");
    assert_int_equal(authority_init(dir, &o.p, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    err_clear(&e);
    assert_int_equal(authority_open(&a, dir, true, NULL, NULL, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    err_clear(&e);
    /* Pins that are none are refused before anything is made. */
    o.p.ek_pins_pem = bytes_of("no certificate here\n", 20);
    assert_int_equal(authority_init(dir, &o.p, &e), -1);
    assert_int_equal(e.code, E_FORMAT);
    unit_ca_dir_remove(dir);
    offer_free(&o);
}

static void test_an_authority_is_not_made_twice(void **state)
{
    struct unit_ca_world *w = *state;
    struct err e = {0};
    X509 *root = NULL;
    struct offer o;

    offer_make(&o, "P-384");
    assert_int_equal(authority_init(w->dir, &o.p, &e), -1);
    assert_int_equal(e.code, E_EXISTS);
    err_clear(&e);
    assert_int_equal(authority_cert(w->us, REGISTRY_ROOT, 0, &root, &e), 0);
    offer_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_is_whole),
        cmocka_unit_test(test_cross_certificates_are_short_and_constrained),
        cmocka_unit_test(test_each_ca_is_valid_under_the_root),
        cmocka_unit_test(test_attestation_ca_is_valid_for_no_community),
        cmocka_unit_test(test_policies_of_a_level_include_all_lower_ones),
        cmocka_unit_test(test_keys_of_an_authority_are_all_different),
        cmocka_unit_test(test_weak_root_key_leaves_no_registry),
        cmocka_unit_test(test_an_authority_is_not_made_twice),
    };

    return cmocka_run_group_tests(tests, unit_ca_world_up, unit_ca_world_down);
}
