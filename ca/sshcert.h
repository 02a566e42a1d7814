#ifndef CA_SSHCERT_H
#define CA_SSHCERT_H

#include "core/buf.h"
#include "core/signer.h"

/*
 * Certificates and revocation lists of OpenSSH (PROTOCOL.certkeys and PROTOCOL.krl in its sources): the
 * bytes. What may stand in them is ca/ssh.h's matter.
 */
struct sshcert {
    const struct pubkey *key; /* the subject's: RSA, P-256, P-384 or P-521 */
    uint64_t serial;
    bool host;              /* else of a user */
    const char *id;         /* what servers write into their logs */
    const char *principal;  /* the one name that it is for; an empty list would mean any */
    uint64_t after, before; /* seconds since 1970; the end is not included */
    const char *extension;  /* name@domain and ... */
    const char *value;      /* ... text of what we say beside; verifiers pass over it */
};

/* Signs it (P-256 with SHA-256, P-384 with SHA-384: RFC 5656, 6.2.1) and appends it as a line with the
 * principal as comment. E_UNSUPPORTED for kinds of keys that OpenSSH has not, E_ARG without a
 * principal; failures of the key. */
int sshcert_make(const struct sshcert *c, struct signer *ca, struct buf *line,
                 struct err *e) MUST_USE;

/* A KRL, appended: serial numbers of certificates of one CA key that are revoked. */
int sshcert_krl(const struct pubkey *ca, const uint64_t *serial, size_t n, uint64_t version,
                uint64_t now, struct buf *out, struct err *e) MUST_USE;

#endif
