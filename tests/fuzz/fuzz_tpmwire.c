/* TPM structures from untrusted bytes: what is read is written again the same, and nothing is read
 * that has one byte too many or too few. */
#include "core/tpmname.h"
#include "core/tpmwire.h"
#include "tests/fuzz/input.h"

#include <tss2/tss2_mu.h>

/* Room for any structure, and for what a fuzzer adds to it. */
#define WIRE_MAX 8192

static void same_wire(TSS2_RC rc, const uint8_t *wire, size_t n, struct bytes in)
{
    INPUT_HOLDS(rc == TSS2_RC_SUCCESS);
    INPUT_HOLDS(bytes_equal(bytes_of(wire, n), in));
}

/* Strict: neither the same with its last byte gone, nor with one more. */
#define STRICT(read, type)                                                    \
    do {                                                                      \
        struct buf more_ = {0};                                               \
        type other_;                                                          \
        buf_add_bytes(&more_, in);                                            \
        buf_u8(&more_, 0);                                                    \
        INPUT_HOLDS(read(buf_bytes(&more_), &other_, NULL) != 0);             \
        INPUT_HOLDS(read(bytes_of(more_.p, in.len - 1), &other_, NULL) != 0); \
        buf_free(&more_);                                                     \
    } while (0)

static void try_attest(struct bytes in)
{
    uint8_t wire[WIRE_MAX];
    TPMS_ATTEST a;
    size_t n = 0;

    if (tpmwire_attest(in, &a, NULL) != 0)
        return;
    same_wire(Tss2_MU_TPMS_ATTEST_Marshal(&a, wire, sizeof(wire), &n), wire, n, in);
    STRICT(tpmwire_attest, TPMS_ATTEST);
}

static void try_creation(struct bytes in)
{
    uint8_t wire[WIRE_MAX];
    TPMS_CREATION_DATA d;
    size_t n = 0;

    if (tpmwire_creation(in, &d, NULL) != 0)
        return;
    same_wire(Tss2_MU_TPMS_CREATION_DATA_Marshal(&d, wire, sizeof(wire), &n), wire, n, in);
    STRICT(tpmwire_creation, TPMS_CREATION_DATA);
}

static void try_nv_public(struct bytes in)
{
    uint8_t wire[WIRE_MAX];
    TPMS_NV_PUBLIC p;
    TPM2B_NAME name;
    size_t n = 0;

    if (tpmwire_nv_public(in, &p, NULL) != 0)
        return;
    same_wire(Tss2_MU_TPMS_NV_PUBLIC_Marshal(&p, wire, sizeof(wire), &n), wire, n, in);
    STRICT(tpmwire_nv_public, TPMS_NV_PUBLIC);
    if (tpmname_nv(&p, &name, NULL) == 0)
        INPUT_HOLDS(name.size > 2 && name.size <= sizeof(name.name));
}

/* The signature is also asked for in raw form, for a key of each kind. */
static void try_signature(struct bytes in)
{
    const struct alg_curve *curve = alg_curve_of(TPM2_ECC_NIST_P256);
    const struct alg_hash *h = NULL;
    enum pubkey_scheme scheme;
    struct buf again = {0}, raw = {0};
    TPMT_SIGNATURE s;
    struct pubkey k = {.type = TPM2_ALG_ECC, .curve = curve};

    if (tpmwire_signature(in, &s, NULL) != 0)
        return;
    INPUT_HOLDS(tpmwire_marshal_signature(&s, &again, NULL) == 0);
    INPUT_HOLDS(bytes_equal(buf_bytes(&again), in));
    STRICT(tpmwire_signature, TPMT_SIGNATURE);
    for (int i = 0; i < 2; i++) {
        if (i == 1) {
            k = (struct pubkey){.type = TPM2_ALG_RSA, .exponent = 65537, .n_len = 256};
            k.n[0] = k.n[255] = 0x81;
        }
        raw.len = 0;
        if (tpmwire_signature_raw(&s, &k, &scheme, &h, &raw, NULL) == 0)
            INPUT_HOLDS(h != NULL && raw.len == (i == 0 ? 64 : 256));
    }
    buf_free(&again);
    buf_free(&raw);
}

static void try_public(struct bytes in)
{
    struct buf again = {0}, spki = {0};
    struct pubkey k, back;
    TPMT_PUBLIC p;
    TPM2B_NAME name;

    if (tpmname_unmarshal_public(in, &p, NULL) != 0)
        return;
    INPUT_HOLDS(tpmname_marshal_public(&p, &again, NULL) == 0);
    INPUT_HOLDS(bytes_equal(buf_bytes(&again), in));
    STRICT(tpmname_unmarshal_public, TPMT_PUBLIC);
    if (tpmname_object(in, &name, NULL) == 0)
        INPUT_HOLDS(name.size > 2 && (name.name[0] << 8 | name.name[1]) == p.nameAlg);
    if (pubkey_from_tpmt(&k, &p, NULL) == 0) {
        INPUT_HOLDS(pubkey_to_spki(&k, &spki, NULL) == 0);
        INPUT_HOLDS(pubkey_from_spki(&back, buf_bytes(&spki), NULL) == 0);
        INPUT_HOLDS(pubkey_equal(&k, &back));
    }
    buf_free(&again);
    buf_free(&spki);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = input_of(data, size);
    size_t which = input_below(&in, 5);
    struct bytes rest = input_rest(&in);

    if (rest.len != 0) {
        switch (which) {
        case 0: try_attest(rest); break;
        case 1: try_creation(rest); break;
        case 2: try_nv_public(rest); break;
        case 3: try_signature(rest); break;
        default: try_public(rest); break;
        }
    }
    input_end(&in);
    return 0;
}
