/*
 * Mechanisms as they are advertised (Base 5.5 C_GetMechanismInfo): each flag that is set means that
 * the function works, and for each that is not set its Init refuses the mechanism.
 */
#include <openssl/rsa.h>

#include "tests/conformance/ref.h"

enum kind {
    RSA_GEN,
    EC_GEN,
    AES_GEN,
    GENERIC_GEN,
    RSA_ANY,
    EC_SIGN,
    EC_DERIVE,
    AES_CIPHER,
    AES_WRAP,
    AES_MAC,
    HASH,
    HMAC,
    HKDF
};

struct row {
    CK_MECHANISM_TYPE type;
    const char *name;
    enum kind kind;
    enum { PLAIN, PSS_P, OAEP_P, IV_P, CTR_P, GCM_P, MAC_P } param;
    CK_MECHANISM_TYPE hash;
};
static const struct row rows[] = {
    {CKM_RSA_PKCS_KEY_PAIR_GEN, "rsa-key-pair-gen", RSA_GEN, PLAIN, 0},
    {CKM_EC_KEY_PAIR_GEN, "ec-key-pair-gen", EC_GEN, PLAIN, 0},
    {CKM_AES_KEY_GEN, "aes-key-gen", AES_GEN, PLAIN, 0},
    {CKM_GENERIC_SECRET_KEY_GEN, "generic-key-gen", GENERIC_GEN, PLAIN, 0},
    {CKM_RSA_PKCS, "rsa-pkcs", RSA_ANY, PLAIN, 0},
    {CKM_RSA_X_509, "rsa-x509", RSA_ANY, PLAIN, 0},
    {CKM_RSA_PKCS_OAEP, "rsa-oaep", RSA_ANY, OAEP_P, 0},
    {CKM_SHA1_RSA_PKCS, "sha1-rsa-pkcs", RSA_ANY, PLAIN, 0},
    {CKM_SHA224_RSA_PKCS, "sha224-rsa-pkcs", RSA_ANY, PLAIN, 0},
    {CKM_SHA256_RSA_PKCS, "sha256-rsa-pkcs", RSA_ANY, PLAIN, 0},
    {CKM_SHA384_RSA_PKCS, "sha384-rsa-pkcs", RSA_ANY, PLAIN, 0},
    {CKM_SHA512_RSA_PKCS, "sha512-rsa-pkcs", RSA_ANY, PLAIN, 0},
    {CKM_RSA_PKCS_PSS, "rsa-pkcs-pss", RSA_ANY, PSS_P, CKM_SHA256},
    {CKM_SHA1_RSA_PKCS_PSS, "sha1-rsa-pkcs-pss", RSA_ANY, PSS_P, CKM_SHA_1},
    {CKM_SHA224_RSA_PKCS_PSS, "sha224-rsa-pkcs-pss", RSA_ANY, PSS_P, CKM_SHA224},
    {CKM_SHA256_RSA_PKCS_PSS, "sha256-rsa-pkcs-pss", RSA_ANY, PSS_P, CKM_SHA256},
    {CKM_SHA384_RSA_PKCS_PSS, "sha384-rsa-pkcs-pss", RSA_ANY, PSS_P, CKM_SHA384},
    {CKM_SHA512_RSA_PKCS_PSS, "sha512-rsa-pkcs-pss", RSA_ANY, PSS_P, CKM_SHA512},
    {CKM_ECDSA, "ecdsa", EC_SIGN, PLAIN, 0},
    {CKM_ECDSA_SHA1, "ecdsa-sha1", EC_SIGN, PLAIN, 0},
    {CKM_ECDSA_SHA224, "ecdsa-sha224", EC_SIGN, PLAIN, 0},
    {CKM_ECDSA_SHA256, "ecdsa-sha256", EC_SIGN, PLAIN, 0},
    {CKM_ECDSA_SHA384, "ecdsa-sha384", EC_SIGN, PLAIN, 0},
    {CKM_ECDSA_SHA512, "ecdsa-sha512", EC_SIGN, PLAIN, 0},
    {CKM_ECDH1_DERIVE, "ecdh1", EC_DERIVE, PLAIN, 0},
    {CKM_ECDH1_COFACTOR_DERIVE, "ecdh1-cofactor", EC_DERIVE, PLAIN, 0},
    {CKM_AES_ECB, "aes-ecb", AES_CIPHER, PLAIN, 0},
    {CKM_AES_CBC, "aes-cbc", AES_CIPHER, IV_P, 0},
    {CKM_AES_CBC_PAD, "aes-cbc-pad", AES_CIPHER, IV_P, 0},
    {CKM_AES_CTR, "aes-ctr", AES_CIPHER, CTR_P, 0},
    {CKM_AES_CFB128, "aes-cfb128", AES_CIPHER, IV_P, 0},
    {CKM_AES_OFB, "aes-ofb", AES_CIPHER, IV_P, 0},
    {CKM_AES_GCM, "aes-gcm", AES_CIPHER, GCM_P, 0},
    {CKM_AES_KEY_WRAP, "aes-key-wrap", AES_WRAP, PLAIN, 0},
    {CKM_AES_KEY_WRAP_PAD, "aes-key-wrap-pad", AES_WRAP, PLAIN, 0},
    {CKM_AES_KEY_WRAP_KWP, "aes-key-wrap-kwp", AES_WRAP, PLAIN, 0},
    {CKM_AES_CMAC, "aes-cmac", AES_MAC, PLAIN, 0},
    {CKM_AES_CMAC_GENERAL, "aes-cmac-general", AES_MAC, MAC_P, 0},
    {CKM_SHA_1, "sha1", HASH, PLAIN, 0},
    {CKM_SHA224, "sha224", HASH, PLAIN, 0},
    {CKM_SHA256, "sha256", HASH, PLAIN, 0},
    {CKM_SHA384, "sha384", HASH, PLAIN, 0},
    {CKM_SHA512, "sha512", HASH, PLAIN, 0},
    {CKM_SHA_1_HMAC, "hmac-sha1", HMAC, PLAIN, 0},
    {CKM_SHA224_HMAC, "hmac-sha224", HMAC, PLAIN, 0},
    {CKM_SHA256_HMAC, "hmac-sha256", HMAC, PLAIN, 0},
    {CKM_SHA384_HMAC, "hmac-sha384", HMAC, PLAIN, 0},
    {CKM_SHA512_HMAC, "hmac-sha512", HMAC, PLAIN, 0},
    {CKM_SHA_1_HMAC_GENERAL, "hmac-sha1-general", HMAC, MAC_P, 0},
    {CKM_SHA224_HMAC_GENERAL, "hmac-sha224-general", HMAC, MAC_P, 0},
    {CKM_SHA256_HMAC_GENERAL, "hmac-sha256-general", HMAC, MAC_P, 0},
    {CKM_SHA384_HMAC_GENERAL, "hmac-sha384-general", HMAC, MAC_P, 0},
    {CKM_SHA512_HMAC_GENERAL, "hmac-sha512-general", HMAC, MAC_P, 0},
    {CKM_HKDF_DERIVE, "hkdf", HKDF, PLAIN, 0},
};

