#include "core/pin_policy.h"

#include "core/hash.h"
#include "core/tpmname.h"

#include <string.h>

static const struct bytes no_ref = {NULL, 0};

static int first_write(struct tpmpolicy *p, struct err *e)
{
    if (tpmpolicy_nvwritten(p, false, e) != 0)
        return -1;
    return tpmpolicy_command(p, TPM2_CC_NV_Write, e);
}

static int by_k(struct tpmpolicy *p, const TPM2B_NAME *k, TPM2_CC code, struct err *e)
{
    if (tpmpolicy_signed(p, k, no_ref, e) != 0)
        return -1;
    return tpmpolicy_command(p, code, e);
}

int pin_policy_counter(const TPM2B_NAME *k, struct pin_policy *out, struct err *e)
{
    struct tpmpolicy *b = out->branch;

    memset(out, 0, sizeof(*out));
    out->n = k != NULL ? 6 : 4;
    if (tpmpolicy_authvalue(&b[COUNTER_CHANGE], e) != 0 ||
        tpmpolicy_command(&b[COUNTER_CHANGE], TPM2_CC_NV_ChangeAuth, e) != 0 ||
        tpmpolicy_command(&b[COUNTER_READ], TPM2_CC_NV_Read, e) != 0 ||
        tpmpolicy_command(&b[COUNTER_CERTIFY], TPM2_CC_NV_Certify, e) != 0 ||
        first_write(&b[COUNTER_FIRST], e) != 0)
        return -1;
    if (k != NULL && (by_k(&b[COUNTER_CLEAR], k, TPM2_CC_NV_Write, e) != 0 ||
                      by_k(&b[COUNTER_RESET], k, TPM2_CC_NV_ChangeAuth, e) != 0))
        return -1;
    return tpmpolicy_or(&out->all, b, out->n, e);
}

int pin_policy_guard(const TPM2B_NAME *counter, const TPM2B_NAME *k, struct pin_policy *out,
                     struct err *e)
{
    struct tpmpolicy *b = out->branch;

    memset(out, 0, sizeof(*out));
    out->n = k != NULL ? 4 : 3;
    if ((counter != NULL && tpmpolicy_secret(&b[GUARD_READ], counter, e) != 0) ||
        tpmpolicy_authvalue(&b[GUARD_READ], e) != 0)
        return -1;
    b[GUARD_CHANGE] = b[GUARD_READ];
    if (tpmpolicy_command(&b[GUARD_CHANGE], TPM2_CC_NV_ChangeAuth, e) != 0 ||
        first_write(&b[GUARD_FIRST], e) != 0)
        return -1;
    if (k != NULL && by_k(&b[GUARD_RESET], k, TPM2_CC_NV_ChangeAuth, e) != 0)
        return -1;
    return tpmpolicy_or(&out->all, b, out->n, e);
}

int pin_policy_mark(const TPM2B_NAME *k, struct pin_policy *p, struct err *e)
{
    struct buf in = {0};
    int rc = -1;

    if (p->n >= ARRAY_LEN(p->branch))
        return err_set(e, E_ARG, "a policy has no place for a mark");
    /* A hash over this text is no policyDigest: those are over a digest first (Part 1, 19.7). */
    buf_str(&in, "fusetsu token of ");
    buf_add(&in, k->name, k->size);
    if (buf_ok(&in, e) == 0 && hash_sha256(buf_bytes(&in), p->branch[p->n].d, e) == 0) {
        p->n++;
        p->all = (struct tpmpolicy){{0}};
        rc = tpmpolicy_or(&p->all, p->branch, p->n, e);
    }
    buf_free(&in);
    return rc;
}

int pin_policy_counted(const TPM2B_NAME *counter, struct pin_policy *out, struct err *e)
{
    memset(out, 0, sizeof(*out));
    out->n = 2;
    if (tpmpolicy_secret(&out->branch[0], counter, e) != 0 || first_write(&out->branch[1], e) != 0)
        return -1;
    return tpmpolicy_or(&out->all, out->branch, out->n, e);
}

int pin_policy_k(const uint8_t k_public[64], TPMT_PUBLIC *pub, TPM2B_NAME *name, struct err *e)
{
    struct buf wire = {0};
    int rc = -1;

    *pub = (TPMT_PUBLIC){
        .type = TPM2_ALG_ECC,
        .nameAlg = TPM2_ALG_SHA256,
        .objectAttributes = TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_SIGN_ENCRYPT,
    };
    pub->parameters.eccDetail.symmetric.algorithm = TPM2_ALG_NULL;
    pub->parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
    pub->parameters.eccDetail.curveID = TPM2_ECC_NIST_P256;
    pub->parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
    pub->unique.ecc.x.size = 32;
    pub->unique.ecc.y.size = 32;
    memcpy(pub->unique.ecc.x.buffer, k_public, 32);
    memcpy(pub->unique.ecc.y.buffer, k_public + 32, 32);
    if (tpmname_marshal_public(pub, &wire, e) == 0 &&
        tpmname_object(buf_bytes(&wire), name, e) == 0)
        rc = 0;
    buf_free(&wire);
    return rc;
}
