#include "ca/issue.h"
#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/keyring.h"
#include "core/file.h"

#include <openssl/x509v3.h>
#include <string.h>

static const struct cli_option options[] = {
    {"label", "TEXT", "the certificate's label", false},
    {"id", "HEX", "the certificate's id", false},
    {"chain", NULL, "add the issuers that the token holds, each after what it issued", false},
    {"der", NULL, "write DER instead of PEM (one certificate)", false},
    {"evidence", NULL, "write the evidence of the key with that label or id instead", false},
    {"out", "FILE", "write here; - is standard output (default)", false},
    {0},
};

/* The record that came with the sealed credential of a key. */
static int export_evidence(struct cli *c, struct err *e)
{
    const char *path = cli_option(c, "out");
    struct keyring_object key = {0};
    struct keyring *k = NULL;
    struct buf out = {0};
    int rc = -1;

    if (cli_flag(c, "chain") || cli_flag(c, "der"))
        return cli_misuse(e, "--evidence writes one file of its own form; leave --chain and --der");
    if (keyring_open(&k, c, KEYRING_LOGIN, e) == 0 &&
        keyring_choose(k, c, CKO_PRIVATE_KEY, "label", &key, e) == 0 &&
        keyring_get_evidence(k, &key, &out, e) == 0)
        rc = file_write(path != NULL ? path : "-", buf_bytes(&out), 0644, e);
    buf_free(&out);
    keyring_object_free(&key);
    keyring_close(k);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    const char *path = cli_option(c, "out");
    struct keyring_object o = {0};
    struct keyring *k = NULL;
    struct buf out = {0};
    X509 *cert = NULL;
    int rc = -1;

    if (cli_flag(c, "evidence"))
        return export_evidence(c, e);
    if (cli_flag(c, "chain") && cli_flag(c, "der"))
        return cli_misuse(e, "--chain and --der exclude each other: DER holds one certificate");
    if (keyring_open(&k, c, KEYRING_LOOK, e) != 0 ||
        keyring_choose(k, c, CKO_CERTIFICATE, "label", &o, e) != 0 ||
        issue_from_der(buf_bytes(&o.value), &cert, e) != 0)
        goto out;
    if (cli_flag(c, "der"))
        rc = issue_to_der(cert, &out, e);
    else if (cli_flag(c, "chain"))
        rc = keyring_chain(k, cert, &out, e);
    else
        rc = issue_to_pem(cert, &out, e);
    if (rc == 0)
        rc = file_write(path != NULL ? path : "-", buf_bytes(&out), 0644, e);
out:
    X509_free(cert);
    buf_free(&out);
    keyring_object_free(&o);
    keyring_close(k);
    return rc;
}

const struct cli_command cmd_cert_export = {
    .group = "cert",
    .name = "export",
    .shared = CLI_TOKEN | CLI_USER_PIN,
    .options = options,
    .summary = "write a certificate to a file",
    .about =
        "Writes one certificate of a token, as PEM or DER, without a PIN; or the evidence that "
        "came with a sealed credential, for `fusetsu verify`, with it.",
    .examples = "fusetsu cert export --token gateway --label tls --chain --out gw.pem\n"
                "fusetsu cert export --token gateway --id 01 --der --out gw.der\n"
                "fusetsu cert export --token gateway --label tls --evidence --out gw.evidence",
    .run = run,
};
