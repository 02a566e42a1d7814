/* The form of an answer: RFC 6960, 4.2.1. */
#include "ca/ocsp_priv.h"

#include "core/asn1.h"
#include "core/hash.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

/*
 * OpenSSL's own types copy, encode and hash the responder's certificate and key again for each
 * answer, and read them along with it, which takes longer than all the rest. Here a field of type
 * ASN1_TYPE is kept as it was encoded once, or is passed over.
 */

/* CertStatus */
enum { GOOD, REVOKED, UNKNOWN };

typedef struct ocsp_revoked {
    ASN1_GENERALIZEDTIME *since;
    ASN1_ENUMERATED *reason; /* NULL: unspecified */
} ocsp_revoked;

typedef struct ocsp_status {
    int type;
    union {
        ASN1_NULL *none;
        ocsp_revoked *revoked;
    } is;
} ocsp_status;

/* SingleResponse and ResponseData, of the form that is written here: no version, the extensions
 * are the nonce. */
typedef struct ocsp_single {
    ASN1_TYPE *id;
    ocsp_status *status;
    ASN1_GENERALIZEDTIME *from, *until;
} ocsp_single;
DEFINE_STACK_OF(ocsp_single)

typedef struct ocsp_data {
    ASN1_TYPE *responder;
    ASN1_GENERALIZEDTIME *produced;
    STACK_OF(ocsp_single) * singles;
    STACK_OF(X509_EXTENSION) * extensions;
} ocsp_data;

typedef struct ocsp_basic {
    ASN1_TYPE *data, *algorithm;
    ASN1_BIT_STRING *signature;
    ASN1_TYPE *certs;
} ocsp_basic;

typedef struct ocsp_bytes {
    ASN1_OBJECT *type;
    ASN1_OCTET_STRING *basic;
} ocsp_bytes;

typedef struct ocsp_whole {
    ASN1_ENUMERATED *status;
    ocsp_bytes *bytes;
} ocsp_whole;

/* clang-format takes these macros for what they are not. */
/* clang-format off */
DECLARE_ASN1_ITEM(ocsp_revoked)
DECLARE_ASN1_ITEM(ocsp_status)
DECLARE_ASN1_ITEM(ocsp_single)
DECLARE_ASN1_ITEM(ocsp_data)
DECLARE_ASN1_ITEM(ocsp_basic)
DECLARE_ASN1_ITEM(ocsp_bytes)
DECLARE_ASN1_ITEM(ocsp_whole)

ASN1_SEQUENCE(ocsp_revoked) = {
    ASN1_SIMPLE(ocsp_revoked, since, ASN1_GENERALIZEDTIME),
    ASN1_EXP_OPT(ocsp_revoked, reason, ASN1_ENUMERATED, 0),
} ASN1_SEQUENCE_END(ocsp_revoked)

ASN1_CHOICE(ocsp_status) = {
    ASN1_IMP(ocsp_status, is.none, ASN1_NULL, 0),
    ASN1_IMP(ocsp_status, is.revoked, ocsp_revoked, 1),
    ASN1_IMP(ocsp_status, is.none, ASN1_NULL, 2),
} ASN1_CHOICE_END(ocsp_status)

ASN1_SEQUENCE(ocsp_single) = {
    ASN1_SIMPLE(ocsp_single, id, ASN1_ANY),
    ASN1_SIMPLE(ocsp_single, status, ocsp_status),
    ASN1_SIMPLE(ocsp_single, from, ASN1_GENERALIZEDTIME),
    ASN1_EXP(ocsp_single, until, ASN1_GENERALIZEDTIME, 0),
} ASN1_SEQUENCE_END(ocsp_single)

ASN1_SEQUENCE(ocsp_data) = {
    ASN1_SIMPLE(ocsp_data, responder, ASN1_ANY),
    ASN1_SIMPLE(ocsp_data, produced, ASN1_GENERALIZEDTIME),
    ASN1_SEQUENCE_OF(ocsp_data, singles, ocsp_single),
    ASN1_EXP_SEQUENCE_OF_OPT(ocsp_data, extensions, X509_EXTENSION, 1),
} ASN1_SEQUENCE_END(ocsp_data)

