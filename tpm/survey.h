#ifndef TPM_SURVEY_H
#define TPM_SURVEY_H

#include "core/buf.h"
#include "tpm/tpm.h"

/* What lies in the TPM: read without a session, an authorisation or a login. */

/* The handles from `first` to `last` that are there, lowest first, at most `max` of them. */
int survey_handles(struct tpm *t, uint32_t first, uint32_t last, uint32_t *out, size_t max,
                   size_t *n, struct err *e) MUST_USE;

/* TPMT_PUBLIC of a persistent object, as the TPM sent it; E_NOT_FOUND when there is none. */
int survey_public(struct tpm *t, uint32_t handle, struct buf *wire, struct err *e) MUST_USE;

/* Room that is left for loaded objects and sessions (TPM_PT_HR_*_AVAIL: an estimate). */
int survey_room(struct tpm *t, uint32_t *objects, uint32_t *sessions, struct err *e) MUST_USE;

#endif
