#ifndef TPM_TOKEN_H
#define TPM_TOKEN_H

#include "core/pubkey.h"
#include "core/secret.h"
#include "core/signer.h"
#include "core/store.h"
#include "tpm/tpm.h"

/*
 * A token: rows of the store plus four NV indices and keys in one TPM, guarded
 * by the two PIN locks. This is what the PKCS#11 room shows as a slot's token
 * and what the CLI provisions. Not thread-safe (see tpm.h).
 */
struct token;

enum token_user { TOKEN_NOBODY, TOKEN_USER, TOKEN_SO };

#define TOKEN_PIN_MIN 6
#define TOKEN_PIN_MAX 64

/* What guards the user's secret besides the PIN's own count. */
enum token_guard {
    TOKEN_GUARD_DA,      /* the TPM-wide count of failures: two locks */
    TOKEN_GUARD_COUNTER, /* nothing: for a TPM whose ownerAuth is random and ours alone */
};

struct token_report;

/* What `token_provision` needs. PINs are 6 to 64 bytes (E_PIN_LENGTH). */
struct token_params {
    const char *label; /* 1 to 32 bytes of UTF-8 */
    struct bytes so_pin;
    struct bytes user_pin;   /* empty: the SO sets it later (C_InitPIN) */
    uint32_t user_tries;     /* 3 to 32; 0 means 10 */
    uint32_t so_tries;       /* the same */
    bool weak_lockout;       /* go on although the TPM's lockoutAuth is empty and stays so */
    struct bytes ek_issuers; /* PEM: TPM makers that are trusted; empty: not judged */
    enum token_guard guard;  /* COUNTER wants own_tpm */
    bool own_tpm;            /* the TPM serves us alone: set ownerAuth and keep it in R */
    /* Called, unless NULL, with the new codes just before the TPM takes ownerAuth, and again
     * before lockoutAuth: who keeps them now has them whatever happens next. */
    void (*keep)(void *arg, const struct token_report *r);
    void *keep_arg;
};

/* What provisioning found and did, for `token init` to say in words. */
struct token_report {
    bool lockout_set;       /* lockoutAuth was empty; a random one was set, see below */
    bool lockout_foreign;   /* lockoutAuth was set already and is unknown to us */
    bool lockout_policy;    /* besides, somebody had set a policy that does without it */
    char recovery_code[80]; /* hex of the new lockoutAuth, printed once; wipe after use */
    bool ek_proved;         /* the storage primary is in the TPM of the certified EK */
    bool ek_issuer;         /* and that certificate leads to one of ek_issuers */
    char ek_missing[400];   /* why it was not proved; then it is trusted on first use */
    bool owner_set;         /* ownerAuth was empty; a random one was set */
    bool owner_foreign;     /* ownerAuth is set, and not by us */
    char owner_code[80];    /* hex of the new ownerAuth, likewise */
};

/*
 * Makes a new token in the TPM and the store (two-phase: the row is INCOMPLETE
 * until all NV indices are there; leftovers of a crash are erased by the next
 * provisioning). On success the token is open, nobody logged in.
 *
 * The storage primary is proved to be in the TPM whose EK is certified, before it is pinned:
 * E_TAMPERED when it is not; without an EK certificate it is trusted on first use, or
 * E_NOT_FOUND when ek_issuers were given; E_REJECTED when none of them fits.
 *
 * Where the TPM's ownerAuth is set it must be known (tpm/owner.h), else E_DENIED; R of a token,
 * also of an unfinished one, may keep it (token_owner). With own_tpm an empty one is set to
 * 32 random bytes, which R holds before they are in force; one that we did not set is
 * E_DENIED.
 *
 * A TPM without PIN indices gets a token that the TPM-wide count alone guards, with the
 * TPM's limit for both PINs (STORE_TOKEN_DA_ONLY).
 */
