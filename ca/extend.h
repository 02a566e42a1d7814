#ifndef CA_EXTEND_H
#define CA_EXTEND_H

#include "ca/profile.h"
#include "ca/subject.h"
#include "core/err.h"

/* What is taken from the issuer. Borrowed. */
struct extend_issuer {
    struct bytes ski;     /* empty: self-signed, no authorityKeyIdentifier */
    const char *crl_url;  /* cRLDistributionPoints; NULL or empty: none */
    const char *ocsp_url; /* authorityInfoAccess; the same */
};

/*
 * Adds to `cert` every extension that the profile row asks for, from the subject's
 * data: basicConstraints, keyUsage, key identifiers, extKeyUsage,
 * certificatePolicies, policyConstraints, inhibitAnyPolicy, nameConstraints,
 * subjectAltName, evidence hash, where its status is published (RFC 5280, 4.2). The public
 * key must be set and the names checked already (ca/issue.c does both).
 */
int extend_all(X509 *cert, const struct extend_issuer *issuer, const struct profile *p,
               const struct subject *subject, struct err *e) MUST_USE;

/* Values that CRLs have too: an authorityKeyIdentifier with the key identifier alone, and one
 * distribution point. Free with AUTHORITY_KEYID_free, CRL_DIST_POINTS_free; NULL: E_MEMORY. */
AUTHORITY_KEYID *extend_aki(struct bytes ski, struct err *e) MUST_USE;
CRL_DIST_POINTS *extend_points(const char *url, struct err *e) MUST_USE;

#endif
