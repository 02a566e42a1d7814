#ifndef TPM_EXEC_H
#define TPM_EXEC_H

#include "tpm/session.h"

#include <tss2/tss2_sys.h>

/* One authorisation of a command. */
struct exec_auth {
    struct session *session; /* NULL: a password authorisation, `auth` in the clear */
    struct bytes auth;       /* authValue of the entity; empty for a session beside the handles */
    bool decrypt;            /* encrypt the first command parameter with this session */
    bool encrypt;            /* have the first response parameter encrypted with it */
    bool audit;              /* neither: it is there for its HMAC over the response alone */
    bool last;               /* continueSession clear: the TPM ends the session on success */
    const struct bytes *new_auth; /* the command changes the authValue to this (Part 3, 31.15) */
};

#define EXEC_MAX 3

/* Names of the handles of a command, in order, and its authorisations. */
struct exec {
    const TPM2B_NAME *name[EXEC_MAX];
    size_t n_names;
    struct exec_auth auth[EXEC_MAX];
    size_t n_auth;
};

/*
 * Runs the command that a Tss2_Sys_X_Prepare call has just put into the TPM's
 * SAPI context: encrypts the first parameter, computes cpHash and HMACs, sends,
 * then checks every response HMAC, rolls nonces and decrypts the first response
 * parameter (Part 1, 18 to 21). The caller ends with Tss2_Sys_X_Complete.
 *
 * On failure e->rc holds the response code. E_TAMPERED when a response does not
 * verify: its content must not be used, and the sessions are ended.
 */
int exec_run(struct tpm *t, struct exec *x, const char *what, struct err *e) MUST_USE;

/*
 * The result of a Complete call whose response was encrypted on the wire: exec_run left
 * it in the clear in SAPI's buffer, where it is wiped now.
 */
int exec_complete(TSS2_SYS_CONTEXT *sys, TSS2_RC rc, const char *what, struct err *e) MUST_USE;

/* The result of a Prepare or Complete call: 0, or -1 with the code recorded. */
int exec_sapi(TSS2_RC rc, const char *what, struct err *e) MUST_USE;

#endif
