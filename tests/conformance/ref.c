#include "tests/conformance/ref.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/kdf.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#define REF(ok) MUST(ok, "the reference fails: %s", #ok)

const char *ref_hash_name(CK_MECHANISM_TYPE digest)
{
    switch (digest) {
    case CKM_SHA_1: return "SHA1";
    case CKM_SHA224: return "SHA224";
    case CKM_SHA256: return "SHA256";
    case CKM_SHA384: return "SHA384";
    case CKM_SHA512: return "SHA512";
    default: return NULL;
    }
}

size_t ref_digest(const char *md, const void *in, size_t len, uint8_t *out)
{
    size_t n = 0;

    REF(EVP_Q_digest(NULL, md, NULL, in, len, out, &n) == 1);
    return n;
}

size_t ref_mac(const char *mac, const char *option, const void *key, size_t key_len, const void *in,
               size_t len, uint8_t *out)
{
    EVP_MAC *m = EVP_MAC_fetch(NULL, mac, NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(m);
    OSSL_PARAM p[2] = {
        OSSL_PARAM_construct_utf8_string(strcmp(mac, "HMAC") == 0 ? "digest" : "cipher",
                                         (char *)(uintptr_t)option, 0),
        OSSL_PARAM_END,
    };
    size_t n = 0;

    REF(EVP_MAC_init(ctx, key, key_len, p) == 1 && EVP_MAC_update(ctx, in, len) == 1);
    REF(EVP_MAC_final(ctx, out, &n, REF_MAX) == 1);
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(m);
    return n;
}

static size_t cipher(const char *name, int enc, const void *key, const void *iv, bool pad,
                     const void *in, size_t len, uint8_t *out, bool *ok)
{
    EVP_CIPHER *c = EVP_CIPHER_fetch(NULL, name, NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0, more = 0;

    REF(c != NULL && ctx != NULL);
    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    REF(EVP_CipherInit_ex2(ctx, c, key, iv, enc, NULL) == 1);
    EVP_CIPHER_CTX_set_padding(ctx, pad);
    *ok = EVP_CipherUpdate(ctx, out, &n, in, (int)len) == 1 &&
          EVP_CipherFinal_ex(ctx, out + n, &more) == 1;
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(c);
    return (size_t)(n + more);
}

size_t ref_cipher(const char *name, const void *key, const void *iv, bool pad, const void *in,
                  size_t len, uint8_t *out)
{
    bool ok = false;
    size_t n = cipher(name, 1, key, iv, pad, in, len, out, &ok);

    REF(ok);
    return n;
}

size_t ref_unwrap(const char *name, const void *key, const void *in, size_t len, uint8_t *out)
{
    bool ok = false;
    size_t n = cipher(name, 0, key, NULL, false, in, len, out, &ok);

    return ok ? n : 0;
}

size_t ref_gcm(size_t key_len, const void *key, const void *iv, size_t iv_len, const void *aad,
               size_t aad_len, const void *in, size_t len, uint8_t *out, uint8_t tag[16])
{
    const EVP_CIPHER *c = key_len == 16   ? EVP_aes_128_gcm()
                          : key_len == 24 ? EVP_aes_192_gcm()
                                          : EVP_aes_256_gcm();
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0, more = 0;

    REF(EVP_EncryptInit_ex(ctx, c, NULL, NULL, NULL) == 1);
    REF(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)iv_len, NULL) == 1);
    REF(EVP_EncryptInit_ex(ctx, NULL, NULL, key, iv) == 1);
    if (aad_len > 0)
        REF(EVP_EncryptUpdate(ctx, NULL, &n, aad, (int)aad_len) == 1);
    n = 0;
    if (len > 0)
        REF(EVP_EncryptUpdate(ctx, out, &n, in, (int)len) == 1);
    REF(EVP_EncryptFinal_ex(ctx, out + n, &more) == 1);
    REF(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, tag) == 1);
    EVP_CIPHER_CTX_free(ctx);
    return (size_t)n;
}

