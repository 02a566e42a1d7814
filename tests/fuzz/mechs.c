#include "tests/fuzz/mechs.h"

/* A key of the caller's that parameters name. */
static CK_OBJECT_HANDLE salt_key;

void mechs_salt(CK_OBJECT_HANDLE key)
{
    salt_key = key;
}

static void string(struct input *in, CK_BYTE **p, CK_ULONG *len)
{
    input_string(in, 2048, p, len);
}

static CK_ULONG hash_type(struct input *in)
{
    static const CK_ULONG types[] = {CKM_SHA_1,  CKM_SHA224, CKM_SHA256,
                                     CKM_SHA384, CKM_SHA512, CKM_AES_GCM};

    return input_one_in(in, 8) ? input_ulong(in) : types[input_below(in, ARRAY_LEN(types))];
}

static CK_ULONG small(struct input *in, CK_ULONG n)
{
    return input_one_in(in, 8) ? input_ulong(in) : input_below(in, n);
}

static void fill_pss(struct input *in, struct buf *out)
{
    CK_RSA_PKCS_PSS_PARAMS p = {hash_type(in), small(in, 7), small(in, 64)};

    buf_add(out, &p, sizeof(p));
}

static void fill_oaep(struct input *in, struct buf *out)
{
    CK_RSA_PKCS_OAEP_PARAMS p = {.hashAlg = hash_type(in), .mgf = small(in, 7)};

    p.source = small(in, 3);
    string(in, (CK_BYTE **)&p.pSourceData, &p.ulSourceDataLen);
    buf_add(out, &p, sizeof(p));
}

static void fill_ctr(struct input *in, struct buf *out)
{
    CK_AES_CTR_PARAMS p = {.ulCounterBits = small(in, 130)};

    for (size_t i = 0; i < sizeof(p.cb); i++)
        p.cb[i] = (CK_BYTE)(0xff ^ input_u8(in));
    buf_add(out, &p, sizeof(p));
}

static void fill_gcm(struct input *in, struct buf *out)
{
    CK_GCM_PARAMS p = {.ulTagBits = small(in, 17) * 8};

    string(in, &p.pIv, &p.ulIvLen);
    p.ulIvBits = input_ulong(in);
    string(in, &p.pAAD, &p.ulAADLen);
    if (!input_one_in(in, 8)) {
        buf_add(out, &p, sizeof(p));
        return;
    }
    /* As the text of 2.40 has it, without the bits of the IV. */
    buf_add(out, &p, offsetof(CK_GCM_PARAMS, ulIvBits));
    buf_add(out, &p.pAAD, sizeof(p) - offsetof(CK_GCM_PARAMS, pAAD));
}

static void fill_length(struct input *in, struct buf *out)
{
    CK_ULONG p = small(in, 80);

    buf_add(out, &p, sizeof(p));
}

static void fill_ecdh(struct input *in, struct buf *out)
{
    CK_ECDH1_DERIVE_PARAMS p = {.kdf = small(in, 10)};

    string(in, &p.pSharedData, &p.ulSharedDataLen);
    string(in, &p.pPublicData, &p.ulPublicDataLen);
    buf_add(out, &p, sizeof(p));
}

static void fill_hkdf(struct input *in, struct buf *out)
{
    CK_HKDF_PARAMS p = {.bExtract = input_u8(in) & 1, .bExpand = input_u8(in) & 1};

    p.prfHashMechanism = hash_type(in);
    p.ulSaltType = small(in, 6);
    string(in, &p.pSalt, &p.ulSaltLen);
    p.hSaltKey = salt_key;
    string(in, &p.pInfo, &p.ulInfoLen);
    buf_add(out, &p, sizeof(p));
}

