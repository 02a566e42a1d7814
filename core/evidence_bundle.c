/* The attestation bundle inside a certification request, and the value that ties the two
 * together. */
#include "core/asn1.h"
#include "core/evidence.h"
#include "core/hash.h"
#include "core/oid.h"

#include <openssl/err.h>
#include <string.h>

#define LABEL "fusetsu certify 1"

/* --- writing --------------------------------------------------------------- */

/* One statement: `der` is the whole value of `stmt`, of the ASN.1 type `tag`. */
static int add_statement(asn1_bundle *b, const char *dotted, int tag, struct bytes value,
                         struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(asn1_statement);
    asn1_statement *s = asn1_new(type, e);
    ASN1_STRING *str = ASN1_STRING_type_new(tag);
    int rc = -1;

    if (s == NULL || str == NULL || asn1_set_octets(str, value, e) != 0)
        goto out;
    ASN1_OBJECT_free(s->type);
    s->type = oid_object(dotted, e);
    if (s->type == NULL)
        goto out;
    ASN1_TYPE_set(s->stmt, tag, str);
    str = NULL;
    if (sk_asn1_statement_push(b->attestations, s) <= 0)
        goto out;
    s = NULL;
    rc = 0;
out:
    if (rc != 0)
        err_set(e, E_MEMORY, "out of memory for a statement");
    ASN1_STRING_free(str);
    asn1_free(s, type);
    return rc;
}

static int set_optional(ASN1_OCTET_STRING **to, const struct buf *from, struct err *e)
{
    if (from->len == 0)
        return 0;
    *to = ASN1_OCTET_STRING_new();
    return *to != NULL ? asn1_set_octets(*to, buf_bytes(from), e) : -1;
}

/* Nothing is added for an empty one. */
static int add_signed(asn1_bundle *b, const char *dotted, const struct evidence_signed *s,
                      struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(asn1_certify);
    asn1_certify *c;
    struct buf der = {0};
    int rc = -1;

    if (s->attest.len == 0)
        return 0;
    c = asn1_new(type, e);
    if (c != NULL && asn1_set_octets(c->attest, buf_bytes(&s->attest), e) == 0 &&
        asn1_set_octets(c->signature, buf_bytes(&s->signature), e) == 0 &&
        set_optional(&c->public, &s->about, e) == 0 && asn1_encode(c, type, &der, e) == 0)
        rc = add_statement(b, dotted, V_ASN1_SEQUENCE, buf_bytes(&der), e);
    if (rc != 0)
        err_set(e, E_MEMORY, "out of memory for a statement");
    buf_free(&der);
    asn1_free(c, type);
    return rc;
}

static int add_approver(asn1_bundle *b, const struct evidence_approver *a, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(asn1_approver);
    asn1_approver *c;
    struct buf der = {0};
    int rc = -1;

    if (a->public.len == 0)
        return 0;
    c = asn1_new(type, e);
    if (c != NULL && asn1_set_octets(c->public, buf_bytes(&a->public), e) == 0 &&
        asn1_set_octets(c->purpose, buf_bytes(&a->purpose), e) == 0 &&
        asn1_set_octets(c->record, buf_bytes(&a->record), e) == 0 &&
        asn1_encode(c, type, &der, e) == 0)
        rc = add_statement(b, OID_STMT_APPROVER, V_ASN1_SEQUENCE, buf_bytes(&der), e);
    if (rc != 0)
        err_set(e, E_MEMORY, "out of memory for a statement");
    buf_free(&der);
    asn1_free(c, type);
    return rc;
}

static int add_certs(asn1_bundle *a, STACK_OF(X509) * certs, struct err *e)
{
    int n = certs != NULL ? sk_X509_num(certs) : 0;

    if (n <= 0)
        return 0;
    a->certs = sk_ASN1_TYPE_new_null();
    for (int i = 0; i < n && a->certs != NULL; i++) {
        ASN1_TYPE *t = ASN1_TYPE_pack_sequence(ASN1_ITEM_rptr(X509), sk_X509_value(certs, i), NULL);

        if (t == NULL || sk_ASN1_TYPE_push(a->certs, t) <= 0) {
            ASN1_TYPE_free(t);
            break;
        }
    }
    if (a->certs == NULL || sk_ASN1_TYPE_num(a->certs) != n)
        return err_openssl(e, E_MEMORY, "adding certificates to the bundle");
    return 0;
}

