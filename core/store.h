#ifndef CORE_STORE_H
#define CORE_STORE_H

#include "core/buf.h"

/*
 * The token store: one SQLite file (STRICT tables, foreign keys, rollback
 * journal, synchronous FULL, 5 s busy timeout, mode 0600 in a 0700 directory).
 * It knows tokens, TPM key blobs, and objects as typed attributes; it does not
 * know what an attribute type means. The schema version is PRAGMA user_version,
 * the file is marked by PRAGMA application_id; a newer schema is E_VERSION and
 * left untouched, an older one is migrated forward in one transaction, or read as it is
 * where it may not be written.
 *
 * Errors name the path and what to do: E_NOT_FOUND, E_DENIED (unwritable),
 * E_CORRUPT (not a database, or integrity broken), E_FORMAT (a database of
 * something else), E_BUSY, E_FULL, E_VERSION.
 */
struct store;

enum store_mode {
    STORE_READ,   /* read-only, also on a read-only file system; no file is made */
    STORE_WRITE,  /* must exist */
    STORE_CREATE, /* made when missing, parents included */
};

int store_open(struct store **out, const char *path, enum store_mode mode, struct err *e) MUST_USE;
/* A store in memory that nobody else has, and that ends with store_close; `name` is its path in
 * messages. */
int store_memory(struct store **out, const char *name, struct err *e) MUST_USE;
void store_close(struct store *s); /* NULL is fine */

/* Is the file ours or root's, and can nobody else write to it? E_DENIED says what is wrong.
 * STORE_READ opens any file, to be looked at; before a PIN is proved by what it says, or a key
 * without one is used, this is asked. */
int store_guarded(const struct store *s, struct err *e) MUST_USE;
const char *store_path(const struct store *s);

/* True when another connection changed the file since the last call
 * (PRAGMA data_version); true also the first time. */
bool store_changed(struct store *s);

/* Is the file sound (PRAGMA quick_check, foreign keys)? E_CORRUPT says what is not. Reads
 * all of it; row tags need a login and are not looked at. */
int store_check(struct store *s, struct err *e) MUST_USE;

/*
 * For work on the TPM that belongs to rows still in the making: one process at a time
 * per store directory (flock on the directory, no file of its own; the system drops it
 * when the process dies). Waits up to half a minute, then E_BUSY. Not nested.
 */
int store_hold(struct store *s, struct err *e) MUST_USE;
void store_release(struct store *s); /* fine when not held */

/* Transactions nest by counting; only the outermost takes effect. A rollback at
 * any depth undoes all, and every level above then fails. After a commit that
 * failed call store_rollback too (without an open transaction it does nothing). */
int store_begin(struct store *s, struct err *e) MUST_USE;
int store_commit(struct store *s, struct err *e) MUST_USE;
void store_rollback(struct store *s);

/*
 * Somebody who keeps the rows elsewhere, too: called by the outermost store_commit before it
 * takes effect, with the transaction open. Not 0 undoes it. NULL: nobody. `arg` is borrowed.
 */
typedef int store_keeper_fn(void *arg, struct err *e);
void store_keeper(struct store *s, store_keeper_fn *keep, void *arg);

/* --- TPMs ---------------------------------------------------------------- */

#define STORE_NAME_MAX 66 /* a TPM Name: algorithm id and up to 64 bytes */

struct store_name {
    uint16_t len;
    uint8_t name[STORE_NAME_MAX];
};

/* A TPM that holds tokens of this store. */
struct store_tpm {
    int64_t id;
    uint32_t primary;            /* persistent handle of the storage primary */
    uint8_t primary_public[600]; /* its TPMT_PUBLIC, wire form */
    uint16_t primary_public_len;
    struct store_name ek_name; /* which TPM this is; length 0 when it has no EK */
    uint8_t caps[512];         /* opaque to the store: tpm/caps writes it */
    uint16_t caps_len;
};

int store_tpm_put(struct store *s, struct store_tpm *t, struct err *e) MUST_USE; /* id 0: insert */
int store_tpm_get(struct store *s, int64_t id, struct store_tpm *t, struct err *e) MUST_USE;
int store_tpm_list(struct store *s, struct store_tpm **out, size_t *n, struct err *e) MUST_USE;

/* --- tokens -------------------------------------------------------------- */

enum store_nv { STORE_NV_U, STORE_NV_O, STORE_NV_S, STORE_NV_R, STORE_NV_COUNT };

/* One NV index of the PIN model: its handle and its Name once written. */
struct store_index {
    uint32_t handle;
    struct store_name name;
};

