#ifndef CORE_FEDERATION_CMS_H
#define CORE_FEDERATION_CMS_H

#include "core/federation.h"

/*
 * The signatures under a federation: CMS SignedData (RFC 5652) around its text, PEM "CMS", with one
 * signature by the root of each authority. Who the two authorities are is not taken from the file:
 * the roots are pinned, from the ceremony at which their fingerprints were compared.
 */

/* `in` is a text, or what somebody has signed; appends it with one more signature by `key`, which is
 * that of `cert`. E_REJECTED: the text is no federation that holds together at `now`, it has no
 * authority with that root, or that one has signed already. */
int federation_sign(struct bytes in, X509 *cert, EVP_PKEY *key, const EVP_MD *md, int64_t now,
                    struct buf *out, struct err *e) MUST_USE;

/* Is it PEM of a signed one, rather than a text? */
bool federation_is_signed(struct bytes in);

/* The text, appended, by whoever signed it; *signers tells how many did. Proves nothing. */
int federation_text(struct bytes in, struct buf *out, int *signers, struct err *e) MUST_USE;

/*
 * The text and what it says, when it holds together at `now`, is in force, and exactly the two pinned
 * roots, of which each is that of one of its authorities, have signed it. E_REJECTED says what is
 * missing. `out` may be NULL.
 */
int federation_open(struct bytes in, X509 *const pin[2], int64_t now, struct federation *out,
                    struct buf *text, struct err *e) MUST_USE;

/* May it take the place of `old` (its text; empty: there is none)? It must carry the SHA-256 of that
 * and a higher number, or be the same. E_REJECTED. */
int federation_follows(struct bytes text, struct bytes old, struct err *e) MUST_USE;

#endif
