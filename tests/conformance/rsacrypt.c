/* RSA that encrypts (Mech 2.1.6 PKCS #1 v1.5, 2.1.7 X.509, 2.1.8 OAEP), and recovery. */
#include <openssl/rsa.h>

#include "tests/conformance/ref.h"

static uint8_t text[RSA_BYTES];
static CK_RSA_PKCS_OAEP_PARAMS oaep;

struct oaep_row {
    const char *name, *md, *mgf;
    CK_MECHANISM_TYPE hash;
    CK_RSA_PKCS_MGF_TYPE mgf_type;
    CK_ULONG hash_len;
};
static const struct oaep_row rows[] = {
    {"sha1", "SHA1", "SHA1", CKM_SHA_1, CKG_MGF1_SHA1, 20},
    {"sha224", "SHA224", "SHA224", CKM_SHA224, CKG_MGF1_SHA224, 28},
    {"sha256", "SHA256", "SHA256", CKM_SHA256, CKG_MGF1_SHA256, 32},
    {"sha384", "SHA384", "SHA384", CKM_SHA384, CKG_MGF1_SHA384, 48},
    {"sha512", "SHA512", "SHA512", CKM_SHA512, CKG_MGF1_SHA512, 64},
    {"sha256-mgf-sha1", "SHA256", "SHA1", CKM_SHA256, CKG_MGF1_SHA1, 32},
};
static const char label[] = "a label\0with a zero in it";

static const struct keys_pair *start(CK_MECHANISM_TYPE m, CK_FLAGS need)
{
    conf_need(m, need);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 29 + 1);
    text[0] = 0;
    return keys_rsa();
}

/* A module may offer one hash of OAEP and not another: then Init says so. */
static CK_MECHANISM oaep_of(const struct oaep_row *r, bool with_label)
{
    CK_MECHANISM m = MECH_P(CKM_RSA_PKCS_OAEP, oaep);

    oaep = (CK_RSA_PKCS_OAEP_PARAMS){r->hash, r->mgf_type, CKZ_DATA_SPECIFIED, NULL, 0};
    if (with_label) {
        oaep.pSourceData = (void *)(uintptr_t)label;
        oaep.ulSourceDataLen = sizeof label;
    }
    return m;
}

static void may_refuse(CK_RV rv)
{
    if (rv == CKR_MECHANISM_PARAM_INVALID || rv == CKR_ARGUMENTS_BAD)
        conf_skip("%s for these parameters", conf_ckr(rv));
    OK(rv);
}

static void oaep_decrypt(const struct oaep_row *r, bool with_label)
{
    const struct keys_pair *k = start(CKM_RSA_PKCS_OAEP, CKF_DECRYPT);
    CK_ULONG most = RSA_BYTES - 2 * r->hash_len - 2;
    CK_ULONG lengths[] = {0, 1, 32, most};
    CK_MECHANISM m = oaep_of(r, with_label);
    uint8_t c[REF_MAX], p[RSA_BYTES];
    EVP_PKEY *pub = ref_rsa(k->pub);

    for (size_t i = 0; i < N(lengths); i++) {
        CK_ULONG n = sizeof p;
        size_t len = ref_rsa_encrypt(pub, RSA_PKCS1_OAEP_PADDING, r->md, r->mgf, label,
                                     with_label ? sizeof label : 0, text, lengths[i], c);

        may_refuse(f->C_DecryptInit(ses, &m, k->priv));
        OK(f->C_Decrypt(ses, c, len, p, &n));
        conf_same("the plaintext", p, n, text, lengths[i]);
    }
    EVP_PKEY_free(pub);
}

static void oaep_plain(const void *arg)
{
    oaep_decrypt(arg, false);
}
static void oaep_label(const void *arg)
{
    oaep_decrypt(arg, true);
}

static void oaep_encrypt(const void *arg)
{
    const struct oaep_row *r = arg;
    const struct keys_pair *k = start(CKM_RSA_PKCS_OAEP, CKF_ENCRYPT | CKF_DECRYPT);
    CK_MECHANISM m = oaep_of(r, false);
    uint8_t c[RSA_BYTES], d[RSA_BYTES], p[RSA_BYTES];
    CK_ULONG n = sizeof c, o = sizeof d;

    may_refuse(f->C_EncryptInit(ses, &m, k->pub));
    OK(f->C_Encrypt(ses, text, 40, c, &n));
    MUST(n == RSA_BYTES, "%lu bytes", n);
    OK(f->C_EncryptInit(ses, &m, k->pub));
    OK(f->C_Encrypt(ses, text, 40, d, &o));
    MUST(memcmp(c, d, n) != 0, "two encryptions are the same");
    o = sizeof p;
    OK(f->C_DecryptInit(ses, &m, k->priv));
    OK(f->C_Decrypt(ses, c, n, p, &o));
    conf_same("the plaintext", p, o, text, 40);
}

