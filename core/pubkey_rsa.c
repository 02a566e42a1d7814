/* RSA encryption and message recovery (RFC 8017) by the public key; the paddings are
 * deprecated in OpenSSL 3.0 where they stand alone, and never meet an engine. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core/pubkey_priv.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

static int too_long(const struct pubkey *k, struct bytes in, const char *padding, struct err *e)
{
    return err_set(e, E_DATA, "%zu bytes are too many for %s under %s", in.len, padding,
                   pubkey_name(k));
}

int pubkey_encrypt_pkcs1(const struct pubkey *k, struct bytes in, uint8_t *out, struct err *e)
{
    uint8_t em[PUBKEY_MAX_RSA];
    int rc = -1;

    if (pubkey_need_rsa(k, e) != 0)
        return -1;
    /* RFC 8017, 7.2.1: at least eight random bytes, and three more. */
    if (in.len > k->n_len - 11u)
        return too_long(k, in, "PKCS#1 encryption", e);
    if (RSA_padding_add_PKCS1_type_2(em, k->n_len, in.p, (int)in.len) != 1)
        err_openssl(e, E_CRYPTO, "PKCS#1 encryption padding");
    else
        rc = pubkey_rsa_raw(k, bytes_of(em, k->n_len), out, e);
    OPENSSL_cleanse(em, sizeof(em));
    return rc;
}

int pubkey_encrypt_oaep(const struct pubkey *k, const struct alg_hash *hash,
                        const struct alg_hash *mgf, struct bytes label, struct bytes in,
                        uint8_t *out, struct err *e)
{
    uint8_t em[PUBKEY_MAX_RSA];
    int rc = -1;

    if (pubkey_need_rsa(k, e) != 0)
        return -1;
    /* RFC 8017, 7.1.1, step 1. */
    if (label.len > BUF_MAX)
        return err_set(e, E_DATA, "a label of %zu bytes is too long", label.len);
    if (in.len > k->n_len - 2 * hash->size - 2)
        return too_long(k, in, "OAEP", e);
    if (RSA_padding_add_PKCS1_OAEP_mgf1(em, k->n_len, in.p, (int)in.len, label.p, (int)label.len,
                                        pubkey_md(hash), pubkey_md(mgf)) != 1)
        err_openssl(e, E_CRYPTO, "RSA-OAEP padding");
    else
        rc = pubkey_rsa_raw(k, bytes_of(em, k->n_len), out, e);
    OPENSSL_cleanse(em, sizeof(em));
    return rc;
}

int pubkey_oaep(const struct pubkey *k, const struct alg_hash *hash, struct bytes label,
                struct bytes in, uint8_t *out, struct err *e)
{
    return pubkey_encrypt_oaep(k, hash, hash, label, in, out, e);
}

int pubkey_recover_pkcs1(const struct pubkey *k, struct bytes sig, uint8_t *out, size_t *out_len,
                         struct err *e)
{
    uint8_t em[PUBKEY_MAX_RSA];
    int len;

    if (pubkey_rsa_raw(k, sig, em, e) != 0)
        return -1;
    /* RFC 8017, 9.2: 00 01, eight FF or more, 00, and the rest is what was signed. */
    len = RSA_padding_check_PKCS1_type_1(out, k->n_len - 11, em, k->n_len, k->n_len);
    if (len < 0) {
        ERR_clear_error();
        return err_set(e, E_DATA, "the signature does not fit the key: no PKCS#1 padding in it");
    }
    *out_len = (size_t)len;
    return 0;
}
