#ifndef CLI_SETUP_NSS_H
#define CLI_SETUP_NSS_H

#include "core/err.h"

#include <jansson.h>
#include <stdbool.h>

/*
 * The module in a database of NSS, which is a directory: each profile of Firefox and each user of
 * Chromium has one. NSS's own modutil writes it, and loads every module that is in it already.
 */

/* What is in the directory, ends with NULL: first the list of modules, a text, then what modutil
 * makes where it is missing. */
extern const char *const nss_files[];

/* The directory and its files must be this user's own where they are there: modules that somebody
 * else put in would run as this user. E_DENIED. */
int nss_check(const char *dir, struct err *e) MUST_USE;

/* Is the module in? */
bool nss_has(const char *dir, const char *module);

/* The command line that adds the module, or, with `undo`, takes it out. NULL: no memory. */
json_t *nss_argv(const char *dir, const char *module, bool undo);

#define NSS_PACKAGE "libnss3-tools" /* of Debian, that has modutil */

#endif
