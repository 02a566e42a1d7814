/* Keys that are not opened by the login alone (swtpm-ci/with-tpm starts a TPM): those that want
 * the PIN each time, those that want nothing, those that are bound to PCRs. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/ecc.h"
#include "pkcs11/inprocess.h"
#include "tests/support/unit_module.h"
#include "tests/support/unit_tpm.h"

static CK_MECHANISM ecdsa = {CKM_ECDSA_SHA256, NULL, 0};
static CK_BYTE text[] = "some text to sign";

static CK_RV prove_in(CK_SESSION_HANDLE h, const char *pin)
{
    return C_Login(h, CKU_CONTEXT_SPECIFIC, (CK_UTF8CHAR *)(uintptr_t)pin, (CK_ULONG)strlen(pin));
}

static CK_RV prove(const char *pin)
{
    return prove_in(unit_session, pin);
}

static CK_RV sign_in(CK_SESSION_HANDLE h)
{
    CK_BYTE sig[64];
    CK_ULONG len = sizeof(sig);

    return C_Sign(h, text, sizeof(text), sig, &len);
}

static CK_RV sign(void)
{
    return sign_in(unit_session);
}

static CK_RV init(CK_OBJECT_HANDLE key)
{
    return C_SignInit(unit_session, &ecdsa, key);
}

/* A key pair of a mode, as session objects unless `label` names them. */
static void pair(CK_KEY_TYPE type, CK_ULONG mode, const char *label, CK_OBJECT_HANDLE *pub,
                 CK_OBJECT_HANDLE *priv)
{
    CK_ATTRIBUTE t[] = {T_NUM(CKA_FUSETSU_AUTH_MODE, mode), T_BOOL(CKA_TOKEN, label != NULL),
                        T_TEXT(CKA_LABEL, label != NULL ? label : "session")};

    assert_int_equal(unit_module_pair(type, t, 3, pub, priv), CKR_OK);
}

static CK_FLAGS pin_flags(void)
{
    CK_TOKEN_INFO t;
    CK_SESSION_INFO i;

    assert_int_equal(C_GetSessionInfo(unit_session, &i), CKR_OK);
    assert_int_equal(C_GetTokenInfo(i.slotID, &t), CKR_OK);
    return t.flags & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED);
}

/* --- the PIN each time ------------------------------------------------------------- */

static void test_each_use_takes_the_pin(void **state)
{
    CK_OBJECT_HANDLE pub, priv;

    (void)state;
    pair(CKK_EC, CK_FUSETSU_AUTH_EACH, NULL, &pub, &priv);
    assert_true(unit_module_true(priv, CKA_ALWAYS_AUTHENTICATE));
    assert_int_equal(unit_module_number(priv, CKA_FUSETSU_AUTH_MODE), CK_FUSETSU_AUTH_EACH);
    /* Without the PIN the operation ends. */
    assert_int_equal(init(priv), CKR_OK);
    assert_int_equal(sign(), CKR_USER_NOT_LOGGED_IN);
    assert_int_equal(sign(), CKR_OPERATION_NOT_INITIALIZED);
    assert_int_equal(prove(UNIT_PIN), CKR_OPERATION_NOT_INITIALIZED);
    /* With it, it works once. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(init(priv), CKR_OK);
        assert_int_equal(prove(UNIT_PIN), CKR_OK);
        /* It is proved already. */
        assert_int_equal(prove(UNIT_PIN), CKR_OPERATION_NOT_INITIALIZED);
        assert_int_equal(sign(), CKR_OK);
        assert_int_equal(sign(), CKR_OPERATION_NOT_INITIALIZED);
    }
    assert_int_equal(init(priv), CKR_OK);
    assert_int_equal(sign(), CKR_USER_NOT_LOGGED_IN);
    unit_module_destroy(pub);
    unit_module_destroy(priv);
}

