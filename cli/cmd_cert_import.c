#include "ca/issue.h"
#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/keyring.h"
#include "cli/out.h"
#include "core/credential.h"
#include "core/ektemplate.h"
#include "core/file.h"
#include "tpm/attest.h"

#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

static const struct cli_option options[] = {
    {"label", "TEXT", "label of the first certificate (default: its key's label or its name)",
     false},
    {"evidence", "FILE", "from a sealed credential: write the evidence record here", false},
    {"trusted", NULL, "as trusted roots, which the SO says with the SO PIN", false},
    {"out", "FILE", "also write the certificate and its issuers here, as PEM", false},
    {0},
};

/* --- keeping ------------------------------------------------------------- */

static void say_kept(const char *name, bool was_there, const struct keyring_object *key,
                     bool trusted)
{
    printf("%s ", was_there ? "already there:" : "imported:");
    out_text(stdout, name);
    if (trusted)
        printf(", trusted");
    if (key->label[0] != 0) {
        printf(", for key \"");
        out_text(stdout, key->label);
        printf("\"");
    }
    putchar('\n');
}

enum keep_as {
    KEEP_CERT,    /* joined to its key by id where the token has it */
    KEEP_OF_KEY,  /* whose key the token has */
    KEEP_TRUSTED, /* a root; the SO sees no private key to join it to */
};

static int keep(struct keyring *k, X509 *cert, const char *label, enum keep_as as, struct err *e)
{
    struct keyring_object key = {0};
    struct err none = {0};
    struct buf der = {0};
    struct pubkey pub;
    char name[CERTS_TEXT];
    bool was_there = false;
    int rc = -1;

    certs_name(X509_get_subject_name(cert), name);
    /* A chain may hold kinds of keys that a token cannot: they have no pair here. */
    if (as != KEEP_TRUSTED && pubkey_from_x509(&pub, cert, &none) == 0 &&
        keyring_find_pair(k, &pub, &key, &none) != 0 && none.code != E_NOT_FOUND) {
        err_set(e, none.code, "%s", none.msg);
        goto out;
    }
    if (as == KEEP_OF_KEY && key.handle == 0) {
        err_set(e, none.code != E_OK ? none.code : E_NOT_FOUND, "%s", none.msg);
        goto out;
    }
    if (label == NULL)
        label = key.label[0] != 0 ? key.label : name;
    if (issue_to_der(cert, &der, e) != 0 ||
        keyring_put_cert(k, buf_bytes(&der), bytes_of(key.id, key.id_len), label,
                         as == KEEP_TRUSTED, &was_there, e) != 0)
        goto out;
    say_kept(name, was_there, &key, as == KEEP_TRUSTED);
    rc = 0;
out:
    keyring_object_free(&key);
    buf_free(&der);
    return rc;
}

/* --out: the first certificate and the issuers that lead on from it, in the order in
 * which TLS programs want them; others in `rest` are left out. */
static int write_pem(struct cli *c, X509 *first, STACK_OF(X509) * rest, struct err *e)
{
    struct buf pem = {0};
    X509 *at = first;
    int rc = -1;

    if (cli_option(c, "out") == NULL)
        return 0;
    /* Each round goes one step up, so there are no more of them than certificates. */
    for (int round = 0; at != NULL && round <= sk_X509_num(rest); round++) {
        X509 *next = NULL;

        if (issue_to_pem(at, &pem, e) != 0)
            goto out;
        for (int i = 0; i < sk_X509_num(rest) && next == NULL; i++) {
            X509 *x = sk_X509_value(rest, i);

            if (X509_cmp(x, at) != 0 && X509_check_issued(x, at) == X509_V_OK)
                next = x;
        }
        at = next;
    }
    rc = file_write(cli_option(c, "out"), buf_bytes(&pem), 0644, e);
out:
    buf_free(&pem);
    return rc;
}

/* --- plain certificates -------------------------------------------------- */

static int import_plain(struct cli *c, struct bytes in, struct err *e)
{
    const bool trusted = cli_flag(c, "trusted");
    const unsigned use = KEYRING_WRITE | (trusted ? KEYRING_SO : KEYRING_LOGIN);
    STACK_OF(X509) *list = NULL;
    struct keyring *k = NULL;
    int rc = -1;

    if (cli_option(c, "evidence") != NULL)
        return cli_misuse(e, "--evidence goes with a sealed credential; this file holds plain "
                             "certificates, which carry no evidence record");
    if (certs_parse(in, cli_arg(c, 0), &list, e) != 0 || keyring_open(&k, c, use, e) != 0)
        goto out;
    for (int i = 0; i < sk_X509_num(list); i++) {
        if (keep(k, sk_X509_value(list, i), i == 0 ? cli_option(c, "label") : NULL,
                 trusted ? KEEP_TRUSTED : KEEP_CERT, e) != 0)
            goto out;
    }
    rc = write_pem(c, sk_X509_value(list, 0), list, e);
out:
    keyring_close(k);
    certs_free(list);
    return rc;
}

/* --- a sealed credential ------------------------------------------------- */

/* The token's attestation key that the credential was sealed to. Its row does not say
 * under which EK it was looked for, so all templates are tried. */
