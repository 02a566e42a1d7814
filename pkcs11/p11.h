#ifndef PKCS11_P11_H
#define PKCS11_P11_H

/*
 * The PKCS#11 types: p11-kit's header, what 3.0 adds to it, and what is ours.
 */
#include "pkcs11/p11_v3.h"

/* PKCS#11 2.40, 2.3.4 (certificate objects): the default of NAME_HASH_ALGORITHM. */
#ifndef CKM_SHA_1
#define CKM_SHA_1 (0x220UL)
#endif

/* "Not known": what C_GetAttributeValue writes into ulValueLen (5.7). */
#define P11_NO_LENGTH CK_UNAVAILABLE_INFORMATION

/*
 * Attributes of our own, in the vendor range; man fusetsu-pkcs11(7) documents them.
 *
 * Of private keys, given when they are made:
 *   AUTH_MODE   CK_ULONG, one of CK_FUSETSU_AUTH_*: what a use of the key takes
 *   PCRS        text, "sha256:0,2,7", at generation only: it also takes these PCRs as they
 *               are now; empty: none
 *   PCRS_UPDATABLE  CK_BBOOL, at generation: values of these PCRs are approved by the SO
 *   OUTSIDE_INFO    up to 64 bytes, at generation: into the TPM's creation data, which can be
 *               certified later (a nonce, say)
 * Of private keys, given at generation, with CK_FUSETSU_AUTH_APPROVED:
 *   APPROVER    whose approval each use takes: the DER of an approver's file
 *   PURPOSE     text, what the approvals are for; default: the label
 * Of keys in a TPM, read only; and of evidence certificates:
 *   NAME            the TPM's Name of the key (TPM 2.0 Part 1, 16)
 *   QUALIFIED_NAME  its qualified name
 *   POLICY          its authPolicy digest; empty when there is none
 *   EVIDENCE        only of evidence certificates: the record, as `fusetsu verify` reads it
 */
#define CKA_FUSETSU (CKA_VENDOR_DEFINED | 0x465a5300UL)
#define CKA_FUSETSU_AUTH_MODE (CKA_FUSETSU | 0x01UL)
#define CKA_FUSETSU_PCRS (CKA_FUSETSU | 0x02UL)
#define CKA_FUSETSU_NAME (CKA_FUSETSU | 0x03UL)
#define CKA_FUSETSU_QUALIFIED_NAME (CKA_FUSETSU | 0x04UL)
#define CKA_FUSETSU_POLICY (CKA_FUSETSU | 0x05UL)
#define CKA_FUSETSU_EVIDENCE (CKA_FUSETSU | 0x06UL)
#define CKA_FUSETSU_APPROVER (CKA_FUSETSU | 0x07UL)
#define CKA_FUSETSU_PURPOSE (CKA_FUSETSU | 0x08UL)
#define CKA_FUSETSU_PCRS_UPDATABLE (CKA_FUSETSU | 0x09UL)
#define CKA_FUSETSU_OUTSIDE_INFO (CKA_FUSETSU | 0x0aUL)

#define CK_FUSETSU_AUTH_SESSION (0UL) /* the user's login */
#define CK_FUSETSU_AUTH_EACH (1UL)    /* the PIN, by C_Login(CKU_CONTEXT_SPECIFIC), each time */
#define CK_FUSETSU_AUTH_NONE (2UL)    /* nothing: for services without a person */
#define CK_FUSETSU_AUTH_APPROVED \
    (3UL) /* another device's approval of each use; not through PKCS#11 */

#endif
