#ifndef CORE_CHAIN_PRIV_H
#define CORE_CHAIN_PRIV_H

#include "core/asn1.h"
#include "core/chain.h"

/* What the parts of core/chain share. Functions that judge return true, or false with a fault. */

struct chain_fault {
    enum chain_code code;
    const char *clause;
    char text[300];
};

/* Records a fault unless there is one, and returns false. */
bool chain_fail(struct chain_fault *f, enum chain_code code, const char *clause, const char *fmt,
                ...) PRINTF_LIKE(4, 5);
bool chain_no_memory(struct chain_fault *f);

/* --- chain_cert.c: one certificate, read whole -------------------------------- */

struct chain_cert {
    X509 *x; /* borrowed */
    bool self_issued;
    /* Extensions; NULL when absent. */
    BASIC_CONSTRAINTS *basic;
    ASN1_BIT_STRING *usage;
    CERTIFICATEPOLICIES *policies;
    POLICY_MAPPINGS *mappings;
    POLICY_CONSTRAINTS *policy_rules;
    ASN1_INTEGER *inhibit_any;
    NAME_CONSTRAINTS *names;
    GENERAL_NAMES *alt;
    EXTENDED_KEY_USAGE *purposes;
    asn1_clearances *clearance_rules; /* authorityClearanceConstraints */
    asn1_attributes *directory;       /* subjectDirectoryAttributes */
    uint32_t max_path, require_explicit, inhibit_mapping, inhibit_any_after;
    bool has_max_path, has_require_explicit, has_inhibit_mapping;
};

/*
 * Reads a certificate strictly: each extension once and in DER, none in version 1, no critical
 * one that is not processed (6.1.4 (o), 6.1.5 (f)), and what section 4 demands of it.
 * chain_cert_free also after failure.
 */
bool chain_cert_read(struct chain_cert *c, X509 *x, bool leaf, struct chain_fault *f) MUST_USE;
/* The same of a trust anchor: only constraints are read; critical ones that are unknown count. */
bool chain_cert_read_anchor(struct chain_cert *c, X509 *x, struct chain_fault *f) MUST_USE;
void chain_cert_free(struct chain_cert *c);

/* keyUsage bit n of 4.2.1.3; all are there when there is no such extension. */
bool chain_cert_may(const struct chain_cert *c, int bit);

/* 6.1.3 (a) (2), with the forms of time that 4.1.2.5 prescribes. */
bool chain_cert_current(X509 *x, int64_t now, struct chain_fault *f) MUST_USE;
/* Seconds since 1970 of a time in its prescribed form. */
bool chain_cert_time(const ASN1_TIME *t, int64_t *out);

/* 6.1.3 (a) (1): signed by `key`, the two algorithm identifiers alike, neither weak. */
bool chain_cert_signed(X509 *x, EVP_PKEY *key, struct chain_fault *f) MUST_USE;
/* A key that may check signatures here; NULL with a fault. Borrowed. */
EVP_PKEY *chain_cert_key(X509 *x, struct chain_fault *f) MUST_USE;

/* A name for messages: the common name, else the whole in one line. */
#define CHAIN_TEXT 128
const char *chain_cert_name(const X509_NAME *name, char out[CHAIN_TEXT]);

/* --- chain_policy.c ----------------------------------------------------------- */

struct chain_policy;

/* `n` is the length of the path; NULL: no memory. */
struct chain_policy *chain_policy_new(const struct chain_terms *t, const struct chain_anchor *a,
                                      const struct chain_cert *anchor, unsigned n,
                                      struct chain_fault *f) MUST_USE;
void chain_policy_free(struct chain_policy *p);
/* 6.1.3 (d) to (f) for the next certificate. */
bool chain_policy_enter(struct chain_policy *p, const struct chain_cert *c, bool last,
                        struct chain_fault *f) MUST_USE;
/* 6.1.4 (a), (b), (h) to (j). */
bool chain_policy_prepare(struct chain_policy *p, const struct chain_cert *c,
                          struct chain_fault *f) MUST_USE;
/* 6.1.5 (a), (b), (g): fills in the sets and mappings of `v`. */
bool chain_policy_finish(struct chain_policy *p, const struct chain_cert *c,
                         struct chain_verdict *v, struct chain_fault *f) MUST_USE;

/* --- chain_names.c ------------------------------------------------------------ */

/* The constraints that are in force; those of each certificate hold by themselves, which is the
 * intersection of permitted and the union of excluded subtrees (6.1.4 (g)). */
struct chain_names {
    const NAME_CONSTRAINTS *rule[CHAIN_MAX_PATH + 2]; /* borrowed */
    size_t n;
    unsigned compared;
};

/* 6.1.4 (g); refuses subtrees that 4.2.1.10 does not allow. */
bool chain_names_add(struct chain_names *s, const NAME_CONSTRAINTS *nc,
                     struct chain_fault *f) MUST_USE;
/* 6.1.3 (b), (c) for subject, alternative names, and of a leaf its common names that look like
 * a DNS name or an address. */
bool chain_names_check(struct chain_names *s, const struct chain_cert *c, bool leaf,
                       struct chain_fault *f) MUST_USE;
/* terms.strict_names; terms.dns, email, ip. */
bool chain_names_strict(const struct chain_names *s, const struct chain_cert *c,
                        struct chain_fault *f) MUST_USE;
bool chain_names_wanted(const struct chain_terms *t, const struct chain_cert *c,
                        struct chain_fault *f) MUST_USE;

/* --- chain_crl.c -------------------------------------------------------------- */

/* 6.3.3: not revoked, by the CRLs of the key that signed it; `usable` is the issuer's cRLSign. */
bool chain_crl_check(const struct chain_terms *t, const struct chain_cert *c, EVP_PKEY *issuer,
                     bool may_sign, struct chain_fault *f) MUST_USE;

/* --- chain_clearance.c -------------------------------------------------------- */

/* RFC 5913's permitted-clearances. */
struct chain_permitted {
    bool limited; /* false: all clearances */
    struct chain_clearance *set;
    size_t n;
};

/* Takes a certificate's authorityClearanceConstraints in. */
bool chain_clearance_limit(struct chain_permitted *p, const struct chain_cert *c,
                           struct chain_fault *f) MUST_USE;
/* The leaf's clearances within them, into `v`; and terms.clearance. */
bool chain_clearance_finish(const struct chain_permitted *p, const struct chain_cert *c,
                            const struct chain_terms *t, struct chain_verdict *v,
                            struct chain_fault *f) MUST_USE;
void chain_clearance_free(struct chain_clearance *set, size_t n);

/* --- chain.c, chain_build.c --------------------------------------------------- */

/* Validates one path, leaf first; fills in `v` on success. *done is how far it came. */
bool chain_path(X509 *const *path, unsigned n, const struct chain_anchor *a,
                const struct chain_terms *t, struct chain_verdict *v, struct chain_fault *f,
                X509 **at, unsigned *done) MUST_USE;

/* Looks for a path that validates. `at` and `f` on failure are of the one that came furthest. */
bool chain_build(X509 *leaf, const struct chain_terms *t, struct chain_verdict *v,
                 struct chain_fault *f, X509 **at) MUST_USE;

#endif
