/* AES-GCM (Mech 2.13; 3.0: 2.13.3). Decryption may give no plaintext before the tag is checked. */
#include "tests/conformance/ref.h"

static uint8_t text[300], key_value[32], iv[32], aad[40];
static CK_GCM_PARAMS params;

struct shape {
    const char *name;
    CK_ULONG key, iv, aad, text, tag;
};
static const struct shape shapes[] = {
    {"usual", 16, 12, 20, 100, 16},    {"aes-256", 32, 12, 20, 100, 16},
    {"aes-192", 24, 12, 20, 100, 16},  {"long-iv", 16, 32, 20, 100, 16},
    {"short-iv", 16, 8, 20, 100, 16},  {"no-aad", 16, 12, 0, 100, 16},
    {"no-text", 16, 12, 20, 0, 16},    {"nothing", 16, 12, 0, 0, 16},
    {"short-tag", 16, 12, 20, 64, 12}, {"blocks", 32, 12, 32, 256, 16},
};

static CK_MECHANISM mechanism(const struct shape *s)
{
    CK_MECHANISM m = MECH_P(CKM_AES_GCM, params);

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 13);
    for (size_t i = 0; i < sizeof key_value; i++)
        key_value[i] = (uint8_t)(i + 1);
    memset(iv, 0x5a, sizeof iv);
    memset(aad, 0xa5, sizeof aad);
    params = (CK_GCM_PARAMS){iv, s->iv, s->iv * 8, s->aad > 0 ? aad : NULL, s->aad, s->tag * 8};
    return m;
}

static CK_OBJECT_HANDLE start(const struct shape *s, uint8_t *want)
{
    uint8_t tag[16];

    conf_need(CKM_AES_GCM, CKF_ENCRYPT | CKF_DECRYPT);
    ref_gcm(s->key, key_value, iv, s->iv, aad, s->aad, text, s->text, want, tag);
    memcpy(want + s->text, tag, s->tag);
    return keys_import(CKK_AES, key_value, s->key, USE_ENC);
}

static void known(const void *arg)
{
    const struct shape *s = arg;
    CK_MECHANISM m = mechanism(s);
    uint8_t want[REF_MAX], got[400], back[400];
    CK_OBJECT_HANDLE key = start(s, want);
    CK_ULONG n = sizeof got, b = sizeof back;

    OK(f->C_EncryptInit(ses, &m, key));
    OK(f->C_Encrypt(ses, text, s->text, got, &n));
    conf_same("ciphertext and tag", got, n, want, s->text + s->tag);
    OK(f->C_DecryptInit(ses, &m, key));
    OK(f->C_Decrypt(ses, want, s->text + s->tag, back, &b));
    conf_same("the plaintext", back, b, text, s->text);
}

static void parts(const void *arg)
{
    static const size_t steps[] = {1, 7, 16, 33, 115};
    const struct shape *s = arg;
    CK_MECHANISM m = mechanism(s);
    uint8_t want[REF_MAX], got[400];
    CK_OBJECT_HANDLE key = start(s, want);
    CK_ULONG n, all;

    for (size_t i = 0; i < N(steps); i++) {
        size_t len = s->text + s->tag;

        all = 0;
        OK(f->C_EncryptInit(ses, &m, key));
        for (size_t at = 0; at < s->text; at += steps[i], all += n) {
            n = sizeof got - all;
            OK(f->C_EncryptUpdate(ses, text + at, s->text - at < steps[i] ? s->text - at : steps[i],
                                  got + all, &n));
        }
        n = sizeof got - all;
        OK(f->C_EncryptFinal(ses, got + all, &n));
        conf_same("ciphertext and tag", got, all + n, want, len);
        all = 0;
        OK(f->C_DecryptInit(ses, &m, key));
        for (size_t at = 0; at < len; at += steps[i], all += n) {
            n = sizeof got - all;
            OK(f->C_DecryptUpdate(ses, want + at, len - at < steps[i] ? len - at : steps[i],
                                  got + all, &n));
        }
        n = sizeof got - all;
        OK(f->C_DecryptFinal(ses, got + all, &n));
        conf_same("the plaintext", got, all + n, text, s->text);
    }
}

struct change {
    const char *name;
    uint8_t *(*what)(uint8_t *sealed);
};
static uint8_t *in_text(uint8_t *sealed)
{
    return sealed;
}
static uint8_t *in_tag(uint8_t *sealed)
{
    return sealed + shapes[0].text + 15;
}
static uint8_t *in_aad(uint8_t *sealed)
{
    (void)sealed;
    return aad + 3;
}
static uint8_t *in_iv(uint8_t *sealed)
{
    (void)sealed;
    return iv + 11;
}
static const struct change changes[] = {
    {"text", in_text}, {"tag", in_tag}, {"aad", in_aad}, {"iv", in_iv}};

