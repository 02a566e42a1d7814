#ifndef CLI_CANAME_H
#define CLI_CANAME_H

#include "ca/registry.h"

/* The CAs of an authority as a command line names them. */

/* "root", "cross", "attestation", "issuing:COMMUNITY"; E_USAGE. `community` is 0 but for the
 * last. */
int caname_parse(const char *what, enum registry_role *role, unsigned *community,
                 struct err *e) MUST_USE;

/* The same back; `out` holds CANAME_MAX. */
#define CANAME_MAX 40
void caname_text(enum registry_role role, unsigned community, char out[CANAME_MAX]);

#endif
