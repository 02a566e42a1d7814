#ifndef CORE_ASN1_H
#define CORE_ASN1_H

#include "core/buf.h"

#include <openssl/asn1t.h>
#include <openssl/x509.h>

/*
 * Our ASN.1 types as OpenSSL templates, and the one strict way in and out. The
 * typedefs are what OpenSSL's template macros need. Most callers want
 * core/evidence.h and core/credential.h, which turn these into plain structures.
 */

/* AttestationStatement ::= SEQUENCE { type OBJECT IDENTIFIER, stmt ANY,
 * hint UTF8String OPTIONAL } (csr-attestation draft; `hint` in older revisions) */
typedef struct asn1_statement {
    ASN1_OBJECT *type;
    ASN1_TYPE *stmt;
    ASN1_UTF8STRING *hint;
} asn1_statement;
DEFINE_STACK_OF(asn1_statement)

/* AttestationBundle ::= SEQUENCE { attestations SEQUENCE OF AttestationStatement,
 * certs SEQUENCE SIZE (1..MAX) OF LimitedCertChoices OPTIONAL }; a choice is a
 * Certificate, or [3] something else, kept as ANY and passed over. */
typedef struct asn1_bundle {
    STACK_OF(asn1_statement) * attestations;
    STACK_OF(ASN1_TYPE) * certs;
} asn1_bundle;

/* tcg-attest-tpm-certify ::= SEQUENCE { tpmSAttest, signature, tpmTPublic OPTIONAL },
 * OCTET STRINGs of TPM wire bytes. Our own statements on creation, quote and PIN counter are of
 * the same form: what stands third is what core/evidence.h says. */
typedef struct asn1_certify {
    ASN1_OCTET_STRING *attest;
    ASN1_OCTET_STRING *signature;
    ASN1_OCTET_STRING *public;
} asn1_certify;

/* Approver ::= SEQUENCE { tpmTPublic OCTET STRING, purpose OCTET STRING, record OCTET STRING
 * (DER of an EvidenceRecord) } */
typedef struct asn1_approver {
    ASN1_OCTET_STRING *public;
    ASN1_OCTET_STRING *purpose;
    ASN1_OCTET_STRING *record;
} asn1_approver;

typedef struct asn1_invitation {
    ASN1_INTEGER *version;
    ASN1_UTF8STRING *authority;
    ASN1_OCTET_STRING *nonce;
    ASN1_UTF8STRING *subject;
    ASN1_INTEGER *community;
    ASN1_INTEGER *level;
    ASN1_GENERALIZEDTIME *not_after;
    ASN1_OCTET_STRING *ek_spki_hash; /* [0] IMPLICIT OPTIONAL */
} asn1_invitation;

typedef struct asn1_request {
    ASN1_INTEGER *version;
    ASN1_INTEGER *ek_template;
    X509 *ek_cert;
    STACK_OF(ASN1_TYPE) * ek_chain; /* [0] IMPLICIT OPTIONAL, certificates */
    ASN1_OCTET_STRING *ak_public;
    ASN1_TYPE *csr; /* CertificationRequest */
} asn1_request;

typedef struct asn1_record {
    ASN1_INTEGER *version;
    ASN1_OCTET_STRING *nonce;
    ASN1_INTEGER *ek_template;
    X509 *ek_cert;
    STACK_OF(ASN1_TYPE) * ek_chain; /* [0] IMPLICIT OPTIONAL, certificates */
    ASN1_OCTET_STRING *ak_public;
    X509 *ak_cert;
    ASN1_TYPE *csr; /* CertificationRequest */
    ASN1_GENERALIZEDTIME *issued_at;
} asn1_record;

typedef struct asn1_sealed {
    ASN1_INTEGER *version;
    ASN1_OCTET_STRING *ak_name;
    ASN1_OCTET_STRING *blob;
    ASN1_OCTET_STRING *encrypted_secret;
    ASN1_OCTET_STRING *nonce;
    ASN1_OCTET_STRING *sealed;
} asn1_sealed;

typedef struct asn1_issued {
    X509 *certificate;
    STACK_OF(X509) * chain;
    asn1_record *evidence;
} asn1_issued;

/* A PKCS#10 request with subject, key and signature left as they came: what OpenSSL's own
 * type does not give, a strict reading and a changed copy (RFC 2986, 4). */
