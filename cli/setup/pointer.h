#ifndef CLI_SETUP_POINTER_H
#define CLI_SETUP_POINTER_H

#include "core/buf.h"

#include <jansson.h>

/*
 * One value within a JSON file of somebody else, named by a JSON pointer (RFC 6901): objects
 * on the way are made where they are missing, everything else is kept.
 */

/* `out` gets the document with the value in it; an empty `in` is an empty object. E_FORMAT when
 * it is not JSON or something on the way is no object. Borrows the value. */
int pointer_set(struct bytes in, const char *pointer, json_t *value, struct buf *out,
                struct err *e) MUST_USE;

/* `out` gets the document without the value, and without objects on the way that are then empty;
 * *found says whether it was there. */
int pointer_unset(struct bytes in, const char *pointer, struct buf *out, bool *found,
                  struct err *e) MUST_USE;

#endif
