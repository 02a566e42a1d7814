#include "cli/pemread.h"

#include <openssl/err.h>
#include <openssl/pem.h>

int pemread(struct bytes in, const char *what,
            int (*each)(void *ctx, const char *name, struct bytes der, struct err *e), void *ctx,
            struct err *e)
{
    BIO *bio = BIO_new_mem_buf(in.len != 0 ? (const void *)in.p : "", (int)in.len);
    char *name = NULL, *header = NULL;
    unsigned char *data = NULL;
    long len = 0;
    int rc = 0;

    if (bio == NULL)
        return err_set(e, E_MEMORY, "out of memory for %s", what);
    while (rc == 0 && PEM_read_bio(bio, &name, &header, &data, &len) == 1) {
        rc = each(ctx, name, bytes_of(data, (size_t)len), e);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(data);
    }
    if (rc == 0 && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        rc = err_set(e, E_FORMAT, "%s holds a damaged PEM block; copy the file again", what);
    ERR_clear_error();
    BIO_free(bio);
    return rc;
}
