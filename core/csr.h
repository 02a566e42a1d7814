#ifndef CORE_CSR_H
#define CORE_CSR_H

#include "core/pubkey.h"

#include <openssl/x509.h>

/*
 * PKCS#10 requests (RFC 2986) that come from outside. OpenSSL 3.0 makes an EVP_PKEY of the key of
 * each request that it reads, which costs more than checking the signature; the requests from
 * here have none: X509_REQ_get0_pubkey() finds nothing, X509_REQ_get_X509_PUBKEY() does.
 */

/* Reads one strictly: DER, no byte left over, at most `max` bytes. NULL with E_FORMAT. */
X509_REQ *csr_decode(struct bytes der, size_t max, struct err *e) MUST_USE;

/* Is the request signed by its own key `k`, with whatever hash? E_FORMAT, E_DATA when not. */
int csr_verify(X509_REQ *csr, const struct pubkey *k, struct err *e) MUST_USE;

/* The key's algorithm is rsaEncryption (RFC 3279, 2.3.1). */
bool csr_is_rsa(X509_REQ *csr);

#endif
