#ifndef CORE_TPMPOLICY_H
#define CORE_TPMPOLICY_H

#include "core/buf.h"

#include <tss2/tss2_tpm2_types.h>

/*
 * Policy digests computed in software, all with SHA-256 (Part 1, 19.7; each
 * command's clause in Part 3, 23). A digest starts as zeros; each function
 * extends it as the TPM command of the same name would.
 */
struct tpmpolicy {
    uint8_t d[32];
};

int tpmpolicy_secret(struct tpmpolicy *p, const TPM2B_NAME *object, struct err *e) MUST_USE;
int tpmpolicy_signed(struct tpmpolicy *p, const TPM2B_NAME *key, struct bytes policy_ref,
                     struct err *e) MUST_USE;
int tpmpolicy_authvalue(struct tpmpolicy *p, struct err *e) MUST_USE;
int tpmpolicy_command(struct tpmpolicy *p, TPM2_CC code, struct err *e) MUST_USE;
int tpmpolicy_nvwritten(struct tpmpolicy *p, bool written, struct err *e) MUST_USE;

/* `digest`: over the values of the selected PCRs, lowest first, by SHA-256 (Part 3, 23.7). */
int tpmpolicy_pcr(struct tpmpolicy *p, const TPML_PCR_SELECTION *pcrs, struct bytes digest,
                  struct err *e) MUST_USE;

/* A policy that `key` has signed for `policy_ref` stands for what it approved: the digest before
 * does not matter (Part 3, 23.16). */
int tpmpolicy_authorize(struct tpmpolicy *p, const TPM2B_NAME *key, struct bytes policy_ref,
                        struct err *e) MUST_USE;

/* 2 to 8 branches. The digest before does not matter. */
int tpmpolicy_or(struct tpmpolicy *p, const struct tpmpolicy *branch, size_t n,
                 struct err *e) MUST_USE;

#endif
