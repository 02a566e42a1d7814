#include "core/ektemplate.h"
#include "core/log.h"
#include "tpm/attest_priv.h"
#include "tpm/ek.h"
#include "tpm/exec.h"
#include "tpm/nv.h"

#include <openssl/x509.h>
#include <stdlib.h>

int attest_ek_trim(struct buf *cert, struct err *e)
{
    const unsigned char *p = cert->p;
    X509 *x = d2i_X509(NULL, &p, (long)cert->len);

    if (x == NULL)
        return err_openssl(e, E_FORMAT, "the EK certificate in NV");
    cert->len = (size_t)(p - cert->p);
    X509_free(x);
    return 0;
}

/* 1: read it; 0: there is none that is of use; -1: the TPM is gone. */
static int read_one(struct tpm *t, uint32_t index, struct attest_ek *out, struct err *e)
{
    struct buf cert = {0};
    struct err why = {0};

    if (nv_read_open(t, index, &cert, &why) == 0 && attest_ek_trim(&cert, &why) == 0) {
        *out = (struct attest_ek){index, cert};
        return 1;
    }
    buf_free(&cert);
    if (why.code == E_NO_DEVICE || why.code == E_REMOVED)
        return err_take(e, &why);
    if (why.code != E_NOT_FOUND)
        log_info("EK certificate at 0x%08x passed over: %s", index, why.msg);
    return 0;
}

static int not_one(struct err *e)
{
    return err_set(e, E_NOT_FOUND,
                   "this TPM has no endorsement certificate in NV that we know of; an "
                   "authority cannot tell it from a software TPM");
}

int attest_ek_first(struct tpm *t, struct attest_ek *out, struct err *e)
{
    const struct ektemplate *row;

    for (size_t i = 0; (row = ektemplate_at(i)) != NULL; i++) {
        int rc = read_one(t, row->nv_cert, out, e);

        if (rc != 0)
            return rc > 0 ? 0 : -1;
    }
    return not_one(e);
}

int attest_ek_read(struct tpm *t, struct attest_ek **out, size_t *n, struct err *e)
{
    struct attest_ek *list = NULL, one;
    const struct ektemplate *row;
    size_t found = 0;

    for (size_t i = 0; (row = ektemplate_at(i)) != NULL; i++) {
        int rc = read_one(t, row->nv_cert, &one, e);
        struct attest_ek *more;

        if (rc == 0)
            continue;
        more = rc > 0 ? realloc(list, (found + 1) * sizeof(*list)) : NULL;
        if (more == NULL) {
            if (rc > 0) {
                buf_free(&one.cert);
                err_set(e, E_MEMORY, "out of memory for EK certificates");
            }
            attest_ek_free(list, found);
            return -1;
        }
        list = more;
        list[found++] = one;
    }
    if (found == 0)
        return not_one(e);
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

/* --- without a certificate in NV ------------------------------------------------------------- */

int attest_ek_public(struct tpm *t, uint32_t index, struct pubkey *out, struct err *e)
{
    TPM2B_NAME name = {.size = sizeof(name.name)}, qualified = {.size = sizeof(qualified.name)};
    TPM2B_PUBLIC pub = {0};
    TSS2_SYS_CONTEXT *sys;
    struct ek ek;
    int rc = -1;

    if (ek_find(t, index, &ek, e) != 0)
        return -1;
    sys = tpm_sys(t, e);
    if (sys != NULL &&
        exec_sapi(Tss2_Sys_ReadPublic(sys, ek.handle, NULL, &pub, &name, &qualified, NULL),
                  "reading the endorsement key", e) == 0)
        rc = pubkey_from_tpmt(out, &pub.publicArea, e);
    ek_leave(t, &ek);
    return rc;
}

int attest_ek_match(struct tpm *t, X509 *cert, uint32_t *index, struct err *e)
{
    const struct ektemplate *row;
    struct pubkey want, has;

    if (pubkey_from_x509(&want, cert, e) != 0)
        return -1;
    for (size_t i = 0; (row = ektemplate_at(i)) != NULL; i++) {
        struct err why = {0};
        TPMT_PUBLIC ek;

        if (ektemplate_from_cert(row->nv_cert, cert, &ek, NULL) != 0)
            continue;
        if (attest_ek_public(t, row->nv_cert, &has, &why) != 0) {
            if (why.code == E_NO_DEVICE || why.code == E_REMOVED)
                return err_take(e, &why);
            log_info("EK of template %s: %s", row->id, why.msg);
        } else if (pubkey_equal(&has, &want)) {
            *index = row->nv_cert;
            return 0;
        }
    }
    return err_set(e, E_REJECTED,
                   "the EK certificate is for another TPM: this one has no endorsement key of %s "
                   "that it names",
                   pubkey_name(&want));
}
