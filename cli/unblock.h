#ifndef CLI_UNBLOCK_H
#define CLI_UNBLOCK_H

#include "cli/place.h"

/* Asks for the SO PIN and a new user PIN, and sets that. */
int unblock(struct cli *c, struct place *at, struct err *e) MUST_USE;

#endif
