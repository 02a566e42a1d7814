#include "core/asn1.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* clang-format takes these macros for what they are not. */
/* clang-format off */

ASN1_SEQUENCE(asn1_statement) = {
    ASN1_SIMPLE(asn1_statement, type, ASN1_OBJECT),
    ASN1_SIMPLE(asn1_statement, stmt, ASN1_ANY),
    ASN1_OPT(asn1_statement, hint, ASN1_UTF8STRING),
} ASN1_SEQUENCE_END(asn1_statement)

ASN1_SEQUENCE(asn1_bundle) = {
    ASN1_SEQUENCE_OF(asn1_bundle, attestations, asn1_statement),
    ASN1_SEQUENCE_OF_OPT(asn1_bundle, certs, ASN1_ANY),
} ASN1_SEQUENCE_END(asn1_bundle)

ASN1_SEQUENCE(asn1_certify) = {
    ASN1_SIMPLE(asn1_certify, attest, ASN1_OCTET_STRING),
    ASN1_SIMPLE(asn1_certify, signature, ASN1_OCTET_STRING),
    ASN1_OPT(asn1_certify, public, ASN1_OCTET_STRING),
} ASN1_SEQUENCE_END(asn1_certify)

ASN1_SEQUENCE(asn1_approver) = {
    ASN1_SIMPLE(asn1_approver, public, ASN1_OCTET_STRING),
    ASN1_SIMPLE(asn1_approver, purpose, ASN1_OCTET_STRING),
    ASN1_SIMPLE(asn1_approver, record, ASN1_OCTET_STRING),
} ASN1_SEQUENCE_END(asn1_approver)

ASN1_SEQUENCE(asn1_invitation) = {
    ASN1_SIMPLE(asn1_invitation, version, ASN1_INTEGER),
    ASN1_SIMPLE(asn1_invitation, authority, ASN1_UTF8STRING),
    ASN1_SIMPLE(asn1_invitation, nonce, ASN1_OCTET_STRING),
    ASN1_SIMPLE(asn1_invitation, subject, ASN1_UTF8STRING),
    ASN1_SIMPLE(asn1_invitation, community, ASN1_INTEGER),
    ASN1_SIMPLE(asn1_invitation, level, ASN1_INTEGER),
    ASN1_SIMPLE(asn1_invitation, not_after, ASN1_GENERALIZEDTIME),
    ASN1_IMP_OPT(asn1_invitation, ek_spki_hash, ASN1_OCTET_STRING, 0),
} ASN1_SEQUENCE_END(asn1_invitation)

ASN1_SEQUENCE(asn1_request) = {
    ASN1_SIMPLE(asn1_request, version, ASN1_INTEGER),
    ASN1_SIMPLE(asn1_request, ek_template, ASN1_INTEGER),
    ASN1_SIMPLE(asn1_request, ek_cert, X509),
    ASN1_IMP_SEQUENCE_OF_OPT(asn1_request, ek_chain, ASN1_ANY, 0),
    ASN1_SIMPLE(asn1_request, ak_public, ASN1_OCTET_STRING),
    ASN1_SIMPLE(asn1_request, csr, ASN1_ANY),
} ASN1_SEQUENCE_END(asn1_request)

ASN1_SEQUENCE(asn1_record) = {
    ASN1_SIMPLE(asn1_record, version, ASN1_INTEGER),
    ASN1_SIMPLE(asn1_record, nonce, ASN1_OCTET_STRING),
    ASN1_SIMPLE(asn1_record, ek_template, ASN1_INTEGER),
    ASN1_SIMPLE(asn1_record, ek_cert, X509),
    ASN1_IMP_SEQUENCE_OF_OPT(asn1_record, ek_chain, ASN1_ANY, 0),
    ASN1_SIMPLE(asn1_record, ak_public, ASN1_OCTET_STRING),
    ASN1_SIMPLE(asn1_record, ak_cert, X509),
    ASN1_SIMPLE(asn1_record, csr, ASN1_ANY),
    ASN1_SIMPLE(asn1_record, issued_at, ASN1_GENERALIZEDTIME),
} ASN1_SEQUENCE_END(asn1_record)

