/* Wrapping and unwrapping (Base 5.13; Mech 2.1.6, 2.1.8, 2.14). */
#include <openssl/rsa.h>

#include "tests/conformance/ref.h"

static uint8_t kek[16], iv[16], value[40];
static CK_RSA_PKCS_OAEP_PARAMS oaep;

struct row {
    CK_MECHANISM_TYPE type;
    const char *name;
    bool any_length; /* of what is wrapped */
    bool iv;
};
static const struct row rows[] = {
    {CKM_AES_KEY_WRAP, "aes-key-wrap", false, false},
    {CKM_AES_KEY_WRAP_PAD, "aes-key-wrap-pad", true, false},
    {CKM_AES_KEY_WRAP_KWP, "aes-key-wrap-kwp", true, false},
    {CKM_AES_CBC_PAD, "aes-cbc-pad", true, true},
};

static CK_OBJECT_HANDLE start(const struct row *r, CK_MECHANISM *m)
{
    conf_need(r->type, CKF_WRAP | CKF_UNWRAP);
    *m = (CK_MECHANISM){r->type, r->iv ? iv : NULL, r->iv ? sizeof iv : 0};
    for (size_t i = 0; i < sizeof kek; i++)
        kek[i] = (uint8_t)(i + 0x21);
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (uint8_t)(i * 3 + 1);
    memset(iv, 0x42, sizeof iv);
    return keys_import(CKK_AES, kek, sizeof kek, USE_WRAP);
}

static CK_RV unwrap(CK_MECHANISM *m, CK_OBJECT_HANDLE key, CK_KEY_TYPE type, uint8_t *in,
                    CK_ULONG n, CK_OBJECT_HANDLE *out)
{
    CK_ATTRIBUTE t[] = {
        UL(CKA_CLASS, CKO_SECRET_KEY),
        UL(CKA_KEY_TYPE, type),
        LABEL,
        NO(CKA_TOKEN),
        NO(CKA_SENSITIVE),
        YES(CKA_EXTRACTABLE),
    };

    return f->C_UnwrapKey(ses, m, key, in, n, t, N(t), out);
}

/* What OpenSSL takes out again; a PAD that is PKCS padding and RFC 3394 is taken as well. */
static bool opens(const struct row *r, const uint8_t *in, size_t n, const uint8_t *want, size_t len)
{
    uint8_t out[REF_MAX], again[REF_MAX];
    size_t got;

    if (r->type == CKM_AES_CBC_PAD)
        return ref_cipher("AES-128-CBC", kek, iv, true, want, len, again) == n &&
               memcmp(again, in, n) == 0;
    if (r->any_length) {
        got = ref_unwrap("AES-128-WRAP-PAD", kek, in, n, out);
        if (got == len && memcmp(out, want, len) == 0)
            return true;
    }
    if (r->type == CKM_AES_KEY_WRAP_KWP)
        return false;
    got = ref_unwrap("AES-128-WRAP", kek, in, n, out);
    if (r->any_length && got > len)
        return out[got - 1] == got - len && memcmp(out, want, len) == 0;
    return got == len && memcmp(out, want, len) == 0;
}

static void secret(const void *arg)
{
    static const struct {
        CK_KEY_TYPE type;
        CK_ULONG len;
    } keys[] = {{CKK_AES, 16},
                {CKK_AES, 32},
                {CKK_GENERIC_SECRET, 24},
                {CKK_GENERIC_SECRET, 5},
                {CKK_GENERIC_SECRET, 37}};
    const struct row *r = arg;
    CK_MECHANISM m;
    CK_OBJECT_HANDLE key = start(r, &m), h, back = 0;
    CK_BYTE out[128];

    for (size_t i = 0; i < N(keys); i++) {
        CK_ULONG n = sizeof out;

        h = keys_import(keys[i].type, value, keys[i].len,
                        keys[i].type == CKK_AES ? USE_ENC : USE_SIGN);
        if (!r->any_length && keys[i].len % 8 != 0)
            continue; /* padded with zeros, or refused: the standard knows both */
        OK(f->C_WrapKey(ses, &m, key, h, out, &n));
        MUST(opens(r, out, n, value, keys[i].len), "OpenSSL does not unwrap a key of %lu bytes",
             keys[i].len);
        OK(unwrap(&m, key, keys[i].type, out, n, &back));
        keys_is(back, CKA_VALUE, value, keys[i].len);
        MUST(keys_ulong(back, CKA_KEY_TYPE) == keys[i].type, "CKA_KEY_TYPE");
    }
}

