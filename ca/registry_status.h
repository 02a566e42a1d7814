#ifndef CA_REGISTRY_STATUS_H
#define CA_REGISTRY_STATUS_H

#include "ca/registry.h"

/*
 * What became of each issued certificate: good, suspended (certificateHold), or revoked for
 * good. Each change counts one further, so that a delta CRL can be told what is new.
 */

enum registry_state { REGISTRY_GOOD, REGISTRY_SUSPENDED, REGISTRY_REVOKED, REGISTRY_STATES };

/* "good", "suspended", "revoked"; NULL for other numbers. */
const char *registry_state_name(enum registry_state s);

/* RFC 5280, 5.3.1; 7 is not used there. */
enum registry_reason {
    REGISTRY_UNSPECIFIED = 0,
    REGISTRY_KEY_COMPROMISE = 1,
    REGISTRY_CA_COMPROMISE = 2,
    REGISTRY_AFFILIATION_CHANGED = 3,
    REGISTRY_SUPERSEDED = 4,
    REGISTRY_CESSATION = 5,
    REGISTRY_HOLD = 6,
    REGISTRY_REMOVED = 8,
    REGISTRY_PRIVILEGE_WITHDRAWN = 9,
};
#define REGISTRY_REASON_MAX 9

/* The standard's name, "keyCompromise"; NULL when there is none. */
const char *registry_reason_name(unsigned reason);
/* The reason to revoke with that name; false for others, hold and removal included. */
bool registry_reason_named(const char *name, unsigned *out);

struct registry_status {
    enum registry_state state;
    unsigned reason;    /* enum registry_reason; REMOVED for one that was suspended before */
    int64_t since;      /* when that was decided; for one never suspended nor revoked 0 */
    int64_t invalid_at; /* when its key is known to have become bad; 0: not known */
};

struct registry_cert {
    int64_t id;
    enum registry_role issuer;
    unsigned community; /* of the issuing CA; of the cross-certificate; else 0 */
    char serial[43];
    char subject[254];
    struct registry_grant grant;
    uint8_t spki_hash[32];
    bool has_ek, has_evidence;
    uint8_t ek_hash[32];
    int64_t issued_at, expires_at;
    struct bytes der; /* borrowed, for the time of the call */
    struct registry_status status;
};

/* Which certificates: all that fit every member that is set. */
struct registry_wanted {
    const char *serial;       /* hex */
    const char *subject;      /* the DNS name, whatever its case */
    const uint8_t *spki_hash; /* 32 bytes */
    bool of_ca;               /* those that one CA issued: */
    enum registry_role issuer;
    unsigned community; /* issuing CAs */
};

/* Calls for each, oldest first, until it answers false. The registry is not changed meanwhile. */
int registry_certs(struct registry *r, const struct registry_wanted *w,
                   bool (*each)(void *ctx, const struct registry_cert *c), void *ctx,
                   struct err *e) MUST_USE;

/* The one with that serial number of one CA: 1, 0 when it issued none, -1. `out->der` is empty. */
int registry_cert(struct registry *r, enum registry_role issuer, unsigned community,
                  const char *serial, struct registry_cert *out, struct err *e) MUST_USE;

/*
 * The same for who asks again and again: a prepared question about one CA. Borrows the registry.
 * registry_asked: 1, 0 when it issued none, -1; only the status is given.
 */
struct registry_asking;
int registry_ask(struct registry *r, enum registry_role issuer, unsigned community,
                 struct registry_asking **out, struct err *e) MUST_USE;
int registry_asked(struct registry_asking *a, const char *serial, struct registry_status *out,
                   struct err *e) MUST_USE;
void registry_ask_end(struct registry_asking *a); /* NULL is fine */

/*
 * Revokes one, for good. One that is suspended keeps the time of that as the time of its
 * revocation: it was good for nothing since. E_REJECTED when it is revoked already, E_ARG for a
 * reason that is none to revoke for.
 */
int registry_revoke(struct registry *r, int64_t id, unsigned reason, int64_t now,
                    int64_t invalid_at, struct err *e) MUST_USE;

/* Suspends a good one; makes a suspended one good again. E_REJECTED from any other state. */
int registry_suspend(struct registry *r, int64_t id, int64_t now, struct err *e) MUST_USE;
int registry_resume(struct registry *r, int64_t id, int64_t now, struct err *e) MUST_USE;

#endif
