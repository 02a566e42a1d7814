/* AES without authentication (Mech 2.10 to 2.14): against OpenSSL, by imported keys. */
#include <stdio.h>

#include "tests/conformance/ref.h"

enum kind { BLOCK, PADDED, STREAM };

struct row {
    CK_MECHANISM_TYPE type;
    const char *name, *openssl; /* AES-128-... */
    enum kind kind;
    enum { NO_PARAM, IV, COUNTER } param;
};
static const struct row rows[] = {
    {CKM_AES_ECB, "aes-ecb", "ECB", BLOCK, NO_PARAM},
    {CKM_AES_CBC, "aes-cbc", "CBC", BLOCK, IV},
    {CKM_AES_CBC_PAD, "aes-cbc-pad", "CBC", PADDED, IV},
    {CKM_AES_CTR, "aes-ctr", "CTR", STREAM, COUNTER},
    {CKM_AES_CFB128, "aes-cfb128", "CFB", STREAM, IV},
    {CKM_AES_OFB, "aes-ofb", "OFB", STREAM, IV},
};

static uint8_t text[512], key_value[32], iv[16];
static CK_AES_CTR_PARAMS counter;

static CK_MECHANISM mechanism(const struct row *r)
{
    CK_MECHANISM m = MECH(r->type);

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 3 + 9);
    for (size_t i = 0; i < sizeof key_value; i++)
        key_value[i] = (uint8_t)(i * 11 + 3);
    for (size_t i = 0; i < sizeof iv; i++)
        iv[i] = (uint8_t)(0xf0 + i);
    counter.ulCounterBits = 128;
    memcpy(counter.cb, iv, sizeof iv);
    if (r->param == IV)
        m = (CK_MECHANISM){r->type, iv, sizeof iv};
    else if (r->param == COUNTER)
        m = (CK_MECHANISM){r->type, &counter, sizeof counter};
    return m;
}

static CK_OBJECT_HANDLE key_of(const struct row *r, CK_ULONG len)
{
    conf_need(r->type, CKF_ENCRYPT | CKF_DECRYPT);
    return keys_import(CKK_AES, key_value, len, USE_ENC);
}

static size_t reference(const struct row *r, CK_ULONG key_len, size_t len, uint8_t *out)
{
    char name[32];

    snprintf(name, sizeof name, "AES-%lu-%s", key_len * 8, r->openssl);
    return ref_cipher(name, key_value, r->param == NO_PARAM ? NULL : iv, r->kind == PADDED, text,
                      len, out);
}

static void known(const void *arg)
{
    static const size_t lengths[] = {16, 32, 160, 512, 1, 15, 17, 33};
    const struct row *r = arg;
    CK_MECHANISM m = mechanism(r);
    uint8_t want[REF_MAX], got[600], back[600];

    for (CK_ULONG len = 16; len <= 32; len += 8) {
        CK_OBJECT_HANDLE key = key_of(r, len);

        for (size_t i = 0; i < (r->kind == BLOCK ? 4 : N(lengths)); i++) {
            CK_ULONG n = sizeof got, b = sizeof back;
            size_t want_len = reference(r, len, lengths[i], want);

            OK(f->C_EncryptInit(ses, &m, key));
            OK(f->C_Encrypt(ses, text, lengths[i], got, &n));
            conf_same("the ciphertext", got, n, want, want_len);
            OK(f->C_DecryptInit(ses, &m, key));
            OK(f->C_Decrypt(ses, want, want_len, back, &b));
            conf_same("the plaintext", back, b, text, lengths[i]);
        }
    }
}

/* Through Update and Final, by steps; returns how many bytes came out. */
static size_t by_steps(bool enc, const uint8_t *in, size_t len, size_t step, uint8_t *out)
{
    size_t all = 0;
    CK_ULONG n;

    for (size_t at = 0; at < len; at += step) {
        n = 600 - all;
        OK((enc ? f->C_EncryptUpdate : f->C_DecryptUpdate)(
            ses, (CK_BYTE *)(uintptr_t)in + at, len - at < step ? len - at : step, out + all, &n));
        all += n;
    }
    n = 600 - all;
    OK((enc ? f->C_EncryptFinal : f->C_DecryptFinal)(ses, out + all, &n));
    return all + n;
}

