#ifndef CA_OCSP_H
#define CA_OCSP_H

#include "ca/authority.h"

/*
 * Online certificate status (RFC 6960) for the certificates of one CA, signed by a responder
 * that the CA itself certified for that alone.
 *
 * Two kinds of answers: live ones, signed when asked, which carry the nonce of the question; and
 * those signed beforehand for all certificates, without a nonce (RFC 5019), which need no key
 * where they are given out.
 */

#define OCSP_REQUEST_MAX ((size_t)4096)
#define OCSP_ASKED_MAX 16 /* certificates in one question */
#define OCSP_NONCE_MAX 32 /* RFC 8954, 2.1: 1 to 32 octets */
#define OCSP_LIVE_SECONDS ((int64_t)3600)
#define OCSP_PRESIGNED_SECONDS ((int64_t)24 * 3600)

/* --- the responder ------------------------------------------------------------------------- */

/* Certifies a responder's key by the CA, for `days` (1 to 30), records that and keeps where the
 * key is. Free `out` with X509_free; it may be NULL. */
int ocsp_certify(struct authority *a, enum registry_role issuer, unsigned community,
                 const struct registry_key *where, const struct pubkey *key, int days, time_t now,
                 X509 **out, struct err *e) MUST_USE;

struct ocsp;

/*
 * Opens what answers for a CA; borrows the authority. `signer` is the key that
 * registry_responder() names, borrowed; NULL: only ocsp_lookup() is of use. E_NOT_FOUND: no
 * responder; E_REJECTED: its certificate has ended, the key is another, or the clock went back
 * (authority_clock).
 */
int ocsp_open(struct ocsp **out, struct authority *a, enum registry_role issuer, unsigned community,
              struct signer *signer, time_t now, struct err *e) MUST_USE;
void ocsp_close(struct ocsp *o); /* NULL is fine */

/* --- answers ------------------------------------------------------------------------------- */

/*
 * Answers one question, both DER; appends. Whatever was asked there is an answer: for what is no
 * question (over OCSP_REQUEST_MAX, not DER, none or over OCSP_ASKED_MAX certificates, a nonce of
 * another length, critical extensions) malformedRequest; for what this CA did not issue "unknown".
 * A suspended certificate is revoked with certificateHold. Answers are dated ISSUE_SKEW before
 * `now` (ca/issue.h). -1: the registry or the key failed, or the clock went back (E_REJECTED); then
 * the answer is internalError, and `e` says why.
 */
int ocsp_answer(struct ocsp *o, struct bytes request, time_t now, struct buf *response,
                struct err *e) MUST_USE;

/*
 * Signs an answer for each certificate of the CA that has not ended, good for a day, into
 * DIR/SERIAL.ocsp, under the SHA-1 and the SHA-256 form of the certificate's id, as either may be
 * asked for. `n` gets how many.
 */
int ocsp_presign(struct ocsp *o, const char *dir, time_t now, size_t *n, struct err *e) MUST_USE;

/* Answers a question for one certificate from such a directory, without any key: what is not
 * there is unauthorized (RFC 5019, 2.2.3), what is too old tryLater. */
int ocsp_lookup(struct ocsp *o, const char *dir, struct bytes request, time_t now,
                struct buf *response, struct err *e) MUST_USE;

#endif
