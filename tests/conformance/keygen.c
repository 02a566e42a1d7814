/* Key generation (Base 5.13; Mech 2.1.4, 2.3.5, 2.10, 2.27): what comes out, and what is refused. */
#include <openssl/rsa.h>

#include "tests/conformance/ref.h"

static const CK_ULONG aes_lengths[] = {16, 24, 32};

static CK_RV generate(CK_MECHANISM_TYPE type, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *h)
{
    CK_MECHANISM m = MECH(type);

    return f->C_GenerateKey(ses, &m, t, n, h);
}

static void aes(const void *arg)
{
    const CK_ULONG *len = arg;
    CK_OBJECT_HANDLE a = keys_aes(*len, USE_ENC), b = keys_aes(*len, USE_ENC);
    CK_BYTE x[64], y[64];

    MUST(keys_bytes(a, CKA_VALUE, x, sizeof x) == *len, "CKA_VALUE's length");
    MUST(keys_bytes(b, CKA_VALUE, y, sizeof y) == *len && memcmp(x, y, *len) != 0,
         "two keys are the same");
    MUST(keys_ulong(a, CKA_VALUE_LEN) == *len, "CKA_VALUE_LEN");
    MUST(keys_ulong(a, CKA_KEY_TYPE) == CKK_AES, "CKA_KEY_TYPE");
    MUST(keys_ulong(a, CKA_CLASS) == CKO_SECRET_KEY, "CKA_CLASS");
    MUST(keys_ulong(a, CKA_KEY_GEN_MECHANISM) == CKM_AES_KEY_GEN, "CKA_KEY_GEN_MECHANISM");
    MUST(keys_bool(a, CKA_LOCAL), "CKA_LOCAL");
}

static void aes_wrong(const void *arg)
{
    CK_ATTRIBUTE none[] = {LABEL, NO(CKA_TOKEN)};
    CK_ATTRIBUTE odd[] = {LABEL, NO(CKA_TOKEN), UL(CKA_VALUE_LEN, 17)};
    CK_ATTRIBUTE class[] = {LABEL, UL(CKA_CLASS, CKO_PUBLIC_KEY), UL(CKA_VALUE_LEN, 16)};
    CK_ATTRIBUTE type[] = {LABEL, UL(CKA_KEY_TYPE, CKK_RSA), UL(CKA_VALUE_LEN, 16)};
    CK_OBJECT_HANDLE h;

    (void)arg;
    conf_need(CKM_AES_KEY_GEN, CKF_GENERATE);
    EXPECT(generate(CKM_AES_KEY_GEN, none, N(none), &h), CKR_TEMPLATE_INCOMPLETE);
    EXPECT(generate(CKM_AES_KEY_GEN, odd, N(odd), &h), CKR_KEY_SIZE_RANGE,
           CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT);
    EXPECT(generate(CKM_AES_KEY_GEN, class, N(class), &h), CKR_TEMPLATE_INCONSISTENT,
           CKR_ATTRIBUTE_VALUE_INVALID);
    EXPECT(generate(CKM_AES_KEY_GEN, type, N(type), &h), CKR_TEMPLATE_INCONSISTENT,
           CKR_ATTRIBUTE_VALUE_INVALID);
}

