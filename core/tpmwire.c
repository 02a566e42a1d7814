#include "core/tpmwire.h"

#include <string.h>
#include <tss2/tss2_mu.h>

/* Common to the readers: what tss2-mu read, and what it writes for it again. */
static int same_bytes(const char *what, TSS2_RC trc, struct bytes in, size_t read, TSS2_RC wrc,
                      struct bytes again, struct err *e)
{
    if (trc != TSS2_RC_SUCCESS)
        return err_set_rc(e, E_FORMAT, trc, "the %s does not parse", what);
    if (read != in.len)
        return err_set(e, E_FORMAT, "%zu bytes follow the %s", in.len - read, what);
    if (wrc != TSS2_RC_SUCCESS || !bytes_equal(in, again))
        return err_set(e, E_FORMAT, "the %s is not in its one wire form", what);
    return 0;
}

int tpmwire_attest(struct bytes in, TPMS_ATTEST *out, struct err *e)
{
    uint8_t again[sizeof(TPMS_ATTEST)];
    TPMS_ATTEST got;
    size_t n = 0, m = 0;
    TSS2_RC trc, wrc = TSS2_RC_SUCCESS;

    if (in.len == 0 || in.len > sizeof(TPMS_ATTEST))
        return err_set(e, E_FORMAT, "%zu bytes are no TPM attestation", in.len);
    memset(&got, 0, sizeof(got));
    trc = Tss2_MU_TPMS_ATTEST_Unmarshal(in.p, in.len, &n, &got);
    if (trc == TSS2_RC_SUCCESS)
        wrc = Tss2_MU_TPMS_ATTEST_Marshal(&got, again, sizeof(again), &m);
    if (same_bytes("attestation (Part 2, 10.12.8)", trc, in, n, wrc, bytes_of(again, m), e) != 0)
        return -1;
    *out = got;
    return 0;
}

int tpmwire_signature(struct bytes in, TPMT_SIGNATURE *out, struct err *e)
{
    uint8_t again[sizeof(TPMT_SIGNATURE)];
    TPMT_SIGNATURE got;
    size_t n = 0, m = 0;
    TSS2_RC trc, wrc = TSS2_RC_SUCCESS;

    if (in.len == 0 || in.len > sizeof(TPMT_SIGNATURE))
        return err_set(e, E_FORMAT, "%zu bytes are no TPM signature", in.len);
    memset(&got, 0, sizeof(got));
    trc = Tss2_MU_TPMT_SIGNATURE_Unmarshal(in.p, in.len, &n, &got);
    if (trc == TSS2_RC_SUCCESS)
        wrc = Tss2_MU_TPMT_SIGNATURE_Marshal(&got, again, sizeof(again), &m);
    if (same_bytes("signature (Part 2, 11.3.4)", trc, in, n, wrc, bytes_of(again, m), e) != 0)
        return -1;
    *out = got;
    return 0;
}

int tpmwire_creation(struct bytes in, TPMS_CREATION_DATA *out, struct err *e)
{
    uint8_t again[sizeof(TPMS_CREATION_DATA)];
    TPMS_CREATION_DATA got;
    size_t n = 0, m = 0;
    TSS2_RC trc, wrc = TSS2_RC_SUCCESS;

    if (in.len == 0 || in.len > sizeof(TPMS_CREATION_DATA))
        return err_set(e, E_FORMAT, "%zu bytes are no creation data", in.len);
    memset(&got, 0, sizeof(got));
    trc = Tss2_MU_TPMS_CREATION_DATA_Unmarshal(in.p, in.len, &n, &got);
    if (trc == TSS2_RC_SUCCESS)
        wrc = Tss2_MU_TPMS_CREATION_DATA_Marshal(&got, again, sizeof(again), &m);
    if (same_bytes("creation data (Part 2, 15.1)", trc, in, n, wrc, bytes_of(again, m), e) != 0)
        return -1;
    *out = got;
    return 0;
}

int tpmwire_nv_public(struct bytes in, TPMS_NV_PUBLIC *out, struct err *e)
{
    uint8_t again[sizeof(TPMS_NV_PUBLIC)];
    TPMS_NV_PUBLIC got;
    size_t n = 0, m = 0;
    TSS2_RC trc, wrc = TSS2_RC_SUCCESS;

    if (in.len == 0 || in.len > sizeof(TPMS_NV_PUBLIC))
        return err_set(e, E_FORMAT, "%zu bytes are no public area of an NV index", in.len);
    memset(&got, 0, sizeof(got));
    trc = Tss2_MU_TPMS_NV_PUBLIC_Unmarshal(in.p, in.len, &n, &got);
    if (trc == TSS2_RC_SUCCESS)
        wrc = Tss2_MU_TPMS_NV_PUBLIC_Marshal(&got, again, sizeof(again), &m);
    if (same_bytes("public area (Part 2, 13.5)", trc, in, n, wrc, bytes_of(again, m), e) != 0)
        return -1;
    *out = got;
    return 0;
}

