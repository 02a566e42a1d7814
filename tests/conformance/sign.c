/* Signatures by RSA (Mech 2.1) and ECDSA (Mech 2.3); OpenSSL judges them by the public key. */
#include <openssl/rsa.h>

#include "tests/conformance/ref.h"

enum scheme { PKCS1, PSS, RAW, ECDSA };

struct row {
    CK_MECHANISM_TYPE type;
    const char *name;
    enum scheme scheme;
    CK_MECHANISM_TYPE hash; /* 0: the caller gives it */
    int curve;              /* of ECDSA */
};

#define EC_ROW(type, name, hash)                                                \
    {type, name "/p256", ECDSA, hash, 0}, {type, name "/p384", ECDSA, hash, 1}, \
    {                                                                           \
        type, name "/p521", ECDSA, hash, 2                                      \
    }

static const struct row rows[] = {
    {CKM_RSA_PKCS, "rsa-pkcs", PKCS1, 0, -1},
    {CKM_RSA_X_509, "rsa-x509", RAW, 0, -1},
    {CKM_SHA1_RSA_PKCS, "sha1-rsa-pkcs", PKCS1, CKM_SHA_1, -1},
    {CKM_SHA224_RSA_PKCS, "sha224-rsa-pkcs", PKCS1, CKM_SHA224, -1},
    {CKM_SHA256_RSA_PKCS, "sha256-rsa-pkcs", PKCS1, CKM_SHA256, -1},
    {CKM_SHA384_RSA_PKCS, "sha384-rsa-pkcs", PKCS1, CKM_SHA384, -1},
    {CKM_SHA512_RSA_PKCS, "sha512-rsa-pkcs", PKCS1, CKM_SHA512, -1},
    {CKM_RSA_PKCS_PSS, "rsa-pkcs-pss", PSS, 0, -1},
    {CKM_SHA1_RSA_PKCS_PSS, "sha1-rsa-pkcs-pss", PSS, CKM_SHA_1, -1},
    {CKM_SHA224_RSA_PKCS_PSS, "sha224-rsa-pkcs-pss", PSS, CKM_SHA224, -1},
    {CKM_SHA256_RSA_PKCS_PSS, "sha256-rsa-pkcs-pss", PSS, CKM_SHA256, -1},
    {CKM_SHA384_RSA_PKCS_PSS, "sha384-rsa-pkcs-pss", PSS, CKM_SHA384, -1},
    {CKM_SHA512_RSA_PKCS_PSS, "sha512-rsa-pkcs-pss", PSS, CKM_SHA512, -1},
    EC_ROW(CKM_ECDSA, "ecdsa", 0),
    EC_ROW(CKM_ECDSA_SHA1, "ecdsa-sha1", CKM_SHA_1),
    EC_ROW(CKM_ECDSA_SHA224, "ecdsa-sha224", CKM_SHA224),
    EC_ROW(CKM_ECDSA_SHA256, "ecdsa-sha256", CKM_SHA256),
    EC_ROW(CKM_ECDSA_SHA384, "ecdsa-sha384", CKM_SHA384),
    EC_ROW(CKM_ECDSA_SHA512, "ecdsa-sha512", CKM_SHA512),
};

static uint8_t text[700];
static CK_RSA_PKCS_PSS_PARAMS pss;

/* What a check works with; set up by start. */
static struct {
    const struct keys_pair *keys;
    const struct keys_curve *curve;
    EVP_PKEY *pub;
    CK_MECHANISM mech;
    CK_MECHANISM_TYPE hash; /* the row's, or SHA-256 */
    const char *md;
    CK_ULONG sig_len;
    CK_BYTE raw[RSA_BYTES]; /* what is signed, for mechanisms that hash nothing */
    CK_ULONG raw_len;
} w;

static CK_ULONG hash_size(CK_MECHANISM_TYPE hash)
{
    uint8_t out[64];

    return ref_digest(ref_hash_name(hash), "", 0, out);
}