int evidence_bundle_attach(X509_REQ *csr, const struct evidence_bundle *b, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(asn1_bundle);
    asn1_bundle *a = asn1_new(type, e);
    ASN1_OBJECT *oid = oid_object(OID_ATTR_ATTESTATION, e);
    struct buf der = {0};
    int rc = -1;

    if (a == NULL || oid == NULL || add_signed(a, OID_TCG_CERTIFY, &b->certify, e) != 0 ||
        (b->parent.len != 0 &&
         add_statement(a, OID_STMT_PARENT, V_ASN1_OCTET_STRING, buf_bytes(&b->parent), e) != 0) ||
        add_signed(a, OID_STMT_CREATION, &b->creation, e) != 0 ||
        add_signed(a, OID_STMT_QUOTE, &b->quote, e) != 0 ||
        add_signed(a, OID_STMT_PIN, &b->pin, e) != 0 || add_approver(a, &b->approver, e) != 0 ||
        add_certs(a, b->certs, e) != 0 || asn1_encode(a, type, &der, e) != 0)
        goto out;
    if (X509_REQ_get_attr_by_OBJ(csr, oid, -1) >= 0) {
        err_set(e, E_EXISTS, "the certification request has an attestation bundle already");
        goto out;
    }
    if (X509_REQ_add1_attr_by_OBJ(csr, oid, V_ASN1_SEQUENCE, der.p, (int)der.len) != 1) {
        err_openssl(e, E_CRYPTO, "adding the attestation bundle to the request");
        goto out;
    }
    rc = 0;
out:
    buf_free(&der);
    ASN1_OBJECT_free(oid);
    asn1_free(a, type);
    return rc;
}

/* --- reading --------------------------------------------------------------- */

static int take_signed(const ASN1_TYPE *stmt, const char *what, struct evidence_signed *out,
                       struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(asn1_certify);
    asn1_certify *c = NULL;
    int rc;

    if (out->attest.len != 0)
        return err_set(e, E_FORMAT, "the bundle has two %s statements", what);
    if (ASN1_TYPE_get(stmt) != V_ASN1_SEQUENCE)
        return err_set(e, E_FORMAT, "the %s statement is not a SEQUENCE", what);
    c = asn1_decode(type, asn1_octets(stmt->value.sequence), EVIDENCE_MAX, what, e);
    if (c == NULL)
        return -1;
    buf_add_bytes(&out->attest, asn1_octets(c->attest));
    buf_add_bytes(&out->signature, asn1_octets(c->signature));
    buf_add_bytes(&out->about, asn1_octets(c->public));
    rc = buf_ok(&out->attest, e) != 0 || buf_ok(&out->signature, e) != 0 ||
                 buf_ok(&out->about, e) != 0
             ? -1
             : 0;
    if (rc == 0 && (out->attest.len == 0 || out->signature.len == 0))
        rc = err_set(e, E_FORMAT, "the %s statement is empty", what);
    asn1_free(c, type);
    return rc;
}

static int take_approver(const ASN1_TYPE *stmt, struct evidence_approver *out, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(asn1_approver);
    asn1_approver *c = NULL;
    int rc = -1;

    if (out->public.len != 0)
        return err_set(e, E_FORMAT, "the bundle names two approvers");
    if (ASN1_TYPE_get(stmt) != V_ASN1_SEQUENCE)
        return err_set(e, E_FORMAT, "the approver statement is not a SEQUENCE");
    c = asn1_decode(type, asn1_octets(stmt->value.sequence), EVIDENCE_MAX, "approver statement", e);
    if (c == NULL)
        return -1;
    buf_add_bytes(&out->public, asn1_octets(c->public));
    buf_add_bytes(&out->purpose, asn1_octets(c->purpose));
    buf_add_bytes(&out->record, asn1_octets(c->record));
    if (out->public.len == 0 || out->purpose.len == 0)
        err_set(e, E_FORMAT, "the approver statement is empty");
    else if (buf_ok(&out->public, e) == 0 && buf_ok(&out->purpose, e) == 0)
        rc = buf_ok(&out->record, e);
    asn1_free(c, type);
    return rc;
}

static int take_parent(const ASN1_TYPE *stmt, struct evidence_bundle *out, struct err *e)
{
    if (out->parent.len != 0)
        return err_set(e, E_FORMAT, "the bundle names two parents");
    if (ASN1_TYPE_get(stmt) != V_ASN1_OCTET_STRING ||
        ASN1_STRING_length(stmt->value.octet_string) == 0)
        return err_set(e, E_FORMAT, "the parent statement is not an OCTET STRING with content");
    buf_add_bytes(&out->parent, asn1_octets(stmt->value.octet_string));
    return buf_ok(&out->parent, e);
}

