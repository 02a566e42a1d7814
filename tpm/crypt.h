#ifndef TPM_CRYPT_H
#define TPM_CRYPT_H

#include "tpm/token.h"

/*
 * What keys in the TPM do besides signing: key agreement, decryption, AES and HMAC.
 *
 * In all of these the user is logged in, or the key's mode is NONE (else E_LOGIN); what
 * goes to the TPM and what comes back is encrypted on the wire; and after a power cut or a
 * broken connection the work is done once more from its beginning. The counts of commands
 * are those of a key that is loaded; the first use costs one more. `key` may be freed
 * afterwards. Results are secrets: the caller wipes them.
 *
 * E_ARG: the key is not of the kind that the operation wants. E_UNSUPPORTED: the key was
 * made without the attribute it takes, or this TPM lacks the command, mode or hash. E_REJECTED:
 * the key is bound to PCRs that have other values now.
 *
 * A key of mode EACH wants a proof of the PIN for each call (token_present), and each call
 * is one command then: RSA decryption is the raw operation, unpadded here.
 */

/*
 * Elliptic-curve Diffie-Hellman by TPM2_ECDH_ZGen (Part 3, 14.5): `z` gets the X coordinate
 * of the shared point, curve->size bytes, zeros kept in front. The NIST curves have the
 * cofactor 1: the cofactor form gives the same. One command. E_DATA before any command when
 * `peer` is not a point of the key's curve.
 */
int token_ecdh(struct token *k, const struct store_key *key, const struct ecc_point *peer,
               uint8_t *z, struct err *e) MUST_USE;

/* How an RSA ciphertext was padded (RFC 8017, 7.1 and 7.2). */
struct token_rsa {
    const struct alg_hash *hash; /* of OAEP; NULL: PKCS#1 v1.5 */
    const struct alg_hash *mgf;  /* of OAEP's mask; NULL: the same as `hash` */
    struct bytes label;          /* of OAEP: P, any bytes, mostly none */
};

/*
 * RSA decryption. `in` has the length of the modulus, `out` takes as many bytes and
 * `*out_len` says how many were written. One command.
 *
 * Any failure of the padding is E_DATA with one and the same message, whatever was wrong
 * with it. PKCS#1 v1.5 takes the raw operation and is unpadded here in constant time, so
 * that the TPM's answer tells a listener on the wire nothing either. OAEP is the TPM's own;
 * where its form does not suffice (a hash that TPMs lack, another one for the mask, a label that does not end in
 * its only NUL, Part 1, B.4) it takes the raw operation, too. The other way is tried, with a
 * second command, where the TPM refuses the hash or the raw operation, and where it fails
 * in OAEP without saying that it was the data.
 */
int token_rsa_decrypt(struct token *k, const struct store_key *key, const struct token_rsa *how,
                      struct bytes in, uint8_t *out, size_t *out_len, struct err *e) MUST_USE;

/* Modes of AES (SP 800-38A). CFB is CFB128; CTR counts in all 128 bits. */
enum token_mode { TOKEN_ECB, TOKEN_CBC, TOKEN_CTR, TOKEN_CFB, TOKEN_OFB };

#define TOKEN_BLOCK 16

struct token_cipher {
    enum token_mode mode;
    bool encrypt;
    /* In: the IV, in CTR the first counter block; not used in ECB. Out: what a call for the
     * data that follow takes, if in.len was a multiple of the block. */
    uint8_t iv[TOKEN_BLOCK];
};

/* The most that one call takes. */
#define TOKEN_CIPHER_MAX ((size_t)8 << 20)

/*
 * AES by TPM2_EncryptDecrypt2 (Part 3, 15.3), without padding: `out` gets in.len bytes and
 * may be `in`. One command for each 1024 bytes begun, none for no data. E_DATA before any
 * command when ECB or CBC get a broken block, or for more than TOKEN_CIPHER_MAX.
 *
 * A TPM that has only the older TPM2_EncryptDecrypt still decrypts. It does not encrypt
 * (E_UNSUPPORTED): that command would carry the plaintext to the TPM in clear.
 */
int token_cipher(struct token *k, const struct store_key *key, struct token_cipher *how,
                 struct bytes in, uint8_t *out, struct err *e) MUST_USE;

/*
 * HMAC over `n` parts one after the other; `mac` gets hash->size bytes. Up to 1024 bytes
 * in all: one command (TPM2_HMAC, Part 3, 15.5). More: a sequence (TPM2_HMAC_Start,
 * SequenceUpdate, SequenceComplete, Part 3, 17), one command and one for each 1024 bytes
 * begun; it takes a transient slot of the TPM until it ends. E_ARG when the key is bound
 * to another hash; E_UNSUPPORTED, without a command, for a hash that TPMs lack.
 */
int token_hmac(struct token *k, const struct store_key *key, const struct alg_hash *hash,
               const struct bytes *part, size_t n, uint8_t *mac, struct err *e) MUST_USE;

#endif
