/* Goal: every algorithm is found by each of its names, and by none that it lacks. */
#include "core/alg.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const char *const names[] = {"SHA1", "SHA224", "SHA256", "SHA384", "SHA512"};

static void test_a_hash_is_the_same_by_each_of_its_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct alg_hash *h = alg_hash_named(names[i]);
        const EVP_MD *md = EVP_get_digestbyname(names[i]);

        assert_non_null(h);
        assert_int_equal(h->nid, EVP_MD_get_type(md));
        assert_int_equal(h->size, EVP_MD_get_size(md));
        assert_int_equal(alg_hash_block(h), EVP_MD_get_block_size(md));
        assert_true(h->size <= ALG_MAX_DIGEST && alg_hash_block(h) <= ALG_MAX_BLOCK);
        assert_ptr_equal(alg_hash_nid(h->nid), h);
        assert_ptr_equal(alg_hash_sized(h->size), h);
        if (h->tpm != 0)
            assert_ptr_equal(alg_hash_of(h->tpm), h);
    }
    assert_ptr_equal(alg_hash_named("sha-224"), alg_hash_named("SHA224"));
}

static void test_no_tpm_has_sha_224(void **state)
{
    (void)state;
    assert_int_equal(alg_hash_named("SHA224")->tpm, 0);
    assert_null(alg_hash_of(0));
    assert_null(alg_hash_of(TPM2_ALG_NULL));
    assert_null(alg_hash_nid(0));
    assert_null(alg_hash_nid(NID_md5));
    assert_null(alg_hash_sized(0));
}

/* RFC 8017, 9.2: the prefix and a digest are the DER of a DigestInfo. */
static void test_digest_info_prefixes_are_what_openssl_writes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct alg_hash *h = alg_hash_named(names[i]);
        uint8_t digest[ALG_MAX_DIGEST] = {1, 2, 3}, *der = NULL;
        X509_SIG *info = X509_SIG_new();
        ASN1_OCTET_STRING *value;
        X509_ALGOR *algorithm;

        X509_SIG_getm(info, &algorithm, &value);
        assert_int_equal(X509_ALGOR_set0(algorithm, OBJ_nid2obj(h->nid), V_ASN1_NULL, NULL), 1);
        assert_int_equal(ASN1_OCTET_STRING_set(value, digest, (int)h->size), 1);
        assert_int_equal(i2d_X509_SIG(info, &der), h->info_len + h->size);
        assert_memory_equal(der, h->info, h->info_len);
        OPENSSL_free(der);
        X509_SIG_free(info);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hash_is_the_same_by_each_of_its_names),
        cmocka_unit_test(test_no_tpm_has_sha_224),
        cmocka_unit_test(test_digest_info_prefixes_are_what_openssl_writes),
    };

    return cmocka_run_group_tests_name("alg", tests, NULL, NULL);
}