static void parts(const void *arg)
{
    static const size_t steps[] = {1, 5, 16, 17, 40, 511};
    const struct row *r = arg;
    CK_MECHANISM m = mechanism(r);
    CK_OBJECT_HANDLE key = key_of(r, 16);
    size_t len = r->kind == BLOCK ? 512 : 500, want_len;
    uint8_t want[REF_MAX], got[600];

    want_len = reference(r, 16, len, want);
    for (size_t i = 0; i < N(steps); i++) {
        OK(f->C_EncryptInit(ses, &m, key));
        conf_same("the ciphertext", got, by_steps(true, text, len, steps[i], got), want, want_len);
        OK(f->C_DecryptInit(ses, &m, key));
        conf_same("the plaintext", got, by_steps(false, want, want_len, steps[i], got), text, len);
    }
}

/* Base 5.8 and 5.9: both directions at a time in one session, where the module can. */
static void both(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m = mechanism(r);
    CK_OBJECT_HANDLE key = key_of(r, 16);
    uint8_t c[600], p[600];
    CK_ULONG n = sizeof c, b = sizeof p;

    OK(f->C_EncryptInit(ses, &m, key));
    if (EXPECT(f->C_DecryptInit(ses, &m, key), CKR_OK, CKR_OPERATION_ACTIVE) != CKR_OK)
        conf_skip("one operation in a session");
    OK(f->C_Encrypt(ses, text, 32, c, &n));
    OK(f->C_Decrypt(ses, c, n, p, &b));
    conf_same("the plaintext", p, b, text, 32);
}

/* In place: input and output are the same buffer (Base 5.2). */
static void in_place(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m = mechanism(r);
    CK_OBJECT_HANDLE key = key_of(r, 16);
    uint8_t want[REF_MAX], buf[600];
    CK_ULONG n = sizeof buf;
    size_t want_len = reference(r, 16, 64, want);

    memcpy(buf, text, 64);
    OK(f->C_EncryptInit(ses, &m, key));
    OK(f->C_Encrypt(ses, buf, 64, buf, &n));
    conf_same("the ciphertext", buf, n, want, want_len);
    OK(f->C_DecryptInit(ses, &m, key));
    OK(f->C_Decrypt(ses, buf, n, buf, &n));
    conf_same("the plaintext", buf, n, text, 64);
}

/* Mech table 2.10.5...: a whole number of blocks. */
static void length(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m = mechanism(r);
    CK_OBJECT_HANDLE key = key_of(r, 16);
    uint8_t out[600];
    CK_ULONG n = sizeof out;

    if (r->kind == BLOCK) {
        OK(f->C_EncryptInit(ses, &m, key));
        EXPECT(f->C_Encrypt(ses, text, 17, out, &n), CKR_DATA_LEN_RANGE);
        n = sizeof out;
        OK(f->C_EncryptInit(ses, &m, key));
        OK(f->C_EncryptUpdate(ses, text, 17, out, &n));
        n = sizeof out;
        EXPECT(f->C_EncryptFinal(ses, out, &n), CKR_DATA_LEN_RANGE);
    }
    n = sizeof out;
    OK(f->C_DecryptInit(ses, &m, key));
    EXPECT(f->C_Decrypt(ses, text, 17, out, &n), CKR_ENCRYPTED_DATA_LEN_RANGE,
           CKR_ENCRYPTED_DATA_INVALID);
    n = sizeof out;
    OK(f->C_EncryptInit(ses, &m, key));
    OK(f->C_Encrypt(ses, text, 16, out, &n));
}

/* Padding that is none. */
static void padding(const void *arg)
{
    const struct row *r = arg, *plain = &rows[1];
    CK_MECHANISM m = mechanism(r);
    CK_OBJECT_HANDLE key = key_of(r, 16);
    uint8_t bad[REF_MAX], out[600];
    CK_ULONG n = sizeof out;

    memset(text + 16, 0x77, 16);
    reference(plain, 16, 32, bad);
    OK(f->C_DecryptInit(ses, &m, key));
    EXPECT(f->C_Decrypt(ses, bad, 32, out, &n), CKR_ENCRYPTED_DATA_INVALID);
    n = sizeof out;
    OK(f->C_DecryptInit(ses, &m, key));
    EXPECT(f->C_Decrypt(ses, bad, 0, out, &n), CKR_ENCRYPTED_DATA_LEN_RANGE,
           CKR_ENCRYPTED_DATA_INVALID, CKR_ARGUMENTS_BAD);
}

