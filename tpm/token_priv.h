#ifndef TPM_TOKEN_PRIV_H
#define TPM_TOKEN_PRIV_H

#include "tpm/ctx.h"
#include "tpm/held.h"
#include "tpm/pin.h"
#include "tpm/token.h"

/* What authorise_run() notes instead of sending it: the command that a use would be. */
struct token_plan {
    uint32_t command;      /* 0: none was noted */
    struct buf parameters; /* wire form */
};

/* The inside of `struct token`, for the files of the tpm room that act on one. */
struct token {
    struct tpm *tpm;
    struct store *store;
    struct store_token row;
    struct store_tpm hw;
    TPMT_PUBLIC primary; /* pinned: from the store, never from the wire */
    TPM2B_NAME primary_name;
    struct salt_key salt;
    enum token_user who;
    struct secret *secret;              /* user: the token secret; SO: struct pin_so_content */
    struct secret *seal;                /* struct store_seal, from the token secret */
    struct store_token confirmed;       /* user: the row whose K and U the login has confirmed */
    struct token_proof *proof;          /* presented for the next use of its key; the caller's */
    struct pcr_approved_ticket *ticket; /* of the last approved PCRs, or NULL */
    uint32_t unsaved;                   /* flags that the store did not take */
    struct token_plan *plan;            /* uses are noted here and not sent; the caller's */
};

/* The HMAC session of this process, E_NOT_FOUND saying what to do when the TPM
 * does not have the storage primary of the token. */
struct session *token_session(struct token *k, struct err *e);

/* Reads the row again once the TPM is ours (token_session), which may have taken a while.
 * E_NOT_FOUND when it is another token's by now: what was derived from it is of no use. */
int token_same(struct token *k, struct err *e) MUST_USE;

/* authValue of a key: HKDF(token secret, uuid); empty for mode NONE. `out` of 32
 * bytes; E_LOGIN without the user's login. */
int token_key_auth(struct token *k, const struct store_key *key, uint8_t out[32],
                   struct bytes *auth, struct err *e) MUST_USE;

/* A side's bits in the row's flags. */
struct token_marks {
    uint32_t change, split;
};
struct token_marks token_marks(enum token_user who);

/* Has it the length of a PIN? */
int token_check_length(struct bytes pin, struct err *e) MUST_USE;

/* May a PIN of this length be tried, and is there one? Before any command. */
int token_check_pin(const struct token *k, enum token_user who, struct bytes pin,
                    struct err *e) MUST_USE;

/* Keeps in the store what the TPM said to a PIN: E_OK, E_PIN_WRONG, E_PIN_LOCKED, and
 * E_PIN_INTERRUPT, which is not to be tried again; other codes change nothing. */
void token_note_pin(struct token *k, enum token_user who, enum err_code code);

/* Passes both locks of a side and reads what the guard holds (struct pin_so_content
 * for the SO); notes a refusal in the store. */
int token_open_guard(struct token *k, enum token_user who, struct bytes pin, struct secret **out,
                     struct err *e) MUST_USE;

/* Loads a key under the storage primary, or finds it loaded. */
int token_key_load(struct token *k, const struct store_key *key, const struct loaded_key **out,
                   struct err *e) MUST_USE;

/*
 * Runs `op`, and once more with everything rebuilt when it failed because the TPM
 * was reset, the connection broke or the session was out of step. Only for what may be
 * done twice and proves nothing that is counted.
 */
int token_retry(struct token *k, int (*op)(struct token *k, void *arg, struct err *e), void *arg,
                struct err *e) MUST_USE;

/* TPM2_Create and TPM2_Load under a parent. */
struct key_parent {
    TPM2_HANDLE handle;
    const TPM2B_NAME *name;
    struct session *session; /* satisfies the parent's authorisation with an empty authValue */
    struct session *helper;  /* HMAC session that encrypts, when `session` cannot; or NULL */
};
struct key_new {
    const TPMT_PUBLIC *template;
    struct bytes auth, outside_info;
    TPML_PCR_SELECTION pcrs; /* whose values go into the creation data */
};
int key_create(struct token *k, const struct key_parent *parent, const struct key_new *what,
               struct store_key *out, struct err *e) MUST_USE;
int key_load(struct tpm *t, const struct key_parent *parent, const struct store_key *key,
             TPM2_HANDLE *handle, TPM2B_NAME *name, struct err *e) MUST_USE;

#endif
