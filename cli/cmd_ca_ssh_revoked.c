#include "ca/ssh.h"
#include "cli/commands.h"
#include "cli/community.h"
#include "cli/out.h"
#include "core/file.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"community", "NAME", "the community", true},
    {"out", "FILE", "where to write the list; - is standard output", true},
    {0},
};

static int run(struct cli *c, struct err *e)
{
    const char *out = cli_option(c, "out");
    struct authority *a = NULL;
    struct buf krl = {0};
    unsigned community;
    size_t n = 0;
    int rc = -1;

    if (community_parse(cli_option(c, "community"), &community, e) != 0)
        return -1;
    if (authority_open(&a, cli_option(c, "dir"), true, NULL, NULL, e) != 0 ||
        ssh_revoked(a, community, time(NULL), &krl, &n, e) != 0 ||
        file_write(out, buf_bytes(&krl), 0644, e) != 0)
        goto out;
    if (strcmp(out, "-") != 0)
        out_para(stdout, "%zu certificate%s for SSH %s revoked, in %s.", n, n == 1 ? "" : "s",
                 n == 1 ? "is" : "are", out);
    rc = 0;
out:
    authority_close(a);
    buf_free(&krl);
    return rc;
}

const struct cli_command cmd_ca_ssh_revoked = {
    .group = "ca",
    .name = "ssh-revoked",
    .options = options,
    .summary = "write which certificates for SSH are revoked",
    .about =
        "Writes a key revocation list (KRL) of the certificates for SSH that stand on one that was "
        "suspended or revoked, until a day after their end. sshd and ssh take it as RevokedKeys and "
        "RevokedHostKeys, and refuse everybody while the file is missing. Needs no PIN.",
    .examples = "fusetsu ca ssh-revoked --dir us-ca --community communications --out us.krl",
    .run = run,
};
