#ifndef TPM_CRYPT_PRIV_H
#define TPM_CRYPT_PRIV_H

#include "tpm/crypt.h"
#include "tpm/exec.h"
#include "tpm/token_priv.h"

/* What one command takes: the least MAX_DIGEST_BUFFER of a PC client TPM (Part 2, 10.4.8,
 * TPM2B_MAX_BUFFER), and a multiple of the block of AES. */
#define CRYPT_CHUNK ((size_t)1024)

/* One command that uses a key: the key is loaded, its authorisation is ready. Not to be
 * copied: it points into itself. */
struct crypt_use {
    TSS2_SYS_CONTEXT *sys;
    TPM2_HANDLE handle;
    TPM2B_NAME name;
    struct bytes auth; /* authValue of the key */
    uint8_t auth_value[32];
    struct exec x; /* one name, one authorisation */
};

/*
 * Gets ready; the first parameter is encrypted with `decrypt`, the first parameter of the
 * response with `encrypt`. End with crypt_end, also after failure.
 */
int crypt_begin(struct token *k, const struct store_key *key, bool decrypt, bool encrypt,
                struct crypt_use *u, struct err *e) MUST_USE;
void crypt_end(struct crypt_use *u);

/* The public area of a key of the given type with all the given attributes, else E_ARG or
 * E_UNSUPPORTED; `what` completes "this key cannot ...". */
int crypt_area(const struct store_key *key, TPMI_ALG_PUBLIC type, TPMA_OBJECT attributes,
               const char *what, TPMT_PUBLIC *out, struct err *e) MUST_USE;

#endif
