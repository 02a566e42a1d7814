#ifndef PKCS11_SESSION_H
#define PKCS11_SESSION_H

#include "pkcs11/library.h"
#include "pkcs11/slot.h"

/* The operations that a session can have under way, one of each kind (5.2). */
enum op_kind { OP_SIGN, OP_VERIFY, OP_DIGEST, OP_KINDS };

/* One session between an application and a token (PKCS#11 2.40, 5.6). */
struct p11_session {
    CK_SESSION_HANDLE handle;
    struct library *lib;
    struct slot *slot;
    bool rw;
    struct op *op[OP_KINDS]; /* NULL: not active */
    struct find *find;       /* NULL: no search is active */
};

/* NULL when there is none. */
struct p11_session *p11_session_find(const struct library *lib, CK_SESSION_HANDLE handle);

/* CKS_*, from the kind of session and who is logged in on its token. */
CK_STATE p11_session_state(const struct p11_session *s);

/* True in the states where private objects can be used. */
bool p11_session_user(const struct p11_session *s);

/* Ends an operation of a session, if it is active. */
void p11_session_end_op(struct p11_session *s, enum op_kind kind);

/* Closes all sessions of a slot, logging out; all sessions of the process. */
void p11_session_close_slot(struct library *lib, struct slot *slot);
void p11_session_free_all(struct library *lib);

#endif
