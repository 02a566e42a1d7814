/*
 * Makes saved sessions old: has the TPM save and load one session N times, as a resource manager
 * does for a busy client.
 *
 *   ctxburn TCTI N
 */
#include <stdio.h>
#include <stdlib.h>
#include <tss2/tss2_sys.h>
#include <tss2/tss2_tctildr.h>

static int failed(const char *what, TSS2_RC rc)
{
    fprintf(stderr, "ctxburn: %s: 0x%x\n", what, rc);
    return 1;
}

int main(int argc, char **argv)
{
    const size_t size = Tss2_Sys_GetContextSize(0);
    TSS2_SYS_CONTEXT *sys = calloc(1, size);
    TSS2_ABI_VERSION abi = TSS2_ABI_VERSION_CURRENT;
    TPM2B_NONCE ours = {.size = 16}, theirs = {.size = sizeof(theirs.buffer)};
    const TPM2B_ENCRYPTED_SECRET salt = {0};
    const TPMT_SYM_DEF none = {.algorithm = TPM2_ALG_NULL};
    TSS2_TCTI_CONTEXT *tcti = NULL;
    TPMI_SH_AUTH_SESSION session;
    TSS2_RC rc;

    if (argc != 3 || sys == NULL) {
        fprintf(stderr, "usage: ctxburn TCTI N\n");
        return 2;
    }
    rc = Tss2_TctiLdr_Initialize(argv[1], &tcti);
    if (rc != TSS2_RC_SUCCESS)
        return failed(argv[1], rc);
    rc = Tss2_Sys_Initialize(sys, size, tcti, &abi);
    if (rc != TSS2_RC_SUCCESS)
        return failed("Initialize", rc);
    rc = Tss2_Sys_StartAuthSession(sys, TPM2_RH_NULL, TPM2_RH_NULL, NULL, &ours, &salt,
                                   TPM2_SE_HMAC, &none, TPM2_ALG_SHA256, &session, &theirs, NULL);
    if (rc != TSS2_RC_SUCCESS)
        return failed("StartAuthSession", rc);
    for (unsigned long i = strtoul(argv[2], NULL, 10); i > 0; i--) {
        TPMS_CONTEXT saved;

        rc = Tss2_Sys_ContextSave(sys, session, &saved);
        if (rc != TSS2_RC_SUCCESS) {
            fprintf(stderr, "ctxburn: %lu before the end\n", i);
            break;
        }
        rc = Tss2_Sys_ContextLoad(sys, &saved, &session);
        if (rc != TSS2_RC_SUCCESS)
            return failed("ContextLoad", rc);
    }
    if (rc != TSS2_RC_SUCCESS)
        (void)failed("ContextSave", rc);
    (void)Tss2_Sys_FlushContext(sys, session);
    Tss2_Sys_Finalize(sys);
    free(sys);
    Tss2_TctiLdr_Finalize(&tcti);
    return rc == TSS2_RC_SUCCESS ? 0 : 1;
}
