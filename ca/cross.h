#ifndef CA_CROSS_H
#define CA_CROSS_H

#include "ca/issue.h"

/*
 * Cross-certificates to an ally's issuing CA: how one community of one ally
 * becomes valid under our root, and nothing else of that ally does.
 */
struct cross_request {
    X509 *ally;         /* the ally's issuing CA, as its own root certified it */
    const char *nation; /* the ally's: "JP" */
    const char *domain; /* DNS suffix that the ally may speak for: "jp.example" */
    unsigned community;
    int days; /* 1 to 365; 0 means 365, cut to the two CAs' own lifetimes */
    const struct clearance *clearance; /* what the ally may grant, by its policy; NULL: none */
    bool strict;                       /* RFC 5280 criticality; breaks GnuTLS and NSS classic */
    bool ike; /* for IKE alone, as strongSwan can read it (PROFILE_CROSS_IKE); not strict */
    time_t now;
};

/*
 * 0 when the ally's certificate may be cross-certified for the request: a CA that
 * may sign certificates, below a root (not self-signed), valid now, with a strong
 * key, a subject key identifier and policies of this community only (anyPolicy is
 * refused). E_REJECTED names the rule that it breaks.
 */
int cross_judge(const struct cross_request *r, struct err *e) MUST_USE;

/*
 * Judges, then issues: the ally's own name, key and key identifier; pathlen 0;
 * policies of the community; the name constraints on DNS, directory, mail and URI
 * names, all IP addresses excluded (RFC 5280, 4.2.1.10) unless for IKE. E_REJECTED also when
 * nation or domain of the ally overlap our own (`own_nation`, `own_domain`).
 */
int cross_issue(const struct issue_issuer *cross_ca, const char *own_nation, const char *own_domain,
                const struct cross_request *r, X509 **out, struct err *e) MUST_USE;

#endif
