#include "tpm/key_policy.h"

#include "core/approval.h"
#include "core/tpmname.h"
#include "tpm/pcr_approved.h"

#include <string.h>

/* Duplication takes a policy in which its command code stands (Part 1, 19.2: DUP role). */
static int may_leave(struct tpmpolicy *out, struct err *e)
{
    *out = (struct tpmpolicy){{0}};
    if (tpmpolicy_authvalue(out, e) != 0)
        return -1;
    return tpmpolicy_command(out, TPM2_CC_Duplicate, e);
}

/* The Name of the approver's key. */
static int approver_name(const struct key_spec *spec, TPM2B_NAME *out, struct err *e)
{
    struct approval_approver a;
    int rc;

    if (approval_approver_decode(spec->approver, &a, e) != 0)
        return -1;
    rc = tpmname_object(buf_bytes(&a.public), out, e);
    approval_approver_free(&a);
    return rc;
}

static int check_approver(const struct key_spec *spec, struct err *e)
{
    TPM2B_NAME name;

    if (spec->approver.len == 0 || spec->purpose.len == 0 || spec->purpose.len >= APPROVAL_TEXT ||
        memchr(spec->purpose.p, 0, spec->purpose.len) != NULL)
        return err_set(e, E_ARG,
                       "a key that is used with approvals needs an approver, and a purpose of 1 to "
                       "%d bytes",
                       APPROVAL_TEXT - 1);
    return approver_name(spec, &name, e);
}

int key_policy_check(const struct token *k, const struct key_spec *spec, struct err *e)
{
    if ((spec->mode == STORE_KEY_EACH || spec->mode == STORE_KEY_APPROVED) &&
        spec->type != TPM2_ALG_ECC && spec->type != TPM2_ALG_RSA)
        return err_set(e, E_UNSUPPORTED,
                       "a PIN or an approval for each use goes with private keys only");
    if (spec->mode == STORE_KEY_APPROVED && check_approver(spec, e) != 0)
        return -1;
    if (spec->mode == STORE_KEY_EACH && k->row.nv[STORE_NV_U].name.len == 0)
        return err_set(e, E_UNSUPPORTED,
                       "this token has no index that counts PINs: no key can ask for one");
    if (spec->mode != STORE_KEY_SESSION && spec->mode != STORE_KEY_NONE &&
        spec->mode != STORE_KEY_EACH && spec->mode != STORE_KEY_APPROVED)
        return err_set(e, E_UNSUPPORTED, "this authorisation mode is not available yet");
    if (spec->extractable && spec->mode != STORE_KEY_SESSION)
        return err_set(e, E_UNSUPPORTED,
                       "a key that may leave the TPM must be one that is used after login");
    if (spec->extractable && spec->pcrs.hash != 0)
        return err_set(e, E_UNSUPPORTED, "a key that may leave the TPM cannot be bound to PCRs");
    if (spec->pcrs_updatable && spec->pcrs.hash == 0)
        return err_set(e, E_ARG, "only a key that is bound to PCRs can have others approved");
    return pcr_check(&spec->pcrs, e);
}

/* PolicySigned by the approver; the policyRef keeps its approvals for other purposes out. */
static int by_approver(const struct key_spec *spec, struct tpmpolicy *out, struct err *e)
{
    TPM2B_NAME name;
    TPM2B_NONCE ref;

    if (approver_name(spec, &name, e) != 0 || approval_ref(spec->purpose, &ref, e) != 0)
        return -1;
    return tpmpolicy_signed(out, &name, bytes_of(ref.buffer, ref.size), e);
}

/* What each use has to satisfy. */
static int for_use(const struct token *k, const struct key_spec *spec,
                   const uint8_t uuid[STORE_UUID], const struct pcr_bound *pcrs,
                   struct tpmpolicy *out, struct err *e)
{
    /* Not as the row has it by now: whose index that is nobody knows. */
    const struct store_name *u = &k->confirmed.nv[STORE_NV_U].name;
    TPM2B_NAME counter = {.size = u->len};

    *out = (struct tpmpolicy){{0}};
    if (pcrs != NULL && spec->pcrs_updatable && pcr_approved_policy(k, uuid, out, e) != 0)
        return -1;
    if (pcrs != NULL && !spec->pcrs_updatable &&
        tpmpolicy_pcr(out, &pcrs->selection, bytes_of(pcrs->digest.buffer, pcrs->digest.size), e) !=
            0)
        return -1;
    memcpy(counter.name, u->name, u->len);
    if (spec->mode == STORE_KEY_EACH && tpmpolicy_secret(out, &counter, e) != 0)
        return -1;
    if (spec->mode == STORE_KEY_APPROVED && by_approver(spec, out, e) != 0)
        return -1;
    return spec->mode == STORE_KEY_NONE ? 0 : tpmpolicy_authvalue(out, e);
}

int key_policy_set(const struct token *k, const struct key_spec *spec,
                   const uint8_t uuid[STORE_UUID], const struct pcr_bound *pcrs, TPMT_PUBLIC *area,
                   struct err *e)
{
    TPMA_OBJECT drop = 0;
    struct tpmpolicy p;

    if (pcrs != NULL && pcrs->selection.count == 0)
        pcrs = NULL;
    if (spec->extractable) {
        drop = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT;
        if (may_leave(&p, e) != 0)
            return -1;
    } else if (pcrs != NULL || spec->mode == STORE_KEY_EACH || spec->mode == STORE_KEY_APPROVED) {
        drop = TPMA_OBJECT_USERWITHAUTH;
        if (for_use(k, spec, uuid, pcrs, &p, e) != 0)
            return -1;
    } else {
        return 0;
    }
    area->objectAttributes &= (TPMA_OBJECT)~drop;
    area->authPolicy.size = sizeof(p.d);
    memcpy(area->authPolicy.buffer, p.d, sizeof(p.d));
    return 0;
}

int key_policy_extractable(const TPMT_PUBLIC *area, struct err *e)
{
    struct tpmpolicy p;

    if ((area->objectAttributes & (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT)) != 0)
        return 0;
    if (may_leave(&p, e) != 0)
        return -1;
    return bytes_equal(bytes_of(area->authPolicy.buffer, area->authPolicy.size),
                       bytes_of(p.d, sizeof(p.d)));
}
