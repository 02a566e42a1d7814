#include "tpm/external.h"

#include "core/tpmname.h"
#include "tpm/exec.h"
#include "tpm/held.h"

static int once(struct tpm *t, const TPM2B_PUBLIC *pub, TPM2_HANDLE hierarchy, TPM2_HANDLE *handle,
                TPM2B_NAME *name, struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);

    if (sys == NULL)
        return -1;
    name->size = sizeof(name->name);
    return exec_sapi(Tss2_Sys_LoadExternal(sys, NULL, NULL, pub, hierarchy, handle, name, NULL),
                     "loading a public key", e);
}

int external_load(struct tpm *t, const TPMT_PUBLIC *area, TPM2_HANDLE hierarchy, bool may_flush,
                  TPM2_HANDLE *handle, struct err *e)
{
    TPM2B_PUBLIC pub = {.publicArea = *area};
    TPM2B_NAME want, got = {0};
    struct buf wire = {0};
    int tries = 0, rc;

    rc = tpmname_marshal_public(area, &wire, e);
    if (rc == 0)
        rc = tpmname_object(buf_bytes(&wire), &want, e);
    buf_free(&wire);
    if (rc != 0)
        return -1;
    for (;;) {
        struct err why = {0};

        if (once(t, &pub, hierarchy, handle, &got, &why) == 0)
            break;
        if (!may_flush || !held_try_again(t, why.rc, &tries))
            return err_take(e, &why);
    }
    if (tpmname_equal(&want, &got))
        return 0;
    tpm_flush(t, *handle);
    return err_set(e, E_TAMPERED, "the TPM named a public key otherwise than computed");
}
