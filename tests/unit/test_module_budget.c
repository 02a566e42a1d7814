/* Goal: how many TPM commands a call costs is a promise; the spy counts them (make support).
 * Commands that the TPM wanted again (TPM_RC_RETRY) do not count. */
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/ecc.h"
#include "tests/support/unit_module.h"

static const uint8_t key[32] = "the bytes of a secret, 32 long..";
static uint8_t text[5000], out[5600];
static size_t len;

static int begin(void **state)
{
    int rc = unit_module_begin(state);

    unit_module_fill(text, sizeof(text), 1);
    unit_module_spied();
    return rc;
}

static void sent(size_t want, const char *what)
{
    size_t n = unit_module_sent();

    if (n != want)
        fail_msg("%s: %zu commands, %zu wanted", what, n, want);
}

static void sent_at_most(size_t most, const char *what)
{
    size_t n = unit_module_sent();

    if (n == 0 || n > most)
        fail_msg("%s: %zu commands, at most %zu wanted", what, n, most);
}

static struct bytes some(size_t n)
{
    return bytes_of(text, n);
}

/* A key in the TPM, loaded. */
static CK_OBJECT_HANDLE loaded(CK_KEY_TYPE type, size_t n)
{
    CK_OBJECT_HANDLE o = unit_module_secret(type, bytes_of(key, n), UNIT_TOKEN);
    CK_MECHANISM ecb = {CKM_AES_ECB, NULL, 0}, hmac = {CKM_SHA256_HMAC, NULL, 0};
    CK_HKDF_PARAMS p = {.bExpand = true, .prfHashMechanism = CKM_SHA256};
    CK_MECHANISM hkdf = {CKM_HKDF_DERIVE, &p, sizeof(p)};
    CK_OBJECT_HANDLE d;

    if (type == CKK_AES) {
        assert_int_equal(unit_module_crypt(true, &ecb, o, some(16), 0, out, &len), CKR_OK);
    } else if (type == CKK_HKDF) {
        assert_int_equal(C_DeriveKey(unit_session, &hkdf, o, NULL, 0, &d), CKR_OK);
        unit_module_destroy(d);
    } else {
        assert_int_equal(unit_module_sign(&hmac, o, some(16), 0, out, &len), CKR_OK);
    }
    (void)unit_module_sent();
    return o;
}

/* --- nothing at all -------------------------------------------------------------------- */

static void test_what_is_public_sends_nothing(void **state)
{
    static const CK_MECHANISM_TYPE digests[] = {CKM_SHA_1, CKM_SHA256, CKM_SHA512};
    CK_RSA_PKCS_OAEP_PARAMS oaep = {CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED, NULL, 0};
    CK_MECHANISM sign = {CKM_SHA256_RSA_PKCS, NULL, 0},
                 enc = {CKM_RSA_PKCS_OAEP, &oaep, sizeof(oaep)};
    CK_OBJECT_HANDLE pub, priv;
    uint8_t sig[512];
    CK_ULONG n;
    size_t sig_len = 0;

    (void)state;
    assert_int_equal(unit_module_pair(CKK_RSA, NULL, 0, &pub, &priv), CKR_OK);
    assert_int_equal(unit_module_sign(&sign, priv, some(100), 0, sig, &sig_len), CKR_OK);
    (void)unit_module_sent();
    assert_int_equal(unit_module_verify(&sign, pub, some(100), sig, sig_len), CKR_OK);
    sent(0, "C_Verify");
    assert_int_equal(unit_module_crypt(true, &enc, pub, some(100), 0, out, &len), CKR_OK);
    sent(0, "C_Encrypt by a public key");
    for (size_t i = 0; i < ARRAY_LEN(digests); i++) {
        CK_MECHANISM m = {digests[i], NULL, 0};

        n = sizeof(out);
        assert_int_equal(C_DigestInit(unit_session, &m), CKR_OK);
        assert_int_equal(C_Digest(unit_session, text, sizeof(text), out, &n), CKR_OK);
    }
    sent(0, "C_Digest");
    unit_module_destroy(pub);
    unit_module_destroy(priv);
}

