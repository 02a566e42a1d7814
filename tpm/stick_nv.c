#include "tpm/stick_nv.h"

#include "core/hash.h"
#include "core/kdf.h"
#include "core/log.h"
#include "core/tpmname.h"
#include "tpm/ctx.h"
#include "tpm/held.h"
#include "tpm/nv.h"
#include "tpm/rc.h"
#include "tpm/survey.h"

#include <string.h>

#define MAGIC "FuSeStik"
#define MAGIC_LEN 8
#define VERSION 1

#define ATTRIBUTES (TPMA_NV_AUTHREAD | TPMA_NV_POLICYWRITE | TPMA_NV_NO_DA)

static uint32_t descriptor_at(unsigned copy)
{
    return STICK_NV_FIRST + copy;
}

static uint32_t part_at(unsigned copy, unsigned i)
{
    return STICK_NV_PARTS + copy * STICK_PARTS_MAX + i;
}

int stick_nv_key(struct bytes token_secret, struct stick_key *out, struct err *e)
{
    struct ecc_point pub;
    uint8_t wide[40];
    int rc = -1;

    if (kdf_hkdf(token_secret, bytes_of("fusetsu stick", 13), wide, sizeof(wide), e) == 0 &&
        ecc_from_seed(alg_curve_of(TPM2_ECC_NIST_P256), bytes_of(wide, sizeof(wide)), out->d, &pub,
                      e) == 0) {
        memcpy(out->public, pub.x, 32);
        memcpy(out->public + 32, pub.y, 32);
        rc = 0;
    }
    secret_wipe(wide, sizeof(wide));
    return rc;
}

/* --- reading --------------------------------------------------------------------- */

static int damaged(unsigned copy, const char *how, struct err *e)
{
    return err_set(e, E_CORRUPT, "copy %u of the token's image in the TPM %s", copy, how);
}

static bool parse(struct bytes wire, struct stick_descriptor *d)
{
    struct reader r = reader_of(wire.p, wire.len);
    struct bytes digest;

    (void)reader_take(&r, MAGIC_LEN + 2);
    d->part = reader_u16(&r);
    d->parts = reader_u16(&r);
    (void)reader_u16(&r);
    d->generation = reader_u64(&r);
    d->length = reader_u32(&r);
    digest = reader_take(&r, STICK_DIGEST);
    if (r.bad || d->part == 0 || d->parts == 0 || d->parts > STICK_PARTS_MAX ||
        d->length > (uint32_t)d->part * d->parts)
        return false;
    memcpy(d->digest, digest.p, STICK_DIGEST);
    return true;
}

static int judge(struct bytes wire, unsigned copy, struct stick_descriptor *d, struct err *e)
{
    const size_t body = STICK_DESCRIPTOR - STICK_DIGEST;
    uint8_t digest[STICK_DIGEST];

    if (memcmp(wire.p, MAGIC, MAGIC_LEN) != 0)
        return err_set(e, E_NOT_FOUND, "copy %u of the token's image was never written", copy);
    if (hash_sha256(bytes_of(wire.p, body), digest, e) != 0)
        return -1;
    if (!bytes_equal(bytes_of(digest, sizeof(digest)), bytes_of(wire.p + body, STICK_DIGEST)))
        return damaged(copy, "has a damaged descriptor", e);
    if (wire.p[MAGIC_LEN] != 0 || wire.p[MAGIC_LEN + 1] != VERSION)
        return err_set(e, E_VERSION,
                       "the token's image in the TPM has version %u, this program knows %d; use a"
                       " newer fusetsu",
                       (unsigned)(wire.p[MAGIC_LEN] << 8 | wire.p[MAGIC_LEN + 1]), VERSION);
    return parse(wire, d) ? 0 : damaged(copy, "has a descriptor that makes no sense", e);
}

int stick_nv_descriptor(struct tpm *t, unsigned copy, struct stick_descriptor *out, struct err *e)
{
    struct stick_descriptor d = {0};
    struct buf wire = {0};
    int rc = -1;

    if (nv_read_part(t, descriptor_at(copy), 0, STICK_DESCRIPTOR, &wire, e) == 0 &&
        judge(buf_bytes(&wire), copy, &d, e) == 0) {
        *out = d;
        rc = 0;
    }
    buf_free(&wire);
    return rc;
}

int stick_nv_image(struct tpm *t, unsigned copy, const struct stick_descriptor *d, struct buf *out,
                   struct err *e)
{
    uint8_t digest[STICK_DIGEST];
    uint32_t left = d->length;
    struct buf image = {0};
    int rc = -1;

