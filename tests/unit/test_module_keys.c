/* The module with a TPM (swtpm-ci/with-tpm starts one): logins, keys, signatures, by
 * the letter of PKCS#11 2.40. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/ecc.h"
#include "core/hash.h"
#include "pkcs11/inprocess.h"
#include "tests/support/unit_dir.h"

static CK_FUNCTION_LIST *f;
static CK_SLOT_ID slot;
static CK_SESSION_HANDLE session; /* R/W, the user logged in */
static CK_OBJECT_HANDLE ec_pub, ec_priv, rsa_pub, rsa_priv;
static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static CK_UTF8CHAR so_pin[] = "12345678", pin[] = "123456", bad_pin[] = "000000";
static CK_BYTE p256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
static CK_BYTE data[] = "what is to be signed";

static CK_SESSION_HANDLE open_session(bool rw)
{
    CK_SESSION_HANDLE h = 0;

    assert_int_equal(
        f->C_OpenSession(slot, CKF_SERIAL_SESSION | (rw ? CKF_RW_SESSION : 0), NULL, NULL, &h),
        CKR_OK);
    return h;
}

static CK_RV generate_ec(CK_SESSION_HANDLE h, bool token, CK_ATTRIBUTE *extra, CK_ULONG n_extra,
                         CK_OBJECT_HANDLE *pub, CK_OBJECT_HANDLE *priv)
{
    CK_MECHANISM m = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_BBOOL on = token;
    CK_ATTRIBUTE pub_t[] = {{CKA_EC_PARAMS, p256, sizeof(p256)}, {CKA_TOKEN, &on, 1}};
    CK_ATTRIBUTE priv_t[4] = {{CKA_TOKEN, &on, 1}};

    for (CK_ULONG i = 0; i < n_extra; i++)
        priv_t[1 + i] = extra[i];
    return f->C_GenerateKeyPair(h, &m, pub_t, 2, priv_t, 1 + n_extra, pub, priv);
}

static CK_RV generate_rsa(CK_OBJECT_HANDLE *pub, CK_OBJECT_HANDLE *priv)
{
    CK_MECHANISM m = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0};
    CK_ULONG bits = 2048;
    CK_ATTRIBUTE pub_t[] = {{CKA_MODULUS_BITS, &bits, sizeof(bits)}, {CKA_TOKEN, &yes, 1}};
    CK_ATTRIBUTE priv_t[] = {{CKA_TOKEN, &yes, 1}};

    return f->C_GenerateKeyPair(session, &m, pub_t, 2, priv_t, 1, pub, priv);
}

/* One token with an EC and an RSA key for all tests; the way an administrator without
 * our CLI makes it. */
static int make_token(void **state)
{
    CK_UTF8CHAR label[] = "module test                     ";
    CK_ULONG n = 1;

    if (unit_dir_make(state) != 0)
        return -1;
    setenv("FUSETSU_STORE", unit_dir_at("store.db"), 1);
    setenv("FUSETSU_LOG", "silent", 1);
    setenv("FUSETSU_SHA1", "yes", 1);
    setenv("HOME", unit_dir(), 1);
    f = p11_inprocess();
    assert_int_equal(f->C_Initialize(NULL), CKR_OK);
    assert_int_equal(f->C_GetSlotList(CK_TRUE, &slot, &n), CKR_OK);
    assert_int_equal(f->C_InitToken(slot, so_pin, 3, label), CKR_PIN_LEN_RANGE);
    assert_int_equal(f->C_InitToken(slot, so_pin, 8, label), CKR_OK);
    session = open_session(true);
    assert_int_equal(f->C_Login(session, CKU_USER, pin, 6), CKR_USER_PIN_NOT_INITIALIZED);
    assert_int_equal(f->C_Login(session, CKU_SO, so_pin, 8), CKR_OK);
    assert_int_equal(f->C_InitPIN(session, pin, 2), CKR_PIN_LEN_RANGE);
    assert_int_equal(f->C_InitPIN(session, pin, 6), CKR_OK);
    assert_int_equal(f->C_Logout(session), CKR_OK);
    assert_int_equal(f->C_Login(session, CKU_USER, pin, 6), CKR_OK);
    assert_int_equal(generate_ec(session, true, NULL, 0, &ec_pub, &ec_priv), CKR_OK);
    assert_int_equal(generate_rsa(&rsa_pub, &rsa_priv), CKR_OK);
    return 0;
}