ASN1_SEQUENCE(asn1_sealed) = {
    ASN1_SIMPLE(asn1_sealed, version, ASN1_INTEGER),
    ASN1_SIMPLE(asn1_sealed, ak_name, ASN1_OCTET_STRING),
    ASN1_SIMPLE(asn1_sealed, blob, ASN1_OCTET_STRING),
    ASN1_SIMPLE(asn1_sealed, encrypted_secret, ASN1_OCTET_STRING),
    ASN1_SIMPLE(asn1_sealed, nonce, ASN1_OCTET_STRING),
    ASN1_SIMPLE(asn1_sealed, sealed, ASN1_OCTET_STRING),
} ASN1_SEQUENCE_END(asn1_sealed)

ASN1_SEQUENCE(asn1_issued) = {
    ASN1_SIMPLE(asn1_issued, certificate, X509),
    ASN1_SEQUENCE_OF(asn1_issued, chain, X509),
    ASN1_SIMPLE(asn1_issued, evidence, asn1_record),
} ASN1_SEQUENCE_END(asn1_issued)

ASN1_SEQUENCE(asn1_csrinfo) = {
    ASN1_SIMPLE(asn1_csrinfo, version, ASN1_INTEGER),
    ASN1_SIMPLE(asn1_csrinfo, subject, ASN1_ANY),
    ASN1_SIMPLE(asn1_csrinfo, spki, ASN1_ANY),
    ASN1_IMP_SET_OF_OPT(asn1_csrinfo, attributes, X509_ATTRIBUTE, 0),
} ASN1_SEQUENCE_END(asn1_csrinfo)

ASN1_SEQUENCE(asn1_csr) = {
    ASN1_SIMPLE(asn1_csr, info, asn1_csrinfo),
    ASN1_SIMPLE(asn1_csr, algorithm, X509_ALGOR),
    ASN1_SIMPLE(asn1_csr, signature, ASN1_BIT_STRING),
} ASN1_SEQUENCE_END(asn1_csr)

                                                                                    /* clang-format on */

                                                                                    void *
                                                                                    asn1_new(
                                                                                        const ASN1_ITEM
                                                                                            *type,
                                                                                        struct err
                                                                                            *e)
{
    void *v = ASN1_item_new(type);

    if (v == NULL)
        err_openssl(e, E_MEMORY, "out of memory for an ASN.1 value");
    return v;
}

void asn1_free(void *value, const ASN1_ITEM *type)
{
    ASN1_item_free(value, type);
}

void *asn1_decode(const ASN1_ITEM *type, struct bytes der, size_t max, const char *what,
                  struct err *e)
{
    const uint8_t *p = der.p;
    struct buf again = {.secret = true};
    void *v = NULL;

    if (der.len == 0 || der.len > max) {
        err_set(e, E_FORMAT, "the %s has %zu bytes; 1 to %zu are accepted", what, der.len, max);
        return NULL;
    }
    v = ASN1_item_d2i(NULL, &p, (long)der.len, type);
    if (v == NULL) {
        ERR_clear_error();
        err_set(e, E_FORMAT, "the %s is malformed; ask its sender for a new one", what);
        return NULL;
    }
    if (p != der.p + der.len) {
        err_set(e, E_FORMAT, "%zu bytes follow the %s", (size_t)(der.p + der.len - p), what);
        goto bad;
    }
    if (asn1_encode(v, type, &again, e) != 0)
        goto bad;
    if (!bytes_equal(buf_bytes(&again), der)) {
        err_set(e, E_FORMAT, "the %s is not in DER, the one encoding of X.690, 10", what);
        goto bad;
    }
    buf_free(&again);
    return v;
bad:
    buf_free(&again);
    ASN1_item_free(v, type);
    return NULL;
}

int asn1_encode(const void *value, const ASN1_ITEM *type, struct buf *out, struct err *e)
{
    uint8_t *der = NULL;
    int len = ASN1_item_i2d(value, &der, type);

    if (len <= 0)
        return err_openssl(e, E_CRYPTO, "writing an ASN.1 value, is a field missing?");
    buf_add(out, der, (size_t)len);
    OPENSSL_clear_free(der, (size_t)len);
    return buf_ok(out, e);
}

