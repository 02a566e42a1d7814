#ifndef CORE_FEDERATION_CRLS_H
#define CORE_FEDERATION_CRLS_H

#include "core/federation.h"

/*
 * The CRLs that a relying party of one side needs of a federation: one of each CA whose certificates
 * are links of a path to a leaf of an open community, its own or the ally's. The names are those of
 * files: "root", "cross-ca", and for each community "issuing-COMMUNITY" (its own CA), "ally-COMMUNITY".
 */
struct federation_crl {
    char name[32];
    unsigned community; /* 0: each community needs it */
    X509 *by;           /* the CA; borrowed from the federation */
    X509_CRL *crl;      /* NULL: there is none yet. Owned */
};

/* Zero-initialise; federation_crls_free releases it. */
struct federation_crls {
    struct federation_crl need[2 + 2 * OID_COMMUNITIES];
    size_t n;
    X509
        *spare[2]; /* root and Cross CA of the ally, whose CRLs this side does not need; borrowed */
    X509 *root[2]; /* of both nations; borrowed */
};

/* Which they are; none is there yet. `f` must outlive it. */
void federation_crls_of(const struct federation *f, unsigned side, struct federation_crls *out);
void federation_crls_free(struct federation_crls *s);

enum federation_crls_taken {
    FEDERATION_CRLS_NEW,
    FEDERATION_CRLS_SAME, /* it was there already */
    /* Of a CA of the ally that is not needed here, or says that it is of a CA of one of the nations that
     * the federation does not name, as those for attestation are: nobody knows, and nothing is kept. */
    FEDERATION_CRLS_SPARE
};

/*
 * Takes a CRL that came from anywhere, as its own reference: full, of a CA that the federation names and
 * by its key, current at `now`, with a number (RFC 5280, 5.2.3) not below that of what is there; the same
 * number is the same CRL. E_REJECTED says what is wrong with it and what to do; nothing is changed then.
 */
int federation_crls_take(struct federation_crls *s, X509_CRL *crl, int64_t now,
                         enum federation_crls_taken *how, struct err *e) MUST_USE;

/* Puts back what was taken before, into one place and whatever its age is. E_REJECTED: it is not by
 * the CA that is named there now. */
int federation_crls_restore(struct federation_crl *place, X509_CRL *crl, struct err *e) MUST_USE;

/* The first that a community lacks: there is none, or it is not current at `now`. NULL: it lacks none. */
const struct federation_crl *federation_crls_lacking(const struct federation_crls *s,
                                                     unsigned community, int64_t now);

/* Whether the next one should come by now: less than a quarter of its time is left. */
bool federation_crls_due(const struct federation_crl *c, int64_t now);

/* Does one that is there, whatever its age, revoke or suspend this certificate of the federation? */
bool federation_crls_revoked(const struct federation_crls *s, X509 *cert);

/* All that a community needs as PEM, appended. E_NOT_FOUND: one is missing, without which programs
 * that pass over what they miss would let in what it revokes. */
int federation_crls_pem(const struct federation_crls *s, unsigned community, struct buf *out,
                        struct err *e) MUST_USE;

#endif