/* --- keys ----------------------------------------------------------------- */

EVP_PKEY *ref_rsa(CK_OBJECT_HANDLE pub)
{
    uint8_t n[1024], e[16];
    BIGNUM *bn = BN_bin2bn(n, (int)keys_bytes(pub, CKA_MODULUS, n, sizeof n), NULL);
    BIGNUM *be = BN_bin2bn(e, (int)keys_bytes(pub, CKA_PUBLIC_EXPONENT, e, sizeof e), NULL);
    OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM *p;
    EVP_PKEY *k = NULL;

    REF(OSSL_PARAM_BLD_push_BN(b, "n", bn) == 1 && OSSL_PARAM_BLD_push_BN(b, "e", be) == 1);
    p = OSSL_PARAM_BLD_to_param(b);
    REF(EVP_PKEY_fromdata_init(ctx) == 1);
    MUST(EVP_PKEY_fromdata(ctx, &k, EVP_PKEY_PUBLIC_KEY, p) == 1,
         "CKA_MODULUS and CKA_PUBLIC_EXPONENT make no RSA key");
    OSSL_PARAM_free(p);
    OSSL_PARAM_BLD_free(b);
    EVP_PKEY_CTX_free(ctx);
    BN_free(bn);
    BN_free(be);
    return k;
}

static EVP_PKEY *ec_from_point(const struct keys_curve *c, uint8_t *point, size_t len)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM p[3] = {
        OSSL_PARAM_construct_utf8_string("group", (char *)(uintptr_t)c->openssl, 0),
        OSSL_PARAM_construct_octet_string("pub", point, len),
        OSSL_PARAM_END,
    };
    EVP_PKEY *k = NULL;

    REF(EVP_PKEY_fromdata_init(ctx) == 1);
    MUST(EVP_PKEY_fromdata(ctx, &k, EVP_PKEY_PUBLIC_KEY, p) == 1, "CKA_EC_POINT is no point on %s",
         c->openssl);
    EVP_PKEY_CTX_free(ctx);
    return k;
}

/* Mech 2.3.3: CKA_EC_POINT is the DER encoding (an OCTET STRING) of the point. */
EVP_PKEY *ref_ec(CK_OBJECT_HANDLE pub, const struct keys_curve *c)
{
    uint8_t der[256];
    size_t len = keys_bytes(pub, CKA_EC_POINT, der, sizeof der), head = c->bytes > 60 ? 3 : 2;

    MUST(len == head + 1 + 2 * c->bytes && der[0] == 4 && der[head] == 4,
         "CKA_EC_POINT is no DER OCTET STRING of an uncompressed point");
    return ec_from_point(c, der + head, len - head);
}

EVP_PKEY *ref_new_ec(const struct keys_curve *c)
{
    EVP_PKEY *k = EVP_EC_gen(c->openssl);

    REF(k != NULL);
    return k;
}

EVP_PKEY *ref_new_rsa(void)
{
    static EVP_PKEY *k;

    if (k == NULL)
        k = EVP_RSA_gen(2048);
    REF(k != NULL && EVP_PKEY_up_ref(k) == 1);
    return k;
}

size_t ref_point(EVP_PKEY *k, uint8_t *out)
{
    size_t n = 0;

    REF(EVP_PKEY_get_octet_string_param(k, "encoded-pub-key", out, REF_MAX, &n) == 1);
    return n;
}

size_t ref_point_der(EVP_PKEY *k, uint8_t *out)
{
    size_t n = ref_point(k, out), head = n < 128 ? 2 : 3;

    memmove(out + head, out, n);
    out[0] = 4;
    out[1] = 0x81;
    out[head - 1] = (uint8_t)n;
    return n + head;
}

size_t ref_number(EVP_PKEY *k, const char *name, size_t pad, uint8_t *out)
{
    BIGNUM *b = NULL;
    size_t n;

    REF(EVP_PKEY_get_bn_param(k, name, &b) == 1);
    n = pad > 0 ? pad : (size_t)BN_num_bytes(b);
    REF(BN_bn2binpad(b, out, (int)n) == (int)n);
    BN_free(b);
    return n;
}

