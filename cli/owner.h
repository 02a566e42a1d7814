#ifndef CLI_OWNER_H
#define CLI_OWNER_H

#include "cli/cli.h"
#include "core/store.h"
#include "tpm/tpm.h"

/*
 * Where the TPM's owner authorisation comes from when it is not empty: --owner-auth-file, or
 * R of the token that --owner-token names, by its SO PIN. Known to the TPM object afterwards
 * (tpm/owner.h). Without these options nothing is done.
 */
int owner_obtain(struct cli *c, struct tpm *t, struct store *s, struct err *e) MUST_USE;

/* The rows of a table for that. */
#define OWNER_OPTIONS                                                                             \
    {"owner-auth-file", "FILE",                                                                   \
     "the TPM's owner authorisation, where it is set: a recovery file, or a file with the "       \
     "password in its first line, or hex: and its bytes, or str: and a password that looks like " \
     "either",                                                                                    \
     false},                                                                                      \
        {"owner-token", "LABEL", "take it from this token, made with --own-tpm, instead", false}, \
        {"owner-so-pin-file", "FILE", "SO PIN of that token in the first line of FILE", false},   \
    {                                                                                             \
        "owner-so-pin-fd", "N", "read it from file descriptor N", false                           \
    }

#endif
