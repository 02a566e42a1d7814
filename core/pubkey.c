#include "core/pubkey.h"

#include "core/asn1.h"
#include "core/hash.h"

#include <openssl/obj_mac.h>
#include <openssl/objects.h>
#include <stdio.h>
#include <string.h>

/* FIPS 186-5, 5.1: nothing below 2048 bits is used any more. */
#define RSA_MIN_BYTES 256
#define EXPONENT_DEFAULT 65537 /* Part 2, 12.2.3.5: exponent 0 */
#define SPKI_MAX 1024

/* SubjectPublicKeyInfo and RSAPublicKey (RFC 5280, 4.1; RFC 8017, A.1.1) by templates
 * of our own: OpenSSL's would build an EVP_PKEY, which may meet an engine. */
typedef struct spki {
    X509_ALGOR *algorithm;
    ASN1_BIT_STRING *key;
} spki;
ASN1_SEQUENCE(spki) =
    {
        ASN1_SIMPLE(spki, algorithm, X509_ALGOR),
        ASN1_SIMPLE(spki, key, ASN1_BIT_STRING),
} static_ASN1_SEQUENCE_END(spki)

        typedef struct rsa_public {
    ASN1_INTEGER *n;
    ASN1_INTEGER *e;
} rsa_public;
ASN1_SEQUENCE(rsa_public) =
    {
        ASN1_SIMPLE(rsa_public, n, ASN1_INTEGER),
        ASN1_SIMPLE(rsa_public, e, ASN1_INTEGER),
} static_ASN1_SEQUENCE_END(rsa_public)

        int pubkey_from_rsa(struct pubkey * k, struct bytes n, uint32_t exponent, struct err *e)
{
    struct pubkey out = {.type = TPM2_ALG_RSA, .exponent = exponent};

    if (n.len > PUBKEY_MAX_RSA)
        return err_set(e, E_UNSUPPORTED, "an RSA key of %zu bits is longer than this program uses",
                       n.len * 8);
    if (n.len < RSA_MIN_BYTES || (n.p[0] & 0x80) == 0)
        return err_set(e, E_DATA, "the RSA modulus is short: %zu bytes, at least %d and full",
                       n.len, RSA_MIN_BYTES);
    if ((n.p[n.len - 1] & 1) == 0)
        return err_set(e, E_DATA, "the RSA modulus is even: this is no RSA key");
    if (exponent < 3 || (exponent & 1) == 0)
        return err_set(e, E_DATA, "the RSA exponent %u is not an odd number above 1",
                       (unsigned)exponent);
    out.n_len = (uint16_t)n.len;
    memcpy(out.n, n.p, n.len);
    *k = out;
    return 0;
}

int pubkey_from_point(struct pubkey *k, const struct alg_curve *c, struct bytes x, struct bytes y,
                      struct err *e)
{
    struct pubkey out = {.type = TPM2_ALG_ECC, .curve = c};

    if (x.len > c->size || y.len > c->size)
        return err_set(e, E_DATA, "a coordinate is longer than %s has", c->name);
    /* Part 2, 11.2.5.2: some TPMs leave leading zeros out. */
    if (x.len != 0)
        memcpy(out.point.x + (c->size - x.len), x.p, x.len);
    if (y.len != 0)
        memcpy(out.point.y + (c->size - y.len), y.p, y.len);
    if (!ecc_on_curve(c, &out.point))
        return err_set(e, E_DATA, "the public point is not on %s", c->name);
    *k = out;
    return 0;
}

int pubkey_from_tpmt(struct pubkey *k, const TPMT_PUBLIC *pub, struct err *e)
{
    const TPMS_RSA_PARMS *rsa = &pub->parameters.rsaDetail;
    const TPM2B_PUBLIC_KEY_RSA *n = &pub->unique.rsa;
    const TPMS_ECC_POINT *q = &pub->unique.ecc;
    const struct alg_curve *c;

    switch (pub->type) {
    case TPM2_ALG_RSA:
        if (n->size > sizeof(n->buffer) || n->size * 8u != rsa->keyBits)
            return err_set(e, E_DATA, "the RSA modulus has %u bytes where keyBits says %u bits",
                           (unsigned)n->size, (unsigned)rsa->keyBits);
        return pubkey_from_rsa(k, bytes_of(n->buffer, n->size),
                               rsa->exponent != 0 ? rsa->exponent : EXPONENT_DEFAULT, e);
    case TPM2_ALG_ECC:
        c = alg_curve_of(pub->parameters.eccDetail.curveID);
        if (c == NULL)
            return err_set(e, E_UNSUPPORTED, "the curve 0x%04x is not one of P-256, P-384, P-521",
                           (unsigned)pub->parameters.eccDetail.curveID);
        if (q->x.size > sizeof(q->x.buffer) || q->y.size > sizeof(q->y.buffer))
            return err_set(e, E_DATA, "a coordinate is longer than the structure");
        return pubkey_from_point(k, c, bytes_of(q->x.buffer, q->x.size),
                                 bytes_of(q->y.buffer, q->y.size), e);
    default:
        return err_set(e, E_UNSUPPORTED, "a TPM object of type 0x%04x is no RSA or ECC key",
                       (unsigned)pub->type);
    }
}

