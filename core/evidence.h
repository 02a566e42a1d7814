#ifndef CORE_EVIDENCE_H
#define CORE_EVIDENCE_H

#include "core/evidence_parts.h"

#include <openssl/x509.h>

/*
 * What travels when a key proves that it lives in a TPM, and what is kept of it.
 * All of it is public. Decoding is strict DER with a bound on the size; whether
 * the content is true is judged by core/evidence_check.h.
 */

#define EVIDENCE_NONCE_MIN 8 /* csr-attestation-freshness draft: 8 to 64 bytes */
#define EVIDENCE_NONCE_MAX 64
#define EVIDENCE_TEXT_MAX 256

#define EVIDENCE_PEM_INVITATION "FUSETSU INVITATION"
#define EVIDENCE_PEM_REQUEST "FUSETSU ENROLMENT REQUEST"
#define EVIDENCE_PEM_RECORD "FUSETSU EVIDENCE"

/* --- the invitation: authority → applicant -------------------------------- */

struct evidence_invitation {
    char authority[EVIDENCE_TEXT_MAX];
    uint8_t nonce[EVIDENCE_NONCE_MAX];
    size_t nonce_len;
    char subject[EVIDENCE_TEXT_MAX]; /* DNS name or mail address that will be certified */
    unsigned community, level;       /* core/oid.h */
    int64_t not_after;               /* seconds since 1970 */
    bool has_ek;                     /* only this EK may answer: */
    uint8_t ek_spki[32];             /* its pubkey_id() */
};

int evidence_invitation_to_pem(const struct evidence_invitation *v, struct buf *out,
                               struct err *e) MUST_USE;
int evidence_invitation_from_pem(struct bytes text, struct evidence_invitation *out,
                                 struct err *e) MUST_USE;
int evidence_invitation_encode(const struct evidence_invitation *v, struct buf *out,
                               struct err *e) MUST_USE;
int evidence_invitation_decode(struct bytes der, struct evidence_invitation *out,
                               struct err *e) MUST_USE;

/* --- the enrolment request: applicant → authority -------------------------- */

/* Owns what it holds; evidence_request_free releases it. Zero-initialise. */
struct evidence_request {
    uint32_t ek_template; /* NV index that held the EK certificate: core/ektemplate.h */
    X509 *ek_cert;
    STACK_OF(X509) * ek_chain; /* intermediates; NULL when none */
    struct buf ak_public;      /* TPMT_PUBLIC, wire form */
    X509_REQ *csr;             /* carries the attestation bundle */
};

int evidence_request_to_pem(const struct evidence_request *r, struct buf *out,
                            struct err *e) MUST_USE;
int evidence_request_from_pem(struct bytes text, struct evidence_request *out,
                              struct err *e) MUST_USE;
int evidence_request_encode(const struct evidence_request *r, struct buf *out,
                            struct err *e) MUST_USE;
int evidence_request_decode(struct bytes der, struct evidence_request *out, struct err *e) MUST_USE;
void evidence_request_free(struct evidence_request *r);

/* --- the evidence record: what is kept, and what an ally verifies ----------- */

struct evidence_record {
    struct buf nonce;
    uint32_t ek_template;
    X509 *ek_cert;
    STACK_OF(X509) * ek_chain;
    struct buf ak_public;
    X509 *ak_cert;
    X509_REQ *csr;
    int64_t issued_at; /* seconds since 1970 */
};

/* A record from a request that was judged: copies (by reference) everything, with
 * the nonce, the AK certificate and the time. `out` is freed by the caller. */
int evidence_record_make(const struct evidence_request *r, struct bytes nonce, X509 *ak_cert,
                         int64_t issued_at, struct evidence_record *out, struct err *e) MUST_USE;

int evidence_record_to_pem(const struct evidence_record *r, struct buf *out,
                           struct err *e) MUST_USE;
int evidence_record_from_pem(struct bytes text, struct evidence_record *out,
                             struct err *e) MUST_USE;
int evidence_record_encode(const struct evidence_record *r, struct buf *out,
                           struct err *e) MUST_USE;
int evidence_record_decode(struct bytes der, struct evidence_record *out, struct err *e) MUST_USE;
void evidence_record_free(struct evidence_record *r);

