#ifndef CA_REGISTRY_PUBLISH_H
#define CA_REGISTRY_PUBLISH_H

#include "ca/registry_status.h"

/*
 * What an authority publishes of the status of its certificates: where (URLs), which CRLs it
 * made, and who signs its OCSP answers.
 */

/* --- where --------------------------------------------------------------------------------- */

#define REGISTRY_URL_MAX 200

struct registry_urls {
    char crl[REGISTRY_URL_MAX];  /* what the names of the CRL files are put behind; empty: none */
    char ocsp[REGISTRY_URL_MAX]; /* empty: none */
};

int registry_set_urls(struct registry *r, const struct registry_urls *u, struct err *e) MUST_USE;
/* Both are empty when none were set. */
int registry_urls(struct registry *r, struct registry_urls *u, struct err *e) MUST_USE;

/* --- CRLs ---------------------------------------------------------------------------------- */

/* `community` is 0 except for issuing CAs. */
struct registry_crl {
    int64_t number; /* RFC 5280, 5.2.3: one sequence for full and delta CRLs of a CA */
    int64_t base;   /* number of the CRL that a delta builds upon; 0: a full CRL */
    int64_t change; /* how far the count of changes had come */
    int64_t this_update, next_update;
};

/* The last one of a CA, or its last full one: 1, 0 when there is none, -1. */
int registry_crl_last(struct registry *r, enum registry_role issuer, unsigned community, bool full,
                      struct registry_crl *out, struct err *e) MUST_USE;
/* E_EXISTS when the number is taken. */
int registry_crl_add(struct registry *r, enum registry_role issuer, unsigned community,
                     const struct registry_crl *c, struct err *e) MUST_USE;

/* The count of changes. */
int registry_changes(struct registry *r, int64_t *out, struct err *e) MUST_USE;

/*
 * Calls for each certificate of a CA that is suspended or revoked and ends at `alive` or later,
 * and for each, removed ones too, that changed after the count `change`.
 */
int registry_changed(struct registry *r, enum registry_role issuer, unsigned community,
                     int64_t alive, int64_t change,
                     bool (*each)(void *ctx, const char *serial, const struct registry_status *s),
                     void *ctx, struct err *e) MUST_USE;

/* --- OCSP responders ----------------------------------------------------------------------- */

/* The key and certificate that answer for a CA; replaces those before. */
int registry_set_responder(struct registry *r, enum registry_role issuer, unsigned community,
                           const struct registry_key *key, struct bytes cert_der,
                           struct err *e) MUST_USE;
/* Appends the certificate's DER; E_NOT_FOUND. */
int registry_responder(struct registry *r, enum registry_role issuer, unsigned community,
                       struct registry_key *key, struct buf *cert_der, struct err *e) MUST_USE;

#endif
