/* HMAC and CMAC (Mech 2.20 and 2.11): against OpenSSL, by imported keys. */
#include "tests/conformance/ref.h"

struct row {
    CK_MECHANISM_TYPE type;
    const char *name, *mac, *option; /* of OpenSSL */
    CK_KEY_TYPE key;
    CK_ULONG key_len, len;
    bool general;
};
static const struct row rows[] = {
    {CKM_SHA_1_HMAC, "hmac-sha1", "HMAC", "SHA1", CKK_GENERIC_SECRET, 20, 20, false},
    {CKM_SHA224_HMAC, "hmac-sha224", "HMAC", "SHA224", CKK_GENERIC_SECRET, 28, 28, false},
    {CKM_SHA256_HMAC, "hmac-sha256", "HMAC", "SHA256", CKK_GENERIC_SECRET, 32, 32, false},
    {CKM_SHA384_HMAC, "hmac-sha384", "HMAC", "SHA384", CKK_GENERIC_SECRET, 48, 48, false},
    {CKM_SHA512_HMAC, "hmac-sha512", "HMAC", "SHA512", CKK_GENERIC_SECRET, 64, 64, false},
    {CKM_SHA_1_HMAC_GENERAL, "hmac-sha1-general", "HMAC", "SHA1", CKK_GENERIC_SECRET, 20, 20, true},
    {CKM_SHA224_HMAC_GENERAL, "hmac-sha224-general", "HMAC", "SHA224", CKK_GENERIC_SECRET, 28, 28,
     true},
    {CKM_SHA256_HMAC_GENERAL, "hmac-sha256-general", "HMAC", "SHA256", CKK_GENERIC_SECRET, 32, 32,
     true},
    {CKM_SHA384_HMAC_GENERAL, "hmac-sha384-general", "HMAC", "SHA384", CKK_GENERIC_SECRET, 48, 48,
     true},
    {CKM_SHA512_HMAC_GENERAL, "hmac-sha512-general", "HMAC", "SHA512", CKK_GENERIC_SECRET, 64, 64,
     true},
    {CKM_AES_CMAC, "aes-cmac", "CMAC", "AES-128-CBC", CKK_AES, 16, 16, false},
    {CKM_AES_CMAC_GENERAL, "aes-cmac-general", "CMAC", "AES-128-CBC", CKK_AES, 16, 16, true},
};

static uint8_t text[600], key_value[64];
static CK_ULONG tag_len; /* the parameter of the general forms */

static CK_MECHANISM mechanism(const struct row *r, CK_ULONG len)
{
    CK_MECHANISM m = MECH(r->type);

    tag_len = len;
    if (r->general) {
        m.pParameter = &tag_len;
        m.ulParameterLen = sizeof tag_len;
    }
    return m;
}

static CK_OBJECT_HANDLE start(const struct row *r)
{
    conf_need(r->type, CKF_SIGN | CKF_VERIFY);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 5 + 1);
    for (size_t i = 0; i < sizeof key_value; i++)
        key_value[i] = (uint8_t)(i + 0x40);
    return keys_import(r->key, key_value, r->key_len, USE_SIGN);
}

