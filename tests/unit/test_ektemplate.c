/* Goal: the templates are those of the profile: policies recomputed from their definition. */
#include "tests/support/unit_forge.h"

#include "core/ektemplate.h"
#include "core/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* One step of a policy: H(digest ‖ command code ‖ what). */
static void extend(const struct alg_hash *h, uint8_t *digest, uint32_t cc, struct bytes what)
{
    struct buf in = {0};

    buf_add(&in, digest, h->size);
    buf_u32(&in, cc);
    buf_add_bytes(&in, what);
    assert_int_equal(hash_digest(h, buf_bytes(&in), digest, NULL), 0);
    buf_free(&in);
}

/* PolicySecret(TPM_RH_ENDORSEMENT), Part 3, 23.4: then once more over the empty policyRef. */
static void policy_a(const struct alg_hash *h, uint8_t *out)
{
    static const uint8_t endorsement[] = {0x40, 0x00, 0x00, 0x0b};

    memset(out, 0, h->size);
    extend(h, out, TPM2_CC_PolicySecret, bytes_of(endorsement, 4));
    assert_int_equal(hash_digest(h, bytes_of(out, h->size), out, NULL), 0);
}

/* PolicyOR(A, PolicyAuthorizeNV(index)), the index as the profile defines it (B.6.4). */
static void policy_b(const struct alg_hash *h, uint32_t index, uint8_t *out)
{
    uint8_t a[64], c[64], both[128];
    TPMS_NV_PUBLIC pub = {.nvIndex = index,
                          .nameAlg = h->tpm,
                          .attributes = 0x220F1008,
                          .dataSize = (UINT16)(h->size + 2)};
    TPM2B_NAME name;

    policy_a(h, a);
    pub.authPolicy.size = (UINT16)h->size;
    memcpy(pub.authPolicy.buffer, a, h->size);
    assert_int_equal(tpmname_nv(&pub, &name, NULL), 0);
    memset(c, 0, sizeof(c));
    extend(h, c, TPM2_CC_PolicyAuthorizeNV, bytes_of(name.name, name.size));
    memcpy(both, a, h->size);
    memcpy(both + h->size, c, h->size);
    memset(out, 0, h->size);
    extend(h, out, TPM2_CC_PolicyOR, bytes_of(both, 2 * h->size));
}

static void test_policies_are_what_the_profile_defines(void **state)
{
    const struct ektemplate *t;
    size_t n = 0;

    (void)state;
    for (size_t i = 0; (t = ektemplate_at(i)) != NULL; i++) {
        const struct alg_hash *h = alg_hash_of(t->name_alg);
        uint8_t want[64];
        TPMT_PUBLIC pub;

        assert_int_equal(ektemplate_public(t->nv_cert, &pub, NULL), 0);
        if (t->policy)
            policy_a(h, want);
        else
            policy_b(h, 0x01C07F01u + h->tpm - TPM2_ALG_SHA256, want);
        assert_int_equal(pub.authPolicy.size, h->size);
        assert_memory_equal(pub.authPolicy.buffer, want, h->size);
        assert_int_equal((pub.objectAttributes & TPMA_OBJECT_USERWITHAUTH) == 0, t->policy);
        assert_ptr_equal(ektemplate_of(t->nv_cert), t);
        n++;
    }
    assert_true(n >= 6);
    assert_null(ektemplate_of(0x01C00003));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policies_are_what_the_profile_defines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
