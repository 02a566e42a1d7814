#ifndef CORE_CHAIN_H
#define CORE_CHAIN_H

#include "core/buf.h"

#include <openssl/x509v3.h>

/*
 * Certification path validation (RFC 5280, 6; policies as the graph of RFC 9618, which gives the
 * same answers as the tree without its exponential growth; clearances by RFC 5913). Pure: all
 * that counts comes in, nothing is fetched, no clock is read. libcrypto checks signatures and
 * decodes; every decision is taken here. What the standards leave open is refused.
 */

/* Bounds; what is beyond is refused (CHAIN_LIMIT), never passed over. */
#define CHAIN_MAX_PATH 10       /* certificates of a path, the anchor not counted */
#define CHAIN_MAX_GIVEN 256     /* untrusted certificates, trust anchors, CRLs, each */
#define CHAIN_MAX_TRIES 32      /* complete paths that are validated before giving up */
#define CHAIN_MAX_CHECKS 128    /* signatures that are checked in search of paths */
#define CHAIN_MAX_LIST 128      /* policies, mappings, names, subtrees of one certificate */
#define CHAIN_MAX_NODES 1024    /* nodes of the policy graph, all depths together */
#define CHAIN_MAX_COMPARE 16384 /* names held against constraints, for one path */
#define CHAIN_MIN_BITS 112      /* security of keys and signatures (NIST SP 800-57) */

enum chain_code {
    CHAIN_OK = 0,
    CHAIN_NO_PATH,     /* no certificate that was given leads on */
    CHAIN_MALFORMED,   /* an encoding or a combination that RFC 5280, 4 forbids */
    CHAIN_CRITICAL,    /* a critical extension that is not processed here: 4.2 */
    CHAIN_SIGNATURE,   /* 6.1.3 (a) (1) */
    CHAIN_WEAK,        /* a signature or key below CHAIN_MIN_BITS */
    CHAIN_TIME,        /* 6.1.3 (a) (2) */
    CHAIN_REVOKED,     /* 6.1.3 (a) (3) */
    CHAIN_NO_CRL,      /* no usable CRL says that it is not: 6.3.3 */
    CHAIN_ISSUER,      /* 6.1.3 (a) (4) */
    CHAIN_NAME,        /* name constraints: 6.1.3 (b), (c) */
    CHAIN_POLICY,      /* 6.1.3 (f), 6.1.5 (g) */
    CHAIN_MAPPING,     /* 6.1.4 (a) */
    CHAIN_NOT_CA,      /* 6.1.4 (k) */
    CHAIN_PATHLEN,     /* 6.1.4 (l) */
    CHAIN_KEY_USAGE,   /* 6.1.4 (n) */
    CHAIN_USAGE,       /* not for the wanted extended key usage */
    CHAIN_WANTED_NAME, /* not for the wanted name */
    CHAIN_STRICT_NAME, /* a name that nothing on the path bounds */
    CHAIN_CLEARANCE,   /* RFC 5913: not the wanted clearance */
    CHAIN_LIMIT,       /* a bound of above */
    CHAIN_MEMORY       /* seen inside only: chain_check fails with E_MEMORY instead */
};

/* RFC 5913, 2: bit n of ClassList is 1 << n. */
enum chain_class {
    CHAIN_UNMARKED = 1,
    CHAIN_UNCLASSIFIED = 2,
    CHAIN_RESTRICTED = 4,
    CHAIN_CONFIDENTIAL = 8,
    CHAIN_SECRET = 16,
    CHAIN_TOP_SECRET = 32
};

/* One row of the equivalence table of two authorities: who holds one of `bits` under `policy`
 * counts as holding `as_bits` under `as_policy` (all dotted). One direction; no row, nothing. */
struct chain_equivalence {
    const char *policy;
    uint32_t bits;
    const char *as_policy;
    uint32_t as_bits;
};

/*
 * A trust anchor: name and key of `cert` (RFC 5280, 6.1.1 (d)), whose own signature does not
 * count, but whose constraints do (RFC 5937): path length, names, policies, policy constraints,
 * clearances; and, stricter than the standards, its validity, cA and keyUsage where it has them.
 * The relying party may narrow it further.
 */
