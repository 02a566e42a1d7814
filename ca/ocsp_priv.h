#ifndef CA_OCSP_PRIV_H
#define CA_OCSP_PRIV_H

#include "ca/ocsp.h"

#include <openssl/ocsp.h>

/* What the files that answer live and beforehand share. */

#define OCSP_HASHES 2 /* SHA-1 (RFC 5019) and SHA-256 */

struct ocsp {
    struct registry *registry;
    struct registry_asking *asking;
    enum registry_role role;
    unsigned community;
    X509 *issuer; /* borrowed from the authority */
    X509 *cert;
    EVP_PKEY *key; /* NULL: none at hand */
    const EVP_MD *md;
    int64_t cert_end;
    OCSP_CERTID *id[OCSP_HASHES]; /* the issuer's, without a serial number */
};

/* A question within the bounds; NULL: it is none. Free with OCSP_REQUEST_free. */
OCSP_REQUEST *ocsp_parse(struct bytes request);

/* The serial number that is asked for; false when it is not of this CA. */
bool ocsp_serial(struct ocsp *o, OCSP_CERTID *id, char serial[ISSUE_SERIAL_TEXT]);

/* An answer that says only what is wrong: OCSP_RESPONSE_STATUS_.... */
int ocsp_failure(int status, struct buf *response, struct err *e) MUST_USE;

/* One status more; `s` NULL: unknown. */
int ocsp_add(OCSP_BASICRESP *to, OCSP_CERTID *id, const struct registry_status *s, int64_t now,
             int64_t until, struct err *e) MUST_USE;
int ocsp_sign(struct ocsp *o, OCSP_BASICRESP *basic, struct buf *response, struct err *e) MUST_USE;

/* So many seconds from now, but not past the end of the responder's certificate. */
int64_t ocsp_until(const struct ocsp *o, time_t now, int64_t seconds);

#endif
