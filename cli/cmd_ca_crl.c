#include "cli/cakeys.h"
#include "cli/caname.h"
#include "cli/commands.h"
#include "cli/crlfile.h"

#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"for", "CA", "root, cross, attestation, issuing:COMMUNITY or basic:COMMUNITY", true},
    {"delta", NULL, "only what changed since the last full CRL", false},
    {"clock-was-ahead", NULL, "the last CRLs were dated by a clock that was ahead", false},
    {"pem", NULL, "as PEM; it is published in DER", false},
    {"out", "FILE", "where to write the CRL; - is standard output", true},
    {0},
};

static int run(struct cli *c, struct err *e)
{
    struct crl_request r = {.delta = cli_flag(c, "delta"),
                            .clock_was_ahead = cli_flag(c, "clock-was-ahead"),
                            .now = time(NULL)};
    struct authority *a = NULL;
    struct cakeys *keys = NULL;
    struct crl_made made;
    int rc = -1;

    if (caname_parse(cli_option(c, "for"), &r.issuer, &r.community, e) != 0)
        return -1;
    if (cli_flag(c, "json") && strcmp(cli_option(c, "out"), "-") == 0)
        return cli_misuse(e, "--json and --out - would both write to standard output");
    if (r.delta && r.clock_was_ahead)
        return cli_misuse(e, "--clock-was-ahead makes a full CRL, for the deltas to build upon");
    if ((keys = cakeys_new(c, e)) == NULL ||
        authority_open(&a, cli_option(c, "dir"), false, cakeys_signer, keys, e) != 0 ||
        crlfile_write(c, a, &r, &made, e) != 0)
        goto out;
    if (cli_flag(c, "json")) {
        rc = cli_json(c, crlfile_json(&made), e);
    } else {
        crlfile_say(c, &r, &made);
        rc = 0;
    }
out:
    authority_close(a);
    cakeys_free(keys);
    return rc;
}

const struct cli_command cmd_ca_crl = {
    .group = "ca",
    .name = "crl",
    .shared = CLI_USER_PIN | CLI_JSON,
    .options = options,
    .summary = "make the certificate revocation list of a CA",
    .about =
        "Makes the next CRL (RFC 5280) of one CA of the authority. It says which of its "
        "certificates are suspended or revoked, and why; a delta says what changed since the "
        "last full one. Good for 7 days, those of the Cross CA and deltas for one, those of "
        "root and attestation CA for 30: make the next before that, relying parties refuse "
        "everything without one. An authority signs nothing while its clock stands before what "
        "it signed last. Where the clock was ahead then, set it right, revoke what it dated, "
        "and make the next CRL of each CA with --clock-was-ahead.",
    .examples =
        "fusetsu ca crl --dir us-ca --for issuing:communications --out issuing-communications.crl\n"
        "fusetsu ca crl --dir us-ca --for issuing:communications --delta --out "
        "issuing-communications-delta.crl",
    .run = run,
};
