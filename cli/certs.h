#ifndef CLI_CERTS_H
#define CLI_CERTS_H

#include "core/buf.h"

#include <openssl/x509.h>

/* Certificates as they come in files, and as people read them. */

#define CERTS_FILE_MAX ((size_t)1 << 20)
#define CERTS_MAX 64
#define CERTS_TEXT 256

/*
 * One or more certificates: PEM (text between the blocks is passed over; blocks of
 * another kind are E_FORMAT naming it) or one in DER. `what` names the file in errors.
 * Free with certs_free.
 */
int certs_parse(struct bytes in, const char *what, STACK_OF(X509) * *out, struct err *e) MUST_USE;
int certs_read(const char *path, STACK_OF(X509) * *out, struct err *e) MUST_USE;
/* Those of all files that are a command's arguments, in their order. */
struct cli;
int certs_read_args(const struct cli *c, STACK_OF(X509) * *out, struct err *e) MUST_USE;
/* All certificates of a PEM file beside blocks of other kinds; there may be none. */
int certs_collect(struct bytes in, const char *what, STACK_OF(X509) * *out, struct err *e) MUST_USE;
void certs_free(STACK_OF(X509) * list);

/* Subject or issuer: its common name, else the whole name in one line (RFC 2253). */
void certs_name(const X509_NAME *name, char out[CERTS_TEXT]);

/* The SHA-256 fingerprint as people compare it: "AB:CD:..."; "-" when there is none. */
void certs_fingerprint(const X509 *cert, char out[CERTS_TEXT]);

/* "2027-02-01 12:00:00Z" */
void certs_time(const ASN1_TIME *t, char out[CERTS_TEXT]);

#endif