static CK_BYTE bytes[512];
static CK_RSA_PKCS_PSS_PARAMS pss;
static CK_RSA_PKCS_OAEP_PARAMS oaep;
static CK_AES_CTR_PARAMS ctr = {128, {0}};
static CK_GCM_PARAMS gcm;
static CK_ULONG mac_len = 8;
static CK_ECDH1_DERIVE_PARAMS ecdh;
static CK_HKDF_PARAMS hkdf = {
    .bExpand = 1, .bExtract = 1, .prfHashMechanism = CKM_SHA256, .ulSaltType = CKF_HKDF_SALT_NULL};
static uint8_t peer[REF_MAX];

static CK_MECHANISM mechanism(const struct row *r)
{
    memset(bytes, 0, sizeof bytes);
    if (r->kind == HKDF)
        return (CK_MECHANISM)MECH_P(r->type, hkdf);
    if (r->kind == EC_DERIVE) {
        EVP_PKEY *k = ref_new_ec(&keys_curves[0]);

        ecdh = (CK_ECDH1_DERIVE_PARAMS){CKD_NULL, 0, NULL, ref_point(k, peer), peer};
        EVP_PKEY_free(k);
        return (CK_MECHANISM)MECH_P(r->type, ecdh);
    }
    switch (r->param) {
    case PSS_P:
        pss = (CK_RSA_PKCS_PSS_PARAMS){r->hash, CKG_MGF1_SHA256, 32};
        switch (r->hash) {
        case CKM_SHA_1: pss.mgf = CKG_MGF1_SHA1, pss.sLen = 20; break;
        case CKM_SHA224: pss.mgf = CKG_MGF1_SHA224, pss.sLen = 28; break;
        case CKM_SHA384: pss.mgf = CKG_MGF1_SHA384, pss.sLen = 48; break;
        case CKM_SHA512: pss.mgf = CKG_MGF1_SHA512, pss.sLen = 64; break;
        default: break;
        }
        return (CK_MECHANISM)MECH_P(r->type, pss);
    case OAEP_P:
        oaep = (CK_RSA_PKCS_OAEP_PARAMS){CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED, NULL, 0};
        return (CK_MECHANISM)MECH_P(r->type, oaep);
    case IV_P: return (CK_MECHANISM){r->type, bytes, 16};
    case CTR_P: return (CK_MECHANISM)MECH_P(r->type, ctr);
    case GCM_P:
        gcm = (CK_GCM_PARAMS){bytes, 12, 96, NULL, 0, 128};
        return (CK_MECHANISM)MECH_P(r->type, gcm);
    case MAC_P: return (CK_MECHANISM)MECH_P(r->type, mac_len);
    default: return (CK_MECHANISM)MECH(r->type);
    }
}

