#ifndef CLI_USAGE_H
#define CLI_USAGE_H

#include "core/err.h"

/* The extended key usage that an option names, dotted: "client", "server" (RFC 5280, 4.2.1.12) or
 * "ike" (RFC 4945, 5.1.3.12). NULL stays NULL. E_USAGE. */
int usage_parse(const char *word, const char **oid, struct err *e) MUST_USE;

#endif
