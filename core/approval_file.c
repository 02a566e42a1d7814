/* The files of approvals: DER and back. */
#include "core/approval.h"
#include "core/asn1.h"
#include "core/pubkey.h"
#include "core/tpmname.h"

#include <string.h>

#define VERSION 1

typedef struct approver_der {
    ASN1_INTEGER *version;
    ASN1_UTF8STRING *serial;
    ASN1_UTF8STRING *label;
    ASN1_OCTET_STRING *public;
    ASN1_OCTET_STRING *evidence; /* [0] IMPLICIT OPTIONAL */
} approver_der;

typedef struct request_der {
    ASN1_INTEGER *version;
    ASN1_UTF8STRING *serial;
    ASN1_OCTET_STRING *key;
    ASN1_UTF8STRING *label;
    ASN1_UTF8STRING *subject;
    ASN1_UTF8STRING *purpose;
    ASN1_OCTET_STRING *approver;
    ASN1_UTF8STRING *approver_label;
    ASN1_INTEGER *command;
    ASN1_OCTET_STRING *parameters;
    ASN1_OCTET_STRING *nonce;
    ASN1_OCTET_STRING *cp_hash;
    ASN1_INTEGER *expiration;
} request_der;

typedef struct answer_der {
    ASN1_INTEGER *version;
    ASN1_OCTET_STRING *approver;
    ASN1_OCTET_STRING *nonce;
    ASN1_OCTET_STRING *cp_hash;
    ASN1_INTEGER *expiration;
    ASN1_OCTET_STRING *signature;
} answer_der;

/* clang-format off */
ASN1_SEQUENCE(approver_der) = {
    ASN1_SIMPLE(approver_der, version, ASN1_INTEGER),
    ASN1_SIMPLE(approver_der, serial, ASN1_UTF8STRING),
    ASN1_SIMPLE(approver_der, label, ASN1_UTF8STRING),
    ASN1_SIMPLE(approver_der, public, ASN1_OCTET_STRING),
    ASN1_IMP_OPT(approver_der, evidence, ASN1_OCTET_STRING, 0),
} static_ASN1_SEQUENCE_END(approver_der)

ASN1_SEQUENCE(request_der) = {
    ASN1_SIMPLE(request_der, version, ASN1_INTEGER),
    ASN1_SIMPLE(request_der, serial, ASN1_UTF8STRING),
    ASN1_SIMPLE(request_der, key, ASN1_OCTET_STRING),
    ASN1_SIMPLE(request_der, label, ASN1_UTF8STRING),
    ASN1_SIMPLE(request_der, subject, ASN1_UTF8STRING),
    ASN1_SIMPLE(request_der, purpose, ASN1_UTF8STRING),
    ASN1_SIMPLE(request_der, approver, ASN1_OCTET_STRING),
    ASN1_SIMPLE(request_der, approver_label, ASN1_UTF8STRING),
    ASN1_SIMPLE(request_der, command, ASN1_INTEGER),
    ASN1_SIMPLE(request_der, parameters, ASN1_OCTET_STRING),
    ASN1_SIMPLE(request_der, nonce, ASN1_OCTET_STRING),
    ASN1_SIMPLE(request_der, cp_hash, ASN1_OCTET_STRING),
    ASN1_SIMPLE(request_der, expiration, ASN1_INTEGER),
} static_ASN1_SEQUENCE_END(request_der)

ASN1_SEQUENCE(answer_der) = {
    ASN1_SIMPLE(answer_der, version, ASN1_INTEGER),
    ASN1_SIMPLE(answer_der, approver, ASN1_OCTET_STRING),
    ASN1_SIMPLE(answer_der, nonce, ASN1_OCTET_STRING),
    ASN1_SIMPLE(answer_der, cp_hash, ASN1_OCTET_STRING),
    ASN1_SIMPLE(answer_der, expiration, ASN1_INTEGER),
    ASN1_SIMPLE(answer_der, signature, ASN1_OCTET_STRING),
} static_ASN1_SEQUENCE_END(answer_der)
    /* clang-format on */

    /* --- fields -------------------------------------------------------------------- */

    static int set_text(ASN1_UTF8STRING * to, const char *text, struct err *e)
{
    return asn1_set_octets(to, bytes_of(text, strlen(text)), e);
}

