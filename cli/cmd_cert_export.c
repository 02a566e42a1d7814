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

/* The certificate that issued `cert`, among those of the token. */
static int find_issuer(const struct keyring_object *o, size_t n, X509 *cert, X509 **out)
{
    for (size_t i = 0; i < n; i++) {
        struct err ignored = {0}; /* a damaged one is nobody's issuer */
        X509 *other = NULL;

        if (issue_from_der(buf_bytes(&o[i].value), &other, &ignored) == 0 &&
            X509_check_issued(other, cert) == X509_V_OK && X509_cmp(other, cert) != 0) {
            *out = other;
            return 0;
        }
        X509_free(other);
    }
    return -1;
}

static int write_chain(struct keyring *k, X509 *leaf, struct buf *out, struct err *e)
{
    struct keyring_object *o = NULL;
    X509 *at = leaf, *next = NULL;
    size_t n = 0;
    int rc = -1;

    if (keyring_list(k, CKO_CERTIFICATE, &o, &n, e) != 0)
        return -1;
    /* Two cross-certified CAs can issue each other: the number of steps is bounded. */
    for (size_t steps = 0; steps <= n; steps++) {
        if (issue_to_pem(at, out, e) != 0)
            goto out;
        if (X509_check_issued(at, at) == X509_V_OK || find_issuer(o, n, at, &next) != 0)
            break;
        if (at != leaf)
            X509_free(at);
        at = next;
    }
    rc = 0;
out:
    if (at != leaf)
        X509_free(at);
    keyring_objects_free(o, n);
    return rc;
}

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
        rc = write_chain(k, cert, &out, e);
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
