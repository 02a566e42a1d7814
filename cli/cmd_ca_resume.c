#include "cli/commands.h"
#include "cli/recall.h"

#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    RECALL_OPTIONS,
    {0},
};

static int change(struct registry *r, const struct registry_cert *c, void *ctx, struct err *e)
{
    (void)ctx;
    return registry_resume(r, c->id, time(NULL), e);
}

static int run(struct cli *c, struct err *e)
{
    return recall_run(c, 1u << REGISTRY_SUSPENDED, change, "good again", e);
}

const struct cli_command cmd_ca_resume = {
    .group = "ca",
    .name = "resume",
    .args = "[SERIAL]",
    .max_args = 1,
    .shared = CLI_JSON,
    .options = options,
    .summary = "make suspended certificates good again",
    .about =
        "Takes certificates off hold. They leave the next full CRL; a delta CRL says that they were removed. What is revoked stays so. Needs no PIN.",
    .examples =
        "fusetsu ca resume --dir us-ca --name gw.us.example\nfusetsu ca resume --dir us-ca 4a6f1c --json",
    .run = run,
};