/* --- fields ---------------------------------------------------------------- */

int asn1_set_octets(ASN1_OCTET_STRING *to, struct bytes from, struct err *e)
{
    if (from.len > BUF_MAX ||
        ASN1_STRING_set(to, from.p != NULL ? (const void *)from.p : "", (int)from.len) != 1)
        return err_set(e, E_MEMORY, "out of memory for an ASN.1 value");
    return 0;
}

int asn1_set_u32(ASN1_INTEGER *to, uint32_t v, struct err *e)
{
    if (ASN1_INTEGER_set_uint64(to, v) != 1)
        return err_set(e, E_MEMORY, "out of memory for an ASN.1 value");
    return 0;
}

int asn1_set_time(ASN1_GENERALIZEDTIME *to, int64_t t, struct err *e)
{
    if (ASN1_GENERALIZEDTIME_set(to, (time_t)t) == NULL)
        return err_openssl(e, E_ARG, "the time does not fit GeneralizedTime");
    return 0;
}

struct bytes asn1_octets(const ASN1_STRING *s)
{
    if (s == NULL || ASN1_STRING_length(s) <= 0)
        return (struct bytes){NULL, 0};
    return bytes_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

int asn1_u32(const ASN1_INTEGER *v, uint32_t *out, struct err *e)
{
    uint64_t n;

    if (ASN1_INTEGER_get_uint64(&n, v) != 1 || n > UINT32_MAX) {
        ERR_clear_error();
        return err_set(e, E_FORMAT, "a number is negative or does not fit 32 bits");
    }
    *out = (uint32_t)n;
    return 0;
}

int asn1_time(const ASN1_TIME *t, int64_t *out, struct err *e)
{
    struct tm tm;

    /* DER: YYYYMMDDHHMMSSZ, no fraction, no offset (RFC 5280, 4.1.2.5.2). */
    if (ASN1_STRING_type(t) != V_ASN1_GENERALIZEDTIME || ASN1_STRING_length(t) != 15 ||
        ASN1_TIME_to_tm(t, &tm) != 1) {
        ERR_clear_error();
        return err_set(e, E_FORMAT, "a time is not of the form YYYYMMDDHHMMSSZ");
    }
    *out = (int64_t)timegm(&tm);
    /* Nor do we write one. */
    return *out >= 0 ? 0 : err_set(e, E_FORMAT, "a time is before 1970");
}

/* --- PEM ------------------------------------------------------------------- */

/* What people call the blocks that they may hand us by mistake. */
static const struct {
    const char *label;
    const char *words;
} kinds[] = {
    {"FUSETSU INVITATION", "an invitation"},
    {"FUSETSU ENROLMENT REQUEST", "an enrolment request"},
    {"FUSETSU SEALED CREDENTIAL", "a sealed credential"},
    {"FUSETSU EVIDENCE", "an evidence record"},
    {"FUSETSU APPROVER", "an approver"},
    {"FUSETSU APPROVAL REQUEST", "a request for approval"},
    {"FUSETSU APPROVAL", "an approval"},
    {"CERTIFICATE", "a certificate"},
    {"TRUSTED CERTIFICATE", "a certificate"},
    {"CERTIFICATE REQUEST", "a plain certification request"},
    {"NEW CERTIFICATE REQUEST", "a plain certification request"},
    {"X509 CRL", "a revocation list"},
    {"PUBLIC KEY", "a public key"},
    {"PRIVATE KEY", "a private key (keep it to yourself)"},
    {"EC PRIVATE KEY", "a private key (keep it to yourself)"},
    {"RSA PRIVATE KEY", "a private key (keep it to yourself)"},
    {"ENCRYPTED PRIVATE KEY", "a private key (keep it to yourself)"},
};

static const char *kind_of(const char *label)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].label, label) == 0)
            return kinds[i].words;
    }
    return "some other PEM file";
}

