#include "cli/commands.h"
#include "cli/recall.h"

#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"reason", "REASON",
     "one of keyCompromise, cACompromise, affiliationChanged, superseded, cessationOfOperation, "
     "privilegeWithdrawn, unspecified",
     true},
    {"invalid-since", "TIME",
     "since when the key is known to have been bad, e.g. 2027-02-01 or 2027-02-01T12:00:00Z",
     false},
    RECALL_OPTIONS,
    {0},
};

struct why {
    unsigned reason;
    int64_t now, invalid_at;
};

static int parse_time(const char *text, int64_t now, int64_t *out, struct err *e)
{
    static const char *const forms[] = {"%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"};

    if (text == NULL)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct tm tm = {0};
        const char *end = strptime(text, forms[i], &tm);

        if (end == NULL || *end != 0)
            continue;
        *out = (int64_t)timegm(&tm);
        if (*out > 0 && *out <= now)
            return 0;
        return cli_misuse(e, "--invalid-since is a time in the past");
    }
    return cli_misuse(e, "--invalid-since is like 2027-02-01 or 2027-02-01T12:00:00Z");
}

static int revoke(struct registry *r, const struct registry_cert *c, void *ctx, struct err *e)
{
    const struct why *w = ctx;

    return registry_revoke(r, c->id, w->reason, w->now, w->invalid_at, e);
}

static int run(struct cli *c, struct err *e)
{
    struct why w = {.now = time(NULL)};
    struct authority *a = NULL;
    struct recall list = {0};
    int rc = -1;

    if (!registry_reason_named(cli_option(c, "reason"), &w.reason))
        return cli_misuse(e, "there is no reason \"%.40s\"; --help lists them",
                          cli_option(c, "reason"));
    if (parse_time(cli_option(c, "invalid-since"), w.now, &w.invalid_at, e) != 0)
        return -1;
    if (authority_open(&a, cli_option(c, "dir"), cli_flag(c, "dry-run"), NULL, NULL, e) != 0 ||
        recall_pick(c, authority_registry(a), 1u << REGISTRY_GOOD | 1u << REGISTRY_SUSPENDED, &list,
                    e) != 0)
        goto out;
    if (!cli_flag(c, "dry-run") && recall_change(authority_registry(a), &list, revoke, &w, e) != 0)
        goto out;
    rc = recall_report(c, &list, "revoked", true,
                       json_pack("{s:s}", "reason", registry_reason_name(w.reason)), e);
out:
    recall_free(&list);
    authority_close(a);
    return rc;
}

const struct cli_command cmd_ca_revoke = {
    .group = "ca",
    .name = "revoke",
    .args = "[SERIAL]",
    .max_args = 1,
    .shared = CLI_JSON,
    .options = options,
    .summary = "revoke certificates, for good",
    .about =
        "Revokes one certificate, or all that a name has: of its issuing CA, of the Cross CA, of "
        "any CA of the authority. There is no way back; what may come back is suspended. It "
        "is not known to anybody before the next CRL or OCSP answer. Needs no PIN.",
    .examples =
        "fusetsu ca revoke --dir us-ca --name gw.us.example --reason keyCompromise --dry-run\n"
        "fusetsu ca revoke --dir us-ca 4a6f1c --reason superseded",
    .run = run,
};
