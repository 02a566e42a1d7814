/* ECDH (Mech 2.3.8, 2.3.9) against OpenSSL's, and HKDF (Mech 3.0, 2.62) by RFC 5869. */
#include <openssl/kdf.h>

#include "tests/conformance/ref.h"

/* The template of what comes out: a secret that can be read. */
static CK_RV derive(CK_MECHANISM *m, CK_OBJECT_HANDLE key, CK_KEY_TYPE type, CK_ULONG len,
                    CK_OBJECT_HANDLE *out)
{
    CK_ATTRIBUTE t[] = {
        UL(CKA_CLASS, CKO_SECRET_KEY),
        UL(CKA_KEY_TYPE, type),
        LABEL,
        NO(CKA_TOKEN),
        NO(CKA_SENSITIVE),
        YES(CKA_EXTRACTABLE),
        UL(CKA_VALUE_LEN, len),
    };

    return f->C_DeriveKey(ses, m, key, t, len == 0 ? N(t) - 1 : N(t), out);
}

/* --- ECDH ----------------------------------------------------------------- */

struct ecdh {
    const char *name, *md;
    CK_ULONG kdf;
    int curve;
};
static const struct ecdh ecdhs[] = {
    {"p256/null", NULL, CKD_NULL, 0},
    {"p384/null", NULL, CKD_NULL, 1},
    {"p521/null", NULL, CKD_NULL, 2},
    {"p256/x963-sha1", "SHA1", CKD_SHA1_KDF, 0},
    {"p256/x963-sha224", "SHA224", CKD_SHA224_KDF, 0},
    {"p256/x963-sha256", "SHA256", CKD_SHA256_KDF, 0},
    {"p384/x963-sha384", "SHA384", CKD_SHA384_KDF, 1},
    {"p521/x963-sha512", "SHA512", CKD_SHA512_KDF, 2},
};

static struct {
    const struct ecdh *e;
    const struct keys_pair *keys;
    EVP_PKEY *peer;
    uint8_t z[REF_MAX], point[REF_MAX], der[REF_MAX], shared[20];
    size_t z_len, point_len, der_len;
    CK_ECDH1_DERIVE_PARAMS params;
    CK_MECHANISM mech;
} w;

static void start(const struct ecdh *e, CK_MECHANISM_TYPE type)
{
    const struct keys_curve *c = &keys_curves[e->curve];
    EVP_PKEY *pub;

    conf_need(type, CKF_DERIVE);
    memset(&w, 0, sizeof w);
    w.e = e;
    w.keys = keys_ec(c, USE_DERIVE);
    w.peer = ref_new_ec(c);
    pub = ref_ec(w.keys->pub, c);
    w.z_len = ref_ecdh(w.peer, pub, w.z);
    EVP_PKEY_free(pub);
    w.point_len = ref_point(w.peer, w.point);
    w.der_len = ref_point_der(w.peer, w.der);
    memset(w.shared, 0x33, sizeof w.shared);
    w.params = (CK_ECDH1_DERIVE_PARAMS){e->kdf, 0, NULL, w.point_len, w.point};
    w.mech = (CK_MECHANISM)MECH_P(type, w.params);
}

static void may_refuse(CK_RV rv)
{
    if (w.e->kdf != CKD_NULL && rv == CKR_MECHANISM_PARAM_INVALID)
        conf_skip("no such derivation function");
    OK(rv);
}

static void agree(CK_MECHANISM_TYPE type, const struct ecdh *e)
{
    uint8_t want[REF_MAX];
    CK_OBJECT_HANDLE h = 0;
    CK_ULONG len = 32;

    start(e, type);
    if (e->kdf == CKD_NULL)
        memcpy(want, w.z, w.z_len);
    else
        ref_x963(e->md, w.z, w.z_len, NULL, 0, want, len);
    may_refuse(
        derive(&w.mech, w.keys->priv, CKK_GENERIC_SECRET, e->kdf == CKD_NULL ? w.z_len : len, &h));
    keys_is(h, CKA_VALUE, want, e->kdf == CKD_NULL ? w.z_len : len);
    keys_destroy(h);
    EVP_PKEY_free(w.peer);
}

