#include "tpm/ctx.h"

#include "core/log.h"
#include "tpm/rc.h"
#include "tpm/share.h"

#include <stdlib.h>
#include <string.h>

struct tpm {
    char *tcti;
    struct link *link;
    struct share *share; /* NULL: the TPM is not shared, or somebody else sees to it */
    TSS2_SYS_CONTEXT *sys;
    unsigned generation;
    bool have_caps;
    struct tpm_caps caps;
    struct tpm_guest *guest;
    enum tpm_pss pss;
    struct secret *owner; /* ownerAuth, where it is known and not empty */
    bool owner_ours;
};

int tpm_new(struct tpm **out, const char *tcti, struct err *e)
{
    struct tpm *t = calloc(1, sizeof(*t));

    if (t == NULL || (t->tcti = strdup(tcti)) == NULL) {
        err_set(e, E_MEMORY, "out of memory for a TPM");
        goto fail;
    }
    if (link_new(&t->link, tcti, e) != 0)
        goto fail;
    *out = t;
    return 0;
fail:
    tpm_free(t);
    return -1;
}

void tpm_free(struct tpm *t)
{
    if (t == NULL)
        return;
    if (t->share != NULL && share_holds(t->share)) {
        share_hurry(t->share);
        /* In vain: the next process flushes it. */
        if (tpm_sys(t, NULL) == NULL)
            t->generation++;
    }
    if (t->guest != NULL)
        t->guest->end(t, t->guest);
    share_free(t->share);
    secret_free(t->owner);
    if (t->sys != NULL)
        Tss2_Sys_Finalize(t->sys);
    free(t->sys);
    link_free(t->link);
    free(t->tcti);
    free(t);
}

void tpm_forget(struct tpm *t)
{
    link_drop(t->link, true);
    t->generation++;
    if (t->share != NULL)
        share_forget(t->share);
}

void tpm_lost(struct tpm *t)
{
    link_drop(t->link, false);
    t->generation++;
    if (t->share != NULL)
        share_lost(t->share);
}

/* --- one TPM, several processes ------------------------------------------------ */

static void gone(void *arg, uint32_t handle)
{
    struct tpm *t = arg;

    if (t->guest != NULL)
        t->guest->gone(t, t->guest, handle);
}

void tpm_share(struct tpm *t, const char *dir)
{
    struct err why = {0};

    if (dir == NULL || t->share != NULL || share_bare(t->tcti) == NULL)
        return;
    if (share_new(&t->share, t->link, t->tcti, dir, gone, t, &why) != 0)
        log_info("other processes at the TPM go unnoticed: %s", why.msg);
}

void tpm_release(struct tpm *t)
{
    if (t->share != NULL && share_release(t->share))
        link_drop(t->link, false);
}

/* On a bare TPM sessions stay loaded: nobody saves them. */
bool tpm_keeps_session(struct tpm *t)
{
    return t->share == NULL && t->guest != NULL && t->guest->keeps(t, t->guest);
}

void tpm_rest(struct tpm *t)
{
    if (tpm_keeps_session(t))
        t->guest->rest(t, t->guest);
}

int tpm_claim(struct tpm *t, struct err *e)
{
    return t->share != NULL ? share_claim(t->share, e) : 0;
}

bool tpm_has(struct tpm *t, TPM2_HANDLE h)
{
    return tpm_claim(t, NULL) == 0 && (t->share == NULL || share_has(t->share, h));
}

void tpm_ended(struct tpm *t, TPM2_HANDLE h)
{
    if (t->share != NULL)
        share_ended(t->share, h);
}

const char *tpm_tcti(const struct tpm *t)
{
    return t->tcti;
}

struct tpm_guest *tpm_guest(const struct tpm *t)
{
    return t->guest;
}

void tpm_set_guest(struct tpm *t, struct tpm_guest *g)
{
    t->guest = g;
}

enum tpm_pss tpm_pss(const struct tpm *t)
{
    return t->pss;
}

void tpm_set_pss(struct tpm *t, enum tpm_pss what)
{
    t->pss = what;
}

const struct secret *tpm_owner(const struct tpm *t, bool *ours)
{
    *ours = t->owner_ours;
    return t->owner;
}

void tpm_set_owner(struct tpm *t, struct secret *auth, bool ours)
{
    secret_free(t->owner);
    t->owner = auth;
    t->owner_ours = ours;
}

unsigned tpm_generation(const struct tpm *t)
{
    return t->generation;
}

/* A command that broke off leaves the context waiting for its response: with a new
 * connection it begins anew, in its place, for callers may still hold it. */
static int begin(struct tpm *t, struct err *e)
{
    TSS2_ABI_VERSION abi = TSS2_ABI_VERSION_CURRENT;
    size_t size = Tss2_Sys_GetContextSize(0);
    TSS2_RC rc;

    if (t->sys == NULL)
        t->sys = calloc(1, size);
    if (t->sys == NULL)
        return err_set(e, E_MEMORY, "out of memory for a TPM connection");
    rc = Tss2_Sys_Initialize(t->sys, size, link_tcti(t->link), &abi);
    if (rc == TSS2_RC_SUCCESS)
        return 0;
    free(t->sys);
    t->sys = NULL;
    return rc_fail(e, rc, "opening the TPM");
}

