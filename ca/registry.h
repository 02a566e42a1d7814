#ifndef CA_REGISTRY_H
#define CA_REGISTRY_H

#include "ca/clearance.h"
#include "ca/profile.h"
#include "core/buf.h"

/*
 * What an authority must remember: who it is, its CA certificates and where their
 * keys are, its invitations, and every certificate that it issued. One SQLite file
 * (STRICT tables, foreign keys, rollback journal, synchronous EXTRA, 5 s busy
 * timeout, mode 0600). A nonce is consumed by one conditional UPDATE, so that of
 * several requests exactly one gets it.
 *
 * Times are seconds since 1970, UTC. Errors name the path and what to do:
 * E_NOT_FOUND, E_EXISTS, E_DENIED, E_CORRUPT, E_FORMAT, E_BUSY, E_FULL, E_VERSION.
 */
struct registry;

enum registry_mode { REGISTRY_READ, REGISTRY_WRITE, REGISTRY_CREATE /* must not exist yet */ };

int registry_open(struct registry **out, const char *path, enum registry_mode mode,
                  struct err *e) MUST_USE;
void registry_close(struct registry *r); /* undoes an open transaction; NULL is fine */

/* One transaction at a time; it holds the write lock from the start. */
int registry_begin(struct registry *r, struct err *e) MUST_USE;
int registry_commit(struct registry *r, struct err *e) MUST_USE;
void registry_rollback(struct registry *r);

/* --- the authority ------------------------------------------------------- */

struct registry_authority {
    char nation[3];    /* "US" */
    char org[65];      /* RFC 5280, appendix A: ub-organization-name */
    char domain[254];  /* DNS suffix that it speaks for */
    char arc[128];     /* dotted: the arc of its policies and extensions */
    bool registration; /* only TPMs that an officer registered may answer */
};

int registry_set_authority(struct registry *r, const struct registry_authority *a,
                           struct err *e) MUST_USE; /* once: E_EXISTS */
int registry_authority(struct registry *r, struct registry_authority *a, struct err *e) MUST_USE;

/* Its system of clearances, set when it is made; without one `out->policy` is empty. */
int registry_set_clearances(struct registry *r, const struct clearance_system *s,
                            struct err *e) MUST_USE;
int registry_clearances(struct registry *r, struct clearance_system *out, struct err *e) MUST_USE;

/* --- its CAs ------------------------------------------------------------- */

enum registry_role {
    REGISTRY_ROOT,
    REGISTRY_CROSS,
    REGISTRY_ATTESTATION,
    REGISTRY_ISSUING, /* from here on there is one for each community */
    REGISTRY_BASIC,   /* leaves of levels 1 and 2, where an authority keeps them apart */
    REGISTRY_ROLES
};
#define REGISTRY_BASIC_LEVEL 2 /* the highest of a basic CA */

/* "root", "cross", "attestation", "issuing", "basic". */
const char *registry_role_name(enum registry_role role);

#define REGISTRY_KEY_ID_MAX 64

/* Where a CA's private key is: a token's serial and the key's id in it. */
struct registry_key {
    char token[33];
    uint8_t id[REGISTRY_KEY_ID_MAX];
    size_t id_len;
};

/* `community` is 0 except for issuing and basic CAs. E_EXISTS when the role is taken. */
int registry_add_ca(struct registry *r, enum registry_role role, unsigned community,
                    const struct registry_key *key, struct bytes cert_der, struct err *e) MUST_USE;
/* Appends the certificate's DER to `cert_der`; `key` may be NULL. E_NOT_FOUND. */
int registry_ca(struct registry *r, enum registry_role role, unsigned community,
                struct registry_key *key, struct buf *cert_der, struct err *e) MUST_USE;
/* True when there is an issuing CA for the community. */
bool registry_has_issuing(struct registry *r, unsigned community);
/* Which CA issues the leaves of a community at a level: a basic CA is made with the authority, or
 * never, so that this stays. */
enum registry_role registry_leaf_ca(struct registry *r, unsigned community, unsigned level);

/* --- what is granted ----------------------------------------------------- */

/* What an invitation grants beside name, community and level; its certificate and those that renew
 * it have the same. */
struct registry_grant {
    char profile[PROFILE_KIND_MAX]; /* ca/profile.h: "gateway" */
    uint32_t clearance;             /* classes of the authority's own system; 0: none */
    char person[65];                /* a person's common name; else empty */
};

/* --- invitations --------------------------------------------------------- */

#define REGISTRY_NONCE_MIN 8
#define REGISTRY_NONCE_MAX 64

struct registry_invitation {
    uint8_t nonce[REGISTRY_NONCE_MAX];
    size_t nonce_len;
    char subject[254]; /* the DNS name or mail address to be certified */
    unsigned community, level;
    struct registry_grant grant;
    int64_t created_at, expires_at;
    bool has_ek;
    uint8_t ek_hash[32]; /* SHA-256 of the EK's SubjectPublicKeyInfo */
    int64_t consumed_at; /* 0: open */
    /* Once it is consumed. Neither issued nor refused: whoever took it was ended in the middle, or
     * is at it. */
    bool has_request; /* not when an older program took it */
    uint8_t request_hash[32];
    int64_t issued;     /* registry_issued_of() has it; 0: nothing was */
    int64_t refused_at; /* 0: not refused */
    bool has_sealed;
    uint8_t sealed_hash[32]; /* SHA-256 of the SealedCredential that was handed out last */
};

