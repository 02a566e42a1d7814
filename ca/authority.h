#ifndef CA_AUTHORITY_H
#define CA_AUTHORITY_H

#include "ca/cross.h"
#include "ca/issue.h"
#include "ca/registry_publish.h"

/*
 * A nation's authority in a directory: registry.db (ca/registry.h) and what ca/require.h reads.
 * Its private keys are elsewhere, in tokens; the caller gives access to them by a callback.
 */
struct authority;

/*
 * Opens the private key that `key` names. `role` and `community` say what for, so
 * that a prompt can say it. The authority frees the signer when it is closed.
 */
typedef int (*authority_signer_fn)(void *ctx, enum registry_role role, unsigned community,
                                   const struct registry_key *key, struct signer **out,
                                   struct err *e);

/* A CA key at the making of an authority: where it is, and itself (borrowed). */
struct authority_key {
    struct registry_key ref;
    struct signer *signer;
};

struct authority_params {
    const char *nation;          /* "US" */
    const char *org;             /* "Example Communications Authority" */
    const char *domain;          /* "us.example" */
    const unsigned *communities; /* one issuing CA each; see ca/policy.h */
    size_t n_communities;
    struct authority_key root, cross, attestation; /* P-384 */
    const struct authority_key *issuing;           /* n_communities keys: P-256 or P-384 */
    const struct authority_key
        *basic;                     /* as many, for CAs of levels 1 and 2; NULL: not kept apart */
    struct bytes ek_pins_pem;       /* one or more certificates */
    bool any_tpm;                   /* TPMs need not be registered (ca/registry_device.h) */
    const char *crl_url, *ocsp_url; /* where status is published (ca/urls.h); NULL: nowhere */
    const struct clearance_system *clearances; /* NULL: it grants none */
    time_t now;
};

/*
 * Makes the authority: all certificates and the registry in one transaction; the
 * directory (0700) is made when missing. E_EXISTS when it holds a registry
 * already; after a failure no registry is left behind. E_REJECTED for keys that
 * are too weak or used twice, E_FORMAT for pins that do not parse.
 */
int authority_init(const char *dir, const struct authority_params *p, struct err *e) MUST_USE;

/* Opens the authority. `signer_for` may be NULL for a use that signs nothing, and
 * the registry is then opened for reading only when `read_only` is set. */
int authority_open(struct authority **out, const char *dir, bool read_only,
                   authority_signer_fn signer_for, void *ctx, struct err *e) MUST_USE;
void authority_close(struct authority *a); /* frees the signers; NULL is fine */

const struct registry_authority *authority_info(const struct authority *a);
const struct registry_urls *authority_urls(const struct authority *a);
const struct clearance_system *authority_clearances(const struct authority *a);
struct registry *authority_registry(struct authority *a);

/* What it asks of TPMs and platforms, its own attestation CA among the pinned issuers; borrowed. */
struct require;
const struct require *authority_require(const struct authority *a);

/* Certificate and key of one of its CAs, borrowed, kept until close. The key must
 * match the certificate (E_REJECTED). `community` is 0 except for issuing CAs. */
int authority_issuer(struct authority *a, enum registry_role role, unsigned community,
                     struct issue_issuer *out, struct err *e) MUST_USE;

/* The certificate alone; borrowed. Opens no key. */
int authority_cert(struct authority *a, enum registry_role role, unsigned community, X509 **out,
                   struct err *e) MUST_USE;

/*
 * May anything be signed now? E_REJECTED: the clock stands before what was signed last, which was
 * dated ISSUE_SKEW before its time; a clock that went back by less is let pass. Whoever signs asks
 * this before a key is opened or a nonce taken; authority_record and crl_make ask again.
 */
int authority_clock(struct authority *a, time_t now, struct err *e) MUST_USE;

/*
 * Could a leaf of that community, level and grant be issued at `now`, for all that the certificates
 * of the authority's own CAs say? Asked before an invitation is made and again before its nonce is
 * taken. Opens no key. E_REJECTED says what the authority lacks.
 */
int authority_can_issue(struct authority *a, unsigned community, unsigned level,
                        const struct registry_grant *g, time_t now, struct err *e) MUST_USE;

/* One issued certificate for the registry; the optional parts may be NULL or empty. */
struct authority_entry {
    enum registry_role issuer;
    unsigned community;
    X509 *cert;
    const char *dns;                    /* or mail; NULL: the subject in one line is recorded */
    const struct registry_grant *grant; /* NULL: none, not a leaf */
    const uint8_t *ek_hash;             /* 32 bytes */
    const uint8_t *evidence_hash;       /* 32 bytes */
    struct bytes evidence;              /* DER of the evidence record */
};

/* Records it; the times are the certificate's own. Inside or outside a transaction. E_REJECTED as
 * authority_clock: such a certificate is to be thrown away. */
int authority_record(struct registry *r, const struct authority_entry *x, struct err *e) MUST_USE;

struct authority_invite {
    unsigned community, level; /* level 1 to 4 */
    const char *name;          /* DNS, or mail for a person; within the authority's domain */
    const char *profile;       /* kind of certificate; NULL: "gateway", for mail "person" */
    const char *person;        /* a person's name; NULL: what is before the @ */
    const char *clearance;     /* clearance_grant's name; NULL: none */
    const uint8_t *ek_hash;    /* SHA-256 of the EK's SPKI (pubkey_id), or NULL */
    int days;                  /* 1 to 90; 0 means 7 */
    time_t now;
};

/* Would that be an invitation, and what would it grant (`out`, may be NULL)? E_ARG or E_NOT_FOUND
 * with what is wrong, E_REJECTED as authority_can_issue; nothing is done. */
int authority_may_invite(struct authority *a, const struct authority_invite *p,
                         struct registry_grant *out, struct err *e) MUST_USE;

/* Draws a nonce, records the invitation and appends it as PEM ("FUSETSU
 * INVITATION"). E_NOT_FOUND when there is no issuing CA for the community; E_REJECTED as
 * authority_clock and authority_can_issue. */
int authority_invite(struct authority *a, const struct authority_invite *p, struct buf *pem,
                     struct err *e) MUST_USE;

/* Cross-certifies and records it; the rules are ca/cross.h's. Appends PEM. E_ARG, too, when the ally is
 * to grant clearances of our own system. */
int authority_cross(struct authority *a, const struct cross_request *r, struct buf *pem,
                    struct err *e) MUST_USE;

#endif