    for (unsigned i = 0; left > 0; i++) {
        uint16_t n = left < d->part ? (uint16_t)left : d->part;

        if (nv_read_part(t, part_at(copy, i), 0, n, &image, e) != 0)
            goto out;
        left -= n;
    }
    if (hash_sha256(buf_bytes(&image), digest, e) != 0)
        goto out;
    if (!bytes_equal(bytes_of(digest, sizeof(digest)), bytes_of(d->digest, STICK_DIGEST))) {
        damaged(copy, "is not what its descriptor tells of", e);
        goto out;
    }
    buf_free(out);
    *out = image;
    image = (struct buf){0};
    rc = 0;
out:
    buf_free(&image);
    return rc;
}

/* --- writing ----------------------------------------------------------------------- */

/* What an index is, before it is written. */
static int describe(const struct stick_key *key, uint32_t index, uint16_t size, TPMS_NV_PUBLIC *out,
                    struct err *e)
{
    struct tpmpolicy policy = {{0}};
    TPMT_PUBLIC pub;
    TPM2B_NAME name;

    if (pin_policy_k(key->public, &pub, &name, e) != 0 ||
        tpmpolicy_signed(&policy, &name, bytes_of(NULL, 0), e) != 0 ||
        tpmpolicy_command(&policy, TPM2_CC_NV_Write, e) != 0)
        return -1;
    *out = (TPMS_NV_PUBLIC){
        .nvIndex = index,
        .nameAlg = TPM2_ALG_SHA256,
        .attributes = ATTRIBUTES,
        .authPolicy.size = sizeof(policy.d),
        .dataSize = size,
    };
    memcpy(out->authPolicy.buffer, policy.d, sizeof(policy.d));
    return 0;
}

/* Our key's public half in the TPM, and a policy session: what writes take. */
struct writer {
    const struct pin_link *l;
    const struct stick_key *key;
    TPM2_HANDLE loaded;
    struct session p;
};

static void writer_end(struct writer *w)
{
    session_end(w->l->tpm, &w->p);
    if (w->loaded != 0)
        tpm_flush(w->l->tpm, w->loaded);
}

static int writer_begin(struct writer *w, const struct pin_link *l, const struct stick_key *key,
                        struct err *e)
{
    TPM2B_NAME want, got = {.size = sizeof(got.name)};
    TPM2B_PUBLIC pub = {0};
    TSS2_SYS_CONTEXT *sys;

    *w = (struct writer){.l = l, .key = key};
    held_make_room(l->tpm);
    sys = tpm_sys(l->tpm, e);
    if (sys == NULL || pin_policy_k(key->public, &pub.publicArea, &want, e) != 0 ||
        exec_sapi(
            Tss2_Sys_LoadExternal(sys, NULL, NULL, &pub, TPM2_RH_NULL, &w->loaded, &got, NULL),
            "loading the public key of the token's image", e) != 0 ||
        pin_session(l, &w->p, e) != 0) {
        writer_end(w);
        return -1;
    }
    return 0;
}

/* What the TPM answers when an index is not the one that was made: other Name or policy. */
static bool is_another(TSS2_RC base)
{
    return base == TPM2_RC_POLICY_FAIL || base == TPM2_RC_AUTH_FAIL || base == TPM2_RC_BAD_AUTH ||
           base == TPM2_RC_NV_AUTHORIZATION || base == TPM2_RC_NV_RANGE ||
           base == TPM2_RC_AUTH_UNAVAILABLE;
}

static int write_one(struct writer *w, uint32_t index, uint16_t size, bool first,
                     struct bytes content, struct err *e)
{
    struct tpm *t = w->l->tpm;
    struct err why = {0};
    TPMS_NV_PUBLIC pub;
    TPM2B_NAME name;

    if (describe(w->key, index, size, &pub, e) != 0)
        return -1;
    /* TPMA_NV_WRITTEN is part of the Name. */
    if (!first)
        pub.attributes |= TPMA_NV_WRITTEN;
    if (tpmname_nv(&pub, &name, e) != 0 || policy_signed(t, &w->p, w->loaded, w->key->d, e) != 0 ||
        policy_command(t, &w->p, TPM2_CC_NV_Write, e) != 0)
        return -1;
    if (nv_write_part(t, &w->p, index, &name, content, &why) == 0)
        return 0;
    if (is_another(rc_base(why.rc)))
        return err_set_rc(e, E_TAMPERED, why.rc,
                          "NV index 0x%08x is no longer the one that keeps this token's image: "
                          "somebody had the TPM in hand; have the token made anew",
                          index);
    return err_take(e, &why);
}

static int put_descriptor(struct writer *w, unsigned copy, const struct stick_descriptor *d,
                          struct err *e)
{
    uint8_t digest[STICK_DIGEST];
    struct buf b = {0};
    int rc = -1;

