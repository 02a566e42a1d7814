/* The methods of EC_KEY and RSA, and ENGINE as the carrier of a padding-aware RSA method,
 * are deprecated in OpenSSL 3.0; without a provider of our own they are the way to put a
 * foreign private operation below X509_sign. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core/signer.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <string.h>

/*
 * OpenSSL wants process-wide methods and data slots. They are made once and never change.
 *
 * RSA needs more than an RSA_METHOD: that would see PSS only after OpenSSL padded it, while
 * a TPM pads by itself. So the keys carry an engine (known to nobody else) whose
 * EVP_PKEY_METHOD sees digest, padding and salt length.
 */
static struct {
    pthread_once_t once;
    bool ok;
    EC_KEY_METHOD *ec;
    int ec_slot;
    RSA_METHOD *rsa;
    int rsa_slot;
    EVP_PKEY_METHOD *rsa_pkey;
    ENGINE *engine;
} way = {.once = PTHREAD_ONCE_INIT};

/* Why the signer refused, into OpenSSL's queue, where the caller of X509_sign looks. */
static void raise_err(const struct err *e)
{
    ERR_raise_data(ERR_LIB_USER, ERR_R_OPERATION_FAIL, "%s", e->msg);
}

/* The hash of a digest by its length; signers know the hashes that a TPM has. */
static const struct alg_hash *hash_of(size_t len)
{
    const struct alg_hash *h = alg_hash_sized(len);

    return h != NULL && h->tpm != 0 ? h : NULL;
}

static ECDSA_SIG *ec_sign_sig(const unsigned char *dgst, int len, const BIGNUM *kinv,
                              const BIGNUM *r, EC_KEY *key)
{
    struct signer *s = EC_KEY_get_ex_data(key, way.ec_slot);
    const struct alg_hash *h = len > 0 ? hash_of((size_t)len) : NULL;
    uint8_t sig[2 * ALG_MAX_COORD];
    BIGNUM *br = NULL, *bs = NULL;
    ECDSA_SIG *out = NULL;
    struct err e = {0};
    int n;

    (void)kinv;
    (void)r;
    if (s == NULL || h == NULL) {
        ERR_raise(ERR_LIB_USER, ERR_R_PASSED_INVALID_ARGUMENT);
        return NULL;
    }
    n = (int)s->pub.curve->size;
    if (s->sign(s, PUBKEY_ECDSA, h, bytes_of(dgst, (size_t)len), sig, &e) != 0) {
        raise_err(&e);
        return NULL;
    }
    out = ECDSA_SIG_new();
    br = BN_bin2bn(sig, n, NULL);
    bs = BN_bin2bn(sig + n, n, NULL);
    if (out == NULL || br == NULL || bs == NULL || ECDSA_SIG_set0(out, br, bs) != 1) {
        ECDSA_SIG_free(out);
        BN_free(br);
        BN_free(bs);
        return NULL;
    }
    return out;
}

static int ec_sign(int type, const unsigned char *dgst, int len, unsigned char *sig,
                   unsigned int *siglen, const BIGNUM *kinv, const BIGNUM *r, EC_KEY *key)
{
    ECDSA_SIG *s = ec_sign_sig(dgst, len, kinv, r, key);
    int n;

    (void)type;
    if (s == NULL)
        return 0;
    n = i2d_ECDSA_SIG(s, &sig);
    ECDSA_SIG_free(s);
    if (n <= 0)
        return 0;
    *siglen = (unsigned)n;
    return 1;
}

/* RSA_sign and everything that pads by itself: refused, so that no path is wrong in silence. */
static int rsa_priv_enc(int len, const unsigned char *from, unsigned char *to, RSA *rsa,
                        int padding)
{
    (void)len;
    (void)from;
    (void)to;
    (void)rsa;
    (void)padding;
    ERR_raise(ERR_LIB_USER, ERR_R_SHOULD_NOT_HAVE_BEEN_CALLED);
    return -1;
}

