#include "ca/authority.h"
#include "ca/bundle.h"
#include "cli/caname.h"
#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/community.h"
#include "cli/out.h"
#include "core/file.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"own", NULL, "bundle: with our own issuing CA of the community", false},
    {"ike", NULL, "bundle: the certificates for IKE, for strongSwan", false},
    {"out", "FILE", "write here; - is standard output (default)", false},
    {0},
};

/* `cert` is borrowed from the authority. */
static int export_ca(struct authority *a, const char *what, X509 **cert, struct buf *pem,
                     struct err *e)
{
    enum registry_role role = REGISTRY_ROLES;
    unsigned community = 0;

    if (caname_parse(what, &role, &community, e) != 0)
        return -1;
    if (authority_cert(a, role, community, cert, e) != 0)
        return -1;
    return issue_to_pem(*cert, pem, e);
}

/* What to read aloud to the ally. */
static void say_fingerprint(const X509 *cert)
{
    char name[CERTS_TEXT], print[CERTS_TEXT];

    certs_name(X509_get_subject_name(cert), name);
    certs_fingerprint(cert, print);
    out_para(stdout, "%s, SHA-256 fingerprint:", name);
    printf("  %.48s\n  %s\n", print, strlen(print) > 48 ? print + 48 : "");
}

static int run(struct cli *c, struct err *e)
{
    const char *what = cli_arg(c, 0), *out = cli_option(c, "out");
    bool bundle = strncmp(what, "bundle:", 7) == 0;
    struct authority *a = NULL;
    X509 *cert = NULL;
    struct buf pem = {0};
    struct bundle b = {.own = cli_flag(c, "own"), .ike = cli_flag(c, "ike"), .now = time(NULL)};
    int rc = -1;

    if ((b.own || b.ike) && !bundle)
        return cli_misuse(e, "--own and --ike go with bundle:COMMUNITY");
    if (bundle && community_parse(what + 7, &b.community, e) != 0)
        return -1;
    if (authority_open(&a, cli_option(c, "dir"), true, NULL, NULL, e) != 0)
        goto out;
    if (bundle)
        rc = bundle_pem(authority_registry(a), &b, &pem, e);
    else
        rc = export_ca(a, what, &cert, &pem, e);
    if (rc == 0)
        rc = file_write(out != NULL ? out : "-", buf_bytes(&pem), 0644, e);
    if (rc == 0 && cert != NULL && out != NULL && strcmp(out, "-") != 0)
        say_fingerprint(cert);
out:
    authority_close(a);
    buf_free(&pem);
    return rc;
}

const struct cli_command cmd_ca_export = {
    .group = "ca",
    .name = "export",
    .args = "WHAT",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .summary = "write a CA certificate or a community's trust bundle",
    .about =
        "WHAT is root, cross, attestation, issuing:COMMUNITY, basic:COMMUNITY, or bundle:COMMUNITY: all that a "
        "relying party needs to honour that community, our root first. Other communities are "
        "not in a bundle, so that programs that ignore policies keep them out too, as long as no peer "
        "brings the CA of another one along (`federation apply` has anchors against that). With "
        "--ike the "
        "bundle has the certificates for IKE instead: those of `ca cross --ike`, and of our issuing "
        "CA the one that `ca init` made for IKE. With --out the "
        "fingerprint of a CA is printed, to be compared with the ally.",
    .examples = "fusetsu ca export --dir us-ca root --out us-root.pem\n"
                "fusetsu ca export --dir us-ca issuing:communications --out us-comm.pem\n"
                "fusetsu ca export --dir us-ca bundle:communications --own --out trust.pem\n"
                "fusetsu ca export --dir us-ca bundle:communications --own --ike --out ike.pem",
    .run = run,
};
