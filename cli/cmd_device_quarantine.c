#include "cli/commands.h"
#include "cli/device_state.h"

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"officer", "TEXT", "who says so", true},
    {"note", "TEXT", "why", true},
    {0},
};

static int run(struct cli *c, struct err *e)
{
    return device_state_change(c, REGISTRY_DEVICE_QUARANTINED, e);
}

const struct cli_command cmd_device_quarantine = {
    .group = "device",
    .name = "quarantine",
    .args = "DEVICE",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .summary = "give a device nothing any more",
    .about =
        "From now on the authority refuses what this TPM asks for, and invites nobody to its names for its sake. Certificates that it has already stay valid until they end or are revoked.",
    .examples =
        "fusetsu device quarantine --dir us-ca 4 --officer \"R. Officer\" --note \"reported stolen\"",
    .run = run,
};
