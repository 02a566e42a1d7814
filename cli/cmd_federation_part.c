#include "ca/part.h"
#include "cli/commands.h"
#include "cli/community.h"
#include "cli/out.h"
#include "core/file.h"
#include "core/oid.h"

#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"ally", "CC", "the ally's two letters, e.g. JP", true},
    {"communities", "LIST", "which ones are opened, such as communications,electricity", true},
    {"accepts", "N", "the lowest level of the ally's leaves that are honoured (default 3)", false},
    {"out", "FILE", "where to write it; - is standard output", true},
    {0},
};

static int run(struct cli *c, struct err *e)
{
    unsigned communities[OID_COMMUNITIES];
    struct part p = {.ally = cli_option(c, "ally"), .community = communities, .now = time(NULL)};
    struct federation f = {.n_side = 0};
    struct authority *a = NULL;
    struct buf text = {0};
    int rc = -1;

    if (issue_check_nation(p.ally, e) != 0 ||
        community_parse_list(cli_option(c, "communities"), communities, OID_COMMUNITIES,
                             &p.n_community, e) != 0 ||
        cli_number(c, "accepts", 1, OID_LEVELS, 3, &p.accepts, e) != 0)
        return -1;
    if (authority_open(&a, cli_option(c, "dir"), true, NULL, NULL, e) == 0 &&
        part_make(a, &p, &f, e) == 0 && federation_check(&f, p.now, e) == 0 &&
        federation_write(&f, &text, e) == 0)
        rc = file_write(cli_option(c, "out"), buf_bytes(&text), 0644, e);
    federation_free(&f);
    authority_close(a);
    buf_free(&text);
    return rc;
}

const struct cli_command cmd_federation_part = {
    .group = "federation",
    .name = "part",
    .options = options,
    .summary = "write what this authority brings into a federation",
    .about =
        "Writes this authority's part of a federation with an ally: its root and Cross CA, where "
        "it publishes status, its issuing CAs of the communities, the cross-certificates that it "
        "has issued to the ally's (ca cross), its key for SSH (ca ssh-authority) and its system of "
        "clearances (ca init), where there are any. What counts as what of the ally's clearances "
        "is added to the draft by hand (fusetsu(1), FEDERATION). Needs no key and no PIN.",
    .examples = "fusetsu federation part --dir us-ca --ally JP --communities communications "
                "--out us.part",
    .run = run,
};
