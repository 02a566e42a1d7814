#ifndef CLI_CRLREAD_H
#define CLI_CRLREAD_H

#include "core/buf.h"

#include <openssl/x509.h>

/* CRLs as they come in files: one in DER, or one or more in PEM. */

#define CRLREAD_MAX 64

/* Not judged but for their form, which is strict DER. `what` names the file in errors. E_FORMAT. Free
 * with crlread_free. */
int crlread_parse(struct bytes in, const char *what, STACK_OF(X509_CRL) * *out,
                  struct err *e) MUST_USE;
int crlread_file(const char *path, STACK_OF(X509_CRL) * *out, struct err *e) MUST_USE;
void crlread_free(STACK_OF(X509_CRL) * list);

#endif
