#ifndef TPM_SHARE_TPM_H
#define TPM_SHARE_TPM_H

#include "tpm/link.h"

/* The two commands that sharing a TPM needs of its own, sent between SAPI's. */

/* TPM2_FlushContext. True when the TPM answered: whatever it said, it does not have the
 * handle any more. */
bool share_tpm_flush(struct link *l, uint32_t handle);

/* TPM2_GetCapability: the handles from `first` on that are there, of the same kind; how many,
 * at most `max`. 0 also when there is no answer. */
size_t share_tpm_list(struct link *l, uint32_t first, uint32_t *out, size_t max);

#endif
