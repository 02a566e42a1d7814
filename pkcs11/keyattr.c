#include "pkcs11/keyattr.h"

#include <openssl/asn1.h>
#include <openssl/objects.h>
#include <string.h>

#include "core/hash.h"

const struct alg_curve *keyattr_curve(struct bytes ec_params)
{
    const unsigned char *p = ec_params.p;
    const struct alg_curve *c = NULL;
    ASN1_OBJECT *oid;

    if (p == NULL || ec_params.len == 0)
        return NULL;
    oid = d2i_ASN1_OBJECT(NULL, &p, (long)ec_params.len);
    if (oid != NULL && p == ec_params.p + ec_params.len)
        c = alg_curve_nid(OBJ_obj2nid(oid));
    ASN1_OBJECT_free(oid);
    return c;
}

static int add_der(struct buf *out, unsigned char *der, int len)
{
    if (len <= 0)
        return -1;
    buf_add(out, der, (size_t)len);
    OPENSSL_free(der);
    return buf_ok(out, NULL);
}

static int curve_der(const struct alg_curve *c, struct buf *out)
{
    unsigned char *der = NULL;
    int len = i2d_ASN1_OBJECT(OBJ_nid2obj(c->nid), &der);

    return add_der(out, der, len);
}

/* 2.3.3: the DER of an OCTET STRING around the point of X9.62, uncompressed. */
static int point_der(const struct pubkey *k, struct buf *out)
{
    ASN1_OCTET_STRING *s = ASN1_OCTET_STRING_new();
    unsigned char *der = NULL;
    struct buf raw = {0};
    int len = -1;

    buf_u8(&raw, 4);
    buf_add(&raw, k->point.x, k->curve->size);
    buf_add(&raw, k->point.y, k->curve->size);
    if (s != NULL && buf_ok(&raw, NULL) == 0 && ASN1_OCTET_STRING_set(s, raw.p, (int)raw.len) == 1)
        len = i2d_ASN1_OCTET_STRING(s, &der);
    ASN1_OCTET_STRING_free(s);
    buf_free(&raw);
    return add_der(out, der, len);
}

/* Some callers leave the OCTET STRING out and give the bare point. */
bool keyattr_point(struct bytes v, const struct alg_curve *c, struct ecc_point *out)
{
    const unsigned char *p = v.p;
    ASN1_OCTET_STRING *s = NULL;
    struct bytes raw = v, x, y;
    struct ecc_point got;
    struct reader r;
    bool ok;

    if (v.len == 0)
        return false;
    if (v.len != 2 * c->size + 1) {
        s = d2i_ASN1_OCTET_STRING(NULL, &p, (long)v.len);
        if (s == NULL || p != v.p + v.len) {
            ASN1_OCTET_STRING_free(s);
            return false;
        }
        raw = bytes_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
    }
    memset(&got, 0, sizeof(got));
    r = reader_of(raw.p, raw.len);
    ok = reader_u8(&r) == 4; /* uncompressed */
    x = reader_take(&r, c->size);
    y = reader_take(&r, c->size);
    ok = ok && reader_done(&r);
    if (ok) {
        memcpy(got.x, x.p, x.len);
        memcpy(got.y, y.p, y.len);
        ok = ecc_on_curve(c, &got);
    }
    ASN1_OCTET_STRING_free(s);
    if (ok)
        *out = got;
    return ok;
}

static struct bytes without_zeros(struct bytes v)
{
    struct reader r = reader_of(v.p, v.len);

    while (r.left > 1 && r.p[0] == 0)
        reader_u8(&r);
    return bytes_of(r.p, r.left);
}

static CK_RV rsa_from(const struct template *t, struct pubkey *k)
{
    struct bytes n, x;
    uint32_t exponent = 0;
    CK_RV rv = template_bytes(t, CKA_MODULUS, &n);

    if (rv == CKR_OK)
        rv = template_bytes(t, CKA_PUBLIC_EXPONENT, &x);
    if (rv != CKR_OK)
        return rv;
    n = without_zeros(n);
    x = without_zeros(x);
    if (n.len < 128 || n.len > sizeof(k->n) || (n.p[n.len - 1] & 1) == 0 || x.len > 4)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    for (size_t i = 0; i < x.len; i++)
        exponent = exponent << 8 | x.p[i];
    /* A private key need not say its exponent. */
    if (x.len == 0)
        exponent = 65537;
    if (exponent < 3 || (exponent & 1) == 0)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    k->type = TPM2_ALG_RSA;
    k->exponent = exponent;
    k->n_len = (uint16_t)n.len;
    memcpy(k->n, n.p, n.len);
    return CKR_OK;
}