/* The padding that the context asks for, as the signer knows it. */
static int rsa_scheme(EVP_PKEY_CTX *ctx, const struct alg_hash *h, enum pubkey_scheme *scheme,
                      struct err *e)
{
    const EVP_MD *mgf = NULL;
    int padding = 0, salt = 0;

    if (EVP_PKEY_CTX_get_rsa_padding(ctx, &padding) <= 0)
        return err_set(e, E_CRYPTO, "the padding of the signature is not known");
    if (padding == RSA_PKCS1_PADDING) {
        *scheme = PUBKEY_RSASSA;
        return 0;
    }
    if (padding != RSA_PKCS1_PSS_PADDING)
        return err_set(e, E_UNSUPPORTED, "this RSA key signs with PKCS#1 and PSS padding only");
    if (EVP_PKEY_CTX_get_rsa_pss_saltlen(ctx, &salt) <= 0 ||
        EVP_PKEY_CTX_get_rsa_mgf1_md(ctx, &mgf) <= 0)
        return err_set(e, E_CRYPTO, "the PSS parameters of the signature are not known");
    if ((salt != RSA_PSS_SALTLEN_DIGEST && salt != (int)h->size) ||
        (mgf != NULL && EVP_MD_get_type(mgf) != h->nid))
        return err_set(e, E_UNSUPPORTED,
                       "PSS here has a salt as long as the digest and one hash: "
                       "set rsa_pss_saltlen:digest");
    *scheme = PUBKEY_RSAPSS;
    return 0;
}

static int rsa_sign(EVP_PKEY_CTX *ctx, unsigned char *sig, size_t *siglen, const unsigned char *tbs,
                    size_t tbslen)
{
    const RSA *rsa = EVP_PKEY_get0_RSA(EVP_PKEY_CTX_get0_pkey(ctx));
    struct signer *s = rsa != NULL ? RSA_get_ex_data(rsa, way.rsa_slot) : NULL;
    const struct alg_hash *h = hash_of(tbslen);
    const EVP_MD *md = NULL;
    enum pubkey_scheme scheme = PUBKEY_RSASSA;
    struct err e = {0};

    if (s == NULL)
        return 0;
    if (sig == NULL) {
        *siglen = s->pub.n_len;
        return 1;
    }
    if (*siglen < s->pub.n_len || h == NULL || EVP_PKEY_CTX_get_signature_md(ctx, &md) <= 0 ||
        md == NULL || EVP_MD_get_type(md) != h->nid) {
        ERR_raise_data(ERR_LIB_USER, ERR_R_PASSED_INVALID_ARGUMENT,
                       "a hash of core/alg.h must be named");
        return 0;
    }
    if (rsa_scheme(ctx, h, &scheme, &e) != 0 ||
        s->sign(s, scheme, h, bytes_of(tbs, tbslen), sig, &e) != 0) {
        raise_err(&e);
        return 0;
    }
    *siglen = s->pub.n_len;
    return 1;
}

static int engine_methods(ENGINE *en, EVP_PKEY_METHOD **out, const int **nids, int nid)
{
    static const int known[] = {EVP_PKEY_RSA};

    (void)en;
    if (out == NULL) {
        *nids = known;
        return ARRAY_LEN(known);
    }
    *out = nid == EVP_PKEY_RSA ? way.rsa_pkey : NULL;
    return *out != NULL;
}

