#ifndef CORE_PUBKEY_PRIV_H
#define CORE_PUBKEY_PRIV_H

/* What pubkey_pad.c and pubkey_rsa.c share. */

#include "core/pubkey.h"

/* libcrypto's name of a hash, NULL for one that it does not have. */
const EVP_MD *pubkey_md(const struct alg_hash *h);

/* E_ARG for another key than RSA. */
int pubkey_need_rsa(const struct pubkey *k, struct err *e) MUST_USE;

#endif
