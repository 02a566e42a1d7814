#ifndef TPM_RC_H
#define TPM_RC_H

#include "core/err.h"

#include <tss2/tss2_common.h>
#include <tss2/tss2_tpm2_types.h>

/*
 * A TPM response code without the number of the handle, parameter or session it
 * speaks of (Part 2, 6.6.2), e.g. 0x98E and 0xA8E both become TPM2_RC_AUTH_FAIL.
 */
TSS2_RC rc_base(TSS2_RC rc);

/* True for codes that only the transport makes: the TPM did not answer. */
bool rc_is_transport(TSS2_RC rc);

/*
 * Records what a response code means, in one sentence beginning with `what`, and
 * returns -1. The code itself goes to e->rc.
 */
int rc_fail(struct err *e, TSS2_RC rc, const char *what);

#endif
