#include "ca/authority.h"
#include "cli/cakeys.h"
#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/community.h"
#include "cli/out.h"
#include "core/file.h"
#include "core/oid.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "our authority's directory", true},
    {"ally", "FILE", "certificate of the ally's issuing CA for the community", true},
    {"community", "NAME", "the community that is opened to the ally", true},
    {"ally-nation", "CC", "the ally's two letters, e.g. JP", true},
    {"ally-domain", "DNS", "the domain that the ally may certify names in", true},
    {"days", "N", "lifetime, 1 to 365 days (default 365)", false},
    {"clearance-policy", "OID", "the ally's system of clearances", false},
    {"clearances", "LIST",
     "what the ally may grant of it, in the words of RFC 5913: confidential,secret (default: "
     "nothing)",
     false},
    {"strict", NULL, "policy extensions critical as RFC 5280 has them; GnuTLS and NSS then refuse",
     false},
    {"ike", NULL, "for IKE alone, in the form that strongSwan can read", false},
    {"out", "FILE", "where to write the cross-certificate; - is standard output", true},
    {0},
};

static int read_ally(const char *path, STACK_OF(X509) * *list, struct err *e)
{
    if (certs_read(path, list, e) != 0)
        return -1;
    if (sk_X509_num(*list) != 1)
        return err_set(e, E_FORMAT,
                       "%s holds %d certificates; --ally takes the ally's issuing CA alone", path,
                       sk_X509_num(*list));
    return 0;
}

static void say_clearances(const struct clearance *may)
{
    static const struct clearance_system standard = {.policy = ""};
    struct buf names = {0};

    if (may == NULL)
        return;
    clearance_text(&standard, may->classes, &names);
    out_para(stdout, "It may grant these clearances of its own system (%s): %s.", may->policy,
             buf_cstr(&names) != NULL ? buf_cstr(&names) : "?");
    buf_free(&names);
}

static void say_done(struct cli *c, const struct cross_request *r)
{
    const char *community = oid_community_name(r->community);
    char name[CERTS_TEXT], print[CERTS_TEXT];

    certs_name(X509_get_subject_name(r->ally), name);
    certs_fingerprint(r->ally, print);
    out_para(stdout, "Cross-certified: %s, with the SHA-256 fingerprint", name);
    printf("  %.48s\n  %s\n", print, strlen(print) > 48 ? print + 48 : "");
    out_para(stdout,
             "Names below %s that it certifies for %s are now valid under our root; nothing else "
             "of the ally is. Where the ally does not read the same fingerprint, do not publish "
             "it.",
             r->domain, community);
    say_clearances(r->clearance);
    printf("Publish it with `fusetsu ca export --dir ");
    out_text(stdout, cli_option(c, "dir"));
    printf(" bundle:%s%s`.\n", community, r->ike ? " --ike" : "");
}

static int run(struct cli *c, struct err *e)
{
    struct cross_request r = {.nation = cli_option(c, "ally-nation"),
                              .domain = cli_option(c, "ally-domain"),
                              .strict = cli_flag(c, "strict"),
                              .ike = cli_flag(c, "ike"),
                              .now = time(NULL)};
    const char *policy = cli_option(c, "clearance-policy"), *words = cli_option(c, "clearances");
    const char *out = cli_option(c, "out");
    struct clearance clearance;
    STACK_OF(X509) *ally = NULL;
    struct authority *a = NULL;
    struct cakeys *keys = NULL;
    struct buf pem = {0};
    unsigned days;
    int rc = -1;

    if (r.strict && r.ike)
        return cli_misuse(e, "--strict and --ike exclude each other");
    if ((policy != NULL) != (words != NULL))
        return cli_misuse(e, "--clearance-policy and --clearances go together");
    if (policy != NULL && clearance_parse(policy, words, &clearance, e) != 0)
        return -1;
    r.clearance = policy != NULL ? &clearance : NULL;
    if (community_parse(cli_option(c, "community"), &r.community, e) != 0 ||
        cli_number(c, "days", 1, 365, 365, &days, e) != 0)
        return -1;
    r.days = (int)days;
    if (read_ally(cli_option(c, "ally"), &ally, e) != 0 || (keys = cakeys_new(c, e)) == NULL ||
        authority_open(&a, cli_option(c, "dir"), false, cakeys_signer, keys, e) != 0)
        goto out;
    r.ally = sk_X509_value(ally, 0);
    if (authority_cross(a, &r, &pem, e) != 0 || file_write(out, buf_bytes(&pem), 0644, e) != 0)
        goto out;
    if (strcmp(out, "-") != 0)
        say_done(c, &r);
    rc = 0;
out:
    authority_close(a);
    cakeys_free(keys);
    certs_free(ally);
    buf_free(&pem);
    return rc;
}

const struct cli_command cmd_ca_cross = {
    .group = "ca",
    .name = "cross",
    .shared = CLI_USER_PIN,
    .options = options,
    .summary = "let one community of an ally be valid under our root",
    .about =
        "Issues a cross-certificate to an ally's issuing CA: for one community, for the "
        "ally's own names only, for at most a year. Compare the ally's certificate by "
        "fingerprint with the ally first. With --ike it is one for IKE alone, beside the other: "
        "strongSwan cannot read a certificate that excludes IP addresses, as the other one "
        "does. Clearances that the ally grants count for nothing unless they are named.",
    .examples =
        "fusetsu ca cross --dir us-ca --ally jp-communications.pem --community "
        "communications --ally-nation JP --ally-domain jp.example --out us-to-jp.pem\n"
        "fusetsu ca cross --dir us-ca --ally jp-communications.pem --community "
        "communications --ally-nation JP --ally-domain jp.example --ike --out us-to-jp-ike.pem",
    .run = run,
};
