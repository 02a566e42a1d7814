#ifndef CLI_INVITE_ALL_H
#define CLI_INVITE_ALL_H

#include "ca/authority.h"
#include "cli/cli.h"

/*
 * Invites every name in a file (one a line; blank lines and those that begin with # say nothing)
 * on the terms of `p`, whose name and, once the first is invited, time are not looked at: NAME.invite in the directory `out`. All names
 * are looked at before the first is invited. One whose invitation is there is passed over, unless
 * it ended without an answer or its request was refused, so the same call goes on after kill -9; what the registry then holds
 * without a file, up to a few dozen, nobody can answer. E_EXISTS: a file in the way is no such
 * invitation, or one on other terms.
 */
int invite_all(struct authority *a, const struct authority_invite *p, const char *names,
               const char *out, struct err *e) MUST_USE;

#endif