/* Bits of store_token.flags. */
#define STORE_TOKEN_PIN_SET 1u      /* the user PIN was initialised */
#define STORE_TOKEN_WEAK_LOCKOUT 2u /* lockoutAuth is empty or not ours */
#define STORE_TOKEN_CHANGE_USER 4u  /* a user PIN change is under way */
#define STORE_TOKEN_CHANGE_SO 8u    /* an SO PIN change is under way */
#define STORE_TOKEN_DA_ONLY 16u     /* the TPM has no PIN_FAIL indices */
#define STORE_TOKEN_INCOMPLETE 32u  /* being made, or being erased */
#define STORE_TOKEN_OWNER 64u       /* R keeps the TPM's ownerAuth, which we set */
#define STORE_TOKEN_COUNTER 128u    /* S is guarded by U's count alone, not by the TPM's */
/* lockoutAuth was set before, by somebody else. */
#define STORE_TOKEN_FOREIGN_LOCKOUT 256u
/* O and R name K in their policies, too; in tokens of the first versions they do not. */
#define STORE_TOKEN_MARKED 2048u
/* S has another PIN than U, or R than O, as the TPM has said: it is not to be
 * asked again, for it counts that for all its users. */
#define STORE_TOKEN_SPLIT_USER 512u
#define STORE_TOKEN_SPLIT_SO 1024u

struct store_token {
    int64_t id;
    int64_t tpm;
    char label[33];  /* UTF-8, up to 32 bytes, NUL-terminated */
    char serial[17]; /* 16 characters, unique */
    uint8_t salt[32];
    uint32_t flags;
    uint32_t user_fails, user_limit; /* last known count of wrong PINs, and the limit */
    uint32_t so_fails, so_limit;
    struct store_index nv[STORE_NV_COUNT];
    uint8_t k_public[64]; /* x ‖ y of the SO's key K, P-256 */
};

int store_token_list(struct store *s, struct store_token **out, size_t *n, struct err *e) MUST_USE;
int store_token_get(struct store *s, int64_t id, struct store_token *t, struct err *e) MUST_USE;
/* All of the row; id 0: inserts it. Only for a token that nobody else may be using: one in the
 * making, or under store_hold. */
int store_token_put(struct store *s, struct store_token *t, struct err *e) MUST_USE;

/* What is noted in a token's row while other processes may be writing it. */
struct store_note {
    uint32_t set, clear;                   /* of its flags */
    const uint32_t *user_fails, *so_fails; /* NULL: as they are */
    const uint32_t *user_limit;            /* the same */
};
/*
 * Writes just that, and reads what the row has then of flags and counts back into `t`; what
 * others wrote to it meanwhile stays. Only while the row has the serial number of `t`:
 * E_NOT_FOUND when the token was made anew or erased meanwhile.
 */
int store_token_note(struct store *s, struct store_token *t, const struct store_note *note,
                     struct err *e) MUST_USE;
/* Deletes the objects and keys of a token, not the token. */
int store_token_clear(struct store *s, int64_t id, struct err *e) MUST_USE;
int store_token_delete(struct store *s, int64_t id, struct err *e) MUST_USE; /* with all below it */

/* --- sealing ------------------------------------------------------------- */

/* Keys derived from the token secret: what authenticates rows and encrypts
 * private values. Kept by the caller in a `struct secret`. */
struct store_seal {
    uint8_t enc[32];
    uint8_t mac[32];
};
int store_seal_derive(struct bytes token_secret, struct store_seal *out, struct err *e) MUST_USE;

/* --- TPM key blobs ------------------------------------------------------- */

#define STORE_UUID 16

enum store_key_mode {
    STORE_KEY_SESSION,
    STORE_KEY_EACH,
    STORE_KEY_APPROVED,
    STORE_KEY_QUORUM,
    STORE_KEY_NONE
};
#define STORE_KEY_MODE_LAST STORE_KEY_NONE

enum store_key_use {
    STORE_USE_OBJECT,  /* behind an object */
    STORE_USE_AK,      /* an attestation key */
    STORE_USE_APPROVER /* signs approvals, and nothing else (core/approval.h) */
};
/* Whoever reads a row or a backup takes what is up to these. */
#define STORE_USE_LAST STORE_USE_APPROVER

/*
 * A key that only the TPM can load. `public` is a TPMT_PUBLIC, `private` a
 * TPM2B_PRIVATE's content, `parent` 0 for the storage primary or the EK's
 * template id for an attestation key, `creation` what TPM2_Create gave besides:
 * creation data, ticket, and what tpm/key_extra keeps with a key (opaque here;
 * empty for an imported key). Buffers belong
 * to the structure; store_key_free releases them. The row is authenticated by
 * the seal; a row whose tag does not fit is E_CORRUPT.
 */
struct store_key {
    uint8_t uuid[STORE_UUID];
    int64_t token;
    enum store_key_use use;
    enum store_key_mode mode;
    bool imported;
    uint32_t parent;
    struct buf public;
    struct buf private;
    struct buf creation;
};

int store_key_put(struct store *s, const struct store_key *k, const struct store_seal *seal,
                  struct err *e) MUST_USE; /* a uuid that is there already is E_EXISTS */