static void test_the_signature_is_good_and_comes_in_parts(void **state)
{
    CK_OBJECT_HANDLE pub, priv;
    CK_BYTE sig[64];
    CK_ULONG len = 0;

    (void)state;
    pair(CKK_EC, CK_FUSETSU_AUTH_EACH, NULL, &pub, &priv);
    assert_int_equal(init(priv), CKR_OK);
    assert_int_equal(C_SignUpdate(unit_session, text, 4), CKR_OK);
    assert_int_equal(prove(UNIT_PIN), CKR_OK);
    assert_int_equal(C_SignUpdate(unit_session, text + 4, sizeof(text) - 4), CKR_OK);
    /* Asking for the length uses nothing up, nor does a buffer that is too small. */
    assert_int_equal(C_SignFinal(unit_session, NULL, &len), CKR_OK);
    len--;
    assert_int_equal(C_SignFinal(unit_session, sig, &len), CKR_BUFFER_TOO_SMALL);
    assert_int_equal(C_SignFinal(unit_session, sig, &len), CKR_OK);
    assert_int_equal(unit_module_verify(&ecdsa, pub, bytes_of(text, sizeof(text)), sig, len),
                     CKR_OK);
    unit_module_destroy(pub);
    unit_module_destroy(priv);
}

static void test_a_wrong_pin_counts_and_the_operation_stays(void **state)
{
    CK_OBJECT_HANDLE pub, priv;

    (void)state;
    pair(CKK_EC, CK_FUSETSU_AUTH_EACH, NULL, &pub, &priv);
    assert_int_equal(pin_flags(), 0);
    assert_int_equal(init(priv), CKR_OK);
    assert_int_equal(prove("654321"), CKR_PIN_INCORRECT);
    assert_int_equal(p11_last_error().code, E_PIN_WRONG);
    assert_int_equal(pin_flags(), CKF_USER_PIN_COUNT_LOW);
    /* Too short to be one: no try. */
    assert_int_equal(prove("1"), CKR_PIN_INCORRECT);
    assert_int_equal(C_Login(unit_session, CKU_CONTEXT_SPECIFIC, NULL, 0), CKR_ARGUMENTS_BAD);
    assert_int_equal(prove("654321"), CKR_PIN_INCORRECT);
    assert_int_equal(p11_session_token(unit_session) != NULL
                         ? token_row(p11_session_token(unit_session))->user_fails
                         : 99,
                     2);
    assert_int_equal(prove(UNIT_PIN), CKR_OK);
    assert_int_equal(pin_flags(), 0);
    assert_int_equal(sign(), CKR_OK);
    /* Nobody was logged out by it. */
    assert_int_equal(unit_module_login(unit_session), CKR_USER_ALREADY_LOGGED_IN);
    unit_module_destroy(pub);
    unit_module_destroy(priv);
}

static void test_other_keys_ask_for_no_pin(void **state)
{
    CK_OBJECT_HANDLE pub, priv, o[2];

    (void)state;
    pair(CKK_EC, CK_FUSETSU_AUTH_EACH, NULL, &pub, &priv);
    pair(CKK_EC, CK_FUSETSU_AUTH_SESSION, NULL, &o[0], &o[1]);
    assert_int_equal(prove(UNIT_PIN), CKR_OPERATION_NOT_INITIALIZED);
    assert_int_equal(init(o[1]), CKR_OK);
    assert_int_equal(prove(UNIT_PIN), CKR_OPERATION_NOT_INITIALIZED);
    assert_int_equal(sign(), CKR_OK);
    /* Verification takes the public half only. */
    assert_int_equal(C_VerifyInit(unit_session, &ecdsa, pub), CKR_OK);
    assert_int_equal(prove(UNIT_PIN), CKR_OPERATION_NOT_INITIALIZED);
    assert_int_equal(C_VerifyInit(unit_session, NULL, 0), CKR_OK);
    unit_module_destroy(o[0]);
    unit_module_destroy(o[1]);
    unit_module_destroy(pub);
    unit_module_destroy(priv);
}