static int remove_token(void **state)
{
    struct token *k = p11_session_token(session);

    /* The TPM is used by other runs of this test: leave no NV indices behind. */
    if (k != NULL && f->C_Logout(session) == CKR_OK &&
        f->C_Login(session, CKU_SO, so_pin, 8) == CKR_OK)
        (void)(token_erase(k, NULL) != 0);
    f->C_Finalize(NULL);
    return unit_dir_remove(state);
}

static CK_ULONG count(CK_SESSION_HANDLE h, CK_OBJECT_CLASS class)
{
    CK_ATTRIBUTE t = {CKA_CLASS, &class, sizeof(class)};
    CK_OBJECT_HANDLE o[64];
    CK_ULONG found = 0;

    assert_int_equal(f->C_FindObjectsInit(h, &t, 1), CKR_OK);
    assert_int_equal(f->C_FindObjects(h, o, 64, &found), CKR_OK);
    assert_int_equal(f->C_FindObjectsFinal(h), CKR_OK);
    return found;
}

static bool flag(CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type)
{
    CK_BBOOL v = 7;
    CK_ATTRIBUTE a = {type, &v, 1};

    assert_int_equal(f->C_GetAttributeValue(session, o, &a, 1), CKR_OK);
    return v == CK_TRUE;
}

/* --- login --------------------------------------------------------------- */

static void test_logins_exclude_each_other(void **state)
{
    CK_SESSION_HANDLE ro;

    (void)state;
    assert_int_equal(f->C_Login(session, CKU_USER, pin, 6), CKR_USER_ALREADY_LOGGED_IN);
    assert_int_equal(f->C_Login(session, CKU_SO, so_pin, 8), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    assert_int_equal(f->C_Logout(session), CKR_OK);
    assert_int_equal(f->C_Login(session, CKU_SO, so_pin, 8), CKR_OK);
    assert_int_equal(f->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &ro),
                     CKR_SESSION_READ_WRITE_SO_EXISTS);
    assert_int_equal(f->C_Logout(session), CKR_OK);
    assert_int_equal(f->C_Login(session, CKU_USER, pin, 6), CKR_OK);
}

static void test_a_wrong_pin_shows_in_the_flags_and_a_right_one_clears_them(void **state)
{
    CK_TOKEN_INFO t;

    (void)state;
    assert_int_equal(f->C_Logout(session), CKR_OK);
    assert_int_equal(f->C_Login(session, CKU_USER, bad_pin, 6), CKR_PIN_INCORRECT);
    assert_int_equal(p11_last_error().code, E_PIN_WRONG);
    assert_int_equal(f->C_Login(session, CKU_USER, pin, 5), CKR_PIN_INCORRECT);
    assert_int_equal(f->C_GetTokenInfo(slot, &t), CKR_OK);
    assert_int_equal(t.flags & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_LOCKED),
                     CKF_USER_PIN_COUNT_LOW);
    assert_int_equal(f->C_Login(session, CKU_USER, pin, 6), CKR_OK);
    assert_int_equal(f->C_GetTokenInfo(slot, &t), CKR_OK);
    assert_int_equal(t.flags & CKF_USER_PIN_COUNT_LOW, 0);
}

static void test_private_keys_are_seen_after_login_only(void **state)
{
    CK_MECHANISM m = {CKM_ECDSA, NULL, 0};
    CK_BYTE sig[64];
    CK_ULONG len = sizeof(sig);

    (void)state;
    assert_int_equal(count(session, CKO_PRIVATE_KEY), 2);
    assert_int_equal(f->C_SignInit(session, &m, ec_priv), CKR_OK);
    assert_int_equal(f->C_Logout(session), CKR_OK);
    assert_int_equal(f->C_Sign(session, data, 20, sig, &len), CKR_USER_NOT_LOGGED_IN);
    assert_int_equal(count(session, CKO_PRIVATE_KEY), 0);
    assert_int_equal(count(session, CKO_PUBLIC_KEY), 2);
    assert_int_equal(f->C_SignInit(session, &m, ec_priv), CKR_KEY_HANDLE_INVALID);
    assert_int_equal(f->C_Login(session, CKU_USER, pin, 6), CKR_OK);
    assert_int_equal(count(session, CKO_PRIVATE_KEY), 2);
}