struct chain_anchor {
    X509 *cert;
    const NAME_CONSTRAINTS *names;    /* NULL: none beside its own */
    STACK_OF(ASN1_OBJECT) * policies; /* NULL: any; what it may be trusted for */
    bool has_max_path;
    unsigned max_path; /* as pathLenConstraint */
};

struct chain_terms {
    const struct chain_anchor *anchor;
    size_t n_anchor;
    STACK_OF(X509) * untrusted;       /* NULL: none. Order does not count */
    STACK_OF(X509_CRL) * crls;        /* NULL: revocation is not judged; else each certificate needs
                                 * a current complete CRL by its own issuer's key */
    int64_t now;                      /* seconds since 1970 */
    STACK_OF(ASN1_OBJECT) * policies; /* user-initial-policy-set; NULL: any-policy */
    bool explicit_policy;             /* initial-explicit-policy */
    bool inhibit_mapping;             /* initial-policy-mapping-inhibit */
    bool inhibit_any;                 /* initial-any-policy-inhibit */
    bool strict_names;     /* every subjectAltName of the leaf must be of a form that a permitted
                        * subtree of the path bounds; otherName, registeredID, x400Address and
                        * ediPartyName never are */
    const char *dns;       /* wanted names, NULL: any. Exact but for case; */
    const char *email;     /* the common name never counts, nor does a wildcard */
    struct bytes ip;       /* 4 or 16 bytes */
    const char *usage;     /* wanted extended key usage, dotted; the leaf must say it itself, and
                        * each CA that has any must have this one or anyExtendedKeyUsage */
    const char *clearance; /* wanted clearance: policyId, dotted; NULL: none */
    uint32_t classes;      /* one of these bits must be left, after ... */
    const struct chain_equivalence *table; /* ... the rows of this table were applied */
    size_t n_table;
};

/* A clearance that the path leaves to the leaf. */
struct chain_clearance {
    ASN1_OBJECT *policy;
    uint32_t classes;                 /* bits of enum chain_class, unknown ones kept */
    STACK_OF(ASN1_TYPE) * categories; /* SecurityCategory values, whole; NULL: none */
};

struct chain_mapping {
    ASN1_OBJECT *issuer, *subject;
    unsigned depth; /* which certificate had it: 1 is the one below the anchor */
};

/*
 * What came of it. `clause` cites the rule, `reason` says what is wrong and with what; both are
 * about the path that came furthest. `path` is the accepted path, leaf first, anchor last.
 */
struct chain_verdict {
    bool accepted;
    enum chain_code code;
    const char *clause; /* "RFC 5280, 6.1.3 (a) (2)"; NULL when accepted */
    char reason[300];   /* empty when accepted */
    X509 *at;           /* the certificate that is at fault; NULL: none. Owned */
    STACK_OF(X509) * path;
    STACK_OF(ASN1_OBJECT) * authority; /* authority-constrained-policy-set; */
    STACK_OF(ASN1_OBJECT) * user;      /* user-constrained-policy-set; anyPolicy stands for all */
    struct chain_mapping *mapping;
    size_t n_mapping;
    struct chain_clearance *clearance; /* of the leaf, before the equivalence table */
    size_t n_clearance;
};

/*
 * 0: judged, the verdict says how; free it with chain_free. -1: could not be judged: E_ARG (no
 * leaf or no anchor, a wanted name or number that is none), E_MEMORY; nothing to free.
 */
int chain_check(X509 *leaf, const struct chain_terms *t, struct chain_verdict *out,
                struct err *e) MUST_USE;
void chain_free(struct chain_verdict *v);

/* Why a CRL is not to be believed about all that the CA `issuer` certifies (RFC 5280, 6.3.3), whatever
 * the time is; NULL: it is. Deltas are not, nor what is limited to some certificates. */
const char *chain_crl_fault(X509_CRL *crl, X509 *issuer);
/* thisUpdate and nextUpdate in seconds since 1970; false: not both are there in their prescribed form. */
bool chain_crl_times(const X509_CRL *crl, int64_t *from, int64_t *until);
/* Within these. */
bool chain_crl_current(const X509_CRL *crl, int64_t now);

/* "signature", ...: the code as it appears in JSON and in tests. */
const char *chain_code_name(enum chain_code code);

#endif
