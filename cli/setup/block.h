#ifndef CLI_SETUP_BLOCK_H
#define CLI_SETUP_BLOCK_H

#include "core/buf.h"

/*
 * Marked lines within a text file of somebody else:
 *
 *     # fusetsu setup: begin NAME
 *     ...
 *     # fusetsu setup: end NAME
 *
 * Taking a block out gives back, byte for byte, what was there before it was put in, whatever
 * has been changed above and below since. Lines end as the first line of the file does.
 */

enum block_place {
    BLOCK_TOP,
    BLOCK_BOTTOM,
    BLOCK_AFTER, /* after the first line that is `after` but for blanks around it */
};

struct block {
    const char *name;    /* no two of a file have the same */
    const char *comment; /* what begins a comment: "#", ";" */
    enum block_place place;
    const char *after; /* for BLOCK_AFTER */
};

/* `out` gets `in` with the block in it; `text` is lines that end with \n. E_NOT_FOUND when the
 * line of BLOCK_AFTER is not there, E_EXISTS when the block is. */
int block_put(const struct block *b, struct bytes in, const char *text, struct buf *out,
              struct err *e) MUST_USE;

/* `out` gets `in` without the block; *found says whether there was one. E_FORMAT when it begins
 * and does not end. */
int block_take(const char *name, const char *comment, struct bytes in, struct buf *out, bool *found,
               struct err *e) MUST_USE;

#endif
