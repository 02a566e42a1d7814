#ifndef CA_EXTEND_H
#define CA_EXTEND_H

#include "ca/profile.h"
#include "ca/subject.h"
#include "core/err.h"

/*
 * Adds to `cert` every extension that the profile row asks for, from the subject's
 * data: basicConstraints, keyUsage, key identifiers, extKeyUsage,
 * certificatePolicies, policyConstraints, inhibitAnyPolicy, nameConstraints,
 * subjectAltName, evidence hash (RFC 5280, 4.2). The public key must be set and the
 * names checked already (ca/issue.c does both). `issuer_ski` is empty for a self-signed
 * certificate, which then has no authorityKeyIdentifier.
 */
int extend_all(X509 *cert, struct bytes issuer_ski, const struct profile *p,
               const struct subject *subject, struct err *e) MUST_USE;

#endif
