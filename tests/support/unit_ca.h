#ifndef TESTS_UNIT_CA_H
#define TESTS_UNIT_CA_H

#include "ca/authority.h"

/* Authorities with software keys, and OpenSSL as the judge of what they issue. */

/* A fresh software key: "P-256", "P-384". Ends the test on failure. */
struct signer *unit_ca_signer(const char *curve);

/* The keys of one authority, which its signer callback serves. */
struct unit_ca_keys {
    struct {
        enum registry_role role;
        unsigned community;
        struct signer *signer;
    } key[8];
    size_t n;
    unsigned opened; /* how often a key was asked for */
};
void unit_ca_keys_free(struct unit_ca_keys *k);
int unit_ca_signer_for(void *ctx, enum registry_role role, unsigned community,
                       const struct registry_key *key, struct signer **out, struct err *e);

/* A directory below the temporary directory, removed again with all that is in it. */
char *unit_ca_dir(void);
void unit_ca_dir_remove(char *dir);

/* Makes an authority of two communities (1 and 2) and opens it. `pins` is PEM. Any TPM may answer
 * its invitations, unless unit_ca_registration is set. With unit_ca_urls it publishes its status
 * at http://crl.test and http://ocsp.test; with unit_ca_clearances it has that system. */
extern bool unit_ca_registration, unit_ca_urls;
extern bool unit_ca_basic; /* with basic CAs */
extern const struct clearance_system *unit_ca_clearances;
struct authority *unit_ca_make(const char *dir, const char *nation, const char *domain,
                               struct bytes pins, time_t now, struct unit_ca_keys *keys);

/* One authority, "US" for us.example, made at UNIT_CA_NOW: set-up and tear-down of a test or a
 * group of tests, which find it in their state. */
#define UNIT_CA_NOW ((time_t)1800000000)
struct unit_ca_world {
    char *dir;
    struct unit_ca_keys keys;
    struct authority *us;
};
int unit_ca_world_up(void **state);
int unit_ca_world_down(void **state);

/* Any self-signed certificate as PEM, to serve as a pin. */
void unit_ca_some_pin(struct buf *pem);

/* One CA of an authority, with its key. */
struct issue_issuer unit_ca_issuer(struct authority *a, enum registry_role role,
                                   unsigned community);

/* A leaf of a community at a level, for a fresh P-256 key (or `key`). */
X509 *unit_ca_leaf(struct authority *a, unsigned community, unsigned level, const char *dns,
                   const struct pubkey *key, time_t now);

/* Signs a certificate again after a change, by that CA's key, and reads it anew. */
void unit_ca_resign(X509 **cert, const struct issue_issuer *by);

/* Replaces an extension by one in OpenSSL's configuration syntax; NULL: removes it. */
void unit_ca_set_ext(X509 *cert, int nid, const char *value);

/*
 * OpenSSL's verdict on a path: X509_V_OK or its error. With a community and level,
 * under exactly that one explicit policy; with 0, 0 without policy checking. `between`
 * is a NULL-terminated list.
 */
int unit_ca_verify(X509 *leaf, X509 *root, X509 *const *between, unsigned community, unsigned level,
                   time_t at);

#endif
