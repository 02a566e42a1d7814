#ifndef CLI_PEMREAD_H
#define CLI_PEMREAD_H

#include "core/buf.h"

/*
 * Calls for each block of a PEM text with its name, "CERTIFICATE" say, and what it holds, until it
 * fails; text between blocks is passed over. `what` is what messages call the file. E_FORMAT for a
 * damaged block.
 */
int pemread(struct bytes in, const char *what,
            int (*each)(void *ctx, const char *name, struct bytes der, struct err *e), void *ctx,
            struct err *e) MUST_USE;

#endif
