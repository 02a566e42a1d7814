#include <string.h>

#include "pkcs11/entry.h"
#include "pkcs11/op.h"
#include "pkcs11/op_key.h"

/* C_Digest* (5.10), in software. */

CK_RV C_DigestInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism)
{
    const struct mech *m;
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (s->op[OP_DIGEST] != NULL)
        return entry_end(CKR_OPERATION_ACTIVE);
    if (mechanism == NULL)
        return entry_end(CKR_ARGUMENTS_BAD);
    m = mech_table_row(mechanism->mechanism);
    if (m == NULL || m->how != MECH_DIGEST)
        return entry_end(CKR_MECHANISM_INVALID);
    return entry_end(op_new(&s->op[OP_DIGEST], m, mechanism, NULL));
}

static CK_RV finish(struct p11_session *s, const CK_BYTE *data, CK_ULONG data_len, CK_BYTE *out,
                    CK_ULONG *len)
{
    struct op *op = s->op[OP_DIGEST];
    struct token_sign what;
    bool go = false;
    CK_RV rv = op_room(op, out, len, &go);

    if (!go)
        return rv;
    if (data != NULL)
        rv = op_update(op, data, (size_t)data_len);
    if (rv == CKR_OK)
        rv = op_finish(op, &what);
    if (rv == CKR_OK) {
        *len = (CK_ULONG)what.digest.len;
        memcpy(out, what.digest.p, what.digest.len);
    }
    p11_session_end_op(s, OP_DIGEST);
    return rv;
}

CK_RV C_Digest(CK_SESSION_HANDLE handle, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *out,
               CK_ULONG *len)
{
    static CK_BYTE nothing;
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (s->op[OP_DIGEST] == NULL)
        return entry_end(CKR_OPERATION_NOT_INITIALIZED);
    if (len == NULL || (data == NULL && data_len != 0))
        rv = CKR_ARGUMENTS_BAD;
    else if (op_fed(s->op[OP_DIGEST]))
        rv = CKR_OPERATION_ACTIVE;
    if (rv != CKR_OK) {
        p11_session_end_op(s, OP_DIGEST);
        return entry_end(rv);
    }
    return entry_end(finish(s, data != NULL ? data : &nothing, data_len, out, len));
}

CK_RV C_DigestUpdate(CK_SESSION_HANDLE handle, CK_BYTE *part, CK_ULONG len)
{
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    return entry_end(op_key_feed(s, OP_DIGEST, part, len));
}

CK_RV C_DigestFinal(CK_SESSION_HANDLE handle, CK_BYTE *out, CK_ULONG *len)
{
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (s->op[OP_DIGEST] == NULL)
        return entry_end(CKR_OPERATION_NOT_INITIALIZED);
    if (len == NULL) {
        p11_session_end_op(s, OP_DIGEST);
        return entry_end(CKR_ARGUMENTS_BAD);
    }
    return entry_end(finish(s, NULL, 0, out, len));
}