static void tampered(const void *arg)
{
    const struct change *c = arg;
    CK_MECHANISM m = mechanism(&shapes[0]);
    uint8_t sealed[REF_MAX], out[400];
    CK_OBJECT_HANDLE key = start(&shapes[0], sealed);
    CK_ULONG n = sizeof out;

    *c->what(sealed) ^= 4;
    OK(f->C_DecryptInit(ses, &m, key));
    EXPECT(f->C_Decrypt(ses, sealed, 116, out, &n), CKR_ENCRYPTED_DATA_INVALID,
           CKR_AEAD_DECRYPT_FAILED);
    n = sizeof out;
    OK(f->C_DecryptInit(ses, &m, key));
    OK(f->C_DecryptUpdate(ses, sealed, 116, out, &n));
    n = sizeof out;
    EXPECT(f->C_DecryptFinal(ses, out, &n), CKR_ENCRYPTED_DATA_INVALID, CKR_AEAD_DECRYPT_FAILED);
}

static void shorter_than_a_tag(const void *arg)
{
    CK_MECHANISM m = mechanism(&shapes[0]);
    uint8_t sealed[REF_MAX], out[400];
    CK_OBJECT_HANDLE key = start(&shapes[0], sealed);
    CK_ULONG n = sizeof out;

    (void)arg;
    OK(f->C_DecryptInit(ses, &m, key));
    EXPECT(f->C_Decrypt(ses, sealed, 15, out, &n), CKR_ENCRYPTED_DATA_INVALID,
           CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_AEAD_DECRYPT_FAILED);
}

static void parameter(const void *arg)
{
    CK_MECHANISM m = mechanism(&shapes[0]);
    uint8_t sealed[REF_MAX];
    CK_OBJECT_HANDLE key = start(&shapes[0], sealed);

    (void)arg;
    m.ulParameterLen = 8;
    EXPECT(f->C_EncryptInit(ses, &m, key), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
    m = (CK_MECHANISM)MECH(CKM_AES_GCM);
    EXPECT(f->C_EncryptInit(ses, &m, key), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
    m = mechanism(&shapes[0]);
    params.ulTagBits = 136;
    EXPECT(f->C_EncryptInit(ses, &m, key), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
    params.ulTagBits = 128;
    params.ulIvLen = 0;
    params.ulIvBits = 0;
    EXPECT(f->C_EncryptInit(ses, &m, key), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
}

/* The parameters are read by Init: the caller may free them before the data comes. */
static void parameters_are_copied(const void *arg)
{
    const struct shape *s = &shapes[0];
    CK_MECHANISM m = mechanism(s);
    uint8_t want[REF_MAX], got[400];
    CK_OBJECT_HANDLE key = start(s, want);
    CK_ULONG n = sizeof got;

    (void)arg;
    OK(f->C_EncryptInit(ses, &m, key));
    memset(iv, 0, sizeof iv);
    memset(aad, 0, sizeof aad);
    memset(&params, 0, sizeof params);
    OK(f->C_Encrypt(ses, text, s->text, got, &n));
    conf_same("ciphertext and tag", got, n, want, s->text + s->tag);
}

static void not_permitted(const void *arg)
{
    CK_MECHANISM m = mechanism(&shapes[0]);
    CK_OBJECT_HANDLE key;

    (void)arg;
    conf_need(CKM_AES_GCM, CKF_ENCRYPT | CKF_DECRYPT);
    key = keys_import(CKK_AES, key_value, 16, USE_WRAP);
    EXPECT(f->C_EncryptInit(ses, &m, key), CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(f->C_DecryptInit(ses, &m, key), CKR_KEY_FUNCTION_NOT_PERMITTED);
}

void gcm_checks(void)
{
    for (size_t i = 0; i < N(shapes); i++)
        conf_add(CONF_USER, known, &shapes[i], "cipher/aes-gcm/known/%s", shapes[i].name);
    conf_add(CONF_USER, parts, &shapes[0], "cipher/aes-gcm/multi-part");
    for (size_t i = 0; i < N(changes); i++)
        conf_add(CONF_USER, tampered, &changes[i], "cipher/aes-gcm/tampered/%s", changes[i].name);
    conf_add(CONF_USER, shorter_than_a_tag, NULL, "cipher/aes-gcm/shorter-than-a-tag");
    conf_add(CONF_USER, parameter, NULL, "cipher/aes-gcm/parameter");
    conf_add(CONF_USER, parameters_are_copied, NULL, "cipher/aes-gcm/parameters-are-copied");
    conf_add(CONF_USER, not_permitted, NULL, "cipher/aes-gcm/not-permitted");
}