static void test_two_sessions_prove_each_for_itself(void **state)
{
    CK_SESSION_HANDLE other = unit_module_open(false);
    CK_OBJECT_HANDLE pub, priv;

    (void)state;
    pair(CKK_EC, CK_FUSETSU_AUTH_EACH, NULL, &pub, &priv);
    assert_int_equal(init(priv), CKR_OK);
    assert_int_equal(C_SignInit(other, &ecdsa, priv), CKR_OK);
    assert_int_equal(prove(UNIT_PIN), CKR_OK);
    assert_int_equal(sign_in(other), CKR_USER_NOT_LOGGED_IN);
    assert_int_equal(C_SignInit(other, &ecdsa, priv), CKR_OK);
    assert_int_equal(prove_in(other, UNIT_PIN), CKR_OK);
    assert_int_equal(sign(), CKR_OK);
    assert_int_equal(sign_in(other), CKR_OK);
    /* A proof that nobody uses goes with its session, and with its operation. */
    assert_int_equal(C_SignInit(other, &ecdsa, priv), CKR_OK);
    assert_int_equal(prove_in(other, UNIT_PIN), CKR_OK);
    assert_int_equal(C_CloseSession(other), CKR_OK);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(init(priv), CKR_OK);
        assert_int_equal(prove(UNIT_PIN), CKR_OK);
        assert_int_equal(C_SignInit(unit_session, NULL, 0), CKR_OK);
    }
    unit_module_destroy(pub);
    unit_module_destroy(priv);
}

static void test_a_logout_takes_the_proof_along(void **state)
{
    CK_OBJECT_HANDLE pub, priv;

    (void)state;
    pair(CKK_EC, CK_FUSETSU_AUTH_EACH, "each", &pub, &priv);
    assert_int_equal(init(priv), CKR_OK);
    assert_int_equal(prove(UNIT_PIN), CKR_OK);
    assert_int_equal(C_Logout(unit_session), CKR_OK);
    assert_int_equal(sign(), CKR_USER_NOT_LOGGED_IN);
    assert_int_equal(unit_module_login(unit_session), CKR_OK);
    priv = unit_module_find(CKO_PRIVATE_KEY, "each");
    /* Proved before the logout, used after the next login: the key has another handle now. */
    assert_int_equal(init(priv), CKR_OK);
    assert_int_equal(prove(UNIT_PIN), CKR_OK);
    unit_module_relogin();
    assert_int_equal(sign(), CKR_KEY_HANDLE_INVALID);
    priv = unit_module_find(CKO_PRIVATE_KEY, "each");
    assert_int_equal(init(priv), CKR_OK);
    assert_int_equal(C_Logout(unit_session), CKR_OK);
    assert_int_equal(prove(UNIT_PIN), CKR_USER_NOT_LOGGED_IN);
    assert_int_equal(C_SignInit(unit_session, NULL, 0), CKR_OK);
    assert_int_equal(unit_module_login(unit_session), CKR_OK);
    unit_module_destroy(unit_module_find(CKO_PRIVATE_KEY, "each"));
    unit_module_destroy(pub);
}

static void test_the_key_may_go_in_between(void **state)
{
    CK_OBJECT_HANDLE pub, priv;

    (void)state;
    pair(CKK_EC, CK_FUSETSU_AUTH_EACH, NULL, &pub, &priv);
    assert_int_equal(init(priv), CKR_OK);
    assert_int_equal(prove(UNIT_PIN), CKR_OK);
    unit_module_destroy(priv);
    assert_int_equal(sign(), CKR_KEY_HANDLE_INVALID);
    assert_int_equal(prove(UNIT_PIN), CKR_OPERATION_NOT_INITIALIZED);
    unit_module_destroy(pub);
}

static void test_decryption_with_the_pin_each_time(void **state)
{
    static const CK_MECHANISM_TYPE types[] = {CKM_RSA_PKCS, CKM_RSA_PKCS_OAEP};
    CK_RSA_PKCS_OAEP_PARAMS oaep = {CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED, NULL, 0};
    CK_OBJECT_HANDLE pub, priv;
    CK_BYTE cipher[1024], plain[1024];
    CK_ULONG n;
    size_t len = 0;

    (void)state;
    pair(CKK_RSA, CK_FUSETSU_AUTH_EACH, NULL, &pub, &priv);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        CK_MECHANISM m = {types[i], i == 0 ? NULL : (void *)&oaep, i == 0 ? 0 : sizeof(oaep)};

        assert_int_equal(
            unit_module_crypt(true, &m, pub, bytes_of(text, sizeof(text)), 0, cipher, &len),
            CKR_OK);
        assert_int_equal(C_DecryptInit(unit_session, &m, priv), CKR_OK);
        n = sizeof(plain);
        assert_int_equal(C_Decrypt(unit_session, cipher, (CK_ULONG)len, plain, &n),
                         CKR_USER_NOT_LOGGED_IN);
        assert_int_equal(C_DecryptInit(unit_session, &m, priv), CKR_OK);
        assert_int_equal(prove(UNIT_PIN), CKR_OK);
        /* How long it is shows only when it was done; the result waits for a larger buffer. */
        n = 1;
        assert_int_equal(C_Decrypt(unit_session, cipher, (CK_ULONG)len, plain, &n),
                         CKR_BUFFER_TOO_SMALL);
        assert_int_equal(n, sizeof(text));
        assert_int_equal(C_Decrypt(unit_session, cipher, (CK_ULONG)len, plain, &n), CKR_OK);
        assert_true(n == sizeof(text) && memcmp(plain, text, n) == 0);
        assert_int_equal(prove(UNIT_PIN), CKR_OPERATION_NOT_INITIALIZED);
    }
    unit_module_destroy(pub);
    unit_module_destroy(priv);
}