int token_provision(struct token **out, struct tpm *t, struct store *s,
                    const struct token_params *p, struct token_report *report,
                    struct err *e) MUST_USE;

/* Opens a token of the store; sends nothing. */
int token_open(struct token **out, struct tpm *t, struct store *s, int64_t id,
               struct err *e) MUST_USE;
void token_free(struct token *k); /* logs out; NULL is fine */

/* The row as last read. */
const struct store_token *token_row(const struct token *k);
/* Reads the row again (another process may have changed it). */
int token_reload(struct token *k, struct err *e) MUST_USE;

/*
 * Proves a PIN to the TPM (at most 8 commands for the user, wrong PIN 5).
 * E_PIN_WRONG, E_PIN_LOCKED, E_PIN_LENGTH, E_PIN_UNSET, E_PIN_INTERRUPT,
 * E_LOCKOUT (TPM-wide), E_TAMPERED, E_NO_DEVICE... Success clears the count.
 */
int token_login(struct token *k, enum token_user who, struct bytes pin, struct err *e) MUST_USE;
int token_logout(struct token *k, struct err *e);
enum token_user token_who(const struct token *k);

/* Change of one's own PIN, proving the old one. Works logged in or out. */
int token_set_pin(struct token *k, enum token_user who, struct bytes old, struct bytes pin,
                  struct err *e) MUST_USE;

/* The SO sets or resets the user PIN and clears its count. Needs the SO's login. */
int token_init_pin(struct token *k, struct bytes pin, struct err *e) MUST_USE;

/*
 * C_InitToken on a token that exists: proves the SO PIN, destroys every object
 * and key, draws a new token secret, leaves the user PIN unset. E_BUSY is the
 * caller's to check (open sessions).
 */
int token_reset(struct token *k, struct bytes so_pin, const char *label, struct err *e) MUST_USE;

/*
 * Undefines the NV indices and deletes all rows: the keys are gone for good. Where the TPM's
 * ownerAuth is set it must be known (token_owner, or tpm/owner.h), else E_DENIED; when this is
 * the last token that keeps one of ours, the owner hierarchy is given back with an empty one.
 */
int token_erase(struct token *k, struct err *e) MUST_USE;

/*
 * Proves the SO PIN, also of a token whose making or erasing was interrupted, and takes the
 * ownerAuth out of R: it is known for this TPM object from then on (tpm/owner.h). E_NOT_FOUND
 * when the token keeps none; else as token_login.
 */
int token_owner(struct token *k, struct bytes so_pin, struct err *e) MUST_USE;

/*
 * Proves the SO PIN likewise, and tells the codes that R keeps: lockout_set and owner_set say
 * which are there. E_NOT_FOUND when it keeps none. Not in a TPM-wide lockout: E_LOCKOUT.
 */
int token_codes(struct token *k, struct bytes so_pin, struct token_report *out,
                struct err *e) MUST_USE;

/* The seal of the store's rows: NULL unless the user is logged in. */
const struct store_seal *token_seal(const struct token *k);
/* The same for writing public rows, which the SO does, too: what the SO says of an object
 * counts after the user's login only if its row has a tag. NULL when nobody is logged in. */
const struct store_seal *token_stamp(const struct token *k);

/* --- keys ---------------------------------------------------------------- */

/* The PCRs that a key is bound to, with the values that they have when it is made. */
struct key_pcrs {
    uint16_t hash;     /* their bank, TPM2_ALG_*; 0: bound to none */
    uint8_t select[3]; /* PCR n is bit n % 8 of byte n / 8 (Part 2, 10.6.1) */
};

#define KEY_OUTSIDE_INFO 64 /* bytes of TPM2B_DATA: no TPM takes less (Part 2, 10.4.3) */

