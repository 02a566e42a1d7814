#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stddef.h>

/*
 * A line on standard error while something slow runs (an RSA key takes a TPM seconds to
 * minutes): what is being done and for how long. Shown after half a second, only when
 * standard error is a terminal, and taken away at the end.
 */
struct progress;

/* NULL, which progress_end() takes, when there is nothing to show. */
struct progress *progress_begin(const char *what);
/* So many of so many are done; NULL is fine. */
void progress_count(struct progress *p, size_t done, size_t all);
void progress_end(struct progress *p);

#endif
