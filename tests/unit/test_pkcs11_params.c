/* The parameters of mechanisms: for every row of the table what is taken, and that nothing else
 * is. They lie in memory of just their length, at odd addresses, so that a sanitizer sees
 * every byte too far. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/obj_mac.h>

#include "pkcs11/mech_params.h"

#define BAD CKR_MECHANISM_PARAM_INVALID

static uint8_t text[33] = "thirty-two bytes of some data...";

/* What a mechanism's parameter can be. */
union param {
    CK_RSA_PKCS_PSS_PARAMS pss;
    CK_RSA_PKCS_OAEP_PARAMS oaep;
    CK_AES_CTR_PARAMS ctr;
    CK_GCM_PARAMS gcm;
    CK_ECDH1_DERIVE_PARAMS ecdh;
    CK_HKDF_PARAMS hkdf;
    CK_KEY_DERIVATION_STRING_DATA ecb;
    CK_AES_CBC_ENCRYPT_DATA_PARAMS cbc;
    CK_ULONG len;
    uint8_t iv[16];
};

/* Reads a parameter from a place of its own; NULL `p` is given as it is. */
static CK_RV reads(CK_MECHANISM_TYPE type, const void *p, size_t len, struct mech_params *out)
{
    uint8_t *place = malloc(len + 1);
    CK_MECHANISM given = {type, p != NULL ? place + 1 : NULL, (CK_ULONG)len};
    struct mech_params mine;
    CK_RV rv;

    assert_non_null(place);
    if (p != NULL)
        memcpy(place + 1, p, len);
    rv = mech_params_read(mech_table_row(type), &given, out != NULL ? out : &mine);
    free(place);
    return rv;
}

/* A good parameter for a mechanism; its length, 0 for none. */
static size_t good(const struct mech *m, union param *p)
{
    memset(p, 0, sizeof(*p));
    switch (m->family) {
    case MECH_PSS:
        p->pss = (CK_RSA_PKCS_PSS_PARAMS){CKM_SHA256, CKG_MGF1_SHA256, 32};
        for (CK_ULONG i = 0; i < 5 && m->hash != 0; i++) {
            static const CK_MECHANISM_TYPE hashes[] = {CKM_SHA_1, CKM_SHA224, CKM_SHA256,
                                                       CKM_SHA384, CKM_SHA512};

            if (mech_table_row(hashes[i])->hash == m->hash)
                p->pss.hashAlg = hashes[i];
        }
        return sizeof(p->pss);
    case MECH_OAEP:
        p->oaep = (CK_RSA_PKCS_OAEP_PARAMS){CKM_SHA256, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, text, 9};
        return sizeof(p->oaep);
    case MECH_AES:
        memcpy(p->iv, text, 16);
        if (m->variant == MECH_AES_ECB)
            return 0;
        if (m->variant != MECH_AES_CTR)
            return sizeof(p->iv);
        p->ctr.ulCounterBits = 32;
        memcpy(p->ctr.cb, text, 16);
        return sizeof(p->ctr);
    case MECH_GCM:
        p->gcm = (CK_GCM_PARAMS){text, 12, 96, text + 12, 20, 128};
        return sizeof(p->gcm);
    case MECH_CMAC:
    case MECH_HMAC: p->len = 5; return m->variant == 1 ? sizeof(p->len) : 0;
    case MECH_ECDH:
        p->ecdh = (CK_ECDH1_DERIVE_PARAMS){CKD_SHA256_KDF, 7, text, 32, text};
        return sizeof(p->ecdh);
    case MECH_HKDF:
        p->hkdf = (CK_HKDF_PARAMS){true, true, CKM_SHA256, CKF_HKDF_SALT_DATA, text, 8, 0, text, 4};
        return sizeof(p->hkdf);
    case MECH_ENCRYPT_DATA:
        if (m->variant == MECH_AES_ECB) {
            p->ecb = (CK_KEY_DERIVATION_STRING_DATA){text, 32};
            return sizeof(p->ecb);
        }
        memcpy(p->cbc.iv, text, 16);
        p->cbc.pData = text;
        p->cbc.length = 16;
        return sizeof(p->cbc);
    default: return 0;
    }
}

