#include "tpm/pcr.h"

#include "core/hash.h"
#include "tpm/ctx.h"
#include "tpm/exec.h"
#include "tpm/policy.h"
#include "tpm/rc.h"

#include <string.h>
#include <tss2/tss2_mu.h>

#define PCR_BYTES 3
#define PCR_COUNT 24

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

/* One command: what it answers for some of `left`, which they are taken from. */
static int read_some(struct tpm *t, struct session *main, uint8_t left[PCR_BYTES],
                     struct pcrvalues *out, struct err *e)
{
    struct exec x = {.auth = {{.session = main, .audit = true}}, .n_auth = 1};
    TPML_PCR_SELECTION want = selection_of(out->hash, left), got = {0};
    const struct alg_hash *h = alg_hash_of(out->hash);
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    const char *what = "reading PCRs";
    TPML_DIGEST list = {0};
    uint32_t n = 0;

    if (sys == NULL || exec_sapi(Tss2_Sys_PCR_Read_Prepare(sys, &want), what, e) != 0 ||
        exec_run(t, &x, what, e) != 0 ||
        exec_sapi(Tss2_Sys_PCR_Read_Complete(sys, NULL, &got, &list), what, e) != 0)
        return -1;
    if (!strike(left, out->hash, &got, &list))
        return err_set(e, E_UNSUPPORTED,
                       "this TPM does not have all of the PCRs that were asked for");
    for (unsigned i = 0; i < PCR_COUNT && n < list.count; i++) {
        if (i / 8 >= got.pcrSelections[0].sizeofSelect ||
            (got.pcrSelections[0].pcrSelect[i / 8] & 1u << i % 8) == 0)
            continue;
        if (list.digests[n].size != h->size)
            return err_set(e, E_TPM, "the TPM's PCRs have another length than their hash");
        memcpy(out->value[i], list.digests[n++].buffer, h->size);
        out->there |= 1u << i;
    }
    return 0;
}

int pcr_read(struct tpm *t, struct session *main, const struct key_pcrs *which,
             struct pcrvalues *out, struct err *e)
{
    static const uint8_t none[PCR_BYTES];
    struct pcrvalues v = {.hash = which->hash};
    uint8_t left[PCR_BYTES];

    if (pcr_check(which, e) != 0)
        return -1;
    memcpy(left, which->select, PCR_BYTES);
    while (memcmp(left, none, PCR_BYTES) != 0) {
        if (read_some(t, main, left, &v, e) != 0)
            return -1;
    }
    *out = v;
    return 0;
}

int pcr_bind(const struct pcrvalues *v, const struct key_pcrs *which, struct pcr_bound *out,
             struct err *e)
{
    struct pcr_bound b = {.selection = selection_of(which->hash, which->select), .digest.size = 32};
    const struct alg_hash *h = alg_hash_of(which->hash);
    struct buf in = {0};
    int rc = -1;

    if (h == NULL || v->hash != which->hash)
        return err_set(e, E_ARG, "the values are of another hash than the key's PCRs");
    for (unsigned i = 0; i < PCR_COUNT; i++) {
        if ((which->select[i / 8] & 1u << i % 8) == 0)
            continue;
        if ((v->there & 1u << i) == 0) {
            err_set(e, E_ARG, "the key is bound to PCR %u, of which no value is given", i);
            goto out;
        }
        buf_add(&in, v->value[i], h->size);
    }
    if (buf_ok(&in, e) != 0 || hash_sha256(buf_bytes(&in), b.digest.buffer, e) != 0)
        goto out;
    *out = b;
    rc = 0;
out:
    buf_free(&in);
    return rc;
}

int pcr_now(struct tpm *t, struct session *main, const struct key_pcrs *which,
            struct pcr_bound *out, struct err *e)
{
    struct pcrvalues v;

    return pcr_read(t, main, which, &v, e) == 0 ? pcr_bind(&v, which, out, e) : -1;
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