size_t ref_spki(EVP_PKEY *k, uint8_t *out)
{
    int n = i2d_PUBKEY(k, &out);

    REF(n > 0);
    return (size_t)n;
}

size_t ref_pkcs8(EVP_PKEY *k, uint8_t *out)
{
    PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(k);
    int n = p8 == NULL ? 0 : i2d_PKCS8_PRIV_KEY_INFO(p8, &out);

    REF(n > 0);
    PKCS8_PRIV_KEY_INFO_free(p8);
    return (size_t)n;
}

EVP_PKEY *ref_from_pkcs8(const uint8_t *in, size_t len)
{
    PKCS8_PRIV_KEY_INFO *p8 = d2i_PKCS8_PRIV_KEY_INFO(NULL, &in, (long)len);
    EVP_PKEY *k = p8 == NULL ? NULL : EVP_PKCS82PKEY(p8);

    PKCS8_PRIV_KEY_INFO_free(p8);
    return k;
}

size_t ref_cert(EVP_PKEY *k, uint8_t *out, uint8_t *subject, size_t *subject_len)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);
    int n, m;

    REF(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"conformance", -1, -1,
                                   0) == 1);
    REF(ASN1_INTEGER_set(X509_get_serialNumber(x), 17) == 1);
    REF(X509_set_issuer_name(x, name) == 1 && X509_set_pubkey(x, k) == 1);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    REF(X509_sign(x, k, EVP_sha256()) > 0);
    m = i2d_X509_NAME(name, &subject);
    n = i2d_X509(x, &out);
    REF(n > 0 && m > 0);
    *subject_len = (size_t)m;
    X509_free(x);
    return (size_t)n;
}

/* --- signatures ----------------------------------------------------------- */

static void rsa_padding(EVP_PKEY_CTX *ctx, const char *md, const char *mgf, int salt)
{
    REF(EVP_PKEY_CTX_set_rsa_padding(ctx, salt == -2 ? RSA_NO_PADDING
                                          : salt < 0 ? RSA_PKCS1_PADDING
                                                     : RSA_PKCS1_PSS_PADDING) == 1);
    if (md != NULL)
        REF(EVP_PKEY_CTX_set_signature_md(ctx, EVP_get_digestbyname(md)) == 1);
    if (salt >= 0) {
        REF(EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_get_digestbyname(mgf)) == 1);
        REF(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt) == 1);
    }
}

bool ref_rsa_verify(EVP_PKEY *k, const char *md, const char *mgf, int salt, const void *hash,
                    size_t hash_len, const void *sig, size_t sig_len)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(k, NULL);
    bool good;

    REF(EVP_PKEY_verify_init(ctx) == 1);
    rsa_padding(ctx, md, mgf, salt);
    good = EVP_PKEY_verify(ctx, sig, sig_len, hash, hash_len) == 1;
    EVP_PKEY_CTX_free(ctx);
    return good;
}

size_t ref_rsa_sign(EVP_PKEY *k, const char *md, const char *mgf, int salt, const void *hash,
                    size_t hash_len, uint8_t *sig)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(k, NULL);
    size_t n = REF_MAX;

    REF(EVP_PKEY_sign_init(ctx) == 1);
    rsa_padding(ctx, md, mgf, salt);
    REF(EVP_PKEY_sign(ctx, sig, &n, hash, hash_len) == 1);
    EVP_PKEY_CTX_free(ctx);
    return n;
}

bool ref_ecdsa_verify(EVP_PKEY *k, const void *hash, size_t len, const uint8_t *sig, size_t sig_len)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(k, NULL);
    ECDSA_SIG *s = ECDSA_SIG_new();
    int half = (int)sig_len / 2, n;
    uint8_t *der = NULL;
    bool good;

    REF(ECDSA_SIG_set0(s, BN_bin2bn(sig, half, NULL), BN_bin2bn(sig + half, half, NULL)) == 1);
    n = i2d_ECDSA_SIG(s, &der);
    REF(n > 0 && EVP_PKEY_verify_init(ctx) == 1);
    good = EVP_PKEY_verify(ctx, der, (size_t)n, hash, len) == 1;
    OPENSSL_free(der);
    ECDSA_SIG_free(s);
    EVP_PKEY_CTX_free(ctx);
    return good;
}