/* The keys that the mechanism works with. */
static void keys_for(const struct row *r, unsigned use, CK_OBJECT_HANDLE *pub,
                     CK_OBJECT_HANDLE *priv)
{
    const struct keys_pair *p;

    switch (r->kind) {
    case RSA_ANY: p = keys_rsa(), *pub = p->pub, *priv = p->priv; break;
    case EC_SIGN: p = keys_ec(&keys_curves[0], USE_SIGN), *pub = p->pub, *priv = p->priv; break;
    case EC_DERIVE: p = keys_ec(&keys_curves[0], USE_DERIVE), *pub = p->pub, *priv = p->priv; break;
    case HMAC: *pub = *priv = keys_import(CKK_GENERIC_SECRET, bytes, 64, use); break;
    case HKDF: *pub = *priv = keys_import(CKK_GENERIC_SECRET, bytes, 64, use); break;
    default: *pub = *priv = keys_aes(32, use);
    }
}

/* --- one function of C_GetMechanismInfo's flags each ---------------------- */

struct use {
    const char *name;
    CK_FLAGS flag;
    CK_RV (*call)(const struct row *r, CK_MECHANISM *m);
};

static CK_RV use_encrypt(const struct row *r, CK_MECHANISM *m)
{
    CK_OBJECT_HANDLE a, b;

    keys_for(r, USE_ENC, &a, &b);
    return f->C_EncryptInit(ses, m, a);
}
static CK_RV use_decrypt(const struct row *r, CK_MECHANISM *m)
{
    CK_OBJECT_HANDLE a, b;

    keys_for(r, USE_ENC, &a, &b);
    return f->C_DecryptInit(ses, m, b);
}
static CK_RV use_digest(const struct row *r, CK_MECHANISM *m)
{
    (void)r;
    return f->C_DigestInit(ses, m);
}
static CK_RV use_sign(const struct row *r, CK_MECHANISM *m)
{
    CK_OBJECT_HANDLE a, b;

    keys_for(r, USE_SIGN, &a, &b);
    return f->C_SignInit(ses, m, b);
}
static CK_RV use_verify(const struct row *r, CK_MECHANISM *m)
{
    CK_OBJECT_HANDLE a, b;

    keys_for(r, USE_SIGN, &a, &b);
    return f->C_VerifyInit(ses, m, a);
}
static CK_RV use_sign_recover(const struct row *r, CK_MECHANISM *m)
{
    CK_OBJECT_HANDLE a, b;

    keys_for(r, USE_SIGN, &a, &b);
    return f->C_SignRecoverInit(ses, m, b);
}
static CK_RV use_verify_recover(const struct row *r, CK_MECHANISM *m)
{
    CK_OBJECT_HANDLE a, b;

    keys_for(r, USE_SIGN, &a, &b);
    return f->C_VerifyRecoverInit(ses, m, a);
}
static CK_RV use_generate(const struct row *r, CK_MECHANISM *m)
{
    CK_ATTRIBUTE t[] = {LABEL, NO(CKA_TOKEN), UL(CKA_VALUE_LEN, 32)};
    CK_OBJECT_HANDLE h;

    (void)r;
    return f->C_GenerateKey(ses, m, t, N(t), &h);
}
static CK_RV use_generate_pair(const struct row *r, CK_MECHANISM *m)
{
    CK_ATTRIBUTE ec[] = {LABEL, NO(CKA_TOKEN),
                         BYTES(CKA_EC_PARAMS, keys_curves[0].oid, keys_curves[0].oid_len)};
    CK_ATTRIBUTE priv[] = {LABEL, NO(CKA_TOKEN), YES(CKA_SIGN)};
    CK_OBJECT_HANDLE a, b;

    if (r->kind == RSA_GEN) {
        (void)keys_rsa(); /* by this very mechanism, once for all */
        return CKR_OK;
    }
    return f->C_GenerateKeyPair(ses, m, ec, N(ec), priv, N(priv), &a, &b);
}
static CK_RV use_wrap(const struct row *r, CK_MECHANISM *m)
{
    CK_OBJECT_HANDLE a, b, h = keys_import(CKK_AES, bytes, 16, USE_ENC);
    CK_BYTE out[512];
    CK_ULONG n = sizeof out;

    keys_for(r, USE_WRAP, &a, &b);
    return f->C_WrapKey(ses, m, a, h, out, &n);
}
/* What is wrapped here is nothing: it is the mechanism that must be known. */
static CK_RV use_unwrap(const struct row *r, CK_MECHANISM *m)
{
    CK_ATTRIBUTE t[] = {UL(CKA_CLASS, CKO_SECRET_KEY), UL(CKA_KEY_TYPE, CKK_AES), LABEL,
                        NO(CKA_TOKEN)};
    CK_OBJECT_HANDLE a, b, h;
    CK_RV rv;

    keys_for(r, USE_WRAP, &a, &b);
    rv = f->C_UnwrapKey(ses, m, b, bytes, r->kind == RSA_ANY ? RSA_BYTES : 32, t, N(t), &h);
    return rv == CKR_MECHANISM_INVALID || rv == CKR_FUNCTION_NOT_SUPPORTED ||
                   rv == CKR_MECHANISM_PARAM_INVALID || rv == CKR_ARGUMENTS_BAD ||
                   rv == CKR_KEY_FUNCTION_NOT_PERMITTED
               ? rv
               : CKR_OK;
}
static CK_RV use_derive(const struct row *r, CK_MECHANISM *m)
{
    CK_ATTRIBUTE t[] = {UL(CKA_CLASS, CKO_SECRET_KEY), UL(CKA_KEY_TYPE, CKK_GENERIC_SECRET), LABEL,
                        NO(CKA_TOKEN), UL(CKA_VALUE_LEN, 32)};
    CK_OBJECT_HANDLE a, b, h;

    keys_for(r, USE_DERIVE, &a, &b);
    return f->C_DeriveKey(ses, m, b, t, N(t), &h);
}

