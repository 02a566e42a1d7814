#ifndef PKCS11_SESSION_H
#define PKCS11_SESSION_H

#include "pkcs11/library.h"
#include "pkcs11/slot.h"

/* The operations that a session can have under way, one of each kind (5.2). */
enum op_kind {
    OP_SIGN,
    OP_VERIFY,
    OP_DIGEST,
    OP_ENCRYPT,
    OP_DECRYPT,
    OP_SIGN_RECOVER,
    OP_VERIFY_RECOVER,
    OP_KINDS
};

/* A search between C_FindObjectsInit and C_FindObjectsFinal. The result is fixed when
 * it begins: what appears or goes afterwards does not disturb it (5.7 C_FindObjects). */
struct search {
    CK_OBJECT_HANDLE *found;
    size_t n, given;
};

/* One session between an application and a token (PKCS#11 2.40, 5.6). */
struct p11_session {
    CK_SESSION_HANDLE handle;
    struct library *lib;
    struct slot *slot;
    bool rw;
    struct op *op[OP_KINDS];           /* NULL: not active */
    struct message *message[OP_KINDS]; /* likewise, of the message functions */
    struct search *search;             /* NULL: none is active */
};

/* NULL when there is none. */
struct p11_session *p11_session_find(const struct library *lib, CK_SESSION_HANDLE handle);

/* CKS_*, from the kind of session and who is logged in on its token. */
CK_STATE p11_session_state(const struct p11_session *s);

/* True in the states where private objects can be used. */
bool p11_session_user(const struct p11_session *s);

/* A new session on a slot; the rules of C_OpenSession are the caller's to check.
 * CKR_SESSION_COUNT, CKR_HOST_MEMORY. */
CK_RV p11_session_add(struct library *lib, struct slot *slot, bool rw,
                      CK_SESSION_HANDLE *out) MUST_USE;

#endif
