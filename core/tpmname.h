#ifndef CORE_TPMNAME_H
#define CORE_TPMNAME_H

#include "core/buf.h"

#include <tss2/tss2_tpm2_types.h>

/*
 * Names (Part 1, 16): nameAlg ‖ H(public area). Computed here, in software, so
 * that a Name is never believed because a wire said it.
 */

/* Of an object whose public area is given in wire form: hashed as received. */
int tpmname_object(struct bytes tpmt_public, TPM2B_NAME *out, struct err *e) MUST_USE;

/* Of an NV index. */
int tpmname_nv(const TPMS_NV_PUBLIC *pub, TPM2B_NAME *out, struct err *e) MUST_USE;

/* A handle used as a Name: permanent handles, sessions, PCRs. */
void tpmname_handle(uint32_t handle, TPM2B_NAME *out);

/* Qualified name of a child: nameAlg(child) ‖ H(QN(parent) ‖ Name(child)), H being
 * the child's nameAlg (Part 1, 16.3). For a primary, `parent` is the hierarchy
 * handle as a Name. */
int tpmname_qualified(const TPM2B_NAME *parent, const TPM2B_NAME *child, TPM2B_NAME *out,
                      struct err *e) MUST_USE;

bool tpmname_equal(const TPM2B_NAME *a, const TPM2B_NAME *b);

/* TPMT_PUBLIC to and from wire form; reading is strict (no trailing bytes). */
int tpmname_marshal_public(const TPMT_PUBLIC *pub, struct buf *out, struct err *e) MUST_USE;
int tpmname_unmarshal_public(struct bytes in, TPMT_PUBLIC *pub, struct err *e) MUST_USE;

#endif
