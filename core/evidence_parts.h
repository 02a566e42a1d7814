#ifndef CORE_EVIDENCE_PARTS_H
#define CORE_EVIDENCE_PARTS_H

#include "core/buf.h"

#include <openssl/asn1t.h>
#include <openssl/x509.h>

#define EVIDENCE_MAX ((size_t)64 << 10) /* bytes of DER, and of PEM text times two */

/* The parts of requests and records that are kept as they came: the certification request, and the
 * certificates above the EK's. Put: E_ARG when it is missing; take: E_FORMAT. */
int evidence_parts_put_csr(X509_REQ *from, ASN1_TYPE *to, struct err *e) MUST_USE;
int evidence_parts_take_csr(const ASN1_TYPE *from, X509_REQ **to, struct err *e) MUST_USE;

/* NULL for none, so that "none" has one encoding; `what` is the message that it stands in. The
 * same few issuers stand above all EKs of a maker: those read last are shared, by their bytes. */
int evidence_parts_put_chain(STACK_OF(X509) * from, STACK_OF(ASN1_TYPE) * *to,
                             struct err *e) MUST_USE;
int evidence_parts_take_chain(const STACK_OF(ASN1_TYPE) * from, STACK_OF(X509) * *to,
                              const char *what, struct err *e) MUST_USE;

#endif
