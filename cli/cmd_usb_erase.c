#include "cli/commands.h"
#include "cli/erase.h"
#include "cli/out.h"
#include "cli/sticks.h"

#include <stdio.h>

static const struct cli_option options[] = {
    STICKS_SERIAL,
    {"yes", NULL, "do it; without this only say what would be destroyed", false},
    OWNER_OPTIONS,
    {0},
};

/* What it says cannot be read, so which PIN indices were its is not known. */
static int erase_damaged(struct cli *c, struct place *at, const struct err *why, struct err *e)
{
    out_para(stdout, "%s. Its keys are lost.", why->msg);
    if (!cli_flag(c, "yes")) {
        printf("Nothing was done. Add --yes to make room for another token.\n");
        return 0;
    }
    if (cli_option(c, "owner-token") != NULL)
        return cli_misuse(e, "no token can be looked for here; use --owner-auth-file");
    if (owner_obtain(c, at->tpm, at->store, e) != 0 || stick_erase(at->tpm, NULL, e) != 0)
        return -1;
    out_para(stdout, "It is erased. Its four PIN indices stay in the TPM.");
    return 0;
}

static int run(struct cli *c, struct err *e)
{
    struct store_token row;
    struct place at = {0};
    struct err why = {0};
    int rc = -1;

    if (place_stick(c, &at, &why) != 0) {
        rc = why.code == E_CORRUPT || why.code == E_FORMAT ? erase_damaged(c, &at, &why, e)
                                                           : err_take(e, &why);
        goto out;
    }
    row = *token_row(at.token);
    if (!cli_flag(c, "yes")) {
        rc = erase_say_what(at.store, &row, e);
        goto out;
    }
    if (erase_authorise(c, &at, e) != 0)
        goto out;
    stick_let_go(at.stick);
    /* Who is stopped in between finds the rows still there, and can do it again. */
    if (erase_token(&at, e) == 0)
        rc = 0;
out:
    place_close(&at);
    return rc;
}

const struct cli_command cmd_usb_erase = {
    .group = "usb",
    .name = "erase",
    .shared = CLI_SO_PIN,
    .options = options,
    .summary = "destroy the token that a USB token carries",
    .about =
        "Takes the token's PIN indices, and what the TPM keeps of its keys and certificates, "
        "out of the TPM. As for `fusetsu token erase` the TPM's owner authorisation is needed, "
        "and without --yes it only says what would be destroyed.",
    .examples = "fusetsu usb erase --serial A-1\nfusetsu usb erase --serial A-1 --yes",
    .run = run,
};
