#include "ca/issue.h"
#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/keyring.h"
#include "cli/out.h"

#include <stdio.h>

/* One certificate as it is shown. */
struct row {
    char subject[CERTS_TEXT], issuer[CERTS_TEXT], until[CERTS_TEXT];
};

static void read_row(const struct keyring_object *o, struct row *r)
{
    struct err ignored = {0}; /* a damaged certificate is listed as such */
    X509 *cert = NULL;

    snprintf(r->subject, sizeof(r->subject), "(not readable)");
    snprintf(r->issuer, sizeof(r->issuer), "-");
    snprintf(r->until, sizeof(r->until), "-");
    if (issue_from_der(buf_bytes(&o->value), &cert, &ignored) == 0) {
        certs_name(X509_get_subject_name(cert), r->subject);
        certs_name(X509_get_issuer_name(cert), r->issuer);
        certs_time(X509_get0_notAfter(cert), r->until);
    }
    X509_free(cert);
}

static int list_json(struct cli *c, const struct keyring_object *o, size_t n, struct err *e)
{
    json_t *all = json_array();
    struct row r;

    for (size_t i = 0; all != NULL && i < n; i++) {
        read_row(&o[i], &r);
        if (json_array_append_new(
                all, json_pack("{s:o,s:o,s:o,s:o,s:s}", "label", out_json_text(o[i].label), "id",
                               out_json_hex(bytes_of(o[i].id, o[i].id_len)), "subject",
                               out_json_text(r.subject), "issuer", out_json_text(r.issuer),
                               "not_after", r.until)) != 0) {
            json_decref(all);
            all = NULL;
        }
    }
    return cli_json(c, all, e);
}

static int list_words(const struct keyring_object *o, size_t n, struct err *e)
{
    static const char *const heads[] = {"LABEL", "SUBJECT", "ISSUER", "UNTIL", "ID"};
    struct out_table *table;
    struct row r;
    int rc = -1;

    if (n == 0) {
        printf("The token holds no certificate; bring one in with `fusetsu cert import`.\n");
        return 0;
    }
    table = out_table_new(heads, ARRAY_LEN(heads), e);
    if (table == NULL)
        return -1;
    for (size_t i = 0; i < n; i++) {
        char id[2 * KEYRING_ID_MAX + 1];

        hex_encode(id, o[i].id, o[i].id_len);
        read_row(&o[i], &r);
        if (out_table_row(table, (const char *[]){o[i].label, r.subject, r.issuer, r.until, id},
                          e) != 0)
            goto out;
    }
    out_table_print(table, stdout);
    rc = 0;
out:
    out_table_free(table);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    struct keyring_object *o = NULL;
    struct keyring *k = NULL;
    size_t n = 0;
    int rc = -1;

    if (keyring_open(&k, c, KEYRING_LOOK, e) == 0 &&
        keyring_list(k, CKO_CERTIFICATE, &o, &n, e) == 0)
        rc = cli_flag(c, "json") ? list_json(c, o, n, e) : list_words(o, n, e);
    keyring_objects_free(o, n);
    keyring_close(k);
    return rc;
}

const struct cli_command cmd_cert_list = {
    .group = "cert",
    .name = "list",
    .shared = CLI_TOKEN | CLI_JSON,
    .summary = "list the certificates of a token",
    .about = "Lists the certificates of a token. Needs no PIN and sends nothing to the TPM. A "
             "certificate and its key have the same id.",
    .examples = "fusetsu cert list --token gateway\nfusetsu cert list --json",
    .run = run,
};