    buf_add(&b, MAGIC, MAGIC_LEN);
    buf_u16(&b, VERSION);
    buf_u16(&b, d->part);
    buf_u16(&b, d->parts);
    buf_u16(&b, 0);
    buf_u64(&b, d->generation);
    buf_u32(&b, d->length);
    buf_add(&b, d->digest, STICK_DIGEST);
    if (buf_ok(&b, e) != 0 || hash_sha256(buf_bytes(&b), digest, e) != 0)
        goto out;
    buf_add(&b, digest, sizeof(digest));
    if (buf_ok(&b, e) == 0)
        rc = write_one(w, descriptor_at(copy), STICK_DESCRIPTOR, false, buf_bytes(&b), e);
out:
    buf_free(&b);
    return rc;
}

int stick_nv_write(const struct pin_link *l, const struct stick_key *key, unsigned copy,
                   struct stick_descriptor *d, struct bytes image, struct err *e)
{
    struct stick_descriptor now = *d;
    struct writer w;
    int rc = -1;

    now.length = (uint32_t)image.len;
    if (hash_sha256(image, now.digest, e) != 0 || writer_begin(&w, l, key, e) != 0)
        return -1;
    for (unsigned i = 0; (size_t)i * d->part < image.len; i++) {
        size_t at = (size_t)i * d->part, left = image.len - at;

        if (write_one(&w, part_at(copy, i), d->part, false,
                      bytes_of(image.p + at, left < d->part ? left : d->part), e) != 0)
            goto out;
    }
    /* One command, and from then on it is this copy that is in force. */
    rc = put_descriptor(&w, copy, &now, e);
    if (rc == 0)
        *d = now;
out:
    writer_end(&w);
    return rc;
}

/* --- making and taking away ---------------------------------------------------------- */

/* Defines an index and writes its first byte: from then on its Name stays as it is. */
static int make(struct writer *w, uint32_t index, uint16_t size, struct err *e)
{
    static const uint8_t zero = 0;
    TPMS_NV_PUBLIC pub;

    if (describe(w->key, index, size, &pub, e) != 0 ||
        nv_define(w->l->tpm, w->l->main, &pub, bytes_of(NULL, 0), e) != 0)
        return -1;
    return write_one(w, index, size, true, bytes_of(&zero, 1), e);
}

static bool is_full(const struct err *e)
{
    TSS2_RC base = rc_base(e->rc);

    return base == TPM2_RC_NV_SPACE || base == TPM2_RC_MEMORY;
}

/* The same part of each copy, or of none. */
static int make_pair(struct writer *w, unsigned i, uint16_t part, struct err *e)
{
    if (make(w, part_at(0, i), part, e) != 0)
        return -1;
    if (make(w, part_at(1, i), part, e) == 0)
        return 0;
    if (nv_undefine(w->l->tpm, w->l->main, part_at(0, i), NULL) != 0)
        log_info("NV index 0x%08x stays without its twin", part_at(0, i));
    return -1;
}

int stick_nv_define(const struct pin_link *l, const struct stick_key *key, size_t room,
                    struct stick_descriptor *d, struct err *e)
{
    struct err why = {0};
    struct tpm_caps caps;
    struct writer w;
    unsigned n = 0;
    uint16_t part;
    int rc = -1;

    if (tpm_caps(l->tpm, &caps, e) != 0 || stick_nv_undefine(l, e) != 0 ||
        writer_begin(&w, l, key, e) != 0)
        return -1;
    part = nv_chunk(&caps);
    for (unsigned copy = 0; copy < STICK_COPIES; copy++) {
        if (make(&w, descriptor_at(copy), STICK_DESCRIPTOR, e) != 0)
            goto out;
    }
    while (n < STICK_PARTS_MAX && (size_t)n * part < room && make_pair(&w, n, part, &why) == 0)
        n++;
    if (why.code != E_OK && (n == 0 || !is_full(&why))) {
        err_take(e, &why);
        goto out;
    }
    *d = (struct stick_descriptor){.part = part, .parts = (uint16_t)n};
    rc = 0;
out:
    writer_end(&w);
    return rc;
}

int stick_nv_undefine(const struct pin_link *l, struct err *e)
{
    uint32_t list[2 + STICK_COPIES * STICK_PARTS_MAX];
    size_t n = 0;

    if (survey_handles(l->tpm, STICK_NV_FIRST, part_at(1, STICK_PARTS_MAX - 1), list,
                       ARRAY_LEN(list), &n, e) != 0)
        return -1;
    /* Descriptors are the lowest: without them there is no image, whatever happens next. */
    for (size_t i = 0; i < n; i++) {
        TPMS_NV_PUBLIC pub;

        if (nv_public(l->tpm, list[i], &pub, NULL, e) != 0)
            return -1;
        if ((pub.attributes & ~(TPMA_NV)TPMA_NV_WRITTEN) == ATTRIBUTES &&
            nv_undefine(l->tpm, l->main, list[i], e) != 0)
            return -1;
    }
    return 0;
}
