#ifndef CA_OCSP_PRIV_H
#define CA_OCSP_PRIV_H

#include "ca/ocsp.h"

#include <openssl/ocsp.h>

/* What the files that answer live and beforehand share. */

#define OCSP_HASHES 2 /* SHA-1 (RFC 5019) and SHA-256 */

struct ocsp_form;

struct ocsp {
    struct registry *registry;
    struct registry_asking *asking;
    enum registry_role role;
    unsigned community;
    X509 *issuer; /* borrowed from the authority */
    X509 *cert;
    struct ocsp_form *form; /* NULL: no key at hand */
    int64_t cert_end;
    int64_t latest;               /* the latest date of an answer */
    OCSP_CERTID *id[OCSP_HASHES]; /* the issuer's, without a serial number */
};

/* A question within the bounds; NULL: it is none. Free with OCSP_REQUEST_free. */
OCSP_REQUEST *ocsp_parse(struct bytes request);

/* The serial number that is asked for; false when it is not of this CA. */
bool ocsp_serial(struct ocsp *o, OCSP_CERTID *id, char serial[ISSUE_SERIAL_TEXT]);

/* An answer that says only what is wrong: OCSP_RESPONSE_STATUS_.... */
int ocsp_failure(int status, struct buf *response, struct err *e) MUST_USE;

/* So many seconds from now, but not past the end of the responder's certificate. */
int64_t ocsp_until(const struct ocsp *o, time_t now, int64_t seconds);

/* --- the form of an answer: ca/ocsp_form.c -------------------------------------------------- */

#define OCSP_FORM_MAX ((size_t)16 << 10)

/* What is the same in all answers of a responder, encoded once. Borrows the signer, whose key
 * `cert` holds; E_UNSUPPORTED: it is not on P-256, P-384 or P-521. */
int ocsp_form_new(struct ocsp_form **out, X509 *cert, struct signer *signer,
                  struct err *e) MUST_USE;
void ocsp_form_free(struct ocsp_form *f); /* NULL is fine */

/* One answer: it begins, each certificate asked for is added (`s` NULL: unknown), so is the nonce
 * of the question if it has one, and what is signed is appended as an OCSPResponse. */
int ocsp_form_begin(struct ocsp_form *f, int64_t now, struct err *e) MUST_USE;
int ocsp_form_add(struct ocsp_form *f, OCSP_CERTID *id, const struct registry_status *s,
                  int64_t from, int64_t until, struct err *e) MUST_USE;
int ocsp_form_nonce(struct ocsp_form *f, OCSP_REQUEST *req, struct err *e) MUST_USE;
int ocsp_form_sign(struct ocsp_form *f, struct buf *response, struct err *e) MUST_USE;

/* Until when such an OCSPResponse is good (nextUpdate). E_FORMAT: it is no such. */
int ocsp_form_until(struct bytes der, int64_t *out, struct err *e) MUST_USE;

#endif