static void parameter(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m = mechanism(r);
    CK_OBJECT_HANDLE key = key_of(r, 16);

    if (r->param == NO_PARAM) {
        m = (CK_MECHANISM){r->type, iv, 16};
        EXPECT(f->C_EncryptInit(ses, &m, key), CKR_MECHANISM_PARAM_INVALID);
        return;
    }
    m.ulParameterLen--;
    EXPECT(f->C_EncryptInit(ses, &m, key), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
    EXPECT(f->C_DecryptInit(ses, &m, key), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
    m = (CK_MECHANISM)MECH(r->type);
    EXPECT(f->C_EncryptInit(ses, &m, key), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
    EXPECT(f->C_DecryptInit(ses, &m, key), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
    if (r->param == COUNTER) {
        m = mechanism(r);
        counter.ulCounterBits = 129;
        EXPECT(f->C_EncryptInit(ses, &m, key), CKR_MECHANISM_PARAM_INVALID);
        counter.ulCounterBits = 0;
        EXPECT(f->C_EncryptInit(ses, &m, key), CKR_MECHANISM_PARAM_INVALID);
    }
}

static void not_permitted(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m = mechanism(r);
    CK_OBJECT_HANDLE key;

    conf_need(r->type, CKF_ENCRYPT | CKF_DECRYPT);
    key = keys_import(CKK_AES, key_value, 16, USE_WRAP);
    EXPECT(f->C_EncryptInit(ses, &m, key), CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(f->C_DecryptInit(ses, &m, key), CKR_KEY_FUNCTION_NOT_PERMITTED);
}

static void wrong_key(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m = mechanism(r);
    CK_OBJECT_HANDLE key = 0;
    const struct keys_pair *p;

    conf_need(r->type, CKF_ENCRYPT | CKF_DECRYPT);
    if (keys_try_import(CKK_GENERIC_SECRET, key_value, 16, USE_ENC, &key) == CKR_OK)
        EXPECT(f->C_EncryptInit(ses, &m, key), CKR_KEY_TYPE_INCONSISTENT);
    p = keys_ec(&keys_curves[0], USE_SIGN);
    EXPECT(f->C_EncryptInit(ses, &m, p->pub), CKR_KEY_TYPE_INCONSISTENT,
           CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_HANDLE_INVALID);
}

/* Mech 2.12.2: only the low bits count; here they overflow at once. */
static void counter_bits(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m = mechanism(r);
    CK_OBJECT_HANDLE key = key_of(r, 16);
    uint8_t stream[REF_MAX], zero[48] = {0}, got[64];
    uint8_t block[48];
    CK_ULONG n = sizeof got;

    memset(block, 0x11, sizeof block);
    memcpy(counter.cb, block, 16);
    block[47] = 0;
    block[15] = counter.cb[15] = 0xfe;
    block[31] = 0xff;
    counter.ulCounterBits = 8;
    ref_cipher("AES-128-ECB", key_value, NULL, false, block, 32, stream);
    OK(f->C_EncryptInit(ses, &m, key));
    OK(f->C_Encrypt(ses, zero, 32, got, &n));
    conf_same("the key stream", got, n, stream, 32);
}

/* A sensitive key that was made on the token: there and back. */
static void generated(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m = mechanism(r);
    CK_OBJECT_HANDLE key;
    uint8_t c[600], p[600];
    CK_ULONG n = sizeof c, b = sizeof p;

    conf_need(r->type, CKF_ENCRYPT | CKF_DECRYPT);
    key = keys_aes(32, USE_ENC | USE_SECRET);
    OK(f->C_EncryptInit(ses, &m, key));
    OK(f->C_Encrypt(ses, text, 128, c, &n));
    MUST(memcmp(c, text, 128) != 0, "the ciphertext is the plaintext");
    OK(f->C_DecryptInit(ses, &m, key));
    OK(f->C_Decrypt(ses, c, n, p, &b));
    conf_same("the plaintext", p, b, text, 128);
}

void cipher_checks(void)
{
    for (size_t i = 0; i < N(rows); i++) {
        const struct row *r = &rows[i];

        conf_add(CONF_USER, known, r, "cipher/%s/known", r->name);
        conf_add(CONF_USER, parts, r, "cipher/%s/multi-part", r->name);
        conf_add(CONF_USER, both, r, "cipher/%s/both-directions", r->name);
        conf_add(CONF_USER, in_place, r, "cipher/%s/in-place", r->name);
        if (r->kind != STREAM)
            conf_add(CONF_USER, length, r, "cipher/%s/length", r->name);
        if (r->kind == PADDED)
            conf_add(CONF_USER, padding, r, "cipher/%s/padding", r->name);
        conf_add(CONF_USER, parameter, r, "cipher/%s/parameter", r->name);
        conf_add(CONF_USER, not_permitted, r, "cipher/%s/not-permitted", r->name);
        conf_add(CONF_USER, wrong_key, r, "cipher/%s/wrong-key", r->name);
        if (r->param == COUNTER)
            conf_add(CONF_USER, counter_bits, r, "cipher/%s/counter-bits", r->name);
        conf_add(CONF_USER, generated, r, "cipher/%s/generated-key", r->name);
    }
}
