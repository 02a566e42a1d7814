/* Keys as objects (Base 4.7 to 4.10): brought in, copied, changed, and restricted. */
#include "tests/conformance/ref.h"

static uint8_t value[32] = "0123456789abcdefghijklmnopqrstu";

struct secret {
    const char *name;
    CK_KEY_TYPE type;
};
static const struct secret secrets[] = {{"aes", CKK_AES}, {"generic", CKK_GENERIC_SECRET}};

/* --- secret keys ---------------------------------------------------------- */

static CK_OBJECT_HANDLE imported(const struct secret *s, unsigned use)
{
    return keys_import(s->type, value, sizeof value,
                       (s->type == CKK_AES ? USE_ENC : USE_SIGN) | use);
}

/* Base 4.10: a key that comes from outside is not local and never was secret. */
static void import(const void *arg)
{
    CK_OBJECT_HANDLE h = imported(arg, 0);

    keys_is(h, CKA_VALUE, value, sizeof value);
    MUST(keys_ulong(h, CKA_VALUE_LEN) == sizeof value, "CKA_VALUE_LEN");
    MUST(!keys_bool(h, CKA_LOCAL), "CKA_LOCAL");
    MUST(keys_ulong(h, CKA_KEY_GEN_MECHANISM) == CK_UNAVAILABLE_INFORMATION,
         "CKA_KEY_GEN_MECHANISM");
    MUST(!keys_bool(h, CKA_ALWAYS_SENSITIVE), "CKA_ALWAYS_SENSITIVE");
    MUST(!keys_bool(h, CKA_NEVER_EXTRACTABLE), "CKA_NEVER_EXTRACTABLE");
    MUST(!keys_bool(h, CKA_SENSITIVE) && keys_bool(h, CKA_EXTRACTABLE), "the template");
}

static void import_sensitive(const void *arg)
{
    CK_OBJECT_HANDLE h = imported(arg, USE_SECRET);
    CK_BYTE got[64];
    CK_BBOOL local = 9;
    CK_ATTRIBUTE a[] = {{CKA_VALUE, got, sizeof got}, {CKA_LOCAL, &local, 1}};

    EXPECT(f->C_GetAttributeValue(ses, h, a, N(a)), CKR_ATTRIBUTE_SENSITIVE);
    MUST(a[0].ulValueLen == CK_UNAVAILABLE_INFORMATION, "no -1 for the value");
    MUST(a[1].ulValueLen == 1 && local == CK_FALSE, "CKA_LOCAL behind it is not filled");
    MUST(keys_bool(h, CKA_SENSITIVE) && !keys_bool(h, CKA_EXTRACTABLE), "the template");
    MUST(!keys_bool(h, CKA_ALWAYS_SENSITIVE) && !keys_bool(h, CKA_NEVER_EXTRACTABLE),
         "it was outside");
}

/* A generated sensitive key: both are true. */
static void generated(const void *arg)
{
    CK_OBJECT_HANDLE a = keys_aes(32, USE_ENC | USE_SECRET), b = keys_aes(32, USE_ENC);
    CK_BYTE got[64];
    CK_ATTRIBUTE v = {CKA_VALUE, got, sizeof got};

    (void)arg;
    MUST(keys_bool(a, CKA_ALWAYS_SENSITIVE) && keys_bool(a, CKA_NEVER_EXTRACTABLE), "a secret key");
    MUST(!keys_bool(b, CKA_ALWAYS_SENSITIVE) && !keys_bool(b, CKA_NEVER_EXTRACTABLE),
         "a key that can be read");
    EXPECT(f->C_GetAttributeValue(ses, a, &v, 1), CKR_ATTRIBUTE_SENSITIVE);
}