static void test_closing_the_last_session_logs_out(void **state)
{
    CK_SESSION_INFO i;

    (void)state;
    assert_int_equal(f->C_CloseSession(session), CKR_OK);
    session = open_session(true);
    assert_int_equal(f->C_GetSessionInfo(session, &i), CKR_OK);
    assert_true(i.state == CKS_RW_PUBLIC_SESSION);
    assert_int_equal(f->C_Login(session, CKU_USER, pin, 6), CKR_OK);
}

/* Handles of private objects change with each login: find the two keys again. */
static int find_keys(void **state)
{
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_KEY_TYPE types[] = {CKK_EC, CKK_RSA};
    CK_OBJECT_HANDLE *out[] = {&ec_priv, &rsa_priv};
    CK_ULONG n;

    (void)state;
    for (int i = 0; i < 2; i++) {
        CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof(class)},
                            {CKA_KEY_TYPE, &types[i], sizeof(types[i])}};

        assert_int_equal(f->C_FindObjectsInit(session, t, 2), CKR_OK);
        assert_int_equal(f->C_FindObjects(session, out[i], 1, &n), CKR_OK);
        assert_int_equal(f->C_FindObjectsFinal(session), CKR_OK);
        assert_int_equal(n, 1);
    }
    return 0;
}

/* --- keys ---------------------------------------------------------------- */

static void test_attributes_of_a_generated_key_tell_the_truth(void **state)
{
    CK_ULONG mech = 0;
    CK_BYTE secret[64], spki[128];
    CK_ATTRIBUTE gen = {CKA_KEY_GEN_MECHANISM, &mech, sizeof(mech)};
    CK_ATTRIBUTE value = {CKA_VALUE, secret, sizeof(secret)};
    CK_ATTRIBUTE info = {CKA_PUBLIC_KEY_INFO, spki, sizeof(spki)};

    (void)state;
    assert_true(flag(ec_priv, CKA_LOCAL) && flag(ec_priv, CKA_SENSITIVE));
    assert_true(flag(ec_priv, CKA_ALWAYS_SENSITIVE) && flag(ec_priv, CKA_NEVER_EXTRACTABLE));
    assert_false(flag(ec_priv, CKA_EXTRACTABLE) || flag(ec_priv, CKA_ALWAYS_AUTHENTICATE));
    assert_true(flag(ec_priv, CKA_SIGN) && !flag(ec_priv, CKA_DERIVE));
    assert_true(flag(rsa_priv, CKA_DECRYPT) && flag(ec_pub, CKA_VERIFY));
    assert_int_equal(f->C_GetAttributeValue(session, ec_priv, &gen, 1), CKR_OK);
    assert_true(mech == CKM_EC_KEY_PAIR_GEN);
    assert_int_equal(f->C_GetAttributeValue(session, ec_priv, &value, 1), CKR_ATTRIBUTE_SENSITIVE);
    assert_true(value.ulValueLen == CK_UNAVAILABLE_INFORMATION);
    assert_int_equal(f->C_GetAttributeValue(session, ec_priv, &info, 1), CKR_OK);
    assert_true(info.ulValueLen == 91 && spki[0] == 0x30);
}

static void test_both_halves_and_only_they_share_an_id(void **state)
{
    CK_BYTE a[32], b[32];
    CK_ATTRIBUTE ia = {CKA_ID, a, sizeof(a)}, ib = {CKA_ID, b, sizeof(b)};

    (void)state;
    assert_int_equal(f->C_GetAttributeValue(session, ec_pub, &ia, 1), CKR_OK);
    assert_int_equal(f->C_GetAttributeValue(session, ec_priv, &ib, 1), CKR_OK);
    assert_true(ia.ulValueLen == 20 && ib.ulValueLen == 20 && memcmp(a, b, 20) == 0);
    ib.ulValueLen = sizeof(b);
    assert_int_equal(f->C_GetAttributeValue(session, rsa_pub, &ib, 1), CKR_OK);
    assert_memory_not_equal(a, b, 20);
}

