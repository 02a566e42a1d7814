#ifndef PKCS11_ENTRY_H
#define PKCS11_ENTRY_H

#include "pkcs11/fail.h"
#include "pkcs11/session.h"

/*
 * The door of the module: the one instance between C_Initialize and C_Finalize,
 * its lock, and what happens at fork and at exit. Every C_* function begins with
 * entry_begin or entry_session and ends with entry_end.
 */

/* C_Initialize and C_Finalize (5.4). */
CK_RV entry_start(const CK_C_INITIALIZE_ARGS *args);
CK_RV entry_stop(void);

/* Takes the lock; CKR_CRYPTOKI_NOT_INITIALIZED (nothing taken) otherwise. */
CK_RV entry_begin(struct library **out) MUST_USE;

/* The same, and finds a session; CKR_SESSION_HANDLE_INVALID (nothing taken). */
CK_RV entry_session(CK_SESSION_HANDLE handle, struct p11_session **out) MUST_USE;

/* The same for a function that is given objects: what other processes did to them is seen
 * first. */
CK_RV entry_objects(CK_SESSION_HANDLE handle, struct p11_session **out) MUST_USE;

/* True for a caller's array that can be: an address, unless it is empty, and a length
 * that an object in memory can have. */
bool entry_readable(const void *p, CK_ULONG len);

/* Releases the lock, and the TPM to other processes, and gives `rv` back. */
CK_RV entry_end(CK_RV rv);

/* What fail_rv (fail.h) remembered since the last entry_begin; after entry_quiet it prints
 * nothing. */
struct err entry_last_error(void);
void entry_quiet(void);

#endif
