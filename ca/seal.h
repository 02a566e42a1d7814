#ifndef CA_SEAL_H
#define CA_SEAL_H

#include "ca/authority.h"
#include "core/evidence.h"

/*
 * Seals a certificate, its chain below the root and its evidence for the one TPM that gave the
 * evidence: `der` gets the DER of the SealedCredential, which is drawn anew each time. The record
 * is one that was judged. Opens no key. `community` is that of the issuing CA.
 */
int seal_leaf(struct authority *a, unsigned community, unsigned level, X509 *leaf,
              const struct evidence_record *record, struct buf *der, struct err *e) MUST_USE;

#endif