static void fill_data(struct input *in, struct buf *out)
{
    CK_KEY_DERIVATION_STRING_DATA ecb = {NULL, 0};
    CK_AES_CBC_ENCRYPT_DATA_PARAMS cbc = {.pData = NULL};

    if (input_one_in(in, 2)) {
        string(in, &ecb.pData, &ecb.ulLen);
        buf_add(out, &ecb, sizeof(ecb));
    } else {
        string(in, &cbc.pData, &cbc.length);
        buf_add(out, &cbc, sizeof(cbc));
    }
}

static void fill_raw(struct input *in, struct buf *out)
{
    buf_add_bytes(out, input_bytes(in, 512));
}

static void fill_none(struct input *in, struct buf *out)
{
    if (input_one_in(in, 16))
        fill_raw(in, out);
}

static void fill_iv(struct input *in, struct buf *out)
{
    uint8_t iv[16];

    if (input_one_in(in, 16)) {
        fill_raw(in, out);
        return;
    }
    for (size_t i = 0; i < sizeof(iv); i++)
        iv[i] = input_u8(in);
    buf_add(out, iv, sizeof(iv));
}

/* An initial value of either length, or the default. */
static void fill_wrap(struct input *in, struct buf *out)
{
    static const size_t lengths[] = {0, 0, 8, 4};
    uint8_t iv[8] = {input_u8(in), input_u8(in)};

    buf_add(out, iv, lengths[input_below(in, ARRAY_LEN(lengths))]);
    fill_none(in, out);
}

typedef void (*filler)(struct input *in, struct buf *out);
static const filler fillers[] = {fill_raw,    fill_pss,  fill_oaep, fill_ctr, fill_gcm,
                                 fill_length, fill_ecdh, fill_hkdf, fill_data};

/* The structure that a mechanism wants. */
static filler wanted(const struct mech *m)
{
    switch (m->family) {
    case MECH_PSS: return fill_pss;
    case MECH_OAEP: return fill_oaep;
    case MECH_GCM: return fill_gcm;
    case MECH_CMAC:
    case MECH_HMAC: return m->variant != 0 ? fill_length : fill_none;
    case MECH_ECDH: return fill_ecdh;
    case MECH_HKDF: return fill_hkdf;
    case MECH_ENCRYPT_DATA: return fill_data;
    case MECH_AES:
        return m->variant == MECH_AES_CTR   ? fill_ctr
               : m->variant == MECH_AES_ECB ? fill_none
                                            : fill_iv;
    case MECH_KEY_WRAP: return fill_wrap;
    default: return fill_none;
    }
}

CK_MECHANISM mechs_given(struct input *in, const struct mech *m, bool *honest)
{
    CK_MECHANISM given = {m->type, NULL, 0};
    filler fill = wanted(m);
    struct buf b = {0};
    size_t len;

    if (honest != NULL) {
        *honest = !input_one_in(in, 8);
        if (!*honest)
            fill = fillers[input_below(in, ARRAY_LEN(fillers))];
    }
    fill(in, &b);
    /* A structure of the wrong length. */
    len = b.len;
    if (input_one_in(in, 24))
        len = input_below(in, b.len + 1);
    given.pParameter = input_copy(in, bytes_of(b.p, len));
    given.ulParameterLen = len;
    if (input_one_in(in, 24))
        given.ulParameterLen = input_one_in(in, 2) ? input_huge(in) : 0;
    if (input_one_in(in, 24))
        given.pParameter = NULL;
    buf_free(&b);
    return given;
}

const struct mech *mechs_with(struct input *in, CK_FLAGS flag)
{
    size_t n, which, such = 0;
    const struct mech *all = mech_table_all(&n);

    if (input_one_in(in, 32))
        return &all[input_below(in, n)];
    for (size_t i = 0; i < n; i++)
        such += (all[i].flags & flag) != 0;
    which = input_below(in, such);
    for (size_t i = 0; i < n; i++) {
        if ((all[i].flags & flag) != 0 && which-- == 0)
            return &all[i];
    }
    return &all[0];
}