/* Base 5.2 for C_WrapKey. */
static void lengths(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m;
    CK_OBJECT_HANDLE key = start(r, &m), h = keys_import(CKK_AES, value, 32, USE_ENC);
    CK_BYTE out[128];
    CK_ULONG n = 0, few;

    OK(f->C_WrapKey(ses, &m, key, h, NULL, &n));
    MUST(n >= 32 && n <= 64, "%lu bytes", n);
    few = 31;
    EXPECT(f->C_WrapKey(ses, &m, key, h, out, &few), CKR_BUFFER_TOO_SMALL);
    MUST(few >= 32 && few <= 64, "too small: %lu bytes", few);
    OK(f->C_WrapKey(ses, &m, key, h, out, &n));
}

static void tampered(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m;
    CK_OBJECT_HANDLE key = start(r, &m), h = keys_import(CKK_AES, value, 32, USE_ENC), back;
    CK_BYTE out[128];
    CK_ULONG n = sizeof out;

    OK(f->C_WrapKey(ses, &m, key, h, out, &n));
    if (!r->iv) {
        out[9] ^= 1;
        EXPECT(unwrap(&m, key, CKK_AES, out, n, &back), CKR_WRAPPED_KEY_INVALID,
               CKR_ENCRYPTED_DATA_INVALID);
        out[9] ^= 1;
    }
    EXPECT(unwrap(&m, key, CKK_AES, out, n - 1, &back), CKR_WRAPPED_KEY_LEN_RANGE,
           CKR_WRAPPED_KEY_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE);
    OK(unwrap(&m, key, CKK_AES, out, n, &back));
}

/* A key that is not extractable (Base 5.13). */
static void unextractable(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m;
    CK_OBJECT_HANDLE key = start(r, &m), h = keys_aes(32, USE_ENC | USE_SECRET);
    CK_BYTE out[128];
    CK_ULONG n = sizeof out;

    EXPECT(f->C_WrapKey(ses, &m, key, h, out, &n), CKR_KEY_UNEXTRACTABLE);
}

static void not_permitted(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m;
    CK_OBJECT_HANDLE key = start(r, &m), h = keys_import(CKK_AES, value, 32, USE_ENC), back;
    CK_BYTE out[128];
    CK_ULONG n = sizeof out;

    EXPECT(f->C_WrapKey(ses, &m, h, key, out, &n), CKR_KEY_FUNCTION_NOT_PERMITTED);
    n = sizeof out;
    OK(f->C_WrapKey(ses, &m, key, h, out, &n));
    EXPECT(unwrap(&m, h, CKK_AES, out, n, &back), CKR_KEY_FUNCTION_NOT_PERMITTED);
}

static void wrong_key(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m;
    CK_OBJECT_HANDLE key = start(r, &m), h = 0, back;
    CK_BYTE out[128];
    CK_ULONG n = sizeof out;

    if (keys_try_import(CKK_GENERIC_SECRET, kek, 16, USE_WRAP, &h) != CKR_OK)
        conf_skip("no generic secret with CKA_WRAP");
    EXPECT(f->C_WrapKey(ses, &m, h, key, out, &n), CKR_WRAPPING_KEY_TYPE_INCONSISTENT,
           CKR_KEY_TYPE_INCONSISTENT);
    EXPECT(unwrap(&m, h, CKK_AES, out, 40, &back), CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT,
           CKR_KEY_TYPE_INCONSISTENT);
}

/* Base 4.4 and Mech 2.14: an unwrapped key is neither local nor never extractable. */
static void attributes(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m;
    CK_OBJECT_HANDLE key = start(r, &m), h = keys_aes(32, USE_ENC), back = 0;
    CK_BYTE out[128];
    CK_ULONG n = sizeof out;
    CK_ATTRIBUTE t[] = {
        UL(CKA_CLASS, CKO_SECRET_KEY),
        UL(CKA_KEY_TYPE, CKK_AES),
        LABEL,
        NO(CKA_TOKEN),
        YES(CKA_SENSITIVE),
        NO(CKA_EXTRACTABLE),
    };

    OK(f->C_WrapKey(ses, &m, key, h, out, &n));
    OK(f->C_UnwrapKey(ses, &m, key, out, n, t, N(t), &back));
    MUST(!keys_bool(back, CKA_LOCAL), "CKA_LOCAL");
    MUST(!keys_bool(back, CKA_ALWAYS_SENSITIVE), "CKA_ALWAYS_SENSITIVE");
    MUST(!keys_bool(back, CKA_NEVER_EXTRACTABLE), "CKA_NEVER_EXTRACTABLE");
    MUST(keys_ulong(back, CKA_KEY_GEN_MECHANISM) == CK_UNAVAILABLE_INFORMATION,
         "CKA_KEY_GEN_MECHANISM");
    MUST(keys_bool(back, CKA_SENSITIVE) && !keys_bool(back, CKA_EXTRACTABLE), "the template");
}

