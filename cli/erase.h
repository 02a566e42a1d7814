#ifndef CLI_ERASE_H
#define CLI_ERASE_H

#include "cli/owner.h"
#include "cli/place.h"

/* What the commands that destroy a token have in common. */

/* Says what would be destroyed. */
int erase_say_what(struct store *s, const struct store_token *t, struct err *e) MUST_USE;
/* Token "x" (serial y) is `what`. */
void erase_say_done(const struct store_token *row, const char *what);

/* Obtains the owner's authorisation. */
int erase_authorise(struct cli *c, struct place *at, struct err *e) MUST_USE;

/* Destroys it, and says so. */
int erase_token(struct place *at, struct err *e) MUST_USE;

#endif
