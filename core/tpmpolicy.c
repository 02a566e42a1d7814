#include "core/tpmpolicy.h"

#include "core/hash.h"

#include <tss2/tss2_mu.h>

static int extend(struct tpmpolicy *p, struct buf *in, struct err *e)
{
    int rc = buf_ok(in, e);

    if (rc == 0)
        rc = hash_sha256(buf_bytes(in), p->d, e);
    buf_free(in);
    return rc;
}

/* PolicyUpdate() of Part 3, 23.2.3: a command with an entity Name, then its
 * policyRef in a second extension. */
static int update(struct tpmpolicy *p, TPM2_CC code, const TPM2B_NAME *name, struct bytes ref,
                  struct err *e)
{
    struct buf in = {0};

    buf_add(&in, p->d, sizeof(p->d));
    buf_u32(&in, code);
    buf_add(&in, name->name, name->size);
    if (extend(p, &in, e) != 0)
        return -1;
    buf_add(&in, p->d, sizeof(p->d));
    buf_add_bytes(&in, ref);
    return extend(p, &in, e);
}

int tpmpolicy_secret(struct tpmpolicy *p, const TPM2B_NAME *object, struct err *e)
{
    return update(p, TPM2_CC_PolicySecret, object, (struct bytes){NULL, 0}, e);
}

int tpmpolicy_signed(struct tpmpolicy *p, const TPM2B_NAME *key, struct bytes policy_ref,
                     struct err *e)
{
    return update(p, TPM2_CC_PolicySigned, key, policy_ref, e);
}

int tpmpolicy_authorize(struct tpmpolicy *p, const TPM2B_NAME *key, struct bytes policy_ref,
                        struct err *e)
{
    *p = (struct tpmpolicy){{0}};
    return update(p, TPM2_CC_PolicyAuthorize, key, policy_ref, e);
}

int tpmpolicy_authvalue(struct tpmpolicy *p, struct err *e)
{
    struct buf in = {0};

    buf_add(&in, p->d, sizeof(p->d));
    buf_u32(&in, TPM2_CC_PolicyAuthValue);
    return extend(p, &in, e);
}

int tpmpolicy_command(struct tpmpolicy *p, TPM2_CC code, struct err *e)
{
    struct buf in = {0};

    buf_add(&in, p->d, sizeof(p->d));
    buf_u32(&in, TPM2_CC_PolicyCommandCode);
    buf_u32(&in, code);
    return extend(p, &in, e);
}

int tpmpolicy_nvwritten(struct tpmpolicy *p, bool written, struct err *e)
{
    struct buf in = {0};

    buf_add(&in, p->d, sizeof(p->d));
    buf_u32(&in, TPM2_CC_PolicyNvWritten);
    buf_u8(&in, written ? 1 : 0);
    return extend(p, &in, e);
}

int tpmpolicy_pcr(struct tpmpolicy *p, const TPML_PCR_SELECTION *pcrs, struct bytes digest,
                  struct err *e)
{
    uint8_t wire[sizeof(*pcrs)];
    struct buf in = {0};
    size_t n = 0;

    if (Tss2_MU_TPML_PCR_SELECTION_Marshal(pcrs, wire, sizeof(wire), &n) != TSS2_RC_SUCCESS ||
        digest.len != sizeof(p->d))
        return err_set(e, E_ARG, "not a selection of PCRs with a digest of SHA-256");
    buf_add(&in, p->d, sizeof(p->d));
    buf_u32(&in, TPM2_CC_PolicyPCR);
    buf_add(&in, wire, n);
    buf_add_bytes(&in, digest);
    return extend(p, &in, e);
}

int tpmpolicy_or(struct tpmpolicy *p, const struct tpmpolicy *branch, size_t n, struct err *e)
{
    static const uint8_t zeros[sizeof(p->d)];
    struct buf in = {0};

    if (n < 2 || n > 8)
        return err_set(e, E_ARG, "PolicyOR takes 2 to 8 branches, not %zu", n);
    buf_add(&in, zeros, sizeof(zeros));
    buf_u32(&in, TPM2_CC_PolicyOR);
    for (size_t i = 0; i < n; i++)
        buf_add(&in, branch[i].d, sizeof(branch[i].d));
    return extend(p, &in, e);
}
