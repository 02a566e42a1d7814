#ifndef CLI_COMMUNITY_H
#define CLI_COMMUNITY_H

#include "core/err.h"

/* The number of a community by name or number; E_USAGE lists those there are. */
int community_parse(const char *word, unsigned *out, struct err *e) MUST_USE;

/* "communications,electricity" into an array of `max`, each once. */
int community_parse_list(const char *list, unsigned *out, size_t max, size_t *n,
                         struct err *e) MUST_USE;

#endif
