#ifndef TPM_PRIMARY_H
#define TPM_PRIMARY_H

#include "core/buf.h"
#include "tpm/tpm.h"

#include <tss2/tss2_tpm2_types.h>

/*
 * The storage primary (SRK) under the owner hierarchy: the persistent one at
 * 0x81000001 when its attributes fit (restricted decrypt, fixedTPM, fixedParent,
 * noDA, usable with an empty authValue), else one made from the template of the
 * TCG provisioning guidance (P-256, or RSA-2048 without ECC) with noDA set, at
 * the first free handle from there. `wire` gets its TPMT_PUBLIC as the TPM sent it.
 */
int primary_ensure(struct tpm *t, uint32_t *handle, struct buf *wire, struct err *e) MUST_USE;

/* Fills `auth` with the public template of the primary. */
void primary_template(bool ecc, TPMT_PUBLIC *out);

#endif