TSS2_SYS_CONTEXT *tpm_sys(struct tpm *t, struct err *e)
{
    bool fresh = !link_is_open(t->link);

    if (tpm_claim(t, e) != 0 || link_open(t->link, e) != 0)
        return NULL;
    if (t->share != NULL)
        share_ready(t->share);
    if ((t->sys == NULL || fresh) && begin(t, e) != 0)
        return NULL;
    return t->sys;
}

void tpm_flush(struct tpm *t, TPM2_HANDLE h)
{
    TSS2_RC rc;

    /* A connection that was given up for others is no loss. */
    if (h != 0 && t->share != NULL && share_has(t->share, h))
        (void)tpm_sys(t, NULL);
    /* Nothing to say on a connection that is gone: the TPM's resource manager,
     * or the reset that broke it, has flushed. */
    if (h == 0 || t->sys == NULL || !link_is_open(t->link))
        return;
    rc = Tss2_Sys_FlushContext(t->sys, h);
    if (rc != TSS2_RC_SUCCESS)
        log_debug("flushing handle 0x%08x: 0x%03x", h, rc);
}

bool tpm_is_stale(const struct err *e)
{
    TSS2_RC rc = e->rc, base = rc_base(rc);

    if (rc == TSS2_RC_SUCCESS)
        return false;
    /* TPM_RC_REFERENCE_H0.. and _S0..: handle or session not loaded. TPM_RC_HANDLE
     * and TPM_RC_VALUE of a handle are left to the caller: an erased NV index
     * answers so too. */
    return rc_is_transport(rc) || (rc >= TPM2_RC_REFERENCE_H0 && rc <= TPM2_RC_REFERENCE_S6) ||
           base == TPM2_RC_CONTEXT_GAP || base == TPM2_RC_OBJECT_HANDLES;
}

int tpm_failure(const struct tpm *t, struct err *e)
{
    return link_failure(t->link, e);
}

int tpm_random(struct tpm *t, uint8_t *out, size_t len, struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    size_t have = 0;

    if (sys == NULL)
        return -1;
    while (have < len) {
        /* A TPM gives at most the length of its longest digest at once, and may give less. */
        TPM2B_DIGEST d = {.size = sizeof(d.buffer)};
        size_t want = len - have < sizeof(d.buffer) ? len - have : sizeof(d.buffer);
        TSS2_RC rc = Tss2_Sys_GetRandom(sys, NULL, (UINT16)want, &d, NULL);

        if (rc != TSS2_RC_SUCCESS)
            return rc_fail(e, rc, "random numbers");
        if (d.size == 0 || d.size > want)
            return err_set(e, E_TPM, "the TPM gave %u random bytes instead of %zu", d.size, want);
        memcpy(out + have, d.buffer, d.size);
        have += d.size;
    }
    return 0;
}

static int properties(TSS2_SYS_CONTEXT *sys, struct tpm_caps *c, struct err *e)
{
    TPMS_CAPABILITY_DATA data = {0};
    TPMI_YES_NO more;
    TSS2_RC rc = Tss2_Sys_GetCapability(sys, NULL, TPM2_CAP_TPM_PROPERTIES, TPM2_PT_FIXED,
                                        TPM2_MAX_TPM_PROPERTIES, &more, &data, NULL);

    if (rc != TSS2_RC_SUCCESS)
        return rc_fail(e, rc, "reading the TPM's properties");
    for (uint32_t i = 0; i < data.data.tpmProperties.count; i++) {
        const TPMS_TAGGED_PROPERTY *p = &data.data.tpmProperties.tpmProperty[i];
        uint8_t four[4] = {(uint8_t)(p->value >> 24), (uint8_t)(p->value >> 16),
                           (uint8_t)(p->value >> 8), (uint8_t)p->value};

        switch (p->property) {
        case TPM2_PT_REVISION: c->spec_revision = p->value; break;
        case TPM2_PT_MANUFACTURER: memcpy(c->manufacturer, four, 4); break;
        case TPM2_PT_VENDOR_STRING_1:
        case TPM2_PT_VENDOR_STRING_2:
        case TPM2_PT_VENDOR_STRING_3:
        case TPM2_PT_VENDOR_STRING_4:
            memcpy(c->vendor + 4 * (p->property - TPM2_PT_VENDOR_STRING_1), four, 4);
            break;
        case TPM2_PT_FIRMWARE_VERSION_1: c->firmware[0] = p->value; break;
        case TPM2_PT_FIRMWARE_VERSION_2: c->firmware[1] = p->value; break;
        case TPM2_PT_NV_BUFFER_MAX: c->max_nv = (uint16_t)p->value; break;
        default: break;
        }
    }
    c->pin_fail = c->spec_revision >= CAPS_PIN_FAIL;
    return 0;
}

