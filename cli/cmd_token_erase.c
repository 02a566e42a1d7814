#include "cli/commands.h"
#include "cli/erase.h"

static const struct cli_option options[] = {
    {"yes", NULL, "do it; without this only say what would be destroyed", false},
    {"forget", NULL,
     "with --yes: only take the token out of the store, for a TPM that was cleared or is gone",
     false},
    OWNER_OPTIONS,
    {0},
};

static int forget(struct cli *c, struct err *e)
{
    struct store_token row;
    struct store *s = NULL;
    int rc = -1;

    if (place_store(c, STORE_WRITE, &s, e) != 0 || place_row(c, s, &row, e) != 0 ||
        store_hold(s, e) != 0 || store_token_delete(s, row.id, e) != 0)
        goto out;
    erase_say_done(&row, "forgotten; its indices stay in its TPM, if that still has them");
    rc = 0;
out:
    store_close(s);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    struct store_token row;
    struct store *s = NULL;
    struct place at = {0};
    int rc = -1;

    if (!cli_flag(c, "yes")) {
        if (place_store(c, STORE_READ, &s, e) == 0 && place_row(c, s, &row, e) == 0)
            rc = erase_say_what(s, &row, e);
        goto out;
    }
    if (cli_flag(c, "forget"))
        return forget(c, e);
    if (place_open(c, &at, e) != 0)
        goto out;
    if (at.stick != NULL)
        err_set(e, E_REJECTED, "token \"%s\" is carried by a USB token: use `fusetsu usb erase`",
                token_row(at.token)->label);
    else if (erase_authorise(c, &at, e) == 0)
        rc = erase_token(&at, e);
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
