#ifndef CORE_TPMWIRE_H
#define CORE_TPMWIRE_H

#include "core/buf.h"
#include "core/pubkey.h"

#include <tss2/tss2_tpm2_types.h>

/*
 * TPM structures read from untrusted bytes: tss2-mu, nothing left over, and writing the
 * structure again gives the same bytes. E_FORMAT otherwise. TPMT_PUBLIC is read by
 * tpmname_unmarshal_public. Values (magic, type, algorithms) are for the caller to judge.
 */

/* Part 2, 10.12.8 (TPMS_ATTEST). */
int tpmwire_attest(struct bytes in, TPMS_ATTEST *out, struct err *e) MUST_USE;

/* Part 2, 15.1 (TPMS_CREATION_DATA), and 13.5 (TPMS_NV_PUBLIC). */
int tpmwire_creation(struct bytes in, TPMS_CREATION_DATA *out, struct err *e) MUST_USE;
int tpmwire_nv_public(struct bytes in, TPMS_NV_PUBLIC *out, struct err *e) MUST_USE;

/* Part 2, 11.3.4 (TPMT_SIGNATURE): read, and appended to `out`. */
int tpmwire_signature(struct bytes in, TPMT_SIGNATURE *out, struct err *e) MUST_USE;
int tpmwire_marshal_signature(const TPMT_SIGNATURE *sig, struct buf *out, struct err *e) MUST_USE;

/*
 * A signature in the form that pubkey_verify takes: padding scheme, hash, and r ‖ s or the
 * RSA block (pubkey_sig_len() bytes, appended). E_DATA: of another kind of key than `k`,
 * r or s zero or too long, RSA block of another length than the modulus; E_UNSUPPORTED:
 * another scheme or hash.
 */
int tpmwire_signature_raw(const TPMT_SIGNATURE *sig, const struct pubkey *k,
                          enum pubkey_scheme *scheme, const struct alg_hash **hash, struct buf *out,
                          struct err *e) MUST_USE;

#endif
