#include "ca/authority.h"
#include "ca/registry_status.h"
#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/granted.h"
#include "cli/listing.h"
#include "cli/out.h"
#include "core/oid.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define AK_DIGITS 16

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"invitations", NULL, "list the invitations instead of what was issued", false},
    {0},
};

/* The list while the registry is walked. */
struct gather {
    struct listing *list;
    const struct clearance_system *system;
    int64_t now;
    struct err *e;
    bool failed;
};

static const char *or_dash(const char *name)
{
    return name != NULL ? name : "-";
}

/* A leaf: what the registry says it grants is so. */
static bool is_leaf(const struct registry_cert *i)
{
    return i->issuer >= REGISTRY_ISSUING && i->has_evidence;
}

/* A leaf's name or address, by which `ca revoke` knows it; else the common name, or what the
 * registry recorded when the certificate is not readable. */
static void name_of(const struct registry_cert *i, char out[CERTS_TEXT])
{
    struct err ignored = {0};
    X509 *cert = NULL;

    if (!is_leaf(i) && issue_from_der(i->der, &cert, &ignored) == 0)
        certs_name(X509_get_subject_name(cert), out);
    else
        snprintf(out, CERTS_TEXT, "%s", i->subject);
    X509_free(cert);
}

/* Of the many digits of an attestation key's Name a table shows the last. */
static const char *short_name(const struct registry_cert *i, const char *name, char out[CERTS_TEXT])
{
    size_t n = strlen(name);

    if (i->issuer != REGISTRY_ATTESTATION || strncmp(name, "AK ", 3) != 0 || n < 3 + AK_DIGITS)
        return name;
    snprintf(out, CERTS_TEXT, "AK ..%s", name + n - AK_DIGITS);
    return out;
}

static bool add_issued(void *ctx, const struct registry_cert *i)
{
    const char *community = oid_community_name(i->community), *by = registry_role_name(i->issuer);
    const char *state = registry_state_name(i->status.state);
    char issued[OUT_TIME], until[OUT_TIME], from_day[OUT_DAY], to_day[OUT_DAY];
    char name[CERTS_TEXT], cut[CERTS_TEXT], what[GRANTED_CELL];
    struct gather *g = ctx;
    json_t *row;

    name_of(i, name);
    out_time(i->issued_at, issued, from_day);
    out_time(i->expires_at, until, to_day);
    granted_cell(g->system, &i->grant, what);
    row = json_pack("{s:o,s:o,s:s,s:s?,s:s,s:s,s:s,s:b,s:s}", "name", out_json_text(name),
                    "subject", out_json_text(i->subject), "issuer", by, "community", community,
                    "serial", i->serial, "issued_at", issued, "expires_at", until, "evidence",
                    i->has_evidence ? 1 : 0, "status", state);
    g->failed = (row != NULL && is_leaf(i) && granted_json(row, g->system, &i->grant, g->e) != 0) ||
                listing_row(g->list,
                            (const char *[]){short_name(i, name, cut), by, or_dash(community),
                                             is_leaf(i) ? what : "-", from_day,
                                             i->status.state == REGISTRY_GOOD ? to_day : state},
                            json_incref(row), g->e) != 0;
    json_decref(row);
    return !g->failed;
}

static bool add_invitation(void *ctx, const struct registry_invitation *i)
{
    char created[OUT_TIME], until[OUT_TIME], from_day[OUT_DAY], to_day[OUT_DAY], level[12];
    const char *community = oid_community_name(i->community);
    struct gather *g = ctx;
    const char *state = registry_outcome_name(registry_outcome(i, g->now));
    char what[GRANTED_CELL];
    json_t *row;

    out_time(i->created_at, created, from_day);
    out_time(i->expires_at, until, to_day);
    snprintf(level, sizeof(level), "%u", i->level);
    granted_cell(g->system, &i->grant, what);
    row = json_pack("{s:o,s:s?,s:i,s:s,s:s,s:s,s:b}", "subject", out_json_text(i->subject),
                    "community", community, "level", (int)i->level, "state", state, "created_at",
                    created, "expires_at", until, "bound_to_ek", i->has_ek ? 1 : 0);
    g->failed = (row != NULL && granted_json(row, g->system, &i->grant, g->e) != 0) ||
                listing_row(g->list,
                            (const char *[]){i->subject, or_dash(community), level, what, state,
                                             from_day, to_day, i->has_ek ? "yes" : "no"},
                            json_incref(row), g->e) != 0;
    json_decref(row);
    return !g->failed;
}

static void say_authority(const struct registry_authority *info)
{
    printf("Authority: ");
    out_text(stdout, info->org);
    printf(" (%s, %s)\nPolicy arc: %s\n\n", info->nation, info->domain, info->arc);
}

static int walk(struct cli *c, struct authority *a, struct gather *g)
{
    static const char *const issued[] = {"NAME", "ISSUED BY", "COMMUNITY", "FOR", "ON", "UNTIL"};
    static const char *const invited[] = {"NAME",  "COMMUNITY", "LEVEL", "FOR",
                                          "STATE", "MADE",      "UNTIL", "ONE TPM"};
    bool invitations = cli_flag(c, "invitations");
    int rc;

    g->system = authority_clearances(a);
    g->list = invitations ? listing_new(c, invited, ARRAY_LEN(invited), g->e)
                          : listing_new(c, issued, ARRAY_LEN(issued), g->e);
    if (g->list == NULL)
        return -1;
    if (invitations)
        rc = registry_invitations(authority_registry(a), add_invitation, g, g->e);
    else
        rc = registry_certs(authority_registry(a), &(struct registry_wanted){0}, add_issued, g,
                            g->e);
    return g->failed ? -1 : rc;
}

static int run(struct cli *c, struct err *e)
{
    struct gather g = {.now = (int64_t)time(NULL), .e = e};
    struct authority *a = NULL;
    int rc = -1;

    if (authority_open(&a, cli_option(c, "dir"), true, NULL, NULL, e) == 0 && walk(c, a, &g) == 0) {
        if (!cli_flag(c, "json"))
            say_authority(authority_info(a));
        rc = listing_print(g.list,
                           cli_flag(c, "invitations") ? "No invitation was made yet."
                                                      : "Nothing was issued yet.",
                           e);
    }
    listing_free(g.list);
    authority_close(a);
    return rc;
}

const struct cli_command cmd_ca_list = {
    .group = "ca",
    .name = "list",
    .shared = CLI_JSON,
    .options = options,
    .summary = "list what the authority issued",
    .about =
        "Lists the certificates that the authority issued, what for, with the highest clearance, and until when they are good, or "
        "that they are suspended or revoked; or its invitations and what became of them. "
        "--json adds the full subjects, persons' names, all clearances, the serial numbers and the hours. Needs no PIN.",
    .examples = "fusetsu ca list --dir us-ca\nfusetsu ca list --dir us-ca --invitations --json",
    .run = run,
};
