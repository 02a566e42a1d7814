#ifndef CLI_SETUP_LINES_H
#define CLI_SETUP_LINES_H

#include "core/buf.h"

/* Settings of the form "WORD ..." or "WORD=...", one a line, in a file of somebody else. */

struct lines_hit {
    size_t number;     /* from 1 */
    const char *word;  /* which one */
    struct bytes text; /* the line without blanks around it; borrowed */
};

/* The first line that begins with one of `words` (ends with NULL) and then a blank, `=` or its end;
 * blanks before it do not count. */
bool lines_find(struct bytes in, const char *const *words, struct lines_hit *out);

#endif
