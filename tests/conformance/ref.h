#ifndef TESTS_CONFORMANCE_REF_H
#define TESTS_CONFORMANCE_REF_H

/* What OpenSSL says: references for the mechanisms. All end the check when OpenSSL fails. */
#include <openssl/evp.h>

#include "tests/conformance/keys.h"

#define REF_MAX 4096 /* room of every output */

/* Names as OpenSSL has them: "SHA256"; NULL when there is none. */
const char *ref_hash_name(CK_MECHANISM_TYPE digest);
size_t ref_digest(const char *md, const void *in, size_t len, uint8_t *out);
size_t ref_mac(const char *mac, const char *option, const void *key, size_t key_len, const void *in,
               size_t len, uint8_t *out);
/* A whole message through a cipher by name; tag: of GCM, out when encrypting. */
size_t ref_cipher(const char *name, const void *key, const void *iv, bool pad, const void *in,
                  size_t len, uint8_t *out);
size_t ref_gcm(size_t key_len, const void *key, const void *iv, size_t iv_len, const void *aad,
               size_t aad_len, const void *in, size_t len, uint8_t *out, uint8_t tag[16]);
/* RFC 3394 and RFC 5649; 0 when it cannot be unwrapped. */
size_t ref_unwrap(const char *name, const void *key, const void *in, size_t len, uint8_t *out);

/* The public key of an object of the module. */
EVP_PKEY *ref_rsa(CK_OBJECT_HANDLE pub);
EVP_PKEY *ref_ec(CK_OBJECT_HANDLE pub, const struct keys_curve *c);
EVP_PKEY *ref_new_ec(const struct keys_curve *c);
EVP_PKEY *ref_new_rsa(void); /* of 2048 bits, made once */

/* Signature of a hash. md NULL: none. salt -1: PKCS #1 v1.5; -2: no padding at all. */
bool ref_rsa_verify(EVP_PKEY *k, const char *md, const char *mgf, int salt, const void *hash,
                    size_t hash_len, const void *sig, size_t sig_len);
bool ref_ecdsa_verify(EVP_PKEY *k, const void *hash, size_t len, const uint8_t *sig,
                      size_t sig_len);
/* As a token does it: r and s, each as long as the curve. */
size_t ref_ecdsa_sign(EVP_PKEY *k, const void *hash, size_t len, size_t half, uint8_t *sig);
size_t ref_rsa_sign(EVP_PKEY *k, const char *md, const char *mgf, int salt, const void *hash,
                    size_t hash_len, uint8_t *sig);
/* padding: RSA_PKCS1_PADDING... */
size_t ref_rsa_encrypt(EVP_PKEY *k, int padding, const char *md, const char *mgf, const void *label,
                       size_t label_len, const void *in, size_t len, uint8_t *out);

/* The uncompressed point, and its DER OCTET STRING. */
size_t ref_point(EVP_PKEY *k, uint8_t *out);
size_t ref_point_der(EVP_PKEY *k, uint8_t *out);
size_t ref_ecdh(EVP_PKEY *mine, EVP_PKEY *peer, uint8_t *out);
void ref_x963(const char *md, const void *z, size_t z_len, const void *info, size_t info_len,
              uint8_t *out, size_t len);
void ref_hkdf(int mode, const char *md, const void *key, size_t key_len, const void *salt,
              size_t salt_len, const void *info, size_t info_len, uint8_t *out, size_t len);
/* A big number of a key, as unsigned bytes; "rsa-factor1"... */
size_t ref_number(EVP_PKEY *k, const char *name, size_t pad, uint8_t *out);
size_t ref_spki(EVP_PKEY *k, uint8_t *out);
size_t ref_pkcs8(EVP_PKEY *k, uint8_t *out);
EVP_PKEY *ref_from_pkcs8(const uint8_t *in, size_t len); /* NULL when it is none */
/* A self-signed certificate; subject: its DER. */
size_t ref_cert(EVP_PKEY *k, uint8_t *out, uint8_t *subject, size_t *subject_len);

#endif
