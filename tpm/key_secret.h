#ifndef TPM_KEY_SECRET_H
#define TPM_KEY_SECRET_H

#include "tpm/token_priv.h"

/*
 * Keys without a public half: AES (TPM2_ALG_SYMCIPHER) and HMAC (TPM2_ALG_KEYEDHASH), for
 * tpm/key.c and tpm/import.c.
 */
bool key_secret_is(uint16_t type);

/* Adds the attributes and parameters of such a key to a public area whose type and other
 * attributes are there. The mode of AES is left to each command. */
void key_secret_template(const struct key_spec *spec, TPMT_PUBLIC *area);

/* TPM2_TestParms (Part 3, 30.3), and for AES also whether the TPM has a command that uses
 * it. 0, or E_UNSUPPORTED. */
int key_secret_supported(struct token *k, const struct key_spec *spec, struct err *e) MUST_USE;

/*
 * The key bytes as the TPM takes them: an HMAC key longer than the block of its hash is
 * hashed first (RFC 2104, 2). E_DATA for lengths that do not go.
 */
int key_secret_bytes(const struct key_spec *spec, struct bytes key, struct secret **out,
                     struct err *e) MUST_USE;

/* What hides the key in the public area's unique field: as long as a digest of its nameAlg,
 * SHA-256. */
#define KEY_SECRET_SEED 32

/* Sets unique = H(seed ‖ key) (Part 1, 27.6; Part 2, 12.3.2.4: the obfuscation value). */
int key_secret_bind(struct bytes seed, struct bytes key, TPMT_PUBLIC *area, struct err *e) MUST_USE;

#endif
