#ifndef CA_CLEARANCE_H
#define CA_CLEARANCE_H

#include "core/federation.h"

/*
 * Clearances in certificates (RFC 5913): what an authority grants to a subject, and the bound that a
 * CA's certificate sets to it. A nation's system of clearances is one policyId, and names of its own
 * for some of the six classes of the standard.
 */
/* Classes under one policy; their words are federation_class()'s. */
struct clearance {
    char policy[OID_TEXT_MAX]; /* dotted */
    uint32_t classes;          /* bits of enum chain_class; in a bound 0: nothing may be granted */
};

struct clearance_system {
    char policy[OID_TEXT_MAX];                      /* empty: there is no system */
    char name[FEDERATION_CLASSES][FEDERATION_NAME]; /* by the bit's number; empty: no such class */
};

/* Reads "secret=SECRET,confidential=CONFIDENTIAL": the standard's words and the nation's own,
 * which are plain UTF-8 (ca/plain.h) and in no case the word or name of another class. E_ARG. */
int clearance_system_parse(const char *policy, const char *names, struct clearance_system *out,
                           struct err *e) MUST_USE;

/* All classes of a system. */
uint32_t clearance_system_classes(const struct clearance_system *s);

/* The class that is called `name`, by the standard or by the system, and every lower one that the
 * system has, as a leaf has the lower levels, too. E_ARG names what there is. */
int clearance_grant(const struct clearance_system *s, const char *name, struct clearance *out,
                    struct err *e) MUST_USE;

/* Reads "restricted,confidential", in the standard's words, for an ally's policy. E_ARG. */
int clearance_parse(const char *policy, const char *words, struct clearance *out,
                    struct err *e) MUST_USE;

/* The nation's names of these classes, highest first, with commas; appended. */
void clearance_text(const struct clearance_system *s, uint32_t classes, struct buf *out);

/* Puts the Clearance attribute (RFC 5913, 2) into a certificate, in subjectDirectoryAttributes. */
int clearance_put(X509 *cert, const struct clearance *c, struct err *e) MUST_USE;

/* Puts authorityClearanceConstraints (RFC 5913, 3) into a CA's certificate. Not critical: OpenSSL,
 * GnuTLS and NSS refuse what has it so. NULL: nothing may be granted below. */
int clearance_put_bound(X509 *cert, const struct clearance *c, struct err *e) MUST_USE;

/* Does a CA's certificate set a bound at all? */
bool clearance_bounded(X509 *ca);

/* May the holder of this CA certificate grant it? One that sets no bound may not: nobody would
 * know what it is for. E_REJECTED. */
int clearance_within(X509 *ca, const struct clearance *c, struct err *e) MUST_USE;

#endif