typedef struct asn1_csrinfo {
    ASN1_INTEGER *version;
    ASN1_TYPE *subject;
    ASN1_TYPE *spki;
    STACK_OF(X509_ATTRIBUTE) * attributes; /* [0] IMPLICIT SET OF */
} asn1_csrinfo;

typedef struct asn1_csr {
    asn1_csrinfo *info;
    X509_ALGOR *algorithm;
    ASN1_BIT_STRING *signature;
} asn1_csr;

/* Clearance (RFC 5913, 2): policyId, classList BIT STRING DEFAULT {unclassified},
 * securityCategories SET OF SecurityCategory OPTIONAL, kept as they are. */
typedef struct asn1_clearance {
    ASN1_OBJECT *policy;
    ASN1_BIT_STRING *classes;
    STACK_OF(ASN1_TYPE) * categories;
} asn1_clearance;
DEFINE_STACK_OF(asn1_clearance)

/* The same with the tags [0], [1], [2] of RFC 3281, 4.4.6. */
typedef struct asn1_clearance_3281 {
    ASN1_OBJECT *policy;
    ASN1_BIT_STRING *classes;
    STACK_OF(ASN1_TYPE) * categories;
} asn1_clearance_3281;

/* SEQUENCE OF Clearance, of Attribute */
typedef STACK_OF(asn1_clearance) asn1_clearances;
typedef STACK_OF(X509_ATTRIBUTE) asn1_attributes;

DECLARE_ASN1_ITEM(asn1_statement)
DECLARE_ASN1_ITEM(asn1_bundle)
DECLARE_ASN1_ITEM(asn1_certify)
DECLARE_ASN1_ITEM(asn1_approver)
DECLARE_ASN1_ITEM(asn1_invitation)
DECLARE_ASN1_ITEM(asn1_request)
DECLARE_ASN1_ITEM(asn1_record)
DECLARE_ASN1_ITEM(asn1_sealed)
DECLARE_ASN1_ITEM(asn1_issued)
DECLARE_ASN1_ITEM(asn1_csrinfo)
DECLARE_ASN1_ITEM(asn1_csr)
DECLARE_ASN1_ITEM(asn1_clearance)
DECLARE_ASN1_ITEM(asn1_clearance_3281)
DECLARE_ASN1_ITEM(asn1_clearances)
DECLARE_ASN1_ITEM(asn1_attributes)

/* An empty value of a type; NULL (E_MEMORY) when there is no memory. Freed with
 * asn1_free; NULL is fine there. */
void *asn1_new(const ASN1_ITEM *type, struct err *e) MUST_USE;
void asn1_free(void *value, const ASN1_ITEM *type);

/*
 * Strict DER: at most `max` bytes, nothing after the value, and encoding it again
 * gives the same bytes. NULL on failure: E_FORMAT, named by `what` ("enrolment
 * request").
 */
void *asn1_decode(const ASN1_ITEM *type, struct bytes der, size_t max, const char *what,
                  struct err *e) MUST_USE;

/* Appends the DER of a value. E_CRYPTO when a mandatory field is not set. */
int asn1_encode(const void *value, const ASN1_ITEM *type, struct buf *out, struct err *e) MUST_USE;

/* Field by field. The times are seconds since 1970, written in UTC with seconds. */
int asn1_set_octets(ASN1_OCTET_STRING *to, struct bytes from, struct err *e) MUST_USE;
int asn1_set_u32(ASN1_INTEGER *to, uint32_t v, struct err *e) MUST_USE;
int asn1_set_time(ASN1_GENERALIZEDTIME *to, int64_t t, struct err *e) MUST_USE;
struct bytes asn1_octets(const ASN1_STRING *s); /* borrowed; {NULL, 0} for NULL */
int asn1_u32(const ASN1_INTEGER *v, uint32_t *out, struct err *e) MUST_USE;
int asn1_time(const ASN1_TIME *t, int64_t *out, struct err *e) MUST_USE;

/* One PEM block with a label such as "FUSETSU EVIDENCE", appended. */
int asn1_pem_write(const char *label, struct bytes der, struct buf *out, struct err *e) MUST_USE;

/*
 * The DER of the one PEM block with that label; text around it is passed over.
 * E_FORMAT says what the file is instead when it holds another kind of block
 * ("this is a certificate, not an enrolment request"), two of them, or none.
 * `max` bounds the text.
 */
int asn1_pem_read(const char *label, struct bytes text, size_t max, struct buf *der,
                  struct err *e) MUST_USE;

#endif
