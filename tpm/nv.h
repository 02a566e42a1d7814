#ifndef TPM_NV_H
#define TPM_NV_H

#include "tpm/exec.h"

/*
 * NV indices. `owner` sessions authorise with the owner's authValue, as tpm/owner.h knows
 * it; `policy` sessions must satisfy the index's policy already.
 */

/* TCG handle registry: owner-defined indices are 0x01800000 to 0x01BFFFFF. */
#define NV_OWNER_FIRST 0x01800000U
#define NV_OWNER_LAST 0x01BFFFFFU

/* The `n` lowest free handles of the owner range. */
int nv_free(struct tpm *t, uint32_t *out, size_t n, struct err *e) MUST_USE;

/* TPM2_NV_DefineSpace (Part 3, 31.3); the authValue travels encrypted. */
int nv_define(struct tpm *t, struct session *owner, const TPMS_NV_PUBLIC *pub, struct bytes auth,
              struct err *e) MUST_USE;

/* TPM2_NV_UndefineSpace by the owner; an index that is not there is fine. */
int nv_undefine(struct tpm *t, struct session *owner, uint32_t index, struct err *e) MUST_USE;

/* TPM2_NV_Write of the whole content; ends the policy session. `auth` is the
 * index's authValue (part of the parameter's encryption key). */
int nv_write(struct tpm *t, struct session *policy, uint32_t index, const TPM2B_NAME *name,
             struct bytes auth, struct bytes content, struct err *e) MUST_USE;

/* TPM2_NV_Write of the first bytes, in the clear, with an empty authValue; the policy session
 * stays, and nothing is proved in it any more. */
int nv_write_part(struct tpm *t, struct session *policy, uint32_t index, const TPM2B_NAME *name,
                  struct bytes content, struct err *e) MUST_USE;

/* nv_write where the authValue is not known: `helper`, an HMAC session, encrypts. */
int nv_write_blind(struct tpm *t, struct session *policy, struct session *helper, uint32_t index,
                   const TPM2B_NAME *name, struct bytes content, struct err *e) MUST_USE;

/* TPM2_NV_Read of `len` bytes, encrypted on the way; ends the policy session. */
int nv_read(struct tpm *t, struct session *policy, uint32_t index, const TPM2B_NAME *name,
            struct bytes auth, uint8_t *out, uint16_t len, struct err *e) MUST_USE;

/* The same of what is no secret, where the authValue is not known: a parameter would be encrypted
 * under it, too (Part 1, 21.2). What comes back is authenticated all the same. */
int nv_read_blind(struct tpm *t, struct session *policy, uint32_t index, const TPM2B_NAME *name,
                  uint8_t *out, uint16_t len, struct err *e) MUST_USE;

/* TPM2_NV_ChangeAuth (Part 3, 31.15); ends the policy session. With `helper`
 * the old authValue is not known and `auth` is empty. */
int nv_change_auth(struct tpm *t, struct session *policy, struct session *helper, uint32_t index,
                   const TPM2B_NAME *name, struct bytes auth, struct bytes fresh,
                   struct err *e) MUST_USE;

/* TPM2_NV_ReadPublic; E_NOT_FOUND when there is no such index. */
int nv_public(struct tpm *t, uint32_t index, TPMS_NV_PUBLIC *out, TPM2B_NAME *name,
              struct err *e) MUST_USE;

/*
 * Does the TPM have the index under just this Name: these attributes, this policy, written or
 * not? Asked in a salted session, whose HMAC covers the Name: nobody in between can say yes.
 */
int nv_is(struct tpm *t, struct session *main, uint32_t index, const TPM2B_NAME *name, bool *is,
          struct err *e) MUST_USE;

/* The largest part that one command reads or writes. */
uint16_t nv_chunk(const struct tpm_caps *caps);

/* Appends `len` bytes of an index that an empty authValue may read; E_NOT_FOUND when there is
 * none, or nothing in it. */
int nv_read_part(struct tpm *t, uint32_t index, uint16_t offset, uint16_t len, struct buf *out,
                 struct err *e) MUST_USE;

/* Whole content of an index that an empty authValue may read (EK certificates). */
int nv_read_open(struct tpm *t, uint32_t index, struct buf *out, struct err *e) MUST_USE;

#endif
