#ifndef CLI_FEDERATION_CRLDIR_H
#define CLI_FEDERATION_CRLDIR_H

#include "core/federation_crls.h"

/*
 * The CRLs in the directory of a relying party: crls/NAME.crl (DER), which is what counts, and derived
 * from them COMMUNITY.crls.pem for each community of which all are there, those that have ended too:
 * programs then refuse for that reason. Once there is a directory crls, revocation is judged there, and
 * what no CRL judges is refused.
 */

/* Fills in what is kept there. *kept: there is such a directory. A CRL of a CA that the federation no
 * longer names is passed over, and so missing; E_CORRUPT: one that cannot be read. */
int federation_crldir_read(const char *dir, struct federation_crls *s, bool *kept,
                           struct err *e) MUST_USE;

/* Who changes them holds dirlock_take's lock of that directory; for so long another waits. */
#define FEDERATION_CRLDIR_WAIT 20 /* seconds */

/* Makes the directory, writes all that is there, and takes away the COMMUNITY.crls.pem of a community of
 * which one is missing. Who is interrupted does it once more. */
int federation_crldir_write(const char *dir, const struct federation_crls *s,
                            struct err *e) MUST_USE;

#endif
