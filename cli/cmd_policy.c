#include "cli/commands.h"
#include "cli/community.h"
#include "core/oid.h"

#include <stdio.h>
#include <string.h>

static int run(struct cli *c, struct err *e)
{
    const char *level = cli_arg(c, 1);
    unsigned community;
    char oid[OID_TEXT_MAX];

    if (community_parse(cli_arg(c, 0), &community, e) != 0)
        return -1;
    if (strlen(level) != 1 || *level < '1' || *level > '0' + OID_LEVELS)
        return cli_misuse(e, "LEVEL is a number from 1 to %d, not \"%.20s\"", OID_LEVELS, level);
    if (oid_policy(community, (unsigned)(*level - '0'), oid, e) != 0)
        return -1;
    printf("%s\n", oid);
    return 0;
}

const struct cli_command cmd_policy = {
    .name = "policy",
    .args = "COMMUNITY LEVEL",
    .min_args = 2,
    .max_args = 2,
    .summary = "print the policy OID of a community and level",
    .about = "Prints the one object identifier that a relying party asks for, for programs that "
             "take it as a setting. Community and level are in one OID because verifiers accept "
             "any of several policies that they ask for.",
    .examples = "fusetsu policy communications 3\n"
                "openssl verify -policy_check -explicit_policy -policy \"$(fusetsu policy "
                "communications 3)\" -CAfile trust.pem gw.pem",
    .run = run,
};
