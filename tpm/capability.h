#ifndef TPM_CAPABILITY_H
#define TPM_CAPABILITY_H

#include "tpm/exec.h"

/*
 * TPM2_GetCapability (Part 3, 30.2): up to `count` values from `first` on, as many as the TPM
 * gives at once. Asked in `session`, an HMAC session that is salted to a key one trusts, nobody
 * between has altered them (E_TAMPERED); NULL: they are as they came. One command.
 */
int capability_read(struct tpm *t, struct session *session, TPM2_CAP which, uint32_t first,
                    uint32_t count, TPMS_CAPABILITY_DATA *out, struct err *e) MUST_USE;

/* Has this TPM PIN indices? Asked as above; tpm_caps() says what it said without a session. */
int capability_pin_fail(struct tpm *t, struct session *session, bool *has, struct err *e) MUST_USE;

#endif
