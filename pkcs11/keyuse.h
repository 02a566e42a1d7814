#ifndef PKCS11_KEYUSE_H
#define PKCS11_KEYUSE_H

#include "core/aesblock.h"
#include "core/cipher.h"
#include "core/hash.h"
#include "pkcs11/session.h"

/*
 * The use of an object's key, wherever it lies: private keys and the secrets of the token in
 * the TPM, session secrets that may leave in this process's memory. Looked up anew in each
 * C_* call, since the key may have gone since the last one: destroyed, or hidden by a logout.
 */
struct keyuse {
    struct token *token;         /* with `key` */
    const struct store_key *key; /* in the TPM; NULL: `value` it is */
    struct bytes value;
    bool may_leave; /* CKA_EXTRACTABLE */
    bool may_show;  /* that, and not CKA_SENSITIVE */
};

/*
 * CKR_KEY_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN, or what the store says. `proof` authorises
 * the next use of a key that wants its PIN each time; NULL for all others.
 */
CK_RV keyuse_of(struct p11_session *s, CK_OBJECT_HANDLE handle, struct token_proof *proof,
                struct keyuse *out) MUST_USE;

/* AES in one of its plain modes, without padding; contracts as those of cipher_aes and
 * token_cipher. */
int keyuse_cipher(const struct keyuse *u, enum cipher_mode mode, bool encrypt, uint8_t iv[16],
                  struct bytes in, uint8_t *out, struct err *e) MUST_USE;

/* The block cipher alone, for modes that are put together here. Borrows `u`. */
struct aes_block keyuse_block(const struct keyuse *u);

/* HMAC over parts; `mac` gets h->size bytes. */
int keyuse_hmac(const struct keyuse *u, const struct alg_hash *h, const struct bytes *part,
                size_t n, uint8_t *mac, struct err *e) MUST_USE;

/* The secret itself, of a key that may leave: for wrapping, copying, and derivations that the
 * TPM has no command for. E_UNSUPPORTED for one that may not. */
int keyuse_value(const struct keyuse *u, struct secret **out, struct err *e) MUST_USE;

#endif