int tpmwire_marshal_signature(const TPMT_SIGNATURE *sig, struct buf *out, struct err *e)
{
    uint8_t wire[sizeof(TPMT_SIGNATURE)];
    size_t n = 0;
    TSS2_RC rc = Tss2_MU_TPMT_SIGNATURE_Marshal(sig, wire, sizeof(wire), &n);

    if (rc != TSS2_RC_SUCCESS)
        return err_set_rc(e, E_ARG, rc, "the signature cannot be written in wire form");
    buf_add(out, wire, n);
    return buf_ok(out, e);
}

/* One of r and s, padded to the size of a coordinate. Leading zeros are not cut by every
 * TPM, nor kept by every one. */
static int add_number(struct buf *out, const TPM2B_ECC_PARAMETER *v, const struct alg_curve *c,
                      struct err *e)
{
    static const uint8_t zeros[ALG_MAX_COORD];
    uint8_t any = 0;

    if (v->size > c->size || v->size > sizeof(v->buffer))
        return err_set(e, E_DATA, "r or s has %u bytes, more than %s has", (unsigned)v->size,
                       c->name);
    for (size_t i = 0; i < v->size; i++)
        any |= v->buffer[i];
    if (any == 0)
        return err_set(e, E_DATA, "r or s is zero (FIPS 186-5, 6.4.2)");
    buf_add(out, zeros, c->size - v->size);
    buf_add(out, v->buffer, v->size);
    return buf_ok(out, e);
}

static int ecc_raw(const TPMS_SIGNATURE_ECC *s, const struct pubkey *k, struct buf *out,
                   struct err *e)
{
    if (k->type != TPM2_ALG_ECC)
        return err_set(e, E_DATA, "an ECDSA signature cannot be by a key of %s", pubkey_name(k));
    if (add_number(out, &s->signatureR, k->curve, e) != 0)
        return -1;
    return add_number(out, &s->signatureS, k->curve, e);
}

static int rsa_raw(const TPMS_SIGNATURE_RSA *s, const struct pubkey *k, struct buf *out,
                   struct err *e)
{
    if (k->type != TPM2_ALG_RSA)
        return err_set(e, E_DATA, "an RSA signature cannot be by a key of %s", pubkey_name(k));
    if (s->sig.size != k->n_len)
        return err_set(e, E_DATA, "the RSA signature has %u bytes, the modulus %u",
                       (unsigned)s->sig.size, (unsigned)k->n_len);
    buf_add(out, s->sig.buffer, s->sig.size);
    return buf_ok(out, e);
}

int tpmwire_signature_raw(const TPMT_SIGNATURE *sig, const struct pubkey *k,
                          enum pubkey_scheme *scheme, const struct alg_hash **hash, struct buf *out,
                          struct err *e)
{
    /* All schemes of TPMU_SIGNATURE in use here begin with the hash. */
    const struct alg_hash *h = alg_hash_of(sig->signature.any.hashAlg);
    enum pubkey_scheme how;
    size_t was = out->len;
    int rc;

    switch (sig->sigAlg) {
    case TPM2_ALG_ECDSA: how = PUBKEY_ECDSA; break;
    case TPM2_ALG_RSASSA: how = PUBKEY_RSASSA; break;
    case TPM2_ALG_RSAPSS: how = PUBKEY_RSAPSS; break;
    default:
        return err_set(e, E_UNSUPPORTED, "the signature scheme 0x%04x is not in use here",
                       (unsigned)sig->sigAlg);
    }
    if (h == NULL)
        return err_set(e, E_UNSUPPORTED, "the signature's hash 0x%04x is not in use here",
                       (unsigned)sig->signature.any.hashAlg);
    if (how == PUBKEY_ECDSA)
        rc = ecc_raw(&sig->signature.ecdsa, k, out, e);
    else
        rc = rsa_raw(&sig->signature.rsassa, k, out, e);
    if (rc != 0) {
        out->len = was;
        return -1;
    }
    *scheme = how;
    *hash = h;
    return 0;
}
