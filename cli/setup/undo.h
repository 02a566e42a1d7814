#ifndef CLI_SETUP_UNDO_H
#define CLI_SETUP_UNDO_H

#include "cli/setup/tree.h"

#include <jansson.h>

/*
 * Takes one entry of a record back, in the tree: a file that is as we left it becomes, byte for
 * byte, what it was before; from one that was changed since only what is ours is taken out.
 * E_EXISTS when it was changed in a way that leaves nothing to take out; the tree then is as it
 * was. Tools are not in the tree: see cli/setup/tool.h.
 */
int undo_entry(struct tree *t, const json_t *entry, struct err *e) MUST_USE;

#endif