/* --- all of them ---------------------------------------------------------- */

static void test_every_mechanism_takes_what_is_good_and_no_other_length(void **state)
{
    uint8_t zeros[sizeof(union param) + 16] = {0};
    size_t n;
    const struct mech *m = mech_table_all(&n);
    union param p;

    (void)state;
    for (size_t i = 0; i < n; i++) {
        size_t len = good(&m[i], &p);

        memcpy(zeros, &p, sizeof(p));
        if (reads(m[i].type, len != 0 ? &p : NULL, len, NULL) != CKR_OK)
            fail_msg("mechanism 0x%lx refuses a good parameter", m[i].type);
        for (size_t other = 1; other <= sizeof(zeros); other++) {
            bool wrap = m[i].family == MECH_KEY_WRAP && other == (m[i].variant == 0 ? 8 : 4);

            if (other != len && !wrap && reads(m[i].type, zeros, other, NULL) != BAD)
                fail_msg("mechanism 0x%lx takes %zu bytes for %zu", m[i].type, other, len);
        }
        assert_int_equal(reads(m[i].type, NULL, len != 0 ? len : 8, NULL), BAD);
        assert_int_equal(reads(m[i].type, NULL, 0, NULL),
                         len == 0 ? CKR_OK : CKR_MECHANISM_PARAM_INVALID);
        /* A stale pointer beside no length is none. */
        assert_int_equal(reads(m[i].type, &p, 0, NULL),
                         len == 0 ? CKR_OK : CKR_MECHANISM_PARAM_INVALID);
    }
}

static void test_a_refusal_leaves_the_result_alone(void **state)
{
    struct mech_params out, before;

    (void)state;
    memset(&out, 0x5a, sizeof(out));
    before = out;
    assert_int_equal(reads(CKM_AES_CBC, text, 15, &out), BAD);
    assert_memory_equal(&out, &before, sizeof(out));
}

static void test_members_of_other_families_are_zero(void **state)
{
    struct mech_params out;

    (void)state;
    assert_int_equal(reads(CKM_AES_CBC, text, 16, &out), CKR_OK);
    assert_memory_equal(out.iv, text, 16);
    assert_true(out.hash == NULL && out.label.len == 0 && out.nonce.len == 0 && out.tag_len == 0);
    assert_int_equal(reads(CKM_SHA256_RSA_PKCS, NULL, 0, &out), CKR_OK);
    assert_int_equal(out.hash->nid, NID_sha256);
    assert_true(out.mgf == NULL && out.salt_len == 0);
}

/* --- RSA ---------------------------------------------------------------------- */

static CK_RV pss(CK_MECHANISM_TYPE type, CK_MECHANISM_TYPE hash, CK_ULONG mgf, CK_ULONG salt)
{
    CK_RSA_PKCS_PSS_PARAMS p = {hash, mgf, salt};

    return reads(type, &p, sizeof(p), NULL);
}

static void test_pss_names_two_hashes_and_a_salt(void **state)
{
    (void)state;
    assert_int_equal(pss(CKM_RSA_PKCS_PSS, CKM_SHA512, CKG_MGF1_SHA1, 0), CKR_OK);
    assert_int_equal(pss(CKM_SHA384_RSA_PKCS_PSS, CKM_SHA384, CKG_MGF1_SHA256, 512), CKR_OK);
    assert_int_equal(pss(CKM_SHA384_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, 32), BAD);
    assert_int_equal(pss(CKM_RSA_PKCS_PSS, CKM_SHA256_RSA_PKCS, CKG_MGF1_SHA256, 32), BAD);
    assert_int_equal(pss(CKM_RSA_PKCS_PSS, CKM_SHA256_HMAC, CKG_MGF1_SHA256, 32), BAD);
    assert_int_equal(pss(CKM_RSA_PKCS_PSS, CKM_MD5, CKG_MGF1_SHA256, 32), BAD);
    assert_int_equal(pss(CKM_RSA_PKCS_PSS, CKM_SHA256, 0, 32), BAD);
    assert_int_equal(pss(CKM_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, 513), BAD);
    assert_int_equal(pss(CKM_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, (CK_ULONG)-1), BAD);
}

