#ifndef CA_ANSWERS_H
#define CA_ANSWERS_H

#include "ca/renew.h"

/* Which invitation a request answers. */
struct answers {
    bool found; /* `invitation` is there */
    struct registry_invitation invitation;
    bool renewing; /* it renews `old` */
    struct registry_cert old;
};

/*
 * The request does not carry the nonce, the TPM's statement carries a digest over it: the
 * invitation is the one that gives that digest, or the certificate that is renewed (ca/renew.h,
 * whose refusals are E_REJECTED). One that this very request (`request`: its SHA-256) took before
 * is found by that. Whether the statement is genuine is judged elsewhere.
 */
int answers_find(struct registry *r, X509_REQ *csr, const uint8_t request[32], int64_t now,
                 struct answers *out, struct err *e) MUST_USE;

#endif
