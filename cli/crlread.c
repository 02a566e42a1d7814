#include "cli/crlread.h"

#include "core/asn1.h"
#include "core/file.h"

#include <openssl/err.h>
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

/* 1: a block was read, 0: no more, -1: failure. */
static int next_block(BIO *in, STACK_OF(X509_CRL) * list, const char *what, struct err *e)
{
    char *name = NULL, *header = NULL;
    unsigned char *data = NULL;
    long len = 0;
    int rc = -1;

    if (PEM_read_bio(in, &name, &header, &data, &len) != 1) {
        if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
            rc = 0;
        else
            err_set(e, E_FORMAT, "%s holds a damaged PEM block; fetch the file again", what);
        ERR_clear_error();
        return rc;
    }
    if (strcmp(name, PEM_STRING_X509_CRL) != 0)
        err_set(e, E_FORMAT, "%s holds a block \"%.60s\" where a CRL is expected", what, name);
    else if (push_der(list, bytes_of(data, (size_t)len), what, e) == 0)
        rc = 1;
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
    return rc;
}

static int read_pem(struct bytes in, STACK_OF(X509_CRL) * list, const char *what, struct err *e)
{
    BIO *bio = BIO_new_mem_buf(in.len != 0 ? (const void *)in.p : "", (int)in.len);
    int got;

    if (bio == NULL)
        return err_set(e, E_MEMORY, "out of memory for CRLs");
    while ((got = next_block(bio, list, what, e)) == 1)
        continue;
    BIO_free(bio);
    if (got == 0 && sk_X509_CRL_num(list) == 0)
        return err_set(e, E_FORMAT, "%s holds no CRL; PEM or DER is expected", what);
    return got;
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