static void test_oaep_has_a_label_or_none(void **state)
{
    CK_RSA_PKCS_OAEP_PARAMS p = {CKM_SHA_1, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, NULL, 0};
    struct mech_params out;

    (void)state;
    assert_int_equal(reads(CKM_RSA_PKCS_OAEP, &p, sizeof(p), &out), CKR_OK);
    assert_true(out.label.len == 0 && out.hash->nid == NID_sha1 && out.mgf->nid == NID_sha1);
    p.source = 0;
    assert_int_equal(reads(CKM_RSA_PKCS_OAEP, &p, sizeof(p), &out), CKR_OK);
    p.pSourceData = text;
    p.ulSourceDataLen = 3;
    assert_int_equal(reads(CKM_RSA_PKCS_OAEP, &p, sizeof(p), &out), BAD);
    p.source = 2;
    assert_int_equal(reads(CKM_RSA_PKCS_OAEP, &p, sizeof(p), &out), BAD);
    p.source = CKZ_DATA_SPECIFIED;
    assert_int_equal(reads(CKM_RSA_PKCS_OAEP, &p, sizeof(p), &out), CKR_OK);
    /* Borrowed, not copied. */
    assert_true(out.label.p == text && out.label.len == 3);
    p.pSourceData = NULL;
    assert_int_equal(reads(CKM_RSA_PKCS_OAEP, &p, sizeof(p), &out), BAD);
    p = (CK_RSA_PKCS_OAEP_PARAMS){CKM_SHA_1, 99, CKZ_DATA_SPECIFIED, NULL, 0};
    assert_int_equal(reads(CKM_RSA_PKCS_OAEP, &p, sizeof(p), &out), BAD);
    p = (CK_RSA_PKCS_OAEP_PARAMS){99, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, NULL, 0};
    assert_int_equal(reads(CKM_RSA_PKCS_OAEP, &p, sizeof(p), &out), BAD);
}

/* --- AES ---------------------------------------------------------------------- */

static void test_counters_have_1_to_128_bits(void **state)
{
    static const struct {
        CK_ULONG bits;
        CK_RV rv;
    } t[] = {{0, BAD}, {1, CKR_OK}, {64, CKR_OK}, {128, CKR_OK}, {129, BAD}, {(CK_ULONG)-1, BAD}};
    CK_AES_CTR_PARAMS p;
    struct mech_params out;

    (void)state;
    memcpy(p.cb, text, 16);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        p.ulCounterBits = t[i].bits;
        assert_int_equal(reads(CKM_AES_CTR, &p, sizeof(p), &out), t[i].rv);
        if (t[i].rv == CKR_OK)
            assert_true(out.counter_bits == t[i].bits && memcmp(out.iv, text, 16) == 0);
    }
}

