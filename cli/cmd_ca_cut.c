#include "cli/cakeys.h"
#include "cli/commands.h"
#include "cli/community.h"
#include "cli/crlfile.h"
#include "cli/out.h"
#include "cli/recall.h"
#include "core/asn1.h"
#include "core/file.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "our authority's directory", true},
    {"community", "NAME", "the community that is closed to the ally", true},
    {"ally", "CC", "the ally's two letters, e.g. JP", true},
    {"out", "FILE", "where to write the CRL of our Cross CA", true},
    {"pem", NULL, "as PEM; it is published in DER", false},
    {"dry-run", NULL, "only say which cross-certificates these are", false},
    {0},
};

/* The cross-certificates of one ally. */
struct search {
    unsigned community;
    const char *ally;
    int64_t now;
    struct recall *out;
    bool cut_before;
    struct err *e;
    bool failed;
};

/* The nation that the certified CA's name lies in: one C (ca/cross.h asks for that). */
static bool of_nation(struct bytes der, const char *nation)
{
    X509 *cert = NULL;
    const X509_NAME *name;
    struct bytes c = {NULL, 0};
    int at;

    if (issue_from_der(der, &cert, NULL) != 0)
        return false;
    name = X509_get_subject_name(cert);
    at = X509_NAME_get_index_by_NID(name, NID_countryName, -1);
    if (at >= 0)
        c = asn1_octets(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    at = c.len == 2 && memcmp(c.p, nation, 2) == 0;
    X509_free(cert);
    return at != 0;
}

static bool look_at(void *ctx, const struct registry_cert *c)
{
    struct search *s = ctx;

    if (c->community != s->community || c->expires_at <= s->now || !of_nation(c->der, s->ally))
        return true;
    if (c->status.state == REGISTRY_REVOKED)
        s->cut_before = true;
    else
        s->failed = recall_add(s->out, c, s->e) != 0;
    return !s->failed;
}

static int find(struct cli *c, struct registry *r, struct recall *out, struct err *e)
{
    struct registry_wanted w = {.of_ca = true, .issuer = REGISTRY_CROSS};
    struct search s = {.ally = cli_option(c, "ally"), .now = time(NULL), .out = out, .e = e};

    if (community_parse(cli_option(c, "community"), &s.community, e) != 0 ||
        issue_check_nation(s.ally, e) != 0 || registry_certs(r, &w, look_at, &s, e) != 0 ||
        s.failed)
        return -1;
    /* One that was cut already is cut again: its CRL may have been lost. */
    if (out->n == 0 && !s.cut_before)
        return err_set(e, E_NOT_FOUND,
                       "no cross-certificate opens %s to %s; `fusetsu ca list` shows which there "
                       "are",
                       cli_option(c, "community"), s.ally);
    return 0;
}

static int revoke(struct registry *r, const struct registry_cert *c, void *ctx, struct err *e)
{
    (void)ctx;
    return registry_revoke(r, c->id, REGISTRY_PRIVILEGE_WITHDRAWN, time(NULL), 0, e);
}

/* The key first: nothing is half done because of a PIN. */
static int cut(struct cli *c, struct authority *a, struct recall *list, struct err *e)
{
    struct crl_request r = {.issuer = REGISTRY_CROSS, .now = time(NULL)};
    struct issue_issuer by;
    struct crl_made made;

    if (file_probe(cli_option(c, "out"), e) != 0 ||
        authority_issuer(a, REGISTRY_CROSS, 0, &by, e) != 0 ||
        recall_change(authority_registry(a), list, revoke, NULL, e) != 0)
        return -1;
    r.now = time(NULL);
    if (crlfile_write(c, a, &r, &made, e) != 0)
        return err_prefix(e, "they are revoked, but their CRL is not made; run this again");
    if (recall_report(c, list, "revoked", false, json_pack("{s:o}", "crl", crlfile_json(&made)),
                      e) != 0)
        return -1;
    if (!cli_flag(c, "json")) {
        crlfile_say(c, &r, &made);
        out_para(stdout,
                 "Publish it now: whoever reads it refuses the ally in this community. Bundles of "
                 "`fusetsu ca export` are without these cross-certificates from now on.");
    }
    return 0;
}

static int run(struct cli *c, struct err *e)
{
    bool dry = cli_flag(c, "dry-run");
    struct authority *a = NULL;
    struct cakeys *keys = NULL;
    struct recall list = {0};
    int rc = -1;

    if (strcmp(cli_option(c, "out"), "-") == 0)
        return cli_misuse(e, "--out names a file: what was cut is said on standard output");
    if ((keys = cakeys_new(c, e)) == NULL ||
        authority_open(&a, cli_option(c, "dir"), dry, cakeys_signer, keys, e) != 0 ||
        find(c, authority_registry(a), &list, e) != 0)
        goto out;
    rc = dry ? recall_report(c, &list, "revoked", false, NULL, e) : cut(c, a, &list, e);
out:
    recall_free(&list);
    authority_close(a);
    cakeys_free(keys);
    return rc;
}

const struct cli_command cmd_ca_cut = {
    .group = "ca",
    .name = "cut",
    .shared = CLI_USER_PIN | CLI_JSON,
    .options = options,
    .summary = "close one community to an ally at once",
    .about =
        "Revokes all cross-certificates that open the community to the ally, for good, and writes "
        "the CRL of our Cross CA that says so. The ally's other communities stay open. To open "
        "this one again, cross-certify anew (`fusetsu ca cross`). When the CRL cannot be written "
        "they are revoked all the same: run it again.",
    .examples =
        "fusetsu ca cut --dir us-ca --community electricity --ally JP --out cross.crl --dry-run\n"
        "fusetsu ca cut --dir us-ca --community electricity --ally JP --out cross.crl",
    .run = run,
};