static int take_certs(const asn1_bundle *a, struct evidence_bundle *out, struct err *e)
{
    int n = a->certs != NULL ? sk_ASN1_TYPE_num(a->certs) : 0;

    if (a->certs != NULL && n == 0)
        return err_set(e, E_FORMAT, "the bundle has an empty list of certificates");
    for (int i = 0; i < n; i++) {
        const ASN1_TYPE *t = sk_ASN1_TYPE_value(a->certs, i);
        X509 *x;

        if (ASN1_TYPE_get(t) != V_ASN1_SEQUENCE)
            continue; /* [3] OtherCertificateFormat */
        x = asn1_decode(ASN1_ITEM_rptr(X509), asn1_octets(t->value.sequence), EVIDENCE_MAX,
                        "certificate in the bundle", e);
        if (x == NULL)
            return -1;
        if ((out->certs == NULL && (out->certs = sk_X509_new_null()) == NULL) ||
            sk_X509_push(out->certs, x) <= 0) {
            X509_free(x);
            return err_set(e, E_MEMORY, "out of memory for the bundle's certificates");
        }
    }
    return 0;
}

static int take_statement(const asn1_statement *s, struct evidence_bundle *out, struct err *e)
{
    const struct {
        const char *dotted, *what;
        struct evidence_signed *to;
    } kinds[] = {
        {OID_TCG_CERTIFY, "Certify", &out->certify},
        {OID_STMT_CREATION, "creation", &out->creation},
        {OID_STMT_QUOTE, "quote", &out->quote},
        {OID_STMT_PIN, "PIN counter", &out->pin},
    };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (oid_is(s->type, kinds[i].dotted))
            return take_signed(s->stmt, kinds[i].what, kinds[i].to, e);
    }
    if (oid_is(s->type, OID_STMT_PARENT))
        return take_parent(s->stmt, out, e);
    if (oid_is(s->type, OID_STMT_APPROVER))
        return take_approver(s->stmt, &out->approver, e);
    return 0;
}

static int take_bundle(const asn1_bundle *a, struct evidence_bundle *out, struct err *e)
{
    for (int i = 0; i < sk_asn1_statement_num(a->attestations); i++) {
        if (take_statement(sk_asn1_statement_value(a->attestations, i), out, e) != 0)
            return -1;
    }
    if (out->certify.attest.len == 0)
        return err_set(e, E_FORMAT, "the bundle has no Certify statement (2.23.133.20.1)");
    return take_certs(a, out, e);
}

/* The one value of the one attribute. */
static const ASN1_TYPE *only_value(X509_REQ *csr, struct err *e)
{
    ASN1_OBJECT *oid = oid_object(OID_ATTR_ATTESTATION, e);
    const ASN1_TYPE *v = NULL;
    X509_ATTRIBUTE *attr;
    int at;

    if (oid == NULL)
        return NULL;
    at = X509_REQ_get_attr_by_OBJ(csr, oid, -1);
    if (at < 0) {
        err_set(e, E_NOT_FOUND,
                "the certification request carries no attestation; make it with "
                "`fusetsu request`");
        goto out;
    }
    attr = X509_REQ_get_attr(csr, at);
    if (X509_REQ_get_attr_by_OBJ(csr, oid, at) >= 0 || X509_ATTRIBUTE_count(attr) != 1) {
        err_set(e, E_FORMAT,
                "the certification request carries more than one attestation bundle, "
                "or an empty one");
        goto out;
    }
    v = X509_ATTRIBUTE_get0_type(attr, 0);
    if (v == NULL || ASN1_TYPE_get(v) != V_ASN1_SEQUENCE) {
        v = NULL;
        err_set(e, E_FORMAT, "the attestation bundle is not a SEQUENCE");
    }
out:
    ASN1_OBJECT_free(oid);
    return v;
}

int evidence_bundle_extract(X509_REQ *csr, struct evidence_bundle *out, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(asn1_bundle);
    struct evidence_bundle got = {0};
    const ASN1_TYPE *v = only_value(csr, e);
    asn1_bundle *a = NULL;
    int rc = -1;

    if (v == NULL)
        return -1;
    a = asn1_decode(type, asn1_octets(v->value.sequence), EVIDENCE_MAX, "attestation bundle", e);
    if (a == NULL || take_bundle(a, &got, e) != 0)
        goto out;
    *out = got;
    got = (struct evidence_bundle){0};
    rc = 0;
out:
    evidence_bundle_free(&got);
    asn1_free(a, type);
    return rc;
}

static void free_signed(struct evidence_signed *s)
{
    buf_free(&s->attest);
    buf_free(&s->signature);
    buf_free(&s->about);
}

