#include "core/ektemplate.h"
#include "core/log.h"
#include "tpm/attest.h"
#include "tpm/nv.h"

#include <openssl/x509.h>
#include <stdlib.h>

/* The DER structure at the start of an index; firmware pads behind it. */
static int trim(struct buf *cert, struct err *e)
{
    const unsigned char *p = cert->p;
    X509 *x = d2i_X509(NULL, &p, (long)cert->len);

    if (x == NULL)
        return err_openssl(e, E_FORMAT, "the EK certificate in NV");
    cert->len = (size_t)(p - cert->p);
    X509_free(x);
    return 0;
}

int attest_ek_read(struct tpm *t, struct attest_ek **out, size_t *n, struct err *e)
{
    struct attest_ek *list = NULL;
    size_t found = 0;

    for (size_t i = 0;; i++) {
        const struct ektemplate *row = ektemplate_at(i);
        struct buf cert = {0};
        struct err why = {0};
        struct attest_ek *more;

        if (row == NULL)
            break;
        if (nv_read_open(t, row->nv_cert, &cert, &why) != 0 || trim(&cert, &why) != 0) {
            buf_free(&cert);
            if (why.code == E_NO_DEVICE || why.code == E_REMOVED) {
                attest_ek_free(list, found);
                return err_take(e, &why);
            }
            if (why.code != E_NOT_FOUND)
                log_info("EK certificate at 0x%08x passed over: %s", row->nv_cert, why.msg);
            continue;
        }
        more = realloc(list, (found + 1) * sizeof(*list));
        if (more == NULL) {
            buf_free(&cert);
            attest_ek_free(list, found);
            return err_set(e, E_MEMORY, "out of memory for EK certificates");
        }
        list = more;
        list[found].index = row->nv_cert;
        list[found++].cert = cert;
    }
    if (found == 0)
        return err_set(e, E_NOT_FOUND,
                       "this TPM has no endorsement certificate in NV that we know of; an "
                       "authority cannot tell it from a software TPM");
    *out = list;
    *n = found;
    return 0;
}

void attest_ek_free(struct attest_ek *ek, size_t n)
{
    for (size_t i = 0; ek != NULL && i < n; i++)
        buf_free(&ek[i].cert);
    free(ek);
}