/* Base 4.1.4 and 4.10: what only the token says cannot be given. */
static void given_by_the_token(const void *arg)
{
    static CK_ULONG mech = CKM_AES_KEY_GEN;
    CK_ATTRIBUTE t[] = {LABEL, NO(CKA_TOKEN), UL(CKA_VALUE_LEN, 16), YES(CKA_LOCAL)};
    CK_OBJECT_HANDLE h;

    (void)arg;
    conf_need(CKM_AES_KEY_GEN, CKF_GENERATE);
    EXPECT(generate(CKM_AES_KEY_GEN, t, N(t), &h), CKR_ATTRIBUTE_READ_ONLY,
           CKR_TEMPLATE_INCONSISTENT);
    t[3].type = CKA_ALWAYS_SENSITIVE;
    EXPECT(generate(CKM_AES_KEY_GEN, t, N(t), &h), CKR_ATTRIBUTE_READ_ONLY,
           CKR_TEMPLATE_INCONSISTENT);
    t[3].type = CKA_NEVER_EXTRACTABLE;
    EXPECT(generate(CKM_AES_KEY_GEN, t, N(t), &h), CKR_ATTRIBUTE_READ_ONLY,
           CKR_TEMPLATE_INCONSISTENT);
    t[3] = (CK_ATTRIBUTE){CKA_KEY_GEN_MECHANISM, &mech, sizeof mech};
    EXPECT(generate(CKM_AES_KEY_GEN, t, N(t), &h), CKR_ATTRIBUTE_READ_ONLY,
           CKR_TEMPLATE_INCONSISTENT);
    t[3] = (CK_ATTRIBUTE)BYTES(CKA_VALUE, "0123456789abcdef", 16);
    EXPECT(generate(CKM_AES_KEY_GEN, t, N(t), &h), CKR_ATTRIBUTE_READ_ONLY,
           CKR_TEMPLATE_INCONSISTENT);
}

static void wrong_mechanism(const void *arg)
{
    CK_ATTRIBUTE t[] = {LABEL, NO(CKA_TOKEN), UL(CKA_VALUE_LEN, 16)};
    CK_MECHANISM m = MECH(CKM_AES_ECB);
    CK_OBJECT_HANDLE h, p;

    (void)arg;
    EXPECT(generate(CKM_AES_ECB, t, N(t), &h), CKR_MECHANISM_INVALID, CKR_FUNCTION_NOT_SUPPORTED);
    EXPECT(generate(0x7ffffff3UL, t, N(t), &h), CKR_MECHANISM_INVALID, CKR_FUNCTION_NOT_SUPPORTED);
    EXPECT(generate(CKM_EC_KEY_PAIR_GEN, t, N(t), &h), CKR_MECHANISM_INVALID,
           CKR_FUNCTION_NOT_SUPPORTED);
    EXPECT(f->C_GenerateKeyPair(ses, &m, t, N(t), t, 2, &h, &p), CKR_MECHANISM_INVALID,
           CKR_FUNCTION_NOT_SUPPORTED);
}

static void generic(const void *arg)
{
    static const CK_ULONG lengths[] = {20, 32, 64};
    CK_OBJECT_HANDLE h = 0;
    CK_BYTE x[128];

    (void)arg;
    conf_need(CKM_GENERIC_SECRET_KEY_GEN, CKF_GENERATE);
    for (size_t i = 0; i < N(lengths); i++) {
        CK_ATTRIBUTE t[] = {LABEL,         NO(CKA_TOKEN),     UL(CKA_VALUE_LEN, lengths[i]),
                            YES(CKA_SIGN), NO(CKA_SENSITIVE), YES(CKA_EXTRACTABLE)};

        OK(generate(CKM_GENERIC_SECRET_KEY_GEN, t, N(t), &h));
        MUST(keys_ulong(h, CKA_KEY_TYPE) == CKK_GENERIC_SECRET, "CKA_KEY_TYPE");
        MUST(keys_bytes(h, CKA_VALUE, x, sizeof x) == lengths[i], "CKA_VALUE's length");
        MUST(keys_ulong(h, CKA_KEY_GEN_MECHANISM) == CKM_GENERIC_SECRET_KEY_GEN,
             "CKA_KEY_GEN_MECHANISM");
    }
}

