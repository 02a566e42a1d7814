#ifndef CORE_FEDERATION_TRUST_H
#define CORE_FEDERATION_TRUST_H

#include "core/federation_crls.h"

/*
 * What a relying party of one side needs of a federation, for one community: the certificates to
 * trust. The root comes first, then what leads on from it: its Cross CA, what that issued to the
 * ally's CA, and its own issuing CA. Other communities are not among them; a verifier that ignores
 * policies keeps them out as long as no peer brings the CA of another one along, which the root leads to.
 */
struct federation_trust {
    const char *name[4]; /* "root", "cross-ca", "cross", "issuing" */
    X509 *cert[4];       /* borrowed from the federation */
    size_t n;
};

/* With `ike`, in the form that strongSwan can read. E_NOT_FOUND: the community is not open, or there
 * are no such certificates of it. */
int federation_trust(const struct federation *f, unsigned side, unsigned community, bool ike,
                     struct federation_trust *out, struct err *e) MUST_USE;

/*
 * Of these, what alone leads to leaves of the community: what our Cross CA issued to the ally's CA, and
 * our own issuing CA. For programs that take each CA of a file for an anchor, and look at no policy: the
 * root among them would let in what brings the cross-certificate of another community along, and an
 * anchor is never looked up in a CRL. So what a CRL in `crls` revokes is left out, itself or with the
 * Cross CA above it; there may be none left.
 */
void federation_trust_anchors(const struct federation_trust *t, const struct federation_crls *crls,
                              struct federation_trust *out);

/* As PEM, appended: a file of CAs for OpenSSL, GnuTLS and what is built on them. */
int federation_trust_pem(const struct federation_trust *t, struct buf *out, struct err *e) MUST_USE;

/* As a trust store for Java (PKCS#12 without keys). Whoever reads it gives FEDERATION_P12_PASSWORD,
 * which is Java's own default and no secret. Appended. */
#define FEDERATION_P12_PASSWORD "changeit"
int federation_trust_p12(const struct federation_trust *t, struct buf *out, struct err *e) MUST_USE;

#endif