static void test_gcm_takes_the_tags_of_the_standard(void **state)
{
    CK_GCM_PARAMS p = {text, 12, 96, NULL, 0, 128};
    struct mech_params out;

    (void)state;
    for (CK_ULONG bits = 0; bits <= 160; bits++) {
        bool fine = bits == 32 || bits == 64 || (bits >= 96 && bits <= 128 && bits % 8 == 0);

        p.ulTagBits = bits;
        assert_int_equal(reads(CKM_AES_GCM, &p, sizeof(p), &out), fine ? CKR_OK : BAD);
        if (fine)
            assert_int_equal(out.tag_len, bits / 8);
    }
    p.ulTagBits = (CK_ULONG)-8;
    assert_int_equal(reads(CKM_AES_GCM, &p, sizeof(p), &out), BAD);
    p.ulTagBits = 128;
    p.ulIvLen = 0;
    assert_int_equal(reads(CKM_AES_GCM, &p, sizeof(p), &out), BAD);
    p.ulIvLen = 12;
    p.pIv = NULL;
    assert_int_equal(reads(CKM_AES_GCM, &p, sizeof(p), &out), BAD);
    p.pIv = text;
    p.ulAADLen = 1;
    assert_int_equal(reads(CKM_AES_GCM, &p, sizeof(p), &out), BAD);
    /* What ulIvBits says is nobody's business: callers fill it in or not. */
    p.ulAADLen = 0;
    p.ulIvBits = 7;
    assert_int_equal(reads(CKM_AES_GCM, &p, sizeof(p), &out), CKR_OK);
    assert_true(out.nonce.p == text && out.nonce.len == 12 && out.aad.len == 0);
}

static void test_byte_strings_have_a_longest_length(void **state)
{
    uint8_t *large = calloc(1, MECH_PARAMS_MAX + 1);
    CK_GCM_PARAMS p = {text, 12, 96, large, (CK_ULONG)MECH_PARAMS_MAX, 128};
    CK_KEY_DERIVATION_STRING_DATA d = {large, (CK_ULONG)MECH_PARAMS_MAX};

    (void)state;
    assert_non_null(large);
    assert_int_equal(reads(CKM_AES_GCM, &p, sizeof(p), NULL), CKR_OK);
    assert_int_equal(reads(CKM_AES_ECB_ENCRYPT_DATA, &d, sizeof(d), NULL), CKR_OK);
    p.ulAADLen++;
    assert_int_equal(reads(CKM_AES_GCM, &p, sizeof(p), NULL), BAD);
    p.ulAADLen = (CK_ULONG)-1;
    assert_int_equal(reads(CKM_AES_GCM, &p, sizeof(p), NULL), BAD);
    d.ulLen += 16;
    assert_int_equal(reads(CKM_AES_ECB_ENCRYPT_DATA, &d, sizeof(d), NULL), BAD);
    free(large);
}

static void test_key_wrap_has_an_initial_value_or_the_usual_one(void **state)
{
    struct mech_params out;

    (void)state;
    assert_int_equal(reads(CKM_AES_KEY_WRAP, text, 8, &out), CKR_OK);
    assert_int_equal(out.wrap_iv.len, 8);
    assert_int_equal(reads(CKM_AES_KEY_WRAP, NULL, 0, &out), CKR_OK);
    assert_int_equal(out.wrap_iv.len, 0);
    assert_int_equal(reads(CKM_AES_KEY_WRAP, text, 4, &out), BAD);
    assert_int_equal(reads(CKM_AES_KEY_WRAP_KWP, text, 4, &out), CKR_OK);
    assert_int_equal(reads(CKM_AES_KEY_WRAP_PAD, text, 4, &out), CKR_OK);
    assert_int_equal(reads(CKM_AES_KEY_WRAP_KWP, text, 8, &out), BAD);
}

