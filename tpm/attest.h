#ifndef TPM_ATTEST_H
#define TPM_ATTEST_H

#include "core/evidence.h"
#include "tpm/token.h"

/*
 * Evidence from the TPM: endorsement key (EK), attestation key (AK), TPM2_Certify,
 * TPM2_ActivateCredential. Formats and checks are core/evidence's matter.
 */

/* An EK certificate found in NV (TCG EK Credential Profile, 2.2.1.4). */
struct attest_ek {
    uint32_t index;  /* the NV index it came from, which also names the EK template */
    struct buf cert; /* DER, padding behind it cut off */
};

/*
 * Reads the EK certificates whose template core/ektemplate knows, preferred one
 * first (ECC before RSA). E_NOT_FOUND when there is none.
 */
int attest_ek_read(struct tpm *t, struct attest_ek **out, size_t *n, struct err *e) MUST_USE;
/* The first of them alone; the caller frees its certificate. */
int attest_ek_first(struct tpm *t, struct attest_ek *out, struct err *e) MUST_USE;
void attest_ek_free(struct attest_ek *ek, size_t n);

/* The public key of the EK of a template, which is made for the time being where it is not
 * persistent. E_UNSUPPORTED for another index, E_TPM when the TPM does not make such keys. */
int attest_ek_public(struct tpm *t, uint32_t index, struct pubkey *out, struct err *e) MUST_USE;

/* For an EK certificate that is not in NV: which template its key was made from, in this TPM.
 * E_REJECTED when it is of another TPM. */
int attest_ek_match(struct tpm *t, X509 *cert, uint32_t *index, struct err *e) MUST_USE;

/*
 * The token's attestation key under the EK of template `ek_index`: read from the
 * store, or created (restricted ECDSA P-256 with SHA-256, fixedTPM, fixedParent,
 * child of the EK) and written there. Needs the user's login.
 */
int attest_ak(struct token *k, uint32_t ek_index, struct store_key *ak, struct err *e) MUST_USE;

/*
 * TPM2_Certify (Part 3, 18.2) of `key` by the AK. `attest` gets a TPMS_ATTEST,
 * `signature` a TPMT_SIGNATURE, both as the TPM sent them.
 */
int attest_certify(struct token *k, const struct store_key *key, const struct store_key *ak,
                   const uint8_t qualifying[32], struct buf *attest, struct buf *signature,
                   struct err *e) MUST_USE;

/* What a key's evidence shall say, beside where the key lives. */
struct attest_wanted {
    bool creation;         /* how it was made: not of imported keys (E_UNSUPPORTED) */
    bool pin;              /* the counter of the user PIN; E_UNSUPPORTED where the TPM has none */
    struct key_pcrs quote; /* the PCRs' values; hash 0: none */
};

/*
 * The AK's statements on a key, all over the same qualifyingData: TPM2_Certify, and as wanted
 * TPM2_CertifyCreation (Part 3, 18.3), TPM2_NV_Certify (31.16) and TPM2_Quote (18.4), with the
 * public areas and values that they are about. The AK is loaded once. Fills all of `out` but
 * approver and certificates.
 */
int attest_collect(struct token *k, const struct store_key *key, const struct store_key *ak,
                   const uint8_t qualifying[32], const struct attest_wanted *w,
                   struct evidence_bundle *out, struct err *e) MUST_USE;

/* A quote alone, over any qualifyingData of up to 64 bytes. */
int attest_quote(struct token *k, const struct store_key *ak, struct bytes qualifying,
                 const struct key_pcrs *which, struct evidence_signed *out, struct err *e) MUST_USE;

/* TPMT_PUBLIC of the storage primary that is the parent of the token's keys. */
int attest_parent(struct token *k, struct buf *tpmt_public, struct err *e) MUST_USE;

/*
 * TPM2_ActivateCredential (Part 3, 12.5): `blob` is the content of
 * TPM2B_ID_OBJECT, `encrypted_secret` of TPM2B_ENCRYPTED_SECRET. E_REJECTED when
 * the credential was made for another AK or another TPM.
 */
int attest_activate(struct token *k, const struct store_key *ak, struct bytes blob,
                    struct bytes encrypted_secret, struct secret **out, struct err *e) MUST_USE;

#endif
