/* Evidence on a key for whoever gave a nonce, without an authority's invitation. */
#include "cli/commands.h"
#include "cli/enrolment.h"
#include "cli/out.h"
#include "core/file.h"

#include <stdio.h>
#include <string.h>

static const struct cli_option options[] = {
    {"label", "TEXT", "the key's label", false},
    {"id", "HEX", "the key's id", false},
    {"name", "DNS", "the name that stands in the request", true},
    {"nonce", "HEX", "what the verifier drew, 8 to 64 bytes", true},
    {"pcrs", "LIST", "let the TPM quote these PCRs, e.g. sha256:0,2,4,7", false},
    {"ek", "FILE", "the certificate of this TPM's endorsement key, where the TPM has none", false},
    {"ek-chain", "FILE", "certificates between the EK certificate and the pinned issuer", false},
    {"out", "FILE", "where to write the evidence; - is standard output", true},
    {0},
};

static int read_params(struct cli *c, struct enrolment *p, struct err *e)
{
    const char *hex = cli_option(c, "nonce"), *name = cli_option(c, "name");
    size_t n = strlen(hex) / 2;

    if (n < EVIDENCE_NONCE_MIN || n > EVIDENCE_NONCE_MAX ||
        hex_decode(p->invite.nonce, n, hex) != 0)
        return cli_misuse(e, "--nonce is %d to %d bytes in hex", EVIDENCE_NONCE_MIN,
                          EVIDENCE_NONCE_MAX);
    p->invite.nonce_len = n;
    if (strlen(name) >= sizeof(p->invite.subject))
        return cli_misuse(e, "--name is too long");
    memcpy(p->invite.subject, name, strlen(name) + 1);
    return enrolment_pcrs(cli_option(c, "pcrs"), &p->wanted.quote, e);
}

static int run(struct cli *c, struct err *e)
{
    struct keyring_object key = {0};
    struct enrolment p = {.n_ek = 0};
    struct keyring *k = NULL;
    struct token *t = NULL;
    struct buf pem = {0};
    int rc = -1;

    if (read_params(c, &p, e) != 0)
        return -1;
    if (keyring_open(&k, c, KEYRING_LOGIN, e) == 0 && keyring_token(k, &t, e) == 0 &&
        keyring_choose(k, c, CKO_PRIVATE_KEY, "label", &key, e) == 0 &&
        enrolment_prepare(t, cli_option(c, "ek"), cli_option(c, "ek-chain"), &p, e) == 0 &&
        enrolment_finish(c, k, &key, false, &p, &pem, e) == 0)
        rc = file_write(cli_option(c, "out"), buf_bytes(&pem), 0644, e);
    if (rc == 0)
        out_para(
            strcmp(cli_option(c, "out"), "-") == 0 ? stderr : stdout,
            "Evidence on the key \"%s\" is written; `fusetsu attest check` judges it anywhere.",
            key.label);
    keyring_object_free(&key);
    enrolment_free(&p);
    keyring_close(k);
    buf_free(&pem);
    return rc;
}

const struct cli_command cmd_attest_key = {
    .group = "attest",
    .name = "key",
    .shared = CLI_TOKEN | CLI_USER_PIN,
    .options = options,
    .summary = "prove where a key lives to whoever drew a nonce",
    .about = "Lets the TPM certify where a key lives and writes one file with that evidence, the "
             "endorsement certificate and a certification request: what `fusetsu request` answers "
             "an invitation with, for any verifier. The attestation key's certificate goes along "
             "when the token was enrolled before; without it the evidence proves less. It holds no "
             "secret.",
    .examples = "fusetsu attest key --token gateway --label tls --name gw.us.example "
                "--nonce 6b1f0e0d9c8b7a69 --out tls.evidence",
    .run = run,
};
