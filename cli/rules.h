#ifndef CLI_RULES_H
#define CLI_RULES_H

#include "ca/require.h"
#include "cli/cli.h"

/* The options by which a judge of evidence says what he asks of TPMs and platforms besides: rows
 * for a command's table, which has "ek-pins" as well, and the reader of them all. */
#define RULES_OPTIONS(prefix)                                                                   \
    {"ek-pins-no-eku", "FILE", prefix "trusted issuers whose certificates lack that usage",     \
     false},                                                                                    \
        {"advisories", "FILE", prefix "firmware that must not be trusted (fusetsu(1))", false}, \
    {                                                                                           \
        "platforms", "FILE", prefix "PCR values of which the platform must have one set", false \
    }

/* Reads the files that were named; E_FORMAT names file and line. `out` is zero-initialised by the
 * caller, who ends it with require_free(). */
int rules_read(const struct cli *c, struct require *out, struct err *e) MUST_USE;

#endif
