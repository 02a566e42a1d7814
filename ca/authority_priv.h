#ifndef CA_AUTHORITY_PRIV_H
#define CA_AUTHORITY_PRIV_H

#include "ca/authority.h"

/* What the files that make and use an authority share. */

/* A file of the authority; `out` is a C string. */
int authority_path(const char *dir, const char *name, struct buf *out, struct err *e) MUST_USE;

#endif