static void test_init_functions_send_nothing(void **state)
{
    CK_GCM_PARAMS g = {text, 12, 96, text, 100, 128};
    CK_MECHANISM cbc = {CKM_AES_CBC, text, 16}, gcm = {CKM_AES_GCM, &g, sizeof(g)},
                 cmac = {CKM_AES_CMAC, NULL, 0}, hmac = {CKM_SHA256_HMAC, NULL, 0},
                 ecdsa = {CKM_ECDSA, NULL, 0};
    CK_OBJECT_HANDLE a = unit_module_secret(CKK_AES, bytes_of(key, 16), UNIT_TOKEN),
                     h = unit_module_secret(CKK_GENERIC_SECRET, bytes_of(key, 16), UNIT_TOKEN), pub,
                     priv;

    (void)state;
    assert_int_equal(unit_module_pair(CKK_EC, NULL, 0, &pub, &priv), CKR_OK);
    (void)unit_module_sent();
    assert_int_equal(C_EncryptInit(unit_session, &cbc, a), CKR_OK);
    assert_int_equal(C_EncryptInit(unit_session, NULL, 0), CKR_OK);
    assert_int_equal(C_EncryptInit(unit_session, &gcm, a), CKR_OK);
    assert_int_equal(C_DecryptInit(unit_session, &gcm, a), CKR_OK);
    assert_int_equal(C_SignInit(unit_session, &cmac, a), CKR_OK);
    assert_int_equal(C_SignInit(unit_session, NULL, 0), CKR_OK);
    assert_int_equal(C_SignInit(unit_session, &hmac, h), CKR_OK);
    assert_int_equal(C_SignUpdate(unit_session, text, 3000), CKR_OK);
    assert_int_equal(C_SignInit(unit_session, NULL, 0), CKR_OK);
    assert_int_equal(C_SignInit(unit_session, &ecdsa, priv), CKR_OK);
    assert_int_equal(C_SignUpdate(unit_session, text, 32), CKR_OK);
    assert_int_equal(C_VerifyInit(unit_session, &hmac, h), CKR_OK);
    sent(0, "Init functions");
    for (CK_FLAGS f = 1; f != 0 && f <= CKF_VERIFY_RECOVER; f <<= 1)
        assert_int_equal(C_SessionCancel(unit_session, f), CKR_OK);
    sent(0, "their end");
    unit_module_destroy(a);
    unit_module_destroy(h);
    unit_module_destroy(pub);
    unit_module_destroy(priv);
}

static void test_objects_send_nothing(void **state)
{
    CK_ATTRIBUTE token = T_BOOL(CKA_TOKEN, true);
    CK_OBJECT_HANDLE a = loaded(CKK_AES, 16), b = 0, s;

    (void)state;
    s = unit_module_secret(CKK_AES, bytes_of(key, 16), UNIT_LEAVES);
    assert_true(unit_module_in_memory(s));
    sent(0, "C_CreateObject of a secret that may leave");
    assert_int_equal(C_CopyObject(unit_session, a, NULL, 0, &b), CKR_OK);
    unit_module_destroy(b);
    b = 0;
    (void)unit_module_sent(); /* a copy shares the loaded key, which goes with it */
    assert_int_equal(C_CopyObject(unit_session, a, &token, 1, &b), CKR_OK);
    (void)unit_module_number(b, CKA_VALUE_LEN);
    (void)unit_module_bytes(b, CKA_FUSETSU_NAME, out);
    (void)unit_module_count(unit_session, &token, 1);
    sent(0, "C_CopyObject, C_GetAttributeValue, C_FindObjects");
    unit_module_destroy(b);
    unit_module_destroy(a);
    unit_module_destroy(s);
}

/* --- secret keys --------------------------------------------------------------------- */

static void test_aes_takes_a_command_for_each_kilobyte(void **state)
{
    static const struct {
        size_t n, commands;
    } t[] = {{16, 1}, {1024, 1}, {1040, 2}, {4096, 4}};
    CK_AES_CTR_PARAMS c = {128, {0}};
    CK_MECHANISM m[] = {{CKM_AES_ECB, NULL, 0},
                        {CKM_AES_CBC, text, 16},
                        {CKM_AES_CTR, &c, sizeof(c)},
                        {CKM_AES_CFB128, text, 16},
                        {CKM_AES_OFB, text, 16}};
    CK_OBJECT_HANDLE a = loaded(CKK_AES, 32);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(m); i++) {
        for (size_t k = 0; k < ARRAY_LEN(t); k++) {
            assert_int_equal(unit_module_crypt(true, &m[i], a, some(t[k].n), 0, out, &len), CKR_OK);
            sent(t[k].commands, "AES encryption");
            assert_int_equal(unit_module_crypt(false, &m[i], a, some(t[k].n), 0, out, &len),
                             CKR_OK);
            sent(t[k].commands, "AES decryption");
        }
    }
    /* Parts: no block twice, and a broken one costs one command. */
    assert_int_equal(unit_module_crypt(true, &m[1], a, some(2048), 100, out, &len), CKR_OK);
    sent(21, "CBC in parts of 100 bytes");
    assert_int_equal(unit_module_crypt(true, &m[2], a, some(64), 1, out, &len), CKR_OK);
    sent(4, "CTR byte by byte");
    unit_module_destroy(a);
}