static void test_templates_that_ask_too_much_are_refused(void **state)
{
    CK_ATTRIBUTE shown = {CKA_PRIVATE, &no, 1}, bare = {CKA_SENSITIVE, &no, 1};
    CK_ATTRIBUTE idle = {CKA_SIGN, &no, 1}, twice = {CKA_TOKEN, &yes, 1};
    CK_SESSION_HANDLE ro = open_session(false);
    CK_MECHANISM m = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0};
    CK_ULONG bits = 1000;
    CK_ATTRIBUTE odd = {CKA_MODULUS_BITS, &bits, sizeof(bits)};
    CK_OBJECT_HANDLE a, b;

    (void)state;
    assert_int_equal(generate_ec(session, true, &shown, 1, &a, &b), CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(generate_ec(session, true, &bare, 1, &a, &b), CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(generate_ec(session, true, &idle, 1, &a, &b), CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(generate_ec(session, true, &twice, 1, &a, &b), CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(generate_ec(ro, true, NULL, 0, &a, &b), CKR_SESSION_READ_ONLY);
    assert_int_equal(f->C_GenerateKeyPair(session, &m, NULL, 0, NULL, 0, &a, &b),
                     CKR_TEMPLATE_INCOMPLETE);
    assert_int_equal(f->C_GenerateKeyPair(session, &m, &odd, 1, NULL, 0, &a, &b),
                     CKR_KEY_SIZE_RANGE);
    m.mechanism = CKM_ECDSA;
    assert_int_equal(f->C_GenerateKeyPair(session, &m, NULL, 0, NULL, 0, &a, &b),
                     CKR_MECHANISM_INVALID);
    assert_int_equal(f->C_CloseSession(ro), CKR_OK);
    assert_int_equal(count(session, CKO_PRIVATE_KEY), 2);
}

static void test_session_keys_end_with_their_session(void **state)
{
    CK_SESSION_HANDLE ro = open_session(false);
    CK_MECHANISM m = {CKM_ECDSA_SHA256, NULL, 0};
    CK_OBJECT_HANDLE pub, priv;
    CK_BYTE sig[64];
    CK_ULONG len = sizeof(sig);

    (void)state;
    assert_int_equal(generate_ec(ro, false, NULL, 0, &pub, &priv), CKR_OK);
    assert_false(flag(priv, CKA_TOKEN));
    assert_int_equal(f->C_SignInit(ro, &m, priv), CKR_OK);
    assert_int_equal(f->C_Sign(ro, data, sizeof(data), sig, &len), CKR_OK);
    assert_int_equal(f->C_VerifyInit(ro, &m, pub), CKR_OK);
    assert_int_equal(f->C_Verify(ro, data, sizeof(data), sig, len), CKR_OK);
    assert_int_equal(count(session, CKO_PRIVATE_KEY), 3);
    assert_int_equal(f->C_CloseSession(ro), CKR_OK);
    assert_int_equal(count(session, CKO_PRIVATE_KEY), 2);
}

static void test_destroyed_keys_are_gone_for_the_next_process_too(void **state)
{
    CK_OBJECT_HANDLE pub, priv;
    struct store_key key;

    (void)state;
    assert_int_equal(generate_ec(session, true, NULL, 0, &pub, &priv), CKR_OK);
    memset(&key, 0, sizeof(key));
    assert_int_equal(p11_key_of_object(session, priv, &key, NULL), 0);
    assert_true(key.public.len != 0 && key.private.len != 0);
    store_key_free(&key);
    assert_int_equal(p11_key_of_object(session, pub, &key, NULL), -1);
    assert_int_equal(f->C_DestroyObject(session, priv), CKR_OK);
    assert_int_equal(f->C_DestroyObject(session, pub), CKR_OK);
    assert_int_equal(f->C_Logout(session), CKR_OK);
    assert_int_equal(f->C_Login(session, CKU_USER, pin, 6), CKR_OK);
    assert_int_equal(count(session, CKO_PRIVATE_KEY), 2);
}

static void test_allowed_mechanisms_are_the_only_ones(void **state)
{
    CK_MECHANISM_TYPE only[] = {CKM_ECDSA_SHA384};
    CK_ATTRIBUTE t = {CKA_ALLOWED_MECHANISMS, only, sizeof(only)};
    CK_MECHANISM m = {CKM_ECDSA, NULL, 0};
    CK_OBJECT_HANDLE pub, priv;
    CK_BYTE sig[64];
    CK_ULONG len = sizeof(sig);

    (void)state;
    assert_int_equal(generate_ec(session, false, &t, 1, &pub, &priv), CKR_OK);
    assert_int_equal(f->C_SignInit(session, &m, priv), CKR_MECHANISM_INVALID);
    m.mechanism = CKM_ECDSA_SHA384;
    assert_int_equal(f->C_SignInit(session, &m, priv), CKR_OK);
    assert_int_equal(f->C_DestroyObject(session, priv), CKR_OK);
    assert_int_equal(f->C_DestroyObject(session, pub), CKR_OK);
    /* The operation finds its key gone, and ends. */
    assert_int_equal(f->C_Sign(session, data, 5, sig, &len), CKR_KEY_HANDLE_INVALID);
    assert_int_equal(f->C_Sign(session, data, 5, sig, &len), CKR_OPERATION_NOT_INITIALIZED);
}

/* A software key goes in and signs there. */
static void test_imported_keys_sign_and_are_never_called_local(void **state)
{
    const struct alg_curve *c = alg_curve_named("P-256");
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_KEY_TYPE type = CKK_EC;
    uint8_t seed[40] = {9}, d[32], sig[64], digest[32];
    struct ecc_point p;
    struct pubkey k = {.type = TPM2_ALG_ECC, .curve = c};
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof(class)},
                        {CKA_KEY_TYPE, &type, sizeof(type)},
                        {CKA_EC_PARAMS, p256, sizeof(p256)},
                        {CKA_VALUE, d, sizeof(d)}};
    CK_MECHANISM m = {CKM_ECDSA_SHA256, NULL, 0};
    CK_ULONG len = sizeof(sig);
    CK_OBJECT_HANDLE o;

    (void)state;
    assert_int_equal(ecc_from_seed(c, bytes_of(seed, sizeof(seed)), d, &p, NULL), 0);
    k.point = p;
    assert_int_equal(f->C_CreateObject(session, t, 3, &o), CKR_TEMPLATE_INCOMPLETE);
    assert_int_equal(f->C_CreateObject(session, t, 4, &o), CKR_OK);
    assert_false(flag(o, CKA_LOCAL) || flag(o, CKA_ALWAYS_SENSITIVE) ||
                 flag(o, CKA_NEVER_EXTRACTABLE));
    assert_true(flag(o, CKA_SENSITIVE));
    assert_int_equal(f->C_SignInit(session, &m, o), CKR_OK);
    assert_int_equal(f->C_Sign(session, data, sizeof(data), sig, &len), CKR_OK);
    assert_int_equal(hash_sha256(bytes_of(data, sizeof(data)), digest, NULL), 0);
    assert_int_equal(
        pubkey_verify(&k, PUBKEY_ECDSA, NULL, 0, bytes_of(digest, 32), bytes_of(sig, len), NULL),
        0);
    assert_int_equal(f->C_DestroyObject(session, o), CKR_OK);
    memset(d, 0, sizeof(d));
    assert_int_equal(f->C_CreateObject(session, t, 4, &o), CKR_ATTRIBUTE_VALUE_INVALID);
    memset(d, 0xff, sizeof(d));
    assert_int_equal(f->C_CreateObject(session, t, 4, &o), CKR_ATTRIBUTE_VALUE_INVALID);
}

/* --- signatures ---------------------------------------------------------- */

static void sign_and_verify(CK_MECHANISM *m, CK_OBJECT_HANDLE priv, CK_OBJECT_HANDLE pub,
                            CK_ULONG data_len, bool parts)
{
    CK_BYTE sig[256];
    CK_ULONG len = 0;

    assert_int_equal(f->C_SignInit(session, m, priv), CKR_OK);
    if (parts) {
        assert_int_equal(f->C_SignUpdate(session, data, 3), CKR_OK);
        assert_int_equal(f->C_SignUpdate(session, data + 3, data_len - 3), CKR_OK);
        assert_int_equal(f->C_SignFinal(session, NULL, &len), CKR_OK);
        assert_int_equal(f->C_SignFinal(session, sig, &len), CKR_OK);
    } else {
        assert_int_equal(f->C_Sign(session, data, data_len, NULL, &len), CKR_OK);
        len--;
        assert_int_equal(f->C_Sign(session, data, data_len, sig, &len), CKR_BUFFER_TOO_SMALL);
        assert_int_equal(f->C_Sign(session, data, data_len, sig, &len), CKR_OK);
    }
    assert_int_equal(f->C_VerifyInit(session, m, pub), CKR_OK);
    assert_int_equal(f->C_Verify(session, data, data_len, sig, len), CKR_OK);
    sig[len - 1] ^= 1;
    assert_int_equal(f->C_VerifyInit(session, m, pub), CKR_OK);
    assert_int_equal(f->C_Verify(session, data, data_len, sig, len), CKR_SIGNATURE_INVALID);
}

static void test_every_mechanism_that_is_listed_signs_and_verifies(void **state)
{
    CK_RSA_PKCS_PSS_PARAMS pss = {CKM_SHA256, CKG_MGF1_SHA256, 32};
    static const CK_MECHANISM_TYPE plain[] = {
        CKM_ECDSA,           CKM_ECDSA_SHA1,      CKM_ECDSA_SHA224,    CKM_ECDSA_SHA256,
        CKM_ECDSA_SHA384,    CKM_ECDSA_SHA512,    CKM_RSA_PKCS,        CKM_SHA1_RSA_PKCS,
        CKM_SHA224_RSA_PKCS, CKM_SHA256_RSA_PKCS, CKM_SHA384_RSA_PKCS, CKM_SHA512_RSA_PKCS,
        CKM_RSA_X_509};
    static const struct {
        CK_MECHANISM_TYPE type, hash;
        CK_RSA_PKCS_MGF_TYPE mgf;
        CK_ULONG salt;
    } padded[] = {{CKM_SHA1_RSA_PKCS_PSS, CKM_SHA_1, CKG_MGF1_SHA1, 20},
                  {CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, 32},
                  {CKM_SHA224_RSA_PKCS_PSS, CKM_SHA224, CKG_MGF1_SHA224, 28},
                  {CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, 0},
                  {CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA384, 32},
                  {CKM_SHA384_RSA_PKCS_PSS, CKM_SHA384, CKG_MGF1_SHA384, 48},
                  {CKM_SHA512_RSA_PKCS_PSS, CKM_SHA512, CKG_MGF1_SHA512, 190}};
    CK_MECHANISM m = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        bool rsa = i >= 6;

        m.mechanism = plain[i];
        sign_and_verify(&m, rsa ? rsa_priv : ec_priv, rsa ? rsa_pub : ec_pub, 20, false);
        sign_and_verify(&m, rsa ? rsa_priv : ec_priv, rsa ? rsa_pub : ec_pub, 20, true);
    }
    m.pParameter = &pss;
    m.ulParameterLen = sizeof(pss);
    for (size_t i = 0; i < ARRAY_LEN(padded); i++) {
        m.mechanism = padded[i].type;
        pss = (CK_RSA_PKCS_PSS_PARAMS){padded[i].hash, padded[i].mgf, padded[i].salt};
        sign_and_verify(&m, rsa_priv, rsa_pub, 20, false);
    }
    m.mechanism = CKM_RSA_PKCS_PSS;
    pss = (CK_RSA_PKCS_PSS_PARAMS){CKM_SHA_1, CKG_MGF1_SHA1, 20};
    sign_and_verify(&m, rsa_priv, rsa_pub, 20, false);
}