ASN1_SEQUENCE(ocsp_basic) = {
    ASN1_SIMPLE(ocsp_basic, data, ASN1_ANY),
    ASN1_SIMPLE(ocsp_basic, algorithm, ASN1_ANY),
    ASN1_SIMPLE(ocsp_basic, signature, ASN1_BIT_STRING),
    ASN1_SIMPLE(ocsp_basic, certs, ASN1_ANY),
} ASN1_SEQUENCE_END(ocsp_basic)

ASN1_SEQUENCE(ocsp_bytes) = {
    ASN1_SIMPLE(ocsp_bytes, type, ASN1_OBJECT),
    ASN1_SIMPLE(ocsp_bytes, basic, ASN1_OCTET_STRING),
} ASN1_SEQUENCE_END(ocsp_bytes)

ASN1_SEQUENCE(ocsp_whole) = {
    ASN1_SIMPLE(ocsp_whole, status, ASN1_ENUMERATED),
    ASN1_EXP(ocsp_whole, bytes, ocsp_bytes, 0),
} ASN1_SEQUENCE_END(ocsp_whole)

struct ocsp_form {
    struct signer *signer;
    const struct alg_hash *hash;
    ocsp_data *data;
    ocsp_basic *basic;
    ocsp_whole *whole;
};
/* clang-format on */

static int no_memory(struct err *e)
{
    return err_set(e, E_MEMORY, "out of memory for an OCSP answer");
}

/* Puts DER where a value of any type stands; `tag` V_ASN1_SEQUENCE, or V_ASN1_OTHER. */
static int put_der(ASN1_TYPE *to, int tag, struct bytes der, struct err *e)
{
    ASN1_STRING *s = ASN1_STRING_type_new(tag);

    if (s == NULL || asn1_set_octets(s, der, e) != 0) {
        ASN1_STRING_free(s);
        return no_memory(e);
    }
    ASN1_TYPE_set(to, tag, s);
    return 0;
}

/* The same, within an explicit tag. */
static int put_tagged(ASN1_TYPE *to, int tag, struct bytes der, struct err *e)
{
    int whole = ASN1_object_size(1, (int)der.len, tag), rc = -1;
    uint8_t *all = whole > 0 ? malloc((size_t)whole) : NULL, *p = all;

    if (all == NULL)
        return no_memory(e);
    ASN1_put_object(&p, 1, (int)der.len, tag, V_ASN1_CONTEXT_SPECIFIC);
    memcpy(p, der.p, der.len);
    rc = put_der(to, V_ASN1_OTHER, bytes_of(all, (size_t)whole), e);
    free(all);
    return rc;
}

static int put_item(ASN1_TYPE *to, int tag, const void *value, const ASN1_ITEM *type, struct err *e)
{
    struct buf der = {0};
    int rc = -1;

    if (asn1_encode(value, type, &der, e) == 0)
        rc = tag == V_ASN1_SEQUENCE ? put_der(to, tag, buf_bytes(&der), e)
                                    : put_tagged(to, tag, buf_bytes(&der), e);
    buf_free(&der);
    return rc;
}

/* --- what is the same in all --------------------------------------------------------------- */

/* ResponderID: the SHA-1 of its key, [2] (4.2.2.3 and 4.2.1). */
static int put_responder(ASN1_TYPE *to, X509 *cert, struct err *e)
{
    ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
    uint8_t digest[SHA_DIGEST_LENGTH];
    int rc = -1;

    if (id == NULL || X509_pubkey_digest(cert, EVP_sha1(), digest, NULL) != 1 ||
        asn1_set_octets(id, bytes_of(digest, sizeof(digest)), e) != 0)
        err_openssl(e, E_CRYPTO, "cannot name the responder of an OCSP answer");
    else
        rc = put_item(to, 2, id, ASN1_ITEM_rptr(ASN1_OCTET_STRING), e);
    ASN1_OCTET_STRING_free(id);
    return rc;
}

/* ecdsa-with-SHA2, without parameters (RFC 5758, 3.2). */
static int put_algorithm(ASN1_TYPE *to, const struct alg_hash *hash, struct err *e)
{
    X509_ALGOR *algorithm = X509_ALGOR_new();
    int nid = NID_undef, rc = -1;

    if (algorithm == NULL ||
        OBJ_find_sigid_by_algs(&nid, hash->nid, NID_X9_62_id_ecPublicKey) != 1 ||
        X509_ALGOR_set0(algorithm, OBJ_nid2obj(nid), V_ASN1_UNDEF, NULL) != 1)
        err_openssl(e, E_CRYPTO, "cannot name the signature of an OCSP answer");
    else
        rc = put_item(to, V_ASN1_SEQUENCE, algorithm, ASN1_ITEM_rptr(X509_ALGOR), e);
    X509_ALGOR_free(algorithm);
    return rc;
}

