#ifndef PKCS11_OP_MESSAGE_H
#define PKCS11_OP_MESSAGE_H

#include "pkcs11/message.h"

/*
 * The message functions of PKCS#11 3.0 (5.9 and on), but for what makes them differ.
 */

/* The Init and Final functions, whole calls. */
CK_RV op_message_init(CK_SESSION_HANDLE handle, enum op_kind kind, const CK_MECHANISM *mechanism,
                      CK_OBJECT_HANDLE key);
CK_RV op_message_final(CK_SESSION_HANDLE handle, enum op_kind kind);

/* Enters the library and finds what Init left; nothing is held unless CKR_OK. With `begun`
 * a message must have been begun, else none may be. */
CK_RV op_message_enter(CK_SESSION_HANDLE handle, enum op_kind kind, bool begun,
                       struct p11_session **s, struct message **m) MUST_USE;

#endif
