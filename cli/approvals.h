#ifndef CLI_APPROVALS_H
#define CLI_APPROVALS_H

#include "cli/cli.h"
#include "core/secret.h"
#include "tpm/approval.h"

/* The files of approvals, and the wait for one. */

/* A PEM file with that label, as DER; and the other way. */
int approvals_read(const char *path, const char *label, struct buf *der, struct err *e) MUST_USE;
int approvals_write(const char *path, const char *label, struct bytes der, struct err *e) MUST_USE;

/* Writes what a token tells about one of its approvers to --out, and says so. */
int approvals_export(struct cli *c, const struct approval_approver *a, const char *done,
                     struct err *e) MUST_USE;

/*
 * Asks for the approval of one use of `key`: writes --approval-request, then looks for
 * --approval until --timeout has passed; after a reset of the TPM, or when another process
 * took the session's room, asks again. `out` is ready to be presented.
 */
int approvals_obtain(struct cli *c, struct token *k, const struct store_key *key, const char *label,
                     const struct approval_use *use, struct token_proof **out,
                     struct err *e) MUST_USE;

/* Digest of a whole file ("-": standard input). */
int approvals_digest(const char *path, const struct alg_hash *h, uint8_t out[ALG_MAX_DIGEST],
                     struct err *e) MUST_USE;

/* The proof that one use of a key of mode EACH takes: the PIN once more, from where pin_obtain
 * has it. */
int approvals_pin(struct cli *c, struct token *t, const struct store_key *key,
                  struct token_proof **out, struct err *e) MUST_USE;

#endif
