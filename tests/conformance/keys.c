#include "tests/conformance/keys.h"

CK_BBOOL keys_yes = CK_TRUE, keys_no = CK_FALSE;

const struct keys_curve keys_curves[CURVES] = {
    {"p256", "P-256", 256, 32, {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}, 10},
    {"p384", "P-384", 384, 48, {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22}, 7},
    {"p521", "P-521", 521, 66, {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23}, 7},
};

CK_OBJECT_HANDLE keys_create(CK_ATTRIBUTE *t, CK_ULONG n)
{
    CK_OBJECT_HANDLE h = 0;

    OK(f->C_CreateObject(ses, t, n, &h));
    MUST(h != CK_INVALID_HANDLE, "C_CreateObject answers CKR_OK and the invalid handle");
    return h;
}

CK_RV keys_try_import(CK_KEY_TYPE type, const void *value, CK_ULONG len, unsigned use,
                      CK_OBJECT_HANDLE *out)
{
    CK_ATTRIBUTE t[] = {
        UL(CKA_CLASS, CKO_SECRET_KEY),
        UL(CKA_KEY_TYPE, type),
        BYTES(CKA_VALUE, value, len),
        LABEL,
        NO(CKA_TOKEN),
        BOOL(CKA_SENSITIVE, use & USE_SECRET),
        BOOL(CKA_EXTRACTABLE, !(use & USE_SECRET)),
        BOOL(CKA_ENCRYPT, use & USE_ENC),
        BOOL(CKA_DECRYPT, use & USE_ENC),
        BOOL(CKA_SIGN, use & USE_SIGN),
        BOOL(CKA_VERIFY, use & USE_SIGN),
        BOOL(CKA_WRAP, use & USE_WRAP),
        BOOL(CKA_UNWRAP, use & USE_WRAP),
        BOOL(CKA_DERIVE, use & USE_DERIVE),
    };

    return f->C_CreateObject(ses, t, N(t), out);
}

CK_OBJECT_HANDLE keys_import(CK_KEY_TYPE type, const void *value, CK_ULONG len, unsigned use)
{
    CK_OBJECT_HANDLE h = 0;
    CK_RV rv = keys_try_import(type, value, len, use, &h);

    if (rv != CKR_OK)
        conf_skip("no secret key of type 0x%lx can be brought in: %s", type, conf_ckr(rv));
    return h;
}

CK_OBJECT_HANDLE keys_aes(CK_ULONG len, unsigned use)
{
    CK_MECHANISM m = MECH(CKM_AES_KEY_GEN);
    CK_OBJECT_HANDLE h = 0;
    CK_ATTRIBUTE t[] = {
        UL(CKA_VALUE_LEN, len),
        LABEL,
        NO(CKA_TOKEN),
        BOOL(CKA_SENSITIVE, use & USE_SECRET),
        BOOL(CKA_EXTRACTABLE, !(use & USE_SECRET)),
        BOOL(CKA_ENCRYPT, use & USE_ENC),
        BOOL(CKA_DECRYPT, use & USE_ENC),
        BOOL(CKA_SIGN, use & USE_SIGN),
        BOOL(CKA_VERIFY, use & USE_SIGN),
        BOOL(CKA_WRAP, use & USE_WRAP),
        BOOL(CKA_UNWRAP, use & USE_WRAP),
        BOOL(CKA_DERIVE, use & USE_DERIVE),
    };

    conf_need(CKM_AES_KEY_GEN, CKF_GENERATE);
    OK(f->C_GenerateKey(ses, &m, t, N(t), &h));
    return h;
}

const struct keys_pair *keys_ec(const struct keys_curve *c, unsigned use)
{
    static struct keys_pair pairs[CURVES][2];
    static unsigned epochs[CURVES][2];
    size_t i = (size_t)(c - keys_curves), j = use == USE_SIGN ? 0 : 1;
    CK_MECHANISM m = MECH(CKM_EC_KEY_PAIR_GEN);
    CK_MECHANISM_INFO info = {0, 0, 0};
    CK_ATTRIBUTE pub[] = {
        BYTES(CKA_EC_PARAMS, c->oid, c->oid_len), NO(CKA_TOKEN),           LABEL,
        BOOL(CKA_VERIFY, use & USE_SIGN),         TEXT(CKA_ID, "conf-ec"),
    };
    CK_ATTRIBUTE priv[] = {
        NO(CKA_TOKEN),
        LABEL,
        YES(CKA_PRIVATE),
        YES(CKA_SENSITIVE),
        BOOL(CKA_SIGN, use & USE_SIGN),
        BOOL(CKA_DERIVE, use & USE_DERIVE),
        TEXT(CKA_ID, "conf-ec"),
    };
    CK_RV rv;

    if (epochs[i][j] == conf_epoch)
        return &pairs[i][j];
    conf_need(CKM_EC_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR);
    OK(f->C_GetMechanismInfo(slot, CKM_EC_KEY_PAIR_GEN, &info));
    if (c->bits < info.ulMinKeySize || c->bits > info.ulMaxKeySize)
        conf_skip("no keys on %s", c->openssl);
    rv = f->C_GenerateKeyPair(base, &m, pub, N(pub), priv, N(priv), &pairs[i][j].pub,
                              &pairs[i][j].priv);
    if (rv == CKR_CURVE_NOT_SUPPORTED || rv == CKR_DOMAIN_PARAMS_INVALID)
        conf_skip("no keys on %s", c->openssl);
    OK(rv);
    epochs[i][j] = conf_epoch;
    return &pairs[i][j];
}