static void test_impossible_parameters_and_lengths_are_refused(void **state)
{
    CK_RSA_PKCS_PSS_PARAMS pss = {CKM_SHA256, 77, 32};
    CK_MECHANISM m = {CKM_SHA256_RSA_PKCS_PSS, &pss, sizeof(pss)};
    CK_BYTE sig[256], ones[256];
    CK_ULONG len = sizeof(sig);

    (void)state;
    memset(ones, 0xff, sizeof(ones));
    assert_int_equal(f->C_SignInit(session, &m, rsa_priv), CKR_MECHANISM_PARAM_INVALID);
    pss = (CK_RSA_PKCS_PSS_PARAMS){CKM_SHA384, CKG_MGF1_SHA384, 48};
    assert_int_equal(f->C_SignInit(session, &m, rsa_priv), CKR_MECHANISM_PARAM_INVALID);
    pss = (CK_RSA_PKCS_PSS_PARAMS){CKM_SHA256, CKG_MGF1_SHA256, 223};
    assert_int_equal(f->C_SignInit(session, &m, rsa_priv), CKR_MECHANISM_PARAM_INVALID);
    pss.sLen = CK_UNAVAILABLE_INFORMATION;
    assert_int_equal(f->C_SignInit(session, &m, rsa_priv), CKR_MECHANISM_PARAM_INVALID);
    m.ulParameterLen--;
    assert_int_equal(f->C_SignInit(session, &m, rsa_priv), CKR_MECHANISM_PARAM_INVALID);
    m = (CK_MECHANISM){CKM_RSA_PKCS, NULL, 0};
    assert_int_equal(f->C_SignInit(session, &m, rsa_priv), CKR_OK);
    assert_int_equal(f->C_Sign(session, ones, 246, sig, &len), CKR_DATA_LEN_RANGE);
    m.mechanism = CKM_RSA_X_509;
    assert_int_equal(f->C_SignInit(session, &m, rsa_priv), CKR_OK);
    assert_int_equal(f->C_Sign(session, ones, 256, sig, &len), CKR_DATA_INVALID);
    m.mechanism = CKM_ECDSA;
    assert_int_equal(f->C_SignInit(session, &m, rsa_priv), CKR_KEY_TYPE_INCONSISTENT);
    assert_int_equal(f->C_SignInit(session, &m, ec_pub), CKR_KEY_TYPE_INCONSISTENT);
    assert_int_equal(f->C_SignInit(session, &m, ec_priv), CKR_OK);
    assert_int_equal(f->C_SignInit(session, &m, ec_priv), CKR_OPERATION_ACTIVE);
    assert_int_equal(f->C_Sign(session, NULL, 4, sig, &len), CKR_ARGUMENTS_BAD);
    assert_int_equal(f->C_SignInit(session, &m, ec_priv), CKR_OK);
    assert_int_equal(f->C_SignUpdate(session, data, 4), CKR_OK);
    assert_int_equal(f->C_Sign(session, data, 4, sig, &len), CKR_OPERATION_ACTIVE);
    m.mechanism = CKM_RSA_PKCS_OAEP;
    assert_int_equal(f->C_SignInit(session, &m, rsa_priv), CKR_MECHANISM_INVALID);
}

