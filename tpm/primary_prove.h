#ifndef TPM_PRIMARY_PROVE_H
#define TPM_PRIMARY_PROVE_H

#include "core/buf.h"
#include "tpm/tpm.h"

#include <tss2/tss2_tpm2_types.h>

/*
 * Before a storage primary is pinned: is it really in the TPM, or in the hands of somebody on
 * the way there, who would hear the PINs then?
 *
 * The TPM's maker has certified its endorsement key (EK). In a session salted to the key of
 * that certificate the TPM opens another one, salted to the primary. Its answer proves that
 * the TPM which holds the EK has a whole key of the primary's Name: the Name is in the HMAC
 * of the command, and a key without its private half opens no session. Such a key with the
 * attributes fixedTPM and sensitiveDataOrigin was made in that TPM. (A TPM2_ReadPublic in that
 * session would not prove it: TPM2_LoadExternal takes the bare public half of any key, with
 * any attributes.)
 */

struct primary_proof {
    TPM2B_NAME ek;  /* of the EK; empty: it was not proved */
    bool issuer;    /* the certificate leads to one of the issuers that were given */
    struct err why; /* why it was not proved */
};

/*
 * `wire`: TPMT_PUBLIC of the primary at `handle`, as the TPM, or whoever it was, sent it.
 * `issuers`: PEM certificates of the TPM makers that are trusted; empty: the certificate is
 * believed as it stands, which stops everybody but those who forge certificates, too.
 *
 * 0 also where the TPM has no EK certificate, or no EK can be used: out->why says so, and the
 * primary is to be trusted on first use; with `issuers` that is an error. E_TAMPERED: the EK
 * is not the certified one, or the primary is not in the same TPM. E_REJECTED: no issuer fits.
 * About a dozen commands.
 */
int primary_prove(struct tpm *t, uint32_t handle, struct bytes wire, struct bytes issuers,
                  struct primary_proof *out, struct err *e) MUST_USE;

#endif