static void set_up(void)
{
    int (*sign_init)(EVP_PKEY_CTX *) = NULL;
    const EVP_PKEY_METHOD *base = EVP_PKEY_meth_find(EVP_PKEY_RSA);

    way.ec = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
    way.ec_slot = EC_KEY_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    way.rsa = RSA_meth_dup(RSA_PKCS1_OpenSSL());
    way.rsa_slot = RSA_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    way.rsa_pkey = EVP_PKEY_meth_new(EVP_PKEY_RSA, EVP_PKEY_FLAG_AUTOARGLEN);
    way.engine = ENGINE_new();
    if (way.ec == NULL || way.ec_slot < 0 || way.rsa == NULL || way.rsa_slot < 0 || base == NULL ||
        way.rsa_pkey == NULL || way.engine == NULL)
        return;
    EC_KEY_METHOD_set_sign(way.ec, ec_sign, NULL, ec_sign_sig);
    EVP_PKEY_meth_copy(way.rsa_pkey, base);
    EVP_PKEY_meth_get_sign(base, &sign_init, NULL);
    EVP_PKEY_meth_set_sign(way.rsa_pkey, sign_init, rsa_sign);
    way.ok = RSA_meth_set_priv_enc(way.rsa, rsa_priv_enc) == 1 &&
             ENGINE_set_id(way.engine, "fusetsu-signer") == 1 &&
             ENGINE_set_name(way.engine, "keys of fusetsu signers") == 1 &&
             ENGINE_set_pkey_meths(way.engine, engine_methods) == 1;
}

static bool ec_key(EVP_PKEY *out, struct signer *s)
{
    const struct pubkey *k = &s->pub;
    int n = (int)k->curve->size;
    EC_KEY *key = EC_KEY_new();
    EC_GROUP *g = EC_GROUP_new_by_curve_name(k->curve->nid);
    BIGNUM *x = BN_bin2bn(k->point.x, n, NULL), *y = BN_bin2bn(k->point.y, n, NULL);
    bool ok = key != NULL && g != NULL && x != NULL && y != NULL &&
              EC_KEY_set_method(key, way.ec) == 1 && EC_KEY_set_group(key, g) == 1 &&
              EC_KEY_set_public_key_affine_coordinates(key, x, y) == 1 &&
              EC_KEY_set_ex_data(key, way.ec_slot, s) == 1 &&
              EVP_PKEY_assign(out, EVP_PKEY_EC, key) == 1;

    if (!ok)
        EC_KEY_free(key);
    BN_free(x);
    BN_free(y);
    EC_GROUP_free(g);
    return ok;
}

static bool rsa_key(EVP_PKEY *out, struct signer *s)
{
    const struct pubkey *k = &s->pub;
    RSA *key = RSA_new();
    BIGNUM *n = BN_bin2bn(k->n, k->n_len, NULL), *x = BN_new();

    if (key == NULL || n == NULL || x == NULL || BN_set_word(x, k->exponent) != 1 ||
        RSA_set_method(key, way.rsa) != 1 || RSA_set_ex_data(key, way.rsa_slot, s) != 1 ||
        RSA_set0_key(key, n, x, NULL) != 1) {
        BN_free(n);
        BN_free(x);
        RSA_free(key);
        return false;
    }
    if (EVP_PKEY_assign(out, EVP_PKEY_RSA, key) != 1) {
        RSA_free(key);
        return false;
    }
    return EVP_PKEY_set1_engine(out, way.engine) == 1;
}

EVP_PKEY *signer_evp(struct signer *s, struct err *e)
{
    EVP_PKEY *out = NULL;

    if (pthread_once(&way.once, set_up) != 0 || !way.ok) {
        err_openssl(e, E_CRYPTO, "OpenSSL has no room for a signing method");
        return NULL;
    }
    out = EVP_PKEY_new();
    if (out == NULL || !(s->pub.type == TPM2_ALG_ECC ? ec_key(out, s) : rsa_key(out, s))) {
        EVP_PKEY_free(out);
        err_openssl(e, E_CRYPTO, "a key for OpenSSL over this signer");
        return NULL;
    }
    return out;
}

EVP_PKEY *signer_evp_public(const struct pubkey *k, struct err *e)
{
    const unsigned char *p;
    struct buf spki = {0};
    EVP_PKEY *out = NULL;

    if (pubkey_to_spki(k, &spki, e) == 0) {
        p = spki.p;
        out = d2i_PUBKEY(NULL, &p, (long)spki.len);
        if (out == NULL)
            err_openssl(e, E_CRYPTO, "public key");
    }
    buf_free(&spki);
    return out;
}
