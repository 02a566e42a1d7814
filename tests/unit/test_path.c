/* Goal: what an ally's issuing CA may put into a certificate that OpenSSL finds a path for, and a
 * relying party must still refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/path.h"
#include "core/oid.h"
#include "core/signer.h"
#include "tests/support/unit_ca.h"

#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#define NAME "gw.us.example"

struct world {
    char *dir;
    struct unit_ca_keys keys;
    struct authority *a;
    struct issue_issuer ca;
    X509 *root; /* borrowed */
    X509 *leaf;
};

static int set_up(void **state)
{
    struct world *w = test_calloc(1, sizeof(*w));
    time_t now = time(NULL) - 60;
    struct buf pin = {0};
    struct err e = {0};

    unit_ca_some_pin(&pin);
    w->dir = unit_ca_dir();
    w->a = unit_ca_make(w->dir, "US", "us.example", buf_bytes(&pin), now, &w->keys);
    buf_free(&pin);
    assert_int_equal(authority_cert(w->a, REGISTRY_ROOT, 0, &w->root, &e), 0);
    w->ca = unit_ca_issuer(w->a, REGISTRY_ISSUING, OID_COMMUNICATIONS);
    w->leaf = unit_ca_leaf(w->a, OID_COMMUNICATIONS, 3, NAME, NULL, now);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    X509_free(w->leaf);
    authority_close(w->a);
    unit_ca_keys_free(&w->keys);
    unit_ca_dir_remove(w->dir);
    test_free(w);
    return 0;
}

/* Judges the leaf; `beside` comes in the file of the chain. */
static void judge(const struct world *w, X509 *beside, struct path_verdict *v)
{
    STACK_OF(X509) *roots = sk_X509_new_null(), *chain = sk_X509_new_null();
    struct path_terms t = {
        .roots = roots, .untrusted = chain, .community = OID_COMMUNICATIONS, .level = 3};
    struct err e = {0};

    assert_true(sk_X509_push(roots, w->root) > 0 && sk_X509_push(chain, w->ca.cert) > 0);
    assert_true(beside == NULL || sk_X509_push(chain, beside) > 0);
    if (path_check(w->leaf, &t, v, &e) != 0)
        fail_msg("%s", e.msg);
    sk_X509_free(roots);
    sk_X509_free(chain);
}

static void expect(const struct world *w, X509 *beside, const char *reason)
{
    struct path_verdict v = {0};

    judge(w, beside, &v);
    if (reason == NULL ? !v.accepted : v.accepted || strstr(v.reason, reason) == NULL)
        fail_msg("\"%s\" where \"%s\" was expected", v.reason, reason != NULL ? reason : "");
    path_free(&v);
}

static void set_cn(struct world *w, const char *cn, int len)
{
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(w->leaf));
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);

    X509_NAME_ENTRY_free(X509_NAME_delete_entry(name, at));
    assert_int_equal(X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING,
                                                (const unsigned char *)cn, len, -1, 0),
                     1);
    assert_int_equal(X509_set_subject_name(w->leaf, name), 1);
    X509_NAME_free(name);
    unit_ca_resign(&w->leaf, &w->ca);
}

static void test_a_common_name_that_is_none_of_the_names_is_refused(void **state)
{
    static const char with_nul[] = "gateway\0gw.jp.example";
    struct world *w = *state;

    expect(w, NULL, NULL);
    set_cn(w, "GW.us.example", -1);
    expect(w, NULL, NULL);
    set_cn(w, "our gateway", -1);
    expect(w, NULL, NULL);
    set_cn(w, "gw.jp.example", -1);
    expect(w, NULL, "common name");
    set_cn(w, "gw.us.example.", -1);
    expect(w, NULL, "common name");
    set_cn(w, with_nul, (int)sizeof(with_nul) - 1);
    expect(w, NULL, "common name");
}

static void test_other_kinds_of_names_are_refused(void **state)
{
    static const char *const bad[] = {
        "DNS:" NAME ",IP:192.0.2.1",
        "DNS:" NAME ",email:root@us.example",
        "DNS:" NAME ",URI:https://us.example/",
        "DNS:" NAME ",otherName:1.2.3.4;UTF8:x",
        "RID:1.2.3.4",
    };
    struct world *w = *state;
    struct path_verdict v;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        v = (struct path_verdict){0};
        unit_ca_set_ext(w->leaf, NID_subject_alt_name, bad[i]);
        unit_ca_resign(&w->leaf, &w->ca);
        judge(w, NULL, &v);
        assert_false(v.accepted);
        path_free(&v);
    }
}

static void test_a_ca_is_no_device(void **state)
{
    struct world *w = *state;

    unit_ca_set_ext(w->leaf, NID_basic_constraints, "critical,CA:TRUE");
    unit_ca_set_ext(w->leaf, NID_key_usage, "critical,keyCertSign,digitalSignature");
    unit_ca_resign(&w->leaf, &w->ca);
    expect(w, NULL, "certification authority");
}

static void test_a_sha1_signature_is_refused(void **state)
{
    struct world *w = *state;
    struct err e = {0};
    EVP_PKEY *key = signer_evp(w->ca.signer, &e);
    struct buf der = {0};

    assert_non_null(key);
    assert_true(X509_sign(w->leaf, key, EVP_sha1()) > 0);
    EVP_PKEY_free(key);
    /* OpenSSL keeps what it once read of the signature: read all anew. */
    assert_int_equal(issue_to_der(w->leaf, &der, &e), 0);
    X509_free(w->leaf);
    assert_int_equal(issue_from_der(buf_bytes(&der), &w->leaf, &e), 0);
    buf_free(&der);
    expect(w, NULL, "too weak");
}

static void test_a_root_in_the_chain_is_not_trusted(void **state)
{
    struct world *w = *state, other = {0};
    void *at = NULL;
    X509 *root = w->root;

    assert_int_equal(set_up(&at), 0);
    other = *(struct world *)at;
    w->root = other.root;
    expect(w, root, "self-signed");
    w->root = root;
    assert_int_equal(tear_down(&at), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_common_name_that_is_none_of_the_names_is_refused,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_kinds_of_names_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_ca_is_no_device, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_sha1_signature_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_root_in_the_chain_is_not_trusted, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
