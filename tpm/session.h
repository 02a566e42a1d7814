#ifndef TPM_SESSION_H
#define TPM_SESSION_H

#include "core/err.h"
#include "tpm/tpm.h"

#include <tss2/tss2_tpm2_types.h>

/*
 * Authorisation sessions (Part 1, 17 and 19): always SHA-256, always salted to a
 * key whose public area the caller vouches for, never bound, AES-128-CFB for
 * parameters.
 */
struct session {
    TPM2_HANDLE handle; /* 0: no session */
    TPM2_SE type;       /* TPM2_SE_HMAC or TPM2_SE_POLICY */
    bool auth_value;    /* policy session in which PolicyAuthValue was executed */
    size_t key_len;
    uint8_t key[32];    /* sessionKey (Part 1, 19.6.8) */
    TPM2B_NONCE caller; /* nonceCaller, the newer of ours */
    TPM2B_NONCE tpm;    /* nonceTPM */
};

/* The key that a salt is encrypted to: a loaded decrypt key and the public area
 * pinned for it. */
struct salt_key {
    TPM2_HANDLE handle;
    const TPMT_PUBLIC *pub;
};

/* TPM2_StartAuthSession (Part 3, 11.1). One command. */
int session_start(struct tpm *t, TPM2_SE type, const struct salt_key *salt, struct session *out,
                  struct err *e) MUST_USE;

/* The two halves of it, for policy_start(): nonceCaller and a salt for a new session; and
 * its key, once the command has given handle and nonceTPM. Wipe the salt afterwards. */
struct session_salt {
    size_t len;
    uint8_t value[64];
    TPM2B_ENCRYPTED_SECRET encrypted;
    TPMT_SYM_DEF symmetric;
};
int session_prepare(TPM2_SE type, const struct salt_key *key, struct session *s,
                    struct session_salt *salt, struct err *e) MUST_USE;
int session_finish(struct session *s, const struct session_salt *salt, struct err *e) MUST_USE;

/* Flushes the session if there is one, and wipes it. */
void session_end(struct tpm *t, struct session *s);

/* Wipes it without a word to the TPM (which has dropped it already). */
void session_gone(struct session *s);

/* --- the arithmetic, apart from any TPM, for known-answer tests ------------ */

/* sessionKey = KDFa(SHA-256, salt, "ATH", nonceTPM, nonceCaller, 256). */
int session_key(struct session *s, struct bytes salt, struct err *e) MUST_USE;

/* What an HMAC of a session covers besides its own nonces. */
struct session_hmac {
    const uint8_t *p_hash;     /* cpHash or rpHash, 32 bytes */
    struct bytes newer, older; /* nonceNewer, nonceOlder */
    struct bytes decrypt;      /* nonceTPM of another decrypt session, first session only */
    struct bytes encrypt;      /* nonceTPM of another encrypt session, first session only */
    TPMA_SESSION attributes;
};

/* Part 1, 19.6.5: HMAC-SHA256(sessionKey ‖ authValue, pHash ‖ ... ‖ attributes). */
int session_hmac(const struct session *s, struct bytes auth, const struct session_hmac *over,
                 uint8_t out[32], struct err *e) MUST_USE;

/* Parameter encryption or decryption in place (Part 1, 21.3). */
int session_crypt(const struct session *s, bool encrypt, struct bytes auth, struct bytes newer,
                  struct bytes older, uint8_t *data, size_t len, struct err *e) MUST_USE;

#endif
