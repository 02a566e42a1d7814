#ifndef TPM_CRYPT_PRIV_H
#define TPM_CRYPT_PRIV_H

#include "tpm/authorise.h"
#include "tpm/crypt.h"

/* What one command takes: the least MAX_DIGEST_BUFFER of a PC client TPM (Part 2, 10.4.8,
 * TPM2B_MAX_BUFFER), and a multiple of the block of AES. */
#define CRYPT_CHUNK ((size_t)1024)

/* The public area of a key of the given type with all the given attributes, else E_ARG or
 * E_UNSUPPORTED; `what` completes "this key cannot ...". */
int crypt_area(const struct store_key *key, TPMI_ALG_PUBLIC type, TPMA_OBJECT attributes,
               const char *what, TPMT_PUBLIC *out, struct err *e) MUST_USE;

#endif
