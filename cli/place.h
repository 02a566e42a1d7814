#ifndef CLI_PLACE_H
#define CLI_PLACE_H

#include "cli/cli.h"
#include "core/store.h"
#include "tpm/stick.h"
#include "tpm/token.h"

struct hotplug_token; /* usb/hotplug.h */

/*
 * Where things are: the store, the TPM and the token that the settings and the
 * options --token and --uri name.
 */

/* Opens the store of the settings. A store that is missing says to make a token. */
int place_store(struct cli *c, enum store_mode mode, struct store **out, struct err *e) MUST_USE;

/* The TPM of the settings; nothing is sent to it yet. */
int place_tpm(struct cli *c, struct tpm **out, struct err *e) MUST_USE;

/*
 * The row of the token meant: by --token (label or serial), by --uri, or the only
 * one there is. E_NOT_FOUND names those that exist; E_USAGE when several fit.
 */
int place_row(struct cli *c, struct store *s, struct store_token *out, struct err *e) MUST_USE;

/* The same by a name from elsewhere: a label or a serial. */
int place_row_named(struct store *s, const char *name, struct store_token *out,
                    struct err *e) MUST_USE;

/* What guards the secret of a token, as --pin-guard names it; "da-only" where the TPM has no
 * PIN indices. */
const char *place_guard(const struct store_token *t);

/*
 * Store, TPM and token, opened together for a command that changes the token. Where the store of
 * the settings has none that fits, a USB token may: one with that label or serial, or whose
 * own serial that is.
 */
struct place {
    struct store *store;
    struct tpm *tpm;
    struct token *token;
    struct stick *stick; /* a USB token that has its rows itself, `store` among them; or NULL */
};
int place_open(struct cli *c, struct place *out, struct err *e) MUST_USE;

/* The same for a command that only looks: store and row, for a USB token all of it. `name`: as
 * for place_row_named, NULL: as for place_row. */
int place_look(struct cli *c, const char *name, struct place *out, struct store_token *row,
               struct err *e) MUST_USE;

/* As place_open, and logs the user in, asking for the PIN, which `pin` gets (NULL: nobody needs
 * it again). */
int place_login(struct cli *c, struct place *out, struct secret **pin, struct err *e) MUST_USE;

/* A USB token: TPM, rows and token, with the counts of wrong PINs as the TPM has them.
 * E_NOT_FOUND when it carries no token, E_CORRUPT when what it carries is damaged; only the TPM
 * is open in `out` then. */
int place_plug(struct cli *c, const struct hotplug_token *t, struct place *out,
               struct err *e) MUST_USE;
/* The same for the one that --serial names. */
int place_stick(struct cli *c, struct place *out, struct err *e) MUST_USE;

void place_close(struct place *p); /* closes what is open, in the right order */

#endif
