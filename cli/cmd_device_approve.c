#include "cli/commands.h"
#include "cli/device_state.h"

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"operator", "TEXT", "whose device it is; not needed where that is known", false},
    {"officer", "TEXT", "the registration officer who says so", true},
    {"note", "TEXT", "where that is recorded", false},
    {0},
};

static int run(struct cli *c, struct err *e)
{
    return device_state_change(c, REGISTRY_DEVICE_ACTIVE, e);
}

const struct cli_command cmd_device_approve = {
    .group = "device",
    .name = "approve",
    .args = "DEVICE",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .summary = "let a pending or quarantined device ask again",
    .about =
        "A registration officer approves a device that asked without being registered, or lets one out of quarantine. It then may have the names that the list shows.",
    .examples =
        "fusetsu device approve --dir us-ca 4 --operator \"Example Telecom\" --officer \"R. Officer\"",
    .run = run,
};
