#include "core/evidence.h"

#include "core/asn1.h"
#include "core/evidence_parts.h"
#include "core/hash.h"
#include "core/oid.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#define VERSION 1
#define PEM_MAX (2 * EVIDENCE_MAX)

/* --- what the three messages have in common -------------------------------- */

static int check_version(const ASN1_INTEGER *v, const char *what, struct err *e)
{
    uint32_t n;

    if (asn1_u32(v, &n, e) != 0)
        return -1;
    if (n == VERSION)
        return 0;
    return err_set(e, n > VERSION ? E_VERSION : E_FORMAT,
                   "the %s is of version %u, this program reads version %d", what, (unsigned)n,
                   VERSION);
}

static int check_nonce(size_t len, struct err *e)
{
    if (len < EVIDENCE_NONCE_MIN || len > EVIDENCE_NONCE_MAX)
        return err_set(e, E_FORMAT, "a nonce has %d to %d bytes, not %zu", EVIDENCE_NONCE_MIN,
                       EVIDENCE_NONCE_MAX, len);
    return 0;
}

/* UTF-8 into a C string: not empty, no control characters, room for the NUL. */
static int take_text(const ASN1_UTF8STRING *s, char out[EVIDENCE_TEXT_MAX], const char *what,
                     struct err *e)
{
    struct bytes b = asn1_octets(s);

    if (b.len == 0 || b.len >= EVIDENCE_TEXT_MAX)
        return err_set(e, E_FORMAT, "the %s has %zu bytes, not 1 to %d", what, b.len,
                       EVIDENCE_TEXT_MAX - 1);
    for (size_t i = 0; i < b.len;) {
        unsigned long c;
        int n = UTF8_getc(b.p + i, (int)(b.len - i), &c);

        if (n <= 0 || c < 0x20 || (c >= 0x7f && c < 0xa0))
            return err_set(e, E_FORMAT, "the %s is not plain UTF-8 text", what);
        i += (size_t)n;
    }
    memcpy(out, b.p, b.len);
    out[b.len] = 0;
    return 0;
}

static int put_text(ASN1_UTF8STRING *to, const char *from, struct err *e)
{
    return asn1_set_octets(to, bytes_of(from, strlen(from)), e);
}

static int put_time(ASN1_GENERALIZEDTIME *to, int64_t t, struct err *e)
{
    /* 9999-12-31T23:59:59Z, the last that four digits of year hold. */
    if (t < 0 || t > 253402300799)
        return err_set(e, E_ARG, "the time lies outside 1970 to 9999");
    return asn1_set_time(to, t, e);
}

/* A list by reference; NULL for none, so that "none" has one encoding. */
static int share_chain(STACK_OF(X509) * from, STACK_OF(X509) * *to, struct err *e)
{
    if (from == NULL || sk_X509_num(from) <= 0)
        return 0;
    *to = X509_chain_up_ref(from);
    return *to != NULL ? 0 : err_openssl(e, E_MEMORY, "copying a certificate chain");
}

static int share_cert(X509 *from, X509 **to, struct err *e)
{
    if (from == NULL || X509_up_ref(from) != 1)
        return err_set(e, E_ARG, "a certificate is missing");
    X509_free(*to);
    *to = from;
    return 0;
}

/* X509_REQ has no reference count. */
static int copy_csr(X509_REQ *from, X509_REQ **to, struct err *e)
{
    X509_REQ *got = from != NULL ? X509_REQ_dup(from) : NULL;

    if (got == NULL)
        return err_openssl(e, E_ARG, "the certification request is missing or not signed yet");
    X509_REQ_free(*to);
    *to = got;
    return 0;
}

static int copy_bytes(struct bytes from, struct buf *to, struct err *e)
{
    buf_add_bytes(to, from);
    return buf_ok(to, e);
}

/* --- invitation ------------------------------------------------------------ */

int evidence_invitation_encode(const struct evidence_invitation *v, struct buf *out, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(asn1_invitation);
    asn1_invitation *a = NULL;
    int rc = -1;

    if (v->nonce_len > sizeof(v->nonce) || check_nonce(v->nonce_len, e) != 0)
        return err_set(e, E_ARG, "the nonce is too long");
    if (oid_community_name(v->community) == NULL || v->level < 1 || v->level > OID_LEVELS)
        return err_set(e, E_ARG, "community %u or level %u does not exist", v->community, v->level);
    a = asn1_new(type, e);
    if (a == NULL || asn1_set_u32(a->version, VERSION, e) != 0 ||
        put_text(a->authority, v->authority, e) != 0 ||
        asn1_set_octets(a->nonce, bytes_of(v->nonce, v->nonce_len), e) != 0 ||
        put_text(a->subject, v->subject, e) != 0 ||
        asn1_set_u32(a->community, v->community, e) != 0 ||
        asn1_set_u32(a->level, v->level, e) != 0 || put_time(a->not_after, v->not_after, e) != 0)
        goto out;
    if (v->has_ek) {
        a->ek_spki_hash = ASN1_OCTET_STRING_new();
        if (a->ek_spki_hash == NULL ||
            asn1_set_octets(a->ek_spki_hash, bytes_of(v->ek_spki, 32), e) != 0)
            goto out;
    }
    rc = asn1_encode(a, type, out, e);
out:
    asn1_free(a, type);
    return rc;
}