static CK_RSA_PKCS_MGF_TYPE mgf_of(CK_MECHANISM_TYPE hash)
{
    switch (hash) {
    case CKM_SHA_1: return CKG_MGF1_SHA1;
    case CKM_SHA224: return CKG_MGF1_SHA224;
    case CKM_SHA256: return CKG_MGF1_SHA256;
    case CKM_SHA384: return CKG_MGF1_SHA384;
    default: return CKG_MGF1_SHA512;
    }
}

/* RFC 8017 9.2, note 1 */
static const uint8_t sha256_info[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                      0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};

static void start(const struct row *r, CK_FLAGS need)
{
    conf_need(r->type, need);
    memset(&w, 0, sizeof w);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 17 + 5);
    w.hash = r->hash != 0 ? r->hash : CKM_SHA256;
    w.md = ref_hash_name(w.hash);
    w.mech = (CK_MECHANISM)MECH(r->type);
    if (r->scheme == ECDSA) {
        w.curve = &keys_curves[r->curve];
        w.keys = keys_ec(w.curve, USE_SIGN);
        w.pub = ref_ec(w.keys->pub, w.curve);
        w.sig_len = 2 * w.curve->bytes;
    } else {
        w.keys = keys_rsa();
        w.pub = ref_rsa(w.keys->pub);
        w.sig_len = RSA_BYTES;
    }
    pss = (CK_RSA_PKCS_PSS_PARAMS){w.hash, mgf_of(w.hash), hash_size(w.hash)};
    if (r->scheme == PSS) {
        w.mech.pParameter = &pss;
        w.mech.ulParameterLen = sizeof pss;
    }
    w.raw_len = ref_digest("SHA256", text, sizeof text, w.raw);
    if (r->scheme == PKCS1) {
        memmove(w.raw + sizeof sha256_info, w.raw, 32);
        memcpy(w.raw, sha256_info, sizeof sha256_info);
        w.raw_len += sizeof sha256_info;
    } else if (r->scheme == RAW) {
        memcpy(w.raw + 1, text, RSA_BYTES - 1);
        w.raw[0] = 0;
        w.raw_len = RSA_BYTES;
    }
}

/* The data for C_Sign. */
static CK_BYTE *input(const struct row *r, CK_ULONG *len)
{
    *len = r->hash == 0 ? w.raw_len : sizeof text;
    return r->hash == 0 ? w.raw : text;
}

static bool good(const struct row *r, const uint8_t *sig, CK_ULONG len)
{
    uint8_t hash[64];
    size_t n = ref_digest(w.md, text, sizeof text, hash);

    switch (r->scheme) {
    case ECDSA: return len == w.sig_len && ref_ecdsa_verify(w.pub, hash, n, sig, len);
    case PSS: return ref_rsa_verify(w.pub, w.md, w.md, (int)pss.sLen, hash, n, sig, len);
    case PKCS1: return ref_rsa_verify(w.pub, w.md, NULL, -1, hash, n, sig, len);
    default: {
        uint8_t back[RSA_BYTES];
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(w.pub, NULL);
        size_t m = sizeof back;
        bool ok = EVP_PKEY_encrypt_init(ctx) == 1 &&
                  EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1 &&
                  EVP_PKEY_encrypt(ctx, back, &m, sig, len) == 1;

        EVP_PKEY_CTX_free(ctx);
        return ok && m == w.raw_len && memcmp(back, w.raw, m) == 0;
    }
    }
}

static void one_part(const void *arg)
{
    const struct row *r = arg;
    CK_BYTE sig[600], *in;
    CK_ULONG n = sizeof sig, len;

    start(r, CKF_SIGN);
    in = input(r, &len);
    OK(f->C_SignInit(ses, &w.mech, w.keys->priv));
    OK(f->C_Sign(ses, in, len, sig, &n));
    MUST(n == w.sig_len, "%lu bytes, not %lu", n, w.sig_len);
    MUST(good(r, sig, n), "OpenSSL does not take the signature");
}

