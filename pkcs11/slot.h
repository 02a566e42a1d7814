#ifndef PKCS11_SLOT_H
#define PKCS11_SLOT_H

#include "pkcs11/index.h"
#include "pkcs11/library.h"
#include "tpm/token.h"

/*
 * A slot: one token of the store, or, when the store has none, one place for the
 * first token (its CKF_TOKEN_INITIALIZED is clear and C_InitToken provisions it). Or a USB
 * token (pkcs11/plug.h).
 */
struct slot {
    CK_SLOT_ID id;
    struct site *site;       /* where its token is; the library's */
    bool event;              /* the token came or went, and C_WaitForSlotEvent did not tell */
    bool had_token;          /* before slots were looked at again */
    bool present;            /* false: the token was erased, or the store cannot be read */
    struct store_token row;  /* id 0: no token yet */
    struct token *token;     /* opened when first needed */
    struct index *index;     /* made when first needed */
    uint64_t generation;     /* of the site when `index` was last told of changes */
    uint64_t row_generation; /* the same for `row` */
    bool stale;              /* `index` is in doubt: the login changed */
    size_t n_session, n_rw;
};

/* The id of a token's slot is its row in the store; the place for the first token
 * has this one, and keeps it for the process that makes the token there. */
#define SLOT_EMPTY_ID 0x7fffffffUL

void slot_free(struct slot *s); /* NULL is fine */
void slot_free_all(struct library *lib);

/* Forgets token and objects of a slot, whose sessions are closed. */
void slot_clear(struct slot *s);

/* One more; NULL: no memory. */
struct slot *slot_add(struct library *lib, struct site *site, CK_SLOT_ID id, struct err *e);

/* Makes the slots of the store agree with it. A store that cannot be read gives
 * one slot without a token. Slots whose token was erased are only marked (`present`):
 * the caller closes their sessions, then clears them. Only lack of memory is a failure. */
int slot_refresh(struct library *lib, struct err *e) MUST_USE;

/* NULL when there is none. */
struct slot *slot_find(const struct library *lib, CK_SLOT_ID id);

/* Reads the token's row again when another process wrote to the store. */
void slot_reread(struct slot *s);

/* The TPM key behind an object, read on first use and kept with it. E_LOGIN before the user's
 * login, but for a key that wants none (store_key_get); E_NOT_FOUND for an object without one. */
int slot_key(struct slot *s, struct object *o, const struct store_key **out,
             struct err *e) MUST_USE;

/* The token's row as last known. */
const struct store_token *slot_row(const struct slot *s);

/* The token, opened on first use; sends nothing. */
int slot_token(struct slot *s, struct token **out, struct err *e) MUST_USE;

/* Who is logged in on the slot's token. */
enum token_user slot_who(const struct slot *s);

/* Makes objects that were read agree with the store, when another process wrote to it. What
 * cannot be read now stays as it was. Objects found before are not to be used after. */
void slot_recheck(struct library *lib, struct slot *s);

/* The objects, as the store and the login are now. */
int slot_index(struct library *lib, struct slot *s, struct index **out, struct err *e) MUST_USE;

/* An object by handle, NULL when there is none. Handles come from searches and creations: this
 * does not look whether the store changed since, but sees a change of the login. */
struct object *slot_object(struct library *lib, struct slot *s, CK_OBJECT_HANDLE handle);

/* What the TPM of the token can do, as the store remembers it; false if it does not. */
bool slot_caps(struct slot *s, struct tpm_caps *out);

#endif