static int take_invitation(const asn1_invitation *a, struct evidence_invitation *v, struct err *e)
{
    struct bytes nonce = asn1_octets(a->nonce), ek = asn1_octets(a->ek_spki_hash);
    uint32_t community, level;

    if (check_version(a->version, "invitation", e) != 0 || check_nonce(nonce.len, e) != 0 ||
        take_text(a->authority, v->authority, "authority's name", e) != 0 ||
        take_text(a->subject, v->subject, "subject", e) != 0 ||
        asn1_u32(a->community, &community, e) != 0 || asn1_u32(a->level, &level, e) != 0 ||
        asn1_time(a->not_after, &v->not_after, e) != 0)
        return -1;
    if (oid_community_name(community) == NULL || level < 1 || level > OID_LEVELS)
        return err_set(e, E_FORMAT, "the invitation is for community %u, level %u: no such",
                       (unsigned)community, (unsigned)level);
    if (a->ek_spki_hash != NULL && ek.len != sizeof(v->ek_spki))
        return err_set(e, E_FORMAT, "the invitation's EK hash has %zu bytes, not 32", ek.len);
    memcpy(v->nonce, nonce.p, nonce.len);
    v->nonce_len = nonce.len;
    v->community = community;
    v->level = level;
    v->has_ek = a->ek_spki_hash != NULL;
    if (v->has_ek)
        memcpy(v->ek_spki, ek.p, ek.len);
    return 0;
}

int evidence_invitation_decode(struct bytes der, struct evidence_invitation *out, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(asn1_invitation);
    struct evidence_invitation got = {0};
    asn1_invitation *a = asn1_decode(type, der, EVIDENCE_MAX, "invitation", e);
    int rc;

    if (a == NULL)
        return -1;
    rc = take_invitation(a, &got, e);
    if (rc == 0)
        *out = got;
    asn1_free(a, type);
    return rc;
}

/* --- request --------------------------------------------------------------- */

int evidence_request_encode(const struct evidence_request *r, struct buf *out, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(asn1_request);
    asn1_request *a = asn1_new(type, e);
    int rc = -1;

    if (a == NULL || asn1_set_u32(a->version, VERSION, e) != 0 ||
        asn1_set_u32(a->ek_template, r->ek_template, e) != 0 ||
        share_cert(r->ek_cert, &a->ek_cert, e) != 0 ||
        evidence_parts_put_chain(r->ek_chain, &a->ek_chain, e) != 0 ||
        asn1_set_octets(a->ak_public, buf_bytes(&r->ak_public), e) != 0 ||
        evidence_parts_put_csr(r->csr, a->csr, e) != 0)
        goto out;
    rc = asn1_encode(a, type, out, e);
out:
    asn1_free(a, type);
    return rc;
}

int evidence_request_decode(struct bytes der, struct evidence_request *out, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(asn1_request);
    struct evidence_request got = {0};
    asn1_request *a = asn1_decode(type, der, EVIDENCE_MAX, "enrolment request", e);
    int rc = -1;

    if (a == NULL)
        return -1;
    if (check_version(a->version, "enrolment request", e) != 0 ||
        asn1_u32(a->ek_template, &got.ek_template, e) != 0 ||
        evidence_parts_take_chain(a->ek_chain, &got.ek_chain, "enrolment request", e) != 0 ||
        evidence_parts_take_csr(a->csr, &got.csr, e) != 0 ||
        copy_bytes(asn1_octets(a->ak_public), &got.ak_public, e) != 0)
        goto out;
    /* The rest changes hands. */
    got.ek_cert = a->ek_cert;
    a->ek_cert = NULL;
    *out = got;
    got = (struct evidence_request){0};
    rc = 0;
out:
    evidence_request_free(&got);
    asn1_free(a, type);
    return rc;
}

void evidence_request_free(struct evidence_request *r)
{
    if (r == NULL)
        return;
    X509_free(r->ek_cert);
    sk_X509_pop_free(r->ek_chain, X509_free);
    buf_free(&r->ak_public);
    X509_REQ_free(r->csr);
    *r = (struct evidence_request){0};
}

/* --- record ---------------------------------------------------------------- */

