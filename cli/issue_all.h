#ifndef CLI_ISSUE_ALL_H
#define CLI_ISSUE_ALL_H

#include "ca/authority.h"
#include "cli/cli.h"

/*
 * Answers every NAME.request of one directory in the order of their names: NAME.sealed in the
 * other, or NAME.refused with the reasons; never both. What is answered already, in the registry and by a
 * whole file, is passed over; so the same call goes on after kill -9 at any moment, loses nothing
 * and issues nothing twice (ca/enrol.h). Memory does not grow with the number but for the names.
 *
 * E_REJECTED at the end when requests were refused. What is not a request's own fault (a token that
 * is gone, a full disk) ends the run at once. Reports in words or as one JSON document.
 */
int issue_all(struct cli *c, struct authority *a, const char *requests, const char *out,
              struct err *e) MUST_USE;

#endif
