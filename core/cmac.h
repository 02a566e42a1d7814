#ifndef CORE_CMAC_H
#define CORE_CMAC_H

#include "core/aesblock.h"

/*
 * AES-CMAC (SP 800-38B) in parts, over an AES key that may be in a TPM: by aes->cbc alone,
 * AESBLOCK_MAX bytes at a time and one block more at the end, so that a message up to that
 * length takes two calls. The key is given anew in each call and must be the same one.
 * After a failure only cmac_abort is left to call (cmac_update answers E_ARG); cmac_end
 * frees in any case.
 */
struct cmac;
struct cmac *cmac_begin(struct err *e) MUST_USE; /* NULL (E_MEMORY) on failure */
int cmac_update(struct cmac *c, const struct aes_block *aes, struct bytes in,
                struct err *e) MUST_USE;

/* Writes the whole MAC, of which the caller takes the first bytes (6.2, step 7) or, to
 * verify, compares them by bytes_equal. Wipes and frees in any case. */
int cmac_end(struct cmac *c, const struct aes_block *aes, uint8_t mac[16], struct err *e) MUST_USE;

/* Wipes and frees; NULL is fine. */
void cmac_abort(struct cmac *c);

#endif
