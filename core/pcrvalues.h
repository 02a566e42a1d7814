#ifndef CORE_PCRVALUES_H
#define CORE_PCRVALUES_H

#include "core/alg.h"
#include "core/buf.h"

/* Values of a bank of PCRs: of PCR n, as long as the hash, where bit n of `there` is set. */
#define PCRVALUES 24
struct pcrvalues {
    uint16_t hash; /* TPM2_ALG_* */
    uint32_t there;
    uint8_t value[PCRVALUES][ALG_MAX_DIGEST];
};

/* Reads them from text as `tpm2_pcrread` prints it: a line "sha256:" and lines "16: 0xHEX"
 * below it. E_FORMAT. Only the bank `hash` is read. */
int pcrvalues_read(struct bytes text, uint16_t hash, struct pcrvalues *out, struct err *e) MUST_USE;

#endif
