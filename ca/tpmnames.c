#include "ca/tpmnames.h"

#include "core/asn1.h"
#include "core/hash.h"
#include "core/oid.h"

#include <openssl/asn1t.h>
#include <string.h>

/* RFC 4043: id-on-permanentIdentifier */
#define OID_PERMANENT_ID "1.3.6.1.5.5.7.8.3"
/* TCG OID registry: tcg-on-ekPermIdSha256 */
#define OID_EK_PERM_ID_SHA256 "2.23.133.12.1"

/* What a TPM attribute may take at most, in octets. */
#define ATTRIBUTE_MAX 128

/* RFC 4043, 2: PermanentIdentifier ::= SEQUENCE { identifierValue UTF8String
 * OPTIONAL, assigner OBJECT IDENTIFIER OPTIONAL } */
typedef struct permanent_id {
    ASN1_UTF8STRING *value;
    ASN1_OBJECT *assigner;
} permanent_id;

ASN1_SEQUENCE(permanent_id) =
    {
        ASN1_OPT(permanent_id, value, ASN1_UTF8STRING),
        ASN1_OPT(permanent_id, assigner, ASN1_OBJECT),
} static_ASN1_SEQUENCE_END(permanent_id)

    /* Copies the one entry of type `dotted` in `from`. */
    static int copy_attribute(const X509_NAME *from, X509_NAME *to, const char *dotted,
                              struct err *e)
{
    ASN1_OBJECT *type = oid_object(dotted, e);
    int at, rc = -1;
    X509_NAME_ENTRY *entry;

    if (type == NULL)
        return -1;
    at = X509_NAME_get_index_by_OBJ(from, type, -1);
    if (at < 0 || X509_NAME_get_index_by_OBJ(from, type, at) >= 0) {
        err_set(e, E_REJECTED,
                "the EK certificate does not have exactly one TPM attribute %s; it cannot stand "
                "for a TPM",
                dotted);
        goto out;
    }
    entry = X509_NAME_get_entry(from, at);
    if (ASN1_STRING_length(X509_NAME_ENTRY_get_data(entry)) > ATTRIBUTE_MAX) {
        err_set(e, E_REJECTED, "the TPM attribute %s of the EK certificate is over %d octets long",
                dotted, ATTRIBUTE_MAX);
        goto out;
    }
    /* Each in an RDN of its own (set 0), whatever the EK certificate did. */
    if (X509_NAME_add_entry(to, entry, -1, 0) != 1)
        err_set(e, E_MEMORY, "out of memory for the names of a TPM");
    else
        rc = 0;
out:
    ASN1_OBJECT_free(type);
    return rc;
}

/* The only directoryName of the EK's subjectAltName; borrowed. */
static const X509_NAME *directory_name(const GENERAL_NAMES *san)
{
    const X509_NAME *found = NULL;

    for (int i = 0; i < sk_GENERAL_NAME_num(san); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(san, i);

        if (g->type != GEN_DIRNAME)
            continue;
        if (found != NULL)
            return NULL;
        found = g->d.directoryName;
    }
    return found;
}

static GENERAL_NAME *tpm_name(X509 *ek, struct err *e)
{
    GENERAL_NAMES *san = X509_get_ext_d2i(ek, NID_subject_alt_name, NULL, NULL);
    const X509_NAME *from = san != NULL ? directory_name(san) : NULL;
    GENERAL_NAME *out = NULL;
    X509_NAME *name = NULL;

    if (from == NULL) {
        err_set(e, E_REJECTED, "the EK certificate does not name its TPM in one directoryName");
        goto out;
    }
    name = X509_NAME_new();
    out = GENERAL_NAME_new();
    if (name == NULL || out == NULL) {
        err_set(e, E_MEMORY, "out of memory for the names of a TPM");
        goto bad;
    }
    if (copy_attribute(from, name, OID_TCG_MANUFACTURER, e) != 0 ||
        copy_attribute(from, name, OID_TCG_MODEL, e) != 0 ||
        copy_attribute(from, name, OID_TCG_VERSION, e) != 0)
        goto bad;
    GENERAL_NAME_set0_value(out, GEN_DIRNAME, name);
    name = NULL;
    goto out;
bad:
    GENERAL_NAME_free(out);
    out = NULL;
out:
    X509_NAME_free(name);
    GENERAL_NAMES_free(san);
    return out;
}

