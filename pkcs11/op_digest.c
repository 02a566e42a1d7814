#include <string.h>

#include "pkcs11/entry.h"
#include "pkcs11/op_call.h"

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

static CK_RV make_digest(struct p11_session *s, struct op *op, uint8_t *out)
{
    struct token_sign what;
    CK_RV rv = op_finish(op, &what);

    (void)s;
    if (rv == CKR_OK)
        memcpy(out, what.digest.p, what.digest.len);
    return rv;
}

CK_RV C_Digest(CK_SESSION_HANDLE handle, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *out,
               CK_ULONG *len)
{
    struct op_input in = {data, data_len};

    return op_call_make(handle, OP_DIGEST, &in, make_digest, out, len);
}

CK_RV C_DigestUpdate(CK_SESSION_HANDLE handle, CK_BYTE *part, CK_ULONG len)
{
    return op_call_update(handle, OP_DIGEST, part, len);
}

CK_RV C_DigestFinal(CK_SESSION_HANDLE handle, CK_BYTE *out, CK_ULONG *len)
{
    return op_call_make(handle, OP_DIGEST, NULL, make_digest, out, len);
}