/* CKA_EXTRACTABLE false alone hides the value as well (Base 5.7 C_GetAttributeValue, case 1). */
static void unextractable(const void *arg)
{
    CK_ATTRIBUTE t[] = {UL(CKA_CLASS, CKO_SECRET_KEY),
                        UL(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
                        LABEL,
                        BYTES(CKA_VALUE, value, 32),
                        NO(CKA_TOKEN),
                        NO(CKA_SENSITIVE),
                        NO(CKA_EXTRACTABLE)};
    CK_BYTE got[64];
    CK_ATTRIBUTE v = {CKA_VALUE, got, sizeof got};
    CK_OBJECT_HANDLE h = 0;

    (void)arg;
    if (f->C_CreateObject(ses, t, N(t), &h) != CKR_OK)
        conf_skip("no such combination");
    EXPECT(f->C_GetAttributeValue(ses, h, &v, 1), CKR_ATTRIBUTE_SENSITIVE);
}

static void import_wrong(const void *arg)
{
    const struct secret *s = arg;
    CK_ATTRIBUTE t[] = {UL(CKA_CLASS, CKO_SECRET_KEY), LABEL, NO(CKA_TOKEN),
                        UL(CKA_KEY_TYPE, s->type), BYTES(CKA_VALUE, value, 17)};
    CK_OBJECT_HANDLE h;

    (void)imported(s, 0);
    EXPECT(f->C_CreateObject(ses, t, 3, &h), CKR_TEMPLATE_INCOMPLETE);
    EXPECT(f->C_CreateObject(ses, t, 4, &h), CKR_TEMPLATE_INCOMPLETE);
    if (s->type == CKK_AES)
        EXPECT(f->C_CreateObject(ses, t, 5, &h), CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE,
               CKR_TEMPLATE_INCONSISTENT);
}

/* Base 4.10 footnotes: what only the token says. */
static void import_read_only(const void *arg)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_LOCAL, CKA_ALWAYS_SENSITIVE,
                                              CKA_NEVER_EXTRACTABLE};
    CK_OBJECT_HANDLE h;

    (void)imported(arg, 0);
    for (size_t i = 0; i < N(types); i++) {
        CK_ATTRIBUTE t[] = {UL(CKA_CLASS, CKO_SECRET_KEY), UL(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
                            LABEL, BYTES(CKA_VALUE, value, 32), YES(types[i])};

        EXPECT(f->C_CreateObject(ses, t, N(t), &h), CKR_ATTRIBUTE_READ_ONLY,
               CKR_TEMPLATE_INCONSISTENT);
    }
}

/* --- changes -------------------------------------------------------------- */

/* Base 4.10: CKA_SENSITIVE only to true, CKA_EXTRACTABLE only to false. */
static void one_way(const void *arg)
{
    CK_OBJECT_HANDLE h = imported(arg, 0);
    CK_ATTRIBUTE up[] = {YES(CKA_SENSITIVE), NO(CKA_EXTRACTABLE)};
    CK_ATTRIBUTE down[] = {NO(CKA_SENSITIVE), YES(CKA_EXTRACTABLE)};
    CK_BYTE got[64];
    CK_ATTRIBUTE v = {CKA_VALUE, got, sizeof got};

    OK(f->C_SetAttributeValue(ses, h, up, 1));
    MUST(keys_bool(h, CKA_SENSITIVE), "CKA_SENSITIVE is not set");
    EXPECT(f->C_GetAttributeValue(ses, h, &v, 1), CKR_ATTRIBUTE_SENSITIVE);
    EXPECT(f->C_SetAttributeValue(ses, h, down, 1), CKR_ATTRIBUTE_READ_ONLY,
           CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_VALUE_INVALID);
    OK(f->C_SetAttributeValue(ses, h, up + 1, 1));
    EXPECT(f->C_SetAttributeValue(ses, h, down + 1, 1), CKR_ATTRIBUTE_READ_ONLY,
           CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_VALUE_INVALID);
    MUST(keys_bool(h, CKA_SENSITIVE) && !keys_bool(h, CKA_EXTRACTABLE), "it went back");
    MUST(!keys_bool(h, CKA_ALWAYS_SENSITIVE) && !keys_bool(h, CKA_NEVER_EXTRACTABLE),
         "it was not always so");
}

/* CKA_WRAP_WITH_TRUSTED cannot be taken back (Base 4.10, footnote 11). */
static void wrap_with_trusted(const void *arg)
{
    const struct secret *s = arg;
    CK_ATTRIBUTE t[] = {UL(CKA_CLASS, CKO_SECRET_KEY),
                        UL(CKA_KEY_TYPE, s->type),
                        LABEL,
                        NO(CKA_TOKEN),
                        BYTES(CKA_VALUE, value, 32),
                        YES(CKA_EXTRACTABLE),
                        YES(CKA_WRAP_WITH_TRUSTED)};
    CK_ATTRIBUTE no = NO(CKA_WRAP_WITH_TRUSTED);
    CK_OBJECT_HANDLE h;

    (void)imported(s, 0);
    h = keys_create(t, N(t));
    MUST(keys_bool(h, CKA_WRAP_WITH_TRUSTED), "it is not kept");
    EXPECT(f->C_SetAttributeValue(ses, h, &no, 1), CKR_ATTRIBUTE_READ_ONLY,
           CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_VALUE_INVALID);
}