static int curves(TSS2_SYS_CONTEXT *sys, struct tpm_caps *c, struct err *e)
{
    TPMS_CAPABILITY_DATA data = {0};
    TPMI_YES_NO more;
    TSS2_RC rc = Tss2_Sys_GetCapability(sys, NULL, TPM2_CAP_ECC_CURVES, 0, TPM2_MAX_ECC_CURVES,
                                        &more, &data, NULL);

    if (rc != TSS2_RC_SUCCESS)
        return rc_fail(e, rc, "reading the TPM's curves");
    for (uint32_t i = 0; i < data.data.eccCurves.count; i++) {
        switch (data.data.eccCurves.eccCurves[i]) {
        case TPM2_ECC_NIST_P256: c->p256 = true; break;
        case TPM2_ECC_NIST_P384: c->p384 = true; break;
        case TPM2_ECC_NIST_P521: c->p521 = true; break;
        default: break;
        }
    }
    return 0;
}

/* A refusal says that the TPM does not make such keys; silence says nothing. */
static int has_rsa(TSS2_SYS_CONTEXT *sys, uint16_t bits, bool *has, struct err *e)
{
    TPMT_PUBLIC_PARMS p = {.type = TPM2_ALG_RSA};
    TSS2_RC rc;

    p.parameters.rsaDetail.symmetric.algorithm = TPM2_ALG_NULL;
    p.parameters.rsaDetail.scheme.scheme = TPM2_ALG_NULL;
    p.parameters.rsaDetail.keyBits = bits;
    rc = Tss2_Sys_TestParms(sys, NULL, &p, NULL);
    if ((rc & TSS2_RC_LAYER_MASK) != 0)
        return rc_fail(e, rc, "asking the TPM for RSA");
    *has = rc == TSS2_RC_SUCCESS;
    return 0;
}

int tpm_caps(struct tpm *t, struct tpm_caps *out, struct err *e)
{
    struct tpm_caps c = {0};
    TSS2_SYS_CONTEXT *sys;

    if (!t->have_caps) {
        sys = tpm_sys(t, e);
        if (sys == NULL || properties(sys, &c, e) != 0 || curves(sys, &c, e) != 0 ||
            has_rsa(sys, 2048, &c.rsa2048, e) != 0 || has_rsa(sys, 3072, &c.rsa3072, e) != 0 ||
            has_rsa(sys, 4096, &c.rsa4096, e) != 0)
            return -1;
        tpm_set_caps(t, &c);
    }
    *out = t->caps;
    return 0;
}

void tpm_set_caps(struct tpm *t, const struct tpm_caps *caps)
{
    t->caps = *caps;
    t->have_caps = true;
}

/* Version, then fields in order; a longer or other form is ignored and read anew
 * from the TPM. */
#define CAPS_VERSION 1

int tpm_caps_encode(const struct tpm_caps *c, struct buf *out, struct err *e)
{
    buf_u8(out, CAPS_VERSION);
    buf_add(out, c->manufacturer, 4);
    buf_add(out, c->vendor, 16);
    buf_u32(out, c->firmware[0]);
    buf_u32(out, c->firmware[1]);
    buf_u32(out, c->spec_revision);
    buf_u16(out, c->max_nv);
    buf_u8(out, (uint8_t)(c->pin_fail | c->p256 << 1 | c->p384 << 2 | c->p521 << 3 |
                          c->rsa2048 << 4 | c->rsa3072 << 5 | c->rsa4096 << 6));
    return buf_ok(out, e);
}

int tpm_caps_decode(struct bytes in, struct tpm_caps *c, struct err *e)
{
    struct reader r = reader_of(in.p, in.len);
    struct tpm_caps got = {0};
    struct bytes name, vendor;
    uint8_t version = reader_u8(&r), bits;

    name = reader_take(&r, 4);
    vendor = reader_take(&r, 16);
    got.firmware[0] = reader_u32(&r);
    got.firmware[1] = reader_u32(&r);
    got.spec_revision = reader_u32(&r);
    got.max_nv = reader_u16(&r);
    bits = reader_u8(&r);
    if (!reader_done(&r) || version != CAPS_VERSION)
        return err_set(e, E_FORMAT, "the TPM's stored properties are of another form");
    memcpy(got.manufacturer, name.p, name.len);
    memcpy(got.vendor, vendor.p, vendor.len);
    got.pin_fail = (bits & 1) != 0;
    got.p256 = (bits & 2) != 0;
    got.p384 = (bits & 4) != 0;
    got.p521 = (bits & 8) != 0;
    got.rsa2048 = (bits & 16) != 0;
    got.rsa3072 = (bits & 32) != 0;
    got.rsa4096 = (bits & 64) != 0;
    *c = got;
    return 0;
}
