#include "ca/registry_ssh.h"
#include "ca/ssh.h"
#include "cli/cakeys.h"
#include "cli/commands.h"
#include "cli/community.h"
#include "cli/out.h"
#include "core/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"community", "NAME", "the community of the certificate that it stands on", true},
    {"name", "NAME", "DNS name of a host, or mail address of a person, that was certified", true},
    {"days", "N", "how long it is good, 1 to 30 days (default 7)", false},
    {"basic", NULL, "also when the certificate is of level 1 or 2", false},
    {"out", "FILE", "where to write it, such as key-cert.pub; - is standard output", true},
    {0},
};

static int report(struct cli *c, const struct ssh_made *m, struct err *e)
{
    const char *out = cli_option(c, "out");
    char until[OUT_TIME], day[OUT_DAY], serial[24];

    out_time(m->expires_at, until, day);
    snprintf(serial, sizeof(serial), "%" PRIu64, m->serial);
    if (cli_flag(c, "json"))
        return cli_json(c,
                        json_pack("{s:o,s:i,s:s,s:s,s:s}", "principal",
                                  out_json_text(m->on.subject), "level", (int)m->level, "serial",
                                  serial, "expires_at", until, "certificate", m->on.serial),
                        e);
    if (strcmp(out, "-") != 0)
        out_para(
            stdout,
            "%s is certified for SSH until %s, by its certificate %s of level %u; when that is "
            "revoked, `fusetsu ca ssh-revoked` tells.",
            m->on.subject, until, m->on.serial, m->level);
    return 0;
}

static int run(struct cli *c, struct err *e)
{
    struct ssh_request r = {
        .name = cli_option(c, "name"), .basic = cli_flag(c, "basic"), .now = time(NULL)};
    struct authority *a = NULL;
    struct cakeys *keys = NULL;
    struct signer *signer = NULL;
    struct registry_key where;
    struct buf spki = {0}, line = {0};
    struct ssh_made made;
    unsigned days;
    int rc = -1;

    if (cli_flag(c, "json") && strcmp(cli_option(c, "out"), "-") == 0)
        return cli_misuse(e, "--json and --out - would both write to standard output");
    if (community_parse(cli_option(c, "community"), &r.community, e) != 0 ||
        cli_number(c, "days", 1, 30, 7, &days, e) != 0 || file_probe(cli_option(c, "out"), e) != 0)
        return -1;
    r.days = (int)days;
    if ((keys = cakeys_new(c, e)) == NULL ||
        authority_open(&a, cli_option(c, "dir"), false, cakeys_signer, keys, e) != 0 ||
        registry_ssh_ca(authority_registry(a), r.community, &where, &spki, e) != 0 ||
        authority_clock(a, r.now, e) != 0 || cakeys_open(keys, &where, &signer, e) != 0 ||
        ssh_certify(a, &r, signer, &line, &made, e) != 0 ||
        file_write(cli_option(c, "out"), buf_bytes(&line), 0644, e) != 0)
        goto out;
    rc = report(c, &made, e);
out:
    signer_free(signer);
    authority_close(a);
    cakeys_free(keys);
    buf_free(&spki);
    buf_free(&line);
    return rc;
}

const struct cli_command cmd_ca_ssh_certify = {
    .group = "ca",
    .name = "ssh-certify",
    .shared = CLI_USER_PIN | CLI_JSON,
    .options = options,
    .summary = "certify a key for SSH that has a certificate",
    .about =
        "Makes a certificate for OpenSSH of a key whose evidence was judged: of the newest good "
        "certificate of that name. A DNS name gives one of a host, a mail address one of a user, "
        "with that as its one principal: names bind it to the nation, for SSH has no name "
        "constraints. The certificate must be for that: a host's for gateways or servers, a user's a "
        "person's. It must be of level 3 or 4, for who trusts the authority for SSH asks for no "
        "level; with --basic a lower one is enough. The level is in the key id. It ends with the "
        "certificate at the latest.",
    .examples =
        "fusetsu ca ssh-certify --dir us-ca --community communications --name gw.us.example --out "
        "gw-cert.pub\n"
        "fusetsu ca ssh-certify --dir us-ca --community communications --name alice@us.example "
        "--days 1 --out alice-cert.pub",
    .run = run,
};
