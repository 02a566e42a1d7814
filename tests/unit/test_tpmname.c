/* Goal: Names are what a TPM computes, over the bytes that came. */
#include "tests/support/unit_forge.h"

#include "core/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void test_a_name_is_algorithm_and_digest(void **state)
{
    static const uint16_t algs[] = {TPM2_ALG_SHA1, TPM2_ALG_SHA256, TPM2_ALG_SHA384,
                                    TPM2_ALG_SHA512};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        const struct alg_hash *h = alg_hash_of(algs[i]);
        uint8_t want[2 + ALG_MAX_DIGEST] = {(uint8_t)(algs[i] >> 8), (uint8_t)algs[i]};
        struct buf wire = {0};
        TPM2B_NAME name;
        TPMT_PUBLIC pub;

        unit_forge_public(unit_forge_key(UNIT_P256, 0), 0, &pub);
        pub.nameAlg = algs[i];
        assert_int_equal(tpmname_marshal_public(&pub, &wire, NULL), 0);
        assert_int_equal(hash_digest(h, buf_bytes(&wire), want + 2, NULL), 0);
        assert_int_equal(tpmname_object(buf_bytes(&wire), &name, NULL), 0);
        assert_int_equal(name.size, 2 + h->size);
        assert_memory_equal(name.name, want, name.size);
        buf_free(&wire);
    }
}

/* Part 2, 13.5: index, nameAlg, attributes, authPolicy, dataSize. */
static void test_the_name_of_an_nv_index_covers_its_public_area(void **state)
{
    TPMS_NV_PUBLIC nv = {
        .nvIndex = 0x01800001, .nameAlg = TPM2_ALG_SHA256, .attributes = 0x20040004, .dataSize = 8};
    static const uint8_t wire[] = {0x01, 0x80, 0x00, 0x01, 0x00, 0x0b, 0x20,
                                   0x04, 0x00, 0x04, 0x00, 0x00, 0x00, 0x08};
    uint8_t want[32];
    TPM2B_NAME name;

    (void)state;
    assert_int_equal(tpmname_nv(&nv, &name, NULL), 0);
    assert_int_equal(hash_sha256(bytes_of(wire, sizeof(wire)), want, NULL), 0);
    assert_int_equal(name.size, 34);
    assert_memory_equal(name.name + 2, want, 32);
}

static void test_a_handle_is_its_own_name(void **state)
{
    static const uint8_t want[] = {0x40, 0x00, 0x00, 0x0b};
    TPM2B_NAME name;

    (void)state;
    tpmname_handle(TPM2_RH_ENDORSEMENT, &name);
    assert_int_equal(name.size, 4);
    assert_memory_equal(name.name, want, 4);
}

static void test_the_qualified_name_uses_the_childs_algorithm(void **state)
{
    TPM2B_NAME root, child = {.size = 50, .name = {0, TPM2_ALG_SHA384, 1, 2, 3}}, qn;
    uint8_t in[54] = {0x40, 0x00, 0x00, 0x01}, want[48];

    (void)state;
    tpmname_handle(TPM2_RH_OWNER, &root);
    assert_int_equal(tpmname_qualified(&root, &child, &qn, NULL), 0);
    memcpy(in + 4, child.name, 50);
    assert_int_equal(
        hash_digest(alg_hash_of(TPM2_ALG_SHA384), bytes_of(in, sizeof(in)), want, NULL), 0);
    assert_int_equal(qn.size, 50);
    assert_memory_equal(qn.name + 2, want, 48);
    child.size = 1;
    assert_int_equal(tpmname_qualified(&root, &child, &qn, NULL), -1);
}

static void test_a_public_area_is_read_strictly(void **state)
{
    static const enum unit_key kinds[] = {UNIT_P256, UNIT_P384, UNIT_RSA};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct buf wire = {0};
        TPMT_PUBLIC pub, got;

        unit_forge_public(unit_forge_key(kinds[i], 0), TPMA_OBJECT_SIGN_ENCRYPT, &pub);
        assert_int_equal(tpmname_marshal_public(&pub, &wire, NULL), 0);
        assert_int_equal(tpmname_unmarshal_public(buf_bytes(&wire), &got, NULL), 0);
        for (size_t cut = 0; cut < wire.len; cut++) {
            /* An exact copy, so that a read past the end is seen. */
            uint8_t *copy = cut != 0 ? OPENSSL_memdup(wire.p, cut) : NULL;

            assert_int_equal(tpmname_unmarshal_public(bytes_of(copy, cut), &got, NULL), -1);
            OPENSSL_free(copy);
        }
        buf_u8(&wire, 0);
        assert_int_equal(tpmname_unmarshal_public(buf_bytes(&wire), &got, NULL), -1);
        buf_free(&wire);
    }
}

static void test_unknown_name_algorithms_are_refused(void **state)
{
    static const uint8_t null_alg[] = {0x00, 0x23, 0x00, 0x10, 0, 0, 0, 0};
    struct err e = {0};
    TPM2B_NAME name;

    (void)state;
    assert_int_equal(tpmname_object(bytes_of(null_alg, sizeof(null_alg)), &name, &e), -1);
    assert_int_equal(e.code, E_UNSUPPORTED);
    err_clear(&e);
    assert_int_equal(tpmname_object(bytes_of(null_alg, 3), &name, &e), -1);
    assert_int_equal(e.code, E_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_is_algorithm_and_digest),
        cmocka_unit_test(test_the_name_of_an_nv_index_covers_its_public_area),
        cmocka_unit_test(test_a_handle_is_its_own_name),
        cmocka_unit_test(test_the_qualified_name_uses_the_childs_algorithm),
        cmocka_unit_test(test_a_public_area_is_read_strictly),
        cmocka_unit_test(test_unknown_name_algorithms_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
