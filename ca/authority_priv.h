#ifndef CA_AUTHORITY_PRIV_H
#define CA_AUTHORITY_PRIV_H

#include "ca/authority.h"

/* What the files that make and use an authority share. */

#define PINS_FILE "ek-pins.pem"

/* A file of the authority; `out` is a C string. */
int authority_path(const char *dir, const char *name, struct buf *out, struct err *e) MUST_USE;

/* All certificates of a PEM text; at least one. NULL: recorded. */
STACK_OF(X509) * authority_parse_pins(struct bytes pem, struct err *e) MUST_USE;

#endif
