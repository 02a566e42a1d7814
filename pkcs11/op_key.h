#ifndef PKCS11_OP_KEY_H
#define PKCS11_OP_KEY_H

#include "pkcs11/session.h"

/* What the Init and Update functions of signing, verifying and digesting share. */

/*
 * C_SignInit and C_VerifyInit: CKR_OPERATION_ACTIVE, CKR_ARGUMENTS_BAD,
 * CKR_MECHANISM_INVALID (none such, not for this, or not among the key's
 * CKA_ALLOWED_MECHANISMS), CKR_KEY_HANDLE_INVALID, CKR_KEY_TYPE_INCONSISTENT,
 * CKR_KEY_FUNCTION_NOT_PERMITTED, and what op_new answers.
 */
CK_RV op_key_begin(struct p11_session *s, enum op_kind kind, const CK_MECHANISM *mechanism,
                   CK_OBJECT_HANDLE key) MUST_USE;

/* An Update function; a failure ends the operation. */
CK_RV op_key_feed(struct p11_session *s, enum op_kind kind, const CK_BYTE *part,
                  CK_ULONG len) MUST_USE;

#endif
