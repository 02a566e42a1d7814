#include "tpm/pcr.h"

#include "core/hash.h"
#include "tpm/ctx.h"
#include "tpm/policy.h"
#include "tpm/rc.h"

#include <string.h>
#include <tss2/tss2_mu.h>

#define PCR_BYTES 3

int pcr_check(const struct key_pcrs *which, struct err *e)
{
    static const uint8_t none[PCR_BYTES];

    if (which->hash == 0)
        return 0;
    if (alg_hash_of(which->hash) == NULL)
        return err_set(e, E_ARG, "there are no PCRs of the hash 0x%04x", (unsigned)which->hash);
    if (memcmp(which->select, none, PCR_BYTES) == 0)
        return err_set(e, E_ARG, "a key is to be bound to PCRs, but none is named");
    return 0;
}

static TPML_PCR_SELECTION selection_of(uint16_t hash, const uint8_t select[PCR_BYTES])
{
    TPML_PCR_SELECTION s = {.count = 1};

    s.pcrSelections[0].hash = hash;
    s.pcrSelections[0].sizeofSelect = PCR_BYTES;
    memcpy(s.pcrSelections[0].pcrSelect, select, PCR_BYTES);
    return s;
}

/* Takes from `left` what the TPM has read; false when it answered something else. */
static bool strike(uint8_t left[PCR_BYTES], uint16_t hash, const TPML_PCR_SELECTION *got,
                   const TPML_DIGEST *values)
{
    const TPMS_PCR_SELECTION *s = &got->pcrSelections[0];
    uint32_t n = 0;

    if (got->count != 1 || s->hash != hash || s->sizeofSelect > sizeof(s->pcrSelect))
        return false;
    for (size_t i = 0; i < s->sizeofSelect; i++) {
        if (s->pcrSelect[i] == 0)
            continue;
        if (i >= PCR_BYTES || (s->pcrSelect[i] & ~left[i]) != 0)
            return false;
        left[i] &= (uint8_t)~s->pcrSelect[i];
        n += (uint32_t)__builtin_popcount(s->pcrSelect[i]);
    }
    return n == values->count && n > 0;
}

int pcr_now(struct tpm *t, const struct key_pcrs *which, struct pcr_bound *out, struct err *e)
{
    static const uint8_t none[PCR_BYTES];
    struct pcr_bound b = {.selection = selection_of(which->hash, which->select), .digest.size = 32};
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    uint8_t left[PCR_BYTES];
    struct buf values = {0};
    int rc = -1;

    if (sys == NULL)
        return -1;
    memcpy(left, which->select, PCR_BYTES);
    while (memcmp(left, none, PCR_BYTES) != 0) {
        TPML_PCR_SELECTION want = selection_of(which->hash, left), got = {0};
        TPML_DIGEST list = {0};

        if (exec_sapi(Tss2_Sys_PCR_Read(sys, NULL, &want, NULL, &got, &list, NULL), "reading PCRs",
                      e) != 0)
            goto out;
        if (!strike(left, which->hash, &got, &list)) {
            err_set(e, E_UNSUPPORTED, "this TPM does not have all of the PCRs that were asked for");
            goto out;
        }
        for (uint32_t i = 0; i < list.count; i++)
            buf_add(&values, list.digests[i].buffer, list.digests[i].size);
    }
    if (buf_ok(&values, e) != 0 || hash_sha256(buf_bytes(&values), b.digest.buffer, e) != 0)
        goto out;
    *out = b;
    rc = 0;
out:
    buf_free(&values);
    return rc;
}

int pcr_of_key(const struct store_key *key, struct pcr_bound *out, struct err *e)
{
    struct reader r = reader_of(key->creation.p, key->creation.len);
    struct bytes data = reader_2b(&r);
    TPMS_CREATION_DATA c;
    size_t n = 0;

    memset(out, 0, sizeof(*out));
    if (key->creation.len == 0)
        return 0;
    memset(&c, 0, sizeof(c));
    if (r.bad ||
        Tss2_MU_TPMS_CREATION_DATA_Unmarshal(data.p, data.len, &n, &c) != TSS2_RC_SUCCESS ||
        n != data.len)
        return err_set(e, E_CORRUPT,
                       "the creation data of a stored key do not parse; restore the store from a "
                       "backup");
    if (c.pcrSelect.count == 0)
        return 0;
    out->selection = c.pcrSelect;
    out->digest = c.pcrDigest;
    return 0;
}

static bool same_selection(const TPML_PCR_SELECTION *a, const TPML_PCR_SELECTION *b)
{
    uint8_t wa[sizeof(*a)], wb[sizeof(*b)];
    size_t na = 0, nb = 0;

    return Tss2_MU_TPML_PCR_SELECTION_Marshal(a, wa, sizeof(wa), &na) == TSS2_RC_SUCCESS &&
           Tss2_MU_TPML_PCR_SELECTION_Marshal(b, wb, sizeof(wb), &nb) == TSS2_RC_SUCCESS &&
           bytes_equal(bytes_of(wa, na), bytes_of(wb, nb));
}

bool pcr_equal(const struct pcr_bound *a, const struct pcr_bound *b)
{
    return same_selection(&a->selection, &b->selection) &&
           bytes_equal(bytes_of(a->digest.buffer, a->digest.size),
                       bytes_of(b->digest.buffer, b->digest.size));
}

/* The code is not passed on: TPM_RC_VALUE means wrong data to those who decrypt. */
int pcr_refused(uint32_t rc, struct err *e)
{
    return err_set(
        e, E_REJECTED,
        "the platform's PCRs are not those the key is bound to: it was started, or runs, "
        "other software than when the key was made (0x%03x)",
        rc);
}

int pcr_satisfy(struct tpm *t, struct session *p, const struct pcr_bound *b, struct err *e)
{
    struct err why = {0};

    if (b->selection.count == 0 || policy_pcr(t, p, &b->selection, &b->digest, &why) == 0)
        return 0;
    return rc_base(why.rc) == TPM2_RC_VALUE ? pcr_refused(why.rc, e) : err_take(e, &why);
}