/* Only the SO sets CKA_TRUSTED (Base 4.10, footnote 10). */
static void trusted(const void *arg)
{
    CK_OBJECT_HANDLE h = imported(arg, 0);
    CK_ATTRIBUTE yes = YES(CKA_TRUSTED);
    CK_RV rv = f->C_SetAttributeValue(ses, h, &yes, 1);

    MUST(rv != CKR_OK, "the user makes a wrapping key trusted");
}

static void set_fixed(const void *arg)
{
    const struct secret *s = arg;
    CK_OBJECT_HANDLE h = imported(s, 0);
    CK_ATTRIBUTE a[] = {UL(CKA_KEY_TYPE, CKK_RSA), BYTES(CKA_VALUE, "another value!!!", 16),
                        YES(CKA_LOCAL), UL(CKA_KEY_GEN_MECHANISM, 1), UL(CKA_VALUE_LEN, 16)};

    for (size_t i = 0; i < N(a); i++)
        EXPECT(f->C_SetAttributeValue(ses, h, &a[i], 1), CKR_ATTRIBUTE_READ_ONLY,
               CKR_TEMPLATE_INCONSISTENT);
    keys_is(h, CKA_VALUE, value, sizeof value);
}

/* CKA_ID and the dates can be changed. */
static void set(const void *arg)
{
    CK_OBJECT_HANDLE h = imported(arg, 0);
    CK_DATE day = {"2031", "12", "24"};
    CK_ATTRIBUTE a[] = {TEXT(CKA_ID, "new id"), {CKA_START_DATE, &day, sizeof day}};

    OK(f->C_SetAttributeValue(ses, h, a, N(a)));
    keys_is(h, CKA_ID, "new id", 6);
    keys_is(h, CKA_START_DATE, &day, sizeof day);
    keys_is(h, CKA_END_DATE, "", 0);
}

/* A CK_DATE is 8 digits (Base 3.4). */
static void bad_date(const void *arg)
{
    CK_ATTRIBUTE t[] = {UL(CKA_CLASS, CKO_SECRET_KEY), UL(CKA_KEY_TYPE, CKK_GENERIC_SECRET), LABEL,
                        BYTES(CKA_VALUE, value, 32), TEXT(CKA_START_DATE, "2031")};
    CK_OBJECT_HANDLE h;

    (void)imported(arg, 0);
    EXPECT(f->C_CreateObject(ses, t, N(t), &h), CKR_ATTRIBUTE_VALUE_INVALID);
}

/* --- copies (Base 5.7) ---------------------------------------------------- */

static void copy(const void *arg)
{
    const struct secret *s = arg;
    CK_OBJECT_HANDLE h = imported(s, 0), c = 0;
    CK_ATTRIBUTE up[] = {YES(CKA_SENSITIVE), NO(CKA_EXTRACTABLE), TEXT(CKA_ID, "copy")};
    CK_ATTRIBUTE down[] = {NO(CKA_SENSITIVE)}, type[] = {UL(CKA_KEY_TYPE, CKK_RSA)};

    OK(conf_supported(f->C_CopyObject(ses, h, up, N(up), &c)));
    MUST(keys_bool(c, CKA_SENSITIVE) && !keys_bool(c, CKA_EXTRACTABLE), "the template");
    MUST(!keys_bool(c, CKA_ALWAYS_SENSITIVE) && !keys_bool(c, CKA_NEVER_EXTRACTABLE),
         "it was not always so");
    MUST(!keys_bool(c, CKA_LOCAL), "CKA_LOCAL is copied");
    MUST(keys_ulong(c, CKA_KEY_TYPE) == s->type, "CKA_KEY_TYPE is copied");
    keys_is(c, CKA_ID, "copy", 4);
    MUST(!keys_bool(h, CKA_SENSITIVE), "the original is changed");
    EXPECT(f->C_CopyObject(ses, c, down, 1, &h), CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT,
           CKR_ATTRIBUTE_VALUE_INVALID);
    EXPECT(f->C_CopyObject(ses, c, type, 1, &h), CKR_ATTRIBUTE_READ_ONLY,
           CKR_TEMPLATE_INCONSISTENT);
}

