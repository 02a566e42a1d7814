#include "core/pkcs8.h"

#include "core/asn1.h"
#include "core/rsapriv.h"

#include <openssl/err.h>
#include <openssl/objects.h>
#include <string.h>

#define EC_VERSION 1 /* ecPrivkeyVer1 */

/* By templates of our own: OpenSSL's lead to EVP_PKEY, which may meet an engine. */
typedef struct pkcs8_info {
    ASN1_INTEGER *version;
    X509_ALGOR *algorithm;
    ASN1_OCTET_STRING *key;
    STACK_OF(X509_ATTRIBUTE) * attributes;
} pkcs8_info;

typedef struct ec_private {
    ASN1_INTEGER *version;
    ASN1_OCTET_STRING *key;
    ASN1_OBJECT *curve;
    ASN1_BIT_STRING *point;
} ec_private;

static void wipe_octets(ASN1_OCTET_STRING *s)
{
    if (s != NULL && s->data != NULL && s->length > 0)
        secret_wipe(s->data, (size_t)s->length);
}

/* Called by OpenSSL before it frees a value, also one that was read in part only. */
static int on_info(int op, ASN1_VALUE **value, const ASN1_ITEM *type, void *arg)
{
    (void)type;
    (void)arg;
    if (op == ASN1_OP_FREE_PRE)
        wipe_octets(((pkcs8_info *)(void *)*value)->key);
    return 1;
}

static int on_ec(int op, ASN1_VALUE **value, const ASN1_ITEM *type, void *arg)
{
    (void)type;
    (void)arg;
    if (op == ASN1_OP_FREE_PRE)
        wipe_octets(((ec_private *)(void *)*value)->key);
    return 1;
}

/* clang-format off */
ASN1_SEQUENCE_cb(pkcs8_info, on_info) = {
    ASN1_SIMPLE(pkcs8_info, version, ASN1_INTEGER),
    ASN1_SIMPLE(pkcs8_info, algorithm, X509_ALGOR),
    ASN1_SIMPLE(pkcs8_info, key, ASN1_OCTET_STRING),
    ASN1_IMP_SET_OF_OPT(pkcs8_info, attributes, X509_ATTRIBUTE, 0),
} static_ASN1_SEQUENCE_END_cb(pkcs8_info, pkcs8_info)

ASN1_SEQUENCE_cb(ec_private, on_ec) = {
    ASN1_SIMPLE(ec_private, version, ASN1_INTEGER),
    ASN1_SIMPLE(ec_private, key, ASN1_OCTET_STRING),
    ASN1_EXP_OPT(ec_private, curve, ASN1_OBJECT, 0),
    ASN1_EXP_OPT(ec_private, point, ASN1_BIT_STRING, 1),
} static_ASN1_SEQUENCE_END_cb(ec_private, ec_private)
    /* clang-format on */

    /* SEC 1, 2.3.3, uncompressed; `out` holds 1 + 2 * curve->size bytes. */
    static struct bytes point_octets(const struct pubkey *k, uint8_t out[1 + 2 * ALG_MAX_COORD])
{
    size_t n = k->curve->size;

    out[0] = POINT_CONVERSION_UNCOMPRESSED;
    memcpy(out + 1, k->point.x, n);
    memcpy(out + 1 + n, k->point.y, n);
    return bytes_of(out, 1 + 2 * n);
}

/* A scalar of up to curve->size bytes, padded, and its public key. */
static int ec_pair(const struct alg_curve *c, struct bytes d, struct pubkey *pub,
                   struct secret **out, struct err *e)
{
    struct pubkey made = {.type = TPM2_ALG_ECC, .curve = c};
    struct secret *s;

    if (d.len == 0 || d.len > c->size)
        return err_set(e, E_DATA, "the private key of %s has %zu bytes, not %zu", c->name, d.len,
                       c->size);
    s = secret_new(c->size, e);
    if (s == NULL)
        return -1;
    memcpy(secret_data(s) + (c->size - d.len), d.p, d.len);
    if (ecc_public(c, secret_peek(s), &made.point, e) != 0) {
        secret_free(s);
        return -1;
    }
    *pub = made;
    *out = s;
    return 0;
}

/* --- writing --------------------------------------------------------------- */

static int ec_encode(const struct pubkey *pub, struct bytes priv, struct buf *out, struct err *e)
{
    ec_private *v = asn1_new(ASN1_ITEM_rptr(ec_private), e);
    uint8_t point[1 + 2 * ALG_MAX_COORD];
    struct secret *d = NULL;
    struct pubkey made;
    struct bytes q;
    int rc = -1;

    if (v == NULL || ec_pair(pub->curve, priv, &made, &d, e) != 0)
        goto out;
    if (!pubkey_equal(&made, pub)) {
        err_set(e, E_DATA, "the private key does not belong to the public key");
        goto out;
    }
    q = point_octets(pub, point);
    v->point = ASN1_BIT_STRING_new();
    if (v->point == NULL || ASN1_BIT_STRING_set(v->point, point, (int)q.len) != 1 ||
        asn1_set_u32(v->version, EC_VERSION, e) != 0 ||
        asn1_set_octets(v->key, secret_bytes(d), e) != 0) {
        err_set(e, E_MEMORY, "out of memory for a private key");
        goto out;
    }
    /* No unused bits; without these flags OpenSSL would count trailing zeros. */
    v->point->flags &= ~(long)(ASN1_STRING_FLAG_BITS_LEFT | 0x07);
    v->point->flags |= ASN1_STRING_FLAG_BITS_LEFT;
    rc = asn1_encode(v, ASN1_ITEM_rptr(ec_private), out, e);
out:
    secret_free(d);
    asn1_free(v, ASN1_ITEM_rptr(ec_private));
    return rc;
}

