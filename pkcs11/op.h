#ifndef PKCS11_OP_H
#define PKCS11_OP_H

#include "core/hash.h"
#include "core/pubkey.h"
#include "pkcs11/mech_table.h"
#include "pkcs11/session.h"

/*
 * One cryptographic operation of a session, from its Init function to its end: the
 * mechanism, the key, and what was fed so far. Signing, verifying, digesting, encrypting
 * and decrypting are the same thing seen from here; what differs is in family_*.c.
 */
struct op;

/* The most that one call takes. */
#define OP_MAX_INPUT ((size_t)8 << 20)

/*
 * Begins. `key` is NULL for a digest; the rest of its life the operation knows the key by
 * its handle and by a copy of its public half. CKR_MECHANISM_PARAM_INVALID,
 * CKR_KEY_SIZE_RANGE (a key that this build cannot handle), CKR_HOST_MEMORY. That the
 * mechanism does this kind of thing and the key allows it was checked before.
 */
CK_RV op_new(struct op **out, struct p11_session *s, enum op_kind kind, const struct mech *m,
             const CK_MECHANISM *given, const struct object *key) MUST_USE;
void op_free(struct op *op); /* NULL is fine */

/* True once op_set_fed was called: a one-part function may not follow. */
bool op_fed(const struct op *op);
void op_set_fed(struct op *op);

/* True for mechanisms that have no Update function (2.40, mechanisms, 2.1.5). */
bool op_single(const struct op *op);

/* True when the last output was made, and lies there for a caller with a larger buffer. */
bool op_done(const struct op *op);

/* Feeds data; what comes out at once is appended to `out`. CKR_DATA_LEN_RANGE, or
 * CKR_ENCRYPTED_DATA_LEN_RANGE, when it is more than the mechanism takes. */
CK_RV op_feed(struct op *op, struct bytes in, struct buf *out) MUST_USE;

/* Length of what op_feed will give. */
size_t op_feed_length(const struct op *op, size_t in);

/*
 * The last output. op_last_length says how long it is, or may be: then `*exact` is false.
 * op_last feeds `in`, if there is any, ends the input and makes the output, once; it stays
 * the operation's.
 */
size_t op_last_length(const struct op *op, size_t in, bool *exact);
CK_RV op_last(struct op *op, const struct bytes *in, struct bytes *out) MUST_USE;

/* Ends the input and checks a signature or MAC. */
CK_RV op_check(struct op *op, struct bytes sig) MUST_USE;

/* The whole of an operation at once, appending to `out`: for wrapping and deriving. */
CK_RV op_once(struct p11_session *s, enum op_kind kind, const struct mech *m,
              const CK_MECHANISM *given, const struct object *key, struct bytes in,
              struct buf *out) MUST_USE;

/* C_DigestKey: feeds a key's value to a digest. CKR_KEY_INDIGESTIBLE when it is in the TPM. */
CK_RV op_feed_key(struct op *op, CK_OBJECT_HANDLE key) MUST_USE;

/* C_Login(CKU_CONTEXT_SPECIFIC): true when the operation's key wants its PIN; then op_prove
 * proves it, once for each operation. */
bool op_wants_pin(const struct op *op);
CK_RV op_prove(struct op *op, struct bytes pin) MUST_USE;

/* State of a running digest (5.6 C_GetOperationState): CKR_STATE_UNSAVEABLE for all others.
 * `op_restore` makes an operation from it; CKR_SAVED_STATE_INVALID. */
CK_RV op_save(const struct op *op, struct buf *out) MUST_USE;
CK_RV op_restore(struct op **out, struct p11_session *s, struct bytes saved) MUST_USE;

#endif