static void test_data_to_encrypt_comes_in_whole_blocks(void **state)
{
    CK_KEY_DERIVATION_STRING_DATA ecb = {text, 16};
    CK_AES_CBC_ENCRYPT_DATA_PARAMS cbc = {{1, 2, 3}, text, 32};
    struct mech_params out;

    (void)state;
    assert_int_equal(reads(CKM_AES_CBC_ENCRYPT_DATA, &cbc, sizeof(cbc), &out), CKR_OK);
    assert_true(out.iv[2] == 3 && out.label.p == text && out.label.len == 32);
    for (CK_ULONG n = 0; n < 16; n++) {
        ecb.ulLen = cbc.length = n;
        assert_int_equal(reads(CKM_AES_ECB_ENCRYPT_DATA, &ecb, sizeof(ecb), &out), BAD);
        assert_int_equal(reads(CKM_AES_CBC_ENCRYPT_DATA, &cbc, sizeof(cbc), &out), BAD);
    }
    ecb = (CK_KEY_DERIVATION_STRING_DATA){NULL, 16};
    assert_int_equal(reads(CKM_AES_ECB_ENCRYPT_DATA, &ecb, sizeof(ecb), &out), BAD);
    cbc.pData = NULL;
    cbc.length = 16;
    assert_int_equal(reads(CKM_AES_CBC_ENCRYPT_DATA, &cbc, sizeof(cbc), &out), BAD);
}

/* --- MACs ------------------------------------------------------------------------ */

static void test_a_mac_has_at_most_its_whole_length(void **state)
{
    size_t n;
    const struct mech *m = mech_table_all(&n);
    struct mech_params out;

    (void)state;
    for (size_t i = 0; i < n; i++) {
        bool hmac = m[i].family == MECH_HMAC;
        CK_ULONG whole, len;

        if ((!hmac && m[i].family != MECH_CMAC) || m[i].variant == 0)
            continue;
        whole = hmac ? (CK_ULONG)alg_hash_nid(m[i].hash)->size : 16;
        for (len = 0; len <= whole + 1; len++)
            assert_int_equal(reads(m[i].type, &len, sizeof(len), &out),
                             len == 0 || len > whole ? BAD : CKR_OK);
        len = whole;
        assert_int_equal(reads(m[i].type, &len, sizeof(len), &out), CKR_OK);
        assert_int_equal(out.mac_len, whole);
    }
    assert_int_equal(reads(CKM_SHA256_HMAC, NULL, 0, &out), CKR_OK);
    assert_true(out.mac_len == 0 && out.hash->nid == NID_sha256);
}

/* --- derivation ---------------------------------------------------------------- */

static CK_RV ecdh(CK_ULONG kdf, CK_BYTE *shared, CK_ULONG n, CK_BYTE *point, CK_ULONG len)
{
    CK_ECDH1_DERIVE_PARAMS p = {kdf, n, shared, len, point};
    CK_RV rv = reads(CKM_ECDH1_DERIVE, &p, sizeof(p), NULL);

    assert_int_equal(reads(CKM_ECDH1_COFACTOR_DERIVE, &p, sizeof(p), NULL), rv);
    return rv;
}

static void test_ecdh_shares_data_only_with_a_derivation_function(void **state)
{
    static const CK_ULONG kdf[] = {CKD_SHA1_KDF, CKD_SHA224_KDF, CKD_SHA256_KDF, CKD_SHA384_KDF,
                                   CKD_SHA512_KDF};

    (void)state;
    assert_int_equal(ecdh(CKD_NULL, NULL, 0, text, 32), CKR_OK);
    assert_int_equal(ecdh(CKD_NULL, text, 0, text, 32), CKR_OK);
    assert_int_equal(ecdh(CKD_NULL, text, 1, text, 32), BAD);
    for (size_t i = 0; i < ARRAY_LEN(kdf); i++) {
        assert_int_equal(ecdh(kdf[i], text, 32, text, 32), CKR_OK);
        assert_int_equal(ecdh(kdf[i], NULL, 0, text, 32), CKR_OK);
        assert_int_equal(ecdh(kdf[i], NULL, 1, text, 32), BAD);
    }
    assert_int_equal(ecdh(CKD_SHA256_KDF, NULL, 0, text, 0), BAD);
    assert_int_equal(ecdh(CKD_SHA256_KDF, NULL, 0, NULL, 32), BAD);
    assert_int_equal(ecdh(CKD_SHA256_KDF, NULL, 0, text, MECH_PARAMS_MAX + 1), BAD);
    assert_int_equal(ecdh(0, NULL, 0, text, 32), BAD);
    assert_int_equal(ecdh(4, NULL, 0, text, 32), BAD);
}

