#ifndef CA_AGAIN_H
#define CA_AGAIN_H

#include "ca/authority.h"

/*
 * Hands out once more what an invitation gave (i->issued), from what the registry keeps: nothing
 * is signed, no key is opened. The certificate must be good at `now`: E_REJECTED when it is
 * suspended, revoked or has ended. Whoever sends a request that he saw on its way gets nothing by
 * it but another file that only the same TPM opens.
 *
 * `leaf` is the caller's; `der` gets the DER of the SealedCredential, whose SHA-256 the registry
 * has from then on, beside those of before. E_CORRUPT when certificate and evidence do not belong together.
 */
int again_issued(struct authority *a, const struct registry_invitation *i, int64_t now, X509 **leaf,
                 struct buf *der, struct err *e) MUST_USE;

/* Is this file (PEM of a SealedCredential) one that was handed out for it? */
bool again_is(struct authority *a, const struct registry_invitation *i, struct bytes sealed_pem);

#endif