static void test_recoverable_signatures_with_the_pin_each_time(void **state)
{
    CK_ATTRIBUTE t[] = {T_NUM(CKA_FUSETSU_AUTH_MODE, CK_FUSETSU_AUTH_EACH),
                        T_BOOL(CKA_SIGN_RECOVER, true)};
    CK_MECHANISM m = {CKM_RSA_PKCS, NULL, 0};
    CK_OBJECT_HANDLE pub, priv;
    CK_BYTE sig[256], back[256];
    CK_ULONG len = sizeof(sig), n = sizeof(back);

    (void)state;
    assert_int_equal(unit_module_pair(CKK_RSA, t, 2, &pub, &priv), CKR_OK);
    assert_int_equal(C_SignRecoverInit(unit_session, &m, priv), CKR_OK);
    assert_int_equal(C_SignRecover(unit_session, text, sizeof(text), sig, &len),
                     CKR_USER_NOT_LOGGED_IN);
    len = sizeof(sig);
    assert_int_equal(C_SignRecoverInit(unit_session, &m, priv), CKR_OK);
    assert_int_equal(prove(UNIT_PIN), CKR_OK);
    assert_int_equal(C_SignRecover(unit_session, text, sizeof(text), sig, &len), CKR_OK);
    assert_int_equal(C_VerifyRecoverInit(unit_session, &m, pub), CKR_OK);
    assert_int_equal(C_VerifyRecover(unit_session, sig, len, back, &n), CKR_OK);
    assert_true(n == sizeof(text) && memcmp(back, text, n) == 0);
    unit_module_destroy(pub);
    unit_module_destroy(priv);
}

static void test_imported_keys_may_want_the_pin_each_time(void **state)
{
    static const uint8_t p256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
    uint8_t seed[40] = {3}, d[32];
    struct ecc_point p;
    CK_ATTRIBUTE t[] = {T_NUM(CKA_CLASS, CKO_PRIVATE_KEY), T_NUM(CKA_KEY_TYPE, CKK_EC),
                        T_BYTES(CKA_EC_PARAMS, p256, sizeof(p256)), T_BYTES(CKA_VALUE, d, 32),
                        T_BOOL(CKA_ALWAYS_AUTHENTICATE, true)};
    CK_OBJECT_HANDLE o = 0;

    (void)state;
    assert_int_equal(
        ecc_from_seed(alg_curve_named("P-256"), bytes_of(seed, sizeof(seed)), d, &p, NULL), 0);
    assert_int_equal(C_CreateObject(unit_session, t, 5, &o), CKR_OK);
    assert_int_equal(unit_module_number(o, CKA_FUSETSU_AUTH_MODE), CK_FUSETSU_AUTH_EACH);
    assert_int_equal(init(o), CKR_OK);
    assert_int_equal(sign(), CKR_USER_NOT_LOGGED_IN);
    assert_int_equal(init(o), CKR_OK);
    assert_int_equal(prove(UNIT_PIN), CKR_OK);
    assert_int_equal(sign(), CKR_OK);
    unit_module_destroy(o);
    t[4] = (CK_ATTRIBUTE)T_TEXT(CKA_FUSETSU_PCRS, "sha256:16");
    assert_int_equal(C_CreateObject(unit_session, t, 5, &o), CKR_ATTRIBUTE_READ_ONLY);
    t[4] = (CK_ATTRIBUTE)T_NUM(CKA_FUSETSU_AUTH_MODE, CK_FUSETSU_AUTH_NONE);
    assert_int_equal(C_CreateObject(unit_session, t, 5, &o), CKR_OK);
    assert_false(unit_module_true(o, CKA_PRIVATE));
    assert_int_equal(C_Logout(unit_session), CKR_OK);
    assert_int_equal(init(o), CKR_OK);
    assert_int_equal(sign(), CKR_OK);
    assert_int_equal(unit_module_login(unit_session), CKR_OK);
    unit_module_destroy(o);
}

