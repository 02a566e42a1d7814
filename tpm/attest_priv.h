#ifndef TPM_ATTEST_PRIV_H
#define TPM_ATTEST_PRIV_H

#include "tpm/attest.h"
#include "tpm/exec.h"
#include "tpm/token_priv.h"

/* The attestation key of a token, loaded, with what authorises it. */
struct attest_key {
    struct token *token;
    TPM2_HANDLE handle;
    TPM2B_NAME name;
    uint8_t value[32];
    struct bytes auth;
};

/* Loads it under its EK. Close also after failure. */
int attest_key_open(struct token *k, const struct store_key *ak, struct attest_key *out,
                    struct err *e) MUST_USE;
void attest_key_close(struct attest_key *a);

/*
 * Runs the command that a Prepare call has put there, then completes it with the SAPI function
 * that all the attesting commands have alike, and appends attestation and signature.
 */
typedef TSS2_RC attest_complete(TSS2_SYS_CONTEXT *sys, TPM2B_ATTEST *info, TPMT_SIGNATURE *sig);
int attest_run(struct attest_key *a, struct exec *x, const char *what, attest_complete *complete,
               struct buf *attest, struct buf *signature, struct err *e) MUST_USE;

/* TPM2_Certify (Part 3, 18.2) of a key. */
int attest_run_certify(struct attest_key *a, const struct store_key *key, const TPM2B_DATA *data,
                       struct buf *attest, struct buf *signature, struct err *e) MUST_USE;

/* What an NV index of an EK certificate holds, cut to the DER structure at its start: firmware
 * pads behind it. E_FORMAT when no certificate stands there. */
int attest_ek_trim(struct buf *cert, struct err *e) MUST_USE;

#endif