/* --- private keys, as PKCS #8 (Base 5.13, Mech 2.8) ----------------------- */

/* The wrapped form is made here, so that no key of the module needs to be extractable. */
static void private_key(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m, sign;
    bool rsa = conf_has(CKM_SHA256_RSA_PKCS, CKF_SIGN) && r->type == CKM_AES_KEY_WRAP_KWP;
    CK_OBJECT_HANDLE key = start(r, &m), priv = 0;
    EVP_PKEY *k = rsa ? ref_new_rsa() : ref_new_ec(&keys_curves[0]);
    uint8_t p8[REF_MAX], wrapped[REF_MAX], sig[600], hash[64];
    size_t len = ref_pkcs8(k, p8), n;
    CK_ULONG sig_len = sizeof sig;
    CK_ATTRIBUTE t[] = {
        UL(CKA_CLASS, CKO_PRIVATE_KEY),
        UL(CKA_KEY_TYPE, rsa ? CKK_RSA : CKK_EC),
        LABEL,
        NO(CKA_TOKEN),
        YES(CKA_PRIVATE),
        YES(CKA_SENSITIVE),
        YES(CKA_SIGN),
    };
    CK_RV rv;

    if (r->type == CKM_AES_KEY_WRAP_PAD)
        conf_skip("two paddings go by this name");
    if (r->iv)
        n = ref_cipher("AES-128-CBC", kek, iv, true, p8, len, wrapped);
    else if (r->any_length)
        n = ref_cipher("AES-128-WRAP-PAD", kek, NULL, false, p8, len, wrapped);
    else
        conf_skip("a PKCS #8 structure has any length");
    rv = f->C_UnwrapKey(ses, &m, key, wrapped, n, t, N(t), &priv);
    if (rv == CKR_TEMPLATE_INCONSISTENT || rv == CKR_KEY_TYPE_INCONSISTENT)
        conf_skip("no private keys are unwrapped: %s", conf_ckr(rv));
    OK(rv);
    ref_digest("SHA256", p8, len, hash);
    sign = (CK_MECHANISM)MECH(rsa ? CKM_SHA256_RSA_PKCS : CKM_ECDSA);
    OK(f->C_SignInit(ses, &sign, priv));
    OK(f->C_Sign(ses, rsa ? p8 : hash, rsa ? len : 32, sig, &sig_len));
    MUST(rsa ? ref_rsa_verify(k, "SHA256", NULL, -1, hash, 32, sig, sig_len)
             : ref_ecdsa_verify(k, hash, 32, sig, sig_len),
         "the unwrapped key signs wrongly");
    MUST(!keys_bool(priv, CKA_LOCAL) && !keys_bool(priv, CKA_ALWAYS_SENSITIVE) &&
             !keys_bool(priv, CKA_NEVER_EXTRACTABLE),
         "CKA_LOCAL and so on of an unwrapped key");
    EVP_PKEY_free(k);
}

/* A private key that may leave goes out as PKCS #8, which OpenSSL reads. */
static void private_key_out(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m;
    CK_OBJECT_HANDLE key = start(r, &m), priv = 0;
    EVP_PKEY *k = ref_new_ec(&keys_curves[0]), *back;
    uint8_t d[REF_MAX], out[REF_MAX], p8[REF_MAX], was[REF_MAX], is[REF_MAX];
    CK_ATTRIBUTE t[] = {
        UL(CKA_CLASS, CKO_PRIVATE_KEY),
        UL(CKA_KEY_TYPE, CKK_EC),
        LABEL,
        NO(CKA_TOKEN),
        YES(CKA_PRIVATE),
        YES(CKA_SENSITIVE),
        YES(CKA_EXTRACTABLE),
        YES(CKA_SIGN),
        BYTES(CKA_EC_PARAMS, keys_curves[0].oid, keys_curves[0].oid_len),
        BYTES(CKA_VALUE, d, ref_number(k, "priv", 32, d)),
    };
    CK_ULONG n = sizeof out;
    CK_RV rv = f->C_CreateObject(ses, t, N(t), &priv);
    size_t len;

    if (rv != CKR_OK)
        conf_skip("no extractable private keys: %s", conf_ckr(rv));
    if (!keys_bool(priv, CKA_EXTRACTABLE))
        conf_skip("private keys are not extractable");
    OK(f->C_WrapKey(ses, &m, key, priv, out, &n));
    len = ref_unwrap(r->iv ? "AES-128-CBC" : "AES-128-WRAP-PAD", kek, out, n, p8);
    if (r->iv) { /* without its IV the first block is wrong, and the padding is still there */
        for (size_t i = 0; i < sizeof iv; i++)
            p8[i] ^= iv[i];
        len -= p8[len - 1];
    }
    back = ref_from_pkcs8(p8, len);
    MUST(back != NULL, "OpenSSL reads no PKCS #8 key in it");
    conf_same("the private number", is, ref_number(back, "priv", 32, is), was,
              ref_number(k, "priv", 32, was));
    EVP_PKEY_free(back);
    EVP_PKEY_free(k);
}

