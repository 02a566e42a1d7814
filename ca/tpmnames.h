#ifndef CA_TPMNAMES_H
#define CA_TPMNAMES_H

#include "core/ekname.h"

#include <openssl/x509v3.h>

/*
 * The subjectAltName of an attestation key's certificate: the TPM's manufacturer,
 * model and version as a directoryName (TCG EK Credential Profile, 3.2.9), taken from
 * the EK certificate that was judged, and a permanentIdentifier (RFC 4043): the
 * SHA-256 of that EK certificate, in hex, under the assigner tcg-on-ekPermIdSha256.
 * E_REJECTED when the EK certificate does not name its TPM exactly once. Free with
 * GENERAL_NAMES_free; NULL on failure.
 */
GENERAL_NAMES *tpmnames_of(X509 *ek, struct err *e) MUST_USE;

/* That directoryName of an EK certificate that is yet to be. E_ARG when a part is empty. */
GENERAL_NAMES *tpmnames_make(const struct ekname *tpm, struct err *e) MUST_USE;

#endif
