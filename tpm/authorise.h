#ifndef TPM_AUTHORISE_H
#define TPM_AUTHORISE_H

#include "tpm/exec.h"
#include "tpm/token_priv.h"

/*
 * The one place that decides how a use of a key is authorised: by the HMAC session of this
 * process and the key's authValue; or, where the key is bound to PCRs, in a policy session of
 * its own; or in the one in which the user's PIN was proved for this use, or an approval given.
 */

/* One command that uses a key: the key is loaded, its authorisation is ready. Not to be
 * copied: it points into itself. */
struct authorise {
    TSS2_SYS_CONTEXT *sys;
    TPM2_HANDLE handle;
    TPM2B_NAME name;
    struct bytes auth; /* authValue of the key */
    uint8_t auth_value[32];
    struct session policy; /* handle 0: the HMAC session does */
    bool pcrs;             /* the policy asks for PCRs */
    bool approved;         /* the policy asks for an approval */
    bool plan;             /* the command is noted, not sent */
    struct exec x;         /* one name, one authorisation */
};

/*
 * Gets ready; the first parameter is encrypted with `decrypt`, the first parameter of the
 * response with `encrypt`. Without PCRs and proofs nothing is sent when the key is loaded;
 * PCRs cost three commands for each use (two in mode NONE). A proof that was presented is
 * used up, whatever comes of it. End with authorise_end, also after failure.
 *
 * E_LOGIN: the user is not logged in, or the key wants a PIN for each use and none was
 * proved. E_REJECTED: the PCRs are not those that the key is bound to. E_REMOVED: the proof
 * was lost with a reset of the TPM.
 */
int authorise_begin(struct token *k, const struct store_key *key, bool decrypt, bool encrypt,
                    struct authorise *u, struct err *e) MUST_USE;

/* exec_run() of the command that was prepared; says E_REJECTED where the PCRs are why. */
int authorise_run(struct token *k, struct authorise *u, const char *what, struct err *e) MUST_USE;

void authorise_end(struct token *k, struct authorise *u);

/*
 * token_retry() for what uses `key` by the functions above: not where a proof of a PIN
 * is good for one command (E_REMOVED then, when the TPM was reset); and once more when
 * the PCRs moved in between.
 */
int authorise_retry(struct token *k, const struct store_key *key,
                    int (*op)(struct token *k, void *arg, struct err *e), void *arg,
                    struct err *e) MUST_USE;

/* Is there but one command for each use, so that nothing may be tried? */
bool authorise_once(const struct store_key *key);

#endif
