#include "ca/enrol.h"
#include "cli/cakeys.h"
#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/granted.h"
#include "cli/issue_all.h"
#include "cli/out.h"
#include "cli/verdict.h"
#include "core/file.h"
#include "core/oid.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"request", "FILE", "the applicant's request", false},
    {"requests", "DIR", "instead: every file in DIR whose name ends in .request", false},
    {"out", "PATH",
     "where to write the sealed credential; - is standard output; with --requests a directory",
     true},
    {0},
};

static int report_json(struct cli *c, struct authority *a, const struct enrol_outcome *o,
                       struct err *e)
{
    json_t *doc = json_pack("{s:b,s:b,s:o}", "issued", o->cert != NULL ? 1 : 0, "again",
                            o->again ? 1 : 0, "verdict",
                            o->judged ? verdict_json(&o->verdict) : json_null());

    if (doc != NULL && o->invited &&
        (json_object_set_new(doc, "subject", out_json_text(o->invitation.subject)) != 0 ||
         json_object_set_new(doc, "community",
                             json_string(oid_community_name(o->invitation.community))) != 0 ||
         json_object_set_new(doc, "level", json_integer(o->invitation.level)) != 0 ||
         granted_json(doc, authority_clearances(a), &o->invitation.grant, e) != 0)) {
        json_decref(doc);
        doc = NULL;
    }
    return cli_json(c, doc, e);
}

static void say_issued(FILE *f, struct authority *a, const struct enrol_outcome *o)
{
    const struct registry_invitation *i = &o->invitation;
    struct buf what = {0};
    char until[CERTS_TEXT];

    certs_time(X509_get0_notAfter(o->cert), until);
    fprintf(f, o->again ? "Was issued before to " : "Issued to ");
    out_text(f, i->subject);
    granted_text(authority_clearances(a), &i->grant, &what);
    fprintf(f, ": %s, level %u, until %s; ", oid_community_name(i->community), i->level, until);
    out_text(f, buf_cstr(&what) != NULL ? buf_cstr(&what) : i->grant.profile);
    fprintf(f, ".\n");
    buf_free(&what);
    fprintf(f, "%s Only the TPM that asked can open the file.\n",
            o->again ? "It is the same certificate, sealed once more."
                     : "Every check of its evidence passed.");
}

static void say_refused(FILE *f, const struct enrol_outcome *o)
{
    if (!o->judged)
        return;
    fprintf(f, "Refused%s", o->invited ? ": " : "");
    if (o->invited)
        out_text(f, o->invitation.subject);
    fprintf(f, ". Nothing was issued.\n");
    verdict_print_failures(f, &o->verdict);
}

/* The certificate itself is written nowhere but into the sealed file: until a TPM has opened
 * that, nothing proves that the attestation key is in one.
 * Says what came out, on standard error where the credential goes to standard output. */
static int finish(struct cli *c, struct authority *a, const struct enrol_outcome *o,
                  struct bytes pem, struct err *e)
{
    FILE *f = strcmp(cli_option(c, "out"), "-") == 0 ? stderr : stdout;

    if (o->cert != NULL && file_write(cli_option(c, "out"), pem, 0644, e) != 0)
        return -1;
    if (cli_flag(c, "json"))
        return report_json(c, a, o, e);
    if (o->cert != NULL)
        say_issued(f, a, o);
    else
        say_refused(f, o);
    return 0;
}

static int issue_one(struct cli *c, struct authority *a, struct bytes request, struct err *e)
{
    struct enrol_outcome o = {0};
    struct buf pem = {0};
    struct err printing = {0};
    int rc = enrol_pem(a, request, time(NULL), &o, &pem, e);

    /* The authority's own fault is no verdict on the request. */
    if ((rc == 0 || (o.refused && e->code == E_REJECTED)) &&
        finish(c, a, &o, buf_bytes(&pem), &printing) != 0) {
        /* A refusal stays the reason of the exit code, whatever befell its report. */
        rc = err_set(e, printing.code, "%s", printing.msg);
    }
    enrol_free(&o);
    buf_free(&pem);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    const char *request = cli_option(c, "request"), *requests = cli_option(c, "requests");
    const char *out = cli_option(c, "out");
    struct authority *a = NULL;
    struct buf in = {0};
    struct cakeys *keys = NULL;
    int rc = -1;

    if ((request == NULL) == (requests == NULL))
        return cli_misuse(e, "name one request with --request, or a directory with --requests");
    if (requests != NULL && strcmp(out, "-") == 0)
        return cli_misuse(e, "with --requests, --out is a directory");
    if (cli_flag(c, "json") && strcmp(out, "-") == 0)
        return cli_misuse(e, "--json and --out - would both write to standard output");
    /* Asked first, before anything is done that the file would be the answer to. */
    if ((request != NULL &&
         (file_probe(out, e) != 0 || file_read(request, 2 * EVIDENCE_MAX, &in, e) != 0)) ||
        (keys = cakeys_new(c, e)) == NULL ||
        authority_open(&a, cli_option(c, "dir"), false, cakeys_signer, keys, e) != 0)
        goto out;
    rc = request != NULL ? issue_one(c, a, buf_bytes(&in), e) : issue_all(c, a, requests, out, e);
out:
    authority_close(a);
    cakeys_free(keys);
    buf_free(&in);
    return rc;
}

const struct cli_command cmd_ca_issue = {
    .group = "ca",
    .name = "issue",
    .shared = CLI_USER_PIN | CLI_JSON,
    .options = options,
    .summary = "judge requests and issue certificates",
    .about = "Runs every check on the request's evidence and issues only when all pass; a refusal "
             "prints each check that failed and why, and exits with 6. The certificate comes "
             "sealed: only the TPM that made the request can open it. The invitation is used up "
             "either way; but the same request may come again, and is given the same certificate, "
             "so a command that was interrupted is simply repeated. With --requests each "
             "NAME.request gives NAME.sealed or NAME.refused, those that are answered are passed "
             "over, and the exit code is 6 when any was refused.",
    .examples = "fusetsu ca issue --dir us-ca --request gw.request --out gw.sealed\n"
                "fusetsu ca issue --dir us-ca --request gw.request --pin-file ca.pin --json "
                "--out gw.sealed\n"
                "fusetsu ca issue --dir us-ca --requests asked --out answered",
    .run = run,
};
