/* Operations together in one session (Base 5.12), and saved ones (Base 5.6). */
#include "tests/conformance/ref.h"

static uint8_t text[96], key_value[16] = "sixteen bytes !!", cipher[REF_MAX];
static CK_MECHANISM sha = MECH(CKM_SHA256), ecb = MECH(CKM_AES_ECB), hmac = MECH(CKM_SHA256_HMAC);
static CK_OBJECT_HANDLE aes, mac;

/* Dual operations are for tokens that say CKF_DUAL_CRYPTO_OPERATIONS, and are optional. */
static void start(bool with_mac)
{
    CK_TOKEN_INFO t;

    OK(f->C_GetTokenInfo(slot, &t));
    if (!(t.flags & CKF_DUAL_CRYPTO_OPERATIONS))
        conf_skip("no CKF_DUAL_CRYPTO_OPERATIONS");
    conf_need(CKM_SHA256, CKF_DIGEST);
    conf_need(CKM_AES_ECB, CKF_ENCRYPT | CKF_DECRYPT);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i ^ 0x3c);
    ref_cipher("AES-128-ECB", key_value, NULL, false, text, sizeof text, cipher);
    aes = keys_import(CKK_AES, key_value, 16, USE_ENC);
    if (with_mac) {
        conf_need(CKM_SHA256_HMAC, CKF_SIGN | CKF_VERIFY);
        mac = keys_import(CKK_GENERIC_SECRET, key_value, 16, USE_SIGN);
    }
}

static void supported(CK_RV rv)
{
    if (rv == CKR_FUNCTION_NOT_SUPPORTED)
        conf_skip("%s", conf_ckr(rv));
    OK(rv);
}

static void digest_encrypt(const void *arg)
{
    uint8_t out[128], want[32];
    CK_ULONG n = sizeof out, m = sizeof out;

    (void)arg;
    start(false);
    OK(f->C_DigestInit(ses, &sha));
    OK(f->C_EncryptInit(ses, &ecb, aes));
    supported(f->C_DigestEncryptUpdate(ses, text, 48, out, &n));
    m = sizeof out - n;
    OK(f->C_DigestEncryptUpdate(ses, text + 48, 48, out + n, &m));
    n += m;
    m = sizeof out - n;
    OK(f->C_EncryptFinal(ses, out + n, &m));
    conf_same("the ciphertext", out, n + m, cipher, sizeof text);
    n = sizeof out;
    OK(f->C_DigestFinal(ses, out, &n));
    ref_digest("SHA256", text, sizeof text, want);
    conf_same("the digest", out, n, want, 32);
}

static void decrypt_digest(const void *arg)
{
    uint8_t out[128], want[32];
    CK_ULONG n = sizeof out, m;

    (void)arg;
    start(false);
    OK(f->C_DecryptInit(ses, &ecb, aes));
    OK(f->C_DigestInit(ses, &sha));
    supported(f->C_DecryptDigestUpdate(ses, cipher, 48, out, &n));
    m = sizeof out - n;
    OK(f->C_DecryptDigestUpdate(ses, cipher + 48, 48, out + n, &m));
    n += m;
    m = sizeof out - n;
    OK(f->C_DecryptFinal(ses, out + n, &m));
    conf_same("the plaintext", out, n + m, text, sizeof text);
    n = sizeof out;
    OK(f->C_DigestFinal(ses, out, &n));
    ref_digest("SHA256", text, sizeof text, want);
    conf_same("the digest", out, n, want, 32);
}