/*
 * `seal` NULL, nobody logged in: rows of mode STORE_KEY_NONE only, E_LOGIN for others. The
 * row is then unverified: that the two halves of the blob belong together, and that this
 * TPM made it, is left to the TPM, which loads nothing else; but whoever can write the
 * file can put another key that the TPM loads in its place. A caller that knows the public
 * key, from a certificate say, compares it.
 */
int store_key_get(struct store *s, int64_t token, const uint8_t uuid[STORE_UUID],
                  const struct store_seal *seal, struct store_key *k, struct err *e) MUST_USE;
/* The first key of a use (the AK of a token under one EK template), E_NOT_FOUND if none. */
int store_key_find(struct store *s, int64_t token, enum store_key_use use, uint32_t parent,
                   const struct store_seal *seal, struct store_key *k, struct err *e) MUST_USE;
/* All keys of a use, in the order in which they were put. Free each with store_key_free,
 * then the array. */
int store_key_list(struct store *s, int64_t token, enum store_key_use use,
                   const struct store_seal *seal, struct store_key **out, size_t *n,
                   struct err *e) MUST_USE;
/* Replaces `creation` of a key that is there; all else stays. E_NOT_FOUND. */
int store_key_amend(struct store *s, const struct store_key *k, const struct store_seal *seal,
                    struct err *e) MUST_USE;
int store_key_delete(struct store *s, int64_t token, const uint8_t uuid[STORE_UUID],
                     struct err *e) MUST_USE; /* not while an object refers to it: E_BUSY, which
                                        * leaves a transaction around it as it is */
/* A deep copy, uuid and all. */
int store_key_copy(const struct store_key *from, struct store_key *to, struct err *e) MUST_USE;
void store_key_free(struct store_key *k);

/* --- objects ------------------------------------------------------------- */

struct store_attr {
    uint64_t type;
    bool sealed; /* encrypted in the file; absent from what is read without a seal */
    struct buf value;
};

struct store_object {
    int64_t id;
    int64_t token;
    uint8_t uuid[STORE_UUID];
    uint32_t class;
    bool is_private; /* hidden before login */
    bool has_key;    /* `key` names the TPM key behind it */
    uint8_t key[STORE_UUID];
    bool verified; /* out: the row's tag was checked against the seal */
    struct store_attr *attr;
    size_t n_attr;
};

/*
 * Inserts (id 0: a fresh id and, when all zero, a fresh uuid are filled in) or
 * replaces an object with its attributes. `seal` may be NULL for a public object
 * without key, which then carries no tag.
 */
int store_object_put(struct store *s, struct store_object *o, const struct store_seal *seal,
                     struct err *e) MUST_USE;

/*
 * All objects of a token, ordered by id. Without a seal: public ones only, tags
 * unchecked. With one: every tag is checked, sealed values are decrypted; a row
 * that was altered, moved or stripped of its tag is E_CORRUPT naming its id.
 */
int store_object_list(struct store *s, int64_t token, const struct store_seal *seal,
                      struct store_object **out, size_t *n, struct err *e) MUST_USE;

/* The same one by one: `take` gets each in turn, and empties it when it keeps it. Not 0 from it
 * ends the reading, which then fails. It may not use the store. */
typedef int store_object_fn(void *arg, struct store_object *o, struct err *e);
int store_object_each(struct store *s, int64_t token, const struct store_seal *seal,
                      store_object_fn *take, void *arg, struct err *e) MUST_USE;
int store_object_get(struct store *s, int64_t token, int64_t id, const struct store_seal *seal,
                     struct store_object *o, struct err *e) MUST_USE;

/*
 * The objects that may have an attribute of this type and value, checked and read as by
 * store_object_each, without reading the others. The caller compares. 1 when the store
 * cannot tell, and must be listed: the type is not one that is searched by (id, label,
 * subject, serial number and public key are), or the file is of an older version and
 * cannot be written.
 *
 * The way there is a digest kept beside each such attribute: a plain hash, or for a sealed
 * value 64 bits of an HMAC under the seal. It is not part of what the tag protects, and need
 * not be: the object that it leads to is checked by its tag and compared. Whoever can write
 * the file can, by a wrong digest, hide an object from this function, as by deleting its row,
 * but unlike that not for good: any list after login is E_CORRUPT naming the object. So a
 * caller who is logged in does not take "none" from here as the answer without a list. Who
 * can read the file learns which private objects of one token share such a value.
 */
int store_object_find(struct store *s, int64_t token, const struct store_seal *seal, uint64_t type,
                      struct bytes value, store_object_fn *take, void *arg, struct err *e) MUST_USE;
int store_object_delete(struct store *s, int64_t token, int64_t id, struct err *e) MUST_USE;

/* Adds or replaces one attribute in memory; -1 with E_MEMORY. */
int store_object_set(struct store_object *o, uint64_t type, struct bytes value, bool sealed,
                     struct err *e) MUST_USE;
/* Borrowed; NULL when absent. */
const struct store_attr *store_object_attr(const struct store_object *o, uint64_t type);
void store_object_free(struct store_object *o);
void store_objects_free(struct store_object *o, size_t n);

#endif
