#ifndef TPM_PIN_MAKE_H
#define TPM_PIN_MAKE_H

#include "tpm/pin.h"

/*
 * Defines the four indices at row->nv[].handle with the given contents and fills in
 * their Names. row->k_public is there already, and in the store, so that pin_erase can
 * tell the indices from those of others. On failure whatever was defined stays for it.
 */
int pin_provision(const struct pin_link *l, struct store_token *row, const struct pin_auth auth[2],
                  const struct pin_so_content *content, struct err *e) MUST_USE;

/* Undefines the four indices: those that are there and are still this token's. Other
 * stores and programs draw from the same range, and a row may be old. */
int pin_erase(const struct pin_link *l, const struct store_token *row, struct err *e) MUST_USE;

#endif
