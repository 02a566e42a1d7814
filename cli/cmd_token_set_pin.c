#include "cli/commands.h"
#include "cli/pin.h"
#include "cli/place.h"

#include <stdio.h>

static const struct cli_option options[] = {
    {"so", NULL, "change the SO PIN, not the user PIN", false},
    {0},
};

static int run(struct cli *c, struct err *e)
{
    bool so = cli_flag(c, "so");
    const char *what = so ? "SO PIN" : "user PIN";
    struct secret *old = NULL, *pin = NULL;
    struct place at = {0};
    int rc = -1;

    if (place_open(c, &at, e) != 0 ||
        pin_obtain(c, so ? PIN_SO : PIN_USER, so ? "present SO PIN" : "present user PIN", false,
                   &old, e) != 0 ||
        pin_obtain(c, PIN_NEW, so ? "new SO PIN" : "new user PIN", true, &pin, e) != 0)
        goto out;
    rc = token_set_pin(at.token, so ? TOKEN_SO : TOKEN_USER, secret_bytes(old), secret_bytes(pin),
                       e);
    if (rc == 0)
        printf("The %s is changed.\n", what);
    else if (so)
        pin_tries_left(e, what, token_row(at.token)->so_fails, token_row(at.token)->so_limit);
    else
        pin_tries_left(e, what, token_row(at.token)->user_fails, token_row(at.token)->user_limit);
out:
    secret_free(old);
    secret_free(pin);
    place_close(&at);
    return rc;
}

const struct cli_command cmd_token_set_pin = {
    .group = "token",
    .name = "set-pin",
    .shared = CLI_TOKEN | CLI_USER_PIN | CLI_SO_PIN | CLI_NEW_PIN,
    .options = options,
    .summary = "change a PIN by proving the present one",
    .about = "Changes the user PIN, or with --so the SO PIN. Where an earlier change was "
             "interrupted, run it again with the same two PINs to complete it.",
    .examples = "fusetsu token set-pin --token gateway\n"
                "fusetsu token set-pin --token gateway --so --so-pin-file so.pin "
                "--new-pin-file so-new.pin",
    .run = run,
};