static void known(const void *arg)
{
    static const size_t lengths[] = {0, 1, 15, 16, 17, 63, 64, 65, 128, 600};
    const struct row *r = arg;
    CK_OBJECT_HANDLE key = start(r);
    CK_MECHANISM m = mechanism(r, r->len);
    uint8_t want[REF_MAX], got[80];
    CK_ULONG n;

    for (size_t i = 0; i < N(lengths); i++) {
        ref_mac(r->mac, r->option, key_value, r->key_len, text, lengths[i], want);
        n = sizeof got;
        OK(f->C_SignInit(ses, &m, key));
        OK(f->C_Sign(ses, text, lengths[i], got, &n));
        conf_same("the code", got, n, want, r->len);
        OK(f->C_VerifyInit(ses, &m, key));
        OK(f->C_Verify(ses, text, lengths[i], got, n));
    }
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void parts(const void *arg)
{
    static const size_t steps[] = {1, 16, 17, 599};
    const struct row *r = arg;
    CK_OBJECT_HANDLE key = start(r);
    CK_MECHANISM m = mechanism(r, r->len);
    uint8_t want[REF_MAX], got[80];
    CK_ULONG n;

    ref_mac(r->mac, r->option, key_value, r->key_len, text, sizeof text, want);
    for (size_t i = 0; i < N(steps); i++) {
        OK(f->C_SignInit(ses, &m, key));
        for (size_t at = 0; at < sizeof text; at += steps[i]) {
            OK(f->C_SignUpdate(ses, text + at, smaller(sizeof text - at, steps[i])));
            OK(f->C_SignUpdate(ses, text, 0));
        }
        n = sizeof got;
        OK(f->C_SignFinal(ses, got, &n));
        conf_same("the code", got, n, want, r->len);
        OK(f->C_VerifyInit(ses, &m, key));
        for (size_t at = 0; at < sizeof text; at += steps[i])
            OK(f->C_VerifyUpdate(ses, text + at, smaller(sizeof text - at, steps[i])));
        OK(f->C_VerifyFinal(ses, got, n));
    }
}

static void tampered(const void *arg)
{
    const struct row *r = arg;
    CK_OBJECT_HANDLE key = start(r);
    CK_MECHANISM m = mechanism(r, r->len);
    uint8_t tag[REF_MAX];

    ref_mac(r->mac, r->option, key_value, r->key_len, text, 100, tag);
    tag[r->len - 1] ^= 1;
    OK(f->C_VerifyInit(ses, &m, key));
    EXPECT(f->C_Verify(ses, text, 100, tag, r->len), CKR_SIGNATURE_INVALID);
    tag[r->len - 1] ^= 1;
    OK(f->C_VerifyInit(ses, &m, key));
    EXPECT(f->C_Verify(ses, text, 100, tag, r->len - 1), CKR_SIGNATURE_LEN_RANGE,
           CKR_SIGNATURE_INVALID);
    OK(f->C_VerifyInit(ses, &m, key));
    EXPECT(f->C_Verify(ses, text, 99, tag, r->len), CKR_SIGNATURE_INVALID);
    OK(f->C_VerifyInit(ses, &m, key));
    OK(f->C_VerifyUpdate(ses, text, 99));
    EXPECT(f->C_VerifyFinal(ses, tag, r->len), CKR_SIGNATURE_INVALID);
    OK(f->C_VerifyInit(ses, &m, key));
    OK(f->C_Verify(ses, text, 100, tag, r->len));
}

/* Mech 2.20.3 (CK_MAC_GENERAL_PARAMS): the code is cut to the length that is asked for. */
static void general(const void *arg)
{
    const struct row *r = arg;
    CK_OBJECT_HANDLE key = start(r);
    uint8_t want[REF_MAX], got[80];
    CK_ULONG n;

    ref_mac(r->mac, r->option, key_value, r->key_len, text, 77, want);
    for (CK_ULONG len = 4; len <= r->len; len += 3) {
        CK_MECHANISM m = mechanism(r, len);

        n = sizeof got;
        OK(f->C_SignInit(ses, &m, key));
        OK(f->C_Sign(ses, text, 77, got, &n));
        conf_same("the code", got, n, want, len);
        OK(f->C_VerifyInit(ses, &m, key));
        OK(f->C_Verify(ses, text, 77, want, len));
        OK(f->C_VerifyInit(ses, &m, key));
        EXPECT(f->C_Verify(ses, text, 77, want, len - 1), CKR_SIGNATURE_LEN_RANGE,
               CKR_SIGNATURE_INVALID);
    }
}

static void parameter(const void *arg)
{
    const struct row *r = arg;
    CK_OBJECT_HANDLE key = start(r);
    CK_MECHANISM m = {r->type, text, 3};

    EXPECT(f->C_SignInit(ses, &m, key), CKR_MECHANISM_PARAM_INVALID);
    EXPECT(f->C_VerifyInit(ses, &m, key), CKR_MECHANISM_PARAM_INVALID);
    if (!r->general)
        return;
    m = mechanism(r, r->len + 1);
    EXPECT(f->C_SignInit(ses, &m, key), CKR_MECHANISM_PARAM_INVALID);
    m = (CK_MECHANISM)MECH(r->type);
    EXPECT(f->C_SignInit(ses, &m, key), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
}

/* Base 5.11: CKA_SIGN and CKA_VERIFY must be true. */
static void not_permitted(const void *arg)
{
    const struct row *r = arg;
    CK_OBJECT_HANDLE key = start(r);
    CK_MECHANISM m = mechanism(r, r->len);

    key = keys_import(r->key, key_value, r->key_len, r->key == CKK_AES ? USE_ENC : USE_DERIVE);
    EXPECT(f->C_SignInit(ses, &m, key), CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(f->C_VerifyInit(ses, &m, key), CKR_KEY_FUNCTION_NOT_PERMITTED);
}

static void wrong_type(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m = mechanism(r, r->len);
    CK_OBJECT_HANDLE key = start(r);
    const struct keys_pair *p;

    if (r->key == CKK_AES) {
        key = keys_import(CKK_GENERIC_SECRET, key_value, 16, USE_SIGN);
        EXPECT(f->C_SignInit(ses, &m, key), CKR_KEY_TYPE_INCONSISTENT);
    }
    p = keys_ec(&keys_curves[0], USE_SIGN);
    EXPECT(f->C_SignInit(ses, &m, p->priv), CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_HANDLE_INVALID);
    EXPECT(f->C_VerifyInit(ses, &m, p->pub), CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_HANDLE_INVALID);
}

void mac_checks(void)
{
    for (size_t i = 0; i < N(rows); i++) {
        const struct row *r = &rows[i];

        conf_add(CONF_USER, known, r, "mac/%s/known", r->name);
        conf_add(CONF_USER, parts, r, "mac/%s/multi-part", r->name);
        conf_add(CONF_USER, tampered, r, "mac/%s/tampered", r->name);
        if (r->general)
            conf_add(CONF_USER, general, r, "mac/%s/lengths", r->name);
        conf_add(CONF_USER, parameter, r, "mac/%s/parameter", r->name);
        conf_add(CONF_USER, not_permitted, r, "mac/%s/not-permitted", r->name);
        conf_add(CONF_USER, wrong_type, r, "mac/%s/wrong-key", r->name);
    }
}