static void copy_generated(const void *arg)
{
    CK_OBJECT_HANDLE h = keys_aes(32, USE_ENC | USE_SECRET), c = 0;
    CK_ATTRIBUTE label = LABEL;
    CK_MECHANISM m = MECH(CKM_AES_ECB);
    CK_BYTE a[16], b[16];
    CK_ULONG n = 16;

    (void)arg;
    OK(conf_supported(f->C_CopyObject(ses, h, &label, 1, &c)));
    MUST(keys_bool(c, CKA_LOCAL) && keys_bool(c, CKA_ALWAYS_SENSITIVE) &&
             keys_bool(c, CKA_NEVER_EXTRACTABLE),
         "the copy does not say what the original does");
    conf_need(CKM_AES_ECB, CKF_ENCRYPT);
    OK(f->C_EncryptInit(ses, &m, h));
    OK(f->C_Encrypt(ses, value, 16, a, &n));
    keys_destroy(h);
    n = 16;
    OK(f->C_EncryptInit(ses, &m, c));
    OK(f->C_Encrypt(ses, value, 16, b, &n));
    MUST(memcmp(a, b, 16) == 0, "the copy is another key");
}

/* --- token secret keys ---------------------------------------------------- */

static void on_token(const void *arg)
{
    CK_ATTRIBUTE t[] = {LABEL,
                        YES(CKA_TOKEN),
                        UL(CKA_VALUE_LEN, 16),
                        YES(CKA_SENSITIVE),
                        NO(CKA_EXTRACTABLE),
                        YES(CKA_ENCRYPT),
                        YES(CKA_DECRYPT)};
    CK_MECHANISM gen = MECH(CKM_AES_KEY_GEN);
    CK_OBJECT_HANDLE h = 0;
    CK_BYTE got[64];
    CK_ATTRIBUTE v = {CKA_VALUE, got, sizeof got};

    (void)arg;
    conf_need(CKM_AES_KEY_GEN, CKF_GENERATE);
    OK(f->C_GenerateKey(ses, &gen, t, N(t), &h));
    MUST(keys_bool(h, CKA_TOKEN) && keys_bool(h, CKA_LOCAL), "CKA_TOKEN and CKA_LOCAL");
    MUST(keys_bool(h, CKA_ALWAYS_SENSITIVE) && keys_bool(h, CKA_NEVER_EXTRACTABLE), "it is secret");
    MUST(keys_bool(h, CKA_PRIVATE), "a secret key is private by default");
    EXPECT(f->C_GetAttributeValue(ses, h, &v, 1), CKR_ATTRIBUTE_SENSITIVE);
    keys_destroy(h);
}

/* --- public and private keys from outside --------------------------------- */

static CK_OBJECT_HANDLE public_ec(EVP_PKEY *k)
{
    uint8_t point[REF_MAX];
    CK_ATTRIBUTE t[] = {
        UL(CKA_CLASS, CKO_PUBLIC_KEY),
        UL(CKA_KEY_TYPE, CKK_EC),
        LABEL,
        NO(CKA_TOKEN),
        YES(CKA_VERIFY),
        BYTES(CKA_EC_PARAMS, keys_curves[0].oid, keys_curves[0].oid_len),
        BYTES(CKA_EC_POINT, point, ref_point_der(k, point)),
    };

    return keys_create(t, N(t));
}

static void import_public(const void *arg)
{
    EVP_PKEY *k = ref_new_ec(&keys_curves[0]);
    CK_OBJECT_HANDLE h = public_ec(k);
    uint8_t point[REF_MAX];

    (void)arg;
    keys_is(h, CKA_EC_POINT, point, ref_point_der(k, point));
    MUST(!keys_bool(h, CKA_LOCAL), "CKA_LOCAL");
    MUST(keys_ulong(h, CKA_KEY_GEN_MECHANISM) == CK_UNAVAILABLE_INFORMATION,
         "CKA_KEY_GEN_MECHANISM");
    EVP_PKEY_free(k);
}