static int find_ak(struct token *t, const TPM2B_NAME *wanted, struct store_key *out, struct err *e)
{
    const struct ektemplate *ek;

    for (size_t i = 0; (ek = ektemplate_at(i)) != NULL; i++) {
        struct store_key ak = {0};
        struct err why = {0};
        TPM2B_NAME name;

        if (store_key_find(token_store(t), token_row(t)->id, STORE_USE_AK, ek->nv_cert,
                           token_seal(t), &ak, &why) != 0) {
            if (why.code != E_NOT_FOUND)
                return err_set(e, why.code, "%s", why.msg);
            continue;
        }
        if (tpmname_object(buf_bytes(&ak.public), &name, &why) == 0 &&
            tpmname_equal(&name, wanted)) {
            *out = ak;
            return 0;
        }
        store_key_free(&ak);
    }
    return err_set(e, E_REJECTED,
                   "this credential is sealed to another token; import it where the request was "
                   "made");
}

static int open_sealed(struct token *t, const struct credential_sealed *s,
                       struct credential_issued *out, struct err *e)
{
    struct secret *secret = NULL;
    struct store_key ak = {0};
    int rc = -1;

    if (find_ak(t, &s->ak_name, &ak, e) == 0 &&
        attest_activate(t, &ak, buf_bytes(&s->blob), buf_bytes(&s->encrypted_secret), &secret, e) ==
            0)
        rc = credential_open(s, secret_bytes(secret), out, e);
    secret_free(secret);
    store_key_free(&ak);
    return rc;
}

/* The record, and behind it those issuers that are not on the certificate's own path: the
 * attestation CA, which a verifier needs for the attestation key's certificate. Kept beside
 * the key, and written to a file if one is named. */
static int keep_evidence(struct cli *c, struct keyring *k, const struct credential_issued *in,
                         struct err *e)
{
    struct keyring_object key = {0};
    struct buf pem = {0}, der = {0};
    struct pubkey pub;
    int rc = -1;

    if (evidence_record_to_pem(&in->record, &pem, e) != 0)
        goto out;
    for (int i = 0; i < sk_X509_num(in->chain); i++) {
        X509 *x = sk_X509_value(in->chain, i);

        if (X509_check_issued(x, in->record.ak_cert) == X509_V_OK && issue_to_pem(x, &pem, e) != 0)
            goto out;
    }
    if (pubkey_from_x509(&pub, in->cert, e) != 0 || keyring_find_pair(k, &pub, &key, e) != 0 ||
        issue_to_der(in->record.ak_cert, &der, e) != 0 ||
        keyring_put_evidence(k, &key, buf_bytes(&der), buf_bytes(&pem), e) != 0)
        goto out;
    rc = cli_option(c, "evidence") == NULL
             ? 0
             : file_write(cli_option(c, "evidence"), buf_bytes(&pem), 0644, e);
out:
    keyring_object_free(&key);
    buf_free(&pem);
    buf_free(&der);
    return rc;
}

static int import_sealed(struct cli *c, struct bytes in, struct err *e)
{
    struct credential_sealed sealed = {0};
    struct credential_issued issued = {0};
    struct keyring *k = NULL;
    struct token *t = NULL;
    int rc = -1;

    if (cli_flag(c, "trusted"))
        return cli_misuse(e, "--trusted goes with plain certificates of roots; this file holds a "
                             "sealed credential");
    if (credential_from_pem(in, &sealed, e) != 0 ||
        keyring_open(&k, c, KEYRING_LOGIN | KEYRING_WRITE, e) != 0 ||
        keyring_token(k, &t, e) != 0 || open_sealed(t, &sealed, &issued, e) != 0)
        goto out;
    if (keep(k, issued.cert, cli_option(c, "label"), KEEP_OF_KEY, e) != 0)
        goto out;
    for (int i = 0; i < sk_X509_num(issued.chain); i++) {
        if (keep(k, sk_X509_value(issued.chain, i), NULL, KEEP_CERT, e) != 0)
            goto out;
    }
    if (keep_evidence(c, k, &issued, e) != 0)
        goto out;
    rc = write_pem(c, issued.cert, issued.chain, e);
out:
    keyring_close(k);
    credential_issued_free(&issued);
    credential_sealed_free(&sealed);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    static const char mark[] = "-----BEGIN " CREDENTIAL_PEM "-----";
    struct buf in = {0};
    int rc = -1;

    if (file_read(cli_arg(c, 0), CERTS_FILE_MAX, &in, e) == 0) {
        if (in.len != 0 && memmem(in.p, in.len, mark, sizeof(mark) - 1) != NULL)
            rc = import_sealed(c, buf_bytes(&in), e);
        else
            rc = import_plain(c, buf_bytes(&in), e);
    }
    buf_free(&in);
    return rc;
}

const struct cli_command cmd_cert_import = {
    .group = "cert",
    .name = "import",
    .args = "FILE",
    .min_args = 1,
    .max_args = 1,
    .shared = CLI_TOKEN | CLI_USER_PIN | CLI_SO_PIN,
    .options = options,
    .summary = "keep certificates beside their keys",
    .about = "Imports certificates (PEM or DER), each joined to the token's key of the same "
             "public half; or a sealed credential as `fusetsu ca issue` makes it, which only the "
             "TPM that made the request can open. The evidence of the latter is kept in the "
             "token, beside the key. With --trusted they become roots that programs trust which "
             "ask the token, as GnuTLS does after `fusetsu setup p11-kit --trust`; these programs "
             "do not log in and so believe what the store's file says.",
    .examples = "fusetsu cert import --token gateway gw.sealed --evidence gw.evidence\n"
                "fusetsu cert import --token gateway chain.pem\n"
                "fusetsu cert import --token gateway --trusted root.pem",
    .run = run,
};
