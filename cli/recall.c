#include "cli/recall.h"

#include "ca/registry_ssh.h"
#include "cli/caname.h"
#include "cli/out.h"
#include "core/oid.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void recall_free(struct recall *r)
{
    free(r->cert);
    *r = (struct recall){0};
}

int recall_add(struct recall *r, const struct registry_cert *c, struct err *e)
{
    struct registry_cert *more = realloc(r->cert, (r->n + 1) * sizeof(*more));

    if (more == NULL)
        return err_set(e, E_MEMORY, "out of memory for a list of certificates");
    r->cert = more;
    r->cert[r->n] = *c;
    r->cert[r->n++].der = (struct bytes){NULL, 0};
    return 0;
}

/* --- which ------------------------------------------------------------------------------------ */

struct search {
    struct recall *out;
    unsigned states;
    int64_t now;
    bool ended, other; /* there were some, past their end or in another state */
    enum registry_state state;
    struct err *e;
    bool failed;
};

static bool look_at(void *ctx, const struct registry_cert *c)
{
    struct search *s = ctx;

    if (c->expires_at <= s->now) {
        s->ended = true;
    } else if ((s->states & (1u << c->status.state)) == 0) {
        s->other = true;
        s->state = c->status.state;
    } else {
        s->failed = recall_add(s->out, c, s->e) != 0;
    }
    return !s->failed;
}

/* "40:A1:..." as the registry has it. */
static int plain_serial(const char *text, char out[43], struct err *e)
{
    size_t n = 0;

    for (const char *p = text; *p != 0; p++) {
        if (*p == ':')
            continue;
        if (!isxdigit((unsigned char)*p) || n == 42)
            return cli_misuse(e, "\"%.50s\" is no serial number; `fusetsu ca list --json` has them",
                              text);
        out[n++] = (char)tolower((unsigned char)*p);
    }
    out[n] = 0;
    return n > 0 ? 0 : cli_misuse(e, "the serial number is empty");
}

static int look_for_ssh(struct registry *r, struct recall *list, int64_t now, struct err *e)
{
    for (size_t i = 0; i < list->n; i++) {
        int any = registry_ssh_on(r, list->cert[i].id, now, e);

        if (any < 0)
            return -1;
        if (any == 1)
            list->ssh |= 1u << list->cert[i].community;
    }
    return 0;
}

int recall_pick(struct cli *c, struct registry *r, unsigned states, struct recall *out,
                struct err *e)
{
    struct registry_wanted w = {.subject = cli_option(c, "name")};
    struct search s = {.out = out, .states = states, .now = time(NULL), .e = e};
    char serial[43];

    if ((cli_n_args(c) == 1) == (w.subject != NULL))
        return cli_misuse(e, "name the certificate by its serial number, or by --name");
    if (cli_n_args(c) == 1) {
        if (plain_serial(cli_arg(c, 0), serial, e) != 0)
            return -1;
        w.serial = serial;
    }
    if (registry_certs(r, &w, look_at, &s, e) != 0 || s.failed)
        return -1;
    if (out->n != 0)
        return look_for_ssh(r, out, s.now, e);
    if (s.other)
        return err_set(e, E_REJECTED, "it is %s%s", registry_state_name(s.state),
                       s.state == REGISTRY_REVOKED ? " already, for good" : "");
    return err_set(e, E_NOT_FOUND, "%s; `fusetsu ca list --json` shows what was issued",
                   s.ended ? "it has ended by itself" : "the authority issued no such certificate");
}

int recall_change(struct registry *r, const struct recall *list, recall_change_fn change, void *ctx,
                  struct err *e)
{
    if (registry_begin(r, e) != 0)
        return -1;
    for (size_t i = 0; i < list->n; i++) {
        if (change(r, &list->cert[i], ctx, e) != 0) {
            registry_rollback(r);
            return -1;
        }
    }
    return registry_commit(r, e);
}

/* --- what was done ----------------------------------------------------------------------------- */

static json_t *row_json(const struct registry_cert *c)
{
    char until[OUT_TIME], day[OUT_DAY];

    out_time(c->expires_at, until, day);
    return json_pack("{s:s,s:o,s:s,s:s?,s:s,s:s}", "serial", c->serial, "subject",
                     out_json_text(c->subject), "issuer", registry_role_name(c->issuer),
                     "community", oid_community_name(c->community), "expires_at", until, "was",
                     registry_state_name(c->status.state));
}

