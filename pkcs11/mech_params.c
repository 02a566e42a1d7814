#include "pkcs11/mech_params.h"

#include <string.h>

/* Clauses are those of PKCS#11 Current Mechanisms 2.40 unless another is named. */

/* Copies the structure that the parameter must be. */
static bool take(const CK_MECHANISM *m, void *out, size_t size)
{
    if (m->pParameter == NULL || m->ulParameterLen != size)
        return false;
    memcpy(out, m->pParameter, size);
    return true;
}

/* A byte string inside a parameter. */
static bool string(const void *p, CK_ULONG len, struct bytes *out)
{
    if (len > MECH_PARAMS_MAX || (p == NULL && len != 0))
        return false;
    *out = bytes_of(p, (size_t)len);
    return true;
}

/* Some callers leave a stale pointer beside a length of 0. */
static bool none(const CK_MECHANISM *m)
{
    return m->ulParameterLen == 0;
}

/* 2.1.10. The salt's length is judged against the key later. */
static bool pss(const struct mech *m, const CK_MECHANISM *given, struct mech_params *out)
{
    CK_RSA_PKCS_PSS_PARAMS p;

    if (!take(given, &p, sizeof(p)) || p.sLen > 512)
        return false;
    out->hash = mech_table_hash(p.hashAlg);
    out->mgf = mech_table_mgf(p.mgf);
    out->salt_len = (size_t)p.sLen;
    return out->hash != NULL && out->mgf != NULL && (m->hash == 0 || m->hash == out->hash->nid);
}

/* 2.1.8. Source 0 with no data is what many callers mean by "no label". */
static bool oaep(const CK_MECHANISM *given, struct mech_params *out)
{
    CK_RSA_PKCS_OAEP_PARAMS p;

    if (!take(given, &p, sizeof(p)) || (p.source != CKZ_DATA_SPECIFIED && p.source != 0) ||
        (p.source == 0 && p.ulSourceDataLen != 0))
        return false;
    out->hash = mech_table_hash(p.hashAlg);
    out->mgf = mech_table_mgf(p.mgf);
    return out->hash != NULL && out->mgf != NULL &&
           string(p.pSourceData, p.ulSourceDataLen, &out->label);
}

/* 2.10.2 and 2.10.3: the IV alone, or the counter block and its width. */
static bool aes(const struct mech *m, const CK_MECHANISM *given, struct mech_params *out)
{
    CK_AES_CTR_PARAMS ctr;

    switch (m->variant) {
    case MECH_AES_ECB: return none(given);
    case MECH_AES_CTR:
        if (!take(given, &ctr, sizeof(ctr)) || ctr.ulCounterBits == 0 || ctr.ulCounterBits > 128)
            return false;
        memcpy(out->iv, ctr.cb, sizeof(out->iv));
        out->counter_bits = (unsigned)ctr.ulCounterBits;
        return true;
    default: return take(given, out->iv, sizeof(out->iv));
    }
}

/* The same without the length of the IV in bits, as the text of 2.40 has it and NSS once did;
 * the length of the parameter tells them apart. */
struct gcm_params_short {
    CK_BYTE *iv;
    CK_ULONG iv_len;
    CK_BYTE *aad;
    CK_ULONG aad_len, tag_bits;
};

/* 2.11.3; SP 800-38D, 5.2.1.2 for the lengths of tags. */
static bool gcm(const CK_MECHANISM *given, struct mech_params *out)
{
    struct gcm_params_short s;
    CK_GCM_PARAMS p;

    if (take(given, &s, sizeof(s)))
        p = (CK_GCM_PARAMS){.pIv = s.iv,
                            .ulIvLen = s.iv_len,
                            .pAAD = s.aad,
                            .ulAADLen = s.aad_len,
                            .ulTagBits = s.tag_bits};
    else if (!take(given, &p, sizeof(p)))
        return false;
    if (p.ulIvLen == 0 || p.ulTagBits % 8 != 0 || p.ulTagBits > 128 ||
        (p.ulTagBits < 96 && p.ulTagBits != 64 && p.ulTagBits != 32))
        return false;
    out->tag_len = (size_t)p.ulTagBits / 8;
    return string(p.pIv, p.ulIvLen, &out->nonce) && string(p.pAAD, p.ulAADLen, &out->aad);
}