static void parts(const void *arg)
{
    static const CK_ULONG steps[] = {1, 64, 699};
    const struct row *r = arg;
    CK_BYTE sig[600];
    CK_ULONG n;

    start(r, CKF_SIGN);
    for (size_t i = 0; i < N(steps); i++) {
        OK(f->C_SignInit(ses, &w.mech, w.keys->priv));
        OK(f->C_SignUpdate(ses, text, 0));
        for (CK_ULONG at = 0; at < sizeof text; at += steps[i])
            OK(f->C_SignUpdate(ses, text + at,
                               sizeof text - at < steps[i] ? sizeof text - at : steps[i]));
        n = sizeof sig;
        OK(f->C_SignFinal(ses, sig, &n));
        MUST(n == w.sig_len && good(r, sig, n), "OpenSSL does not take the signature");
    }
}

/* Base 5.11: mechanisms that work on a single part have no Update. */
static void single_part(const void *arg)
{
    const struct row *r = arg;

    start(r, CKF_SIGN);
    OK(f->C_SignInit(ses, &w.mech, w.keys->priv));
    if (f->C_SignUpdate(ses, w.raw, 16) == CKR_OK) {
        CK_BYTE sig[600];
        CK_ULONG n = sizeof sig;

        (void)f->C_SignFinal(ses, sig, &n); /* some collect the parts: no demand */
    }
}

/* A signature of OpenSSL by the module's public key is not to be had: the module signs first. */
static void verify(const void *arg)
{
    const struct row *r = arg;
    CK_BYTE sig[600], *in;
    CK_ULONG n = sizeof sig, len;

    start(r, CKF_SIGN | CKF_VERIFY);
    in = input(r, &len);
    OK(f->C_SignInit(ses, &w.mech, w.keys->priv));
    OK(f->C_Sign(ses, in, len, sig, &n));
    OK(f->C_VerifyInit(ses, &w.mech, w.keys->pub));
    OK(f->C_Verify(ses, in, len, sig, n));
    sig[n / 2] ^= 0x10;
    OK(f->C_VerifyInit(ses, &w.mech, w.keys->pub));
    EXPECT(f->C_Verify(ses, in, len, sig, n), CKR_SIGNATURE_INVALID);
    sig[n / 2] ^= 0x10;
    OK(f->C_VerifyInit(ses, &w.mech, w.keys->pub));
    EXPECT(f->C_Verify(ses, in, len, sig, n - 1), CKR_SIGNATURE_LEN_RANGE, CKR_SIGNATURE_INVALID);
    in[len - 1] ^= 1;
    OK(f->C_VerifyInit(ses, &w.mech, w.keys->pub));
    EXPECT(f->C_Verify(ses, in, len, sig, n), CKR_SIGNATURE_INVALID);
    in[len - 1] ^= 1;
    if (r->hash == 0)
        return;
    OK(f->C_VerifyInit(ses, &w.mech, w.keys->pub));
    OK(f->C_VerifyUpdate(ses, text, 300));
    OK(f->C_VerifyUpdate(ses, text + 300, 400));
    OK(f->C_VerifyFinal(ses, sig, n));
}

