#ifndef CORE_CREDENTIAL_H
#define CORE_CREDENTIAL_H

#include "core/evidence.h"
#include "core/secret.h"
#include "core/tpmname.h"

/*
 * What only one TPM can open: credentials made in software for TPM2_ActivateCredential,
 * private keys wrapped for TPM2_Import, and the issued certificate sealed that way.
 * Keys to seal to: RSA or ECC storage keys (Part 1, 23.2) with AES-CFB and a nameAlg of
 * core/alg.h.
 */

/*
 * TPM2_MakeCredential in software (Part 1, 24; Part 3, 12.6). `secret` is at most as long
 * as the digest of the EK's nameAlg; `ak` is the Name of the object that must be in the
 * same TPM. Appends to `blob` the content of TPM2B_ID_OBJECT and to `encrypted_secret` the
 * content of TPM2B_ENCRYPTED_SECRET (both without their two-byte length).
 */
int credential_make(const TPMT_PUBLIC *ek, const TPM2B_NAME *ak, struct bytes secret,
                    struct buf *blob, struct buf *encrypted_secret, struct err *e) MUST_USE;

/*
 * Wraps a private key for TPM2_Import under `parent` with an outer wrapper only (Part 1,
 * 23.3.2.3; Part 3, 13.3): `name` is the Name of the object's public area, `sensitive` its
 * marshalled TPMT_SENSITIVE (without the TPM2B length). Appends to `duplicate` the content
 * of TPM2B_PRIVATE and to `sym_seed` the content of TPM2B_ENCRYPTED_SECRET.
 * TPM2_Import is then called with an empty encryptionKey and symmetricAlg TPM2_ALG_NULL.
 */
int credential_wrap_import(const TPMT_PUBLIC *parent, const TPM2B_NAME *name,
                           struct bytes sensitive, struct buf *duplicate, struct buf *sym_seed,
                           struct err *e) MUST_USE;

/*
 * A storage key made in software, to be the new parent that TPM2_Duplicate wraps for (Part 3,
 * 13.1): P-256, nameAlg SHA-256, AES-128-CFB. It holds a secret: wipe it after use.
 */
struct credential_parent {
    TPMT_PUBLIC pub;
    uint8_t d[32]; /* private scalar */
};
int credential_parent_make(struct credential_parent *out, struct err *e) MUST_USE;

/*
 * Undoes what a TPM wrapped for `parent` with an outer wrapper only (Part 1, 23.3.2.3):
 * `name` is the Name of the duplicated object, `duplicate` the content of TPM2B_PRIVATE,
 * `sym_seed` the content of TPM2B_ENCRYPTED_SECRET. `sensitive` gets the marshalled
 * TPMT_SENSITIVE without its TPM2B length, unparsed. The integrity is checked, in constant
 * time, before anything is decrypted. E_FORMAT: the bytes do not have the form; E_DATA: the
 * sender's point is not on the curve; E_TAMPERED: altered, for another parent, or another
 * object's.
 */
int credential_unwrap_duplicate(const struct credential_parent *parent, const TPM2B_NAME *name,
                                struct bytes duplicate, struct bytes sym_seed,
                                struct secret **sensitive, struct err *e) MUST_USE;

/* --- the issued credential, sealed: authority → applicant ------------------- */

#define CREDENTIAL_PEM "FUSETSU SEALED CREDENTIAL"
#define CREDENTIAL_MAX ((size_t)128 << 10)
#define CREDENTIAL_NONCE 12

/* What comes out when the TPM opens it. Zero-initialise; credential_issued_free. */
struct credential_issued {
    X509 *cert;
    STACK_OF(X509) * chain;        /* issuer first; may be empty */
    struct evidence_record record; /* its akCert included */
};
void credential_issued_free(struct credential_issued *c);

/* The file. `blob` and `encrypted_secret` are credential_make's. Zero-initialise;
 * credential_sealed_free. */
struct credential_sealed {
    TPM2B_NAME ak_name;
    struct buf blob;
    struct buf encrypted_secret;
    uint8_t nonce[CREDENTIAL_NONCE];
    struct buf sealed;
};
void credential_sealed_free(struct credential_sealed *s);

/*
 * Seals to the EK under the AK's Name: draws a secret, makes the credential, encrypts with
 * AES-256-GCM under HKDF(secret, "fusetsu sealed credential 1"), the AK's Name as
 * associated data.
 */
int credential_seal(const TPMT_PUBLIC *ek, const TPM2B_NAME *ak, const struct credential_issued *in,
                    struct credential_sealed *out, struct err *e) MUST_USE;

/* Opens with the secret that TPM2_ActivateCredential gave. E_CORRUPT when the secret is not
 * the one or the file was altered. */
int credential_open(const struct credential_sealed *s, struct bytes secret,
                    struct credential_issued *out, struct err *e) MUST_USE;

int credential_to_pem(const struct credential_sealed *s, struct buf *out, struct err *e) MUST_USE;
int credential_from_pem(struct bytes text, struct credential_sealed *out, struct err *e) MUST_USE;
int credential_encode(const struct credential_sealed *s, struct buf *out, struct err *e) MUST_USE;
int credential_decode(struct bytes der, struct credential_sealed *out, struct err *e) MUST_USE;

#endif
