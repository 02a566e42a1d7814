#include "cli/approvals.h"
#include "cli/commands.h"
#include "cli/place.h"
#include "core/file.h"

static const struct cli_option options[] = {
    {"label", "TEXT", "what to call the approver", true},
    {"out", "FILE", "where to write its public half; - is standard output", true},
    {0},
};

static int run(struct cli *c, struct err *e)
{
    struct approval_approver a = {.serial = ""};
    struct place at = {0};
    int rc = -1;

    if (file_probe(cli_option(c, "out"), e) != 0 || place_login(c, &at, NULL, e) != 0)
        return -1;
    if (token_approver_create(at.token, cli_option(c, "label"), &a, e) == 0)
        rc = approvals_export(c, &a, "is made", e);
    approval_approver_free(&a);
    place_close(&at);
    return rc;
}

const struct cli_command cmd_approver_create = {
    .group = "approver",
    .name = "create",
    .shared = CLI_TOKEN | CLI_USER_PIN | CLI_JSON,
    .options = options,
    .summary = "make a key for approvals",
    .about = "Makes a key in this token's TPM by which its holder approves, one by one, uses of "
             "keys in other tokens. It asks for the PIN each time, serves for nothing else and is "
             "not seen through PKCS#11.",
    .examples = "fusetsu approver create --token officer --label treaty-officer --out officer.pem",
    .run = run,
};
