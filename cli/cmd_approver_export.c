#include "cli/approvals.h"
#include "cli/commands.h"
#include "cli/place.h"

static const struct cli_option options[] = {
    {"label", "TEXT", "which approver", true},
    {"out", "FILE", "where to write its public half; - is standard output", true},
    {0},
};

static int run(struct cli *c, struct err *e)
{
    struct approval_approver a = {.serial = ""};
    struct store_key key = {.token = 0};
    struct place at = {0};
    int rc = -1;

    if (place_login(c, &at, NULL, e) != 0)
        return -1;
    if (token_approver_find(at.token, cli_option(c, "label"), NULL, &key, &a, e) == 0)
        rc = approvals_export(c, &a, "is written", e);
    approval_approver_free(&a);
    store_key_free(&key);
    place_close(&at);
    return rc;
}

const struct cli_command cmd_approver_export = {
    .group = "approver",
    .name = "export",
    .shared = CLI_TOKEN | CLI_USER_PIN | CLI_JSON,
    .options = options,
    .summary = "write the public half of a key for approvals once more",
    .about = "Writes the file that `fusetsu approver create` wrote once more.",
    .examples = "fusetsu approver export --token officer --label treaty-officer --out officer.pem",
    .run = run,
};
