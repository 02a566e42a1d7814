#include "core/csr.h"

#include "core/asn1.h"
#include "core/hash.h"

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/provider.h>
#include <pthread.h>

/* --- reading --------------------------------------------------------------------------------- */

/* A library context in which no provider knows a key. */
static struct {
    pthread_once_t once;
    OSSL_LIB_CTX *ctx; /* NULL: could not be made, and the default one has to do */
} bare = {.once = PTHREAD_ONCE_INIT};

static void set_up(void)
{
    OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();

    /* Without any provider the default one would come by itself. */
    if (ctx != NULL && OSSL_PROVIDER_load(ctx, "null") != NULL)
        bare.ctx = ctx;
    else
        OSSL_LIB_CTX_free(ctx);
    ERR_clear_error();
}

X509_REQ *csr_decode(struct bytes der, size_t max, struct err *e)
{
    const uint8_t *p = der.p;
    uint8_t *again = NULL;
    X509_REQ *csr = NULL;
    int len;

    (void)pthread_once(&bare.once, set_up);
    if (der.len == 0 || der.len > max) {
        err_set(e, E_FORMAT, "the certification request has %zu bytes; 1 to %zu are accepted",
                der.len, max);
        return NULL;
    }
    csr = (X509_REQ *)ASN1_item_d2i_ex(NULL, &p, (long)der.len, ASN1_ITEM_rptr(X509_REQ), bare.ctx,
                                       NULL);
    if (csr == NULL || p != der.p + der.len || (len = i2d_X509_REQ(csr, &again)) <= 0 ||
        !bytes_equal(bytes_of(again, (size_t)len), der)) {
        err_set(e, E_FORMAT, "the certification request is malformed or not in DER");
        X509_REQ_free(csr);
        csr = NULL;
    }
    OPENSSL_free(again);
    ERR_clear_error();
    return csr;
}

/* --- the signature ------------------------------------------------------------------------------ */

/* By OpenSSL, for what is seldom: PSS, and what is not in DER all through. */
static int verify_seldom(X509_REQ *csr, struct err *e)
{
    uint8_t *der = NULL;
    int len = i2d_X509_REQ(csr, &der);
    const uint8_t *p = der;
    X509_REQ *with_key = len > 0 ? d2i_X509_REQ(NULL, &p, len) : NULL;
    EVP_PKEY *key = with_key != NULL ? X509_REQ_get0_pubkey(with_key) : NULL;
    int rc = key != NULL ? X509_REQ_verify(with_key, key) : 0;

    X509_REQ_free(with_key);
    OPENSSL_free(der);
    ERR_clear_error();
    return rc == 1 ? 0 : err_set(e, E_DATA, "the request's signature does not fit its key");
}

static int verify_signature(const asn1_csr *whole, const struct pubkey *k, const struct alg_hash *h,
                            struct err *e)
{
    struct bytes sig = asn1_octets(whole->signature);
    uint8_t digest[ALG_MAX_DIGEST];
    struct buf info = {0}, raw = {0};
    int rc = -1;

    if (asn1_encode(whole->info, ASN1_ITEM_rptr(asn1_csrinfo), &info, e) != 0 ||
        hash_digest(h, buf_bytes(&info), digest, e) != 0)
        goto out;
    if (k->type == TPM2_ALG_RSA)
        rc = pubkey_verify(k, PUBKEY_RSASSA, h, -1, bytes_of(digest, h->size), sig, e);
    else if (pubkey_sig_from_der(k, sig, &raw, e) == 0)
        rc = pubkey_verify(k, PUBKEY_ECDSA, h, -1, bytes_of(digest, h->size), buf_bytes(&raw), e);
out:
    buf_free(&info);
    buf_free(&raw);
    return rc;
}

int csr_verify(X509_REQ *csr, const struct pubkey *k, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(asn1_csr);
    int md = NID_undef, key = NID_undef, len, rc;
    const struct alg_hash *h;
    asn1_csr *whole = NULL;
    uint8_t *der = NULL;

    len = i2d_X509_REQ(csr, &der);
    if (len > 0)
        whole = asn1_decode(type, bytes_of(der, (size_t)len), (size_t)len, "certification request",
                            NULL);
    OPENSSL_free(der);
    if (whole == NULL ||
        OBJ_find_sigid_algs(OBJ_obj2nid(whole->algorithm->algorithm), &md, &key) != 1 ||
        (h = alg_hash_nid(md)) == NULL ||
        key != (k->type == TPM2_ALG_RSA ? NID_rsaEncryption : NID_X9_62_id_ecPublicKey) ||
        (whole->signature->flags & 7) != 0)
        rc = verify_seldom(csr, e);
    else
        rc = verify_signature(whole, k, h, e);
    asn1_free(whole, type);
    return rc;
}

bool csr_is_rsa(X509_REQ *csr)
{
    ASN1_OBJECT *oid = NULL;

    return X509_PUBKEY_get0_param(&oid, NULL, NULL, NULL, X509_REQ_get_X509_PUBKEY(csr)) == 1 &&
           OBJ_obj2nid(oid) == NID_rsaEncryption;
}
