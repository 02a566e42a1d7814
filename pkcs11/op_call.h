#ifndef PKCS11_OP_CALL_H
#define PKCS11_OP_CALL_H

#include "pkcs11/op.h"
#include "pkcs11/session.h"

/*
 * The C_* functions of signing, verifying and digesting, but for what makes them
 * differ. Each function here is a whole call: it enters the library, finds the
 * session and leaves again.
 */

/*
 * C_SignInit and C_VerifyInit: CKR_OPERATION_ACTIVE, CKR_ARGUMENTS_BAD,
 * CKR_MECHANISM_INVALID (none such, not for this, or not among the key's
 * CKA_ALLOWED_MECHANISMS), CKR_KEY_HANDLE_INVALID, CKR_KEY_TYPE_INCONSISTENT,
 * CKR_KEY_FUNCTION_NOT_PERMITTED, and what op_new answers.
 */
CK_RV op_call_init(CK_SESSION_HANDLE handle, enum op_kind kind, const CK_MECHANISM *mechanism,
                   CK_OBJECT_HANDLE key);

/* An Update function; a failure ends the operation. */
CK_RV op_call_update(CK_SESSION_HANDLE handle, enum op_kind kind, const CK_BYTE *part,
                     CK_ULONG len);

/* What a one-part function was given; the Final functions pass NULL instead. */
struct op_input {
    const CK_BYTE *p;
    CK_ULONG len;
};

/* Makes op_out_len() bytes from the input that was fed. */
typedef CK_RV (*op_make)(struct p11_session *s, struct op *op, uint8_t *out);

/* C_Sign, C_Digest and their Final functions: ends the operation unless it only told
 * the length (5.2). */
CK_RV op_call_make(CK_SESSION_HANDLE handle, enum op_kind kind, const struct op_input *in,
                   op_make make, CK_BYTE *out, CK_ULONG *len);

/* Checks a signature of the right length over the input that was fed. */
typedef CK_RV (*op_check)(struct op *op, struct bytes sig);

/* C_Verify and C_VerifyFinal: always ends the operation (5.12). */
CK_RV op_call_check(CK_SESSION_HANDLE handle, enum op_kind kind, const struct op_input *in,
                    op_check check, const CK_BYTE *sig, CK_ULONG len);

#endif