static void ecdh_value(const void *arg)
{
    agree(CKM_ECDH1_DERIVE, arg);
}
static void cofactor_value(const void *arg)
{
    agree(CKM_ECDH1_COFACTOR_DERIVE, arg);
}

/* Mech 2.3.8: bytes are removed "from the leading end of the secret value". Many modules keep the
 * first ones instead; either is taken here, and nothing else. */
static void cut(const void *arg)
{
    CK_OBJECT_HANDLE h = 0;
    uint8_t got[64];

    (void)arg;
    start(&ecdhs[0], CKM_ECDH1_DERIVE);
    OK(derive(&w.mech, w.keys->priv, CKK_AES, 16, &h));
    MUST(keys_bytes(h, CKA_VALUE, got, sizeof got) == 16, "no 16 bytes");
    MUST(memcmp(got, w.z, 16) == 0 || memcmp(got, w.z + 16, 16) == 0, "another secret");
    EVP_PKEY_free(w.peer);
}

/* A generic secret without CKA_VALUE_LEN is as long as the secret. */
static void no_length(const void *arg)
{
    CK_OBJECT_HANDLE h = 0;

    (void)arg;
    start(&ecdhs[0], CKM_ECDH1_DERIVE);
    OK(derive(&w.mech, w.keys->priv, CKK_GENERIC_SECRET, 0, &h));
    keys_is(h, CKA_VALUE, w.z, w.z_len);
    EVP_PKEY_free(w.peer);
}

static void too_long(const void *arg)
{
    CK_OBJECT_HANDLE h = 0;

    (void)arg;
    start(&ecdhs[0], CKM_ECDH1_DERIVE);
    EXPECT(derive(&w.mech, w.keys->priv, CKK_GENERIC_SECRET, 33, &h), CKR_KEY_SIZE_RANGE,
           CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_VALUE_INVALID);
    EVP_PKEY_free(w.peer);
}

/* Mech 2.3.8: the other's point raw; since 2.40 in DER as well. */
static void der_point(const void *arg)
{
    CK_OBJECT_HANDLE h = 0;

    (void)arg;
    start(&ecdhs[0], CKM_ECDH1_DERIVE);
    w.params.pPublicData = w.der;
    w.params.ulPublicDataLen = w.der_len;
    OK(derive(&w.mech, w.keys->priv, CKK_GENERIC_SECRET, w.z_len, &h));
    keys_is(h, CKA_VALUE, w.z, w.z_len);
    EVP_PKEY_free(w.peer);
}

static void shared_data(const void *arg)
{
    uint8_t want[REF_MAX];
    CK_OBJECT_HANDLE h = 0;

    (void)arg;
    start(&ecdhs[5], CKM_ECDH1_DERIVE);
    w.params.pSharedData = w.shared;
    w.params.ulSharedDataLen = sizeof w.shared;
    ref_x963("SHA256", w.z, w.z_len, w.shared, sizeof w.shared, want, 100);
    may_refuse(derive(&w.mech, w.keys->priv, CKK_GENERIC_SECRET, 100, &h));
    keys_is(h, CKA_VALUE, want, 100);
    EVP_PKEY_free(w.peer);
}

/* Mech 2.3.8: with CKD_NULL there is no shared data. */
static void parameter(const void *arg)
{
    CK_OBJECT_HANDLE h = 0;

    (void)arg;
    start(&ecdhs[0], CKM_ECDH1_DERIVE);
    w.params.pSharedData = w.shared;
    w.params.ulSharedDataLen = sizeof w.shared;
    EXPECT(derive(&w.mech, w.keys->priv, CKK_GENERIC_SECRET, 32, &h), CKR_MECHANISM_PARAM_INVALID);
    w.params.pSharedData = NULL;
    w.params.ulSharedDataLen = 0;
    w.params.kdf = 0x4711;
    EXPECT(derive(&w.mech, w.keys->priv, CKK_GENERIC_SECRET, 32, &h), CKR_MECHANISM_PARAM_INVALID);
    w.params.kdf = CKD_NULL;
    w.mech.ulParameterLen = 8;
    EXPECT(derive(&w.mech, w.keys->priv, CKK_GENERIC_SECRET, 32, &h), CKR_MECHANISM_PARAM_INVALID,
           CKR_ARGUMENTS_BAD);
    w.mech = (CK_MECHANISM)MECH(CKM_ECDH1_DERIVE);
    EXPECT(derive(&w.mech, w.keys->priv, CKK_GENERIC_SECRET, 32, &h), CKR_MECHANISM_PARAM_INVALID,
           CKR_ARGUMENTS_BAD);
    EVP_PKEY_free(w.peer);
}

