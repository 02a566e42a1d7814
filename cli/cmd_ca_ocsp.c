#include "ca/ocsp.h"
#include "cli/cakeys.h"
#include "cli/caname.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "core/file.h"

#include <stdio.h>
#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"for", "CA", "root, cross, attestation, issuing:COMMUNITY or basic:COMMUNITY", true},
    {"presign", "DIR", "sign an answer for each of its certificates into this directory", false},
    {"respond", NULL, "answer one question: DER on standard input, the answer on output", false},
    {"from", "DIR", "with --respond: what --presign wrote, without any key", false},
    {0},
};

static int presign(struct cli *c, struct ocsp *o, struct err *e)
{
    const char *dir = cli_option(c, "presign");
    size_t n = 0;

    if (ocsp_presign(o, dir, time(NULL), &n, e) != 0)
        return -1;
    if (cli_flag(c, "json"))
        return cli_json(
            c, json_pack("{s:I,s:o}", "answers", (json_int_t)n, "directory", out_json_text(dir)),
            e);
    out_para(stdout, "%zu answer%s in %s, good for a day.", n, n == 1 ? " is" : "s are", dir);
    return 0;
}

static int respond(struct cli *c, struct ocsp *o, struct err *e)
{
    const char *from = cli_option(c, "from");
    struct buf request = {0}, response = {0};
    struct err why = {0}, writing = {0};
    int rc;

    /* What is too long is no question either. */
    if (file_read("-", OCSP_REQUEST_MAX, &request, &why) != 0 && why.code != E_FULL) {
        buf_free(&request);
        return err_take(e, &why);
    }
    if (why.code == E_FULL)
        request.len = 0;
    rc = from != NULL ? ocsp_lookup(o, from, buf_bytes(&request), time(NULL), &response, e)
                      : ocsp_answer(o, buf_bytes(&request), time(NULL), &response, e);
    if (response.len != 0 && file_write("-", buf_bytes(&response), 0644, &writing) != 0)
        rc = err_take(e, &writing);
    buf_free(&request);
    buf_free(&response);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    bool presigning = cli_option(c, "presign") != NULL, keyless = cli_option(c, "from") != NULL;
    struct registry_key key;
    struct authority *a = NULL;
    struct cakeys *keys = NULL;
    struct signer *signer = NULL;
    enum registry_role role;
    struct ocsp *o = NULL;
    struct buf der = {0};
    unsigned community;
    int rc = -1;

    if (caname_parse(cli_option(c, "for"), &role, &community, e) != 0)
        return -1;
    if (presigning == cli_flag(c, "respond") || (presigning && keyless))
        return cli_misuse(e, "say --presign DIR, or --respond, which --from DIR goes with");
    if (cli_flag(c, "json") && !presigning)
        return cli_misuse(e, "--json goes with --presign");
    if ((keys = cakeys_new(c, e)) == NULL ||
        authority_open(&a, cli_option(c, "dir"), true, NULL, NULL, e) != 0 ||
        registry_responder(authority_registry(a), role, community, &key, &der, e) != 0 ||
        (!keyless && cakeys_open(keys, &key, &signer, e) != 0) ||
        ocsp_open(&o, a, role, community, signer, time(NULL), e) != 0)
        goto out;
    rc = presigning ? presign(c, o, e) : respond(c, o, e);
out:
    ocsp_close(o);
    signer_free(signer);
    authority_close(a);
    cakeys_free(keys);
    buf_free(&der);
    return rc;
}

const struct cli_command cmd_ca_ocsp = {
    .group = "ca",
    .name = "ocsp",
    .shared = CLI_USER_PIN | CLI_JSON,
    .options = options,
    .summary = "answer for the status of certificates by OCSP",
    .about =
        "Answers for the certificates of one CA (RFC 6960) by the key that `fusetsu ca "
        "ocsp-responder` made: either beforehand for all of them, or one question. What an "
        "answer that was signed beforehand says is good for a day, what was signed when asked, "
        "with the nonce of the question, for an hour. With --from no key and no PIN is needed.",
    .examples =
        "fusetsu ca ocsp --dir us-ca --for issuing:communications --presign answers\n"
        "fusetsu ca ocsp --dir us-ca --for issuing:communications --respond <question >answer\n"
        "fusetsu ca ocsp --dir us-ca --for issuing:communications --respond --from answers "
        "<question >answer",
    .run = run,
};
