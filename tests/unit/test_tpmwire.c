/* Goal: TPM structures from strangers are read whole and exact, or refused. */
#include "tests/support/unit_forge.h"

#include "core/tpmwire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include <tss2/tss2_mu.h>

static void attest_wire(uint16_t type, struct buf *out)
{
    uint8_t wire[sizeof(TPMS_ATTEST)];
    TPMS_ATTEST a;
    size_t n = 0;

    memset(&a, 0, sizeof(a));
    a.magic = TPM2_GENERATED_VALUE;
    a.type = type;
    a.qualifiedSigner.size = 34;
    a.extraData.size = 32;
    a.clockInfo.safe = TPM2_YES;
    assert_int_equal(Tss2_MU_TPMS_ATTEST_Marshal(&a, wire, sizeof(wire), &n), 0);
    buf_add(out, wire, n);
}

static void test_attestations_are_read_whole_or_refused(void **state)
{
    static const uint16_t types[] = {TPM2_ST_ATTEST_CERTIFY, TPM2_ST_ATTEST_QUOTE,
                                     TPM2_ST_ATTEST_CREATION, TPM2_ST_ATTEST_TIME,
                                     TPM2_ST_ATTEST_NV};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct buf wire = {0};
        TPMS_ATTEST a;

        attest_wire(types[i], &wire);
        assert_int_equal(tpmwire_attest(buf_bytes(&wire), &a, NULL), 0);
        assert_int_equal(a.type, types[i]);
        for (size_t cut = 0; cut < wire.len; cut++) {
            uint8_t *copy = cut != 0 ? OPENSSL_memdup(wire.p, cut) : NULL;

            assert_int_equal(tpmwire_attest(bytes_of(copy, cut), &a, NULL), -1);
            OPENSSL_free(copy);
        }
        buf_u8(&wire, 0);
        assert_int_equal(tpmwire_attest(buf_bytes(&wire), &a, NULL), -1);
        buf_free(&wire);
    }
}

static void test_sizes_that_overrun_are_refused(void **state)
{
    struct buf wire = {0};
    TPMS_ATTEST a;

    (void)state;
    attest_wire(TPM2_ST_ATTEST_CERTIFY, &wire);
    for (size_t at = 0; at < wire.len; at++) {
        uint8_t was = wire.p[at];

        wire.p[at] = 0xff;
        if (tpmwire_attest(buf_bytes(&wire), &a, NULL) == 0) {
            assert_true(a.qualifiedSigner.size <= sizeof(a.qualifiedSigner.name));
            assert_true(a.extraData.size <= sizeof(a.extraData.buffer));
        }
        wire.p[at] = was;
    }
    buf_free(&wire);
}

static void ecdsa(TPMT_SIGNATURE *s, size_t len)
{
    memset(s, 0, sizeof(*s));
    s->sigAlg = TPM2_ALG_ECDSA;
    s->signature.ecdsa.hash = TPM2_ALG_SHA256;
    s->signature.ecdsa.signatureR.size = s->signature.ecdsa.signatureS.size = (UINT16)len;
    memset(s->signature.ecdsa.signatureR.buffer, 1, len);
    memset(s->signature.ecdsa.signatureS.buffer, 2, len);
}

static void test_signatures_are_read_whole_or_refused(void **state)
{
    TPMT_SIGNATURE s, got;
    struct buf wire = {0};

    (void)state;
    ecdsa(&s, 32);
    assert_int_equal(tpmwire_marshal_signature(&s, &wire, NULL), 0);
    assert_int_equal(tpmwire_signature(buf_bytes(&wire), &got, NULL), 0);
    for (size_t cut = 0; cut < wire.len; cut++) {
        uint8_t *copy = cut != 0 ? OPENSSL_memdup(wire.p, cut) : NULL;

        assert_int_equal(tpmwire_signature(bytes_of(copy, cut), &got, NULL), -1);
        OPENSSL_free(copy);
    }
    buf_u8(&wire, 0);
    assert_int_equal(tpmwire_signature(buf_bytes(&wire), &got, NULL), -1);
    buf_free(&wire);
}

static void test_raw_signatures_have_one_length(void **state)
{
    const struct alg_hash *h = NULL;
    enum pubkey_scheme scheme = PUBKEY_RSASSA;
    struct buf raw = {0};
    TPMT_SIGNATURE s;
    struct pubkey ec, rsa;

    (void)state;
    unit_forge_pubkey(unit_forge_key(UNIT_P256, 0), &ec);
    unit_forge_pubkey(unit_forge_key(UNIT_RSA, 0), &rsa);
    /* leading zeros cut off, as some TPMs send them */
    ecdsa(&s, 31);
    assert_int_equal(tpmwire_signature_raw(&s, &ec, &scheme, &h, &raw, NULL), 0);
    assert_int_equal(raw.len, 64);
    assert_int_equal(raw.p[0], 0);
    assert_int_equal(raw.p[1], 1);
    assert_int_equal(raw.p[32], 0);
    assert_int_equal(scheme, PUBKEY_ECDSA);
    assert_int_equal(h->tpm, TPM2_ALG_SHA256);
    /* nothing is appended when refused */
    ecdsa(&s, 33);
    assert_int_equal(tpmwire_signature_raw(&s, &ec, &scheme, &h, &raw, NULL), -1);
    ecdsa(&s, 32);
    s.signature.ecdsa.signatureS.size = 0;
    assert_int_equal(tpmwire_signature_raw(&s, &ec, &scheme, &h, &raw, NULL), -1);
    ecdsa(&s, 32);
    memset(s.signature.ecdsa.signatureR.buffer, 0, 32);
    assert_int_equal(tpmwire_signature_raw(&s, &ec, &scheme, &h, &raw, NULL), -1);
    ecdsa(&s, 32);
    assert_int_equal(tpmwire_signature_raw(&s, &rsa, &scheme, &h, &raw, NULL), -1);
    s.signature.ecdsa.hash = TPM2_ALG_SM3_256;
    assert_int_equal(tpmwire_signature_raw(&s, &ec, &scheme, &h, &raw, NULL), -1);
    s.sigAlg = TPM2_ALG_ECDAA;
    assert_int_equal(tpmwire_signature_raw(&s, &ec, &scheme, &h, &raw, NULL), -1);
    memset(&s, 0, sizeof(s));
    s.sigAlg = TPM2_ALG_RSAPSS;
    s.signature.rsapss.hash = TPM2_ALG_SHA256;
    s.signature.rsapss.sig.size = 255;
    assert_int_equal(tpmwire_signature_raw(&s, &rsa, &scheme, &h, &raw, NULL), -1);
    assert_int_equal(raw.len, 64);
    buf_free(&raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attestations_are_read_whole_or_refused),
        cmocka_unit_test(test_sizes_that_overrun_are_refused),
        cmocka_unit_test(test_signatures_are_read_whole_or_refused),
        cmocka_unit_test(test_raw_signatures_have_one_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