/* A public key from outside, and a signature that OpenSSL made. */
static void foreign(const void *arg)
{
    const struct row *r = arg;
    EVP_PKEY *k;
    CK_BYTE sig[REF_MAX], hash[64], point[300], num[300], e[8], *in;
    CK_ULONG len;
    size_t hash_len, sig_len, a, b;
    CK_OBJECT_HANDLE pub = 0;

    start(r, CKF_VERIFY);
    hash_len = ref_digest(w.md, text, sizeof text, hash);
    if (r->scheme == ECDSA) {
        k = ref_new_ec(w.curve);
        sig_len = ref_ecdsa_sign(k, hash, hash_len, w.curve->bytes, sig);
        a = ref_point_der(k, point);
        CK_ATTRIBUTE t[] = {UL(CKA_CLASS, CKO_PUBLIC_KEY),
                            UL(CKA_KEY_TYPE, CKK_EC),
                            LABEL,
                            NO(CKA_TOKEN),
                            YES(CKA_VERIFY),
                            BYTES(CKA_EC_POINT, point, a),
                            BYTES(CKA_EC_PARAMS, w.curve->oid, w.curve->oid_len)};
        pub = keys_create(t, N(t));
    } else {
        k = ref_new_rsa();
        in = input(r, &len);
        sig_len = r->scheme == RAW
                      ? ref_rsa_sign(k, NULL, NULL, -2, in, len, sig)
                      : ref_rsa_sign(k, w.md, w.md, r->scheme == PSS ? (int)pss.sLen : -1, hash,
                                     hash_len, sig);
        a = ref_number(k, "n", 0, num);
        b = ref_number(k, "e", 0, e);
        CK_ATTRIBUTE t[] = {UL(CKA_CLASS, CKO_PUBLIC_KEY),
                            UL(CKA_KEY_TYPE, CKK_RSA),
                            LABEL,
                            NO(CKA_TOKEN),
                            YES(CKA_VERIFY),
                            BYTES(CKA_MODULUS, num, a),
                            BYTES(CKA_PUBLIC_EXPONENT, e, b)};
        pub = keys_create(t, N(t));
    }
    in = input(r, &len);
    OK(f->C_VerifyInit(ses, &w.mech, pub));
    OK(f->C_Verify(ses, in, len, sig, sig_len));
    sig[sig_len - 1] ^= 1;
    OK(f->C_VerifyInit(ses, &w.mech, pub));
    EXPECT(f->C_Verify(ses, in, len, sig, sig_len), CKR_SIGNATURE_INVALID);
    EVP_PKEY_free(k);
}

/* Mech 2.1.6 and 2.3.6: data that is longer than the mechanism takes. */
static void too_long(const void *arg)
{
    const struct row *r = arg;
    CK_BYTE sig[600];
    CK_ULONG n = sizeof sig;

    start(r, CKF_SIGN);
    if (r->scheme == ECDSA)
        conf_skip("what is too long may be cut (3.0)");
    OK(f->C_SignInit(ses, &w.mech, w.keys->priv));
    EXPECT(f->C_Sign(ses, text,
                     r->scheme == RAW     ? 257
                     : r->scheme == PKCS1 ? 246
                                          : 31,
                     sig, &n),
           CKR_DATA_LEN_RANGE, CKR_DATA_INVALID);
    /* ... and the session is usable. */
    n = sizeof sig;
    OK(f->C_SignInit(ses, &w.mech, w.keys->priv));
    OK(f->C_Sign(ses, w.raw, w.raw_len, sig, &n));
}

/* Mech 2.1.10: other lengths of the salt. */
static void salts(const void *arg)
{
    static const CK_ULONG lengths[] = {0, 20, 222};
    const struct row *r = arg;
    CK_BYTE sig[600], *in;
    CK_ULONG n, len, used = 0;

    start(r, CKF_SIGN);
    in = input(r, &len);
    for (size_t i = 0; i < N(lengths); i++) {
        if (lengths[i] + hash_size(w.hash) + 2 > RSA_BYTES)
            continue;
        pss.sLen = lengths[i];
        if (EXPECT(f->C_SignInit(ses, &w.mech, w.keys->priv), CKR_OK,
                   CKR_MECHANISM_PARAM_INVALID) != CKR_OK)
            continue;
        n = sizeof sig;
        OK(f->C_Sign(ses, in, len, sig, &n));
        MUST(good(r, sig, n), "OpenSSL does not take the signature with %lu bytes of salt",
             pss.sLen);
        used++;
    }
    if (used == 0)
        conf_skip("only a salt as long as the hash");
}