/* --- nothing ------------------------------------------------------------------------ */

/* What a process without a login sees and does. */
static int signs_without_login(void)
{
    CK_OBJECT_HANDLE priv = unit_module_find(CKO_PRIVATE_KEY, "service");
    CK_ATTRIBUTE all = T_NUM(CKA_CLASS, CKO_PRIVATE_KEY);
    CK_SESSION_INFO i;

    CHILD_MUST(C_GetSessionInfo(unit_session, &i) == CKR_OK && i.state == CKS_RW_PUBLIC_SESSION,
               NULL);
    CHILD_MUST(unit_module_count(unit_session, &all, 1) == 1, NULL);
    CHILD_MUST(unit_module_number(priv, CKA_FUSETSU_AUTH_MODE) == CK_FUSETSU_AUTH_NONE, NULL);
    CHILD_MUST(!unit_module_true(priv, CKA_ALWAYS_AUTHENTICATE), NULL);
    CHILD_MUST(unit_module_signs(priv, unit_module_find(CKO_PUBLIC_KEY, "service")) == CKR_OK,
               NULL);
    CHILD_MUST(init(priv) == CKR_OK && prove(UNIT_PIN) == CKR_OPERATION_NOT_INITIALIZED, NULL);
    CHILD_MUST(sign() == CKR_OK, NULL);
    /* Neither is it the child's of a parent that is logged in. */
    CHILD_MUST(unit_module_login(unit_session) == CKR_OK, NULL);
    CHILD_MUST(unit_module_signs(priv, unit_module_find(CKO_PUBLIC_KEY, "service")) == CKR_OK,
               NULL);
    CHILD_MUST(unit_module_count(unit_session, &all, 1) == 2, NULL);
    return 0;
}

static void test_service_keys_sign_without_login(void **state)
{
    CK_OBJECT_HANDLE pub, priv, others[2];
    CK_ATTRIBUTE all = T_NUM(CKA_CLASS, CKO_PRIVATE_KEY);

    (void)state;
    pair(CKK_EC, CK_FUSETSU_AUTH_NONE, "service", &pub, &priv);
    pair(CKK_EC, CK_FUSETSU_AUTH_SESSION, "person", &others[0], &others[1]);
    assert_false(unit_module_true(priv, CKA_PRIVATE));
    assert_int_equal(unit_module_signs(priv, pub), CKR_OK);
    assert_int_equal(C_Logout(unit_session), CKR_OK);
    assert_int_equal(unit_module_count(unit_session, &all, 1), 1);
    assert_int_equal(unit_module_signs(priv, pub), CKR_OK);
    assert_int_equal(unit_module_login(unit_session), CKR_OK);
    assert_int_equal(unit_module_signs(priv, pub), CKR_OK);
    unit_module_in_child(NULL, NULL, signs_without_login);
    unit_module_again(false);
    assert_int_equal(unit_module_signs(unit_module_find(CKO_PRIVATE_KEY, "service"),
                                       unit_module_find(CKO_PUBLIC_KEY, "service")),
                     CKR_OK);
    /* What the token's owner may do with it takes the login all the same. */
    unit_module_again(true);
    unit_module_destroy(unit_module_find(CKO_PRIVATE_KEY, "service"));
    unit_module_destroy(unit_module_find(CKO_PUBLIC_KEY, "service"));
    unit_module_destroy(unit_module_find(CKO_PRIVATE_KEY, "person"));
    unit_module_destroy(unit_module_find(CKO_PUBLIC_KEY, "person"));
}

