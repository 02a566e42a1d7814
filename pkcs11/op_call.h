#ifndef PKCS11_OP_CALL_H
#define PKCS11_OP_CALL_H

#include "pkcs11/op.h"
#include "pkcs11/session.h"

/*
 * The C_* functions of signing, verifying, digesting, encrypting and decrypting, but for what
 * makes them differ. Each function here is a whole call: it enters the library, finds the
 * session and leaves again.
 */

/*
 * The Init functions: CKR_OPERATION_ACTIVE, CKR_ARGUMENTS_BAD, CKR_MECHANISM_INVALID (none
 * such, not for this, or not among the key's CKA_ALLOWED_MECHANISMS),
 * CKR_KEY_HANDLE_INVALID, CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_FUNCTION_NOT_PERMITTED, and
 * what op_new answers. Without a mechanism the operation that is active is cancelled (3.0,
 * 5.8.1 and the like). `key` does not count for digests.
 */
CK_RV op_call_init(CK_SESSION_HANDLE handle, enum op_kind kind, const CK_MECHANISM *mechanism,
                   CK_OBJECT_HANDLE key);

/*
 * The checks of an Init function, for other functions that use a mechanism and a key: gives
 * the table's row and the object. `flag` is the CKF_* of the mechanism, `use` the CKA_* of
 * the key, `classes` the groups of attr_table.h that may serve.
 */
CK_RV op_call_allowed(struct p11_session *s, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key,
                      CK_FLAGS flag, CK_ATTRIBUTE_TYPE use, unsigned classes, const struct mech **m,
                      struct object **o) MUST_USE;

/*
 * The rule for outputs (5.2): tells the length when that was asked or the buffer is too small
 * (CKR_BUFFER_TOO_SMALL); true in `*go` when the output can be made.
 */
CK_RV op_call_room(size_t need, const CK_BYTE *out, CK_ULONG *len, bool *go) MUST_USE;

/* A further part that gives nothing back yet; a failure ends the operation. */
CK_RV op_call_update(CK_SESSION_HANDLE handle, enum op_kind kind, const CK_BYTE *part,
                     CK_ULONG len);

/* A further part that gives something back (5.2 for its length). */
CK_RV op_call_transform(CK_SESSION_HANDLE handle, enum op_kind kind, const CK_BYTE *part,
                        CK_ULONG part_len, CK_BYTE *out, CK_ULONG *len);

/* What a one-part function was given; the Final functions pass NULL instead. */
struct op_input {
    const CK_BYTE *p;
    CK_ULONG len;
};

/* The one-part and Final functions with an output: ends the operation unless only the length
 * was told (5.2). */
CK_RV op_call_make(CK_SESSION_HANDLE handle, enum op_kind kind, const struct op_input *in,
                   CK_BYTE *out, CK_ULONG *len);

/* C_Verify and C_VerifyFinal: always ends the operation (5.12). */
CK_RV op_call_check(CK_SESSION_HANDLE handle, enum op_kind kind, const struct op_input *in,
                    const CK_BYTE *sig, CK_ULONG len);

/*
 * The dual functions (5.13): `cipher` transforms what goes in; `other` is fed with the
 * plaintext, which is what goes in or what comes out. Nothing is done when the output does
 * not fit.
 */
CK_RV op_call_dual(CK_SESSION_HANDLE handle, enum op_kind cipher, enum op_kind other,
                   const CK_BYTE *part, CK_ULONG part_len, CK_BYTE *out, CK_ULONG *len);

#endif
