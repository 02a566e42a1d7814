/* Chromium: the module is in the user's database of NSS; which certificate goes to which site is a
 * policy of the system. */
#include "cli/commands.h"
#include "cli/setup/setup.h"
#include "core/file.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLICY "AutoSelectCertificateForUrls"
#define POLICY_FILE "fusetsu.json"
#define POLICY_MAX ((size_t)1 << 20)

/* Where Chromium and its kin read policies; the first is written in any case. */
static const char *const managed[] = {
    "/etc/chromium/policies/managed",
    "/etc/opt/chrome/policies/managed",
};

static int no_memory(struct err *e)
{
    return err_set(e, E_MEMORY, "out of memory for a plan");
}

/* --- the system: which certificate goes where ----------------------------------------------- */

/* Of two files with the same policy Chromium takes one: ours must be the only one. */
static int only_ours(const char *dir, struct err *e)
{
    struct buf pattern = {0}, text = {0};
    glob_t g = {0};
    int rc = 0;

    buf_printf(&pattern, "%s/*.json", dir);
    if (buf_cstr(&pattern) == NULL)
        return no_memory(e);
    (void)glob((const char *)pattern.p, 0, NULL, &g);
    for (size_t i = 0; rc == 0 && i < g.gl_pathc; i++) {
        json_t *doc;

        if (strcmp(strrchr(g.gl_pathv[i], '/') + 1, POLICY_FILE) == 0)
            continue;
        buf_free(&text);
        if (file_read(g.gl_pathv[i], POLICY_MAX, &text, e) != 0) {
            rc = -1;
            break;
        }
        doc = json_loadb((const char *)text.p, text.len, 0, NULL);
        if (json_object_get(doc, POLICY) != NULL)
            rc = err_set(e, E_EXISTS,
                         "%s has the policy " POLICY " already, and Chromium takes it from one "
                         "file only; add the site there",
                         g.gl_pathv[i]);
        json_decref(doc);
    }
    globfree(&g);
    buf_free(&pattern);
    buf_free(&text);
    return rc;
}

/* One row of the policy is a string that is JSON itself. */
static json_t *row(const char *pattern, size_t len, const char *issuer)
{
    json_t *filter = issuer == NULL ? json_object()
                                    : json_pack("{s:{s:s}}", "ISSUER", "CN", issuer);
    json_t *one = json_pack("{s:s%,s:o}", "pattern", pattern, len, "filter", filter), *out;
    char *text = one != NULL ? json_dumps(one, JSON_COMPACT) : NULL;

    out = text != NULL ? json_string(text) : NULL;
    free(text);
    json_decref(one);
    return out;
}

static int content(struct setup *s, struct buf *out, struct err *e)
{
    const char *url = cli_option(setup_cli(s), "url"), *issuer = cli_option(setup_cli(s), "issuer");
    json_t *rows = json_array(), *doc = json_pack("{s:O}", POLICY, rows);
    char *text = NULL;

    for (size_t n; *url != 0; url += url[n] == ',' ? n + 1 : n) {
        n = strcspn(url, ",");
        if (n != 0)
            (void)json_array_append_new(rows, row(url, n, issuer));
    }
    if (json_array_size(rows) != 0 && doc != NULL)
        text = json_dumps(doc, JSON_INDENT(2));
    if (text != NULL)
        buf_printf(out, "%s\n", text);
    free(text);
    json_decref(rows);
    json_decref(doc);
    return out->len != 0 ? buf_ok(out, e) : err_set(e, E_USAGE, "--url names no site");
}

static int plan_system(struct setup *s, struct err *e)
{
    struct buf text = {0}, path = {0};
    int rc = -1;

    if (cli_option(setup_cli(s), "url") == NULL)
        return err_set(e, E_USAGE,
                       "the system has no place for Chromium's module, only for the policy of "
                       "--url; use --user, or run it as the user who browses");
    if (content(s, &text, e) != 0)
        goto out;
    for (size_t i = 0; i < ARRAY_LEN(managed); i++) {
        if (i != 0 && access(managed[i], F_OK) != 0)
            continue;
        buf_free(&path);
        buf_printf(&path, "%s/" POLICY_FILE, managed[i]);
        if (buf_cstr(&path) == NULL) {
            no_memory(e);
            goto out;
        }
        if (only_ours(managed[i], e) != 0 ||
            setup_file(s, (const char *)path.p, 0644, buf_bytes(&text), e) != 0)
            goto out;
    }
    setup_say(s,
              "Chromium follows it at once; chrome://policy shows it. Each user who shall have the "
              "module runs `fusetsu setup chromium`.");
    rc = 0;
out:
    buf_free(&text);
    buf_free(&path);
    return rc;
}

/* --- a user: the module ------------------------------------------------------------------------ */

static int plan_user(struct setup *s, struct err *e)
{
    struct buf dir = {0};
    int rc = -1;

    if (cli_option(setup_cli(s), "url") != NULL)
        return err_set(e, E_USAGE, "the policy of --url is one of the system; become root");
    if (setup_home_path(s, &dir, ".pki/nssdb", e) == 0 && setup_nss(s, (const char *)dir.p, e) == 0)
        rc = 0;
    setup_say(
        s, "End Chromium before, and start it then; where a site wants a certificate it asks for "
           "the PIN and offers what the tokens have.");
    buf_free(&dir);
    return rc;
}

static int plan(struct setup *s, struct err *e)
{
    if (cli_option(setup_cli(s), "issuer") != NULL && cli_option(setup_cli(s), "url") == NULL)
        return err_set(e, E_USAGE, "--issuer goes with --url");
    return setup_is_system(s) ? plan_system(s, e) : plan_user(s, e);
}

static int run(struct cli *c, struct err *e)
{
    static const struct setup_app app = {
        .name = "chromium", .scopes = SETUP_USER | SETUP_SYSTEM, .plan = plan};

    return setup_run(c, &app, e);
}

static const struct cli_option options[] = {
    {"url", "PATTERN[,...]", "as root: sites that get a certificate without asking which one",
     false},
    {"issuer", "CN", "with --url: one of this authority's certificates", false},
    {NULL, NULL, NULL, false},
};

const struct cli_command cmd_setup_chromium = {
    .group = "setup",
    .name = "chromium",
    .shared = CLI_SETUP | CLI_SCOPE | CLI_JSON,
    .options = options,
    .summary = "let Chromium use keys and certificates of the tokens",
    .about = "Adds the module to the database that this user's Chromium reads (~/.pki/nssdb), by "
             "NSS's modutil. As root with --url, writes the policy by which Chromium chooses a "
             "certificate for a site by itself.",
    .examples = "fusetsu setup chromium\n"
                "fusetsu setup chromium --url 'https://[*.]example.org' --issuer 'Example CA'",
    .run = run,
};