static void test_gcm_takes_one_more(void **state)
{
    static const struct {
        size_t n, commands;
    } t[] = {{0, 1}, {1, 2}, {1024, 2}, {1025, 3}, {4096, 5}};
    CK_GCM_PARAMS g = {text, 12, 96, text, 100, 128};
    CK_MECHANISM m = {CKM_AES_GCM, &g, sizeof(g)};
    CK_OBJECT_HANDLE a = loaded(CKK_AES, 32);
    uint8_t *sealed = malloc(sizeof(text) + 512);
    size_t sealed_len = 0;

    (void)state;
    assert_non_null(sealed);
    for (size_t k = 0; k < ARRAY_LEN(t); k++) {
        assert_int_equal(unit_module_crypt(true, &m, a, some(t[k].n), 0, sealed, &sealed_len),
                         CKR_OK);
        sent(t[k].commands, "GCM encryption");
        assert_int_equal(
            unit_module_crypt(false, &m, a, bytes_of(sealed, sealed_len), 0, out, &len), CKR_OK);
        sent(t[k].commands, "GCM decryption");
    }
    free(sealed);
    unit_module_destroy(a);
}

static void test_macs(void **state)
{
    static const struct {
        size_t n, cmac, hmac;
    } t[] = {{0, 2, 1}, {16, 2, 1}, {1024, 2, 1}, {1025, 3, 3}, {4096, 5, 5}};
    CK_MECHANISM cmac = {CKM_AES_CMAC, NULL, 0}, hmac = {CKM_SHA256_HMAC, NULL, 0};
    CK_OBJECT_HANDLE a = loaded(CKK_AES, 16), h = loaded(CKK_GENERIC_SECRET, 32);

    (void)state;
    /* To import the second key the first one may have had to make room. */
    assert_int_equal(unit_module_sign(&cmac, a, some(16), 0, out, &len), CKR_OK);
    assert_int_equal(unit_module_sign(&hmac, h, some(16), 0, out, &len), CKR_OK);
    (void)unit_module_sent();
    for (size_t k = 0; k < ARRAY_LEN(t); k++) {
        assert_int_equal(unit_module_sign(&cmac, a, some(t[k].n), 0, out, &len), CKR_OK);
        sent(t[k].cmac, "CMAC");
        assert_int_equal(unit_module_sign(&hmac, h, some(t[k].n), 0, out, &len), CKR_OK);
        sent(t[k].hmac, "HMAC");
        assert_int_equal(unit_module_sign(&hmac, h, some(t[k].n), 100, out, &len), CKR_OK);
        sent(t[k].hmac, "HMAC in parts");
    }
    unit_module_destroy(a);
    unit_module_destroy(h);
}

static void test_hkdf_takes_a_command_for_each_block(void **state)
{
    static const CK_ULONG lengths[] = {1, 32, 33, 64, 200};
    CK_HKDF_PARAMS p = {.bExpand = true, .prfHashMechanism = CKM_SHA256};
    CK_MECHANISM m = {CKM_HKDF_DERIVE, &p, sizeof(p)};
    CK_OBJECT_HANDLE base = loaded(CKK_HKDF, 32), o;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        CK_ATTRIBUTE t = T_NUM(CKA_VALUE_LEN, lengths[i]);

        assert_int_equal(C_DeriveKey(unit_session, &m, base, &t, 1, &o), CKR_OK);
        sent((lengths[i] + 31) / 32, "HKDF");
        unit_module_destroy(o);
        sent(0, "the end of a derived key");
    }
    unit_module_destroy(base);
}

/* --- pairs -------------------------------------------------------------------------------- */

static void test_ecdh_is_one_command(void **state)
{
    CK_ATTRIBUTE derives = T_BOOL(CKA_DERIVE, true);
    uint8_t seed[40] = {5}, d[32], bare[65] = {4};
    CK_ECDH1_DERIVE_PARAMS p = {CKD_SHA256_KDF, 0, NULL, sizeof(bare), bare};
    CK_MECHANISM m = {CKM_ECDH1_DERIVE, &p, sizeof(p)};
    CK_OBJECT_HANDLE pub, priv, o;
    struct ecc_point peer;

    (void)state;
    assert_int_equal(
        ecc_from_seed(alg_curve_named("P-256"), bytes_of(seed, sizeof(seed)), d, &peer, NULL), 0);
    memcpy(bare + 1, peer.x, 32);
    memcpy(bare + 33, peer.y, 32);
    assert_int_equal(unit_module_pair(CKK_EC, &derives, 1, &pub, &priv), CKR_OK);
    sent_at_most(2, "C_GenerateKeyPair");
    assert_int_equal(C_DeriveKey(unit_session, &m, priv, NULL, 0, &o), CKR_OK);
    unit_module_destroy(o);
    sent_at_most(3, "the first ECDH");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(C_DeriveKey(unit_session, &m, priv, NULL, 0, &o), CKR_OK);
        unit_module_destroy(o);
        sent(1, "ECDH");
    }
    unit_module_destroy(pub);
    unit_module_destroy(priv);
}

