#include "pkcs11/cert.h"

#include <limits.h>
#include <openssl/x509.h>
#include <tss2/tss2_tpm2_types.h>

#include "core/hash.h"
#include "pkcs11/attr.h"
#include "pkcs11/fail.h"
#include "pkcs11/keyattr.h"

static X509 *parse(struct bytes der)
{
    const unsigned char *p = der.p;
    X509 *x = NULL;

    if (der.len == 0 || der.len > LONG_MAX)
        return NULL;
    x = d2i_X509(NULL, &p, (long)der.len);
    if (x != NULL && p != der.p + der.len) {
        X509_free(x);
        x = NULL;
    }
    return x;
}

/* Sets what the certificate says, unless the template said something else. */
static CK_RV agree(struct store_object *row, CK_ATTRIBUTE_TYPE type, struct bytes value)
{
    const struct store_attr *given = store_object_attr(row, type);

    if (given != NULL && given->value.len != 0)
        return bytes_equal(buf_bytes(&given->value), value) ? CKR_OK : CKR_TEMPLATE_INCONSISTENT;
    return template_set(row, ATTR_CERT, type, value);
}

/* The same for DER that OpenSSL allocated; `len` < 0 when that failed. */
static CK_RV agree_der(struct store_object *row, CK_ATTRIBUTE_TYPE type, unsigned char *der,
                       int len)
{
    CK_RV rv = CKR_HOST_MEMORY;

    if (len > 0)
        rv = agree(row, type, bytes_of(der, (size_t)len));
    OPENSSL_free(der);
    return rv;
}

/* CKA_SERIAL_NUMBER is DER (4.6.3). Java's SunPKCS11 gives the contents of that alone: taken, and
 * kept as DER, which others look for. */
static CK_RV agree_serial(struct store_object *row, X509 *x)
{
    const struct store_attr *given = store_object_attr(row, CKA_SERIAL_NUMBER);
    unsigned char *der = NULL;
    int len = i2d_ASN1_INTEGER(X509_get_serialNumber(x), &der), tag, class;
    const unsigned char *contents = der;
    long n = 0;
    CK_RV rv;

    if (len <= 0 || ASN1_get_object(&contents, &n, &tag, &class, len) != 0 || given == NULL ||
        !bytes_equal(buf_bytes(&given->value), bytes_of(contents, (size_t)n)))
        return agree_der(row, CKA_SERIAL_NUMBER, der, len);
    rv = template_set(row, ATTR_CERT, CKA_SERIAL_NUMBER, bytes_of(der, (size_t)len));
    OPENSSL_free(der);
    return rv;
}

static CK_RV set_names(struct store_object *row, X509 *x)
{
    unsigned char *subject = NULL, *issuer = NULL;
    int n_subject = i2d_X509_NAME(X509_get_subject_name(x), &subject);
    int n_issuer = i2d_X509_NAME(X509_get_issuer_name(x), &issuer);
    CK_RV a = agree_der(row, CKA_SUBJECT, subject, n_subject);
    CK_RV b = agree_der(row, CKA_ISSUER, issuer, n_issuer);
    CK_RV c = agree_serial(row, x);

    return a != CKR_OK ? a : b != CKR_OK ? b : c;
}

/* 4.6.2: the first three bytes of the SHA-1 of the certificate. */
static CK_RV set_check_value(struct store_object *row, struct bytes der)
{
    uint8_t digest[ALG_MAX_DIGEST];

    if (hash_digest(alg_hash_of(TPM2_ALG_SHA1), der, digest, NULL) != 0)
        return CKR_FUNCTION_FAILED;
    return agree(row, CKA_CHECK_VALUE, bytes_of(digest, 3));
}

static CK_RV set_id(struct store_object *row, struct index *x, struct bytes spki)
{
    const struct object *key = NULL;
    struct err e = {0};
    uint8_t id[KEYATTR_ID];
    struct bytes v;

    if (store_object_attr(row, CKA_ID) != NULL)
        return CKR_OK;
    if (index_with_key(x, spki, &key, &e) != 0)
        return fail_rv(&e, CKR_DURING_ANY);
    if (key == NULL || !object_value(key, CKA_ID, &v) || v.len == 0) {
        if (keyattr_id(spki, id, NULL) != 0)
            return CKR_FUNCTION_FAILED;
        v = bytes_of(id, sizeof(id));
    }
    return template_set(row, ATTR_CERT, CKA_ID, v);
}

static CK_RV set_key(struct store_object *row, struct index *x, X509 *cert)
{
    unsigned char *spki = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki);
    CK_RV rv = CKR_ATTRIBUTE_VALUE_INVALID;

    if (len > 0)
        rv = agree(row, CKA_PUBLIC_KEY_INFO, bytes_of(spki, (size_t)len));
    if (rv == CKR_OK)
        rv = set_id(row, x, bytes_of(spki, (size_t)len));
    OPENSSL_free(spki);
    return rv;
}

static bool has_subject(const struct store_object *row)
{
    const struct store_attr *subject = store_object_attr(row, CKA_SUBJECT);

    return subject != NULL && subject->value.len != 0;
}

CK_RV cert_complete(struct store_object *row, struct index *x)
{
    const struct store_attr *type = store_object_attr(row, CKA_CERTIFICATE_TYPE);
    const struct store_attr *value = store_object_attr(row, CKA_VALUE);
    X509 *cert = NULL;
    CK_RV rv;

    if (type == NULL || value == NULL)
        return CKR_TEMPLATE_INCOMPLETE;
    if (attr_to_ulong(buf_bytes(&type->value)) != CKC_X_509)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    cert = parse(buf_bytes(&value->value));
    if (cert == NULL && !has_subject(row))
        return CKR_ATTRIBUTE_VALUE_INVALID;
    rv = set_check_value(row, buf_bytes(&value->value));
    /* A form that libcrypto does not read: kept as it is under the names that the
     * application gave (4.6.3 asks it for the subject). */
    if (cert == NULL)
        return rv;
    if (rv == CKR_OK)
        rv = set_names(row, cert);
    if (rv == CKR_OK)
        rv = set_key(row, x, cert);
    X509_free(cert);
    return rv;
}