void evidence_bundle_free(struct evidence_bundle *b)
{
    if (b == NULL)
        return;
    free_signed(&b->certify);
    free_signed(&b->creation);
    free_signed(&b->quote);
    free_signed(&b->pin);
    buf_free(&b->parent);
    buf_free(&b->approver.public);
    buf_free(&b->approver.purpose);
    buf_free(&b->approver.record);
    sk_X509_pop_free(b->certs, X509_free);
    *b = (struct evidence_bundle){0};
}

/* --- the tie --------------------------------------------------------------- */

/* The CertificationRequestInfo as it came, when the request is signed; else as it would be
 * signed now. A signed one is also read strictly here: OpenSSL keeps the bytes that came. */
static asn1_csrinfo *info_of(X509_REQ *csr, struct err *e)
{
    const ASN1_BIT_STRING *sig = NULL;
    asn1_csrinfo *info = NULL;
    asn1_csr *whole = NULL;
    uint8_t *der = NULL;
    int len;

    X509_REQ_get0_signature(csr, &sig, NULL);
    if (sig == NULL || ASN1_STRING_length(sig) == 0) {
        len = i2d_re_X509_REQ_tbs(csr, &der);
        if (len > 0)
            info = asn1_decode(ASN1_ITEM_rptr(asn1_csrinfo), bytes_of(der, (size_t)len),
                               EVIDENCE_MAX, "certification request", e);
    } else {
        len = i2d_X509_REQ(csr, &der);
        if (len > 0)
            whole = asn1_decode(ASN1_ITEM_rptr(asn1_csr), bytes_of(der, (size_t)len), EVIDENCE_MAX,
                                "certification request", e);
        if (whole != NULL) {
            info = whole->info;
            whole->info = NULL;
        }
    }
    if (len <= 0)
        err_openssl(e, E_ARG, "the certification request lacks its subject or key");
    asn1_free(whole, ASN1_ITEM_rptr(asn1_csr));
    OPENSSL_free(der);
    return info;
}

/* Takes attribute .59 out; an absent set becomes an empty one, so that both hash alike. */
static int drop_bundle(asn1_csrinfo *info, struct err *e)
{
    if (info->attributes == NULL && (info->attributes = sk_X509_ATTRIBUTE_new_null()) == NULL)
        return err_set(e, E_MEMORY, "out of memory for a certification request");
    for (int i = sk_X509_ATTRIBUTE_num(info->attributes); i-- > 0;) {
        X509_ATTRIBUTE *a = sk_X509_ATTRIBUTE_value(info->attributes, i);

        if (oid_is(X509_ATTRIBUTE_get0_object(a), OID_ATTR_ATTESTATION))
            X509_ATTRIBUTE_free(sk_X509_ATTRIBUTE_delete(info->attributes, i));
    }
    return 0;
}

int evidence_tied(X509_REQ *csr, struct evidence_tied *out, struct err *e)
{
    struct evidence_tied got;
    struct buf der = {0};
    asn1_csrinfo *info = info_of(csr, e);
    int rc = -1;

    if (info == NULL)
        return -1;
    if (ASN1_TYPE_get(info->spki) != V_ASN1_SEQUENCE) {
        err_set(e, E_FORMAT, "the certification request has no public key");
        goto out;
    }
    if (hash_sha256(asn1_octets(info->spki->value.sequence), got.key, e) != 0 ||
        drop_bundle(info, e) != 0 ||
        asn1_encode(info, ASN1_ITEM_rptr(asn1_csrinfo), &der, e) != 0 ||
        hash_sha256(buf_bytes(&der), got.rest, e) != 0)
        goto out;
    *out = got;
    rc = 0;
out:
    buf_free(&der);
    asn1_free(info, ASN1_ITEM_rptr(asn1_csrinfo));
    return rc;
}

int evidence_tied_to(struct bytes nonce, const struct evidence_tied *t, uint8_t out[32],
                     struct err *e)
{
    struct buf in = {0};
    int rc = -1;

    buf_add(&in, LABEL, sizeof(LABEL)); /* its NUL is the 00 */
    buf_2b(&in, nonce.p, nonce.len);
    buf_add(&in, t->key, sizeof(t->key));
    buf_add(&in, t->rest, sizeof(t->rest));
    if (buf_ok(&in, e) == 0)
        rc = hash_sha256(buf_bytes(&in), out, e);
    buf_free(&in);
    return rc;
}

int evidence_qualifying(struct bytes nonce, X509_REQ *csr, uint8_t out[32], struct err *e)
{
    struct evidence_tied t;

    return evidence_tied(csr, &t, e) == 0 ? evidence_tied_to(nonce, &t, out, e) : -1;
}
