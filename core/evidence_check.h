#ifndef CORE_EVIDENCE_CHECK_H
#define CORE_EVIDENCE_CHECK_H

#include "core/evidence_verdict.h"

/*
 * The verifier: pure. No TPM, no clock, no registry, no file: everything that it
 * judges by is in the terms. What an authority runs before it issues, and what an
 * ally runs on a certificate and its retained record.
 */

/* The profile of a signing key of level 3 or 4: fixedTPM, fixedParent, sensitiveDataOrigin,
 * noDA and sign; not restricted, no encryptedDuplication, no adminWithPolicy. Either
 * userWithAuth and no authPolicy, or neither userWithAuth nor another policy than one that
 * asks the PIN or the approval of another TPM for each use. `decrypt` is forbidden unless
 * `allow_decrypt` (an RSA key whose PSS padding is made outside the TPM has both). */
struct evidence_profile evidence_profile_signing(bool allow_decrypt);

/* Judges. 0: the verdict says what came out, acceptance included; -1: it could not be
 * judged at all (E_MEMORY, E_ARG). */
int evidence_check_request(const struct evidence_request *r, const struct evidence_terms *t,
                           struct evidence_verdict *out, struct err *e) MUST_USE;
int evidence_check_record(const struct evidence_record *r, const struct evidence_terms *t,
                          struct evidence_verdict *out, struct err *e) MUST_USE;

/* 0 when accepted; else -1 with E_REJECTED naming the first check that failed and how
 * many others did. */
int evidence_check_verdict(const struct evidence_verdict *v, struct err *e) MUST_USE;

/* "pass", "fail", "asserted", "n/a". */
const char *evidence_outcome_name(enum evidence_outcome o);

#endif
