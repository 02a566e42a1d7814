#include "cli/crlread.h"

#include "cli/pemread.h"
#include "core/asn1.h"
#include "core/file.h"

#include <openssl/pem.h>
#include <string.h>

static int push_der(STACK_OF(X509_CRL) * list, struct bytes der, const char *what, struct err *e)
{
    X509_CRL *crl;

    if (sk_X509_CRL_num(list) >= CRLREAD_MAX)
        return err_set(e, E_FORMAT, "%s holds more than %d CRLs", what, CRLREAD_MAX);
    crl = asn1_decode(ASN1_ITEM_rptr(X509_CRL), der, BUF_MAX, "CRL", e);
    if (crl == NULL)
        return err_prefix(e, "%s", what);
    if (sk_X509_CRL_push(list, crl) <= 0) {
        X509_CRL_free(crl);
        return err_set(e, E_MEMORY, "out of memory for CRLs");
    }
    return 0;
}

struct reading {
    STACK_OF(X509_CRL) * list;
    const char *what;
};

static int take(void *ctx, const char *name, struct bytes der, struct err *e)
{
    struct reading *r = ctx;

    if (strcmp(name, PEM_STRING_X509_CRL) != 0)
        return err_set(e, E_FORMAT, "%s holds a block \"%.60s\" where a CRL is expected", r->what,
                       name);
    return push_der(r->list, der, r->what, e);
}

static int read_pem(struct bytes in, STACK_OF(X509_CRL) * list, const char *what, struct err *e)
{
    struct reading r = {list, what};

    if (pemread(in, what, take, &r, e) != 0)
        return -1;
    if (sk_X509_CRL_num(list) == 0)
        return err_set(e, E_FORMAT, "%s holds no CRL; PEM or DER is expected", what);
    return 0;
}

int crlread_parse(struct bytes in, const char *what, STACK_OF(X509_CRL) * *out, struct err *e)
{
    STACK_OF(X509_CRL) *list = sk_X509_CRL_new_null();
    int rc;

    if (list == NULL)
        return err_set(e, E_MEMORY, "out of memory for CRLs");
    if (in.len != 0 && in.p[0] == 0x30) /* DER begins with a SEQUENCE; PEM is text */
        rc = push_der(list, in, what, e);
    else
        rc = read_pem(in, list, what, e);
    if (rc == 0)
        *out = list;
    else
        crlread_free(list);
    return rc;
}

int crlread_file(const char *path, STACK_OF(X509_CRL) * *out, struct err *e)
{
    struct buf in = {0};
    int rc = -1;

    if (file_read(path, BUF_MAX, &in, e) == 0)
        rc = crlread_parse(buf_bytes(&in), path, out, e);
    buf_free(&in);
    return rc;
}

void crlread_free(STACK_OF(X509_CRL) * list)
{
    sk_X509_CRL_pop_free(list, X509_CRL_free);
}