static int take_text(const ASN1_STRING *from, char *out, size_t size, struct err *e)
{
    struct bytes b = asn1_octets(from);

    if (b.len >= size || (b.len != 0 && memchr(b.p, 0, b.len) != NULL))
        return err_set(e, E_FORMAT, "a text in the file is too long, or holds a zero byte");
    memset(out, 0, size);
    if (b.len != 0)
        memcpy(out, b.p, b.len);
    return 0;
}

static int take_name(const ASN1_STRING *from, TPM2B_NAME *out, struct err *e)
{
    struct bytes b = asn1_octets(from);

    if (b.len < 2 || b.len > sizeof(out->name))
        return err_set(e, E_FORMAT, "the Name of the approver's key in the file is none");
    *out = (TPM2B_NAME){.size = (UINT16)b.len};
    memcpy(out->name, b.p, b.len);
    return 0;
}

static int take(const ASN1_STRING *from, struct buf *out, struct err *e)
{
    buf_add_bytes(out, asn1_octets(from));
    return buf_ok(out, e);
}

static int check_version(const ASN1_INTEGER *v, const char *what, struct err *e)
{
    uint32_t version;

    if (asn1_u32(v, &version, e) != 0)
        return -1;
    if (version == VERSION)
        return 0;
    return err_set(e, version > VERSION ? E_VERSION : E_FORMAT,
                   "the %s is of version %u, this program reads version %d", what,
                   (unsigned)version, VERSION);
}

static struct bytes name_bytes(const TPM2B_NAME *n)
{
    return bytes_of(n->name, n->size);
}

/* --- approvers --------------------------------------------------------------------- */

void approval_approver_free(struct approval_approver *a)
{
    buf_free(&a->public);
    buf_free(&a->evidence);
    *a = (struct approval_approver){.serial = ""};
}

int approval_approver_encode(const struct approval_approver *a, struct buf *der, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(approver_der);
    approver_der *d = asn1_new(type, e);
    int rc = -1;

    if (d == NULL || asn1_set_u32(d->version, VERSION, e) != 0 ||
        set_text(d->serial, a->serial, e) != 0 || set_text(d->label, a->label, e) != 0 ||
        asn1_set_octets(d->public, buf_bytes(&a->public), e) != 0)
        goto out;
    if (a->evidence.len != 0) {
        d->evidence = ASN1_OCTET_STRING_new();
        if (d->evidence == NULL || asn1_set_octets(d->evidence, buf_bytes(&a->evidence), e) != 0)
            goto out;
    }
    rc = asn1_encode(d, type, der, e);
out:
    if (rc != 0)
        err_set(e, E_MEMORY, "out of memory for an approver");
    asn1_free(d, type);
    return rc;
}

/* A key that signs with a hash of its own choice must not be believed to be one. */
static int check_public(struct bytes wire, struct err *e)
{
    TPMT_PUBLIC area;
    struct pubkey pub;

    if (tpmname_unmarshal_public(wire, &area, e) != 0 || pubkey_from_tpmt(&pub, &area, e) != 0)
        return -1;
    if ((area.objectAttributes & TPMA_OBJECT_SIGN_ENCRYPT) == 0)
        return err_set(e, E_FORMAT, "the approver's key is none that signs");
    return 0;
}

int approval_approver_decode(struct bytes der, struct approval_approver *out, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(approver_der);
    approver_der *d = asn1_decode(type, der, APPROVAL_MAX, "approver", e);
    struct approval_approver a = {.serial = ""};
    int rc = -1;

    if (d == NULL)
        return -1;
    if (check_version(d->version, "approver", e) == 0 &&
        take_text(d->serial, a.serial, sizeof(a.serial), e) == 0 &&
        take_text(d->label, a.label, sizeof(a.label), e) == 0 &&
        take(d->public, &a.public, e) == 0 && take(d->evidence, &a.evidence, e) == 0 &&
        check_public(buf_bytes(&a.public), e) == 0) {
        *out = a;
        rc = 0;
    } else {
        approval_approver_free(&a);
    }
    asn1_free(d, type);
    return rc;
}

/* --- requests ---------------------------------------------------------------------- */

void approval_request_free(struct approval_request *r)
{
    buf_free(&r->key);
    buf_free(&r->parameters);
    buf_free(&r->nonce);
    buf_free(&r->cp_hash);
    *r = (struct approval_request){.serial = ""};
}