/* The record as part of a larger structure (core/credential). `from` takes what it needs out
 * of `a`, which stays the caller's to free. */
struct asn1_record;
int evidence_record_to_asn1(const struct evidence_record *r, struct asn1_record **out,
                            struct err *e) MUST_USE;
int evidence_record_from_asn1(struct asn1_record *a, struct evidence_record *out,
                              struct err *e) MUST_USE;

/* SHA-256 of the record's DER, as the issued certificate carries it. */
int evidence_record_hash(const struct evidence_record *r, uint8_t out[32], struct err *e) MUST_USE;

/* Puts that hash into a certificate as a non-critical extension (OID_EXT_EVIDENCE, an
 * OCTET STRING) / reads it: E_NOT_FOUND when there is none, E_FORMAT when malformed. */
int evidence_hash_put(X509 *cert, const uint8_t hash[32], struct err *e) MUST_USE;
int evidence_hash_get(X509 *cert, uint8_t hash[32], struct err *e) MUST_USE;

/* --- the bundle inside the certification request ---------------------------- */

/* Something that the AK signed. Empty when the bundle has none; wire bytes all. */
struct evidence_signed {
    struct buf attest;    /* TPMS_ATTEST */
    struct buf signature; /* TPMT_SIGNATURE */
    struct buf about;     /* what it is about: see the member of struct evidence_bundle */
};

/* Whose approval the key wants for each use (TPM2_PolicySigned). */
struct evidence_approver {
    struct buf public;  /* TPMT_PUBLIC of the approver's key; empty: none */
    struct buf purpose; /* policyRef is made of it: core/approval.h */
    struct buf record;  /* DER of the EvidenceRecord of that key */
};

/* What the CSR attribute 1.2.840.113549.1.9.16.2.59 carries. Zero-initialise;
 * evidence_bundle_free releases it. */
struct evidence_bundle {
    struct evidence_signed certify;  /* TPM2_Certify; TPMT_PUBLIC of the certified key */
    struct buf parent;               /* TPMT_PUBLIC of its storage parent; empty when absent */
    struct evidence_signed creation; /* TPM2_CertifyCreation; TPMS_CREATION_DATA */
    struct evidence_signed quote;    /* TPM2_Quote; the PCRs' values, each a TPM2B_DIGEST, in
                                      * the order of the selection */
    struct evidence_signed pin;      /* TPM2_NV_Certify of a PIN index; its TPMS_NV_PUBLIC and the
                                      * point of the SO's key K (core/pin_policy.h), 64 bytes,
                                      * each behind a two-byte length */
    struct evidence_approver approver;
    STACK_OF(X509) * certs; /* AK chain, its certificate first; NULL when none */
};

/* Adds the bundle to a CSR that is complete but for this and its signature. */
int evidence_bundle_attach(X509_REQ *csr, const struct evidence_bundle *b, struct err *e) MUST_USE;

/*
 * Reads the bundle out of a CSR. E_NOT_FOUND: no such attribute; E_FORMAT: two of
 * them, two values, no Certify statement, two of one kind, malformed DER. Statements of
 * other kinds are passed over.
 */
int evidence_bundle_extract(X509_REQ *csr, struct evidence_bundle *out, struct err *e) MUST_USE;
void evidence_bundle_free(struct evidence_bundle *b);

/*
 * What TPM2_Certify gets as qualifyingData and the verifier expects as extraData:
 * SHA-256("fusetsu certify 1" ‖ 00 ‖ nonce as TPM2B ‖ SHA-256(SPKI of the CSR) ‖
 * SHA-256(CertificationRequestInfo without attribute .59, DER)). The CSR must have
 * subject, key and all other attributes; it may or may not be signed yet, and may or
 * may not have its bundle yet.
 */
int evidence_qualifying(struct bytes nonce, X509_REQ *csr, uint8_t out[32], struct err *e) MUST_USE;

/* The same for who tries many nonces: what is the request's in it, and with a nonce. */
struct evidence_tied {
    uint8_t key[32], rest[32];
};
int evidence_tied(X509_REQ *csr, struct evidence_tied *out, struct err *e) MUST_USE;
int evidence_tied_to(struct bytes nonce, const struct evidence_tied *t, uint8_t out[32],
                     struct err *e) MUST_USE;

#endif
