/* RSA and EC_KEY are deprecated in OpenSSL 3.0, and are the paths that never meet an
 * application's engine or provider. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core/pubkey_priv.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <string.h>

/* Any salt length is fine when the caller says -1. */
#define ANY_SALT RSA_PSS_SALTLEN_AUTO

static RSA *rsa_of(const struct pubkey *k, struct err *e)
{
    RSA *r = RSA_new();
    BIGNUM *n = BN_bin2bn(k->n, k->n_len, NULL), *x = BN_new();

    if (r == NULL || n == NULL || x == NULL || BN_set_word(x, k->exponent) != 1 ||
        RSA_set_method(r, RSA_PKCS1_OpenSSL()) != 1 || RSA_set0_key(r, n, x, NULL) != 1) {
        BN_free(n);
        BN_free(x);
        RSA_free(r);
        err_openssl(e, E_CRYPTO, "RSA public key");
        return NULL;
    }
    return r;
}

const EVP_MD *pubkey_md(const struct alg_hash *h)
{
    switch (h->nid) {
    case NID_sha1: return EVP_sha1();
    case NID_sha224: return EVP_sha224();
    case NID_sha256: return EVP_sha256();
    case NID_sha384: return EVP_sha384();
    case NID_sha512: return EVP_sha512();
    default: return NULL;
    }
}

int pubkey_need_rsa(const struct pubkey *k, struct err *e)
{
    return k->type == TPM2_ALG_RSA ? 0 : err_set(e, E_ARG, "this operation needs an RSA key");
}

int pubkey_rsa_raw(const struct pubkey *k, struct bytes in, uint8_t *out, struct err *e)
{
    RSA *r = NULL;
    int rc = -1;

    if (pubkey_need_rsa(k, e) != 0)
        return -1;
    if (in.len != k->n_len || memcmp(in.p, k->n, k->n_len) >= 0)
        return err_set(e, E_DATA, "an RSA block must have %u bytes and be less than the modulus",
                       (unsigned)k->n_len);
    r = rsa_of(k, e);
    if (r == NULL)
        return -1;
    if (RSA_public_encrypt((int)in.len, in.p, out, r, RSA_NO_PADDING) != (int)k->n_len)
        err_openssl(e, E_CRYPTO, "RSA public operation");
    else
        rc = 0;
    RSA_free(r);
    return rc;
}

int pubkey_pad_pkcs1(const struct pubkey *k, struct bytes t, uint8_t *em, struct err *e)
{
    if (pubkey_need_rsa(k, e) != 0)
        return -1;
    /* RFC 8017, 9.2: at least eight bytes of FF, and three more. */
    if (t.len > k->n_len - 11u)
        return err_set(e, E_DATA, "%zu bytes are too many for PKCS#1 padding under %s", t.len,
                       pubkey_name(k));
    if (RSA_padding_add_PKCS1_type_1(em, k->n_len, t.p, (int)t.len) != 1)
        return err_openssl(e, E_CRYPTO, "PKCS#1 padding");
    return 0;
}

int pubkey_pad_pss(const struct pubkey *k, const struct alg_hash *hash, const struct alg_hash *mgf,
                   int salt, struct bytes digest, uint8_t *em, struct err *e)
{
    RSA *r = NULL;
    int rc = -1;

    if (pubkey_need_rsa(k, e) != 0)
        return -1;
    /* RFC 8017, 9.1.1: emLen is at least hLen + sLen + 2. */
    if (digest.len != hash->size || salt < 0 || hash->size + (size_t)salt + 2 > k->n_len)
        return err_set(e, E_DATA,
                       "a digest of %zu bytes with a salt of %d does not fit PSS under "
                       "%s and %s",
                       digest.len, salt, hash->name, pubkey_name(k));
    r = rsa_of(k, e);
    if (r == NULL)
        return -1;
    if (RSA_padding_add_PKCS1_PSS_mgf1(r, em, digest.p, pubkey_md(hash), pubkey_md(mgf), salt) != 1)
        err_openssl(e, E_CRYPTO, "PSS padding");
    else
        rc = 0;
    RSA_free(r);
    return rc;
}

/* --- signatures ------------------------------------------------------------ */

static int no_fit(struct err *e)
{
    ERR_clear_error();
    return err_set(e, E_DATA, "the signature does not fit the data and the key");
}

