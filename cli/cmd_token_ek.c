#include "ca/issue.h"
#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/listing.h"
#include "cli/out.h"
#include "cli/place.h"
#include "core/ektemplate.h"
#include "core/file.h"
#include "tpm/attest.h"

#include <stdio.h>
#include <string.h>

static const struct cli_option options[] = {
    {"out", "FILE", "write the first of them here, as PEM, for `fusetsu ca invite --ek`", false},
    {0},
};

static int add(struct listing *l, const struct attest_ek *ek, struct err *e)
{
    char index[12], issuer[CERTS_TEXT] = "(not readable)", hex[65] = "-";
    const struct ektemplate *t = ektemplate_of(ek->index);
    struct err ignored = {0}; /* listed as not readable */
    X509 *cert = NULL;
    struct pubkey pub;
    uint8_t id[32];

    snprintf(index, sizeof(index), "0x%08X", ek->index);
    if (issue_from_der(buf_bytes(&ek->cert), &cert, &ignored) == 0)
        certs_name(X509_get_issuer_name(cert), issuer);
    if (cert != NULL && pubkey_from_x509(&pub, cert, &ignored) == 0 &&
        pubkey_id(&pub, id, &ignored) == 0)
        hex_encode(hex, id, sizeof(id));
    X509_free(cert);
    return listing_row(l, (const char *[]){index, t != NULL ? t->key : "?", issuer, hex},
                       json_pack("{s:s,s:s?,s:o,s:s}", "nv_index", index, "key",
                                 t != NULL ? t->key : NULL, "issuer", out_json_text(issuer),
                                 "key_id", hex),
                       e);
}

static int list(struct cli *c, const struct attest_ek *ek, size_t n, struct err *e)
{
    static const char *const heads[] = {"NV INDEX", "KEY", "ISSUER", "KEY ID (SHA-256)"};
    struct listing *l = listing_new(c, heads, ARRAY_LEN(heads), e);
    int rc = l != NULL ? 0 : -1;

    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = add(l, &ek[i], e);
    if (rc == 0)
        rc = listing_print(l, "The TPM holds no endorsement certificate.", e);
    listing_free(l);
    return rc;
}

static int write_first(const char *path, const struct attest_ek *ek, struct err *e)
{
    struct buf pem = {0};
    X509 *cert = NULL;
    int rc = -1;

    if (issue_from_der(buf_bytes(&ek[0].cert), &cert, e) == 0 && issue_to_pem(cert, &pem, e) == 0)
        rc = file_write(path, buf_bytes(&pem), 0644, e);
    X509_free(cert);
    buf_free(&pem);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    const char *out = cli_option(c, "out");
    struct attest_ek *ek = NULL;
    struct tpm *t = NULL;
    size_t n = 0;
    int rc = -1;

    if (out != NULL && cli_flag(c, "json"))
        return cli_misuse(e, "--out and --json exclude each other");
    if (place_tpm(c, &t, e) != 0 || attest_ek_read(t, &ek, &n, e) != 0)
        goto out;
    rc = out != NULL ? write_first(out, ek, e) : list(c, ek, n, e);
out:
    attest_ek_free(ek, n);
    tpm_free(t);
    return rc;
}

const struct cli_command cmd_token_ek = {
    .group = "token",
    .name = "ek",
    .shared = CLI_JSON,
    .options = options,
    .summary = "show the TPM's endorsement certificates",
    .about = "Lists the certificates that the TPM's maker put into it, or writes the one that "
             "`fusetsu request` uses to a file, so that an authority can bind an invitation to "
             "this TPM. Needs no PIN and no token.",
    .examples = "fusetsu token ek\nfusetsu token ek --out gw-ek.pem",
    .run = run,
};
