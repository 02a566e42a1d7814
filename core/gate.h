#ifndef CORE_GATE_H
#define CORE_GATE_H

#include "core/federation.h"

/*
 * The gate of a relying party, for applications that look at signatures and names alone: a
 * certificate is let in when it is valid under the federation for one community, at a level, and for
 * nothing that the federation does not bound.
 */
struct gate_terms {
    const struct federation *f; /* whole; in force at `now`, or nothing is let in */
    unsigned side;              /* whose relying party it is */
    unsigned community;
    unsigned level; /* 0: as that side accepts */
    int64_t now;
    const char *usage; /* extended key usage, dotted */
    const char *name;  /* DNS name or mail address; NULL: any that is bounded */
    bool persons;      /* let persons in, too; a `name` with an @ asks for one */
    int clearance;     /* number of a class of the side's own system that is wanted; -1: none */
    STACK_OF(X509_CRL) * crls; /* NULL: revocation is not judged; else every link needs one */
};

/*
 * Beside chain_check's rules: whom else the side lets in the federation alone says, so that of what came
 * along (`sent`; NULL: nothing) only what the side's own root has issued leads on; every alternative
 * name must be bounded by the path, and a common name that looks like a host's or a mail address must
 * be one of them, since applications look at it. 0: judged, see chain_check.
 */
int gate_check(X509 *leaf, STACK_OF(X509) * sent, const struct gate_terms *t,
               struct chain_verdict *out, struct err *e) MUST_USE;

/* What path validation lets pass in the certificate itself and some applications fall for: other
 * names than DNS names and mail addresses, a common name, userId or emailAddress that is none of
 * them, a CA. NULL: nothing. */
const char *gate_leaf_fault(X509 *leaf);

/* The first name of a certificate whose alternative names are all DNS names, or all mail addresses;
 * false for any other, as name constraints do not reach everywhere over other kinds. */
bool gate_name(X509 *leaf, char *out, size_t size);

#endif
