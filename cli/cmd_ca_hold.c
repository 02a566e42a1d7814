/* Certificates on hold, and off it again. */
#include "cli/commands.h"
#include "cli/recall.h"

#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    RECALL_OPTIONS,
    {0},
};

static int hold(struct registry *r, const struct registry_cert *c, void *ctx, struct err *e)
{
    (void)ctx;
    return registry_suspend(r, c->id, time(NULL), e);
}

static int let_go(struct registry *r, const struct registry_cert *c, void *ctx, struct err *e)
{
    (void)ctx;
    return registry_resume(r, c->id, time(NULL), e);
}

static int suspend(struct cli *c, struct err *e)
{
    return recall_run(c, 1u << REGISTRY_GOOD, hold, "suspended", e);
}

static int resume(struct cli *c, struct err *e)
{
    return recall_run(c, 1u << REGISTRY_SUSPENDED, let_go, "good again", e);
}

const struct cli_command cmd_ca_suspend = {
    .group = "ca",
    .name = "suspend",
    .args = "[SERIAL]",
    .max_args = 1,
    .shared = CLI_JSON,
    .options = options,
    .summary = "make certificates good for nothing until further notice",
    .about =
        "Puts certificates on hold (RFC 5280, 5.3.1), so that relying parties refuse them after the next CRL or OCSP answer, until `fusetsu ca resume` makes them good again or `fusetsu ca revoke` ends them. Needs no PIN.",
    .examples =
        "fusetsu ca suspend --dir us-ca --name gw.us.example\nfusetsu ca suspend --dir us-ca 4a6f1c --json",
    .run = suspend,
};

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
    .run = resume,
};