size_t ref_ecdsa_sign(EVP_PKEY *k, const void *hash, size_t len, size_t half, uint8_t *sig)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(k, NULL);
    uint8_t der[256];
    const uint8_t *at = der;
    size_t n = sizeof der;
    ECDSA_SIG *s;

    REF(EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_sign(ctx, der, &n, hash, len) == 1);
    s = d2i_ECDSA_SIG(NULL, &at, (long)n);
    REF(s != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(s), sig, (int)half) == (int)half);
    REF(BN_bn2binpad(ECDSA_SIG_get0_s(s), sig + half, (int)half) == (int)half);
    ECDSA_SIG_free(s);
    EVP_PKEY_CTX_free(ctx);
    return 2 * half;
}

size_t ref_rsa_encrypt(EVP_PKEY *k, int padding, const char *md, const char *mgf, const void *label,
                       size_t label_len, const void *in, size_t len, uint8_t *out)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(k, NULL);
    size_t n = REF_MAX;

    REF(EVP_PKEY_encrypt_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, padding) == 1);
    if (padding == RSA_PKCS1_OAEP_PADDING) {
        REF(EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_get_digestbyname(md)) == 1);
        REF(EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_get_digestbyname(mgf)) == 1);
        if (label_len > 0)
            REF(EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, OPENSSL_memdup(label, label_len),
                                                 (int)label_len) == 1);
    }
    REF(EVP_PKEY_encrypt(ctx, out, &n, in, len) == 1);
    EVP_PKEY_CTX_free(ctx);
    return n;
}

/* --- derivation ----------------------------------------------------------- */

size_t ref_ecdh(EVP_PKEY *mine, EVP_PKEY *peer, uint8_t *out)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(mine, NULL);
    size_t n = REF_MAX;

    REF(EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, peer) == 1);
    REF(EVP_PKEY_derive(ctx, out, &n) == 1);
    EVP_PKEY_CTX_free(ctx);
    return n;
}

static void kdf(const char *name, OSSL_PARAM *p, uint8_t *out, size_t len)
{
    EVP_KDF *k = EVP_KDF_fetch(NULL, name, NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(k);

    REF(EVP_KDF_derive(ctx, out, len, p) == 1);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(k);
}

static OSSL_PARAM octets(const char *name, const void *p, size_t len)
{
    return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)p, len);
}

void ref_x963(const char *md, const void *z, size_t z_len, const void *info, size_t info_len,
              uint8_t *out, size_t len)
{
    OSSL_PARAM p[] = {
        OSSL_PARAM_construct_utf8_string("digest", (char *)(uintptr_t)md, 0),
        octets("key", z, z_len),
        info_len > 0 ? octets("info", info, info_len) : OSSL_PARAM_construct_end(),
        OSSL_PARAM_END,
    };

    kdf("X963KDF", p, out, len);
}

void ref_hkdf(int mode, const char *md, const void *key, size_t key_len, const void *salt,
              size_t salt_len, const void *info, size_t info_len, uint8_t *out, size_t len)
{
    OSSL_PARAM p[6] = {
        OSSL_PARAM_construct_int("mode", &mode),
        OSSL_PARAM_construct_utf8_string("digest", (char *)(uintptr_t)md, 0),
        octets("key", key, key_len),
    };
    size_t n = 3;

    if (salt_len > 0)
        p[n++] = octets("salt", salt, salt_len);
    if (info_len > 0)
        p[n++] = octets("info", info, info_len);
    p[n] = OSSL_PARAM_construct_end();
    kdf("HKDF", p, out, len);
}