struct key_spec {
    uint16_t type;                 /* TPM2_ALG_ECC, _RSA, _SYMCIPHER (AES) or _KEYEDHASH (HMAC) */
    const struct alg_curve *curve; /* ECC */
    uint16_t bits;                 /* RSA: 2048, 3072, 4096; AES: 128, 192, 256; HMAC: 0 */
    uint32_t exponent;             /* RSA: 0 or 65537 */
    const struct alg_hash *hash;   /* HMAC: its one hash; NULL: chosen with each use */
    bool sign, decrypt;            /* TPM attributes of the same names; AES and HMAC keys get
                                    * what their use takes, whatever stands here */
    enum store_key_mode mode;      /* SESSION, NONE; EACH and APPROVED for ECC and RSA */
    struct bytes approver;         /* APPROVED: by whom, DER of core/approval.h */
    struct bytes purpose;          /* APPROVED: what uses are approved for; up to 255 bytes */
    bool extractable;              /* token_key_value may take it out of the TPM again; mode SESSION
                                * only. Never fixedTPM: never level 3 */
    bool pcrs_updatable;           /* other values of the same PCRs can be approved later */
    struct key_pcrs pcrs;          /* not for keys that are imported or extractable */
    struct bytes outside_info;     /* into the creation data; up to KEY_OUTSIDE_INFO bytes */
};

/* Is this kind of key one that the TPM makes and uses? 0, or E_UNSUPPORTED. Answered from
 * memory for ECC and RSA; one command for HMAC, up to three for AES. */
int token_key_supported(struct token *k, const struct key_spec *spec, struct err *e) MUST_USE;

/* TPM2_Create under the storage primary (one command; RSA takes seconds). Fills
 * `out`, a fresh uuid included; writing it to the store is the caller's. User login.
 * An HMAC key gets the length of its hash's digest, 32 bytes without a hash. For AES and
 * HMAC keys token_key_supported's commands come before; binding to PCRs reads them, one
 * command for eight. E_TAMPERED when the TPM then made the key for other values: they moved
 * meanwhile, or somebody on the way lied. */
int token_key_create(struct token *k, const struct key_spec *spec, struct store_key *out,
                     struct err *e) MUST_USE;

/*
 * TPM2_Import of a private key that exists outside: `priv` is the ECC private
 * scalar or one RSA prime factor. The public area is made from `pub` and `spec`. The
 * TPM attributes then lack fixedTPM: never level 3. It cannot leave the TPM again unless
 * spec->extractable.
 *
 * For AES and HMAC keys `priv` is the key itself and `pub` NULL. E_DATA when its length is
 * not that of spec->bits (AES), or it is empty, or longer than 128 bytes for an HMAC key
 * without a hash.
 */
int token_key_import(struct token *k, const struct key_spec *spec, const struct pubkey *pub,
                     struct bytes priv, struct store_key *out, struct err *e) MUST_USE;

/*
 * Takes the secret part of an extractable key out of the TPM: TPM2_Duplicate (Part 3, 13.1)
 * for a parent that exists in this process only. `out`: the scalar of an ECC key (curve->size
 * bytes), one prime of an RSA key (half the modulus), the key itself of AES and HMAC; as
 * token_key_import takes it. On the wire it is encrypted. Eight commands, after what this
 * process has loaded was flushed; nothing stays loaded. E_UNSUPPORTED, before any command,
 * when the key was not made extractable (the TPM would refuse, too); E_LOGIN.
 */
int token_key_value(struct token *k, const struct store_key *key, struct secret **out,
                    struct err *e) MUST_USE;

/* Public half of a blob; E_UNSUPPORTED for AES and HMAC keys, which have none. */
int token_key_public(const struct store_key *key, struct pubkey *out, struct err *e) MUST_USE;

/* What the TPM knows a key by. */
struct key_identity {
    TPM2B_NAME name;      /* Part 1, 16 */
    TPM2B_NAME qualified; /* Part 1, 16.3: binds the ancestors up to the owner hierarchy */
    uint8_t policy[64];   /* authPolicy: a digest of nameAlg; none where policy_len is 0 */
    size_t policy_len;
};

