#ifndef CORE_PUBKEY_H
#define CORE_PUBKEY_H

#include "core/alg.h"
#include "core/buf.h"
#include "core/ecc.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <tss2/tss2_tpm2_types.h>

/*
 * A public key, held as plain numbers: the common ground of TPM structures,
 * SubjectPublicKeyInfo and PKCS#11 attributes. Verification uses libcrypto's own
 * EC_KEY and RSA methods directly, so that it never re-enters an application's
 * engine.
 */
#define PUBKEY_MAX_RSA 512

struct pubkey {
    uint16_t type;     /* TPM2_ALG_RSA or TPM2_ALG_ECC */
    uint32_t exponent; /* RSA; 65537 stands for the TPM's 0 */
    uint16_t n_len;    /* RSA modulus length in bytes, no leading zero */
    uint8_t n[PUBKEY_MAX_RSA];
    const struct alg_curve *curve; /* ECC */
    struct ecc_point point;
};

enum pubkey_scheme { PUBKEY_ECDSA, PUBKEY_RSASSA, PUBKEY_RSAPSS };

/* From plain numbers: the modulus without leading zero and the exponent; the coordinates,
 * up to curve->size bytes each. E_DATA: no key that is used here (short or even modulus,
 * even exponent, a point off the curve); E_UNSUPPORTED: longer than PUBKEY_MAX_RSA. */
int pubkey_from_rsa(struct pubkey *k, struct bytes n, uint32_t exponent, struct err *e) MUST_USE;
int pubkey_from_point(struct pubkey *k, const struct alg_curve *c, struct bytes x, struct bytes y,
                      struct err *e) MUST_USE;

/* From a TPM public area (Part 2, 12.2.4); E_UNSUPPORTED for other types and
 * curves, E_DATA for a point off the curve or an even or short modulus. */
int pubkey_from_tpmt(struct pubkey *k, const TPMT_PUBLIC *pub, struct err *e) MUST_USE;

/* SubjectPublicKeyInfo, DER, appended / strictly read (no trailing bytes). */
int pubkey_to_spki(const struct pubkey *k, struct buf *out, struct err *e) MUST_USE;
int pubkey_from_spki(struct pubkey *k, struct bytes der, struct err *e) MUST_USE;
int pubkey_from_x509(struct pubkey *k, X509 *cert, struct err *e) MUST_USE;

bool pubkey_equal(const struct pubkey *a, const struct pubkey *b);

/* SHA-256 of the SPKI, the way certificates, pins and evidence refer to a key. */
int pubkey_id(const struct pubkey *k, uint8_t id[32], struct err *e) MUST_USE;

/* Bits of the modulus or the curve, and a name for people: "RSA-2048", "P-256". */
unsigned pubkey_bits(const struct pubkey *k);
const char *pubkey_name(const struct pubkey *k);

/* Length of a signature in the raw forms used inside: r ‖ s, or the modulus. */
size_t pubkey_sig_len(const struct pubkey *k);

/*
 * Checks a signature over a digest. ECDSA signatures are r ‖ s. For PSS, `salt`
 * is the salt length, -1 accepts any. For RSASSA with hash NULL, `digest` is the
 * bare message that the padding carries. E_DATA: the signature does not fit.
 */
int pubkey_verify(const struct pubkey *k, enum pubkey_scheme scheme, const struct alg_hash *hash,
                  int salt, struct bytes digest, struct bytes sig, struct err *e) MUST_USE;

/* PSS with a mask generation function of another hash (RFC 8017, 9.1.2 and B.2.1). */
int pubkey_verify_pss(const struct pubkey *k, const struct alg_hash *hash,
                      const struct alg_hash *mgf, int salt, struct bytes digest, struct bytes sig,
                      struct err *e) MUST_USE;

/*
 * What an RSASSA-PKCS1-v1_5 signature carries, the DigestInfo or any other bytes, without
 * its padding (RFC 8017, 8.2.2 and 9.2): `out` holds n_len bytes, of which *out_len, at
 * most n_len - 11, are it. E_DATA: the signature is not one by this key.
 */
int pubkey_recover_pkcs1(const struct pubkey *k, struct bytes sig, uint8_t *out, size_t *out_len,
                         struct err *e) MUST_USE;

/* RSA public operation on exactly n_len bytes (X.509 raw), `out` of n_len bytes. */
int pubkey_rsa_raw(const struct pubkey *k, struct bytes in, uint8_t *out, struct err *e) MUST_USE;

/*
 * Encryption for the private key to open; `out` of n_len bytes. E_DATA: `in` is too long.
 * PKCS#1 v1.5 (RFC 8017, 7.2.1) takes at most n_len - 11 bytes, OAEP (7.1.1) at most
 * n_len - 2 * hash->size - 2; `mgf` is the hash of MGF1, the label any bytes or none.
 */
int pubkey_encrypt_pkcs1(const struct pubkey *k, struct bytes in, uint8_t *out,
                         struct err *e) MUST_USE;
int pubkey_encrypt_oaep(const struct pubkey *k, const struct alg_hash *hash,
                        const struct alg_hash *mgf, struct bytes label, struct bytes in,
                        uint8_t *out, struct err *e) MUST_USE;

/* RSA-OAEP as TPMs use it: one hash, and a label that includes its final NUL (Part 1, B.4);
 * `out` of n_len bytes. */
int pubkey_oaep(const struct pubkey *k, const struct alg_hash *hash, struct bytes label,
                struct bytes in, uint8_t *out, struct err *e) MUST_USE;

/* PKCS#1 v1.5 and PSS encodings for a raw private operation; `em` of n_len bytes.
 * `salt` is the wanted salt length in bytes. */
int pubkey_pad_pkcs1(const struct pubkey *k, struct bytes t, uint8_t *em, struct err *e) MUST_USE;
int pubkey_pad_pss(const struct pubkey *k, const struct alg_hash *hash, const struct alg_hash *mgf,
                   int salt, struct bytes digest, uint8_t *em, struct err *e) MUST_USE;

/* r ‖ s to and from the DER of X.509 and TLS. */
int pubkey_sig_to_der(const struct pubkey *k, struct bytes raw, struct buf *out,
                      struct err *e) MUST_USE;
int pubkey_sig_from_der(const struct pubkey *k, struct bytes der, struct buf *out,
                        struct err *e) MUST_USE;

#endif