static void sign_encrypt(const void *arg)
{
    uint8_t out[128], want[REF_MAX];
    CK_ULONG n = sizeof out, m;

    (void)arg;
    start(true);
    OK(f->C_SignInit(ses, &hmac, mac));
    OK(f->C_EncryptInit(ses, &ecb, aes));
    supported(f->C_SignEncryptUpdate(ses, text, sizeof text, out, &n));
    m = sizeof out - n;
    OK(f->C_EncryptFinal(ses, out + n, &m));
    conf_same("the ciphertext", out, n + m, cipher, sizeof text);
    n = sizeof out;
    OK(f->C_SignFinal(ses, out, &n));
    ref_mac("HMAC", "SHA256", key_value, 16, text, sizeof text, want);
    conf_same("the code", out, n, want, 32);
}

static void decrypt_verify(const void *arg)
{
    uint8_t out[128], tag[REF_MAX];
    CK_ULONG n = sizeof out, m;

    (void)arg;
    start(true);
    ref_mac("HMAC", "SHA256", key_value, 16, text, sizeof text, tag);
    OK(f->C_DecryptInit(ses, &ecb, aes));
    OK(f->C_VerifyInit(ses, &hmac, mac));
    supported(f->C_DecryptVerifyUpdate(ses, cipher, sizeof text, out, &n));
    m = sizeof out - n;
    OK(f->C_DecryptFinal(ses, out + n, &m));
    conf_same("the plaintext", out, n + m, text, sizeof text);
    OK(f->C_VerifyFinal(ses, tag, 32));
}

/* A buffer that is too small must not count the data twice. */
static void dual_too_small(const void *arg)
{
    uint8_t out[128], want[32];
    CK_ULONG n = 5, m;

    (void)arg;
    start(false);
    OK(f->C_DigestInit(ses, &sha));
    OK(f->C_EncryptInit(ses, &ecb, aes));
    if (f->C_DigestEncryptUpdate(ses, text, 48, NULL, &n) == CKR_FUNCTION_NOT_SUPPORTED)
        conf_skip("not supported");
    MUST(n >= 48, "it asks for %lu bytes", n);
    n = 5;
    EXPECT(f->C_DigestEncryptUpdate(ses, text, 48, out, &n), CKR_BUFFER_TOO_SMALL);
    OK(f->C_DigestEncryptUpdate(ses, text, 48, out, &n));
    m = sizeof out - n;
    OK(f->C_EncryptFinal(ses, out + n, &m));
    conf_same("the ciphertext", out, n + m, cipher, 48);
    n = sizeof out;
    OK(f->C_DigestFinal(ses, out, &n));
    ref_digest("SHA256", text, 48, want);
    conf_same("the digest", out, n, want, 32);
}

/* Base 5.12: both operations must be active. */
static void one_is_missing(const void *arg)
{
    uint8_t out[128];
    CK_ULONG n = sizeof out;

    (void)arg;
    start(true);
    OK(f->C_DigestInit(ses, &sha));
    EXPECT(f->C_DigestEncryptUpdate(ses, text, 48, out, &n), CKR_OPERATION_NOT_INITIALIZED,
           CKR_FUNCTION_NOT_SUPPORTED);
    n = sizeof out;
    EXPECT(f->C_SignEncryptUpdate(ses, text, 48, out, &n), CKR_OPERATION_NOT_INITIALIZED,
           CKR_FUNCTION_NOT_SUPPORTED);
    n = sizeof out;
    EXPECT(f->C_DecryptVerifyUpdate(ses, text, 48, out, &n), CKR_OPERATION_NOT_INITIALIZED,
           CKR_FUNCTION_NOT_SUPPORTED);
}

/* --- states --------------------------------------------------------------- */

static CK_BYTE state[4096];

static CK_ULONG save(void)
{
    CK_ULONG n = 0, few;
    CK_RV rv;

    conf_need(CKM_SHA256, CKF_DIGEST);
    OK(f->C_DigestInit(ses, &sha));
    OK(f->C_DigestUpdate(ses, text, 70));
    rv = f->C_GetOperationState(ses, NULL, &n);
    if (rv == CKR_STATE_UNSAVEABLE || rv == CKR_FUNCTION_NOT_SUPPORTED)
        conf_skip("%s", conf_ckr(rv));
    OK(rv);
    MUST(n > 0 && n <= sizeof state, "%lu bytes", n);
    few = n - 1;
    EXPECT(f->C_GetOperationState(ses, state, &few), CKR_BUFFER_TOO_SMALL);
    OK(f->C_GetOperationState(ses, state, &n));
    return n;
}