/* A point that is not on the curve must not be taken (SP 800-56A 5.6.2.3). */
static void bad_point(const void *arg)
{
    CK_OBJECT_HANDLE h = 0;
    CK_RV rv;

    (void)arg;
    start(&ecdhs[0], CKM_ECDH1_DERIVE);
    w.point[64] ^= 1;
    rv = derive(&w.mech, w.keys->priv, CKK_GENERIC_SECRET, 32, &h);
    MUST(rv != CKR_OK, "a point off the curve is taken");
    w.point[64] ^= 1;
    w.params.ulPublicDataLen = 64;
    rv = derive(&w.mech, w.keys->priv, CKK_GENERIC_SECRET, 32, &h);
    MUST(rv != CKR_OK, "a point cut short is taken");
    w.params.pPublicData = NULL;
    w.params.ulPublicDataLen = 0;
    REFUSED(derive(&w.mech, w.keys->priv, CKK_GENERIC_SECRET, 32, &h));
    EVP_PKEY_free(w.peer);
}

static void not_permitted(const void *arg)
{
    const struct keys_pair *sign;
    CK_OBJECT_HANDLE h = 0;

    (void)arg;
    start(&ecdhs[0], CKM_ECDH1_DERIVE);
    sign = keys_ec(&keys_curves[0], USE_SIGN);
    EXPECT(derive(&w.mech, sign->priv, CKK_GENERIC_SECRET, 32, &h), CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(derive(&w.mech, w.keys->pub, CKK_GENERIC_SECRET, 32, &h), CKR_KEY_HANDLE_INVALID,
           CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_FUNCTION_NOT_PERMITTED);
    EVP_PKEY_free(w.peer);
}

/* Mech 2.3.8 and Base 5.13: rules for SENSITIVE and so on; a derived key is not local. */
static void attributes(const void *arg)
{
    CK_OBJECT_HANDLE h = 0;

    (void)arg;
    start(&ecdhs[0], CKM_ECDH1_DERIVE);
    OK(derive(&w.mech, w.keys->priv, CKK_AES, 32, &h));
    MUST(keys_ulong(h, CKA_CLASS) == CKO_SECRET_KEY, "CKA_CLASS");
    MUST(keys_ulong(h, CKA_KEY_TYPE) == CKK_AES, "CKA_KEY_TYPE");
    MUST(keys_ulong(h, CKA_VALUE_LEN) == 32, "CKA_VALUE_LEN");
    MUST(!keys_bool(h, CKA_LOCAL), "CKA_LOCAL of a derived key");
    MUST(keys_ulong(h, CKA_KEY_GEN_MECHANISM) == CK_UNAVAILABLE_INFORMATION,
         "CKA_KEY_GEN_MECHANISM of a derived key");
    MUST(!keys_bool(h, CKA_SENSITIVE) && keys_bool(h, CKA_EXTRACTABLE), "the template");
    MUST(!keys_bool(h, CKA_ALWAYS_SENSITIVE) && !keys_bool(h, CKA_NEVER_EXTRACTABLE),
         "a key that can be read was always sensitive");
    EVP_PKEY_free(w.peer);
}

/* --- HKDF ----------------------------------------------------------------- */

struct hkdf {
    const char *name, *md;
    CK_MECHANISM_TYPE hash;
    CK_ULONG ikm, salt, info, len;
    CK_BBOOL extract, expand;
};
/* The shapes of RFC 5869's vectors A.1 to A.6 by their lengths, and more hashes. */
static const struct hkdf hkdfs[] = {
    {"a1", "SHA256", CKM_SHA256, 22, 13, 10, 42, 1, 1},
    {"a2", "SHA256", CKM_SHA256, 80, 80, 80, 82, 1, 1},
    {"a3", "SHA256", CKM_SHA256, 22, 0, 0, 42, 1, 1},
    {"a4", "SHA1", CKM_SHA_1, 11, 13, 10, 42, 1, 1},
    {"sha384", "SHA384", CKM_SHA384, 48, 20, 20, 100, 1, 1},
    {"sha512", "SHA512", CKM_SHA512, 64, 20, 20, 100, 1, 1},
    {"extract-only", "SHA256", CKM_SHA256, 22, 13, 0, 32, 1, 0},
    {"expand-only", "SHA256", CKM_SHA256, 32, 0, 10, 42, 0, 1},
};

static uint8_t ikm[80], salt[80], info[80];
static CK_HKDF_PARAMS hkdf_params;

static CK_MECHANISM hkdf_of(const struct hkdf *x)
{
    CK_MECHANISM m = MECH_P(CKM_HKDF_DERIVE, hkdf_params);

    for (size_t i = 0; i < 80; i++) {
        ikm[i] = x->ikm == 80 ? (uint8_t)i : 0x0b;
        salt[i] = (uint8_t)(i + (x->salt == 80 ? 0x60 : 0));
        info[i] = (uint8_t)(i + (x->info == 80 ? 0xb0 : 0xf0));
    }
    hkdf_params = (CK_HKDF_PARAMS){
        .bExtract = x->extract,
        .bExpand = x->expand,
        .prfHashMechanism = x->hash,
        .ulSaltType = x->salt > 0 ? CKF_HKDF_SALT_DATA : CKF_HKDF_SALT_NULL,
        .pSalt = x->salt > 0 ? salt : NULL,
        .ulSaltLen = x->salt,
        .pInfo = x->info > 0 ? info : NULL,
        .ulInfoLen = x->info,
    };
    return m;
}

static void hkdf(const void *arg)
{
    const struct hkdf *x = arg;
    CK_MECHANISM m = hkdf_of(x);
    int mode = x->expand && x->extract ? EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND
               : x->expand             ? EVP_KDF_HKDF_MODE_EXPAND_ONLY
                                       : EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
    uint8_t want[REF_MAX];
    CK_OBJECT_HANDLE key, h = 0;

    conf_need(CKM_HKDF_DERIVE, CKF_DERIVE);
    key = keys_import(CKK_GENERIC_SECRET, ikm, x->ikm, USE_DERIVE);
    ref_hkdf(mode, x->md, ikm, x->ikm, salt, x->salt, info, x->info, want, x->len);
    OK(derive(&m, key, CKK_GENERIC_SECRET, x->len, &h));
    keys_is(h, CKA_VALUE, want, x->len);
}

/* The first bytes of RFC 5869 A.1's OKM as they are printed there. */
static void hkdf_printed(const void *arg)
{
    static const uint8_t okm[] = {0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5, 0x7a,
                                  0x90, 0x43, 0x4f, 0x64, 0xd0, 0x36, 0x2f, 0x2a};
    CK_MECHANISM m = hkdf_of(&hkdfs[0]);
    CK_OBJECT_HANDLE key, h = 0;

    (void)arg;
    conf_need(CKM_HKDF_DERIVE, CKF_DERIVE);
    key = keys_import(CKK_GENERIC_SECRET, ikm, 22, USE_DERIVE);
    OK(derive(&m, key, CKK_AES, 16, &h));
    keys_is(h, CKA_VALUE, okm, sizeof okm);
}

static void hkdf_salt_key(const void *arg)
{
    CK_MECHANISM m = hkdf_of(&hkdfs[0]);
    uint8_t want[REF_MAX];
    CK_OBJECT_HANDLE key, h = 0;

    (void)arg;
    conf_need(CKM_HKDF_DERIVE, CKF_DERIVE);
    key = keys_import(CKK_GENERIC_SECRET, ikm, 22, USE_DERIVE);
    hkdf_params.ulSaltType = CKF_HKDF_SALT_KEY;
    hkdf_params.pSalt = NULL;
    hkdf_params.ulSaltLen = 0;
    hkdf_params.hSaltKey = keys_import(CKK_GENERIC_SECRET, salt, 13, USE_DERIVE);
    ref_hkdf(EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND, "SHA256", ikm, 22, salt, 13, info, 10, want, 42);
    OK(derive(&m, key, CKK_GENERIC_SECRET, 42, &h));
    keys_is(h, CKA_VALUE, want, 42);
}

static void hkdf_parameter(const void *arg)
{
    CK_MECHANISM m = hkdf_of(&hkdfs[0]);
    CK_OBJECT_HANDLE key, h = 0;

    (void)arg;
    conf_need(CKM_HKDF_DERIVE, CKF_DERIVE);
    key = keys_import(CKK_GENERIC_SECRET, ikm, 22, USE_DERIVE);
    hkdf_params.bExtract = hkdf_params.bExpand = CK_FALSE;
    EXPECT(derive(&m, key, CKK_GENERIC_SECRET, 42, &h), CKR_MECHANISM_PARAM_INVALID);
    m = hkdf_of(&hkdfs[0]);
    hkdf_params.ulSaltType = 77;
    EXPECT(derive(&m, key, CKK_GENERIC_SECRET, 42, &h), CKR_MECHANISM_PARAM_INVALID);
    m = hkdf_of(&hkdfs[0]);
    hkdf_params.prfHashMechanism = CKM_AES_ECB;
    EXPECT(derive(&m, key, CKK_GENERIC_SECRET, 42, &h), CKR_MECHANISM_PARAM_INVALID,
           CKR_MECHANISM_INVALID);
    m = (CK_MECHANISM)MECH(CKM_HKDF_DERIVE);
    EXPECT(derive(&m, key, CKK_GENERIC_SECRET, 42, &h), CKR_MECHANISM_PARAM_INVALID,
           CKR_ARGUMENTS_BAD);
    /* RFC 5869 2.3: at most 255 blocks. */
    m = hkdf_of(&hkdfs[0]);
    REFUSED(derive(&m, key, CKK_GENERIC_SECRET, 255 * 32 + 1, &h));
    key = keys_import(CKK_GENERIC_SECRET, ikm, 22, USE_SIGN);
    EXPECT(derive(&m, key, CKK_GENERIC_SECRET, 42, &h), CKR_KEY_FUNCTION_NOT_PERMITTED);
}

void derive_checks(void)
{
    for (size_t i = 0; i < N(ecdhs); i++) {
        conf_add(CONF_USER, ecdh_value, &ecdhs[i], "derive/ecdh1/%s", ecdhs[i].name);
        conf_add(CONF_USER, cofactor_value, &ecdhs[i], "derive/ecdh1-cofactor/%s", ecdhs[i].name);
    }
    conf_add(CONF_USER, cut, NULL, "derive/ecdh1/cut-to-an-aes-key");
    conf_add(CONF_USER, no_length, NULL, "derive/ecdh1/no-length");
    conf_add(CONF_USER, too_long, NULL, "derive/ecdh1/too-long");
    conf_add(CONF_USER, der_point, NULL, "derive/ecdh1/der-point");
    conf_add(CONF_USER, shared_data, NULL, "derive/ecdh1/shared-data");
    conf_add(CONF_USER, parameter, NULL, "derive/ecdh1/parameter");
    conf_add(CONF_USER, bad_point, NULL, "derive/ecdh1/bad-point");
    conf_add(CONF_USER, not_permitted, NULL, "derive/ecdh1/not-permitted");
    conf_add(CONF_USER, attributes, NULL, "derive/ecdh1/attributes");
    for (size_t i = 0; i < N(hkdfs); i++)
        conf_add(CONF_USER, hkdf, &hkdfs[i], "derive/hkdf/%s", hkdfs[i].name);
    conf_add(CONF_USER, hkdf_printed, NULL, "derive/hkdf/rfc-5869");
    conf_add(CONF_USER, hkdf_salt_key, NULL, "derive/hkdf/salt-is-a-key");
    conf_add(CONF_USER, hkdf_parameter, NULL, "derive/hkdf/parameter");
}
