#ifndef CLI_SETUP_NSS_H
#define CLI_SETUP_NSS_H

#include "cli/setup/setup.h"

/*
 * The module in a database of NSS: a directory with cert9.db, key4.db and pkcs11.txt, as each profile
 * of Firefox and each user of Chromium has one. NSS's own modutil writes it.
 */

/* Says it into the plan. `dir` is absolute; a directory that is not there is made, for its owner
 * alone. */
int nss_module(struct setup *s, const char *dir, struct err *e) MUST_USE;

#endif
