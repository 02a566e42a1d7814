#ifndef CA_REGISTRY_CLOCK_H
#define CA_REGISTRY_CLOCK_H

#include "ca/registry.h"

/*
 * Is a clock right that says `now`, for all that was signed? E_REJECTED when it stands before the
 * date of a certificate, unless that is revoked, or of the last CRL of a CA. A clock that was ahead
 * once is thus in the way, until what it dated is revoked and followed by other CRLs.
 */
int registry_clock(struct registry *r, int64_t now, struct err *e) MUST_USE;

/* For the certificates alone. */
int registry_clock_certs(struct registry *r, int64_t now, struct err *e) MUST_USE;

#endif
