#ifndef CLI_PATH_H
#define CLI_PATH_H

#include "core/buf.h"

#include <openssl/x509.h>

/*
 * Path validation (RFC 5280, 6) as a relying party must do it: under our roots, and
 * with exactly one policy OID, so that community and level are enforced together.
 */
struct path_terms {
    STACK_OF(X509) * roots;     /* the self-signed ones are trusted, the others are
                                    * intermediates (cross-certificates) */
    STACK_OF(X509) * untrusted; /* further intermediates; NULL when none */
    unsigned community, level;  /* the one policy that is asked for */
    const char *name;           /* DNS name or mail address that the leaf must have; NULL: any */
    const char *usage;          /* the extended key usage, dotted; NULL: any */
};

struct path_verdict {
    bool accepted;
    char reason[300];     /* why not; empty when accepted */
    STACK_OF(X509) * via; /* the path, leaf first; NULL when none was found */
};

/* 0: judged, the verdict says how; -1: could not be judged (E_MEMORY, E_FORMAT when there
 * is no root). Free with path_free. */
int path_check(X509 *leaf, const struct path_terms *t, struct path_verdict *out,
               struct err *e) MUST_USE;
void path_free(struct path_verdict *v);

/* The highest level that a certificate claims, and in which community; false when it
 * claims none of our arc, or several communities. */
bool path_claim(X509 *leaf, unsigned *community, unsigned *level);

/* True for a certificate that is signed with its own key. */
bool path_self_signed(X509 *cert);

#endif