/* What is by message has its parameters with each message; but not those of a signature. */
static CK_RV message(const struct row *r, CK_MECHANISM *m, unsigned use, bool private,
                     CK_C_MessageSignInit init)
{
    CK_OBJECT_HANDLE a, b;

    if (r->param == GCM_P)
        *m = (CK_MECHANISM)MECH(r->type);
    keys_for(r, use, &a, &b);
    return init(ses, m, private ? b : a);
}
static CK_RV use_message_encrypt(const struct row *r, CK_MECHANISM *m)
{
    return f3 == NULL ? CKR_FUNCTION_NOT_SUPPORTED
                      : message(r, m, USE_ENC, false, f3->C_MessageEncryptInit);
}
static CK_RV use_message_decrypt(const struct row *r, CK_MECHANISM *m)
{
    return f3 == NULL ? CKR_FUNCTION_NOT_SUPPORTED
                      : message(r, m, USE_ENC, true, f3->C_MessageDecryptInit);
}
static CK_RV use_message_sign(const struct row *r, CK_MECHANISM *m)
{
    return f3 == NULL ? CKR_FUNCTION_NOT_SUPPORTED
                      : message(r, m, USE_SIGN, true, f3->C_MessageSignInit);
}
static CK_RV use_message_verify(const struct row *r, CK_MECHANISM *m)
{
    return f3 == NULL ? CKR_FUNCTION_NOT_SUPPORTED
                      : message(r, m, USE_SIGN, false, f3->C_MessageVerifyInit);
}

