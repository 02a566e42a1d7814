#include "pkcs11/entry.h"
#include "pkcs11/op_call.h"
#include "pkcs11/session_close.h"

/* C_Digest* (5.10), in software, and the state of a digest (5.6). */

CK_RV C_DigestInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism)
{
    return op_call_init(handle, OP_DIGEST, mechanism, 0);
}

CK_RV C_Digest(CK_SESSION_HANDLE handle, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *out,
               CK_ULONG *len)
{
    struct op_input in = {data, data_len};

    return op_call_make(handle, OP_DIGEST, &in, out, len);
}

CK_RV C_DigestUpdate(CK_SESSION_HANDLE handle, CK_BYTE *part, CK_ULONG len)
{
    return op_call_update(handle, OP_DIGEST, part, len);
}

CK_RV C_DigestFinal(CK_SESSION_HANDLE handle, CK_BYTE *out, CK_ULONG *len)
{
    return op_call_make(handle, OP_DIGEST, NULL, out, len);
}

CK_RV C_DigestKey(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE key)
{
    struct p11_session *s;
    CK_RV rv = entry_objects(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (s->op[OP_DIGEST] == NULL || op_done(s->op[OP_DIGEST]))
        return entry_end(CKR_OPERATION_NOT_INITIALIZED);
    op_set_fed(s->op[OP_DIGEST]);
    rv = op_feed_key(s->op[OP_DIGEST], key);
    if (rv != CKR_OK)
        session_close_op(s, OP_DIGEST);
    return entry_end(rv);
}