static void generic_wrong(const void *arg)
{
    CK_ATTRIBUTE t[] = {LABEL, NO(CKA_TOKEN), UL(CKA_VALUE_LEN, 0)};
    CK_OBJECT_HANDLE h;

    (void)arg;
    conf_need(CKM_GENERIC_SECRET_KEY_GEN, CKF_GENERATE);
    EXPECT(generate(CKM_GENERIC_SECRET_KEY_GEN, t, 2, &h), CKR_TEMPLATE_INCOMPLETE);
    EXPECT(generate(CKM_GENERIC_SECRET_KEY_GEN, t, 3, &h), CKR_KEY_SIZE_RANGE,
           CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT, CKR_TEMPLATE_INCOMPLETE);
}

/* --- pairs ---------------------------------------------------------------- */

static void pair_of(CK_OBJECT_HANDLE pub, CK_OBJECT_HANDLE priv, CK_KEY_TYPE type,
                    CK_MECHANISM_TYPE gen)
{
    MUST(keys_ulong(pub, CKA_CLASS) == CKO_PUBLIC_KEY, "CKA_CLASS of the public key");
    MUST(keys_ulong(priv, CKA_CLASS) == CKO_PRIVATE_KEY, "CKA_CLASS of the private key");
    MUST(keys_ulong(pub, CKA_KEY_TYPE) == type && keys_ulong(priv, CKA_KEY_TYPE) == type,
         "CKA_KEY_TYPE");
    MUST(keys_bool(pub, CKA_LOCAL) && keys_bool(priv, CKA_LOCAL), "CKA_LOCAL");
    MUST(keys_ulong(pub, CKA_KEY_GEN_MECHANISM) == gen &&
             keys_ulong(priv, CKA_KEY_GEN_MECHANISM) == gen,
         "CKA_KEY_GEN_MECHANISM");
    MUST(keys_bool(priv, CKA_PRIVATE), "a private key is CKA_PRIVATE here");
    MUST(keys_bool(priv, CKA_SENSITIVE) && keys_bool(priv, CKA_ALWAYS_SENSITIVE),
         "CKA_SENSITIVE and CKA_ALWAYS_SENSITIVE");
    MUST(keys_bool(priv, CKA_NEVER_EXTRACTABLE) == !keys_bool(priv, CKA_EXTRACTABLE),
         "CKA_NEVER_EXTRACTABLE");
    MUST(!keys_bool(pub, CKA_TRUSTED), "the public key is trusted without an SO");
}

/* Base 4.8, 4.9: a sensitive private key keeps its secret, and tells the rest. */
static void hides(CK_OBJECT_HANDLE priv, CK_ATTRIBUTE_TYPE secret)
{
    CK_BYTE value[600];
    CK_ULONG type = 77;
    CK_ATTRIBUTE a[] = {{secret, value, sizeof value}, {CKA_KEY_TYPE, &type, sizeof type}};

    EXPECT(f->C_GetAttributeValue(ses, priv, a, N(a)), CKR_ATTRIBUTE_SENSITIVE);
    MUST(a[0].ulValueLen == CK_UNAVAILABLE_INFORMATION, "no -1 for the secret");
    MUST(a[1].ulValueLen == sizeof type && type != 77, "CKA_KEY_TYPE behind it is not filled");
}

static void ec(const void *arg)
{
    const struct keys_curve *c = arg;
    const struct keys_pair *k = keys_ec(c, USE_SIGN);
    EVP_PKEY *pub = ref_ec(k->pub, c);

    pair_of(k->pub, k->priv, CKK_EC, CKM_EC_KEY_PAIR_GEN);
    keys_is(k->pub, CKA_EC_PARAMS, c->oid, c->oid_len);
    keys_is(k->priv, CKA_EC_PARAMS, c->oid, c->oid_len);
    hides(k->priv, CKA_VALUE);
    EVP_PKEY_free(pub);
}

