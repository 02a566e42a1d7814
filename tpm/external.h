#ifndef TPM_EXTERNAL_H
#define TPM_EXTERNAL_H

#include "tpm/ctx.h"

/*
 * TPM2_LoadExternal (Part 3, 12.3) of a public key that somebody else holds, so that the TPM
 * can check signatures by it. One command; the caller flushes `handle`. The TPM's Name of it
 * is compared with the one computed here (E_TAMPERED). Tickets about it are good for
 * something only where `hierarchy` is not TPM2_RH_NULL. Where the TPM has no room, what this
 * process holds is flushed if it `may_flush`.
 */
int external_load(struct tpm *t, const TPMT_PUBLIC *area, TPM2_HANDLE hierarchy, bool may_flush,
                  TPM2_HANDLE *handle, struct err *e) MUST_USE;

#endif