int pkcs8_encode(const struct pubkey *pub, struct bytes priv, struct buf *out, struct err *e)
{
    bool ec = pub->type == TPM2_ALG_ECC;
    struct buf key = {.secret = true};
    pkcs8_info *info = asn1_new(ASN1_ITEM_rptr(pkcs8_info), e);
    int rc = -1;

    if (info == NULL ||
        (ec ? ec_encode(pub, priv, &key, e) : rsapriv_encode(pub, priv, &key, e)) != 0)
        goto out;
    if (asn1_set_u32(info->version, 0, e) != 0 ||
        X509_ALGOR_set0(
            info->algorithm, OBJ_nid2obj(ec ? NID_X9_62_id_ecPublicKey : NID_rsaEncryption),
            ec ? V_ASN1_OBJECT : V_ASN1_NULL, ec ? OBJ_nid2obj(pub->curve->nid) : NULL) != 1 ||
        asn1_set_octets(info->key, buf_bytes(&key), e) != 0) {
        err_set(e, E_MEMORY, "out of memory for a private key");
        goto out;
    }
    out->secret = true;
    rc = asn1_encode(info, ASN1_ITEM_rptr(pkcs8_info), out, e);
out:
    buf_free(&key);
    asn1_free(info, ASN1_ITEM_rptr(pkcs8_info));
    return rc;
}

/* --- reading --------------------------------------------------------------- */

/* What an ECPrivateKey may say besides the scalar agrees with it. */
static int ec_agrees(const ec_private *v, const struct pubkey *k, struct err *e)
{
    uint8_t point[1 + 2 * ALG_MAX_COORD];

    if (v->curve != NULL && OBJ_obj2nid(v->curve) != k->curve->nid)
        return err_set(e, E_DATA, "the private key names two curves");
    if (v->point != NULL && ((v->point->flags & 0x07) != 0 ||
                             !bytes_equal(asn1_octets(v->point), point_octets(k, point))))
        return err_set(e, E_DATA, "the public point is not that of the private key");
    return 0;
}

static int ec_decode(const void *parameter, int type, struct bytes der, struct pubkey *pub,
                     struct secret **priv, struct err *e)
{
    const struct alg_curve *c = type == V_ASN1_OBJECT ? alg_curve_nid(OBJ_obj2nid(parameter))
                                                      : NULL;
    struct secret *d = NULL;
    struct pubkey got;
    ec_private *v;
    uint32_t version;
    int rc = -1;

    if (c == NULL)
        return err_set(e, E_UNSUPPORTED,
                       "the private key is not on a named curve P-256, P-384 or P-521");
    v = asn1_decode(ASN1_ITEM_rptr(ec_private), der, PKCS8_MAX, "EC private key", e);
    if (v == NULL || asn1_u32(v->version, &version, e) != 0)
        goto out;
    if (version != EC_VERSION) {
        err_set(e, E_FORMAT, "an EC private key has version 1 (RFC 5915, 3), not %u",
                (unsigned)version);
        goto out;
    }
    if (ec_pair(c, asn1_octets(v->key), &got, &d, e) != 0 || ec_agrees(v, &got, e) != 0)
        goto out;
    *pub = got;
    *priv = d;
    d = NULL;
    rc = 0;
out:
    secret_free(d);
    asn1_free(v, ASN1_ITEM_rptr(ec_private));
    return rc;
}

int pkcs8_decode(struct bytes der, struct pubkey *pub, struct secret **priv, struct err *e)
{
    pkcs8_info *info =
        asn1_decode(ASN1_ITEM_rptr(pkcs8_info), der, PKCS8_MAX, "private key (PKCS#8)", e);
    const void *parameter = NULL;
    const ASN1_OBJECT *oid;
    uint32_t version;
    int type, rc = -1;

    if (info == NULL || asn1_u32(info->version, &version, e) != 0)
        goto out;
    if (version != 0) {
        err_set(e, E_UNSUPPORTED, "PKCS#8 of version %u is not read here, only v1",
                (unsigned)version + 1);
        goto out;
    }
    X509_ALGOR_get0(&oid, &type, &parameter, info->algorithm);
    switch (OBJ_obj2nid(oid)) {
    case NID_X9_62_id_ecPublicKey:
        rc = ec_decode(parameter, type, asn1_octets(info->key), pub, priv, e);
        break;
    case NID_rsaEncryption:
        /* RFC 8017, A.1: the parameters are NULL. */
        if (type != V_ASN1_NULL)
            err_set(e, E_FORMAT, "the RSA private key has parameters that are not NULL");
        else
            rc = rsapriv_decode(asn1_octets(info->key), pub, priv, e);
        break;
    default: err_set(e, E_UNSUPPORTED, "the private key is neither RSA nor on a NIST curve");
    }
out:
    asn1_free(info, ASN1_ITEM_rptr(pkcs8_info));
    return rc;
}
