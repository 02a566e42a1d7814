#include "cli/commands.h"
#include "cli/pin.h"
#include "cli/place.h"

#include <stdio.h>

static int run(struct cli *c, struct err *e)
{
    struct secret *so = NULL, *pin = NULL;
    struct place at = {0};
    int rc = -1;

    if (place_open(c, &at, e) != 0 || pin_obtain(c, PIN_SO, "SO PIN", false, &so, e) != 0 ||
        pin_obtain(c, PIN_NEW, "new user PIN", true, &pin, e) != 0)
        goto out;
    if (token_login(at.token, TOKEN_SO, secret_bytes(so), e) != 0) {
        pin_tries_left(e, "SO PIN", token_row(at.token)->so_fails, token_row(at.token)->so_limit);
        goto out;
    }
    if (token_init_pin(at.token, secret_bytes(pin), e) != 0)
        goto out;
    printf("The user PIN is set anew and its count of wrong tries is cleared.\n");
    rc = 0;
out:
    secret_free(so);
    secret_free(pin);
    place_close(&at);
    return rc;
}

const struct cli_command cmd_token_unblock = {
    .group = "token",
    .name = "unblock",
    .shared = CLI_TOKEN | CLI_SO_PIN | CLI_NEW_PIN,
    .summary = "set a new user PIN with the SO PIN",
    .about = "The security officer sets a new user PIN and clears the count of wrong tries: for a "
             "user PIN that is locked, forgotten or not set yet. Keys and certificates stay.",
    .examples =
        "fusetsu token unblock --token gateway\n"
        "fusetsu token unblock --token gateway --so-pin-file so.pin --new-pin-file user.pin",
    .run = run,
};