static void test_parent_and_child_both_serve_after_a_fork(void **state)
{
    CK_OBJECT_HANDLE pub, priv;
    int status = -1;
    pid_t child;

    (void)state;
    pair(CKK_EC, CK_FUSETSU_AUTH_NONE, "service", &pub, &priv);
    unit_module_again(false);
    priv = unit_module_find(CKO_PRIVATE_KEY, "service");
    pub = unit_module_find(CKO_PUBLIC_KEY, "service");
    assert_int_equal(unit_module_signs(priv, pub), CKR_OK);
    child = fork();
    if (child == 0) {
        int rc = 1;

        if (C_SignInit(unit_session, &ecdsa, priv) == CKR_CRYPTOKI_NOT_INITIALIZED &&
            C_Initialize(NULL) == CKR_OK) {
            unit_session = unit_module_open(false);
            priv = unit_module_find(CKO_PRIVATE_KEY, "service");
            pub = unit_module_find(CKO_PUBLIC_KEY, "service");
            rc = unit_module_signs(priv, pub) == CKR_OK ? 0 : 2;
        }
        C_Finalize(NULL);
        _exit(rc);
    }
    for (int i = 0; i < 5; i++)
        assert_int_equal(unit_module_signs(priv, pub), CKR_OK);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(unit_module_signs(priv, pub), CKR_OK);
    assert_int_equal(unit_module_login(unit_session), CKR_OK);
    unit_module_destroy(priv);
    unit_module_destroy(pub);
}

/* --- PCRs --------------------------------------------------------------------------- */

static CK_RV bound(CK_ULONG mode, const char *pcrs, CK_OBJECT_HANDLE *pub, CK_OBJECT_HANDLE *priv)
{
    CK_ATTRIBUTE t[] = {T_NUM(CKA_FUSETSU_AUTH_MODE, mode), T_TEXT(CKA_FUSETSU_PCRS, pcrs)};

    return unit_module_pair(CKK_EC, t, 2, pub, priv);
}

/* PCR 16 is there for debugging: everybody may reset it. */
static void extend(bool reset)
{
    assert_int_equal(unit_tpm_script(reset ? "tpm2_pcrreset 16"
                                           : "tpm2_pcrextend 16:sha256=$(printf '%064d' 7)"),
                     0);
}

static CK_RV sign_with(CK_OBJECT_HANDLE priv, bool each)
{
    CK_RV rv = init(priv);

    if (rv == CKR_OK && each) {
        rv = prove(UNIT_PIN);
        if (rv != CKR_OK)
            assert_int_equal(C_SignInit(unit_session, NULL, 0), CKR_OK);
    }
    return rv == CKR_OK ? sign() : rv;
}

static void test_keys_bound_to_pcrs_follow_them(void **state)
{
    static const CK_ULONG modes[] = {CK_FUSETSU_AUTH_SESSION, CK_FUSETSU_AUTH_EACH,
                                     CK_FUSETSU_AUTH_NONE};
    CK_OBJECT_HANDLE pub, priv;
    uint8_t shown[1024];

    (void)state;
    extend(true);
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        bool each = modes[i] == CK_FUSETSU_AUTH_EACH;

        assert_int_equal(bound(modes[i], "sha256:0,16", &pub, &priv), CKR_OK);
        assert_int_equal(unit_module_bytes(priv, CKA_FUSETSU_PCRS, shown), 11);
        assert_memory_equal(shown, "sha256:0,16", 11);
        assert_int_equal(unit_module_bytes(priv, CKA_FUSETSU_POLICY, shown), 32);
        assert_int_equal(sign_with(priv, each), CKR_OK);
        extend(false);
        assert_int_equal(sign_with(priv, each), CKR_FUNCTION_REJECTED);
        assert_int_equal(p11_last_error().code, each ? E_OK : E_REJECTED);
        /* No PIN was tried where the PCRs are wrong already. */
        assert_int_equal(pin_flags(), 0);
        extend(true);
        assert_int_equal(sign_with(priv, each), CKR_OK);
        unit_module_destroy(pub);
        unit_module_destroy(priv);
    }
}

/* Proved with the right values, used with others. (PCR 16 would not do: it is one of those
 * whose changes are not counted, Part 2, 6.13 TPM_PT_PCR_NO_INCREMENT.) */