static void import_public_wrong(const void *arg)
{
    EVP_PKEY *k = ref_new_ec(&keys_curves[0]);
    uint8_t point[REF_MAX];
    CK_ATTRIBUTE t[] = {
        UL(CKA_CLASS, CKO_PUBLIC_KEY),
        LABEL,
        UL(CKA_KEY_TYPE, CKK_EC),
        BYTES(CKA_EC_PARAMS, keys_curves[0].oid, keys_curves[0].oid_len),
        BYTES(CKA_EC_POINT, point, ref_point_der(k, point)),
    };
    CK_OBJECT_HANDLE h;

    (void)arg;
    EXPECT(f->C_CreateObject(ses, t, 2, &h), CKR_TEMPLATE_INCOMPLETE);
    EXPECT(f->C_CreateObject(ses, t, 4, &h), CKR_TEMPLATE_INCOMPLETE);
    EVP_PKEY_free(k);
}

/* Mech 2.3.4: an EC private key from outside signs as its owner did. */
static void import_private_ec(const void *arg)
{
    EVP_PKEY *k = ref_new_ec(&keys_curves[0]);
    uint8_t d[REF_MAX], hash[32] = {7}, sig[80];
    CK_MECHANISM m = MECH(CKM_ECDSA);
    CK_ULONG n = sizeof sig;
    CK_ATTRIBUTE t[] = {
        UL(CKA_CLASS, CKO_PRIVATE_KEY),
        UL(CKA_KEY_TYPE, CKK_EC),
        LABEL,
        NO(CKA_TOKEN),
        YES(CKA_PRIVATE),
        YES(CKA_SENSITIVE),
        YES(CKA_SIGN),
        BYTES(CKA_EC_PARAMS, keys_curves[0].oid, keys_curves[0].oid_len),
        BYTES(CKA_VALUE, d, ref_number(k, "priv", 32, d)),
    };
    CK_OBJECT_HANDLE h = 0;
    CK_RV rv = f->C_CreateObject(ses, t, N(t), &h);

    (void)arg;
    if (rv == CKR_TEMPLATE_INCOMPLETE || rv == CKR_TEMPLATE_INCONSISTENT)
        conf_skip("%s: it may need the public part, too", conf_ckr(rv));
    OK(rv);
    conf_need(CKM_ECDSA, CKF_SIGN);
    OK(f->C_SignInit(ses, &m, h));
    OK(f->C_Sign(ses, hash, 32, sig, &n));
    MUST(ref_ecdsa_verify(k, hash, 32, sig, n), "it signs wrongly");
    MUST(!keys_bool(h, CKA_LOCAL) && !keys_bool(h, CKA_ALWAYS_SENSITIVE) &&
             !keys_bool(h, CKA_NEVER_EXTRACTABLE),
         "CKA_LOCAL and so on");
    EVP_PKEY_free(k);
}

static void import_private_rsa(const void *arg)
{
    static const struct {
        CK_ATTRIBUTE_TYPE type;
        const char *name;
    } parts[] = {
        {CKA_MODULUS, "n"},
        {CKA_PUBLIC_EXPONENT, "e"},
        {CKA_PRIVATE_EXPONENT, "d"},
        {CKA_PRIME_1, "rsa-factor1"},
        {CKA_PRIME_2, "rsa-factor2"},
        {CKA_EXPONENT_1, "rsa-exponent1"},
        {CKA_EXPONENT_2, "rsa-exponent2"},
        {CKA_COEFFICIENT, "rsa-coefficient1"},
    };
    EVP_PKEY *k = ref_new_rsa();
    uint8_t num[N(parts)][256], sig[256], hash[32];
    CK_MECHANISM m = MECH(CKM_SHA256_RSA_PKCS);
    CK_ULONG n = sizeof sig;
    CK_OBJECT_HANDLE h;
    CK_ATTRIBUTE t[7 + N(parts)] = {
        UL(CKA_CLASS, CKO_PRIVATE_KEY),
        UL(CKA_KEY_TYPE, CKK_RSA),
        LABEL,
        NO(CKA_TOKEN),
        YES(CKA_PRIVATE),
        YES(CKA_SENSITIVE),
        YES(CKA_SIGN),
    };

    (void)arg;
    for (size_t i = 0; i < N(parts); i++)
        t[7 + i] =
            (CK_ATTRIBUTE)BYTES(parts[i].type, num[i], ref_number(k, parts[i].name, 0, num[i]));
    h = keys_create(t, N(t));
    keys_is(h, CKA_MODULUS, num[0], 256);
    conf_need(CKM_SHA256_RSA_PKCS, CKF_SIGN);
    OK(f->C_SignInit(ses, &m, h));
    OK(f->C_Sign(ses, value, 32, sig, &n));
    ref_digest("SHA256", value, 32, hash);
    MUST(ref_rsa_verify(k, "SHA256", NULL, -1, hash, 32, sig, n), "it signs wrongly");
    EVP_PKEY_free(k);
}

