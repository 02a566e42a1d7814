/* A quote alone, in the form of tpm2-tools: for verifiers that are not ours. */
#include "cli/commands.h"
#include "cli/enrolment.h"
#include "cli/out.h"
#include "cli/place.h"
#include "core/file.h"

#include <stdio.h>
#include <string.h>

static const struct cli_option options[] = {
    {"pcrs", "LIST", "which PCRs, e.g. sha256:0,2,4,7", true},
    {"nonce", "HEX", "what the verifier drew, 8 to 64 bytes", true},
    {"ek", "FILE", "the certificate of this TPM's endorsement key, where the TPM has none", false},
    {"message", "FILE", "where to write the TPMS_ATTEST", true},
    {"signature", "FILE", "where to write the TPMT_SIGNATURE", true},
    {0},
};

static int write_both(struct cli *c, const struct evidence_signed *q, struct err *e)
{
    if (file_write(cli_option(c, "message"), buf_bytes(&q->attest), 0644, e) != 0)
        return -1;
    return file_write(cli_option(c, "signature"), buf_bytes(&q->signature), 0644, e);
}

/* The values as `tpm2_pcrread` prints them. */
static void show(const struct key_pcrs *which, const struct buf *values)
{
    struct reader r = reader_of(values->p, values->len);
    const struct alg_hash *h = alg_hash_of(which->hash);

    printf("%s:\n", h->name);
    for (unsigned i = 0; i < 24; i++) {
        char hex[2 * ALG_MAX_DIGEST + 1];
        struct bytes v;

        if ((which->select[i / 8] >> (i % 8) & 1) == 0)
            continue;
        v = reader_2b(&r);
        hex_encode(hex, v.p, v.len <= ALG_MAX_DIGEST ? v.len : 0);
        printf("  %-2u: 0x%s\n", i, hex);
    }
}

static int run(struct cli *c, struct err *e)
{
    const char *hex = cli_option(c, "nonce");
    uint8_t nonce[EVIDENCE_NONCE_MAX];
    struct evidence_signed q = {.attest = {0}};
    struct store_key ak = {.token = 0};
    struct place at = {0};
    struct key_pcrs which;
    size_t n = strlen(hex) / 2;
    uint32_t ek;
    int rc = -1;

    if (n < EVIDENCE_NONCE_MIN || n > sizeof(nonce) || hex_decode(nonce, n, hex) != 0)
        return cli_misuse(e, "--nonce is %d to %d bytes in hex", EVIDENCE_NONCE_MIN,
                          EVIDENCE_NONCE_MAX);
    if (enrolment_pcrs(cli_option(c, "pcrs"), &which, e) != 0)
        return -1;
    if (place_login(c, &at, NULL, e) == 0 &&
        enrolment_template(at.tpm, cli_option(c, "ek"), &ek, e) == 0 &&
        attest_ak(at.token, ek, &ak, e) == 0 &&
        attest_quote(at.token, &ak, bytes_of(nonce, n), &which, &q, e) == 0 &&
        write_both(c, &q, e) == 0) {
        show(&which, &q.about);
        rc = 0;
    }
    buf_free(&q.attest);
    buf_free(&q.signature);
    buf_free(&q.about);
    store_key_free(&ak);
    place_close(&at);
    return rc;
}

const struct cli_command cmd_attest_quote = {
    .group = "attest",
    .name = "quote",
    .shared = CLI_TOKEN | CLI_USER_PIN,
    .options = options,
    .summary = "let the TPM quote PCRs for a verifier's nonce",
    .about = "Writes a quote by the token's attestation key in the form of tpm2_quote(1), and "
             "prints the values. `fusetsu attest ak --out` gives the key that verifies it.",
    .examples = "fusetsu attest quote --token gateway --pcrs sha256:0,2,7 --nonce 6b1f0e0d9c8b7a69 "
                "--message quote.msg --signature quote.sig",
    .run = run,
};