/* --- by RSA --------------------------------------------------------------- */

static void rsa_wrap(const void *arg)
{
    const CK_MECHANISM_TYPE *type = arg;
    const struct keys_pair *k;
    CK_MECHANISM m = {*type, NULL, 0};
    CK_OBJECT_HANDLE h, back = 0;
    CK_BYTE out[RSA_BYTES];
    CK_ULONG n = sizeof out;
    CK_RV rv;

    conf_need(*type, CKF_WRAP | CKF_UNWRAP);
    k = keys_rsa();
    oaep = (CK_RSA_PKCS_OAEP_PARAMS){CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED, NULL, 0};
    if (*type == CKM_RSA_PKCS_OAEP)
        m = (CK_MECHANISM)MECH_P(*type, oaep);
    h = keys_import(CKK_AES, value, 32, USE_ENC);
    rv = f->C_WrapKey(ses, &m, k->pub, h, out, &n);
    if (rv == CKR_MECHANISM_PARAM_INVALID || rv == CKR_ARGUMENTS_BAD) {
        oaep.hashAlg = CKM_SHA_1; /* some know no other hash */
        oaep.mgf = CKG_MGF1_SHA1;
        n = sizeof out;
        rv = f->C_WrapKey(ses, &m, k->pub, h, out, &n);
    }
    if (rv == CKR_MECHANISM_INVALID || rv == CKR_MECHANISM_PARAM_INVALID)
        conf_skip("%s for this key", conf_ckr(rv));
    OK(rv);
    MUST(n == RSA_BYTES, "%lu bytes", n);
    rv = unwrap(&m, k->priv, CKK_AES, out, n, &back);
    if (rv == CKR_MECHANISM_INVALID || rv == CKR_KEY_FUNCTION_NOT_PERMITTED)
        conf_skip("%s for this key", conf_ckr(rv));
    OK(rv);
    keys_is(back, CKA_VALUE, value, 32);
    memset(out, 1, sizeof out);
    EXPECT(unwrap(&m, k->priv, CKK_AES, out, n, &back), CKR_WRAPPED_KEY_INVALID,
           CKR_ENCRYPTED_DATA_INVALID);
}

/* --- templates of wrapping keys (Base 4.10 CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE) -------- */

static CK_OBJECT_HANDLE kek_with(CK_ATTRIBUTE extra)
{
    CK_ATTRIBUTE t[] = {
        UL(CKA_CLASS, CKO_SECRET_KEY),
        UL(CKA_KEY_TYPE, CKK_AES),
        LABEL,
        NO(CKA_TOKEN),
        BYTES(CKA_VALUE, kek, 16),
        YES(CKA_WRAP),
        YES(CKA_UNWRAP),
        extra,
    };
    CK_OBJECT_HANDLE h = 0;
    CK_RV rv = f->C_CreateObject(ses, t, N(t), &h);

    if (rv == CKR_ATTRIBUTE_TYPE_INVALID)
        conf_skip("the attribute is not supported");
    OK(rv);
    return h;
}

static void wrap_template(const void *arg)
{
    CK_ATTRIBUTE only_sign[] = {YES(CKA_SIGN)};
    CK_MECHANISM m;
    CK_OBJECT_HANDLE key, yes, no;
    CK_BYTE out[64];
    CK_ULONG n = sizeof out;

    (void)arg;
    (void)start(&rows[0], &m);
    key = kek_with((CK_ATTRIBUTE){CKA_WRAP_TEMPLATE, only_sign, sizeof only_sign});
    yes = keys_import(CKK_GENERIC_SECRET, value, 32, USE_SIGN);
    no = keys_import(CKK_GENERIC_SECRET, value, 32, USE_DERIVE);
    OK(f->C_WrapKey(ses, &m, key, yes, out, &n));
    n = sizeof out;
    EXPECT(f->C_WrapKey(ses, &m, key, no, out, &n), CKR_KEY_HANDLE_INVALID, CKR_KEY_NOT_WRAPPABLE,
           CKR_ACTION_PROHIBITED);
}