static int verify_pkcs1(const struct pubkey *k, const struct alg_hash *hash, struct bytes digest,
                        struct bytes sig, struct err *e)
{
    uint8_t em[PUBKEY_MAX_RSA], expected[PUBKEY_MAX_RSA];
    struct buf t = {0};
    int rc = -1;

    if (hash != NULL)
        buf_add(&t, hash->info, hash->info_len);
    buf_add_bytes(&t, digest);
    if (buf_ok(&t, e) != 0 || pubkey_pad_pkcs1(k, buf_bytes(&t), expected, e) != 0 ||
        pubkey_rsa_raw(k, sig, em, e) != 0)
        goto out;
    rc = bytes_equal(bytes_of(em, k->n_len), bytes_of(expected, k->n_len)) ? 0 : no_fit(e);
out:
    buf_free(&t);
    return rc;
}

static int verify_pss(const struct pubkey *k, const struct alg_hash *hash,
                      const struct alg_hash *mgf, int salt, struct bytes digest, struct bytes sig,
                      struct err *e)
{
    uint8_t em[PUBKEY_MAX_RSA];
    RSA *r = NULL;
    int rc = -1;

    if (pubkey_rsa_raw(k, sig, em, e) != 0 || (r = rsa_of(k, e)) == NULL)
        return -1;
    rc = RSA_verify_PKCS1_PSS_mgf1(r, digest.p, pubkey_md(hash), pubkey_md(mgf), em,
                                   salt < 0 ? ANY_SALT : salt) == 1
             ? 0
             : no_fit(e);
    RSA_free(r);
    return rc;
}

static bool all_zero(const uint8_t *p, size_t len)
{
    uint8_t any = 0;

    for (size_t i = 0; i < len; i++)
        any |= p[i];
    return any == 0;
}

static int verify_ecdsa(const struct pubkey *k, struct bytes digest, struct bytes sig,
                        struct err *e)
{
    size_t n = k->curve->size;
    const EC_GROUP *g = ecc_group(k->curve);
    EC_POINT *q = g != NULL ? EC_POINT_new(g) : NULL;
    EC_KEY *key = EC_KEY_new();
    BIGNUM *x = BN_bin2bn(k->point.x, (int)n, NULL), *y = BN_bin2bn(k->point.y, (int)n, NULL);
    BIGNUM *r = BN_bin2bn(sig.p, (int)n, NULL), *s = BN_bin2bn(sig.p + n, (int)n, NULL);
    ECDSA_SIG *es = ECDSA_SIG_new();
    int rc = -1;

    /* That the point is on the curve is checked; of the curves in use, whose cofactor is 1, every
     * such point has the right order (SP 800-186, 3.2.1), which need not be multiplied out. */
    if (key == NULL || q == NULL || x == NULL || y == NULL || r == NULL || s == NULL ||
        es == NULL || EC_KEY_set_method(key, EC_KEY_OpenSSL()) != 1 ||
        EC_POINT_set_affine_coordinates(g, q, x, y, NULL) != 1 || EC_KEY_set_group(key, g) != 1 ||
        EC_KEY_set_public_key(key, q) != 1 || ECDSA_SIG_set0(es, r, s) != 1) {
        err_openssl(e, E_CRYPTO, "ECDSA public key");
        goto out;
    }
    r = s = NULL;
    rc = ECDSA_do_verify(digest.p, (int)digest.len, es, key) == 1 ? 0 : no_fit(e);
out:
    ECDSA_SIG_free(es);
    BN_free(r);
    BN_free(s);
    BN_free(x);
    BN_free(y);
    EC_POINT_free(q);
    EC_KEY_free(key);
    return rc;
}

static int fits_key(const struct pubkey *k, enum pubkey_scheme scheme, const struct alg_hash *hash,
                    struct bytes digest, struct bytes sig, struct err *e)
{
    if ((scheme == PUBKEY_ECDSA) != (k->type == TPM2_ALG_ECC))
        return err_set(e, E_ARG, "the signature scheme does not belong to a key of %s",
                       pubkey_name(k));
    if (sig.len != pubkey_sig_len(k))
        return err_set(e, E_DATA, "the signature has %zu bytes, not the %zu of %s", sig.len,
                       pubkey_sig_len(k), pubkey_name(k));
    if (hash != NULL && digest.len != hash->size && scheme != PUBKEY_ECDSA)
        return err_set(e, E_DATA, "a digest of %zu bytes is not one of %s", digest.len, hash->name);
    return 0;
}

