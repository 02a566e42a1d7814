#ifndef PKCS11_INPROCESS_H
#define PKCS11_INPROCESS_H

#include "core/err.h"
#include "core/store.h"
#include "pkcs11/p11.h"
#include "tpm/token.h"

/*
 * The module, linked into a program of ours instead of loaded by one. Programs
 * use the same C_* table as everybody; the functions below only add what PKCS#11
 * has no words for. None of this is exported by the shared object.
 */

/*
 * The same table that C_GetFunctionList gives. From the first call on, failures
 * are no longer printed: the caller asks p11_last_error() and prints them.
 */
CK_FUNCTION_LIST *p11_inprocess(void);

/*
 * Why the last C_* call of this process failed, in one sentence; E_OK when the
 * reason is fully told by its return value. Kept until the next C_* call.
 */
struct err p11_last_error(void);

/*
 * The token behind a session, with the login that was made through C_Login; NULL
 * when there is no such session or the token cannot be opened. Borrowed: valid
 * until C_Finalize. The caller makes no C_* call meanwhile in another thread.
 */
struct token *p11_session_token(CK_SESSION_HANDLE session);

/*
 * The TPM key behind a private key object, as a copy that store_key_free
 * releases. E_ARG when the session or the object does not exist or the object
 * has no TPM key, E_LOGIN before login, else what the store says.
 */
int p11_key_of_object(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, struct store_key *out,
                      struct err *e) MUST_USE;

#endif