static void unwrap_template(const void *arg)
{
    CK_ATTRIBUTE only_sign[] = {YES(CKA_SIGN)};
    CK_ATTRIBUTE t[] = {
        UL(CKA_CLASS, CKO_SECRET_KEY),
        UL(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
        LABEL,
        NO(CKA_TOKEN),
        YES(CKA_EXTRACTABLE),
        NO(CKA_SIGN),
    };
    CK_MECHANISM m;
    CK_OBJECT_HANDLE key, back = 0;
    CK_BYTE out[64];
    CK_ULONG n = sizeof out;

    (void)arg;
    (void)start(&rows[0], &m);
    key = kek_with((CK_ATTRIBUTE){CKA_UNWRAP_TEMPLATE, only_sign, sizeof only_sign});
    OK(f->C_WrapKey(ses, &m, key, keys_import(CKK_GENERIC_SECRET, value, 32, USE_SIGN), out, &n));
    EXPECT(f->C_UnwrapKey(ses, &m, key, out, n, t, N(t), &back), CKR_TEMPLATE_INCONSISTENT);
    OK(f->C_UnwrapKey(ses, &m, key, out, n, t, N(t) - 1, &back));
    MUST(keys_bool(back, CKA_SIGN), "CKA_UNWRAP_TEMPLATE is not applied");
}

/* Base 4.10: CKA_WRAP_WITH_TRUSTED keys leave only under a trusted key. */
static void trusted_only(const void *arg)
{
    CK_ATTRIBUTE t[] = {
        UL(CKA_CLASS, CKO_SECRET_KEY),
        UL(CKA_KEY_TYPE, CKK_AES),
        LABEL,
        NO(CKA_TOKEN),
        BYTES(CKA_VALUE, value, 16),
        YES(CKA_EXTRACTABLE),
        YES(CKA_WRAP_WITH_TRUSTED),
    };
    CK_MECHANISM m;
    CK_OBJECT_HANDLE key = start(&rows[0], &m), h = keys_create(t, N(t));
    CK_BYTE out[64];
    CK_ULONG n = sizeof out;

    (void)arg;
    MUST(keys_bool(h, CKA_WRAP_WITH_TRUSTED), "CKA_WRAP_WITH_TRUSTED is not kept");
    EXPECT(f->C_WrapKey(ses, &m, key, h, out, &n), CKR_KEY_NOT_WRAPPABLE, CKR_KEY_UNEXTRACTABLE);
}

void wrap_checks(void)
{
    static const CK_MECHANISM_TYPE by_rsa[] = {CKM_RSA_PKCS, CKM_RSA_PKCS_OAEP};

    for (size_t i = 0; i < N(rows); i++) {
        const struct row *r = &rows[i];

        conf_add(CONF_USER, secret, r, "wrap/%s/secret-keys", r->name);
        conf_add(CONF_USER, lengths, r, "wrap/%s/lengths", r->name);
        conf_add(CONF_USER, tampered, r, "wrap/%s/tampered", r->name);
        conf_add(CONF_USER, unextractable, r, "wrap/%s/not-extractable", r->name);
        conf_add(CONF_USER, not_permitted, r, "wrap/%s/not-permitted", r->name);
        conf_add(CONF_USER, wrong_key, r, "wrap/%s/wrong-key", r->name);
        conf_add(CONF_USER, attributes, r, "wrap/%s/attributes", r->name);
        if (r->any_length)
            conf_add(CONF_USER, private_key, r, "wrap/%s/private-key", r->name);
        if (r->any_length && r->type != CKM_AES_KEY_WRAP_PAD)
            conf_add(CONF_USER, private_key_out, r, "wrap/%s/private-key-out", r->name);
    }
    conf_add(CONF_USER, rsa_wrap, &by_rsa[0], "wrap/rsa-pkcs/aes-key");
    conf_add(CONF_USER, rsa_wrap, &by_rsa[1], "wrap/rsa-oaep/aes-key");
    conf_add(CONF_USER, wrap_template, NULL, "wrap/wrap-template");
    conf_add(CONF_USER, unwrap_template, NULL, "wrap/unwrap-template");
    conf_add(CONF_USER, trusted_only, NULL, "wrap/with-trusted-only");
}