/* --- SubjectPublicKeyInfo -------------------------------------------------- */

/* RSAPublicKey, or the point as 04 ‖ x ‖ y (SEC 1, 2.3.3). */
static int key_bytes(const struct pubkey *k, struct buf *out, struct err *e)
{
    rsa_public *r = NULL;
    BIGNUM *n = NULL;
    int rc = -1;

    if (k->type == TPM2_ALG_ECC) {
        buf_u8(out, POINT_CONVERSION_UNCOMPRESSED);
        buf_add(out, k->point.x, k->curve->size);
        buf_add(out, k->point.y, k->curve->size);
        return buf_ok(out, e);
    }
    r = asn1_new(ASN1_ITEM_rptr(rsa_public), e);
    n = BN_bin2bn(k->n, k->n_len, NULL);
    if (r == NULL || n == NULL || BN_to_ASN1_INTEGER(n, r->n) == NULL ||
        ASN1_INTEGER_set_uint64(r->e, k->exponent) != 1) {
        err_set(e, E_MEMORY, "out of memory for a public key");
        goto out;
    }
    rc = asn1_encode(r, ASN1_ITEM_rptr(rsa_public), out, e);
out:
    BN_free(n);
    asn1_free(r, ASN1_ITEM_rptr(rsa_public));
    return rc;
}

int pubkey_to_spki(const struct pubkey *k, struct buf *out, struct err *e)
{
    struct buf key = {0};
    spki *s = NULL;
    int rc = -1, ok;

    s = asn1_new(ASN1_ITEM_rptr(spki), e);
    if (s == NULL || key_bytes(k, &key, e) != 0)
        goto out;
    if (k->type == TPM2_ALG_ECC)
        ok = X509_ALGOR_set0(s->algorithm, OBJ_nid2obj(NID_X9_62_id_ecPublicKey), V_ASN1_OBJECT,
                             OBJ_nid2obj(k->curve->nid));
    else
        ok = X509_ALGOR_set0(s->algorithm, OBJ_nid2obj(NID_rsaEncryption), V_ASN1_NULL, NULL);
    if (ok != 1 || ASN1_BIT_STRING_set(s->key, key.p, (int)key.len) != 1) {
        err_set(e, E_MEMORY, "out of memory for a public key");
        goto out;
    }
    /* No unused bits; without these flags OpenSSL would count trailing zeros. */
    s->key->flags &= ~(long)(ASN1_STRING_FLAG_BITS_LEFT | 0x07);
    s->key->flags |= ASN1_STRING_FLAG_BITS_LEFT;
    rc = asn1_encode(s, ASN1_ITEM_rptr(spki), out, e);
out:
    buf_free(&key);
    asn1_free(s, ASN1_ITEM_rptr(spki));
    return rc;
}

static int ecc_from_bits(struct pubkey *k, const X509_ALGOR *a, struct bytes bits, struct err *e)
{
    const struct alg_curve *c;
    const ASN1_OBJECT *oid;
    const void *parameter;
    struct reader r = reader_of(bits.p, bits.len);
    struct bytes x, y;
    int type;

    X509_ALGOR_get0(NULL, &type, &parameter, a);
    oid = type == V_ASN1_OBJECT ? parameter : NULL;
    c = oid != NULL ? alg_curve_nid(OBJ_obj2nid(oid)) : NULL;
    if (c == NULL)
        return err_set(e, E_UNSUPPORTED, "the key is not on a named curve P-256, P-384 or P-521");
    if (reader_u8(&r) != POINT_CONVERSION_UNCOMPRESSED)
        return err_set(e, E_FORMAT, "the public point is not in uncompressed form");
    x = reader_take(&r, c->size);
    y = reader_take(&r, c->size);
    if (!reader_done(&r))
        return err_set(e, E_FORMAT, "the public point does not have the length of %s", c->name);
    return pubkey_from_point(k, c, x, y, e);
}