static void test_a_key_may_do_only_what_it_was_made_for(void **state)
{
    CK_ATTRIBUTE t[] = {{CKA_SIGN, &no, 1}, {CKA_DERIVE, &yes, 1}};
    CK_MECHANISM m = {CKM_ECDSA, NULL, 0};
    CK_OBJECT_HANDLE pub, priv;

    (void)state;
    assert_int_equal(generate_ec(session, false, t, 2, &pub, &priv), CKR_OK);
    assert_int_equal(f->C_SignInit(session, &m, priv), CKR_KEY_FUNCTION_NOT_PERMITTED);
    assert_int_equal(f->C_DestroyObject(session, priv), CKR_OK);
    assert_int_equal(f->C_DestroyObject(session, pub), CKR_OK);
}

/* --- processes ----------------------------------------------------------- */

static void test_parent_and_child_both_sign_after_a_fork(void **state)
{
    CK_MECHANISM m = {CKM_ECDSA_SHA256, NULL, 0};
    int status = -1;
    pid_t child;

    /* A bare TPM has three places for keys: with a logout the parent gives back those
     * that it filled in earlier tests. */
    assert_int_equal(f->C_Logout(session), CKR_OK);
    assert_int_equal(f->C_Login(session, CKU_USER, pin, 6), CKR_OK);
    find_keys(state);
    sign_and_verify(&m, ec_priv, ec_pub, 20, false);
    child = fork();
    if (child == 0) {
        CK_BYTE sig[64];
        CK_ULONG len = sizeof(sig);

        if (f->C_Initialize(NULL) != CKR_OK ||
            f->C_OpenSession(1, CKF_SERIAL_SESSION, NULL, NULL, &session) != CKR_OK ||
            f->C_Login(session, CKU_USER, pin, 6) != CKR_OK)
            _exit(1);
        find_keys(NULL);
        if (f->C_SignInit(session, &m, ec_priv) != CKR_OK ||
            f->C_Sign(session, data, 20, sig, &len) != CKR_OK)
            _exit(2);
        _exit(f->C_Finalize(NULL) == CKR_OK ? 0 : 3);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    sign_and_verify(&m, ec_priv, ec_pub, 20, false);
}

static void test_a_pin_change_takes_effect_at_once(void **state)
{
    CK_UTF8CHAR newer[] = "654321";
    CK_SESSION_HANDLE ro = open_session(false);

    (void)state;
    assert_int_equal(f->C_SetPIN(ro, pin, 6, newer, 6), CKR_SESSION_READ_ONLY);
    assert_int_equal(f->C_CloseSession(ro), CKR_OK);
    assert_int_equal(f->C_SetPIN(session, pin, 6, newer, 2), CKR_PIN_LEN_RANGE);
    assert_int_equal(f->C_SetPIN(session, bad_pin, 6, newer, 6), CKR_PIN_INCORRECT);
    assert_int_equal(f->C_SetPIN(session, pin, 6, newer, 6), CKR_OK);
    assert_int_equal(f->C_Logout(session), CKR_OK);
    assert_int_equal(f->C_Login(session, CKU_USER, pin, 6), CKR_PIN_INCORRECT);
    assert_int_equal(f->C_Login(session, CKU_USER, newer, 6), CKR_OK);
    assert_int_equal(f->C_SetPIN(session, newer, 6, pin, 6), CKR_OK);
}

/* CK_FUSETSU_AUTH_NONE: for a machine that starts without a person. It is used by anybody
 * there, but made, changed and destroyed by the user alone. */
static void test_a_key_without_login_is_used_and_not_changed_without_one(void **state)
{
    CK_MECHANISM m = {CKM_ECDSA, NULL, 0};
    CK_ULONG mode = CK_FUSETSU_AUTH_NONE;
    CK_BYTE label[] = "no login", other[] = "other";
    CK_ATTRIBUTE extra[] = {{CKA_FUSETSU_AUTH_MODE, &mode, sizeof(mode)},
                            {CKA_PRIVATE, &no, 1},
                            {CKA_LABEL, label, sizeof(label) - 1}};
    CK_ATTRIBUTE rename = {CKA_LABEL, other, sizeof(other) - 1};
    CK_OBJECT_HANDLE pub, priv;

    (void)state;
    assert_int_equal(generate_ec(session, true, extra, 3, &pub, &priv), CKR_OK);
    sign_and_verify(&m, priv, pub, 20, false);
    assert_int_equal(f->C_Logout(session), CKR_OK);
    sign_and_verify(&m, priv, pub, 20, false);
    assert_int_equal(f->C_SetAttributeValue(session, priv, &rename, 1), CKR_USER_NOT_LOGGED_IN);
    assert_int_equal(f->C_DestroyObject(session, priv), CKR_USER_NOT_LOGGED_IN);
    assert_int_equal(f->C_Login(session, CKU_USER, pin, 6), CKR_OK);
    sign_and_verify(&m, priv, pub, 20, false);
    assert_int_equal(f->C_DestroyObject(session, priv), CKR_OK);
    assert_int_equal(f->C_DestroyObject(session, pub), CKR_OK);
}

#define KEYS(t) cmocka_unit_test_setup(t, find_keys)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logins_exclude_each_other),
        cmocka_unit_test(test_a_wrong_pin_shows_in_the_flags_and_a_right_one_clears_them),
        KEYS(test_private_keys_are_seen_after_login_only),
        cmocka_unit_test(test_closing_the_last_session_logs_out),
        KEYS(test_attributes_of_a_generated_key_tell_the_truth),
        KEYS(test_both_halves_and_only_they_share_an_id),
        KEYS(test_templates_that_ask_too_much_are_refused),
        KEYS(test_session_keys_end_with_their_session),
        KEYS(test_destroyed_keys_are_gone_for_the_next_process_too),
        KEYS(test_allowed_mechanisms_are_the_only_ones),
        KEYS(test_imported_keys_sign_and_are_never_called_local),
        KEYS(test_every_mechanism_that_is_listed_signs_and_verifies),
        KEYS(test_impossible_parameters_and_lengths_are_refused),
        KEYS(test_a_key_may_do_only_what_it_was_made_for),
        KEYS(test_parent_and_child_both_sign_after_a_fork),
        KEYS(test_a_pin_change_takes_effect_at_once),
        cmocka_unit_test(test_a_key_without_login_is_used_and_not_changed_without_one),
    };

    return cmocka_run_group_tests_name("module_keys", tests, make_token, remove_token);
}
