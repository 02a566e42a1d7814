#ifndef CA_PROFILE_H
#define CA_PROFILE_H

#include "core/base.h"
#include "core/err.h"

/*
 * What each kind of certificate carries: one row of a table per kind. ca/issue
 * reads a row and builds exactly that; no other file decides what a certificate
 * contains.
 */
enum profile_id {
    PROFILE_ROOT,           /* self-signed root of a nation */
    PROFILE_CROSS_CA,       /* signs cross-certificates and nothing else */
    PROFILE_ATTESTATION_CA, /* signs certificates of keys of TPMs and nothing else */
    PROFILE_ISSUING_CA,     /* signs the leaves of one community */
    PROFILE_BASIC_CA,       /* ... those of levels 1 and 2, kept apart from the others */
    PROFILE_GATEWAY,        /* a leaf: one DNS name, TLS and IKE */
    PROFILE_SERVER,         /* the same for one use alone: TLS server, */
    PROFILE_CLIENT,         /* TLS client, */
    PROFILE_IKE,            /* IKE */
    PROFILE_PERSON,         /* a person: one mail address, S/MIME and TLS client */
    PROFILE_AK,             /* certificate of a TPM attestation key */
    PROFILE_CROSS_COMPAT,   /* cross-certificate, no critical policy extension */
    PROFILE_CROSS_STRICT,   /* cross-certificate with RFC 5280's criticality */
    PROFILE_ISSUING_IKE,    /* issuing CA and cross-certificate once more, for IKE alone */
    PROFILE_CROSS_IKE,
    PROFILE_EK_ECC, /* endorsement key whose maker has not certified it */
    PROFILE_EK_RSA,
    PROFILE_OCSP, /* answers for the certificates of the CA that issued it */
    PROFILE_COUNT
};

/* Which certificatePolicies a row carries. */
enum profile_policies {
    PROFILE_POLICIES_NONE,
    PROFILE_POLICIES_ANY,       /* anyPolicy */
    PROFILE_POLICIES_COMMUNITY, /* every level of one community */
    PROFILE_POLICIES_LEVEL      /* the subject's level and all below it */
};

/* Which subjectAltName a row carries. */
enum profile_san {
    PROFILE_SAN_NONE,
    PROFILE_SAN_DNS,  /* exactly one dNSName */
    PROFILE_SAN_MAIL, /* exactly one rfc822Name */
    PROFILE_SAN_TPM   /* the TPM's directoryName, and what else the caller gives */
};

/* What a row says of clearances (RFC 5913). */
enum profile_clearance {
    PROFILE_CLEARANCE_NONE,
    PROFILE_CLEARANCE_GRANTED, /* the subject's, in subjectDirectoryAttributes, where it has one */
    PROFILE_CLEARANCE_BOUND    /* what may be granted below: authorityClearanceConstraints */
};

#define PROFILE_ABSENT (-1)
#define PROFILE_MAX_EKU 4

/* keyUsage bits as OpenSSL numbers them (KU_DIGITAL_SIGNATURE ...). */
struct profile {
    const char *name;                 /* for messages: "issuing CA" */
    const char *kind;                 /* what an invitation can be for: "gateway"; NULL: not this */
    bool ca;                          /* basicConstraints says CA:TRUE; critical in any case */
    int pathlen;                      /* or PROFILE_ABSENT */
    uint32_t key_usage;               /* critical (RFC 5280, 4.2.1.3) */
    uint32_t key_usage_rsa;           /* added for an RSA subject key */
    unsigned min_ecc_bits;            /* the weakest subject key that is certified */
    unsigned min_rsa_bits;            /* 0: no RSA at all */
    const char *eku[PROFILE_MAX_EKU]; /* dotted, NULL-terminated by the first NULL */
    int64_t max_seconds;              /* the longest validity */
    int64_t max_seconds_cleared;      /* ... with a clearance, which is not taken back easily */
    enum profile_clearance clearance;
    enum profile_policies policies;
    bool policies_critical;
    bool constraints;           /* nameConstraints on every name form, critical */
    bool addresses;             /* they leave IP addresses out, which are excluded otherwise */
    int require_explicit;       /* policyConstraints' skip count, or PROFILE_ABSENT */
    int inhibit_any;            /* inhibitAnyPolicy's skip count, or PROFILE_ABSENT */
    bool policy_rules_critical; /* criticality of the two above */
    enum profile_san san;
    bool evidence_hash; /* carries the hash of its evidence record */
    bool keep_ski;      /* the subject key identifier is given, not computed */
    bool ocsp_nocheck;  /* carries that extension, and not where its status is published */
};

/* The row; NULL for a number outside the enumeration. */
const struct profile *profile_get(enum profile_id id);

/* The longest name of a kind, with its NUL. */
#define PROFILE_KIND_MAX 16

/* The row that invitations call by that kind; E_ARG names all kinds. */
int profile_named(const char *kind, enum profile_id *out, struct err *e) MUST_USE;

#endif