static const struct use uses[] = {
    {"message-encrypt", CKF_MESSAGE_ENCRYPT, use_message_encrypt},
    {"message-decrypt", CKF_MESSAGE_DECRYPT, use_message_decrypt},
    {"message-sign", CKF_MESSAGE_SIGN, use_message_sign},
    {"message-verify", CKF_MESSAGE_VERIFY, use_message_verify},
    {"encrypt", CKF_ENCRYPT, use_encrypt},
    {"decrypt", CKF_DECRYPT, use_decrypt},
    {"digest", CKF_DIGEST, use_digest},
    {"sign", CKF_SIGN, use_sign},
    {"verify", CKF_VERIFY, use_verify},
    {"sign-recover", CKF_SIGN_RECOVER, use_sign_recover},
    {"verify-recover", CKF_VERIFY_RECOVER, use_verify_recover},
    {"generate", CKF_GENERATE, use_generate},
    {"generate-key-pair", CKF_GENERATE_KEY_PAIR, use_generate_pair},
    {"wrap", CKF_WRAP, use_wrap},
    {"unwrap", CKF_UNWRAP, use_unwrap},
    {"derive", CKF_DERIVE, use_derive},
};

/* What lets the refused mechanism meet no better reason for the refusal than itself: any key. */
static CK_RV refused_call(const struct use *u, CK_MECHANISM *m)
{
    static const struct row aes_row = {0, NULL, AES_CIPHER, PLAIN, 0};

    return u->call(&aes_row, m);
}

static void advertised(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m = mechanism(r);
    CK_MECHANISM_INFO i = {0, 0, 0};
    unsigned used = 0;

    if (f->C_GetMechanismInfo(slot, r->type, &i) != CKR_OK)
        conf_skip("not advertised");
    for (size_t u = 0; u < N(uses); u++) {
        CK_RV rv;

        if (!(i.flags & uses[u].flag))
            continue;
        m = mechanism(r);
        (void)f->C_CloseSession(ses);
        ses = conf_open(CKF_RW_SESSION);
        rv = uses[u].call(r, &m);
        if (r->param == OAEP_P && (rv == CKR_MECHANISM_PARAM_INVALID || rv == CKR_ARGUMENTS_BAD)) {
            oaep.hashAlg = CKM_SHA_1; /* some know no other hash */
            oaep.mgf = CKG_MGF1_SHA1;
            rv = uses[u].call(r, &m);
        }
        /* A key's CKA_ALLOWED_MECHANISMS may be needed: then the mechanism as such is known. */
        MUST(rv == CKR_OK || (rv == CKR_KEY_FUNCTION_NOT_PERMITTED && r->kind == RSA_ANY),
             "flag %s, and the call answers %s", uses[u].name, conf_ckr(rv));
        used++;
    }
    MUST(used > 0, "no flag of a function is set");
}

/* CKR_MECHANISM_INVALID, or CKR_FUNCTION_NOT_SUPPORTED where the whole function is not there. Where
 * the key is at fault as well, the standard leaves the choice (Base 5.1.7): a secret key cannot
 * recover, and the RSA pair may not have been given a use that no mechanism has. */
