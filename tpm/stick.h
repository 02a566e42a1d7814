#ifndef TPM_STICK_H
#define TPM_STICK_H

#include "core/store.h"
#include "tpm/token.h"

/*
 * A self-contained token: the TPM that holds its keys keeps its rows, too, so that a machine
 * that never saw it can use it. They lie in the TPM's NV memory as core/store_backup.h writes
 * them (the image), twice: a change writes the older copy, then says so in that copy's
 * descriptor, by one command. Whoever is stopped in between leaves the copy that was in force.
 *
 *     0x01BF5A00, 01        descriptors of copy 0 and copy 1
 *     0x01BF5A10 to 2F      parts of copy 0, in order
 *     0x01BF5A30 to 4F      parts of copy 1
 *
 * A descriptor: magic "FuSeStik", version u16 = 1, bytes of a part u16, parts u16, 0 u16,
 * generation u64, length of the image u32, its SHA-256, SHA-256 of all before. Big-endian. In
 * force is the copy with the highest generation whose descriptor and image are whole.
 *
 * Anybody may read it: what is secret in it is sealed or wrapped for the TPM. Who writes must
 * sign with a key that follows from the token secret, which the user's PIN and the SO's open
 * (TPMA_NV_POLICYWRITE, PolicySigned and CC(NV_Write)). A finder with the TPM's owner or
 * platform authorisation can put other indices in their place: stick_verify tells, after the
 * login. An older image with the tags of its day cannot be told from the newest by itself.
 */
struct stick;

/* Bytes of an image, and how many there is room for. */
struct stick_room {
    size_t used, total;
};

/*
 * Reads the image in force. `name` is for messages. E_NOT_FOUND: there is none; E_CORRUPT:
 * neither copy is whole; E_VERSION: of a newer version. Without a login.
 */
int stick_read(struct stick **out, struct tpm *t, const char *name, struct err *e) MUST_USE;
void stick_free(struct stick *s); /* NULL is fine */

/* Its rows as a store in memory, which ends with it; the token's number there, and its row as
 * it was read. */
struct store *stick_store(struct stick *s);
int64_t stick_id(const struct stick *s);
const struct store_token *stick_row(const struct stick *s);
struct stick_room stick_room(const struct stick *s);

/*
 * Opens the token: the caller's, to be freed before the stick, and once. From then on what is
 * committed to the store is written to the TPM first, where a login allows it: else E_LOGIN,
 * but for what is noted of PINs. E_FULL says how much room there is; E_BUSY: another process
 * wrote meanwhile, read it again. Then nothing is changed, here or there.
 */
int stick_token(struct stick *s, struct token **out, struct err *e) MUST_USE;

/* No longer: before the token is erased. */
void stick_let_go(struct stick *s);

/* What the TPM says of both counts of wrong PINs, into the token's row; no login. */
int stick_count(struct stick *s, struct err *e) MUST_USE;

/* After the user's login: are all rows as they were written? E_CORRUPT. */
int stick_verify(struct stick *s, struct err *e) MUST_USE;

/*
 * Makes the indices in the TPM of a token, whose user is logged in, for images of up to `room`
 * bytes (0: as many as there is room for, at most STICK_ROOM), and writes the first one.
 * E_FULL says how much would go. Owner authorisation as tpm/owner.h knows it.
 */
#define STICK_ROOM ((size_t)16 << 10)
int stick_create(struct token *k, size_t room, struct err *e) MUST_USE;

/* Takes image and indices away; what is not ours at these handles stays. Owner authorisation,
 * which is sent in the clear where there is no token (NULL) to make a session with. */
int stick_erase(struct tpm *t, struct token *k, struct err *e) MUST_USE;

#endif