static void test_pcrs_that_move_after_the_pin(void **state)
{
    CK_OBJECT_HANDLE pub, priv;

    (void)state;
    assert_int_equal(bound(CK_FUSETSU_AUTH_EACH, "sha256:15", &pub, &priv), CKR_OK);
    assert_int_equal(init(priv), CKR_OK);
    assert_int_equal(prove(UNIT_PIN), CKR_OK);
    assert_int_equal(unit_tpm_script("tpm2_pcrextend 15:sha256=$(printf '%064d' 7)"), 0);
    assert_int_equal(sign(), CKR_FUNCTION_REJECTED);
    assert_int_equal(sign(), CKR_OPERATION_NOT_INITIALIZED);
    assert_int_equal(init(priv), CKR_OK);
    assert_int_equal(prove(UNIT_PIN), CKR_FUNCTION_REJECTED);
    assert_int_equal(C_SignInit(unit_session, NULL, 0), CKR_OK);
    unit_module_destroy(pub);
    unit_module_destroy(priv);
}

/* --- templates and what they leave ----------------------------------------------------- */

static void test_contradictory_templates_make_nothing(void **state)
{
    CK_ATTRIBUTE session = T_NUM(CKA_FUSETSU_AUTH_MODE, CK_FUSETSU_AUTH_SESSION),
                 each = T_NUM(CKA_FUSETSU_AUTH_MODE, CK_FUSETSU_AUTH_EACH),
                 none = T_NUM(CKA_FUSETSU_AUTH_MODE, CK_FUSETSU_AUTH_NONE),
                 odd = T_NUM(CKA_FUSETSU_AUTH_MODE, 77);
    CK_ATTRIBUTE always = T_BOOL(CKA_ALWAYS_AUTHENTICATE, true), hidden = T_BOOL(CKA_PRIVATE, true),
                 open = T_BOOL(CKA_PRIVATE, false), leaves = T_BOOL(CKA_EXTRACTABLE, true),
                 derives = T_BOOL(CKA_DERIVE, true), pcrs = T_TEXT(CKA_FUSETSU_PCRS, "sha256:16"),
                 wrong = T_TEXT(CKA_FUSETSU_PCRS, "sha256:16,"),
                 no_bank = T_TEXT(CKA_FUSETSU_PCRS, "sha512:16");
    const struct {
        CK_ATTRIBUTE a, b;
        CK_RV rv;
    } t[] = {
        {session, open, CKR_TEMPLATE_INCONSISTENT},
        {each, open, CKR_TEMPLATE_INCONSISTENT},
        {none, always, CKR_TEMPLATE_INCONSISTENT},

        {each, derives, CKR_TEMPLATE_INCONSISTENT},
        {each, leaves, CKR_TEMPLATE_INCONSISTENT},
        {none, leaves, CKR_TEMPLATE_INCONSISTENT},
        {pcrs, leaves, CKR_TEMPLATE_INCONSISTENT},
        {always, leaves, CKR_TEMPLATE_INCONSISTENT},
        {odd, hidden, CKR_ATTRIBUTE_VALUE_INVALID},
        {wrong, hidden, CKR_ATTRIBUTE_VALUE_INVALID},
        {no_bank, hidden, CKR_KEY_SIZE_RANGE},
        {none, hidden, CKR_OK},
    };
    CK_ATTRIBUTE all = T_NUM(CKA_CLASS, CKO_PRIVATE_KEY);
    CK_OBJECT_HANDLE pub, priv;
    CK_ULONG before = unit_module_count(unit_session, &all, 1);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        CK_ATTRIBUTE two[] = {t[i].a, t[i].b};
        CK_RV rv = unit_module_pair(CKK_EC, two, 2, &pub, &priv);

        if (rv != t[i].rv)
            fail_msg("template %zu: 0x%lx", i, rv);
        assert_int_equal(unit_module_count(unit_session, &all, 1), before + (rv == CKR_OK));
    }
    unit_module_destroy(pub);
    unit_module_destroy(priv);
}