static void expect_digest(CK_SESSION_HANDLE h, const char *what)
{
    uint8_t got[64], want[32];
    CK_ULONG n = sizeof got;

    OK(f->C_DigestUpdate(h, text + 70, 20));
    OK(f->C_DigestFinal(h, got, &n));
    ref_digest("SHA256", text, 90, want);
    conf_same(what, got, n, want, 32);
}

static void state_same(const void *arg)
{
    uint8_t got[64];
    CK_ULONG n = save(), m = sizeof got;

    (void)arg;
    expect_digest(ses, "the digest that was saved");
    OK(f->C_SetOperationState(ses, state, n, 0, 0));
    expect_digest(ses, "the digest that came back");
    OK(f->C_DigestInit(ses, &sha));
    OK(f->C_DigestUpdate(ses, text, 3));
    /* Whether it replaces what is active is not said. */
    if (EXPECT(f->C_SetOperationState(ses, state, n, 0, 0), CKR_OK, CKR_OPERATION_ACTIVE) != CKR_OK)
        return;
    expect_digest(ses, "the digest that came back over another");
    EXPECT(f->C_DigestFinal(ses, got, &m), CKR_OPERATION_NOT_INITIALIZED);
}

static void state_other(const void *arg)
{
    CK_SESSION_HANDLE other = conf_open(0);
    CK_ULONG n = save();

    (void)arg;
    OK(f->C_SetOperationState(other, state, n, 0, 0));
    expect_digest(other, "the digest in the other session");
    expect_digest(ses, "the digest that was saved");
    OK(f->C_CloseSession(other));
}

static void state_wrong(const void *arg)
{
    CK_ULONG n = save();

    (void)arg;
    EXPECT(f->C_SetOperationState(ses, state, n - 1, 0, 0), CKR_SAVED_STATE_INVALID);
    EXPECT(f->C_SetOperationState(ses, state, 1, 0, 0), CKR_SAVED_STATE_INVALID);
    memset(state, 0xff, n);
    EXPECT(f->C_SetOperationState(ses, state, n, 0, 0), CKR_SAVED_STATE_INVALID);
    EXPECT(f->C_SetOperationState(ses, state, n, 1, 0), CKR_SAVED_STATE_INVALID, CKR_KEY_NOT_NEEDED,
           CKR_KEY_HANDLE_INVALID);
}

static void state_none(const void *arg)
{
    CK_ULONG n = sizeof state;

    (void)arg;
    EXPECT(f->C_GetOperationState(ses, state, &n), CKR_OPERATION_NOT_INITIALIZED,
           CKR_FUNCTION_NOT_SUPPORTED);
}

void multi_checks(void)
{
    conf_add(CONF_USER, digest_encrypt, NULL, "dual/digest-encrypt");
    conf_add(CONF_USER, decrypt_digest, NULL, "dual/decrypt-digest");
    conf_add(CONF_USER, sign_encrypt, NULL, "dual/sign-encrypt");
    conf_add(CONF_USER, decrypt_verify, NULL, "dual/decrypt-verify");
    conf_add(CONF_USER, dual_too_small, NULL, "dual/too-small");
    conf_add(CONF_USER, one_is_missing, NULL, "dual/one-is-missing");
    conf_add(CONF_USER, state_same, NULL, "state/digest");
    conf_add(CONF_USER, state_other, NULL, "state/other-session");
    conf_add(CONF_USER, state_wrong, NULL, "state/garbage");
    conf_add(CONF_USER, state_none, NULL, "state/without-operation");
}