static int report_json(struct cli *c, const struct recall *list, const char *done, json_t *more,
                       struct err *e)
{
    json_t *array = json_array();
    json_t *doc = json_pack("{s:b,s:s,s:o}", "dry_run", cli_flag(c, "dry-run"), "done", done,
                            "certificates", array);
    bool ok = doc != NULL;

    for (size_t i = 0; ok && i < list->n; i++)
        ok = json_array_append_new(array, row_json(&list->cert[i])) == 0;
    if (ok && more != NULL)
        ok = json_object_update(doc, more) == 0;
    if (!ok) {
        json_decref(doc);
        doc = NULL;
    }
    return cli_json(c, doc, e);
}

static int print_table(const struct recall *list, struct err *e)
{
    static const char *const heads[] = {"SERIAL", "NAME", "ISSUED BY", "UNTIL"};
    struct out_table *t = out_table_new(heads, ARRAY_LEN(heads), e);
    char until[OUT_TIME], day[OUT_DAY], by[CANAME_MAX];
    int rc = t != NULL ? 0 : -1;

    for (size_t i = 0; rc == 0 && i < list->n; i++) {
        const struct registry_cert *x = &list->cert[i];

        out_time(x->expires_at, until, day);
        caname_text(x->issuer, x->community, by);
        rc = out_table_row(t, (const char *[]){x->serial, x->subject, by, day}, e);
    }
    if (rc == 0)
        out_table_print(t, stdout);
    out_table_free(t);
    return rc;
}

/* The CRLs that tell the world, each once. */
static void say_crls(struct cli *c, const struct recall *list)
{
    char name[CANAME_MAX], before[CANAME_MAX] = "";

    printf("Relying parties learn of it by the next CRL:\n");
    for (size_t i = 0; i < list->n; i++) {
        caname_text(list->cert[i].issuer, list->cert[i].community, name);
        if (strcmp(name, before) != 0) {
            printf("  fusetsu ca crl --dir ");
            out_text(stdout, cli_option(c, "dir"));
            printf(" --for %s --out FILE\n", name);
        }
        memcpy(before, name, sizeof(before));
    }
}

/* Where certificates for SSH stand on them, what tells of those. */
static void say_ssh(struct cli *c, const struct recall *list)
{
    for (unsigned n = 1; n <= OID_COMMUNITIES; n++) {
        if ((list->ssh & 1u << n) == 0)
            continue;
        printf("Servers and clients of SSH learn of it by the next list:\n"
               "  fusetsu ca ssh-revoked --dir ");
        out_text(stdout, cli_option(c, "dir"));
        printf(" --community %s --out FILE\n", oid_community_name(n));
    }
}

int recall_report(struct cli *c, const struct recall *list, const char *done, bool crls,
                  json_t *more, struct err *e)
{
    bool dry = cli_flag(c, "dry-run");
    int rc = -1;

    if (cli_flag(c, "json")) {
        rc = report_json(c, list, done, more, e);
        goto out;
    }
    printf(dry ? "To be %s:\n" : "Now %s:\n", done);
    if (print_table(list, e) != 0)
        goto out;
    if (dry) {
        printf("Nothing was done.\n");
    } else if (crls) {
        say_crls(c, list);
        say_ssh(c, list);
    }
    rc = 0;
out:
    json_decref(more);
    return rc;
}

int recall_run(struct cli *c, unsigned states, recall_change_fn change, const char *done,
               struct err *e)
{
    struct authority *a = NULL;
    struct recall list = {0};
    int rc = -1;

    if (authority_open(&a, cli_option(c, "dir"), cli_flag(c, "dry-run"), NULL, NULL, e) == 0 &&
        recall_pick(c, authority_registry(a), states, &list, e) == 0 &&
        (cli_flag(c, "dry-run") ||
         recall_change(authority_registry(a), &list, change, NULL, e) == 0))
        rc = recall_report(c, &list, done, true, NULL, e);
    recall_free(&list);
    authority_close(a);
    return rc;
}