/* 2.14.3 and the like: CK_MAC_GENERAL_PARAMS is a length. */
static bool mac(const struct mech *m, size_t whole, const CK_MECHANISM *given,
                struct mech_params *out)
{
    CK_ULONG len;

    if (m->variant == 0)
        return none(given);
    if (!take(given, &len, sizeof(len)) || len == 0 || len > whole)
        return false;
    out->mac_len = (size_t)len;
    return true;
}

/* 2.12: an own initial value, of 8 bytes, or 4 where the length takes the rest. */
static bool key_wrap(const struct mech *m, const CK_MECHANISM *given, struct mech_params *out)
{
    return none(given) || (string(given->pParameter, given->ulParameterLen, &out->wrap_iv) &&
                           out->wrap_iv.len == (m->variant == 0 ? 8u : 4u));
}

/* 2.3.10 */
static bool ecdh(const CK_MECHANISM *given, struct mech_params *out)
{
    CK_ECDH1_DERIVE_PARAMS p;

    if (!take(given, &p, sizeof(p)) || !string(p.pPublicData, p.ulPublicDataLen, &out->point) ||
        out->point.len == 0 || !string(p.pSharedData, p.ulSharedDataLen, &out->label))
        return false;
    out->hash = mech_table_kdf(p.kdf);
    if (out->hash == NULL)
        return p.kdf == CKD_NULL && out->label.len == 0;
    return true;
}

/* 3.0, 2.62.2 */
static bool hkdf(const CK_MECHANISM *given, struct mech_params *out)
{
    CK_HKDF_PARAMS p;

    if (!take(given, &p, sizeof(p)))
        return false;
    out->extract = p.bExtract != 0;
    out->expand = p.bExpand != 0;
    out->hash = mech_table_hash(p.prfHashMechanism);
    if (out->hash == NULL || (!out->extract && !out->expand))
        return false;
    if (out->extract) {
        switch (p.ulSaltType) {
        case CKF_HKDF_SALT_NULL: break;
        case CKF_HKDF_SALT_DATA:
            if (!string(p.pSalt, p.ulSaltLen, &out->salt))
                return false;
            break;
        case CKF_HKDF_SALT_KEY:
            out->salt_is_key = true;
            out->salt_key = p.hSaltKey;
            break;
        default: return false;
        }
    }
    return !out->expand || string(p.pInfo, p.ulInfoLen, &out->label);
}

/* 2.15: whole blocks. */
static bool encrypt_data(const struct mech *m, const CK_MECHANISM *given, struct mech_params *out)
{
    CK_KEY_DERIVATION_STRING_DATA ecb;
    CK_AES_CBC_ENCRYPT_DATA_PARAMS cbc;

    if (m->variant == MECH_AES_ECB) {
        if (!take(given, &ecb, sizeof(ecb)) || !string(ecb.pData, ecb.ulLen, &out->label))
            return false;
    } else {
        if (!take(given, &cbc, sizeof(cbc)) || !string(cbc.pData, cbc.length, &out->label))
            return false;
        memcpy(out->iv, cbc.iv, sizeof(out->iv));
    }
    return out->label.len != 0 && out->label.len % 16 == 0;
}

static bool read_family(const struct mech *m, const CK_MECHANISM *given, struct mech_params *out)
{
    const struct alg_hash *h = alg_hash_nid(m->hash);

    switch (m->family) {
    case MECH_PSS: return pss(m, given, out);
    case MECH_OAEP: return oaep(given, out);
    case MECH_AES: return aes(m, given, out);
    case MECH_GCM: return gcm(given, out);
    case MECH_CMAC: return mac(m, 16, given, out);
    case MECH_HMAC: return mac(m, h->size, given, out);
    case MECH_KEY_WRAP: return key_wrap(m, given, out);
    case MECH_ECDH: return ecdh(given, out);
    case MECH_HKDF: return hkdf(given, out);
    case MECH_ENCRYPT_DATA: return encrypt_data(m, given, out);
    default: return none(given);
    }
}

CK_RV mech_params_read(const struct mech *m, const CK_MECHANISM *given, struct mech_params *out)
{
    struct mech_params p;

    memset(&p, 0, sizeof(p));
    if ((given->pParameter == NULL && given->ulParameterLen != 0) || !read_family(m, given, &p))
        return CKR_MECHANISM_PARAM_INVALID;
    if (p.hash == NULL && m->hash != 0)
        p.hash = alg_hash_nid(m->hash);
    *out = p;
    return CKR_OK;
}
