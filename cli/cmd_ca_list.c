#include "ca/authority.h"
#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/listing.h"
#include "cli/out.h"
#include "core/oid.h"

#include <stdio.h>
#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"invitations", NULL, "list the invitations instead of what was issued", false},
    {0},
};

/* The list while the registry is walked. */
struct gather {
    struct listing *list;
    int64_t now;
    struct err *e;
    bool failed;
};

/* As JSON has it: "2027-02-01 12:00Z". The table shows the day alone. */
#define TIME_TEXT sizeof("2027-02-01 12:00Z")
#define DAY_TEXT sizeof("2027-02-01")

static void time_text(int64_t t, char text[TIME_TEXT], char day[DAY_TEXT])
{
    time_t when = (time_t)t;
    struct tm tm;

    if (gmtime_r(&when, &tm) == NULL || strftime(text, TIME_TEXT, "%Y-%m-%d %H:%MZ", &tm) == 0)
        snprintf(text, TIME_TEXT, "-");
    snprintf(day, DAY_TEXT, "%.10s", text);
}

static const char *or_dash(const char *name)
{
    return name != NULL ? name : "-";
}

/* The common name; what the registry recorded when the certificate is not readable. */
static void short_name(const struct registry_issued *i, char out[CERTS_TEXT])
{
    struct err ignored = {0};
    X509 *cert = NULL;

    if (issue_from_der(i->der, &cert, &ignored) == 0)
        certs_name(X509_get_subject_name(cert), out);
    else
        snprintf(out, CERTS_TEXT, "%s", i->subject);
    X509_free(cert);
}

static bool add_issued(void *ctx, const struct registry_issued *i)
{
    const char *community = oid_community_name(i->community), *by = registry_role_name(i->issuer);
    char issued[TIME_TEXT], until[TIME_TEXT], from_day[DAY_TEXT], to_day[DAY_TEXT];
    struct gather *g = ctx;
    char name[CERTS_TEXT];

    short_name(i, name);
    time_text(i->issued_at, issued, from_day);
    time_text(i->expires_at, until, to_day);
    g->failed =
        listing_row(g->list, (const char *[]){name, by, or_dash(community), from_day, to_day},
                    json_pack("{s:o,s:o,s:s,s:s?,s:s,s:s,s:s,s:b}", "name", out_json_text(name),
                              "subject", out_json_text(i->subject), "issuer", by, "community",
                              community, "serial", i->serial, "issued_at", issued, "expires_at",
                              until, "evidence", i->has_evidence ? 1 : 0),
                    g->e) != 0;
    return !g->failed;
}

static const char *invitation_state(const struct registry_invitation *i, int64_t now)
{
    if (i->consumed_at != 0)
        return "used";
    return i->expires_at < now ? "expired" : "open";
}

static bool add_invitation(void *ctx, const struct registry_invitation *i)
{
    char created[TIME_TEXT], until[TIME_TEXT], from_day[DAY_TEXT], to_day[DAY_TEXT], level[12];
    const char *community = oid_community_name(i->community);
    struct gather *g = ctx;
    const char *state = invitation_state(i, g->now);

    time_text(i->created_at, created, from_day);
    time_text(i->expires_at, until, to_day);
    snprintf(level, sizeof(level), "%u", i->level);
    g->failed = listing_row(g->list,
                            (const char *[]){i->subject, or_dash(community), level, state, from_day,
                                             to_day, i->has_ek ? "yes" : "no"},
                            json_pack("{s:o,s:s?,s:i,s:s,s:s,s:s,s:b}", "subject",
                                      out_json_text(i->subject), "community", community, "level",
                                      (int)i->level, "state", state, "created_at", created,
                                      "expires_at", until, "bound_to_ek", i->has_ek ? 1 : 0),
                            g->e) != 0;
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
    static const char *const issued[] = {"NAME", "ISSUED BY", "COMMUNITY", "ON", "UNTIL"};
    static const char *const invited[] = {"NAME", "COMMUNITY", "LEVEL",  "STATE",
                                          "MADE", "UNTIL",     "ONE TPM"};
    bool invitations = cli_flag(c, "invitations");
    int rc;

    g->list = invitations ? listing_new(c, invited, ARRAY_LEN(invited), g->e)
                          : listing_new(c, issued, ARRAY_LEN(issued), g->e);
    if (g->list == NULL)
        return -1;
    if (invitations)
        rc = registry_invitations(authority_registry(a), add_invitation, g, g->e);
    else
        rc = registry_issued(authority_registry(a), add_issued, g, g->e);
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
    .about = "Lists the certificates that the authority issued, or its invitations and what "
             "became of them. --json adds the full subjects, the serial numbers and the hours. "
             "Needs no PIN.",
    .examples = "fusetsu ca list --dir us-ca\nfusetsu ca list --dir us-ca --invitations --json",
    .run = run,
};