static void parameter(const void *arg)
{
    const struct row *r = arg;

    start(r, CKF_SIGN);
    if (r->scheme != PSS) {
        w.mech.pParameter = text;
        w.mech.ulParameterLen = 3;
        EXPECT(f->C_SignInit(ses, &w.mech, w.keys->priv), CKR_MECHANISM_PARAM_INVALID);
        return;
    }
    w.mech.ulParameterLen = 8;
    EXPECT(f->C_SignInit(ses, &w.mech, w.keys->priv), CKR_MECHANISM_PARAM_INVALID,
           CKR_ARGUMENTS_BAD);
    w.mech = (CK_MECHANISM)MECH(r->type);
    EXPECT(f->C_SignInit(ses, &w.mech, w.keys->priv), CKR_MECHANISM_PARAM_INVALID,
           CKR_ARGUMENTS_BAD);
    w.mech = (CK_MECHANISM)MECH_P(r->type, pss);
    pss.hashAlg = r->hash == CKM_SHA384 ? CKM_SHA256 : CKM_SHA384;
    if (r->hash != 0)
        EXPECT(f->C_SignInit(ses, &w.mech, w.keys->priv), CKR_MECHANISM_PARAM_INVALID,
               CKR_ARGUMENTS_BAD);
    pss.hashAlg = 0x4711;
    EXPECT(f->C_SignInit(ses, &w.mech, w.keys->priv), CKR_MECHANISM_PARAM_INVALID,
           CKR_ARGUMENTS_BAD);
}

static void wrong_key(const void *arg)
{
    const struct row *r = arg;
    const struct keys_pair *other;

    start(r, CKF_SIGN | CKF_VERIFY);
    other = r->scheme == ECDSA ? keys_rsa() : keys_ec(&keys_curves[0], USE_SIGN);
    EXPECT(f->C_SignInit(ses, &w.mech, other->priv), CKR_KEY_TYPE_INCONSISTENT);
    EXPECT(f->C_VerifyInit(ses, &w.mech, other->pub), CKR_KEY_TYPE_INCONSISTENT);
    EXPECT(f->C_SignInit(ses, &w.mech, w.keys->pub), CKR_KEY_HANDLE_INVALID,
           CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(f->C_VerifyInit(ses, &w.mech, w.keys->priv), CKR_KEY_HANDLE_INVALID,
           CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_FUNCTION_NOT_PERMITTED);
}

static void not_permitted(const void *arg)
{
    const struct row *r = arg;
    const struct keys_pair *derive;

    start(r, CKF_SIGN | CKF_VERIFY);
    derive = keys_ec(w.curve, USE_DERIVE);
    EXPECT(f->C_SignInit(ses, &w.mech, derive->priv), CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT(f->C_VerifyInit(ses, &w.mech, derive->pub), CKR_KEY_FUNCTION_NOT_PERMITTED);
}

void sign_checks(void)
{
    for (size_t i = 0; i < N(rows); i++) {
        const struct row *r = &rows[i];

        conf_add(CONF_USER, one_part, r, "sign/%s/one-part", r->name);
        if (r->hash != 0)
            conf_add(CONF_USER, parts, r, "sign/%s/multi-part", r->name);
        else
            conf_add(CONF_USER, single_part, r, "sign/%s/update", r->name);
        conf_add(CONF_USER, verify, r, "sign/%s/verify", r->name);
        conf_add(CONF_USER, foreign, r, "sign/%s/foreign-signature", r->name);
        if (r->hash == 0 && r->scheme != ECDSA)
            conf_add(CONF_USER, too_long, r, "sign/%s/wrong-length", r->name);
        if (r->scheme == PSS)
            conf_add(CONF_USER, salts, r, "sign/%s/salts", r->name);
        conf_add(CONF_USER, parameter, r, "sign/%s/parameter", r->name);
        conf_add(CONF_USER, wrong_key, r, "sign/%s/wrong-key", r->name);
        if (r->scheme == ECDSA)
            conf_add(CONF_USER, not_permitted, r, "sign/%s/not-permitted", r->name);
    }
}