static void oaep_wrong(const void *arg)
{
    const struct keys_pair *k = start(CKM_RSA_PKCS_OAEP, CKF_DECRYPT);
    CK_MECHANISM m = oaep_of(&rows[2], false);
    uint8_t c[REF_MAX], p[RSA_BYTES];
    CK_ULONG n = sizeof p;
    EVP_PKEY *pub = ref_rsa(k->pub);
    size_t len = ref_rsa_encrypt(pub, RSA_PKCS1_OAEP_PADDING, "SHA256", "SHA256", label,
                                 sizeof label, text, 20, c);

    (void)arg;
    may_refuse(f->C_DecryptInit(ses, &m, k->priv));
    EXPECT(f->C_Decrypt(ses, c, len, p, &n), CKR_ENCRYPTED_DATA_INVALID);
    n = sizeof p;
    OK(f->C_DecryptInit(ses, &m, k->priv));
    EXPECT(f->C_Decrypt(ses, c, len - 1, p, &n), CKR_ENCRYPTED_DATA_LEN_RANGE,
           CKR_ENCRYPTED_DATA_INVALID);
    EVP_PKEY_free(pub);
}

static void oaep_parameter(const void *arg)
{
    const struct keys_pair *k = start(CKM_RSA_PKCS_OAEP, CKF_DECRYPT);
    CK_MECHANISM m = oaep_of(&rows[2], false);

    (void)arg;
    m.ulParameterLen = 8;
    EXPECT(f->C_DecryptInit(ses, &m, k->priv), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
    m = (CK_MECHANISM)MECH(CKM_RSA_PKCS_OAEP);
    EXPECT(f->C_DecryptInit(ses, &m, k->priv), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
    m = oaep_of(&rows[2], false);
    oaep.hashAlg = 0x4711;
    EXPECT(f->C_DecryptInit(ses, &m, k->priv), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
    m = oaep_of(&rows[2], false);
    oaep.mgf = 0x4711;
    EXPECT(f->C_DecryptInit(ses, &m, k->priv), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
}

/* --- PKCS #1 v1.5 and X.509 ----------------------------------------------- */

/* A token may keep v1.5 decryption from keys that do not ask for it. */
static const struct keys_pair *pkcs_start(CK_FLAGS need)
{
    const struct keys_pair *k = start(CKM_RSA_PKCS, need);
    CK_MECHANISM m = MECH(CKM_RSA_PKCS);
    CK_BYTE out[RSA_BYTES];
    CK_ULONG n = sizeof out;
    CK_RV rv = f->C_DecryptInit(ses, &m, k->priv);

    if (rv == CKR_MECHANISM_INVALID || rv == CKR_KEY_FUNCTION_NOT_PERMITTED)
        conf_skip("%s for this key", conf_ckr(rv));
    OK(rv);
    (void)f->C_Decrypt(ses, text, RSA_BYTES, out, &n);
    return k;
}

static void pkcs_decrypt(const void *arg)
{
    static const CK_ULONG lengths[] = {1, 48, RSA_BYTES - 11};
    const struct keys_pair *k = pkcs_start(CKF_DECRYPT);
    CK_MECHANISM m = MECH(CKM_RSA_PKCS);
    uint8_t c[REF_MAX], p[RSA_BYTES];
    EVP_PKEY *pub = ref_rsa(k->pub);

    (void)arg;
    for (size_t i = 0; i < N(lengths); i++) {
        CK_ULONG n = sizeof p;
        size_t len =
            ref_rsa_encrypt(pub, RSA_PKCS1_PADDING, NULL, NULL, NULL, 0, text + 1, lengths[i], c);

        OK(f->C_DecryptInit(ses, &m, k->priv));
        OK(f->C_Decrypt(ses, c, len, p, &n));
        conf_same("the plaintext", p, n, text + 1, lengths[i]);
    }
    EVP_PKEY_free(pub);
}

static void pkcs_encrypt(const void *arg)
{
    const struct keys_pair *k = pkcs_start(CKF_ENCRYPT | CKF_DECRYPT);
    CK_MECHANISM m = MECH(CKM_RSA_PKCS);
    uint8_t c[RSA_BYTES], p[RSA_BYTES];
    CK_ULONG n = sizeof c, o = sizeof p;

    (void)arg;
    OK(f->C_EncryptInit(ses, &m, k->pub));
    OK(f->C_Encrypt(ses, text, 40, c, &n));
    OK(f->C_DecryptInit(ses, &m, k->priv));
    OK(f->C_Decrypt(ses, c, n, p, &o));
    conf_same("the plaintext", p, o, text, 40);
    n = sizeof c;
    OK(f->C_EncryptInit(ses, &m, k->pub));
    EXPECT(f->C_Encrypt(ses, text, RSA_BYTES - 10, c, &n), CKR_DATA_LEN_RANGE);
}

static void x509_both(const void *arg)
{
    const struct keys_pair *k = start(CKM_RSA_X_509, CKF_ENCRYPT | CKF_DECRYPT);
    CK_MECHANISM m = MECH(CKM_RSA_X_509);
    uint8_t c[RSA_BYTES], want[REF_MAX], p[RSA_BYTES];
    CK_ULONG n = sizeof c, o = sizeof p;
    EVP_PKEY *pub = ref_rsa(k->pub);

    (void)arg;
    ref_rsa_encrypt(pub, RSA_NO_PADDING, NULL, NULL, NULL, 0, text, RSA_BYTES, want);
    OK(f->C_EncryptInit(ses, &m, k->pub));
    OK(f->C_Encrypt(ses, text, RSA_BYTES, c, &n));
    conf_same("the ciphertext", c, n, want, RSA_BYTES);
    OK(f->C_DecryptInit(ses, &m, k->priv));
    OK(f->C_Decrypt(ses, c, n, p, &o));
    conf_same("the plaintext", p, o, text, RSA_BYTES);
    EVP_PKEY_free(pub);
}

static void not_permitted(const void *arg)
{
    const struct keys_pair *k = keys_ec(&keys_curves[0], USE_SIGN);
    CK_MECHANISM m = oaep_of(&rows[2], false);

    (void)arg;
    conf_need(CKM_RSA_PKCS_OAEP, CKF_DECRYPT);
    EXPECT(f->C_DecryptInit(ses, &m, k->priv), CKR_KEY_FUNCTION_NOT_PERMITTED,
           CKR_KEY_TYPE_INCONSISTENT);
}

/* --- recovery (Base 5.11, 5.12) ------------------------------------------- */

static void recover(const void *arg)
{
    const CK_MECHANISM_TYPE *type = arg;
    const struct keys_pair *k = start(*type, CKF_SIGN_RECOVER | CKF_VERIFY_RECOVER);
    CK_MECHANISM m = MECH(*type);
    uint8_t sig[RSA_BYTES], back[RSA_BYTES], *in = *type == CKM_RSA_PKCS ? text + 1 : text;
    CK_ULONG len = *type == CKM_RSA_PKCS ? 51 : RSA_BYTES, n = 10, o = sizeof back;

    OK(f->C_SignRecoverInit(ses, &m, k->priv));
    EXPECT(f->C_SignRecover(ses, in, len, sig, &n), CKR_BUFFER_TOO_SMALL);
    MUST(n == RSA_BYTES, "too small: it says %lu", n);
    OK(f->C_SignRecover(ses, in, len, sig, &n));
    OK(f->C_VerifyRecoverInit(ses, &m, k->pub));
    OK(f->C_VerifyRecover(ses, sig, n, back, &o));
    conf_same("the data", back, o, in, len);
    sig[7] ^= 1;
    if (*type == CKM_RSA_PKCS) {
        o = sizeof back;
        OK(f->C_VerifyRecoverInit(ses, &m, k->pub));
        EXPECT(f->C_VerifyRecover(ses, sig, n, back, &o), CKR_SIGNATURE_INVALID);
    }
    o = sizeof back;
    OK(f->C_VerifyRecoverInit(ses, &m, k->pub));
    EXPECT(f->C_VerifyRecover(ses, sig, n - 1, back, &o), CKR_SIGNATURE_LEN_RANGE,
           CKR_SIGNATURE_INVALID);
    EXPECT(f->C_VerifyRecover(ses, sig, n, back, &o), CKR_OPERATION_NOT_INITIALIZED);
}

void rsacrypt_checks(void)
{
    static const CK_MECHANISM_TYPE recovering[] = {CKM_RSA_PKCS, CKM_RSA_X_509};

    for (size_t i = 0; i < N(rows); i++) {
        conf_add(CONF_USER, oaep_plain, &rows[i], "rsa/oaep-%s/decrypt", rows[i].name);
        conf_add(CONF_USER, oaep_label, &rows[i], "rsa/oaep-%s/label", rows[i].name);
        conf_add(CONF_USER, oaep_encrypt, &rows[i], "rsa/oaep-%s/encrypt", rows[i].name);
    }
    conf_add(CONF_USER, oaep_wrong, NULL, "rsa/oaep/wrong-ciphertext");
    conf_add(CONF_USER, oaep_parameter, NULL, "rsa/oaep/parameter");
    conf_add(CONF_USER, not_permitted, NULL, "rsa/oaep/wrong-key");
    conf_add(CONF_USER, pkcs_decrypt, NULL, "rsa/pkcs/decrypt");
    conf_add(CONF_USER, pkcs_encrypt, NULL, "rsa/pkcs/encrypt");
    conf_add(CONF_USER, x509_both, NULL, "rsa/x509/both");
    conf_add(CONF_USER, recover, &recovering[0], "rsa/pkcs/recover");
    conf_add(CONF_USER, recover, &recovering[1], "rsa/x509/recover");
}
