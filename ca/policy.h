#ifndef CA_POLICY_H
#define CA_POLICY_H

#include "core/oid.h"

#include <openssl/x509v3.h>

/*
 * Certificate policies (RFC 5280, 4.2.1.4) of communities and assurance levels. The
 * numbers, community names and OIDs are core/oid.h's. Community and level are in one
 * OID because a verifier ORs the policies that it asks for (RFC 5280, 6.1.1 (c)).
 */

/* "software", "resident", "attested", "approved"; NULL for numbers outside 1-4. */
const char *policy_level_name(unsigned level);

/* A certificatePolicies value with levels 1 to `level` of one community: what a leaf
 * of that level carries, so that a relying party asks for exactly one OID. Free with
 * CERTIFICATEPOLICIES_free. NULL: E_ARG for numbers outside the tables, E_MEMORY. */
CERTIFICATEPOLICIES *policy_levels(unsigned community, unsigned level, struct err *e) MUST_USE;

/* A certificatePolicies value with anyPolicy alone; NULL: E_MEMORY. */
CERTIFICATEPOLICIES *policy_any(struct err *e) MUST_USE;

/*
 * 0 when the certificate asserts policies of our arc, all of the one community and
 * none other (anyPolicy included). E_REJECTED names what it found instead.
 */
int policy_only(X509 *cert, unsigned community, struct err *e) MUST_USE;

/* The one community of a leaf, and the highest level that it asserts. E_FORMAT: it has no policies, or
 * others than those of one community. */
int policy_highest(X509 *leaf, unsigned *community, unsigned *level, struct err *e) MUST_USE;

#endif
