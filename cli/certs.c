#include "cli/certs.h"

#include "cli/cli.h"
#include "cli/pemread.h"
#include "ca/issue.h"
#include "core/file.h"

#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int push_der(STACK_OF(X509) * list, struct bytes der, const char *what, struct err *e)
{
    X509 *cert = NULL;

    if (sk_X509_num(list) >= CERTS_MAX)
        return err_set(e, E_FORMAT, "%s holds more than %d certificates", what, CERTS_MAX);
    if (issue_from_der(der, &cert, e) != 0)
        return err_prefix(e, "%s", what);
    if (sk_X509_push(list, cert) <= 0) {
        X509_free(cert);
        return err_set(e, E_MEMORY, "out of memory for certificates");
    }
    return 0;
}

struct reading {
    STACK_OF(X509) * list;
    const char *what;
    bool others; /* blocks of other kinds are passed over */
};

static int take(void *ctx, const char *name, struct bytes der, struct err *e)
{
    struct reading *r = ctx;

    if (strcmp(name, PEM_STRING_X509) == 0 || strcmp(name, PEM_STRING_X509_OLD) == 0)
        return push_der(r->list, der, r->what, e);
    return r->others
               ? 0
               : err_set(e, E_FORMAT, "%s holds a block \"%.60s\" where a certificate is expected",
                         r->what, name);
}

static int read_pem(struct bytes in, bool others, STACK_OF(X509) * list, const char *what,
                    struct err *e)
{
    struct reading r = {list, what, others};

    if (pemread(in, what, take, &r, e) != 0)
        return -1;
    if (sk_X509_num(list) == 0 && !others)
        return err_set(e, E_FORMAT, "%s holds no certificate; PEM or DER is expected", what);
    return 0;
}

static int parse(struct bytes in, bool others, const char *what, STACK_OF(X509) * *out,
                 struct err *e)
{
    STACK_OF(X509) *list = sk_X509_new_null();
    int rc = -1;

    if (list == NULL)
        return err_set(e, E_MEMORY, "out of memory for certificates");
    if (in.len > CERTS_FILE_MAX)
        err_set(e, E_FORMAT, "%s is too large for certificates", what);
    else if (in.len != 0 && in.p[0] == 0x30) /* DER begins with a SEQUENCE; PEM is text */
        rc = push_der(list, in, what, e);
    else
        rc = read_pem(in, others, list, what, e);
    if (rc == 0)
        *out = list;
    else
        certs_free(list);
    return rc;
}

int certs_parse(struct bytes in, const char *what, STACK_OF(X509) * *out, struct err *e)
{
    return parse(in, false, what, out, e);
}

int certs_collect(struct bytes in, const char *what, STACK_OF(X509) * *out, struct err *e)
{
    return parse(in, true, what, out, e);
}

int certs_read(const char *path, STACK_OF(X509) * *out, struct err *e)
{
    struct buf in = {0};
    int rc = -1;

    if (file_read(path, CERTS_FILE_MAX, &in, e) == 0)
        rc = certs_parse(buf_bytes(&in), path, out, e);
    buf_free(&in);
    return rc;
}

/* Moves them to the end. */
static int append(STACK_OF(X509) * from, STACK_OF(X509) * to, struct err *e)
{
    X509 *cert;

    while ((cert = sk_X509_shift(from)) != NULL) {
        if (sk_X509_push(to, cert) <= 0) {
            X509_free(cert);
            return err_set(e, E_MEMORY, "out of memory for certificates");
        }
    }
    return 0;
}

int certs_read_args(const struct cli *c, STACK_OF(X509) * *out, struct err *e)
{
    STACK_OF(X509) *all = NULL;

    for (int i = 0; i < cli_n_args(c); i++) {
        STACK_OF(X509) *more = NULL;
        int rc = certs_read(cli_arg(c, i), &more, e);

        if (rc == 0 && all != NULL)
            rc = append(more, all, e);
        else if (rc == 0) {
            all = more;
            more = NULL;
        }
        certs_free(more);
        if (rc != 0) {
            certs_free(all);
            return -1;
        }
    }
    *out = all;
    return 0;
}

void certs_free(STACK_OF(X509) * list)
{
    sk_X509_pop_free(list, X509_free);
}

void certs_name(const X509_NAME *name, char out[CERTS_TEXT])
{
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    unsigned char *utf8 = NULL;
    BIO *bio;
    int n = -1;

    if (at >= 0)
        n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (n > 0) {
        snprintf(out, CERTS_TEXT, "%.*s", n, (const char *)utf8);
        OPENSSL_free(utf8);
        return;
    }
    OPENSSL_free(utf8);
    snprintf(out, CERTS_TEXT, "(no name)");
    bio = BIO_new(BIO_s_mem());
    if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) > 0 &&
        (n = BIO_read(bio, out, CERTS_TEXT - 1)) > 0)
        out[n] = 0;
    BIO_free(bio);
}

void certs_fingerprint(const X509 *cert, char out[CERTS_TEXT])
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned int n = 0;

    snprintf(out, CERTS_TEXT, "-");
    if (X509_digest(cert, EVP_sha256(), md, &n) != 1)
        return;
    for (unsigned i = 0; i < n; i++)
        snprintf(out + 3 * i, CERTS_TEXT - 3 * i, i + 1 < n ? "%02X:" : "%02X", md[i]);
}

void certs_time(const ASN1_TIME *t, char out[CERTS_TEXT])
{
    struct tm tm = {0};

    if (ASN1_TIME_to_tm(t, &tm) != 1 || strftime(out, CERTS_TEXT, "%Y-%m-%d %H:%M:%SZ", &tm) == 0)
        snprintf(out, CERTS_TEXT, "unreadable time");
}
