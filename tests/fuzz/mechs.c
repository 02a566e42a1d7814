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
    buf_add(out, &p, sizeof(p));
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

/* Nothing, an IV, or something else. */
static void fill_raw(struct input *in, struct buf *out)
{
    static const size_t lengths[] = {0, 0, 16, 16, 8, 4};
    size_t how = input_below(in, ARRAY_LEN(lengths) + 1);
    uint8_t iv[16];

    if (how == ARRAY_LEN(lengths)) {
        buf_add_bytes(out, input_bytes(in, 512));
        return;
    }
    for (size_t i = 0; i < sizeof(iv); i++)
        iv[i] = input_u8(in);
    buf_add(out, iv, lengths[how]);
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
    case MECH_HMAC: return fill_length;
    case MECH_ECDH: return fill_ecdh;
    case MECH_HKDF: return fill_hkdf;
    case MECH_ENCRYPT_DATA: return fill_data;
    case MECH_AES: return m->variant == MECH_AES_CTR ? fill_ctr : fill_raw;
    default: return fill_raw;
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
    size_t n, at;
    const struct mech *all = mech_table_all(&n);

    at = input_below(in, n);
    for (size_t i = 0; i < n && !input_one_in(in, 64); i++) {
        if ((all[(at + i) % n].flags & flag) != 0)
            return &all[(at + i) % n];
    }
    return &all[at];
}