static int rsa_from_bits(struct pubkey *k, struct bytes bits, struct err *e)
{
    rsa_public *r = asn1_decode(ASN1_ITEM_rptr(rsa_public), bits, SPKI_MAX, "RSA public key", e);
    struct bytes n;
    uint64_t exponent;
    int rc = -1;

    if (r == NULL)
        return -1;
    n = asn1_octets(r->n);
    if (ASN1_STRING_type(r->n) != V_ASN1_INTEGER || ASN1_INTEGER_get_uint64(&exponent, r->e) != 1 ||
        exponent > UINT32_MAX)
        err_set(e, E_UNSUPPORTED, "the RSA key has a negative modulus or an exponent over 32 bits");
    else
        rc = pubkey_from_rsa(k, n, (uint32_t)exponent, e);
    asn1_free(r, ASN1_ITEM_rptr(rsa_public));
    return rc;
}

int pubkey_from_spki(struct pubkey *k, struct bytes der, struct err *e)
{
    const ASN1_OBJECT *oid;
    struct pubkey got;
    struct buf again = {0};
    spki *s = NULL;
    int rc = -1;

    s = asn1_decode(ASN1_ITEM_rptr(spki), der, SPKI_MAX, "public key", e);
    if (s == NULL)
        return -1;
    X509_ALGOR_get0(&oid, NULL, NULL, s->algorithm);
    switch (OBJ_obj2nid(oid)) {
    case NID_X9_62_id_ecPublicKey:
        rc = ecc_from_bits(&got, s->algorithm, asn1_octets(s->key), e);
        break;
    case NID_rsaEncryption: rc = rsa_from_bits(&got, asn1_octets(s->key), e); break;
    default: err_set(e, E_UNSUPPORTED, "the public key is neither RSA nor on a NIST curve");
    }
    /* One key, one encoding: parameters and unused bits included. */
    if (rc == 0 && (rc = pubkey_to_spki(&got, &again, e)) == 0 &&
        !bytes_equal(buf_bytes(&again), der))
        rc = err_set(e, E_FORMAT, "the public key is not in its one DER encoding (RFC 3279, 2.3)");
    if (rc == 0)
        *k = got;
    buf_free(&again);
    asn1_free(s, ASN1_ITEM_rptr(spki));
    return rc;
}

int pubkey_from_x509(struct pubkey *k, X509 *cert, struct err *e)
{
    uint8_t *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der), rc;

    if (len <= 0)
        return err_openssl(e, E_FORMAT, "the certificate has no readable public key");
    rc = pubkey_from_spki(k, bytes_of(der, (size_t)len), e);
    OPENSSL_free(der);
    return rc;
}

/* --- facts ----------------------------------------------------------------- */

bool pubkey_equal(const struct pubkey *a, const struct pubkey *b)
{
    if (a->type != b->type)
        return false;
    if (a->type == TPM2_ALG_ECC)
        return a->curve == b->curve && memcmp(a->point.x, b->point.x, a->curve->size) == 0 &&
               memcmp(a->point.y, b->point.y, a->curve->size) == 0;
    return a->exponent == b->exponent &&
           bytes_equal(bytes_of(a->n, a->n_len), bytes_of(b->n, b->n_len));
}

int pubkey_id(const struct pubkey *k, uint8_t id[32], struct err *e)
{
    struct buf der = {0};
    int rc = pubkey_to_spki(k, &der, e) != 0 ? -1 : hash_sha256(buf_bytes(&der), id, e);

    buf_free(&der);
    return rc;
}

unsigned pubkey_bits(const struct pubkey *k)
{
    if (k->type != TPM2_ALG_ECC)
        return k->n_len * 8u;
    /* P-521's coordinates fill 66 bytes but for seven bits. */
    return k->curve->tpm == TPM2_ECC_NIST_P521 ? 521 : (unsigned)k->curve->size * 8u;
}

const char *pubkey_name(const struct pubkey *k)
{
    if (k->type == TPM2_ALG_ECC)
        return k->curve->name;
    switch (k->n_len) {
    case 256: return "RSA-2048";
    case 384: return "RSA-3072";
    case 512: return "RSA-4096";
    default: return "RSA";
    }
}

size_t pubkey_sig_len(const struct pubkey *k)
{
    return k->type == TPM2_ALG_ECC ? 2 * k->curve->size : k->n_len;
}
