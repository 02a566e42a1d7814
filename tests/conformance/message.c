/* The message functions of 3.0 (Base 3.0, 5.9, 5.11, 5.14, 5.16): AES-GCM, and signatures. */
#include "tests/conformance/ref.h"

static uint8_t text[100], key_value[16] = "sixteen bytes !!", aad[20], iv[12], tag[16];
static CK_GCM_MESSAGE_PARAMS params;
static CK_MECHANISM gcm = MECH(CKM_AES_GCM);

static void supported(CK_RV rv)
{
    if (rv == CKR_FUNCTION_NOT_SUPPORTED || rv == CKR_MECHANISM_INVALID)
        conf_skip("%s", conf_ckr(rv));
    OK(rv);
}

static CK_OBJECT_HANDLE start(CK_FLAGS flags)
{
    conf_need_3_0();
    conf_need(CKM_AES_GCM, flags);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 31 + 2);
    memset(aad, 0x77, sizeof aad);
    memset(iv, 0x12, sizeof iv);
    memset(tag, 0, sizeof tag);
    params = (CK_GCM_MESSAGE_PARAMS){iv, sizeof iv, 0, CKG_NO_GENERATE, tag, 128};
    return keys_import(CKK_AES, key_value, 16, USE_ENC);
}

static void encrypt(const void *arg)
{
    CK_OBJECT_HANDLE key = start(CKF_MESSAGE_ENCRYPT);
    uint8_t want[REF_MAX], want_tag[16], out[128];

    (void)arg;
    supported(f3->C_MessageEncryptInit(ses, &gcm, key));
    for (uint8_t i = 0; i < 3; i++) {
        CK_ULONG n = sizeof out;

        iv[11] = i;
        ref_gcm(16, key_value, iv, 12, aad, sizeof aad, text, 50U + i, want, want_tag);
        OK(f3->C_EncryptMessage(ses, &params, sizeof params, aad, sizeof aad, text, 50UL + i, out,
                                &n));
        conf_same("the ciphertext", out, n, want, 50U + i);
        conf_same("the tag", tag, 16, want_tag, 16);
    }
    OK(f3->C_MessageEncryptFinal(ses));
    EXPECT(f3->C_MessageEncryptFinal(ses), CKR_OPERATION_NOT_INITIALIZED);
}

static void encrypt_lengths(const void *arg)
{
    CK_OBJECT_HANDLE key = start(CKF_MESSAGE_ENCRYPT);
    uint8_t want[REF_MAX], want_tag[16], out[128];
    CK_ULONG n = 0;

    (void)arg;
    ref_gcm(16, key_value, iv, 12, aad, sizeof aad, text, 50, want, want_tag);
    supported(f3->C_MessageEncryptInit(ses, &gcm, key));
    OK(f3->C_EncryptMessage(ses, &params, sizeof params, aad, sizeof aad, text, 50, NULL, &n));
    MUST(n >= 50, "it asks for %lu bytes", n);
    n = 49;
    EXPECT(f3->C_EncryptMessage(ses, &params, sizeof params, aad, sizeof aad, text, 50, out, &n),
           CKR_BUFFER_TOO_SMALL);
    OK(f3->C_EncryptMessage(ses, &params, sizeof params, aad, sizeof aad, text, 50, out, &n));
    conf_same("the ciphertext", out, n, want, 50);
    OK(f3->C_MessageEncryptFinal(ses));
}

static void encrypt_parts(const void *arg)
{
    CK_OBJECT_HANDLE key = start(CKF_MESSAGE_ENCRYPT | CKF_MULTI_MESSAGE);
    uint8_t want[REF_MAX], want_tag[16], out[128];
    CK_ULONG n, all = 0;

    (void)arg;
    ref_gcm(16, key_value, iv, 12, aad, sizeof aad, text, sizeof text, want, want_tag);
    supported(f3->C_MessageEncryptInit(ses, &gcm, key));
    supported(f3->C_EncryptMessageBegin(ses, &params, sizeof params, aad, sizeof aad));
    n = sizeof out;
    OK(f3->C_EncryptMessageNext(ses, &params, sizeof params, text, 33, out, &n, 0));
    all += n;
    n = sizeof out - all;
    OK(f3->C_EncryptMessageNext(ses, &params, sizeof params, text + 33, sizeof text - 33, out + all,
                                &n, CKF_END_OF_MESSAGE));
    all += n;
    conf_same("the ciphertext", out, all, want, sizeof text);
    conf_same("the tag", tag, 16, want_tag, 16);
    OK(f3->C_MessageEncryptFinal(ses));
}

