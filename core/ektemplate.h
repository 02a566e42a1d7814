#ifndef CORE_EKTEMPLATE_H
#define CORE_EKTEMPLATE_H

#include "core/err.h"

#include <openssl/x509.h>
#include <tss2/tss2_tpm2_types.h>

/*
 * The endorsement key templates of the TCG EK Credential Profile 2.5 (B.3, B.4). A
 * template is known by the NV index that holds the EK's certificate.
 */
struct ektemplate {
    uint32_t nv_cert; /* NV index of the certificate, 0x01C00002 ... */
    const char *id;   /* "L-1" */
    const char *key;  /* "RSA-2048" */
    bool policy;      /* use needs PolicySecret(TPM_RH_ENDORSEMENT); else the (empty) authValue */
    bool low;         /* low range: `unique` of the template is zeros, not empty */
    uint16_t type;    /* TPM2_ALG_RSA, TPM2_ALG_ECC */
    uint16_t name_alg;
    uint16_t aes_bits;
    uint16_t rsa_bits; /* RSA */
    uint16_t curve;    /* ECC */
};

/* NULL for an index that is in no row. */
const struct ektemplate *ektemplate_of(uint32_t nv_cert);

/* Row `i` in the order in which to look for an EK certificate; NULL past the end. */
const struct ektemplate *ektemplate_at(size_t i);

/* The chain of the EK certificates, where the TPM holds one: NV indices 01C00100 to
 * 01C001FF (profile, 2.2.1.5). */
#define EKTEMPLATE_NV_CHAIN_FIRST 0x01C00100u
#define EKTEMPLATE_NV_CHAIN_LAST 0x01C001FFu

/* The public area to give to TPM2_CreatePrimary. E_UNSUPPORTED for another index. */
int ektemplate_public(uint32_t nv_cert, TPMT_PUBLIC *out, struct err *e) MUST_USE;

/*
 * The public area of the EK itself: the template with the certificate's key in
 * `unique`; what the EK's Name is computed over. E_DATA when the key in the
 * certificate is not of the template's kind.
 */
int ektemplate_from_cert(uint32_t nv_cert, X509 *cert, TPMT_PUBLIC *out, struct err *e) MUST_USE;

#endif
