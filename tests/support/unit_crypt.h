#ifndef TESTS_SUPPORT_UNIT_CRYPT_H
#define TESTS_SUPPORT_UNIT_CRYPT_H

#include "tests/support/unit_tpm.h"
#include "tpm/crypt.h"

/* What the tests of tpm/crypt share. Failures end the test. */

/* Opens the world again through the spy, and logs the user in. */
void unit_crypt_spied(struct unit_tpm *w, bool whole);

/* Imports an AES key, or an HMAC key (hash NULL: for any). */
void unit_crypt_aes(struct unit_tpm *w, struct bytes key, struct store_key *out);
void unit_crypt_hmac(struct unit_tpm *w, struct bytes key, const struct alg_hash *hash,
                     struct store_key *out);

/* The n-th key pair on a curve. */
void unit_crypt_pair(const struct alg_curve *c, unsigned n, uint8_t *d, struct ecc_point *pub);

/* Imports a key for key agreement; its scalar. */
void unit_crypt_ecdh(struct unit_tpm *w, const struct alg_curve *c, struct store_key *out,
                     uint8_t *d);

/* AES by the key in the TPM. */
void unit_crypt_cipher(struct unit_tpm *w, const struct store_key *key, struct token_cipher *how,
                       struct bytes in, uint8_t *out);

#endif
