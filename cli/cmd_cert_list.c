#include "ca/issue.h"
#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/keyring.h"
#include "cli/listing.h"
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

static int add(struct listing *l, const struct keyring_object *o, struct err *e)
{
    char id[2 * KEYRING_ID_MAX + 1], day[sizeof("2027-02-01")];
    struct row r;

    hex_encode(id, o->id, o->id_len);
    read_row(o, &r);
    snprintf(day, sizeof(day), "%.10s", r.until);
    return listing_row(
        l, (const char *[]){o->label, r.subject, r.issuer, day, o->trusted ? "trusted" : "", id},
        json_pack("{s:o,s:s,s:o,s:o,s:s,s:b}", "label", out_json_text(o->label), "id", id,
                  "subject", out_json_text(r.subject), "issuer", out_json_text(r.issuer),
                  "not_after", r.until, "trusted", (int)o->trusted),
        e);
}

static int run(struct cli *c, struct err *e)
{
    static const char *const heads[] = {"LABEL", "SUBJECT", "ISSUER", "UNTIL", "TRUST", "ID"};
    struct listing *l = listing_new(c, heads, ARRAY_LEN(heads), e);
    struct keyring_object *o = NULL;
    struct keyring *k = NULL;
    size_t n = 0;
    int rc = -1;

    if (l != NULL && keyring_open(&k, c, KEYRING_LOOK, e) == 0)
        rc = keyring_list(k, CKO_CERTIFICATE, &o, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = add(l, &o[i], e);
    if (rc == 0)
        rc = listing_print(
            l, "The token holds no certificate; bring one in with `fusetsu cert import`.", e);
    keyring_objects_free(o, n);
    keyring_close(k);
    listing_free(l);
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