/* certs [0] EXPLICIT SEQUENCE OF Certificate: the responder's own. */
static int put_cert(ASN1_TYPE *to, X509 *cert, struct err *e)
{
    struct buf der = {0}, list = {0};
    uint8_t head[8], *p = head;
    int rc = -1;

    if (issue_to_der(cert, &der, e) == 0) {
        ASN1_put_object(&p, 1, (int)der.len, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
        buf_add(&list, head, (size_t)(p - head));
        buf_add_bytes(&list, buf_bytes(&der));
        if (buf_ok(&list, e) == 0)
            rc = put_tagged(to, 0, buf_bytes(&list), e);
    }
    buf_free(&der);
    buf_free(&list);
    return rc;
}

int ocsp_form_new(struct ocsp_form **out, X509 *cert, struct signer *signer, struct err *e)
{
    struct ocsp_form *f = calloc(1, sizeof(*f));
    int rc = -1;

    if (f == NULL)
        return no_memory(e);
    f->signer = signer;
    if (issue_hash(signer, &f->hash, e) != 0 ||
        (f->data = asn1_new(ASN1_ITEM_rptr(ocsp_data), e)) == NULL ||
        (f->basic = asn1_new(ASN1_ITEM_rptr(ocsp_basic), e)) == NULL ||
        (f->whole = asn1_new(ASN1_ITEM_rptr(ocsp_whole), e)) == NULL ||
        put_responder(f->data->responder, cert, e) != 0 ||
        put_algorithm(f->basic->algorithm, f->hash, e) != 0 ||
        put_cert(f->basic->certs, cert, e) != 0)
        goto out;
    /* All bits of it are meant, zeros at the end too. */
    f->basic->signature->flags |= ASN1_STRING_FLAG_BITS_LEFT;
    ASN1_OBJECT_free(f->whole->bytes->type);
    f->whole->bytes->type = OBJ_nid2obj(NID_id_pkix_OCSP_basic);
    if (ASN1_ENUMERATED_set(f->whole->status, OCSP_RESPONSE_STATUS_SUCCESSFUL) != 1) {
        no_memory(e);
        goto out;
    }
    *out = f;
    f = NULL;
    rc = 0;
out:
    ocsp_form_free(f);
    return rc;
}

void ocsp_form_free(struct ocsp_form *f)
{
    if (f == NULL)
        return;
    asn1_free(f->data, ASN1_ITEM_rptr(ocsp_data));
    asn1_free(f->basic, ASN1_ITEM_rptr(ocsp_basic));
    asn1_free(f->whole, ASN1_ITEM_rptr(ocsp_whole));
    free(f);
}

/* --- filling in ---------------------------------------------------------------------------- */

static void free_single(ocsp_single *s)
{
    asn1_free(s, ASN1_ITEM_rptr(ocsp_single));
}

int ocsp_form_begin(struct ocsp_form *f, int64_t now, struct err *e)
{
    while (sk_ocsp_single_num(f->data->singles) > 0)
        free_single(sk_ocsp_single_pop(f->data->singles));
    sk_X509_EXTENSION_pop_free(f->data->extensions, X509_EXTENSION_free);
    f->data->extensions = NULL;
    return asn1_set_time(f->data->produced, now, e);
}

static int set_status(ocsp_status *to, const struct registry_status *s, struct err *e)
{
    ocsp_revoked *r;

    if (s == NULL || s->state == REGISTRY_GOOD) {
        to->is.none = ASN1_NULL_new();
        to->type = s != NULL ? GOOD : UNKNOWN;
        return to->is.none != NULL ? 0 : no_memory(e);
    }
    r = to->is.revoked = asn1_new(ASN1_ITEM_rptr(ocsp_revoked), e);
    if (r == NULL)
        return -1;
    to->type = REVOKED;
    if (s->reason != REGISTRY_UNSPECIFIED && ((r->reason = ASN1_ENUMERATED_new()) == NULL ||
                                              ASN1_ENUMERATED_set(r->reason, (long)s->reason) != 1))
        return no_memory(e);
    return asn1_set_time(r->since, s->since, e);
}

int ocsp_form_add(struct ocsp_form *f, OCSP_CERTID *id, const struct registry_status *s,
                  int64_t from, int64_t until, struct err *e)
{
    ocsp_single *one = asn1_new(ASN1_ITEM_rptr(ocsp_single), e);

    if (one == NULL)
        return -1;
    if (put_item(one->id, V_ASN1_SEQUENCE, id, ASN1_ITEM_rptr(OCSP_CERTID), e) != 0 ||
        set_status(one->status, s, e) != 0 || asn1_set_time(one->from, from, e) != 0 ||
        asn1_set_time(one->until, until, e) != 0) {
        free_single(one);
        return -1;
    }
    if (sk_ocsp_single_push(f->data->singles, one) < 1) {
        free_single(one);
        return no_memory(e);
    }
    return 0;
}

int ocsp_form_nonce(struct ocsp_form *f, OCSP_REQUEST *req, struct err *e)
{
    int at = OCSP_REQUEST_get_ext_by_NID(req, NID_id_pkix_OCSP_Nonce, -1);

    if (at >= 0 && X509v3_add_ext(&f->data->extensions, OCSP_REQUEST_get_ext(req, at), -1) == NULL)
        return no_memory(e);
    return 0;
}

/* The signature over the data as it will be sent. */
static int sign(struct ocsp_form *f, struct bytes data, struct err *e)
{
    uint8_t digest[ALG_MAX_DIGEST], raw[ALG_MAX_COORD * 2];
    struct buf sig = {0};
    int rc = -1;

    if (hash_digest(f->hash, data, digest, e) != 0 ||
        f->signer->sign(f->signer, PUBKEY_ECDSA, f->hash, bytes_of(digest, f->hash->size), raw,
                        e) != 0 ||
        pubkey_sig_to_der(&f->signer->pub, bytes_of(raw, pubkey_sig_len(&f->signer->pub)), &sig,
                          e) != 0)
        goto out;
    rc = asn1_set_octets(f->basic->signature, buf_bytes(&sig), e);
out:
    buf_free(&sig);
    return rc;
}

int ocsp_form_sign(struct ocsp_form *f, struct buf *response, struct err *e)
{
    struct buf data = {0}, basic = {0};
    int rc = -1;

    if (asn1_encode(f->data, ASN1_ITEM_rptr(ocsp_data), &data, e) == 0 &&
        sign(f, buf_bytes(&data), e) == 0 &&
        put_der(f->basic->data, V_ASN1_SEQUENCE, buf_bytes(&data), e) == 0 &&
        asn1_encode(f->basic, ASN1_ITEM_rptr(ocsp_basic), &basic, e) == 0 &&
        asn1_set_octets(f->whole->bytes->basic, buf_bytes(&basic), e) == 0)
        rc = asn1_encode(f->whole, ASN1_ITEM_rptr(ocsp_whole), response, e);
    buf_free(&data);
    buf_free(&basic);
    return rc;
}

/* --- reading ------------------------------------------------------------------------------- */

int ocsp_form_until(struct bytes der, int64_t *out, struct err *e)
{
    ocsp_whole *whole =
        asn1_decode(ASN1_ITEM_rptr(ocsp_whole), der, OCSP_FORM_MAX, "OCSP answer", e);
    ocsp_basic *basic = NULL;
    ocsp_data *data = NULL;
    int rc = -1;

    if (whole == NULL ||
        (basic = asn1_decode(ASN1_ITEM_rptr(ocsp_basic), asn1_octets(whole->bytes->basic),
                             OCSP_FORM_MAX, "OCSP answer", e)) == NULL)
        goto out;
    if (basic->data->type == V_ASN1_SEQUENCE)
        data = asn1_decode(ASN1_ITEM_rptr(ocsp_data), asn1_octets(basic->data->value.sequence),
                           OCSP_FORM_MAX, "OCSP answer", e);
    if (data != NULL && sk_ocsp_single_num(data->singles) > 0)
        rc = asn1_time(sk_ocsp_single_value(data->singles, 0)->until, out, e);
    else
        err_set(e, E_FORMAT, "the OCSP answer is malformed");
out:
    asn1_free(data, ASN1_ITEM_rptr(ocsp_data));
    asn1_free(basic, ASN1_ITEM_rptr(ocsp_basic));
    asn1_free(whole, ASN1_ITEM_rptr(ocsp_whole));
    return rc;
}