int pubkey_verify(const struct pubkey *k, enum pubkey_scheme scheme, const struct alg_hash *hash,
                  int salt, struct bytes digest, struct bytes sig, struct err *e)
{
    if (scheme == PUBKEY_RSAPSS)
        return pubkey_verify_pss(k, hash, hash, salt, digest, sig, e);
    if (fits_key(k, scheme, hash, digest, sig, e) != 0)
        return -1;
    switch (scheme) {
    case PUBKEY_ECDSA: return verify_ecdsa(k, digest, sig, e);
    case PUBKEY_RSASSA: return verify_pkcs1(k, hash, digest, sig, e);
    default: return err_set(e, E_ARG, "unknown signature scheme");
    }
}

int pubkey_verify_pss(const struct pubkey *k, const struct alg_hash *hash,
                      const struct alg_hash *mgf, int salt, struct bytes digest, struct bytes sig,
                      struct err *e)
{
    if (fits_key(k, PUBKEY_RSAPSS, hash, digest, sig, e) != 0)
        return -1;
    if (hash == NULL || mgf == NULL)
        return err_set(e, E_ARG, "PSS needs a hash");
    return verify_pss(k, hash, mgf, salt, digest, sig, e);
}

int pubkey_sig_to_der(const struct pubkey *k, struct bytes raw, struct buf *out, struct err *e)
{
    size_t n = k->curve != NULL ? k->curve->size : 0;
    ECDSA_SIG *es = NULL;
    BIGNUM *r = NULL, *s = NULL;
    uint8_t *der = NULL;
    int len, rc = -1;

    if (k->type != TPM2_ALG_ECC || raw.len != 2 * n)
        return err_set(e, E_ARG, "not an ECDSA signature of %s", pubkey_name(k));
    es = ECDSA_SIG_new();
    r = BN_bin2bn(raw.p, (int)n, NULL);
    s = BN_bin2bn(raw.p + n, (int)n, NULL);
    if (es == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(es, r, s) != 1) {
        err_set(e, E_MEMORY, "out of memory for a signature");
        goto out;
    }
    r = s = NULL;
    len = i2d_ECDSA_SIG(es, &der);
    if (len <= 0) {
        err_openssl(e, E_CRYPTO, "ECDSA signature to DER");
        goto out;
    }
    buf_add(out, der, (size_t)len);
    rc = buf_ok(out, e);
out:
    OPENSSL_free(der);
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(es);
    return rc;
}

int pubkey_sig_from_der(const struct pubkey *k, struct bytes der, struct buf *out, struct err *e)
{
    const uint8_t *p = der.p;
    uint8_t raw[2 * ALG_MAX_COORD], *again = NULL;
    ECDSA_SIG *es = NULL;
    size_t n;
    int rc = -1, len;

    if (k->type != TPM2_ALG_ECC || der.len > 4 * ALG_MAX_COORD)
        return err_set(e, E_ARG, "not an ECDSA signature of %s", pubkey_name(k));
    n = k->curve->size;
    es = d2i_ECDSA_SIG(NULL, &p, (long)der.len);
    if (es == NULL || p != der.p + der.len || (len = i2d_ECDSA_SIG(es, &again)) <= 0 ||
        !bytes_equal(bytes_of(again, (size_t)len), der) || BN_is_negative(ECDSA_SIG_get0_r(es)) ||
        BN_is_negative(ECDSA_SIG_get0_s(es)) ||
        BN_bn2binpad(ECDSA_SIG_get0_r(es), raw, (int)n) < 0 ||
        BN_bn2binpad(ECDSA_SIG_get0_s(es), raw + n, (int)n) < 0) {
        ERR_clear_error();
        err_set(e, E_FORMAT, "the ECDSA signature is not DER of two numbers of %s", k->curve->name);
        goto out;
    }
    if (all_zero(raw, n) || all_zero(raw + n, n)) {
        err_set(e, E_DATA, "the ECDSA signature has r or s of zero");
        goto out;
    }
    buf_add(out, raw, 2 * n);
    rc = buf_ok(out, e);
out:
    OPENSSL_free(again);
    ECDSA_SIG_free(es);
    return rc;
}