static void test_keys_of_all_modes_sign_in_few(void **state)
{
    static const struct {
        CK_ULONG mode;
        const char *pcrs;
        size_t first, later;
    } t[] = {
        {CK_FUSETSU_AUTH_SESSION, "", 2, 1},       {CK_FUSETSU_AUTH_NONE, "", 2, 1},
        {CK_FUSETSU_AUTH_EACH, "", 5, 4},          {CK_FUSETSU_AUTH_SESSION, "sha256:16", 5, 4},
        {CK_FUSETSU_AUTH_NONE, "sha256:16", 4, 3}, {CK_FUSETSU_AUTH_EACH, "sha256:16", 6, 5},
    };
    CK_MECHANISM m = {CKM_ECDSA_SHA256, NULL, 0};
    CK_UTF8CHAR pin[] = UNIT_PIN;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        CK_ATTRIBUTE a[] = {T_NUM(CKA_FUSETSU_AUTH_MODE, t[i].mode),
                            T_TEXT(CKA_FUSETSU_PCRS, t[i].pcrs)};
        CK_OBJECT_HANDLE pub, priv;

        assert_int_equal(unit_module_pair(CKK_EC, a, 2, &pub, &priv), CKR_OK);
        sent_at_most(t[i].pcrs[0] != '\0' ? 3 : 2, "C_GenerateKeyPair");
        for (int k = 0; k < 3; k++) {
            CK_ULONG n = sizeof(out);

            assert_int_equal(C_SignInit(unit_session, &m, priv), CKR_OK);
            if (t[i].mode == CK_FUSETSU_AUTH_EACH)
                assert_int_equal(
                    C_Login(unit_session, CKU_CONTEXT_SPECIFIC, pin, UNIT_LEN(UNIT_PIN)), CKR_OK);
            assert_int_equal(C_Sign(unit_session, text, 100, out, &n), CKR_OK);
            /* The key of the test before may have to make room. */
            if (k == 0)
                sent_at_most(t[i].first + 1, "the first signature");
            else
                sent(t[i].later, "a signature");
        }
        unit_module_destroy(pub);
        unit_module_destroy(priv);
        (void)unit_module_sent();
    }
}

static void test_what_making_and_moving_secrets_costs(void **state)
{
    CK_MECHANISM gen[] = {{CKM_AES_KEY_GEN, NULL, 0}, {CKM_GENERIC_SECRET_KEY_GEN, NULL, 0}},
                 kwp = {CKM_AES_KEY_WRAP_KWP, NULL, 0};
    CK_ATTRIBUTE t[] = {T_NUM(CKA_VALUE_LEN, 32), T_BOOL(CKA_TOKEN, true)};
    CK_ATTRIBUTE u[] = {T_NUM(CKA_CLASS, CKO_SECRET_KEY), T_NUM(CKA_KEY_TYPE, CKK_AES)};
    CK_OBJECT_HANDLE o, by = loaded(CKK_AES, 16);
    CK_ULONG n = sizeof(out);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(gen); i++) {
        assert_int_equal(C_GenerateKey(unit_session, &gen[i], t, 2, &o), CKR_OK);
        sent_at_most(6, "C_GenerateKey");
        unit_module_destroy(o);
    }
    (void)unit_module_sent();
    /* A key in memory by a key in the TPM: a command for each of six passes and block, or so. */
    o = unit_module_secret(CKK_AES, bytes_of(key, 16), UNIT_LEAVES);
    assert_int_equal(C_WrapKey(unit_session, &kwp, by, o, out, &n), CKR_OK);
    unit_module_destroy(o);
    sent_at_most(13, "C_WrapKey");
    assert_int_equal(C_UnwrapKey(unit_session, &kwp, by, out, n, u, 2, &o), CKR_OK);
    sent_at_most(13, "C_UnwrapKey");
    unit_module_destroy(o);
    unit_module_destroy(by);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_public_sends_nothing),
        cmocka_unit_test(test_init_functions_send_nothing),
        cmocka_unit_test(test_objects_send_nothing),
        cmocka_unit_test(test_aes_takes_a_command_for_each_kilobyte),
        cmocka_unit_test(test_gcm_takes_one_more),
        cmocka_unit_test(test_macs),
        cmocka_unit_test(test_hkdf_takes_a_command_for_each_block),
        cmocka_unit_test(test_ecdh_is_one_command),
        cmocka_unit_test(test_keys_of_all_modes_sign_in_few),
        cmocka_unit_test(test_what_making_and_moving_secrets_costs),
    };

    return cmocka_run_group_tests_name("module_budget", tests, begin, unit_module_erase);
}
