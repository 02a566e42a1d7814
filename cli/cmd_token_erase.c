#include "cli/commands.h"
#include "cli/out.h"
#include "cli/owner.h"
#include "cli/pin.h"
#include "cli/place.h"
#include "tpm/lockout.h"
#include "tpm/owner.h"

#include <stdio.h>

static const struct cli_option options[] = {
    {"yes", NULL, "do it; without this only say what would be destroyed", false},
    {"forget", NULL,
     "with --yes: only take the token out of the store, for a TPM that was cleared or is gone",
     false},
    OWNER_OPTIONS,
    {0},
};

/* Public objects only: nobody is logged in, so the number of others is not known. */
static int say_what(struct store *s, const struct store_token *t, struct err *e)
{
    struct store_object *o = NULL;
    size_t n = 0;

    if (store_object_list(s, t->id, NULL, &o, &n, e) != 0)
        return -1;
    printf("This would destroy token \"");
    out_text(stdout, t->label);
    printf("\" (serial %s):\n", t->serial);
    printf("  %zu public objects (certificates, public keys) and all private keys beside them\n",
           n);
    printf("  its PIN indices in the TPM:");
    for (size_t i = 0; i < STORE_NV_COUNT; i++) {
        if (t->nv[i].handle != 0)
            printf(" 0x%08X", t->nv[i].handle);
    }
    printf("\nThe keys are then gone for good: no backup of the store brings them back.\n");
    if ((t->flags & (STORE_TOKEN_WEAK_LOCKOUT | STORE_TOKEN_FOREIGN_LOCKOUT)) == 0)
        out_para(stdout,
                 "So is the TPM's recovery code, if the token keeps it and nobody else does: "
                 "`fusetsu token recovery-code` shows it with the SO PIN.");
    printf("Nothing was done. Add --yes to do it.\n");
    store_objects_free(o, n);
    return 0;
}

static void say_done(const struct store_token *row, const char *what)
{
    printf("Token \"");
    out_text(stdout, row->label);
    printf("\" (serial %s) is %s.\n", row->serial, what);
}

static int forget(struct cli *c, struct err *e)
{
    struct store_token row;
    struct store *s = NULL;
    int rc = -1;

    if (place_store(c, STORE_WRITE, &s, e) != 0 || place_row(c, s, &row, e) != 0 ||
        store_hold(s, e) != 0 || store_token_delete(s, row.id, e) != 0)
        goto out;
    say_done(&row, "forgotten; its indices stay in its TPM, if that still has them");
    rc = 0;
out:
    store_close(s);
    return rc;
}

/* Where the owner authorisation is set it comes from the options, or from the token itself,
 * whose SO is asked for the PIN then. */
static int authorise(struct cli *c, struct place *at, struct err *e)
{
    const struct store_token *row = token_row(at->token);
    struct lockout_state s;
    struct secret *pin = NULL;
    int rc = -1;

    if (owner_obtain(c, at->tpm, at->store, e) != 0 || lockout_read(at->tpm, &s, e) != 0)
        return -1;
    if (!s.owner_set || owner_auth(at->tpm).len != 0 || (row->flags & STORE_TOKEN_OWNER) == 0)
        return 0;
    if (pin_obtain(c, PIN_SO, "SO PIN", false, &pin, e) == 0)
        rc = token_owner(at->token, secret_bytes(pin), e);
    if (rc != 0)
        pin_tries_left(e, "SO PIN", row->so_fails, row->so_limit);
    secret_free(pin);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    struct store_token row;
    struct store *s = NULL;
    struct place at = {0};
    bool given_back;
    int rc = -1;

    if (!cli_flag(c, "yes")) {
        if (place_store(c, STORE_READ, &s, e) == 0 && place_row(c, s, &row, e) == 0)
            rc = say_what(s, &row, e);
        goto out;
    }
    if (cli_flag(c, "forget"))
        return forget(c, e);
    if (place_open(c, &at, e) != 0)
        goto out;
    row = *token_row(at.token);
    if (authorise(c, &at, e) != 0)
        goto out;
    given_back = owner_is_ours(at.tpm);
    if (token_erase(at.token, e) != 0)
        goto out;
    say_done(&row, "erased; its keys are gone");
    if (given_back && !owner_is_ours(at.tpm))
        out_words(stdout, 0,
                  "It was the last that kept the TPM's owner authorisation, which is empty again.");
    rc = 0;
out:
    store_close(s);
    place_close(&at);
    return rc;
}

const struct cli_command cmd_token_erase = {
    .group = "token",
    .name = "erase",
    .shared = CLI_TOKEN | CLI_SO_PIN,
    .options = options,
    .summary = "destroy a token and all its keys",
    .about =
        "Takes the token's indices out of the TPM and its rows out of the store. Needs the "
        "TPM owner's authorisation. Where that is empty, as usual, no PIN is asked for; where "
        "the token was made with --own-tpm its SO PIN is, unless one of the owner options says "
        "where the authorisation is. Without --yes it only says what would be destroyed.",
    .examples = "fusetsu token erase --token gateway\nfusetsu token erase --token gateway --yes\n"
                "fusetsu token erase --token gateway --yes --forget",
    .run = run,
};
