#ifndef CA_BUNDLE_H
#define CA_BUNDLE_H

#include "ca/registry.h"

#include <openssl/x509.h>
#include <time.h>

/*
 * The trust bundle of one community, as PEM certificates: our root, our Cross CA,
 * the cross-certificates of that community that are valid at `now` and neither suspended nor
 * revoked, and, when
 * `own` is set, our own issuing CA of it. A relying party loads the file as its
 * CA file: other communities are not in it, so that also a verifier that ignores
 * policies keeps them out, as long as no peer brings the CA of another one along. With `ike`,
 * the certificates for IKE (ca/profile.h) and not those for everything. E_NOT_FOUND when `own`
 * is set and we have no such CA.
 */
struct bundle {
    unsigned community;
    bool own, ike;
    time_t now;
};
int bundle_pem(struct registry *r, const struct bundle *b, struct buf *out, struct err *e) MUST_USE;

/* Is it one of the certificates for IKE? Their one extended key usage tells. */
bool bundle_for_ike(X509 *cert);

#endif
