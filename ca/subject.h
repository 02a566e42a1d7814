#ifndef CA_SUBJECT_H
#define CA_SUBJECT_H

#include "ca/clearance.h"
#include "core/pubkey.h"

#include <openssl/x509v3.h>
#include <time.h>

/* What the certificate says about its subject. Everything is borrowed, and every
 * value was derived or checked by the authority: nothing comes from a request
 * except the public key. */
struct subject {
    const X509_NAME *name;
    const struct pubkey *key;
    time_t not_before, not_after;      /* seconds since 1970, UTC; exact */
    unsigned community, level;         /* for rows with policies of a community */
    const char *dns;                   /* PROFILE_SAN_DNS: A-labels, lower case */
    const char *mail;                  /* PROFILE_SAN_MAIL: see issue_check_mail */
    const struct clearance *clearance; /* what is granted, or may be granted below; NULL: none */
    const GENERAL_NAMES *tpm_names;    /* PROFILE_SAN_TPM */
    const char *permit_nation;         /* rows with constraints: two letters */
    const char *permit_domain;         /* rows with constraints: "us.example" */
    struct bytes ski;                  /* rows with keep_ski */
    const uint8_t *evidence_hash;      /* rows with evidence_hash: 32 bytes */
};

#endif