static void test_hkdf_reads_what_its_steps_take(void **state)
{
    CK_HKDF_PARAMS p = {false, true, CKM_SHA384, 99, NULL, 77, 5, text, 9};
    struct mech_params out;

    (void)state;
    /* Expansion alone: the salt is not looked at. */
    assert_int_equal(reads(CKM_HKDF_DERIVE, &p, sizeof(p), &out), CKR_OK);
    assert_true(out.expand && !out.extract && out.label.p == text && out.label.len == 9);
    assert_true(out.salt.len == 0 && !out.salt_is_key && out.hash->nid == NID_sha384);
    p.bExtract = 7; /* any true */
    assert_int_equal(reads(CKM_HKDF_DERIVE, &p, sizeof(p), &out), BAD);
    p.ulSaltType = CKF_HKDF_SALT_NULL;
    assert_int_equal(reads(CKM_HKDF_DERIVE, &p, sizeof(p), &out), CKR_OK);
    assert_true(out.extract && out.salt.len == 0);
    p.ulSaltType = CKF_HKDF_SALT_DATA;
    assert_int_equal(reads(CKM_HKDF_DERIVE, &p, sizeof(p), &out), BAD);
    p.pSalt = text;
    p.ulSaltLen = 32;
    assert_int_equal(reads(CKM_HKDF_DERIVE, &p, sizeof(p), &out), CKR_OK);
    assert_true(out.salt.p == text && out.salt.len == 32 && !out.salt_is_key);
    p.ulSaltType = CKF_HKDF_SALT_KEY;
    assert_int_equal(reads(CKM_HKDF_DATA, &p, sizeof(p), &out), CKR_OK);
    assert_true(out.salt_is_key && out.salt_key == 5 && out.salt.len == 0);
    /* Extraction alone: neither is the info. */
    p.bExpand = CK_FALSE;
    p.pInfo = NULL;
    assert_int_equal(reads(CKM_HKDF_DERIVE, &p, sizeof(p), &out), CKR_OK);
    assert_int_equal(out.label.len, 0);
    p.bExpand = CK_TRUE;
    assert_int_equal(reads(CKM_HKDF_DERIVE, &p, sizeof(p), &out), BAD);
    p.bExtract = p.bExpand = CK_FALSE;
    assert_int_equal(reads(CKM_HKDF_DERIVE, &p, sizeof(p), &out), BAD);
    p = (CK_HKDF_PARAMS){true, false, CKM_SHA384_HMAC, CKF_HKDF_SALT_NULL, NULL, 0, 0, NULL, 0};
    assert_int_equal(reads(CKM_HKDF_DERIVE, &p, sizeof(p), &out), BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_mechanism_takes_what_is_good_and_no_other_length),
        cmocka_unit_test(test_a_refusal_leaves_the_result_alone),
        cmocka_unit_test(test_members_of_other_families_are_zero),
        cmocka_unit_test(test_pss_names_two_hashes_and_a_salt),
        cmocka_unit_test(test_oaep_has_a_label_or_none),
        cmocka_unit_test(test_counters_have_1_to_128_bits),
        cmocka_unit_test(test_gcm_takes_the_tags_of_the_standard),
        cmocka_unit_test(test_byte_strings_have_a_longest_length),
        cmocka_unit_test(test_key_wrap_has_an_initial_value_or_the_usual_one),
        cmocka_unit_test(test_data_to_encrypt_comes_in_whole_blocks),
        cmocka_unit_test(test_a_mac_has_at_most_its_whole_length),
        cmocka_unit_test(test_ecdh_shares_data_only_with_a_derivation_function),
        cmocka_unit_test(test_hkdf_reads_what_its_steps_take),
    };

    return cmocka_run_group_tests_name("pkcs11_params", tests, NULL, NULL);
}
