#ifndef CORE_OID_H
#define CORE_OID_H

#include "core/base.h"
#include "core/err.h"

#include <openssl/asn1.h>

/*
 * Every object identifier that we define or that OpenSSL has no number for, in
 * one place, in dotted form.
 *
 * The arc is that of the documentation enterprise (RFC 5612); a federation in service
 * puts its own enterprise number here (make CFLAGS='-DOID_ARC="\"1.3.6.1.4.1.N.1\""').
 * Not 2.25.<UUID>, which nobody would have to register: libtasn1 4.19, and so GnuTLS,
 * refuses certificates that hold a component over 64 bits.
 *   .1.<community>.<level>   certificate policies: one OID carries both
 *   .3.<n>                   extensions and attestation statements
 *   .4.0                     a policy of clearances under which nobody has any
 */
#ifndef OID_ARC
#define OID_ARC "1.3.6.1.4.1.32473.1"
#endif

#define OID_EXT_EVIDENCE OID_ARC ".3.1" /* extension: SHA-256 of the EvidenceRecord's DER */
#define OID_EXT_LEDGER OID_ARC ".3.2"   /* extension: where the ledger holds the issuance */
/* Statements of the attestation bundle, beside TCG's: core/evidence.h. */
#define OID_STMT_PARENT OID_ARC ".3.16"   /* TPMT_PUBLIC of the storage parent */
#define OID_STMT_CREATION OID_ARC ".3.17" /* how the key was made: TPM2_CertifyCreation */
#define OID_STMT_QUOTE OID_ARC ".3.18"    /* the platform's PCRs: TPM2_Quote */
#define OID_STMT_PIN OID_ARC ".3.19"      /* the counter of wrong PINs: TPM2_NV_Certify */
#define OID_STMT_APPROVER OID_ARC ".3.20" /* whose approval each use of the key takes */

/* RFC 2985/5911 arc, id-aa-attestation of the csr-attestation draft. */
#define OID_ATTR_ATTESTATION "1.2.840.113549.1.9.16.2.59"

/* RFC 5913, 2 and 3; the other identifier is that of RFC 3281, which is read as well. */
#define OID_CLEARANCE "2.5.4.55"
#define OID_CLEARANCE_OLD "2.5.1.5.55"
#define OID_EXT_CLEARANCE_CONSTRAINTS "1.3.6.1.5.5.7.1.21"
#define OID_CLEARANCE_NONE OID_ARC ".4.0" /* bounds that let nothing be granted name it */

/* TCG OID registry. */
#define OID_TCG_CERTIFY "2.23.133.20.1"     /* statement tcg-attest-tpm-certify */
#define OID_TCG_MANUFACTURER "2.23.133.2.1" /* TPM attributes in an EK's subjectAltName */
#define OID_TCG_MODEL "2.23.133.2.2"
#define OID_TCG_VERSION "2.23.133.2.3"
#define OID_TCG_KP_EK "2.23.133.8.1" /* extended key usage of an EK certificate */
#define OID_TCG_KP_AK "2.23.133.8.3" /* ... and of an AK certificate */

/* A sector within which credentials are honoured. */
enum oid_community {
    OID_COMMUNICATIONS = 1,
    OID_ELECTRICITY,
    OID_FINANCE,
    OID_DEFENSE,
};
#define OID_COMMUNITIES 4
#define OID_LEVELS 4

/* Room for the longest dotted form in use here, NUL included. */
#define OID_TEXT_MAX 96

/* The policy OID of a community (1-4) and an assurance level (1-4). E_ARG outside. */
int oid_policy(unsigned community, unsigned level, char out[OID_TEXT_MAX], struct err *e) MUST_USE;

/* The reverse: false when `obj` is no policy of our arc. */
bool oid_policy_of(const ASN1_OBJECT *obj, unsigned *community, unsigned *level);

/* "communications", ...; NULL / 0 when there is none. */
const char *oid_community_name(unsigned community);
unsigned oid_community_named(const char *name);

/* A new object from dotted form (free with ASN1_OBJECT_free); NULL on failure. */
ASN1_OBJECT *oid_object(const char *dotted, struct err *e) MUST_USE;

/* Does `obj` equal the dotted form? */
bool oid_is(const ASN1_OBJECT *obj, const char *dotted);

#endif