static void rsa(const void *arg)
{
    static const CK_BYTE e[] = {1, 0, 1};
    const struct keys_pair *k = keys_rsa();
    CK_BYTE n[512];

    (void)arg;
    pair_of(k->pub, k->priv, CKK_RSA, CKM_RSA_PKCS_KEY_PAIR_GEN);
    MUST(keys_bytes(k->pub, CKA_MODULUS, n, sizeof n) == RSA_BYTES && n[0] >= 0x80, "CKA_MODULUS");
    keys_is(k->priv, CKA_MODULUS, n, RSA_BYTES);
    keys_is(k->pub, CKA_PUBLIC_EXPONENT, e, sizeof e);
    MUST(keys_ulong(k->pub, CKA_MODULUS_BITS) == 2048, "CKA_MODULUS_BITS");
    hides(k->priv, CKA_PRIVATE_EXPONENT);
    hides(k->priv, CKA_PRIME_1);
    MUST(keys_bool(k->priv, CKA_TOKEN) && keys_bool(k->pub, CKA_TOKEN), "CKA_TOKEN");
}

/* Base 4.8, 4.9 (2.40): CKA_PUBLIC_KEY_INFO is the DER SubjectPublicKeyInfo; it may be empty. */
static void public_key_info(const void *arg)
{
    const struct keys_pair *k = keys_ec(&keys_curves[0], USE_SIGN);
    EVP_PKEY *pub = ref_ec(k->pub, &keys_curves[0]);
    uint8_t want[REF_MAX], got[REF_MAX];
    size_t len = ref_spki(pub, want);
    CK_OBJECT_HANDLE both[] = {k->pub, k->priv};
    CK_ATTRIBUTE a = {CKA_PUBLIC_KEY_INFO, got, sizeof got};
    CK_RV rv = f->C_GetAttributeValue(ses, k->pub, &a, 1);

    (void)arg;
    EVP_PKEY_free(pub);
    if (rv == CKR_ATTRIBUTE_TYPE_INVALID)
        conf_skip("no CKA_PUBLIC_KEY_INFO");
    for (size_t i = 0; i < N(both); i++) {
        CK_ULONG n = keys_bytes(both[i], CKA_PUBLIC_KEY_INFO, got, sizeof got);

        if (n != 0)
            conf_same("CKA_PUBLIC_KEY_INFO", got, n, want, len);
    }
}

static void pair_wrong(const void *arg)
{
    CK_ATTRIBUTE label[] = {LABEL, NO(CKA_TOKEN)};
    CK_ATTRIBUTE oid[] = {LABEL, NO(CKA_TOKEN), BYTES(CKA_EC_PARAMS, "\x06\x03\x55\x04\x03", 5)};
    CK_ATTRIBUTE junk[] = {LABEL, NO(CKA_TOKEN), BYTES(CKA_EC_PARAMS, "\x06\xff\x00", 3)};
    CK_ATTRIBUTE class[] = {LABEL, NO(CKA_TOKEN), UL(CKA_CLASS, CKO_PRIVATE_KEY),
                            BYTES(CKA_EC_PARAMS, keys_curves[0].oid, keys_curves[0].oid_len)};
    CK_MECHANISM m = MECH(CKM_EC_KEY_PAIR_GEN);
    CK_OBJECT_HANDLE a, b;

    (void)arg;
    conf_need(CKM_EC_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR);
    EXPECT(f->C_GenerateKeyPair(ses, &m, label, 2, label, 2, &a, &b), CKR_TEMPLATE_INCOMPLETE);
    EXPECT(f->C_GenerateKeyPair(ses, &m, oid, 3, label, 2, &a, &b), CKR_CURVE_NOT_SUPPORTED,
           CKR_DOMAIN_PARAMS_INVALID, CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT);
    EXPECT(f->C_GenerateKeyPair(ses, &m, junk, 3, label, 2, &a, &b), CKR_CURVE_NOT_SUPPORTED,
           CKR_DOMAIN_PARAMS_INVALID, CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT);
    EXPECT(f->C_GenerateKeyPair(ses, &m, class, 4, label, 2, &a, &b), CKR_TEMPLATE_INCONSISTENT,
           CKR_ATTRIBUTE_VALUE_INVALID);
}

