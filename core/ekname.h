#ifndef CORE_EKNAME_H
#define CORE_EKNAME_H

#include "core/err.h"

#include <openssl/x509.h>

/* What an EK certificate calls its TPM (EK Credential Profile 2.5, 3.2.9): three attributes of
 * a directoryName in the subjectAltName, however its maker divided them into RDNs and whatever
 * string type he chose. Not judged here; made harmless to print. */
struct ekname {
    char manufacturer[16]; /* "id:49465800": the ASCII letters of TPM_PT_MANUFACTURER in hex */
    char model[64];
    char version[32]; /* "id:00070055" */
};

/* E_FORMAT: no subjectAltName, or one of the three is missing, empty, twice there or too long. */
int ekname_read(X509 *ek, struct ekname *out, struct err *e) MUST_USE;

#endif
