#include "ca/authority.h"
#include "cli/caname.h"
#include "cli/commands.h"
#include "cli/listing.h"
#include "cli/out.h"
#include "cli/recall.h"
#include "core/oid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY ((int64_t)24 * 3600)

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"days", "N", "what ends within so many days, 1 to 3650 (default 30)", false},
    {0},
};

/* All that are good now. */
struct gather {
    struct recall good;
    int64_t now;
    struct err *e;
    bool failed;
};

static bool add_good(void *ctx, const struct registry_cert *c)
{
    struct gather *g = ctx;

    if (c->expires_at > g->now && c->status.state == REGISTRY_GOOD)
        g->failed = recall_add(&g->good, c, g->e) != 0;
    return !g->failed;
}

/* The same name from the same CA, the one that lives longest last. */
static int by_name(const void *a, const void *b)
{
    const struct registry_cert *x = a, *y = b;
    int order = x->issuer != y->issuer ? (x->issuer < y->issuer ? -1 : 1) : 0;

    if (order == 0 && x->community != y->community)
        order = x->community < y->community ? -1 : 1;
    if (order == 0)
        order = strcmp(x->subject, y->subject);
    if (order == 0)
        order = x->expires_at < y->expires_at ? -1 : x->expires_at > y->expires_at;
    return order;
}

static bool same_name(const struct registry_cert *x, const struct registry_cert *y)
{
    return x->issuer == y->issuer && x->community == y->community &&
           strcmp(x->subject, y->subject) == 0;
}

/* Is it to be told now? What lives for up to a month, as OCSP responders do, would always be: in
 * the second half of its life. */
static bool ends_soon(const struct registry_cert *x, int64_t now, unsigned days)
{
    int64_t life = x->expires_at - x->issued_at, limit = (int64_t)days * DAY;

    if (life <= 30 * DAY && limit > life / 2)
        limit = life / 2;
    return x->expires_at <= now + limit;
}

static int add_row(struct listing *l, const struct registry_cert *x, int64_t now, struct err *e)
{
    char until[OUT_TIME], day[OUT_DAY], by[CANAME_MAX], left[24];

    caname_text(x->issuer, x->community, by);
    out_time(x->expires_at, until, day);
    snprintf(left, sizeof(left), "%lld", (long long)((x->expires_at - now) / DAY));
    return listing_row(l, (const char *[]){x->subject, by, day, left},
                       json_pack("{s:o,s:s,s:s?,s:s,s:s,s:I}", "subject", out_json_text(x->subject),
                                 "issuer", registry_role_name(x->issuer), "community",
                                 oid_community_name(x->community), "serial", x->serial,
                                 "expires_at", until, "days_left",
                                 (json_int_t)((x->expires_at - now) / DAY)),
                       e);
}

/* Of each name the last one; when that ends soon, nothing takes its place. */
static int list_ending(struct gather *g, unsigned days, struct listing *l, size_t *n, struct err *e)
{
    const struct registry_cert *x = g->good.cert;

    if (g->good.n != 0)
        qsort(g->good.cert, g->good.n, sizeof(*x), by_name);
    for (size_t i = 0; i < g->good.n; i++) {
        if ((i + 1 < g->good.n && same_name(&x[i], &x[i + 1])) || !ends_soon(&x[i], g->now, days))
            continue;
        if (add_row(l, &x[i], g->now, e) != 0)
            return -1;
        ++*n;
    }
    return 0;
}

static int run(struct cli *c, struct err *e)
{
    static const char *const heads[] = {"NAME", "ISSUED BY", "UNTIL", "DAYS"};
    struct gather g = {.now = time(NULL), .e = e};
    struct authority *a = NULL;
    struct listing *l = NULL;
    unsigned days;
    size_t n = 0;
    int rc = -1;

    if (cli_number(c, "days", 1, 3650, 30, &days, e) != 0)
        return -1;
    if ((l = listing_new(c, heads, ARRAY_LEN(heads), e)) == NULL ||
        authority_open(&a, cli_option(c, "dir"), true, NULL, NULL, e) != 0 ||
        registry_certs(authority_registry(a), &(struct registry_wanted){0}, add_good, &g, e) != 0 ||
        g.failed || list_ending(&g, days, l, &n, e) != 0 ||
        listing_print(l, "Nothing ends in that time without another in its place.", e) != 0)
        goto out;
    /* For scripts: exit code 1. */
    rc = n == 0 ? 0
                : err_set(e, E_DATA, "%zu certificate%s within %u days", n,
                          n == 1 ? " ends" : "s end", days);
out:
    recall_free(&g.good);
    listing_free(l);
    authority_close(a);
    return rc;
}

const struct cli_command cmd_ca_expiring = {
    .group = "ca",
    .name = "expiring",
    .shared = CLI_JSON,
    .options = options,
    .summary = "list what ends soon and has no successor",
    .about =
        "Lists the certificates that are good now and end within the time, those of the CAs "
        "and the cross-certificates too, unless a later one of the same name and issuer is "
        "good; those that live for up to 30 days, in the second half of that. The exit code is "
        "0 when there are none, 1 when there are. Needs no PIN.",
    .examples = "fusetsu ca expiring --dir us-ca --days 14\n"
                "fusetsu ca expiring --dir us-ca --days 14 --json",
    .run = run,
};
