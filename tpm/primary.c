#include "tpm/primary.h"

#include "core/log.h"
#include "core/tpmname.h"
#include "tpm/ctx.h"
#include "tpm/rc.h"

#include <tss2/tss2_sys.h>

/* TCG handle registry, 2.3.1: persistent objects of the owner, storage keys. */
#define FIRST_HANDLE 0x81000001U
#define HANDLES 8

#define MUST_HAVE                                                            \
    (TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT | TPMA_OBJECT_FIXEDTPM |   \
     TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA | TPMA_OBJECT_USERWITHAUTH | \
     TPMA_OBJECT_SENSITIVEDATAORIGIN)

void primary_template(bool ecc, TPMT_PUBLIC *out)
{
    TPMT_SYM_DEF_OBJECT sym = {
        .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB};

    *out = (TPMT_PUBLIC){.nameAlg = TPM2_ALG_SHA256, .objectAttributes = MUST_HAVE};
    if (ecc) {
        out->type = TPM2_ALG_ECC;
        out->parameters.eccDetail.symmetric = sym;
        out->parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
        out->parameters.eccDetail.curveID = TPM2_ECC_NIST_P256;
        out->parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
    } else {
        out->type = TPM2_ALG_RSA;
        out->parameters.rsaDetail.symmetric = sym;
        out->parameters.rsaDetail.scheme.scheme = TPM2_ALG_NULL;
        out->parameters.rsaDetail.keyBits = 2048;
    }
}

/* noDA on the parent is what keeps a power cut from counting as a failed guess. */
static bool fits(const TPMT_PUBLIC *p)
{
    return (p->objectAttributes & MUST_HAVE) == MUST_HAVE && p->nameAlg == TPM2_ALG_SHA256 &&
           ((p->type == TPM2_ALG_ECC && p->parameters.eccDetail.curveID == TPM2_ECC_NIST_P256) ||
            (p->type == TPM2_ALG_RSA && p->parameters.rsaDetail.keyBits == 2048));
}

static int create(struct tpm *t, uint32_t handle, TPM2B_PUBLIC *out, struct err *e)
{
    TSS2L_SYS_AUTH_COMMAND auth = {.count = 1, .auths[0].sessionHandle = TPM2_RS_PW};
    TPM2B_SENSITIVE_CREATE sensitive = {0};
    TPM2B_PUBLIC in = {0};
    TPML_PCR_SELECTION pcr = {0};
    TPM2B_DATA outside = {0};
    TPM2B_CREATION_DATA data = {0};
    TPM2B_DIGEST digest = {.size = sizeof(digest.buffer)};
    TPMT_TK_CREATION ticket = {0};
    TPM2B_NAME name = {.size = sizeof(name.name)};
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPM2_HANDLE h = 0;
    struct tpm_caps caps;
    TSS2_RC rc;

    if (sys == NULL || tpm_caps(t, &caps, e) != 0)
        return -1;
    primary_template(caps.p256, &in.publicArea);
    *out = (TPM2B_PUBLIC){0};
    rc = Tss2_Sys_CreatePrimary(sys, TPM2_RH_OWNER, &auth, &sensitive, &in, &outside, &pcr, &h, out,
                                &data, &digest, &ticket, &name, NULL);
    if (rc_base(rc) == TPM2_RC_BAD_AUTH || rc_base(rc) == TPM2_RC_AUTH_FAIL)
        return err_set_rc(e, E_DENIED, rc,
                          "the TPM's owner authorisation is set and unknown here; have the "
                          "machine's administrator create a storage primary at 0x%08x",
                          FIRST_HANDLE);
    if (rc != TSS2_RC_SUCCESS)
        return rc_fail(e, rc, "creating the storage primary");
    rc = Tss2_Sys_EvictControl(sys, TPM2_RH_OWNER, h, &auth, handle, NULL);
    tpm_flush(t, h);
    if (rc != TSS2_RC_SUCCESS)
        return rc_fail(e, rc, "making the storage primary persistent");
    log_info("storage primary made at 0x%08x", handle);
    return 0;
}

int primary_ensure(struct tpm *t, uint32_t *handle, struct buf *wire, struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);

    if (sys == NULL)
        return -1;
    for (uint32_t h = FIRST_HANDLE; h < FIRST_HANDLE + HANDLES; h++) {
        TPM2B_PUBLIC pub = {0};
        TPM2B_NAME name = {.size = sizeof(name.name)}, qn = {.size = sizeof(qn.name)};
        TSS2_RC rc = Tss2_Sys_ReadPublic(sys, h, NULL, &pub, &name, &qn, NULL);

        if (rc_base(rc) == TPM2_RC_HANDLE) {
            if (create(t, h, &pub, e) != 0)
                return -1;
        } else if (rc != TSS2_RC_SUCCESS) {
            return rc_fail(e, rc, "reading the storage primary");
        } else if (!fits(&pub.publicArea)) {
            continue;
        }
        if (tpmname_marshal_public(&pub.publicArea, wire, e) != 0)
            return -1;
        *handle = h;
        return 0;
    }
    return err_set(e, E_FULL,
                   "the persistent handles 0x%08x to 0x%08x hold other keys; free one of them",
                   FIRST_HANDLE, FIRST_HANDLE + HANDLES - 1);
}