static void rsa_wrong(const void *arg)
{
    CK_ATTRIBUTE pub[] = {LABEL, NO(CKA_TOKEN), UL(CKA_MODULUS_BITS, 2047)};
    CK_ATTRIBUTE huge[] = {LABEL, NO(CKA_TOKEN), UL(CKA_MODULUS_BITS, 1UL << 30)};
    CK_MECHANISM m = MECH(CKM_RSA_PKCS_KEY_PAIR_GEN);
    CK_MECHANISM_INFO i = {0, 0, 0};
    CK_OBJECT_HANDLE a, b;

    (void)arg;
    conf_need(CKM_RSA_PKCS_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR);
    OK(f->C_GetMechanismInfo(slot, CKM_RSA_PKCS_KEY_PAIR_GEN, &i));
    EXPECT(f->C_GenerateKeyPair(ses, &m, pub, 2, pub, 2, &a, &b), CKR_TEMPLATE_INCOMPLETE);
    EXPECT(f->C_GenerateKeyPair(ses, &m, huge, 3, pub, 2, &a, &b), CKR_KEY_SIZE_RANGE,
           CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT);
    if (i.ulMinKeySize > 1) {
        CK_ATTRIBUTE few[] = {LABEL, NO(CKA_TOKEN), UL(CKA_MODULUS_BITS, i.ulMinKeySize - 1)};

        EXPECT(f->C_GenerateKeyPair(ses, &m, few, 3, pub, 2, &a, &b), CKR_KEY_SIZE_RANGE,
               CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT);
    }
}

/* Base 4.5, Mech: usage flags as they were asked for. */
static void usage(const void *arg)
{
    const struct keys_pair *sign = keys_ec(&keys_curves[0], USE_SIGN);
    const struct keys_pair *derive = keys_ec(&keys_curves[0], USE_DERIVE);

    (void)arg;
    MUST(keys_bool(sign->priv, CKA_SIGN) && keys_bool(sign->pub, CKA_VERIFY), "signing keys");
    MUST(!keys_bool(sign->priv, CKA_DERIVE), "CKA_DERIVE that was not asked for");
    MUST(!keys_bool(derive->priv, CKA_SIGN) && !keys_bool(derive->pub, CKA_VERIFY),
         "CKA_SIGN that was refused");
    MUST(keys_bool(derive->priv, CKA_DERIVE), "CKA_DERIVE");
}

void keygen_checks(void)
{
    conf_add(CONF_USER, aes, &aes_lengths[0], "keygen/aes/128");
    conf_add(CONF_USER, aes, &aes_lengths[1], "keygen/aes/192");
    conf_add(CONF_USER, aes, &aes_lengths[2], "keygen/aes/256");
    conf_add(CONF_USER, aes_wrong, NULL, "keygen/aes/wrong-template");
    conf_add(CONF_USER, given_by_the_token, NULL, "keygen/aes/what-the-token-says");
    conf_add(CONF_USER, wrong_mechanism, NULL, "keygen/wrong-mechanism");
    conf_add(CONF_USER, generic, NULL, "keygen/generic");
    conf_add(CONF_USER, generic_wrong, NULL, "keygen/generic/wrong-template");
    for (size_t i = 0; i < CURVES; i++)
        conf_add(CONF_USER, ec, &keys_curves[i], "keygen/ec/%s", keys_curves[i].name);
    conf_add(CONF_USER, rsa, NULL, "keygen/rsa/2048");
    conf_add(CONF_USER, public_key_info, NULL, "keygen/ec/public-key-info");
    conf_add(CONF_USER, pair_wrong, NULL, "keygen/ec/wrong-template");
    conf_add(CONF_USER, rsa_wrong, NULL, "keygen/rsa/wrong-template");
    conf_add(CONF_USER, usage, NULL, "keygen/ec/usage");
}
