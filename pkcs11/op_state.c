#include <string.h>

#include "pkcs11/entry.h"
#include "pkcs11/op_call.h"
#include "pkcs11/session_close.h"

/*
 * C_GetOperationState, C_SetOperationState (5.6): of a digest, the one operation whose state
 * holds no key and does not lie in the TPM. What is saved is as secret as what was digested.
 */

static CK_RV save(struct p11_session *s, CK_BYTE *out, CK_ULONG *len)
{
    struct buf state = {.secret = true};
    CK_RV rv;

    for (int i = 0; i < OP_KINDS; i++) {
        if (i != OP_DIGEST && s->op[i] != NULL)
            return CKR_STATE_UNSAVEABLE;
    }
    if (s->op[OP_DIGEST] == NULL)
        return s->search != NULL ? CKR_STATE_UNSAVEABLE : CKR_OPERATION_NOT_INITIALIZED;
    rv = op_save(s->op[OP_DIGEST], &state);
    if (rv == CKR_OK) {
        if (out != NULL && *len < state.len)
            rv = CKR_BUFFER_TOO_SMALL;
        else if (out != NULL)
            memcpy(out, state.p, state.len);
        *len = (CK_ULONG)state.len;
    }
    buf_free(&state);
    return rv;
}

CK_RV C_GetOperationState(CK_SESSION_HANDLE handle, CK_BYTE *state, CK_ULONG *len)
{
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    return entry_end(len != NULL ? save(s, state, len) : CKR_ARGUMENTS_BAD);
}

CK_RV C_SetOperationState(CK_SESSION_HANDLE handle, CK_BYTE *state, CK_ULONG len,
                          CK_OBJECT_HANDLE encryption, CK_OBJECT_HANDLE authentication)
{
    struct op *op = NULL;
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (state == NULL || !entry_readable(state, len))
        return entry_end(CKR_ARGUMENTS_BAD);
    if (encryption != 0 || authentication != 0)
        return entry_end(CKR_KEY_NOT_NEEDED);
    rv = op_restore(&op, s, bytes_of(state, (size_t)len));
    if (rv != CKR_OK)
        return entry_end(rv);
    /* 5.6: whatever was active is replaced. */
    for (int i = 0; i < OP_KINDS; i++)
        session_close_op(s, (enum op_kind)i);
    s->op[OP_DIGEST] = op;
    return entry_end(CKR_OK);
}
