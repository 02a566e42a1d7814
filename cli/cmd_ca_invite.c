#include "ca/authority.h"
#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/community.h"
#include "cli/granted.h"
#include "cli/invite_all.h"
#include "cli/out.h"
#include "core/file.h"
#include "core/oid.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"community", "NAME", "the community in which the name will be honoured", true},
    {"name", "NAME", "the DNS name that will be certified, or a person's mail address", false},
    {"profile", "KIND",
     "what the certificate is for: gateway (TLS and IKE, default), server, client, ike; person "
     "(mail and TLS client, default for a mail address)",
     false},
    {"person", "TEXT", "a person's name in the certificate (default: from the mail address)",
     false},
    {"clearance", "CLASS", "grant this clearance of the authority's system, and the lower ones",
     false},
    {"names", "FILE", "instead: a file with one name a line", false},
    {"level", "N", "assurance level, 1 to 4 (default 3: attested)", false},
    {"ek", "FILE", "EK certificate of the one TPM that may answer", false},
    {"days", "N", "days until the invitation ends, 1 to 90 (default 7)", false},
    {"out", "PATH", "where to write the invitation; - is standard output; with --names a directory",
     true},
    {0},
};

static int read_ek(const char *path, uint8_t id[32], struct err *e)
{
    STACK_OF(X509) *list = NULL;
    struct pubkey pub;
    int rc = -1;

    if (certs_read(path, &list, e) != 0)
        return -1;
    /* Of the EKs of a TPM the first is the one that requests use. */
    if (sk_X509_num(list) < 1)
        err_set(e, E_FORMAT, "%s holds no certificate; --ek takes what `fusetsu attest ek` wrote",
                path);
    else if (pubkey_from_x509(&pub, sk_X509_value(list, 0), e) == 0)
        rc = pubkey_id(&pub, id, e);
    certs_free(list);
    return rc;
}

static int invite_one(struct authority *a, const struct authority_invite *p, const char *out,
                      struct err *e)
{
    struct registry_grant g = {.clearance = 0};
    struct buf pem = {0}, what = {0};
    int rc = -1;

    if (authority_may_invite(a, p, &g, e) != 0 || authority_invite(a, p, &pem, e) != 0 ||
        file_write(out, buf_bytes(&pem), 0600, e) != 0)
        goto out;
    if (strcmp(out, "-") != 0) {
        granted_text(authority_clearances(a), &g, &what);
        out_para(stdout, "Invitation for %s (%s, level %u; %s), good for %d days and one answer%s.",
                 p->name, oid_community_name(p->community), p->level,
                 buf_cstr(&what) != NULL ? buf_cstr(&what) : g.profile, p->days,
                 p->ek_hash != NULL ? " from the one TPM named" : "");
        printf("The applicant gives the file to `fusetsu request --invite`.\n");
    }
    rc = 0;
out:
    buf_free(&pem);
    buf_free(&what);
    return rc;
}

static int check_words(const struct cli *c, struct err *e)
{
    bool many = cli_option(c, "names") != NULL;

    if (many == (cli_option(c, "name") != NULL))
        return cli_misuse(e, "give one name with --name, or a file of names with --names");
    if (many && cli_option(c, "ek") != NULL)
        return cli_misuse(e, "--ek names one TPM, and so goes with --name");
    if (many && cli_option(c, "person") != NULL)
        return cli_misuse(e, "--person names one person, and so goes with --name");
    if (many && strcmp(cli_option(c, "out"), "-") == 0)
        return cli_misuse(e, "with --names, --out is a directory");
    return 0;
}

static int run(struct cli *c, struct err *e)
{
    const char *out = cli_option(c, "out"), *ek = cli_option(c, "ek"),
               *names = cli_option(c, "names");
    struct authority_invite p = {.name = cli_option(c, "name"),
                                 .profile = cli_option(c, "profile"),
                                 .person = cli_option(c, "person"),
                                 .clearance = cli_option(c, "clearance"),
                                 .now = time(NULL)};
    struct authority *a = NULL;
    uint8_t id[32];
    unsigned days;
    int rc = -1;

    if (check_words(c, e) != 0 ||
        community_parse(cli_option(c, "community"), &p.community, e) != 0 ||
        cli_number(c, "level", 1, OID_LEVELS, 3, &p.level, e) != 0 ||
        cli_number(c, "days", 1, 90, 7, &days, e) != 0)
        return -1;
    p.days = (int)days;
    if (ek != NULL && read_ek(ek, id, e) != 0)
        return -1;
    p.ek_hash = ek != NULL ? id : NULL;
    if (authority_open(&a, cli_option(c, "dir"), false, NULL, NULL, e) == 0)
        rc = names != NULL ? invite_all(a, &p, names, out, e) : invite_one(a, &p, out, e);
    authority_close(a);
    return rc;
}

const struct cli_command cmd_ca_invite = {
    .group = "ca",
    .name = "invite",
    .options = options,
    .summary = "invite devices to ask for one certificate each",
    .about =
        "Draws a nonce and writes it to a file for the applicant. The authority decides here "
        "what will be certified: name, community, level, what for, and a clearance if any; the "
        "request can change none of it. With --names every name in the file is invited on the same terms, in NAME.invite; "
        "one whose invitation is there is passed over, unless that came to nothing, so a command that was interrupted is "
        "simply repeated. Needs no PIN.",
    .examples = "fusetsu ca invite --dir us-ca --community communications --name gw.us.example "
                "--out gw.invite\n"
                "fusetsu ca invite --dir us-ca --community communications --name gw.us.example "
                "--ek gw-ek.pem --days 3 --out gw.invite\n"
                "fusetsu ca invite --dir us-ca --community communications --name "
                "alice@us.example --person \"Alice Example\" --clearance secret --out a.invite\n"
                "fusetsu ca invite --dir us-ca --community communications --names hosts "
                "--out invites",
    .run = run,
};
