#ifndef CA_PLAIN_H
#define CA_PLAIN_H

#include "core/buf.h"

/*
 * Names that people read in certificates and lists.
 */

/* One line of text that is what it looks like: UTF-8 (RFC 3629), not empty, no blank at either end,
 * no controls, and no characters that are not seen or turn the direction of writing. */
bool plain_is(struct bytes text);

/* Is there a full stop or an @ in it, of whichever width, by which it could be taken for a host's
 * name or for an address? To be asked of what plain_is. */
bool plain_like_address(struct bytes text);

#endif
