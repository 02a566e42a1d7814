#include "core/log.h"
#include "tpm/primary.h"
#include "tpm/primary_prove.h"
#include "tpm/token_make.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a TPM that answers says of itself now, as a row. */
static int describe(struct tpm *t, struct store_tpm *hw, struct err *e)
{
    struct buf wire = {0}, caps = {0};
    struct tpm_caps c;
    int rc = -1;

    if (primary_ensure(t, &hw->primary, &wire, e) != 0 || tpm_caps(t, &c, e) != 0 ||
        tpm_caps_encode(&c, &caps, e) != 0)
        goto out;
    if (wire.len > sizeof(hw->primary_public) || caps.len > sizeof(hw->caps)) {
        err_set(e, E_TPM, "the TPM's description is too long");
        goto out;
    }
    memcpy(hw->primary_public, wire.p, wire.len);
    hw->primary_public_len = (uint16_t)wire.len;
    memcpy(hw->caps, caps.p, caps.len);
    hw->caps_len = (uint16_t)caps.len;
    rc = 0;
out:
    buf_free(&wire);
    buf_free(&caps);
    return rc;
}

static struct bytes primary_of(const struct store_tpm *hw)
{
    return bytes_of(hw->primary_public, hw->primary_public_len);
}

static int prove(struct tpm *t, struct bytes issuers, struct store_tpm *hw,
                 struct token_report *report, struct err *e)
{
    struct primary_proof proof;

    if (primary_prove(t, hw->primary, primary_of(hw), issuers, &proof, e) != 0)
        return -1;
    if (proof.ek.size == 0) {
        log_info("the storage primary is trusted on first use: %s", proof.why.msg);
        snprintf(report->ek_missing, sizeof(report->ek_missing), "%s", proof.why.msg);
        return 0;
    }
    report->ek_issuer = proof.issuer;
    hw->ek_name.len = proof.ek.size;
    memcpy(hw->ek_name.name, proof.ek.name, proof.ek.size);
    return 0;
}

int token_hw(struct tpm *t, struct store *s, struct bytes issuers, struct store_tpm *out,
             struct token_report *report, struct err *e)
{
    struct store_tpm hw = {0}, *list = NULL;
    bool proved;
    size_t n = 0;
    int rc = -1;

    if (describe(t, &hw, e) != 0 || store_tpm_list(s, &list, &n, e) != 0)
        goto out;
    for (size_t i = 0; i < n; i++) {
        if (list[i].primary == hw.primary && bytes_equal(primary_of(&list[i]), primary_of(&hw)))
            hw = list[i];
    }
    proved = hw.ek_name.len != 0;
    if ((!proved || issuers.len != 0) && prove(t, issuers, &hw, report, e) != 0)
        goto out;
    if ((hw.id == 0 || proved != (hw.ek_name.len != 0)) && store_tpm_put(s, &hw, e) != 0)
        goto out;
    report->ek_proved = hw.ek_name.len != 0;
    *out = hw;
    rc = 0;
out:
    free(list);
    return rc;
}
