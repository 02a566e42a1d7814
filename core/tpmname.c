#include "core/tpmname.h"

#include "core/hash.h"

#include <string.h>
#include <tss2/tss2_mu.h>

/* `alg` ‖ H(in) into a Name. */
static int name_of(uint16_t alg, struct bytes in, TPM2B_NAME *out, struct err *e)
{
    const struct alg_hash *h = alg_hash_of(alg);
    TPM2B_NAME got = {0};

    if (h == NULL)
        return err_set(e, E_UNSUPPORTED, "the name algorithm 0x%04x is not a hash in use here",
                       (unsigned)alg);
    got.name[0] = (uint8_t)(alg >> 8);
    got.name[1] = (uint8_t)alg;
    if (hash_digest(h, in, got.name + 2, e) != 0)
        return -1;
    got.size = (UINT16)(2 + h->size);
    *out = got;
    return 0;
}

int tpmname_object(struct bytes tpmt_public, TPM2B_NAME *out, struct err *e)
{
    struct reader r = reader_of(tpmt_public.p, tpmt_public.len);
    uint16_t alg;

    reader_u16(&r); /* type: Part 2, 12.2.4 */
    alg = reader_u16(&r);
    if (r.bad)
        return err_set(e, E_FORMAT, "a public area of %zu bytes is too short", tpmt_public.len);
    return name_of(alg, tpmt_public, out, e);
}

int tpmname_nv(const TPMS_NV_PUBLIC *pub, TPM2B_NAME *out, struct err *e)
{
    uint8_t wire[sizeof(TPMS_NV_PUBLIC)];
    size_t n = 0;
    TSS2_RC rc = Tss2_MU_TPMS_NV_PUBLIC_Marshal(pub, wire, sizeof(wire), &n);

    if (rc != TSS2_RC_SUCCESS)
        return err_set_rc(e, E_ARG, rc, "the public area of an NV index cannot be written");
    return name_of(pub->nameAlg, bytes_of(wire, n), out, e);
}

void tpmname_handle(uint32_t handle, TPM2B_NAME *out)
{
    *out = (TPM2B_NAME){.size = 4,
                        .name = {(uint8_t)(handle >> 24), (uint8_t)(handle >> 16),
                                 (uint8_t)(handle >> 8), (uint8_t)handle}};
}

int tpmname_qualified(const TPM2B_NAME *parent, const TPM2B_NAME *child, TPM2B_NAME *out,
                      struct err *e)
{
    struct buf in = {0};
    int rc = -1;

    if (child->size < 2 || child->size > sizeof(child->name) || parent->size > sizeof(parent->name))
        return err_set(e, E_ARG, "a qualified name needs the Names of parent and child");
    buf_add(&in, parent->name, parent->size);
    buf_add(&in, child->name, child->size);
    if (buf_ok(&in, e) == 0)
        rc = name_of((uint16_t)(child->name[0] << 8 | child->name[1]), buf_bytes(&in), out, e);
    buf_free(&in);
    return rc;
}

bool tpmname_equal(const TPM2B_NAME *a, const TPM2B_NAME *b)
{
    return a->size <= sizeof(a->name) && b->size <= sizeof(b->name) &&
           bytes_equal(bytes_of(a->name, a->size), bytes_of(b->name, b->size));
}

int tpmname_marshal_public(const TPMT_PUBLIC *pub, struct buf *out, struct err *e)
{
    uint8_t wire[sizeof(TPMT_PUBLIC)];
    size_t n = 0;
    TSS2_RC rc = Tss2_MU_TPMT_PUBLIC_Marshal(pub, wire, sizeof(wire), &n);

    if (rc != TSS2_RC_SUCCESS)
        return err_set_rc(e, E_ARG, rc, "the public area cannot be written in wire form");
    buf_add(out, wire, n);
    return buf_ok(out, e);
}

int tpmname_unmarshal_public(struct bytes in, TPMT_PUBLIC *pub, struct err *e)
{
    TPMT_PUBLIC got;
    struct buf again = {0};
    size_t n = 0;
    TSS2_RC trc;
    int rc = -1;

    memset(&got, 0, sizeof(got));
    if (in.len == 0 || in.len > sizeof(TPMT_PUBLIC))
        return err_set(e, E_FORMAT, "%zu bytes are no TPM public area", in.len);
    trc = Tss2_MU_TPMT_PUBLIC_Unmarshal(in.p, in.len, &n, &got);
    if (trc != TSS2_RC_SUCCESS)
        return err_set_rc(e, E_FORMAT, trc, "the public area does not parse (Part 2, 12.2.4)");
    if (n != in.len)
        return err_set(e, E_FORMAT, "%zu bytes follow the public area", in.len - n);
    if (tpmname_marshal_public(&got, &again, e) == 0) {
        if (bytes_equal(buf_bytes(&again), in))
            rc = 0;
        else
            err_set(e, E_FORMAT, "the public area is not in its one wire form");
    }
    if (rc == 0)
        *pub = got;
    buf_free(&again);
    return rc;
}
