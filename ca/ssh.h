#ifndef CA_SSH_H
#define CA_SSH_H

#include "ca/authority.h"

/*
 * Certificates for SSH, for keys whose evidence this authority has judged: each stands on a certificate
 * of the community's issuing CA that is good, names what that one names, ends no later, and is revoked
 * with it. SSH has no name constraints, so the name is bound to the nation in itself: the full DNS name
 * of a host (which clients pin by @cert-authority *.us.example), the full mail address of a person
 * (which servers pin by cert-authority,principals="..." in authorized_keys).
 *
 * The key that signs is one of its own: what it signs is no certificate of the issuing CA's kind.
 */
struct ssh_request {
    unsigned community;
    const char *name; /* DNS name or mail address that the authority certified */
    int days;         /* 1 to 30; 0 means 7 */
    time_t now;
};

struct ssh_made {
    struct registry_cert on; /* what it stands on; without its DER */
    uint64_t serial;
    int64_t expires_at;
};

/* Of the certificates of that name the newest good one; appends the certificate for SSH as a line.
 * E_NOT_FOUND: there is none; E_REJECTED: none that is good, or its device is not; E_UNSUPPORTED: a
 * key that OpenSSH has not. `ca` is the key of registry_ssh_ca. */
int ssh_certify(struct authority *a, const struct ssh_request *r, struct signer *ca,
                struct buf *line, struct ssh_made *out, struct err *e) MUST_USE;

/* What is revoked, as a KRL for RevokedKeys; `n` gets how many. Needs no key. */
int ssh_revoked(struct authority *a, unsigned community, time_t now, struct buf *krl, size_t *n,
                struct err *e) MUST_USE;

/* The public key as a line, with whose it is as comment; appended. */
int ssh_authority_line(struct authority *a, unsigned community, struct buf *line,
                       struct err *e) MUST_USE;

#endif