int registry_invite(struct registry *r, const struct registry_invitation *i,
                    struct err *e) MUST_USE; /* E_EXISTS for a nonce that is there */
int registry_invitation(struct registry *r, struct bytes nonce, struct registry_invitation *i,
                        struct err *e) MUST_USE;

/* The one that the request with this SHA-256 took: 1, 0 when it took none, -1. */
int registry_invitation_of(struct registry *r, const uint8_t request[32],
                           struct registry_invitation *i, struct err *e) MUST_USE;

/* Was it taken by this request? And did that come to no end yet? */
bool registry_is_by(const struct registry_invitation *i, const uint8_t request[32]);
bool registry_goes_on(const struct registry_invitation *i, const uint8_t request[32]);

/* What became of it. */
enum registry_outcome {
    REGISTRY_OPEN,
    REGISTRY_EXPIRED, /* without an answer */
    REGISTRY_TAKEN,   /* by a request that came to no end yet, and may come again */
    REGISTRY_ANSWERED,
    REGISTRY_REFUSED,
    REGISTRY_USED /* by an older program, which did not write down what for */
};
enum registry_outcome registry_outcome(const struct registry_invitation *i, int64_t now);
/* "open", "expired", "taken", "issued", "refused", "used". */
const char *registry_outcome_name(enum registry_outcome o);

/*
 * Takes the nonce for the request with this SHA-256, atomically: of all requests, in all
 * processes, one gets 0. The same request gets it again as long as nothing came of it: its first
 * run may have been killed. E_REJECTED when it was used already or is past its time (then it
 * stays as it was), E_NOT_FOUND when no invitation has it.
 */
int registry_consume(struct registry *r, struct bytes nonce, const uint8_t request[32], int64_t now,
                     struct registry_invitation *i, struct err *e) MUST_USE;

/*
 * What came of it; for the transaction that records the certificate of an issuing CA with this
 * serial number. 1; 0 when the nonce was answered or refused meanwhile, or is another request's:
 * then the transaction must be undone.
 */
int registry_answer(struct registry *r, struct bytes nonce, const uint8_t request[32],
                    const char *serial, const uint8_t sealed[32], struct err *e) MUST_USE;
/* The same certificate was sealed once more. */
int registry_resealed(struct registry *r, struct bytes nonce, const uint8_t sealed[32],
                      struct err *e) MUST_USE;
/* Was that SealedCredential handed out for it, the last time or before? 1, 0, -1. */
int registry_was_sealed(struct registry *r, struct bytes nonce, const uint8_t sealed[32],
                        struct err *e) MUST_USE;
/* The request was refused, for good, and `why`; nothing when it was answered meanwhile. */
int registry_refuse(struct registry *r, struct bytes nonce, const uint8_t request[32], int64_t now,
                    const char *why, struct err *e) MUST_USE;
/* Appends why the request that took it was refused; nothing for one that was not, or by an older
 * program. E_NOT_FOUND when no invitation has that nonce. */
int registry_refusal(struct registry *r, struct bytes nonce, struct buf *why,
                     struct err *e) MUST_USE;

/* Calls `each` for all invitations, oldest first, until it answers false. */
int registry_invitations(struct registry *r,
                         bool (*each)(void *ctx, const struct registry_invitation *i), void *ctx,
                         struct err *e) MUST_USE;
/* The same for those with this subject. */
int registry_invitations_for(struct registry *r, const char *subject,
                             bool (*each)(void *ctx, const struct registry_invitation *i),
                             void *ctx, struct err *e) MUST_USE;

/* --- what was issued ----------------------------------------------------- */

struct registry_issued {
    enum registry_role issuer;
    unsigned community;          /* of the issuing CA; of the cross-certificate; else 0 */
    char serial[43];             /* lower-case hex, up to 20 bytes (RFC 5280, 4.1.2.2) */
    char subject[254];           /* DNS name or mail address, or the name in one line (cut) */
    struct registry_grant grant; /* leaves; else empty */
    uint8_t spki_hash[32];
    bool has_ek, has_evidence;
    uint8_t ek_hash[32];
    uint8_t evidence_hash[32];
    struct bytes der;      /* the certificate */
    struct bytes evidence; /* DER of its evidence record; may be empty */
    int64_t issued_at, expires_at;
};

/* E_EXISTS when the issuer used the serial already. */
int registry_add_issued(struct registry *r, const struct registry_issued *i,
                        struct err *e) MUST_USE;

/* Calls `each` for all issued certificates, oldest first, until it answers false;
 * what it is given is borrowed for the call. */
int registry_issued(struct registry *r, bool (*each)(void *ctx, const struct registry_issued *i),
                    void *ctx, struct err *e) MUST_USE;

/* Certificate and evidence record of one, by its number in the registry; both are appended. */
int registry_issued_of(struct registry *r, int64_t id, struct buf *der, struct buf *evidence,
                       struct err *e) MUST_USE;

#endif
