#ifndef CLI_INIT_H
#define CLI_INIT_H

#include "cli/owner.h"
#include "cli/place.h"

/* What `token init` and `usb provision` have in common: making a token in a TPM. */

struct init_where {
    /* Before anything is asked for. */
    int (*check)(struct cli *c, void *arg, struct err *e);
    /* Opens TPM and store. */
    int (*open)(struct cli *c, void *arg, struct place *at, struct err *e);
    /* Once the token is made, and open; or NULL. */
    int (*made)(struct cli *c, void *arg, struct place *at, const struct token_params *p,
                struct err *e);
    void *arg;
};

/* By the options below, --json, and those of both PINs. */
int init_run(struct cli *c, const struct init_where *w, struct err *e) MUST_USE;

/* clang-format off */
#define INIT_OPTIONS \
    {"label", "TEXT", "name of the token, 1 to 32 bytes, that no other has", true}, \
    {"user-tries", "N", "wrong user PINs in a row before the PIN locks, 3 to 32 (default 10)", \
     false}, \
    {"so-tries", "N", "the same for the SO PIN (default 10)", false}, \
    {"recovery-file", "FILE", \
     "write the TPM's recovery codes to this new file (mode 0600) and do not print them", false}, \
    {"weak-lockout", NULL, \
     "go on although anyone can reset the TPM's count of failures; a thief can then try many PINs", \
     false}, \
    {"own-tpm", NULL, \
     "the TPM serves fusetsu alone, from this store: set its owner authorisation, too", false}, \
    {"pin-guard", "KIND", \
     "what guards the secret beside the user PIN's own count: da, the TPM-wide count of failures " \
     "(the default), or counter, nothing, which wants --own-tpm", \
     false}, \
    OWNER_OPTIONS, \
    {"ek-pins", "FILE", \
     "PEM certificates of TPM makers: refuse a TPM whose endorsement certificate none of them " \
     "vouches for", \
     false}
/* clang-format on */

#endif
