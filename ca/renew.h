#ifndef CA_RENEW_H
#define CA_RENEW_H

#include "ca/registry_status.h"
#include "core/evidence.h"

/*
 * Renewal: a certificate is the invitation to its own successor, once, while it is good. Its key
 * signs the request, its TPM gives evidence anew; name, community and level stay, and nobody has
 * to be asked. The nonce is a hash of the certificate: who does not have the key can compute it,
 * and can do nothing with it.
 */

/* What a certificate of an issuing CA invites to. E_FORMAT: it is none of those. */
int renew_invitation(X509 *old, struct evidence_invitation *out, struct err *e) MUST_USE;

/*
 * Is the request a renewal? Its key must be one that was certified, must have signed it, and the
 * TPM's statement must carry the digest `extra` that the certificate's nonce gives with `tied`,
 * which is the request's (core/evidence.h). `found` says;
 * then `old` is the certificate (without its DER) and `out` the invitation, which is in the
 * registry from then on, bound to the same EK. E_REJECTED when the certificate is suspended,
 * revoked or has ended.
 */
int renew_find(struct registry *r, X509_REQ *csr, const struct evidence_tied *tied,
               const uint8_t extra[32], int64_t now, struct registry_cert *old,
               struct registry_invitation *out, bool *found, struct err *e) MUST_USE;

/* E_REJECTED when the certificate is not good now; for the transaction that records the next. */
int renew_still(struct registry *r, const struct registry_cert *old, struct err *e) MUST_USE;

#endif
