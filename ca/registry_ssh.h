#ifndef CA_REGISTRY_SSH_H
#define CA_REGISTRY_SSH_H

#include "ca/registry.h"

/* The keys by which an authority certifies for SSH, one for each community, and what each certificate
 * for SSH stands on. */

/* `spki` is the public key. E_EXISTS when the community has one. */
int registry_set_ssh_ca(struct registry *r, unsigned community, const struct registry_key *key,
                        struct bytes spki, struct err *e) MUST_USE;
/* Appends the public key; E_NOT_FOUND. */
int registry_ssh_ca(struct registry *r, unsigned community, struct registry_key *key,
                    struct buf *spki, struct err *e) MUST_USE;

/* Is that the key of a CA, of who answers for one, or for SSH in another community? 1, 0 or -1. */
int registry_ssh_key_taken(struct registry *r, unsigned community, const struct registry_key *key,
                           struct err *e) MUST_USE;

/* `serial` is below 2^63; `issued` the id of the certificate that it stands on. E_EXISTS. */
int registry_add_ssh(struct registry *r, unsigned community, uint64_t serial, int64_t issued,
                     int64_t expires_at, struct err *e) MUST_USE;

/* Does one that ends at `now` or later stand on that certificate? 1, 0 or -1. */
int registry_ssh_on(struct registry *r, int64_t issued, int64_t now, struct err *e) MUST_USE;

/* Calls for each certificate for SSH that ends at `now` or later and stands on one that is suspended
 * or revoked, until it answers false. */
int registry_ssh_bad(struct registry *r, unsigned community, int64_t now,
                     bool (*each)(void *ctx, uint64_t serial), void *ctx, struct err *e) MUST_USE;

#endif
