#include "cli/commands.h"
#include "cli/unblock.h"

static int run(struct cli *c, struct err *e)
{
    struct place at = {0};
    int rc = -1;

    if (place_open(c, &at, e) == 0)
        rc = unblock(c, &at, e);
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
