#ifndef CORE_SIGNER_H
#define CORE_SIGNER_H

#include "core/pubkey.h"

/*
 * Something that signs: the one inversion of the house. The tpm room implements
 * it over a key in a TPM, the ca room consumes it and never sees a TPM.
 */
struct signer {
    struct pubkey pub;
    /*
     * Signs `digest` (hash->size bytes). ECDSA for ECC keys; for RSA keys
     * `scheme` says which padding (PSS with salt = digest length). `sig` takes
     * pubkey_sig_len() bytes in raw form.
     */
    int (*sign)(struct signer *s, enum pubkey_scheme scheme, const struct alg_hash *hash,
                struct bytes digest, uint8_t *sig, struct err *e);
    void (*free)(struct signer *s);
};

static inline void signer_free(struct signer *s)
{
    if (s != NULL && s->free != NULL)
        s->free(s);
}

/*
 * An EVP_PKEY whose private operation is the signer's, so that X509_sign,
 * X509_REQ_sign, X509_CRL_sign, CMS_sign and OCSP_basic_sign work unchanged.
 * Borrowed signer; free the result with EVP_PKEY_free before the signer. NULL on
 * failure. Not for use inside the PKCS#11 module.
 */
EVP_PKEY *signer_evp(struct signer *s, struct err *e) MUST_USE;

/*
 * The public half alone, for X509_set_pubkey and X509_REQ_set_pubkey: an object that
 * holds a signer's EVP_PKEY cannot be duplicated. Free with EVP_PKEY_free; NULL on
 * failure. Not for use inside the PKCS#11 module.
 */
EVP_PKEY *signer_evp_public(const struct pubkey *k, struct err *e) MUST_USE;

#endif
