#ifndef CORE_STORE_BACKUP_H
#define CORE_STORE_BACKUP_H

#include "core/store.h"

/*
 * The rows of one token as one file, for the day when the disk of the store dies and the TPM
 * lives. It is of use with that TPM only, and holds no PIN: PINs live in the TPM. What is
 * sealed or wrapped in the store is so here; the rest can be read by whoever has the file.
 *
 *     magic    8 bytes "FuSeTokB"
 *     version  u16 = 1
 *     tpm      primary u32, its TPMT_PUBLIC 2b, ek_name 2b, caps 2b
 *     token    serial 16 bytes, label 2b, salt 32 bytes, flags u32, user_fails u32,
 *              user_limit u32, so_fails u32, so_limit u32, k_public 64 bytes,
 *              and for each of U, O, S, R: handle u32, Name 2b
 *     keys     count u32, each: uuid 16 bytes, use u8, mode u8, imported u8, parent u32,
 *              public 4b, private 4b, creation 4b, tag 32 bytes
 *     objects  count u32, each: uuid 16 bytes, class u32, private u8, key 2b (0 or 16),
 *              tag 2b (0 or 32), attributes: count u32, each: type u64, sealed u8, value 4b
 *     digest   SHA-256 of all before
 *     tag      HMAC-SHA256 of the digest, by the seal of the token
 *
 * Numbers are big-endian; 2b and 4b are a length of two or four bytes and that many bytes.
 * The digest tells damage before a login, the tag forgery after it.
 */
struct store_backup;

#define STORE_BACKUP_MAX BUF_MAX

/* How many rows there are. */
struct store_backup_size {
    size_t keys, objects;
};

/*
 * Writes the token's rows, as they are at one moment, after checking every tag: E_CORRUPT
 * names a row that was altered, and nothing is written. E_FULL beyond STORE_BACKUP_MAX.
 * Without `counts` those of wrong PINs are written as 0.
 */
int store_backup_write(struct store *s, int64_t token, const struct store_seal *seal, bool counts,
                       struct buf *out, struct store_backup_size *n, struct err *e) MUST_USE;

/*
 * Reads a file's bytes, which it copies; `name` is for messages. E_FORMAT: not a backup;
 * E_VERSION: of a newer version; E_CORRUPT: damaged. Nothing of it is to be believed before
 * store_backup_verify.
 */
int store_backup_read(struct store_backup **out, struct bytes file, const char *name,
                      struct err *e) MUST_USE;
void store_backup_free(struct store_backup *b); /* NULL is fine */

/* True for bytes that begin as a backup does. */
bool store_backup_is(struct bytes file);

const struct store_tpm *store_backup_tpm(const struct store_backup *b);
const struct store_token *store_backup_token(const struct store_backup *b);
struct store_backup_size store_backup_size(const struct store_backup *b);

/* The rows as a store in memory that has nothing else, for a login; the token's number in
 * it. `known` NULL, or the token's row of today, whose counts and marks it gets. */
int store_backup_scratch(const struct store_backup *b, const struct store_token *known,
                         struct store **out, int64_t *token, struct err *e) MUST_USE;

/* After a login to that: checks the tags of all rows, then of the file. E_CORRUPT. */
int store_backup_verify(const struct store_backup *b, struct store *scratch, int64_t token,
                        const struct store_seal *seal, struct err *e) MUST_USE;

/*
 * Writes the rows to a store in one transaction; the token's own is `row` (its ids aside).
 * A token of this serial that is there is replaced, but for the flags and counts of its row,
 * or E_EXISTS without `replace`.
 */
int store_backup_install(const struct store_backup *b, struct store *s,
                         const struct store_token *row, bool replace, struct err *e) MUST_USE;

/* How many rows a token of a store has. */
int store_backup_count(struct store *s, int64_t token, struct store_backup_size *n,
                       struct err *e) MUST_USE;

#endif
