#ifndef CLI_CODES_H
#define CLI_CODES_H

#include "tpm/token.h"

/*
 * A recovery file: the TPM's recovery codes, kept away from the machine. A line with the
 * lockout code, a line `owner CODE`; whichever there is. Mode 0600.
 */

/* Before anything is done: is the file new (E_EXISTS), and can it be written? */
int codes_check(const char *path, struct err *e) MUST_USE;

int codes_save(const char *path, const struct token_report *r, struct err *e) MUST_USE;

#endif