static void not_advertised(const void *arg)
{
    const CK_FLAGS recover = CKF_SIGN_RECOVER | CKF_VERIFY_RECOVER;
    const CK_FLAGS by_pair = recover | CKF_SIGN | CKF_VERIFY | CKF_ENCRYPT | CKF_DECRYPT |
                             CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT | CKF_MESSAGE_SIGN |
                             CKF_MESSAGE_VERIFY;
    const struct row *r = arg;
    CK_MECHANISM_INFO i = {0, 0, 0};

    (void)f->C_GetMechanismInfo(slot, r->type, &i);
    for (size_t u = 0; u < N(uses); u++) {
        bool own_keys = i.flags != 0 && (r->kind == EC_SIGN || r->kind == RSA_ANY) &&
                        (uses[u].flag & by_pair);
        CK_MECHANISM m = mechanism(r);
        CK_RV rv;

        if (i.flags & uses[u].flag)
            continue;
        (void)f->C_CloseSession(ses);
        ses = conf_open(CKF_RW_SESSION);
        rv = own_keys ? uses[u].call(r, &m) : refused_call(&uses[u], &m);
        MUST(rv == CKR_MECHANISM_INVALID || rv == CKR_FUNCTION_NOT_SUPPORTED ||
                 (rv == CKR_KEY_FUNCTION_NOT_PERMITTED && own_keys) ||
                 (rv == CKR_KEY_TYPE_INCONSISTENT && !own_keys && (uses[u].flag & recover)),
             "%s without its flag answers %s", uses[u].name, conf_ckr(rv));
    }
}

/* Sizes: in bits for RSA and EC, in bytes for AES; nothing for hashes. */
static void sizes(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM_INFO i = {0, 0, 0};

    if (f->C_GetMechanismInfo(slot, r->type, &i) != CKR_OK)
        conf_skip("not advertised");
    if (r->kind == HASH)
        return;
    MUST(i.ulMinKeySize <= i.ulMaxKeySize, "%lu to %lu", i.ulMinKeySize, i.ulMaxKeySize);
    switch (r->kind) {
    case RSA_GEN:
    case RSA_ANY:
        MUST(i.ulMaxKeySize >= 2048, "RSA keys of at most %lu bits", i.ulMaxKeySize);
        break;
    case EC_GEN:
    case EC_SIGN:
    case EC_DERIVE:
        MUST(i.ulMaxKeySize >= 256, "EC keys of at most %lu bits", i.ulMaxKeySize);
        MUST(i.flags & (CKF_EC_F_P | (1UL << 21)), "neither CKF_EC_F_P nor CKF_EC_F_2M");
        break;
    case AES_GEN:
    case AES_CIPHER:
        MUST(i.ulMaxKeySize == 16 || i.ulMaxKeySize == 24 || i.ulMaxKeySize == 32,
             "AES keys of at most %lu bytes", i.ulMaxKeySize);
        break;
    default: break;
    }
}

/* Base 5.5: CKR_MECHANISM_INVALID for what is not in the list. */
static void unknown(const void *arg)
{
    CK_MECHANISM_INFO i = {0, 0, 0};

    (void)arg;
    EXPECT(f->C_GetMechanismInfo(slot, 0x7ffffff3UL, &i), CKR_MECHANISM_INVALID);
}

/* C_GetMechanismList and C_GetMechanismInfo know the same ones. */
static void list_and_info(const void *arg)
{
    CK_MECHANISM_TYPE list[512];
    CK_ULONG n = N(list);
    CK_MECHANISM_INFO info = {0, 0, 0};

    (void)arg;
    OK(f->C_GetMechanismList(slot, list, &n));
    for (size_t i = 0; i < N(rows); i++) {
        bool in = false;

        for (CK_ULONG j = 0; j < n; j++)
            in = in || list[j] == rows[i].type;
        MUST(in == (f->C_GetMechanismInfo(slot, rows[i].type, &info) == CKR_OK),
             "%s is in one and not in the other", rows[i].name);
    }
}

void mechinfo_checks(void)
{
    conf_add(CONF_USER, unknown, NULL, "mechanism/unknown");
    conf_add(CONF_USER, list_and_info, NULL, "mechanism/list-and-info");
    for (size_t i = 0; i < N(rows); i++) {
        conf_add(CONF_USER, advertised, &rows[i], "mechanism/%s/advertised", rows[i].name);
        conf_add(CONF_USER, not_advertised, &rows[i], "mechanism/%s/not-advertised", rows[i].name);
        conf_add(CONF_USER, sizes, &rows[i], "mechanism/%s/sizes", rows[i].name);
    }
}
