#ifndef CA_CRL_H
#define CA_CRL_H

#include "ca/authority.h"

/*
 * Certificate revocation lists (RFC 5280, 5), one sequence of them for each CA of an authority.
 *
 * A CRL here has all that its CA issued in its scope, and one key signs certificates and CRLs,
 * so that there is no issuingDistributionPoint (5.2.5): nothing is left out that it would have
 * to name, and verifiers that do not know the extension, which is critical, read the CRL. An
 * authority with a URL for CRLs names in the full ones where the deltas are (5.2.6), without
 * which relying parties do not look for them.
 */
struct crl_request {
    enum registry_role issuer;
    unsigned community; /* issuing CAs */
    bool delta;         /* only what changed since the last full CRL (5.2.4) */
    time_t now;
    bool clock_was_ahead; /* the last CRLs are dated by a clock that was wrong; not for deltas */
};

struct crl_made {
    struct registry_crl row;
    size_t entries;
};

/*
 * Makes the next CRL, appends its DER, at most BUF_MAX (some 300,000 entries, else E_MEMORY), and
 * records it: a number is given once. Expired certificates stay until one full CRL after their
 * end (3.3). It is dated ISSUE_SKEW before `now` (ca/issue.h). E_REJECTED: the clock went back
 * (ca/registry_clock.h). With `clock_was_ahead` the dates of the CRLs before do not count, so that
 * one with a right date can follow. A delta needs a full CRL that has not expired, and a URL for
 * CRLs.
 */
int crl_make(struct authority *a, const struct crl_request *r, struct buf *der,
             struct crl_made *out, struct err *e) MUST_USE;

/* How long a CRL of a CA is good for, in seconds: a cut shall be known in a day. */
int64_t crl_seconds(enum registry_role issuer, bool delta);

#endif
