#ifndef CA_SSH_H
#define CA_SSH_H

#include "ca/authority.h"

/*
 * Certificates for SSH, for keys whose evidence this authority has judged: each stands on a good certificate
 * of that community for what it is for (a host's on one for gateways or servers, a user's on a person's) and
 * of level 3 or 4, names what that one names, ends no later, and is revoked with it. SSH has no
 * name constraints, so the name is bound to the nation in itself: the full DNS name of a host
 * (which clients pin by @cert-authority *.us.example), the full mail address of a person (which
 * servers pin by cert-authority,principals="..." in authorized_keys).
 *
 * The key that signs is one of its own: what it signs is no certificate of the issuing CA's kind.
 */
struct ssh_request {
    unsigned community;
    const char *name; /* DNS name or mail address that the authority certified */
    int days;         /* 1 to 30; 0 means 7 */
    bool basic;       /* also on a certificate of level 1 or 2, which SSH cannot tell from others */
    time_t now;
};

struct ssh_made {
    struct registry_cert on; /* what it stands on; without its DER */
    unsigned level;          /* its level; in the key id, too, which sshd writes into its log */
    uint64_t serial;
    int64_t expires_at;
};

/* Of the certificates of that name the newest good one; appends the certificate for SSH as a line.
 * E_NOT_FOUND: there is none; E_REJECTED: none that is good, for this use and of a level that is
 * enough, or its device is not, or as authority_clock, which is to be asked before the key is opened;
 * E_UNSUPPORTED: a key that OpenSSH has not. `ca` must be the key of registry_ssh_ca (E_REJECTED). */
int ssh_certify(struct authority *a, const struct ssh_request *r, struct signer *ca,
                struct buf *line, struct ssh_made *out, struct err *e) MUST_USE;

/* What is revoked, as a KRL for RevokedKeys, until a day after its end; `n` gets how many. Needs no key. */
int ssh_revoked(struct authority *a, unsigned community, time_t now, struct buf *krl, size_t *n,
                struct err *e) MUST_USE;

/* The public key as a line, with whose it is as comment; appended. */
int ssh_authority_line(struct authority *a, unsigned community, struct buf *line,
                       struct err *e) MUST_USE;

#endif
