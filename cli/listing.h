#ifndef CLI_LISTING_H
#define CLI_LISTING_H

#include "cli/cli.h"

/* What the list commands print: a table for people or, with --json, an array of objects. */
struct listing;

/* `heads` are the titles of the table's columns. NULL when there is no memory. */
struct listing *listing_new(struct cli *c, const char *const *heads, size_t n,
                            struct err *e) MUST_USE;

/* One row: as many cells as there are titles, and the same as a JSON object, whose
 * reference is taken over (NULL is E_MEMORY: building it failed). */
int listing_row(struct listing *l, const char *const *cells, json_t *row, struct err *e) MUST_USE;

/* Prints the list; a table without rows is the sentence `empty` instead. */
int listing_print(struct listing *l, const char *empty, struct err *e) MUST_USE;

void listing_free(struct listing *l);

#endif
