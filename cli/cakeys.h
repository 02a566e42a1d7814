#ifndef CLI_CAKEYS_H
#define CLI_CAKEYS_H

#include "ca/authority.h"
#include "cli/cli.h"

/*
 * Gives an authority its private keys: opens the token that holds them, with the user
 * PIN, when the first is asked for. The keys of one run lie in one token.
 */
struct cakeys;

struct cakeys *cakeys_new(struct cli *c, struct err *e) MUST_USE;
/* After authority_close: the authority's signers borrow the token. NULL is fine. */
void cakeys_free(struct cakeys *k);

/* The token's keys, to make one more beside them; before any other key is asked for. Borrowed. */
struct keyring;
int cakeys_ring(struct cakeys *k, const char *token, struct keyring **out, struct err *e) MUST_USE;

/*
 * Draws 256 bits from the TPM's generator into OpenSSL's: the serial numbers that will be drawn
 * (ca/issue.h) then do not hang on the kernel's alone. Where the TPM gives none, nothing is to be
 * signed. Done for the token of a cakeys; whoever signs with another does it first.
 */
int cakeys_seed(struct keyring *ring, struct err *e) MUST_USE;

/* Any key that the registry names. Freed before the cakeys. */
int cakeys_open(struct cakeys *k, const struct registry_key *key, struct signer **out,
                struct err *e) MUST_USE;

/* An authority_signer_fn; `ctx` is the struct cakeys. */
int cakeys_signer(void *ctx, enum registry_role role, unsigned community,
                  const struct registry_key *key, struct signer **out, struct err *e) MUST_USE;

#endif