/* The DER of PermanentIdentifier for an EK certificate. */
static int permanent_der(X509 *ek, struct buf *out, struct err *e)
{
    permanent_id id = {0};
    struct buf der = {0};
    uint8_t digest[32];
    char hex[65];
    int rc = -1;

    if (asn1_encode(ek, ASN1_ITEM_rptr(X509), &der, e) != 0 ||
        hash_sha256(buf_bytes(&der), digest, e) != 0)
        goto out;
    hex_encode(hex, digest, sizeof(digest));
    id.value = ASN1_UTF8STRING_new();
    id.assigner = oid_object(OID_EK_PERM_ID_SHA256, e);
    if (id.value == NULL || id.assigner == NULL ||
        ASN1_STRING_set(id.value, hex, (int)strlen(hex)) != 1) {
        err_set(e, E_MEMORY, "out of memory for the names of a TPM");
        goto out;
    }
    rc = asn1_encode(&id, ASN1_ITEM_rptr(permanent_id), out, e);
out:
    ASN1_UTF8STRING_free(id.value);
    ASN1_OBJECT_free(id.assigner);
    buf_free(&der);
    return rc;
}

static GENERAL_NAME *permanent_name(X509 *ek, struct err *e)
{
    ASN1_OBJECT *type = NULL;
    ASN1_STRING *seq = NULL;
    ASN1_TYPE *value = NULL;
    GENERAL_NAME *out = NULL;
    struct buf der = {0};

    if (permanent_der(ek, &der, e) != 0)
        goto out;
    type = oid_object(OID_PERMANENT_ID, e);
    seq = ASN1_STRING_type_new(V_ASN1_SEQUENCE);
    value = ASN1_TYPE_new();
    out = GENERAL_NAME_new();
    if (type == NULL || seq == NULL || value == NULL || out == NULL ||
        ASN1_STRING_set(seq, der.p, (int)der.len) != 1)
        goto bad;
    ASN1_TYPE_set(value, V_ASN1_SEQUENCE, seq);
    seq = NULL;
    if (GENERAL_NAME_set0_othername(out, type, value) != 1)
        goto bad;
    type = NULL;
    value = NULL;
    goto out;
bad:
    err_set(e, E_MEMORY, "out of memory for the names of a TPM");
    GENERAL_NAME_free(out);
    out = NULL;
out:
    ASN1_OBJECT_free(type);
    ASN1_STRING_free(seq);
    ASN1_TYPE_free(value);
    buf_free(&der);
    return out;
}

GENERAL_NAMES *tpmnames_of(X509 *ek, struct err *e)
{
    GENERAL_NAME *tpm = tpm_name(ek, e), *permanent = NULL;
    GENERAL_NAMES *out = NULL;

    if (tpm == NULL)
        return NULL;
    permanent = permanent_name(ek, e);
    out = GENERAL_NAMES_new();
    if (permanent == NULL || out == NULL || sk_GENERAL_NAME_push(out, tpm) <= 0)
        goto bad;
    tpm = NULL;
    if (sk_GENERAL_NAME_push(out, permanent) <= 0)
        goto bad;
    return out;
bad:
    err_set(e, E_MEMORY, "out of memory for the names of a TPM");
    GENERAL_NAME_free(tpm);
    GENERAL_NAME_free(permanent);
    GENERAL_NAMES_free(out);
    return NULL;
}

static bool add_attribute(X509_NAME *to, const char *dotted, const char *value, struct err *e)
{
    ASN1_OBJECT *type = oid_object(dotted, e);
    bool ok = type != NULL &&
              X509_NAME_add_entry_by_OBJ(to, type, MBSTRING_UTF8, (const unsigned char *)value, -1,
                                         -1, 0) == 1;

    ASN1_OBJECT_free(type);
    return ok;
}

GENERAL_NAMES *tpmnames_make(const struct ekname *tpm, struct err *e)
{
    GENERAL_NAMES *out = GENERAL_NAMES_new();
    GENERAL_NAME *one = GENERAL_NAME_new();
    X509_NAME *name = X509_NAME_new();

    if (out == NULL || one == NULL || name == NULL) {
        err_set(e, E_MEMORY, "out of memory for the names of a TPM");
        goto bad;
    }
    if (!add_attribute(name, OID_TCG_MANUFACTURER, tpm->manufacturer, e) ||
        !add_attribute(name, OID_TCG_MODEL, tpm->model, e) ||
        !add_attribute(name, OID_TCG_VERSION, tpm->version, e)) {
        err_set(e, E_ARG, "a TPM has a manufacturer, a model and a version");
        goto bad;
    }
    GENERAL_NAME_set0_value(one, GEN_DIRNAME, name);
    name = NULL;
    if (sk_GENERAL_NAME_push(out, one) > 0)
        return out;
    err_set(e, E_MEMORY, "out of memory for the names of a TPM");
bad:
    X509_NAME_free(name);
    GENERAL_NAME_free(one);
    GENERAL_NAMES_free(out);
    return NULL;
}