static void test_modes_are_read_only(void **state)
{
    CK_ATTRIBUTE t[] = {T_NUM(CKA_FUSETSU_AUTH_MODE, CK_FUSETSU_AUTH_NONE),
                        T_BOOL(CKA_ALWAYS_AUTHENTICATE, false), T_TEXT(CKA_FUSETSU_PCRS, ""),
                        T_TEXT(CKA_FUSETSU_NAME, "name"), T_TEXT(CKA_FUSETSU_POLICY, "")};
    CK_OBJECT_HANDLE pub, priv, copy;

    (void)state;
    pair(CKK_EC, CK_FUSETSU_AUTH_EACH, NULL, &pub, &priv);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        assert_int_equal(C_SetAttributeValue(unit_session, priv, &t[i], 1),
                         CKR_ATTRIBUTE_READ_ONLY);
        assert_int_equal(C_CopyObject(unit_session, priv, &t[i], 1, &copy),
                         CKR_ATTRIBUTE_READ_ONLY);
    }
    unit_module_destroy(pub);
    unit_module_destroy(priv);
}

static void test_what_is_shown_of_a_key_is_what_the_tpm_says(void **state)
{
    static const CK_ULONG modes[] = {CK_FUSETSU_AUTH_SESSION, CK_FUSETSU_AUTH_EACH,
                                     CK_FUSETSU_AUTH_NONE};
    CK_OBJECT_HANDLE pub, priv;
    struct key_identity id;
    struct store_key key;
    uint8_t shown[1024];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        pair(CKK_EC, modes[i], "shown", &pub, &priv);
        /* Also in the next process. */
        for (int again = 0; again < 2; again++) {
            memset(&key, 0, sizeof(key));
            assert_int_equal(p11_key_of_object(unit_session, priv, &key, NULL), 0);
            assert_int_equal(token_key_identity(p11_session_token(unit_session), &key, &id, NULL),
                             0);
            assert_int_equal(unit_module_bytes(priv, CKA_FUSETSU_NAME, shown), id.name.size);
            assert_memory_equal(shown, id.name.name, id.name.size);
            assert_int_equal(unit_module_bytes(priv, CKA_FUSETSU_QUALIFIED_NAME, shown),
                             id.qualified.size);
            assert_memory_equal(shown, id.qualified.name, id.qualified.size);
            assert_int_equal(unit_module_bytes(priv, CKA_FUSETSU_POLICY, shown), id.policy_len);
            assert_int_equal(id.policy_len, modes[i] == CK_FUSETSU_AUTH_EACH ? 32 : 0);
            assert_int_equal(unit_module_number(priv, CKA_FUSETSU_AUTH_MODE), modes[i]);
            assert_int_equal(unit_module_bytes(priv, CKA_FUSETSU_PCRS, shown), 0);
            store_key_free(&key);
            unit_module_again(true);
            priv = unit_module_find(CKO_PRIVATE_KEY, "shown");
        }
        unit_module_destroy(priv);
        unit_module_destroy(unit_module_find(CKO_PUBLIC_KEY, "shown"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_use_takes_the_pin),
        cmocka_unit_test(test_the_signature_is_good_and_comes_in_parts),
        cmocka_unit_test(test_a_wrong_pin_counts_and_the_operation_stays),
        cmocka_unit_test(test_other_keys_ask_for_no_pin),
        cmocka_unit_test(test_two_sessions_prove_each_for_itself),
        cmocka_unit_test(test_a_logout_takes_the_proof_along),
        cmocka_unit_test(test_the_key_may_go_in_between),
        cmocka_unit_test(test_decryption_with_the_pin_each_time),
        cmocka_unit_test(test_recoverable_signatures_with_the_pin_each_time),
        cmocka_unit_test(test_imported_keys_may_want_the_pin_each_time),
        cmocka_unit_test(test_service_keys_sign_without_login),
        cmocka_unit_test(test_parent_and_child_both_serve_after_a_fork),
        cmocka_unit_test(test_keys_bound_to_pcrs_follow_them),
        cmocka_unit_test(test_pcrs_that_move_after_the_pin),
        cmocka_unit_test(test_contradictory_templates_make_nothing),
        cmocka_unit_test(test_modes_are_read_only),
        cmocka_unit_test(test_what_is_shown_of_a_key_is_what_the_tpm_says),
    };

    return cmocka_run_group_tests_name("module_modes", tests, unit_module_begin, unit_module_erase);
}