/* Mech 3.0, 2.13.3: the token makes the nonce. */
static void encrypt_generated(const void *arg)
{
    CK_OBJECT_HANDLE key = start(CKF_MESSAGE_ENCRYPT);
    uint8_t want[REF_MAX], want_tag[16], out[128], first[12];
    CK_ULONG n = sizeof out;
    CK_RV rv;

    (void)arg;
    params.ivGenerator = CKG_GENERATE_RANDOM;
    supported(f3->C_MessageEncryptInit(ses, &gcm, key));
    rv = f3->C_EncryptMessage(ses, &params, sizeof params, aad, sizeof aad, text, 50, out, &n);
    if (rv == CKR_MECHANISM_PARAM_INVALID)
        conf_skip("no CKG_GENERATE_RANDOM");
    OK(rv);
    memcpy(first, iv, sizeof first);
    ref_gcm(16, key_value, iv, 12, aad, sizeof aad, text, 50, want, want_tag);
    conf_same("the ciphertext", out, n, want, 50);
    conf_same("the tag", tag, 16, want_tag, 16);
    n = sizeof out;
    OK(f3->C_EncryptMessage(ses, &params, sizeof params, aad, sizeof aad, text, 50, out, &n));
    MUST(memcmp(first, iv, sizeof first) != 0, "the same nonce twice");
    OK(f3->C_MessageEncryptFinal(ses));
}

static void decrypt(const void *arg)
{
    CK_OBJECT_HANDLE key = start(CKF_MESSAGE_DECRYPT);
    uint8_t c[REF_MAX], out[128];
    CK_ULONG n = sizeof out;

    (void)arg;
    ref_gcm(16, key_value, iv, 12, aad, sizeof aad, text, 77, c, tag);
    supported(f3->C_MessageDecryptInit(ses, &gcm, key));
    OK(f3->C_DecryptMessage(ses, &params, sizeof params, aad, sizeof aad, c, 77, out, &n));
    conf_same("the plaintext", out, n, text, 77);
    tag[3] ^= 1;
    n = sizeof out;
    EXPECT(f3->C_DecryptMessage(ses, &params, sizeof params, aad, sizeof aad, c, 77, out, &n),
           CKR_AEAD_DECRYPT_FAILED, CKR_ENCRYPTED_DATA_INVALID);
    tag[3] ^= 1;
    n = sizeof out;
    /* A bad message does not end the operation (Base 3.0, 5.11.2). */
    OK(f3->C_DecryptMessage(ses, &params, sizeof params, aad, sizeof aad, c, 77, out, &n));
    OK(f3->C_MessageDecryptFinal(ses));
}

static void decrypt_parts(const void *arg)
{
    CK_OBJECT_HANDLE key = start(CKF_MESSAGE_DECRYPT | CKF_MULTI_MESSAGE);
    uint8_t c[REF_MAX], out[128];
    CK_ULONG n = sizeof out, all;

    (void)arg;
    ref_gcm(16, key_value, iv, 12, aad, sizeof aad, text, sizeof text, c, tag);
    supported(f3->C_MessageDecryptInit(ses, &gcm, key));
    supported(f3->C_DecryptMessageBegin(ses, &params, sizeof params, aad, sizeof aad));
    OK(f3->C_DecryptMessageNext(ses, &params, sizeof params, c, 40, out, &n, 0));
    all = n;
    n = sizeof out - all;
    OK(f3->C_DecryptMessageNext(ses, &params, sizeof params, c + 40, sizeof text - 40, out + all,
                                &n, CKF_END_OF_MESSAGE));
    conf_same("the plaintext", out, all + n, text, sizeof text);
    OK(f3->C_MessageDecryptFinal(ses));
}

/* Wrong parameters, a second Init, and the functions for a message that is not begun. */
static void order(const void *arg)
{
    CK_OBJECT_HANDLE key = start(CKF_MESSAGE_ENCRYPT);
    uint8_t out[128];
    CK_ULONG n = sizeof out;

    (void)arg;
    supported(f3->C_MessageEncryptInit(ses, &gcm, key));
    EXPECT(f3->C_MessageEncryptInit(ses, &gcm, key), CKR_OPERATION_ACTIVE);
    REFUSED(f3->C_EncryptMessage(ses, NULL, 0, aad, 4, text, 50, out, &n));
    REFUSED(f3->C_EncryptMessage(ses, &params, 8, aad, 4, text, 50, out, &n));
    REFUSED(f3->C_EncryptMessageNext(ses, &params, sizeof params, text, 5, out, &n, 0));
    (void)f3->C_MessageEncryptFinal(ses);
    supported(f3->C_MessageEncryptInit(ses, &gcm, key));
    OK(f3->C_MessageEncryptInit(ses, NULL, 0));
    EXPECT(f3->C_MessageEncryptFinal(ses), CKR_OPERATION_NOT_INITIALIZED);
}

/* --- signatures ----------------------------------------------------------- */