/* --- CKA_ALLOWED_MECHANISMS (Base 4.7) ------------------------------------ */

static void allowed(const void *arg)
{
    CK_MECHANISM_TYPE only[] = {CKM_SHA256_HMAC};
    CK_ATTRIBUTE t[] = {
        UL(CKA_CLASS, CKO_SECRET_KEY),
        UL(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
        LABEL,
        NO(CKA_TOKEN),
        BYTES(CKA_VALUE, value, 32),
        YES(CKA_SIGN),
        {CKA_ALLOWED_MECHANISMS, only, sizeof only},
    };
    CK_MECHANISM yes = MECH(CKM_SHA256_HMAC), no = MECH(CKM_SHA512_HMAC);
    CK_OBJECT_HANDLE h = 0;

    (void)arg;
    conf_need(CKM_SHA256_HMAC, CKF_SIGN);
    conf_need(CKM_SHA512_HMAC, CKF_SIGN);
    if (f->C_CreateObject(ses, t, N(t), &h) == CKR_ATTRIBUTE_TYPE_INVALID)
        conf_skip("no CKA_ALLOWED_MECHANISMS");
    keys_is(h, CKA_ALLOWED_MECHANISMS, only, sizeof only);
    EXPECT(f->C_SignInit(ses, &no, h), CKR_MECHANISM_INVALID, CKR_KEY_FUNCTION_NOT_PERMITTED);
    OK(f->C_SignInit(ses, &yes, h));
}

void keyattrs_checks(void)
{
    for (size_t i = 0; i < N(secrets); i++) {
        const struct secret *s = &secrets[i];

        conf_add(CONF_USER, import, s, "keys/%s/import", s->name);
        conf_add(CONF_USER, import_sensitive, s, "keys/%s/import-sensitive", s->name);
        conf_add(CONF_USER, import_wrong, s, "keys/%s/import-incomplete", s->name);
        conf_add(CONF_USER, import_read_only, s, "keys/%s/import-read-only", s->name);
        conf_add(CONF_USER, one_way, s, "keys/%s/one-way", s->name);
        conf_add(CONF_USER, wrap_with_trusted, s, "keys/%s/wrap-with-trusted", s->name);
        conf_add(CONF_USER, trusted, s, "keys/%s/trusted-by-user", s->name);
        conf_add(CONF_USER, set_fixed, s, "keys/%s/set-fixed", s->name);
        conf_add(CONF_USER, set, s, "keys/%s/set", s->name);
        conf_add(CONF_USER, bad_date, s, "keys/%s/bad-date", s->name);
        conf_add(CONF_USER, copy, s, "keys/%s/copy", s->name);
    }
    conf_add(CONF_USER, generated, NULL, "keys/aes/generated");
    conf_add(CONF_USER, copy_generated, NULL, "keys/aes/copy-generated");
    conf_add(CONF_USER, unextractable, NULL, "keys/generic/not-extractable");
    conf_add(CONF_USER, on_token, NULL, "keys/aes/on-token");
    conf_add(CONF_USER, import_public, NULL, "keys/ec/import-public");
    conf_add(CONF_USER, import_public_wrong, NULL, "keys/ec/import-public-incomplete");
    conf_add(CONF_USER, import_private_ec, NULL, "keys/ec/import-private");
    conf_add(CONF_USER, import_private_rsa, NULL, "keys/rsa/import-private");
    conf_add(CONF_USER, allowed, NULL, "keys/generic/allowed-mechanisms");
}