static CK_RV ec_from(const struct template *t, bool need_point, struct pubkey *k)
{
    struct bytes params, point;
    CK_RV rv = template_bytes(t, CKA_EC_PARAMS, &params);

    if (rv == CKR_OK)
        rv = template_bytes(t, CKA_EC_POINT, &point);
    if (rv != CKR_OK)
        return rv;
    k->type = TPM2_ALG_ECC;
    k->curve = keyattr_curve(params);
    if (k->curve == NULL)
        return CKR_CURVE_NOT_SUPPORTED;
    if ((need_point || point.len != 0) && !keyattr_point(point, k->curve, &k->point))
        return CKR_ATTRIBUTE_VALUE_INVALID;
    return CKR_OK;
}

CK_RV keyattr_from_template(const struct template *t, unsigned group, struct pubkey *out)
{
    struct pubkey k = {0};
    CK_RV rv = (group & (ATTR_PUB_RSA | ATTR_PRIV_RSA)) != 0 ? rsa_from(t, &k)
                                                             : ec_from(t, group == ATTR_PUB_EC, &k);

    if (rv == CKR_OK)
        *out = k;
    return rv;
}

/* Replaces what the caller gave by our own form of it. */
static CK_RV canonical(struct store_object *row, unsigned group, CK_ATTRIBUTE_TYPE type,
                       const struct buf *value)
{
    return buf_ok(value, NULL) == 0 ? template_set(row, group, type, buf_bytes(value))
                                    : CKR_HOST_MEMORY;
}

/* A SubjectPublicKeyInfo that the caller gave must be the key's. */
static CK_RV set_spki(struct store_object *row, unsigned group, const struct pubkey *k)
{
    const struct store_attr *given = store_object_attr(row, CKA_PUBLIC_KEY_INFO);
    struct buf spki = {0};
    CK_RV rv = CKR_HOST_MEMORY;

    if (pubkey_to_spki(k, &spki, NULL) != 0)
        goto out;
    rv = CKR_TEMPLATE_INCONSISTENT;
    if (given != NULL && given->value.len != 0 &&
        !bytes_equal(buf_bytes(&given->value), buf_bytes(&spki)))
        goto out;
    rv = canonical(row, group, CKA_PUBLIC_KEY_INFO, &spki);
out:
    buf_free(&spki);
    return rv;
}

static CK_RV set_rsa(struct store_object *row, unsigned group, const struct pubkey *k)
{
    struct buf exponent = {0};
    CK_RV rv = template_set(row, group, CKA_MODULUS, bytes_of(k->n, k->n_len));
    bool begun = false;

    for (int shift = 24; shift >= 0; shift -= 8) {
        uint8_t byte = (uint8_t)(k->exponent >> shift);

        begun = begun || byte != 0;
        if (begun)
            buf_u8(&exponent, byte);
    }
    if (rv == CKR_OK)
        rv = canonical(row, group, CKA_PUBLIC_EXPONENT, &exponent);
    if (rv == CKR_OK && group == ATTR_PUB_RSA)
        rv = template_set_ulong(row, group, CKA_MODULUS_BITS, pubkey_bits(k));
    buf_free(&exponent);
    return rv;
}

static CK_RV set_ec(struct store_object *row, unsigned group, const struct pubkey *k)
{
    struct buf params = {0}, point = {0};
    CK_RV rv = CKR_HOST_MEMORY;

    if (curve_der(k->curve, &params) != 0 || point_der(k, &point) != 0)
        goto out;
    rv = canonical(row, group, CKA_EC_PARAMS, &params);
    if (rv == CKR_OK)
        rv = canonical(row, group, CKA_EC_POINT, &point);
out:
    buf_free(&params);
    buf_free(&point);
    return rv;
}

CK_RV keyattr_set(struct store_object *row, unsigned group, const struct pubkey *k)
{
    bool rsa = k->type == TPM2_ALG_RSA;
    CK_RV rv = template_set_ulong(row, group, CKA_KEY_TYPE, rsa ? CKK_RSA : CKK_EC);

    if (rv == CKR_OK)
        rv = set_spki(row, group, k);
    if (rv == CKR_OK)
        rv = rsa ? set_rsa(row, group, k) : set_ec(row, group, k);
    return rv;
}

int keyattr_id(struct bytes spki, uint8_t id[KEYATTR_ID], struct err *e)
{
    uint8_t digest[32];

    if (hash_sha256(spki, digest, e) != 0)
        return -1;
    memcpy(id, digest, KEYATTR_ID);
    return 0;
}