int evidence_record_make(const struct evidence_request *r, struct bytes nonce, X509 *ak_cert,
                         int64_t issued_at, struct evidence_record *out, struct err *e)
{
    struct evidence_record got = {.ek_template = r->ek_template, .issued_at = issued_at};
    int rc = -1;

    if (check_nonce(nonce.len, e) != 0 || copy_bytes(nonce, &got.nonce, e) != 0 ||
        share_cert(r->ek_cert, &got.ek_cert, e) != 0 ||
        share_chain(r->ek_chain, &got.ek_chain, e) != 0 ||
        copy_bytes(buf_bytes(&r->ak_public), &got.ak_public, e) != 0 ||
        share_cert(ak_cert, &got.ak_cert, e) != 0 || copy_csr(r->csr, &got.csr, e) != 0)
        goto out;
    *out = got;
    got = (struct evidence_record){0};
    rc = 0;
out:
    evidence_record_free(&got);
    return rc;
}

int evidence_record_to_asn1(const struct evidence_record *r, asn1_record **out, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(asn1_record);
    asn1_record *a = asn1_new(type, e);
    int rc = -1;

    if (a == NULL || asn1_set_u32(a->version, VERSION, e) != 0 ||
        check_nonce(r->nonce.len, e) != 0 ||
        asn1_set_octets(a->nonce, buf_bytes(&r->nonce), e) != 0 ||
        asn1_set_u32(a->ek_template, r->ek_template, e) != 0 ||
        share_cert(r->ek_cert, &a->ek_cert, e) != 0 ||
        evidence_parts_put_chain(r->ek_chain, &a->ek_chain, e) != 0 ||
        asn1_set_octets(a->ak_public, buf_bytes(&r->ak_public), e) != 0 ||
        share_cert(r->ak_cert, &a->ak_cert, e) != 0 ||
        evidence_parts_put_csr(r->csr, a->csr, e) != 0 ||
        put_time(a->issued_at, r->issued_at, e) != 0)
        goto out;
    *out = a;
    a = NULL;
    rc = 0;
out:
    asn1_free(a, type);
    return rc;
}

int evidence_record_from_asn1(asn1_record *a, struct evidence_record *out, struct err *e)
{
    struct evidence_record got = {0};
    int rc = -1;

    if (check_version(a->version, "evidence record", e) != 0 ||
        check_nonce(asn1_octets(a->nonce).len, e) != 0 ||
        copy_bytes(asn1_octets(a->nonce), &got.nonce, e) != 0 ||
        asn1_u32(a->ek_template, &got.ek_template, e) != 0 ||
        evidence_parts_take_chain(a->ek_chain, &got.ek_chain, "evidence record", e) != 0 ||
        evidence_parts_take_csr(a->csr, &got.csr, e) != 0 ||
        copy_bytes(asn1_octets(a->ak_public), &got.ak_public, e) != 0 ||
        asn1_time(a->issued_at, &got.issued_at, e) != 0)
        goto out;
    got.ek_cert = a->ek_cert;
    got.ak_cert = a->ak_cert;
    a->ek_cert = a->ak_cert = NULL;
    *out = got;
    got = (struct evidence_record){0};
    rc = 0;
out:
    evidence_record_free(&got);
    return rc;
}

int evidence_record_encode(const struct evidence_record *r, struct buf *out, struct err *e)
{
    asn1_record *a = NULL;
    int rc;

    if (evidence_record_to_asn1(r, &a, e) != 0)
        return -1;
    rc = asn1_encode(a, ASN1_ITEM_rptr(asn1_record), out, e);
    asn1_free(a, ASN1_ITEM_rptr(asn1_record));
    return rc;
}

int evidence_record_decode(struct bytes der, struct evidence_record *out, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(asn1_record);
    asn1_record *a = asn1_decode(type, der, EVIDENCE_MAX, "evidence record", e);
    int rc;

    if (a == NULL)
        return -1;
    rc = evidence_record_from_asn1(a, out, e);
    asn1_free(a, type);
    return rc;
}

void evidence_record_free(struct evidence_record *r)
{
    if (r == NULL)
        return;
    buf_free(&r->nonce);
    X509_free(r->ek_cert);
    sk_X509_pop_free(r->ek_chain, X509_free);
    buf_free(&r->ak_public);
    X509_free(r->ak_cert);
    X509_REQ_free(r->csr);
    *r = (struct evidence_record){0};
}

int evidence_record_hash(const struct evidence_record *r, uint8_t out[32], struct err *e)
{
    struct buf der = {0};
    int rc = evidence_record_encode(r, &der, e) != 0 ? -1 : hash_sha256(buf_bytes(&der), out, e);

    buf_free(&der);
    return rc;
}

/* --- the hash inside a certificate ------------------------------------------ */