/* Computed from the key's public area and the pinned storage primary, without any command
 * and without login. E_UNSUPPORTED for an attestation key: its parent is the EK. */
int token_key_identity(const struct token *k, const struct store_key *key, struct key_identity *out,
                       struct err *e) MUST_USE;

/*
 * Signs a digest: one TPM command once the key is loaded, two the first time; three more for
 * a key that is bound to PCRs (two in mode NONE).
 *   ECDSA: `digest` of any length (truncated or padded as ECDSA does), hash ignored.
 *   RSASSA: hash and its digest; hash NULL: `digest` is the bare content of the
 *     padding (a DigestInfo goes to TPM2_Sign; other data needs a decrypt key, as
 *     does a hash that TPMs lack, hash->tpm 0).
 *   RSAPSS: hash, mgf hash, salt length. Where the TPM's own PSS cannot do it
 *     the padding is ours and the key must have decrypt.
 * `sig` takes pubkey_sig_len() bytes. E_UNSUPPORTED when the key cannot. The user
 * is logged in, or the key's mode is NONE. E_REJECTED: the key is bound to PCRs that have
 * other values now.
 */
struct token_sign {
    enum pubkey_scheme scheme;
    const struct alg_hash *hash, *mgf;
    int salt;
    struct bytes digest;
};
int token_sign(struct token *k, const struct store_key *key, const struct token_sign *what,
               uint8_t *sig, struct err *e) MUST_USE;

/* Raw RSA private operation (scheme NULL) on n_len bytes; needs a decrypt key. */
int token_rsa_raw(struct token *k, const struct store_key *key, struct bytes in, uint8_t *out,
                  struct err *e) MUST_USE;

/* The key's object was destroyed: flush it if it is loaded. */
void token_key_forget(struct token *k, const uint8_t uuid[STORE_UUID]);

/* --- a PIN for each use: keys of mode EACH ------------------------------------- */

/*
 * A proof of the user's PIN to the TPM, good for ONE use of one key: a policy session in which
 * PolicySecret of the token's counter index has passed (Part 3, 23.4). It takes one of the
 * TPM's sessions until it is used or freed: make it, present it, use the key, free it. For
 * keys of mode APPROVED it is made of an approval (tpm/approval.h).
 */
struct token_proof;

/*
 * Proves the PIN for the next use of `key`. The user is logged in (E_LOGIN), since the key's
 * authValue comes from the token secret. Three commands: the policy session, PolicySecret,
 * PolicyAuthValue; and PolicyPCR before them for a key that is bound to PCRs. A wrong PIN
 * counts, and is noted in the store, as with token_login: E_PIN_WRONG, E_PIN_LOCKED,
 * E_PIN_LENGTH. E_ARG: the key is of another mode; E_REJECTED: wrong PCRs, no PIN was sent.
 * Never tried again by itself.
 */
int token_prove(struct token *k, const struct store_key *key, struct bytes pin,
                struct token_proof **out, struct err *e) MUST_USE;

/* Flushes one that was not used, unless the TPM forgot it; takes it back if it is presented.
 * NULL is fine. Before token_free. */
void token_proof_free(struct token *k, struct token_proof *p);

/*
 * The next use of the proof's key is authorised by it; borrowed. That use takes it back and
 * uses it up, also when it fails after the arguments were looked at. NULL takes it back
 * unused; so does logout. A use of such a key is one command, never tried again: E_LOGIN
 * without a proof for it, E_REMOVED when the TPM was reset after the proof.
 */
void token_present(struct token *k, struct token_proof *p);

/* A signer over a key; borrows the token and copies the key. For a key of mode EACH a proof
 * is presented before each signature. */
int token_signer(struct token *k, const struct store_key *key, struct signer **out,
                 struct err *e) MUST_USE;

struct tpm *token_tpm(struct token *k);
struct store *token_store(struct token *k);

#endif