int approval_request_encode(const struct approval_request *r, struct buf *der, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(request_der);
    request_der *d = asn1_new(type, e);
    int rc = -1;

    if (d != NULL && asn1_set_u32(d->version, VERSION, e) == 0 &&
        set_text(d->serial, r->serial, e) == 0 &&
        asn1_set_octets(d->key, buf_bytes(&r->key), e) == 0 &&
        set_text(d->label, r->label, e) == 0 && set_text(d->subject, r->subject, e) == 0 &&
        set_text(d->purpose, r->purpose, e) == 0 &&
        asn1_set_octets(d->approver, name_bytes(&r->approver), e) == 0 &&
        set_text(d->approver_label, r->approver_label, e) == 0 &&
        asn1_set_u32(d->command, r->command, e) == 0 &&
        asn1_set_octets(d->parameters, buf_bytes(&r->parameters), e) == 0 &&
        asn1_set_octets(d->nonce, buf_bytes(&r->nonce), e) == 0 &&
        asn1_set_octets(d->cp_hash, buf_bytes(&r->cp_hash), e) == 0 &&
        asn1_set_u32(d->expiration, r->expiration, e) == 0)
        rc = asn1_encode(d, type, der, e);
    asn1_free(d, type);
    return rc;
}

static int take_request(const request_der *d, struct approval_request *r, struct err *e)
{
    if (check_version(d->version, "request for approval", e) != 0 ||
        take_text(d->serial, r->serial, sizeof(r->serial), e) != 0 ||
        take(d->key, &r->key, e) != 0 || take_text(d->label, r->label, sizeof(r->label), e) != 0 ||
        take_text(d->subject, r->subject, sizeof(r->subject), e) != 0 ||
        take_text(d->purpose, r->purpose, sizeof(r->purpose), e) != 0 ||
        take_name(d->approver, &r->approver, e) != 0 ||
        take_text(d->approver_label, r->approver_label, sizeof(r->approver_label), e) != 0 ||
        asn1_u32(d->command, &r->command, e) != 0 || take(d->parameters, &r->parameters, e) != 0 ||
        take(d->nonce, &r->nonce, e) != 0 || take(d->cp_hash, &r->cp_hash, e) != 0)
        return -1;
    return asn1_u32(d->expiration, &r->expiration, e);
}

int approval_request_decode(struct bytes der, struct approval_request *out, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(request_der);
    request_der *d = asn1_decode(type, der, APPROVAL_MAX, "request for approval", e);
    struct approval_request r = {.serial = ""};
    int rc;

    if (d == NULL)
        return -1;
    rc = take_request(d, &r, e);
    if (rc == 0)
        *out = r;
    else
        approval_request_free(&r);
    asn1_free(d, type);
    return rc;
}

/* --- answers ------------------------------------------------------------------------ */

void approval_answer_free(struct approval_answer *a)
{
    buf_free(&a->nonce);
    buf_free(&a->cp_hash);
    buf_free(&a->signature);
    *a = (struct approval_answer){.expiration = 0};
}

int approval_answer_encode(const struct approval_answer *a, struct buf *der, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(answer_der);
    answer_der *d = asn1_new(type, e);
    int rc = -1;

    if (d != NULL && asn1_set_u32(d->version, VERSION, e) == 0 &&
        asn1_set_octets(d->approver, name_bytes(&a->approver), e) == 0 &&
        asn1_set_octets(d->nonce, buf_bytes(&a->nonce), e) == 0 &&
        asn1_set_octets(d->cp_hash, buf_bytes(&a->cp_hash), e) == 0 &&
        asn1_set_u32(d->expiration, a->expiration, e) == 0 &&
        asn1_set_octets(d->signature, buf_bytes(&a->signature), e) == 0)
        rc = asn1_encode(d, type, der, e);
    asn1_free(d, type);
    return rc;
}

int approval_answer_decode(struct bytes der, struct approval_answer *out, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(answer_der);
    answer_der *d = asn1_decode(type, der, APPROVAL_MAX, "approval", e);
    struct approval_answer a = {.expiration = 0};
    int rc = -1;

    if (d == NULL)
        return -1;
    if (check_version(d->version, "approval", e) == 0 &&
        take_name(d->approver, &a.approver, e) == 0 && take(d->nonce, &a.nonce, e) == 0 &&
        take(d->cp_hash, &a.cp_hash, e) == 0 && asn1_u32(d->expiration, &a.expiration, e) == 0 &&
        take(d->signature, &a.signature, e) == 0) {
        *out = a;
        rc = 0;
    } else {
        approval_answer_free(&a);
    }
    asn1_free(d, type);
    return rc;
}