int asn1_pem_write(const char *label, struct bytes der, struct buf *out, struct err *e)
{
    BIO *b = BIO_new(BIO_s_mem());
    char *text;
    long len;
    int rc = -1;

    if (b == NULL || der.len > BUF_MAX || PEM_write_bio(b, label, "", der.p, (long)der.len) <= 0) {
        err_openssl(e, E_MEMORY, "writing PEM");
        goto out;
    }
    len = BIO_get_mem_data(b, &text);
    buf_add(out, text, (size_t)len);
    rc = buf_ok(out, e);
out:
    BIO_free(b);
    return rc;
}

/* The outcome of a file without, or with another, block. */
static int pem_none(const char *label, const char *other, struct bytes text, struct err *e)
{
    const char *want = kind_of(label);

    if (other[0] != 0)
        return err_set(e, E_FORMAT, "this is %s, not %s", other, want);
    if (text.len > 1 && text.p[0] == 0x30 && (text.p[1] & 0x80) != 0)
        return err_set(e, E_FORMAT,
                       "this is a binary (DER) file, not %s: it would begin "
                       "with -----BEGIN %s-----",
                       want, label);
    return err_set(e, E_FORMAT, "this is not %s: there is no whole block -----BEGIN %s----- in it",
                   want, label);
}

int asn1_pem_read(const char *label, struct bytes text, size_t max, struct buf *der, struct err *e)
{
    char *name = NULL, *header = NULL;
    char other[64] = "";
    struct buf found = {0};
    uint8_t *data = NULL;
    long len;
    int rc = -1;
    BIO *b;

    if (text.len > max)
        return err_set(e, E_FORMAT, "%zu bytes are too many for %s: at most %zu", text.len,
                       kind_of(label), max);
    b = BIO_new_mem_buf(text.len != 0 ? (const void *)text.p : "", (int)text.len);
    if (b == NULL)
        return err_set(e, E_MEMORY, "out of memory for a PEM file");
    while (PEM_read_bio(b, &name, &header, &data, &len) == 1) {
        bool ours = strcmp(name, label) == 0, again = ours && found.len != 0;

        if (!ours)
            snprintf(other, sizeof(other), "%s", kind_of(name));
        else
            buf_add(&found, data, (size_t)len);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(data);
        if (again) {
            err_set(e, E_FORMAT, "there are two in this file; keep one of them");
            goto out;
        }
    }
    if (found.len == 0 && !found.bad) {
        pem_none(label, other, text, e);
        goto out;
    }
    if (buf_ok(&found, e) != 0)
        goto out;
    buf_add_bytes(der, buf_bytes(&found));
    rc = buf_ok(der, e);
out:
    ERR_clear_error();
    buf_free(&found);
    BIO_free(b);
    return rc;
}

/* --- clearances -------------------------------------------------------------- */

/* Last in the file: what follows such macros clang-format misplaces. */
/* clang-format off */

ASN1_SEQUENCE(asn1_clearance) = {
    ASN1_SIMPLE(asn1_clearance, policy, ASN1_OBJECT),
    ASN1_OPT(asn1_clearance, classes, ASN1_BIT_STRING),
    ASN1_SET_OF_OPT(asn1_clearance, categories, ASN1_ANY),
} ASN1_SEQUENCE_END(asn1_clearance)

ASN1_SEQUENCE(asn1_clearance_3281) = {
    ASN1_IMP(asn1_clearance_3281, policy, ASN1_OBJECT, 0),
    ASN1_IMP_OPT(asn1_clearance_3281, classes, ASN1_BIT_STRING, 1),
    ASN1_IMP_SET_OF_OPT(asn1_clearance_3281, categories, ASN1_ANY, 2),
} ASN1_SEQUENCE_END(asn1_clearance_3281)

ASN1_ITEM_TEMPLATE(asn1_clearances) =
    ASN1_EX_TEMPLATE_TYPE(ASN1_TFLG_SEQUENCE_OF, 0, asn1_clearances, asn1_clearance)
ASN1_ITEM_TEMPLATE_END(asn1_clearances)

ASN1_ITEM_TEMPLATE(asn1_attributes) =
    ASN1_EX_TEMPLATE_TYPE(ASN1_TFLG_SEQUENCE_OF, 0, asn1_attributes, X509_ATTRIBUTE)
ASN1_ITEM_TEMPLATE_END(asn1_attributes)
