/* Goal: X509_sign and its like work over a signer, with every padding, and say why when the
 * signer refuses. */
#include "tests/support/unit_forge.h"

#include "core/signer.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

struct soft {
    struct signer base;
    EVP_PKEY *key;
    bool refuse;
    unsigned calls;
};

static int soft_sign(struct signer *s, enum pubkey_scheme scheme, const struct alg_hash *hash,
                     struct bytes digest, uint8_t *sig, struct err *e)
{
    struct soft *me = (struct soft *)s;
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(me->key, NULL);
    struct buf raw = {0};
    uint8_t der[512];
    size_t len = sizeof(der);

    me->calls++;
    assert_int_equal(digest.len, hash->size);
    if (me->refuse) {
        EVP_PKEY_CTX_free(c);
        return err_set(e, E_LOGIN, "log in first");
    }
    assert_int_equal(EVP_PKEY_sign_init(c), 1);
    if (scheme != PUBKEY_ECDSA)
        EVP_PKEY_CTX_set_rsa_padding(c, scheme == PUBKEY_RSAPSS ? RSA_PKCS1_PSS_PADDING
                                                                : RSA_PKCS1_PADDING);
    EVP_PKEY_CTX_set_signature_md(c, EVP_get_digestbynid(hash->nid));
    if (scheme == PUBKEY_RSAPSS)
        EVP_PKEY_CTX_set_rsa_pss_saltlen(c, RSA_PSS_SALTLEN_DIGEST);
    assert_int_equal(EVP_PKEY_sign(c, der, &len, digest.p, digest.len), 1);
    EVP_PKEY_CTX_free(c);
    if (scheme != PUBKEY_ECDSA) {
        memcpy(sig, der, len);
        return 0;
    }
    assert_int_equal(pubkey_sig_from_der(&s->pub, bytes_of(der, len), &raw, NULL), 0);
    memcpy(sig, raw.p, raw.len);
    buf_free(&raw);
    return 0;
}

static EVP_PKEY *over(struct soft *s, enum unit_key kind)
{
    struct err e = {0};
    EVP_PKEY *k;

    memset(s, 0, sizeof(*s));
    s->key = unit_forge_key(kind, 0);
    s->base.sign = soft_sign;
    unit_forge_pubkey(s->key, &s->base.pub);
    k = signer_evp(&s->base, &e);
    if (k == NULL)
        fail_msg("%s", e.msg);
    return k;
}

static X509 *bare(EVP_PKEY *key)
{
    X509 *x = X509_new();

    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                               (const unsigned char *)"signer", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    assert_int_equal(X509_set_pubkey(x, key), 1);
    return x;
}

static void test_certificates_and_requests_are_signed(void **state)
{
    static const enum unit_key kinds[] = {UNIT_P256, UNIT_P384, UNIT_RSA};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct soft s;
        EVP_PKEY *key = over(&s, kinds[i]);
        X509 *x = bare(key);
        X509_REQ *r = X509_REQ_new();

        assert_true(X509_sign(x, key, kinds[i] == UNIT_P384 ? EVP_sha384() : EVP_sha256()) > 0);
        assert_int_equal(X509_verify(x, s.key), 1);
        assert_int_equal(X509_check_private_key(x, key), 1);
        X509_REQ_set_pubkey(r, key);
        assert_true(X509_REQ_sign(r, key, EVP_sha256()) > 0);
        assert_int_equal(X509_REQ_verify(r, s.key), 1);
        assert_int_equal(s.calls, 2);
        X509_REQ_free(r);
        X509_free(x);
        EVP_PKEY_free(key);
    }
}

static int sign_pss(X509 *x, EVP_PKEY *key, int salt)
{
    EVP_MD_CTX *m = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pc = NULL;
    int rc;

    assert_int_equal(EVP_DigestSignInit(m, &pc, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pc, RSA_PKCS1_PSS_PADDING), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pc, salt), 1);
    rc = X509_sign_ctx(x, m);
    EVP_MD_CTX_free(m);
    return rc;
}

static void test_pss_is_padded_by_the_signer(void **state)
{
    struct soft s;
    EVP_PKEY *key = over(&s, UNIT_RSA);
    X509 *x = bare(key);

    (void)state;
    assert_true(sign_pss(x, key, RSA_PSS_SALTLEN_DIGEST) > 0);
    assert_int_equal(X509_get_signature_nid(x), NID_rsassaPss);
    assert_int_equal(X509_verify(x, s.key), 1);
    assert_true(sign_pss(x, key, 32) > 0);
    assert_int_equal(X509_verify(x, s.key), 1);
    /* a salt that the signer would not use */
    assert_true(sign_pss(x, key, 20) <= 0);
    assert_int_equal(s.calls, 2);
    ERR_clear_error();
    X509_free(x);
    EVP_PKEY_free(key);
}

static void test_cms_is_signed(void **state)
{
    static const enum unit_key kinds[] = {UNIT_P256, UNIT_RSA};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct soft s;
        EVP_PKEY *key = over(&s, kinds[i]);
        X509 *x = bare(key);
        BIO *in = BIO_new_mem_buf("hello", 5);
        CMS_ContentInfo *cms;

        assert_true(X509_sign(x, key, EVP_sha256()) > 0);
        cms = CMS_sign(x, key, NULL, in, CMS_BINARY);
        assert_non_null(cms);
        assert_int_equal(CMS_verify(cms, NULL, NULL, NULL, NULL, CMS_NO_SIGNER_CERT_VERIFY), 1);
        CMS_ContentInfo_free(cms);
        BIO_free(in);
        X509_free(x);
        EVP_PKEY_free(key);
    }
}

static void test_a_refusal_of_the_signer_is_told(void **state)
{
    static const enum unit_key kinds[] = {UNIT_P256, UNIT_RSA};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct soft s;
        EVP_PKEY *key = over(&s, kinds[i]);
        X509 *x = bare(key);
        const char *data = NULL;
        bool told = false;
        int flags;

        s.refuse = true;
        ERR_clear_error();
        assert_true(X509_sign(x, key, EVP_sha256()) <= 0);
        while (ERR_get_error_all(NULL, NULL, NULL, &data, &flags) != 0)
            told = told || (data != NULL && strstr(data, "log in first") != NULL);
        assert_true(told);
        X509_free(x);
        EVP_PKEY_free(key);
    }
}

static void test_no_path_signs_without_the_signer(void **state)
{
    struct soft s;
    EVP_PKEY *key = over(&s, UNIT_RSA);
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
    uint8_t in[256] = {0, 1}, out[256];
    size_t len = sizeof(out);

    (void)state;
    assert_int_equal(EVP_PKEY_sign_init(c), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(c, RSA_NO_PADDING), 1);
    assert_true(EVP_PKEY_sign(c, out, &len, in, sizeof(in)) <= 0);
    assert_int_equal(s.calls, 0);
    ERR_clear_error();
    EVP_PKEY_CTX_free(c);
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates_and_requests_are_signed),
        cmocka_unit_test(test_pss_is_padded_by_the_signer),
        cmocka_unit_test(test_cms_is_signed),
        cmocka_unit_test(test_a_refusal_of_the_signer_is_told),
        cmocka_unit_test(test_no_path_signs_without_the_signer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
