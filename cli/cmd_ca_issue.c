#include "ca/enrol.h"
#include "cli/cakeys.h"
#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/verdict.h"
#include "core/file.h"
#include "core/oid.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"request", "FILE", "the applicant's request", true},
    {"out", "FILE", "where to write the sealed credential; - is standard output", true},
    {0},
};

static int report_json(struct cli *c, const struct enrol_outcome *o, struct err *e)
{
    json_t *doc = json_pack("{s:b,s:o}", "issued", o->cert != NULL ? 1 : 0, "verdict",
                            o->judged ? verdict_json(&o->verdict) : json_null());

    if (doc != NULL && o->invited &&
        (json_object_set_new(doc, "subject", out_json_text(o->invitation.subject)) != 0 ||
         json_object_set_new(doc, "community",
                             json_string(oid_community_name(o->invitation.community))) != 0 ||
         json_object_set_new(doc, "level", json_integer(o->invitation.level)) != 0)) {
        json_decref(doc);
        doc = NULL;
    }
    return cli_json(c, doc, e);
}

static void say_issued(FILE *f, const struct enrol_outcome *o)
{
    char until[CERTS_TEXT];

    certs_time(X509_get0_notAfter(o->cert), until);
    fprintf(f, "Issued to ");
    out_text(f, o->invitation.subject);
    fprintf(f, ": %s, level %u, until %s.\n", oid_community_name(o->invitation.community),
            o->invitation.level, until);
    fprintf(f, "Every check of its evidence passed. Only the TPM that asked can open the file.\n");
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
static int finish(struct cli *c, const struct enrol_outcome *o, struct bytes pem, struct err *e)
{
    FILE *f = strcmp(cli_option(c, "out"), "-") == 0 ? stderr : stdout;

    if (o->cert != NULL && file_write(cli_option(c, "out"), pem, 0644, e) != 0)
        return -1;
    if (cli_flag(c, "json"))
        return report_json(c, o, e);
    if (o->cert != NULL)
        say_issued(f, o);
    else
        say_refused(f, o);
    return 0;
}

static int run(struct cli *c, struct err *e)
{
    struct enrol_outcome o = {0};
    struct authority *a = NULL;
    struct buf in = {0}, pem = {0};
    struct cakeys *keys = NULL;
    struct err printing = {0};
    int rc = -1;

    if (cli_flag(c, "json") && strcmp(cli_option(c, "out"), "-") == 0)
        return cli_misuse(e, "--json and --out - would both write to standard output");
    /* Asked first: the invitation is used up before the credential is written. */
    if (file_probe(cli_option(c, "out"), e) != 0 ||
        file_read(cli_option(c, "request"), 2 * EVIDENCE_MAX, &in, e) != 0 ||
        (keys = cakeys_new(c, e)) == NULL ||
        authority_open(&a, cli_option(c, "dir"), false, cakeys_signer, keys, e) != 0)
        goto out;
    rc = enrol_pem(a, buf_bytes(&in), time(NULL), &o, &pem, e);
    if ((rc == 0 || e->code == E_REJECTED) && finish(c, &o, buf_bytes(&pem), &printing) != 0) {
        /* A refusal stays the reason of the exit code, whatever befell its report. */
        rc = err_set(e, printing.code, "%s", printing.msg);
    }
out:
    enrol_free(&o);
    authority_close(a);
    cakeys_free(keys);
    buf_free(&in);
    buf_free(&pem);
    return rc;
}

const struct cli_command cmd_ca_issue = {
    .group = "ca",
    .name = "issue",
    .shared = CLI_USER_PIN | CLI_JSON,
    .options = options,
    .summary = "judge a request and issue a certificate",
    .about = "Runs every check on the request's evidence and issues only when all pass; a refusal "
             "prints each check that failed and why, and exits with 6. The certificate comes "
             "sealed: only the TPM that made the request can open it. The invitation is used up "
             "either way.",
    .examples = "fusetsu ca issue --dir us-ca --request gw.request --out gw.sealed\n"
                "fusetsu ca issue --dir us-ca --request gw.request --pin-file ca.pin --json "
                "--out gw.sealed",
    .run = run,
};
