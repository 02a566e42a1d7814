/* Judges evidence that `attest key` made: no TPM, no authority. */
#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/rules.h"
#include "cli/verdict.h"
#include "core/csr.h"
#include "core/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
    {"nonce", "HEX", "what was drawn for it", true},
    {"ek-pins", "FILE", "certificates of the EK issuers that are trusted", true},
    {"ak-roots", "FILE", "roots, and what is between, of the attestation key's certificate", false},
    {"name", "DNS", "the name that it shall be for", false},
    RULES_OPTIONS(""),
    {0},
};

struct inputs {
    struct evidence_request request;
    struct require require;
    STACK_OF(X509) * roots;
    uint8_t nonce[EVIDENCE_NONCE_MAX];
    size_t nonce_len;
};

static void free_inputs(struct inputs *in)
{
    evidence_request_free(&in->request);
    require_free(&in->require);
    certs_free(in->roots);
}

static int read_request(const char *path, struct evidence_request *out, struct err *e)
{
    struct buf text = {0};
    int rc = -1;

    if (file_read(path, 2 * EVIDENCE_MAX, &text, e) == 0)
        rc = evidence_request_from_pem(buf_bytes(&text), out, e);
    buf_free(&text);
    return rc;
}

static int read_inputs(struct cli *c, struct inputs *in, struct err *e)
{
    const char *hex = cli_option(c, "nonce"), *roots = cli_option(c, "ak-roots");

    in->nonce_len = strlen(hex) / 2;
    if (in->nonce_len < EVIDENCE_NONCE_MIN || in->nonce_len > EVIDENCE_NONCE_MAX ||
        hex_decode(in->nonce, in->nonce_len, hex) != 0)
        return cli_misuse(e, "--nonce is %d to %d bytes in hex", EVIDENCE_NONCE_MIN,
                          EVIDENCE_NONCE_MAX);
    if (read_request(cli_arg(c, 0), &in->request, e) != 0 ||
        (roots != NULL && certs_read(roots, &in->roots, e) != 0) ||
        rules_read(c, &in->require, e) != 0)
        return -1;
    return 0;
}

static int judge(struct cli *c, const struct inputs *in, struct evidence_verdict *v, struct err *e)
{
    struct evidence_terms t = {
        .now = time(NULL),
        .nonce = bytes_of(in->nonce, in->nonce_len),
        .nonce_state = EVIDENCE_NONCE_FRESH, /* the caller's word: it is he who drew it */
        .subject = cli_option(c, "name"),
        .profile = evidence_profile_signing(csr_is_rsa(in->request.csr)),
        .ak_roots = in->roots,
        .ak_untrusted = in->roots,
    };

    require_into(&in->require, &t);
    return evidence_check_request(&in->request, &t, v, e);
}

static int run(struct cli *c, struct err *e)
{
    struct inputs in = {.nonce_len = 0};
    struct evidence_verdict v;
    int rc = -1;

    if (read_inputs(c, &in, e) == 0 && judge(c, &in, &v, e) == 0) {
        rc = 0;
        if (cli_flag(c, "json"))
            rc = cli_json(c, verdict_json(&v), e);
        else
            verdict_print(stdout, &v);
        if (rc == 0)
            rc = evidence_check_verdict(&v, e);
    }
    free_inputs(&in);
    return rc;
}

const struct cli_command cmd_attest_check = {
    .group = "attest",
    .name = "check",
    .args = "FILE",
    .min_args = 1,
    .max_args = 1,
    .shared = CLI_JSON,
    .options = options,
    .summary = "judge what `attest key` wrote, for the nonce that was drawn for it",
    .about = "Judges evidence on a key by every rule, without TPM and without authority. Whoever "
             "drew the nonce knows whether it is fresh: draw one for each question. That the "
             "attestation key is in a TPM is proven by its certificate, which leads to --ak-roots.",
    .examples = "fusetsu attest check tls.evidence --nonce 6b1f0e0d9c8b7a69 --ek-pins makers.pem "
                "--ak-roots us-root.pem",
    .run = run,
};
