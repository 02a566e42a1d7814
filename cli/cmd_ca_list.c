#include "ca/authority.h"
#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "core/oid.h"

#include <stdio.h>
#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"invitations", NULL, "list the invitations instead of what was issued", false},
    {0},
};

/* Rows are gathered into a table or an array while the registry is walked. */
struct gather {
    struct out_table *table;
    json_t *array;
    int64_t now;
    size_t n;
    struct err *e;
    bool failed;
};

static void time_text(int64_t t, char out[32])
{
    time_t when = (time_t)t;
    struct tm tm;

    if (gmtime_r(&when, &tm) == NULL || strftime(out, 32, "%Y-%m-%d %H:%MZ", &tm) == 0)
        snprintf(out, 32, "-");
}

static bool add(struct gather *g, json_t *row, const char *const *cells)
{
    g->n++;
    if (g->array != NULL)
        g->failed = json_array_append_new(g->array, row) != 0;
    else
        g->failed = out_table_row(g->table, cells, g->e) != 0;
    return !g->failed;
}

static const char *community_or_dash(unsigned community)
{
    const char *name = oid_community_name(community);

    return name != NULL ? name : "-";
}

static bool add_issued(void *ctx, const struct registry_issued *i)
{
    struct gather *g = ctx;
    char issued[32], until[32];
    json_t *row = NULL;

    time_text(i->issued_at, issued);
    time_text(i->expires_at, until);
    if (g->array != NULL)
        row = json_pack("{s:o,s:s,s:s,s:s,s:s,s:s,s:b}", "subject", out_json_text(i->subject),
                        "issuer", registry_role_name(i->issuer), "community",
                        community_or_dash(i->community), "serial", i->serial, "issued_at", issued,
                        "expires_at", until, "evidence", i->has_evidence ? 1 : 0);
    return add(g, row,
               (const char *[]){i->subject, registry_role_name(i->issuer),
                                community_or_dash(i->community), issued, until, i->serial});
}

static const char *invitation_state(const struct registry_invitation *i, int64_t now)
{
    if (i->consumed_at != 0)
        return "used";
    return i->expires_at < now ? "expired" : "open";
}

static bool add_invitation(void *ctx, const struct registry_invitation *i)
{
    struct gather *g = ctx;
    char created[32], until[32], level[12];
    json_t *row = NULL;

    time_text(i->created_at, created);
    time_text(i->expires_at, until);
    snprintf(level, sizeof(level), "%u", i->level);
    if (g->array != NULL)
        row = json_pack("{s:o,s:s,s:i,s:s,s:s,s:s,s:b}", "subject", out_json_text(i->subject),
                        "community", community_or_dash(i->community), "level", (int)i->level,
                        "state", invitation_state(i, g->now), "created_at", created, "expires_at",
                        until, "bound_to_ek", i->has_ek ? 1 : 0);
    return add(g, row,
               (const char *[]){i->subject, community_or_dash(i->community), level,
                                invitation_state(i, g->now), created, until,
                                i->has_ek ? "yes" : "no"});
}

static void say_authority(const struct registry_authority *info)
{
    printf("Authority: ");
    out_text(stdout, info->org);
    printf(" (%s, %s)\nPolicy arc: %s\n\n", info->nation, info->domain, info->arc);
}

static int walk(struct cli *c, struct authority *a, struct gather *g, struct err *e)
{
    static const char *const issued[] = {"SUBJECT", "ISSUER", "COMMUNITY",
                                         "ISSUED",  "UNTIL",  "SERIAL"};
    static const char *const invited[] = {"NAME", "COMMUNITY", "LEVEL",         "STATE",
                                          "MADE", "UNTIL",     "BOUND TO A TPM"};
    bool invitations = cli_flag(c, "invitations");
    int rc;

    if (cli_flag(c, "json"))
        g->array = json_array();
    else
        g->table = invitations ? out_table_new(invited, ARRAY_LEN(invited), e)
                               : out_table_new(issued, ARRAY_LEN(issued), e);
    if (g->array == NULL && g->table == NULL)
        return err_set(e, E_MEMORY, "out of memory for a list");
    if (invitations)
        rc = registry_invitations(authority_registry(a), add_invitation, g, e);
    else
        rc = registry_issued(authority_registry(a), add_issued, g, e);
    if (rc == 0 && g->failed)
        rc = err_set(e, E_MEMORY, "out of memory for a list");
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    struct gather g = {.now = (int64_t)time(NULL), .e = e};
    struct authority *a = NULL;
    int rc = -1;

    if (authority_open(&a, cli_option(c, "dir"), true, NULL, NULL, e) != 0 ||
        walk(c, a, &g, e) != 0)
        goto out;
    rc = 0;
    if (g.array != NULL) {
        rc = cli_json(c, g.array, e);
        g.array = NULL;
        goto out;
    }
    say_authority(authority_info(a));
    if (g.n == 0)
        printf("%s\n", cli_flag(c, "invitations") ? "No invitation was made yet."
                                                  : "Nothing was issued yet.");
    else
        out_table_print(g.table, stdout);
out:
    json_decref(g.array);
    out_table_free(g.table);
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
             "became of them. Needs no PIN.",
    .examples = "fusetsu ca list --dir us-ca\nfusetsu ca list --dir us-ca --invitations --json",
    .run = run,
};