struct signing {
    const char *name;
    CK_MECHANISM_TYPE type;
    bool ec;
};
static const struct signing signings[] = {
    {"ecdsa", CKM_ECDSA, true},
    {"ecdsa-sha256", CKM_ECDSA_SHA256, true},
    {"hmac", CKM_SHA256_HMAC, false},
};

static void sign(const void *arg)
{
    const struct signing *s = arg;
    CK_MECHANISM m = MECH(s->type);
    const struct keys_pair *p = NULL;
    CK_OBJECT_HANDLE key, other;
    CK_BYTE sig[128];
    CK_ULONG n, len = s->type == CKM_ECDSA ? 32 : sizeof text;

    conf_need_3_0();
    conf_need(s->type, CKF_MESSAGE_SIGN | CKF_MESSAGE_VERIFY);
    if (s->ec)
        p = keys_ec(&keys_curves[0], USE_SIGN);
    key = s->ec ? p->priv : keys_import(CKK_GENERIC_SECRET, key_value, 16, USE_SIGN);
    other = s->ec ? p->pub : key;
    supported(f3->C_MessageSignInit(ses, &m, key));
    for (CK_BYTE i = 0; i < 3; i++) {
        text[0] = i;
        n = sizeof sig;
        OK(f3->C_SignMessage(ses, NULL, 0, text, len, sig, &n));
    }
    OK(f3->C_MessageSignFinal(ses));
    supported(f3->C_MessageVerifyInit(ses, &m, other));
    OK(f3->C_VerifyMessage(ses, NULL, 0, text, len, sig, n));
    sig[5] ^= 1;
    EXPECT(f3->C_VerifyMessage(ses, NULL, 0, text, len, sig, n), CKR_SIGNATURE_INVALID);
    sig[5] ^= 1;
    OK(f3->C_VerifyMessage(ses, NULL, 0, text, len, sig, n));
    OK(f3->C_MessageVerifyFinal(ses));
    if (s->ec) {
        uint8_t hash[32];
        EVP_PKEY *pub = ref_ec(p->pub, &keys_curves[0]);

        if (s->type == CKM_ECDSA)
            memcpy(hash, text, 32);
        else
            ref_digest("SHA256", text, len, hash);
        MUST(ref_ecdsa_verify(pub, hash, 32, sig, n), "OpenSSL does not take the signature");
        EVP_PKEY_free(pub);
    }
}

static void sign_parts(const void *arg)
{
    const struct signing *s = arg;
    CK_MECHANISM m = MECH(s->type);
    const struct keys_pair *p = NULL;
    CK_OBJECT_HANDLE key;
    CK_BYTE sig[128];
    CK_ULONG n = sizeof sig;

    conf_need_3_0();
    conf_need(s->type, CKF_MESSAGE_SIGN | CKF_MESSAGE_VERIFY | CKF_MULTI_MESSAGE);
    if (s->ec)
        p = keys_ec(&keys_curves[0], USE_SIGN);
    key = s->ec ? p->priv : keys_import(CKK_GENERIC_SECRET, key_value, 16, USE_SIGN);
    supported(f3->C_MessageSignInit(ses, &m, key));
    supported(f3->C_SignMessageBegin(ses, NULL, 0));
    OK(f3->C_SignMessageNext(ses, NULL, 0, text, 50, NULL, NULL));
    OK(f3->C_SignMessageNext(ses, NULL, 0, text + 50, 50, sig, &n));
    OK(f3->C_MessageSignFinal(ses));
    supported(f3->C_MessageVerifyInit(ses, &m, s->ec ? p->pub : key));
    supported(f3->C_VerifyMessageBegin(ses, NULL, 0));
    OK(f3->C_VerifyMessageNext(ses, NULL, 0, text, 20, NULL, 0));
    OK(f3->C_VerifyMessageNext(ses, NULL, 0, text + 20, 80, sig, n));
    OK(f3->C_MessageVerifyFinal(ses));
}

void message_checks(void)
{
    conf_add(CONF_USER, encrypt, NULL, "message/gcm/encrypt");
    conf_add(CONF_USER, encrypt_lengths, NULL, "message/gcm/lengths");
    conf_add(CONF_USER, encrypt_parts, NULL, "message/gcm/encrypt-multi-part");
    conf_add(CONF_USER, encrypt_generated, NULL, "message/gcm/nonce-of-the-token");
    conf_add(CONF_USER, decrypt, NULL, "message/gcm/decrypt");
    conf_add(CONF_USER, decrypt_parts, NULL, "message/gcm/decrypt-multi-part");
    conf_add(CONF_USER, order, NULL, "message/gcm/order");
    for (size_t i = 0; i < N(signings); i++) {
        conf_add(CONF_USER, sign, &signings[i], "message/sign/%s", signings[i].name);
        if (signings[i].type != CKM_ECDSA)
            conf_add(CONF_USER, sign_parts, &signings[i], "message/sign/%s/multi-part",
                     signings[i].name);
    }
}
