#include "ca/issue.h"
#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/listing.h"
#include "cli/out.h"
#include "cli/place.h"
#include "core/asn1.h"
#include "core/ektemplate.h"
#include "core/file.h"
#include "tpm/attest.h"

#include <stdio.h>
#include <string.h>

static const struct cli_option options[] = {
    {"create", "TYPE",
     "make the endorsement key of a TPM that has no certificate, and show its public key: p256, "
     "p384, p521, rsa2048 or rsa3072",
     false},
    {"out", "FILE", "write them here, as PEM, for `fusetsu device register`; - is standard output",
     false},
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

/* All of them are one TPM's, and are registered together; the one that requests use is first. */
static int write_all(const char *path, const struct attest_ek *ek, size_t n, struct err *e)
{
    struct buf pem = {0};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        X509 *cert = NULL;

        rc = issue_from_der(buf_bytes(&ek[i].cert), &cert, e);
        if (rc == 0)
            rc = issue_to_pem(cert, &pem, e);
        X509_free(cert);
    }
    if (rc == 0)
        rc = file_write(path, buf_bytes(&pem), 0644, e);
    buf_free(&pem);
    return rc;
}

/* The first template of that type: "p256" is "P-256". */
static const struct ektemplate *template_named(const char *type)
{
    const struct ektemplate *row;

    for (size_t i = 0; (row = ektemplate_at(i)) != NULL; i++) {
        const char *a = type, *b = row->key;

        while (*b != 0 && (*b == '-' || (*a | 0x20) == (*b | 0x20))) {
            a += *b != '-';
            b++;
        }
        if (*a == 0 && *b == 0)
            return row;
    }
    return NULL;
}

/* For `fusetsu device certify`. */
static int create(struct cli *c, struct tpm *t, const char *out, struct err *e)
{
    const struct ektemplate *row = template_named(cli_option(c, "create"));
    struct buf spki = {0}, pem = {0};
    struct pubkey k;
    int rc = -1;

    if (row == NULL)
        return cli_misuse(e, "--create is p256, p384, p521, rsa2048 or rsa3072");
    if (attest_ek_public(t, row->nv_cert, &k, e) == 0 && pubkey_to_spki(&k, &spki, e) == 0 &&
        asn1_pem_write("PUBLIC KEY", buf_bytes(&spki), &pem, e) == 0)
        rc = file_write(out != NULL ? out : "-", buf_bytes(&pem), 0644, e);
    buf_free(&spki);
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
    if (cli_option(c, "create") != NULL && cli_flag(c, "json"))
        return cli_misuse(e, "--create and --json exclude each other");
    if (place_tpm(c, &t, e) != 0)
        goto out;
    if (cli_option(c, "create") != NULL) {
        rc = create(c, t, out, e);
        goto out;
    }
    if (attest_ek_read(t, &ek, &n, e) != 0)
        goto out;
    rc = out != NULL ? write_all(out, ek, n, e) : list(c, ek, n, e);
out:
    attest_ek_free(ek, n);
    tpm_free(t);
    return rc;
}

const struct cli_command cmd_attest_ek = {
    .group = "attest",
    .name = "ek",
    .shared = CLI_JSON,
    .options = options,
    .summary = "show the TPM's endorsement certificates",
    .about = "Lists the certificates that the TPM's maker put into it, or writes them to a file, "
             "the one that `fusetsu request` uses first, so that an authority can register this "
             "TPM. For a TPM whose maker put none into it --create gives the public key alone: a "
             "registration officer who reads it from the machine himself can have the authority "
             "certify it (device certify). Needs no PIN and no token.",
    .examples = "fusetsu attest ek\nfusetsu attest ek --out gw-ek.pem\n"
                "fusetsu attest ek --create p256 --out gw-ek.pub",
    .run = run,
};
