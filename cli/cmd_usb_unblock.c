#include "cli/commands.h"
#include "cli/sticks.h"
#include "cli/unblock.h"

static const struct cli_option options[] = {STICKS_SERIAL, {0}};

static int run(struct cli *c, struct err *e)
{
    struct place at = {0};
    int rc = -1;

    if (place_stick(c, &at, e) == 0)
        rc = unblock(c, &at, e);
    place_close(&at);
    return rc;
}

const struct cli_command cmd_usb_unblock = {
    .group = "usb",
    .name = "unblock",
    .shared = CLI_SO_PIN | CLI_NEW_PIN,
    .options = options,
    .summary = "set a new user PIN of a USB token with its SO PIN",
    .about =
        "As `fusetsu token unblock`, for the USB token that is plugged in. The machine need not "
        "have seen it before.",
    .examples = "fusetsu usb unblock\nfusetsu usb unblock --serial A-1 --so-pin-file so.pin "
                "--new-pin-file user.pin",
    .run = run,
};