int evidence_hash_put(X509 *cert, const uint8_t hash[32], struct err *e)
{
    ASN1_OBJECT *oid = oid_object(OID_EXT_EVIDENCE, e);
    ASN1_OCTET_STRING *inner = ASN1_OCTET_STRING_new(), *outer = ASN1_OCTET_STRING_new();
    X509_EXTENSION *x = NULL;
    struct buf der = {0};
    int rc = -1;

    if (oid == NULL)
        goto out;
    if (inner == NULL || outer == NULL) {
        err_set(e, E_MEMORY, "out of memory for an extension");
        goto out;
    }
    if (asn1_set_octets(inner, bytes_of(hash, 32), e) != 0 ||
        asn1_encode(inner, ASN1_ITEM_rptr(ASN1_OCTET_STRING), &der, e) != 0 ||
        asn1_set_octets(outer, buf_bytes(&der), e) != 0)
        goto out;
    x = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, outer);
    if (x == NULL || X509_add_ext(cert, x, -1) != 1) {
        err_openssl(e, E_CRYPTO, "adding an extension");
        goto out;
    }
    rc = 0;
out:
    X509_EXTENSION_free(x);
    ASN1_OCTET_STRING_free(inner);
    ASN1_OCTET_STRING_free(outer);
    ASN1_OBJECT_free(oid);
    buf_free(&der);
    return rc;
}

int evidence_hash_get(X509 *cert, uint8_t hash[32], struct err *e)
{
    ASN1_OBJECT *oid = oid_object(OID_EXT_EVIDENCE, e);
    ASN1_OCTET_STRING *inner = NULL;
    int at, rc = -1;

    if (oid == NULL)
        return -1;
    at = X509_get_ext_by_OBJ(cert, oid, -1);
    if (at < 0) {
        err_set(e, E_NOT_FOUND, "the certificate carries no hash of its evidence");
        goto out;
    }
    if (X509_get_ext_by_OBJ(cert, oid, at) >= 0) {
        err_set(e, E_FORMAT, "the certificate carries two hashes of evidence");
        goto out;
    }
    inner = asn1_decode(ASN1_ITEM_rptr(ASN1_OCTET_STRING),
                        asn1_octets(X509_EXTENSION_get_data(X509_get_ext(cert, at))), 64,
                        "evidence hash", e);
    if (inner == NULL)
        goto out;
    if (asn1_octets(inner).len != 32) {
        err_set(e, E_FORMAT, "the certificate's evidence hash is not a SHA-256");
        goto out;
    }
    memcpy(hash, asn1_octets(inner).p, 32);
    rc = 0;
out:
    ASN1_OCTET_STRING_free(inner);
    ASN1_OBJECT_free(oid);
    return rc;
}

/* --- PEM ------------------------------------------------------------------- */

int evidence_invitation_to_pem(const struct evidence_invitation *v, struct buf *out, struct err *e)
{
    struct buf der = {0};
    int rc = evidence_invitation_encode(v, &der, e);

    if (rc == 0)
        rc = asn1_pem_write(EVIDENCE_PEM_INVITATION, buf_bytes(&der), out, e);
    buf_free(&der);
    return rc;
}

int evidence_invitation_from_pem(struct bytes text, struct evidence_invitation *out, struct err *e)
{
    struct buf der = {0};
    int rc = asn1_pem_read(EVIDENCE_PEM_INVITATION, text, PEM_MAX, &der, e);

    if (rc == 0)
        rc = evidence_invitation_decode(buf_bytes(&der), out, e);
    buf_free(&der);
    return rc;
}

int evidence_request_to_pem(const struct evidence_request *r, struct buf *out, struct err *e)
{
    struct buf der = {0};
    int rc = evidence_request_encode(r, &der, e);

    if (rc == 0)
        rc = asn1_pem_write(EVIDENCE_PEM_REQUEST, buf_bytes(&der), out, e);
    buf_free(&der);
    return rc;
}

int evidence_request_from_pem(struct bytes text, struct evidence_request *out, struct err *e)
{
    struct buf der = {0};
    int rc = asn1_pem_read(EVIDENCE_PEM_REQUEST, text, PEM_MAX, &der, e);

    if (rc == 0)
        rc = evidence_request_decode(buf_bytes(&der), out, e);
    buf_free(&der);
    return rc;
}

int evidence_record_to_pem(const struct evidence_record *r, struct buf *out, struct err *e)
{
    struct buf der = {0};
    int rc = evidence_record_encode(r, &der, e);

    if (rc == 0)
        rc = asn1_pem_write(EVIDENCE_PEM_RECORD, buf_bytes(&der), out, e);
    buf_free(&der);
    return rc;
}

int evidence_record_from_pem(struct bytes text, struct evidence_record *out, struct err *e)
{
    struct buf der = {0};
    int rc = asn1_pem_read(EVIDENCE_PEM_RECORD, text, PEM_MAX, &der, e);

    if (rc == 0)
        rc = evidence_record_decode(buf_bytes(&der), out, e);
    buf_free(&der);
    return rc;
}