static CK_OBJECT_HANDLE find_rsa(CK_OBJECT_CLASS class)
{
    CK_ATTRIBUTE t[] = {UL(CKA_CLASS, class), LABEL, TEXT(CKA_ID, "conf-rsa")};
    CK_OBJECT_HANDLE h = 0;
    CK_ULONG n = 0;

    OK(f->C_FindObjectsInit(base, t, N(t)));
    OK(f->C_FindObjects(base, &h, 1, &n));
    OK(f->C_FindObjectsFinal(base));
    return n == 1 ? h : 0;
}

/* Whether any mechanism for RSA keys has the flag. */
static bool rsa_can(CK_FLAGS flag)
{
    static const CK_MECHANISM_TYPE some[] = {CKM_RSA_PKCS, CKM_RSA_X_509, CKM_RSA_PKCS_OAEP};

    for (size_t i = 0; i < N(some); i++) {
        if (conf_has(some[i], flag))
            return true;
    }
    return false;
}

const struct keys_pair *keys_rsa(void)
{
    static struct keys_pair pair;
    static unsigned epoch;
    CK_MECHANISM m = MECH(CKM_RSA_PKCS_KEY_PAIR_GEN);
    static CK_BYTE e[] = {1, 0, 1};
    CK_ATTRIBUTE pub[] = {
        UL(CKA_MODULUS_BITS, 2048),
        BYTES(CKA_PUBLIC_EXPONENT, e, sizeof e),
        YES(CKA_TOKEN),
        LABEL,
        TEXT(CKA_ID, "conf-rsa"),
        YES(CKA_VERIFY),
        YES(CKA_ENCRYPT),
        BOOL(CKA_WRAP, rsa_can(CKF_WRAP)),
        BOOL(CKA_VERIFY_RECOVER, rsa_can(CKF_VERIFY_RECOVER)),
    };
    CK_ATTRIBUTE priv[] = {
        YES(CKA_TOKEN),
        LABEL,
        TEXT(CKA_ID, "conf-rsa"),
        YES(CKA_PRIVATE),
        YES(CKA_SENSITIVE),
        YES(CKA_SIGN),
        YES(CKA_DECRYPT),
        BOOL(CKA_UNWRAP, rsa_can(CKF_UNWRAP)),
        BOOL(CKA_SIGN_RECOVER, rsa_can(CKF_SIGN_RECOVER)),
    };

    if (epoch == conf_epoch)
        return &pair;
    conf_need(CKM_RSA_PKCS_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR);
    pair.pub = find_rsa(CKO_PUBLIC_KEY);
    pair.priv = find_rsa(CKO_PRIVATE_KEY);
    if (pair.pub == 0 || pair.priv == 0)
        OK(f->C_GenerateKeyPair(base, &m, pub, N(pub), priv, N(priv), &pair.pub, &pair.priv));
    epoch = conf_epoch;
    return &pair;
}

void keys_destroy(CK_OBJECT_HANDLE h)
{
    OK(f->C_DestroyObject(ses, h));
}

CK_ULONG keys_bytes(CK_OBJECT_HANDLE h, CK_ATTRIBUTE_TYPE type, void *out, CK_ULONG max)
{
    CK_ATTRIBUTE a = {type, out, max};
    CK_RV rv = f->C_GetAttributeValue(ses, h, &a, 1);

    MUST(rv == CKR_OK, "C_GetAttributeValue of 0x%lx answers %s", type, conf_ckr(rv));
    MUST(a.ulValueLen <= max, "attribute 0x%lx claims %lu bytes in a buffer of %lu", type,
         a.ulValueLen, max);
    return a.ulValueLen;
}

CK_BBOOL keys_bool(CK_OBJECT_HANDLE h, CK_ATTRIBUTE_TYPE type)
{
    CK_BBOOL b = 2;

    MUST(keys_bytes(h, type, &b, sizeof b) == sizeof b && b <= 1, "0x%lx is no CK_BBOOL", type);
    return b;
}

CK_ULONG keys_ulong(CK_OBJECT_HANDLE h, CK_ATTRIBUTE_TYPE type)
{
    CK_ULONG v = 0;

    MUST(keys_bytes(h, type, &v, sizeof v) == sizeof v, "0x%lx is no CK_ULONG", type);
    return v;
}

void keys_is(CK_OBJECT_HANDLE h, CK_ATTRIBUTE_TYPE type, const void *want, CK_ULONG len)
{
    CK_BYTE got[4096];
    CK_ULONG n = keys_bytes(h, type, got, sizeof got);

    MUST(n == len && (len == 0 || memcmp(got, want, len) == 0), "attribute 0x%lx has another value",
         type);
}
