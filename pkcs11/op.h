#ifndef PKCS11_OP_H
#define PKCS11_OP_H

#include "core/hash.h"
#include "core/pubkey.h"
#include "pkcs11/mech_table.h"
#include "pkcs11/object.h"
#include "tpm/token.h"

/*
 * One cryptographic operation of a session, from its Init function to its end:
 * the mechanism, the key, and what was fed so far. Signing, verifying and
 * digesting share it.
 */
struct op;

/* The most that mechanisms which do not hash here take: an RSA modulus of 4096
 * bits, and for CKM_ECDSA any digest. */
#define OP_MAX_RAW 512

/*
 * Begins. `key` is NULL for a digest; the rest of its life the operation knows the
 * key by its handle and by a copy of its public half. CKR_MECHANISM_PARAM_INVALID,
 * CKR_KEY_SIZE_RANGE (a key that this build cannot handle), CKR_HOST_MEMORY.
 */
CK_RV op_new(struct op **out, const struct mech *m, const CK_MECHANISM *mechanism,
             const struct object *key) MUST_USE;
void op_free(struct op *op); /* NULL is fine */

const struct mech *op_mech(const struct op *op);
CK_OBJECT_HANDLE op_key(const struct op *op);
const struct pubkey *op_pubkey(const struct op *op);

/* True once op_update was called: a one-part function may not follow. */
bool op_fed(const struct op *op);
void op_set_fed(struct op *op);

/* Feeds data; CKR_DATA_LEN_RANGE when it is more than the mechanism takes. */
CK_RV op_update(struct op *op, const void *p, size_t len) MUST_USE;

/*
 * Ends the input: what is to be signed, by the rules of the mechanism, in `*what`,
 * whose bytes are borrowed from the operation. For a digest only `what->digest`
 * counts; for raw RSA it is the block, padded to the modulus.
 */
CK_RV op_finish(struct op *op, struct token_sign *what) MUST_USE;

/* Length of the signature or digest that the operation makes. */
size_t op_out_len(const struct op *op);

/*
 * The output convention of 5.2: with `out` NULL the length is told (CKR_OK, done is
 * false), with too small a buffer CKR_BUFFER_TOO_SMALL; both leave the operation
 * active. True in `*go` when the output can be made.
 */
CK_RV op_room(const struct op *op, const void *out, CK_ULONG *len, bool *go) MUST_USE;

#endif
