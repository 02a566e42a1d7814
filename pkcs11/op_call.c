#include "pkcs11/op_call.h"

#include <string.h>

#include "pkcs11/attr.h"
#include "pkcs11/entry.h"

/* --- Init ---------------------------------------------------------------- */

static CK_RV check_key(const struct object *o, enum op_kind kind, const struct mech *m)
{
    CK_OBJECT_CLASS class = kind == OP_SIGN ? CKO_PRIVATE_KEY : CKO_PUBLIC_KEY;
    struct bytes allowed;

    if (o->row.class != class || object_ulong(o, CKA_KEY_TYPE) != m->key)
        return CKR_KEY_TYPE_INCONSISTENT;
    if (!object_true(o, kind == OP_SIGN ? CKA_SIGN : CKA_VERIFY))
        return CKR_KEY_FUNCTION_NOT_PERMITTED;
    if (object_value(o, CKA_ALLOWED_MECHANISMS, &allowed) && !attr_mech_allowed(allowed, m->type))
        return CKR_MECHANISM_INVALID;
    return CKR_OK;
}

static CK_RV begin(struct p11_session *s, enum op_kind kind, const CK_MECHANISM *mechanism,
                   CK_OBJECT_HANDLE key)
{
    CK_FLAGS use = kind == OP_SIGN ? CKF_SIGN : CKF_VERIFY;
    const struct mech *m;
    struct object *o = NULL;
    CK_RV rv;

    if (s->op[kind] != NULL)
        return CKR_OPERATION_ACTIVE;
    if (mechanism == NULL || (mechanism->pParameter == NULL && mechanism->ulParameterLen != 0))
        return CKR_ARGUMENTS_BAD;
    m = mech_table_row(mechanism->mechanism);
    if (m == NULL || (m->flags & use) == 0)
        return CKR_MECHANISM_INVALID;
    if (s->slot->index != NULL)
        o = index_get(s->slot->index, key);
    if (o == NULL)
        return CKR_KEY_HANDLE_INVALID;
    rv = check_key(o, kind, m);
    return rv == CKR_OK ? op_new(&s->op[kind], m, mechanism, o) : rv;
}

CK_RV op_call_init(CK_SESSION_HANDLE handle, enum op_kind kind, const CK_MECHANISM *mechanism,
                   CK_OBJECT_HANDLE key)
{
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    return rv == CKR_OK ? entry_end(begin(s, kind, mechanism, key)) : rv;
}

/* --- what follows -------------------------------------------------------- */

/* Ends the operation and the call. */
static CK_RV leave(struct p11_session *s, enum op_kind kind, CK_RV rv)
{
    p11_session_end_op(s, kind);
    return entry_end(rv);
}

/* Enters the library and finds the active operation; nothing is held unless CKR_OK.
 * Bad arguments end the operation. */
static CK_RV enter(CK_SESSION_HANDLE handle, enum op_kind kind, bool good, struct p11_session **s)
{
    CK_RV rv = entry_session(handle, s);

    if (rv != CKR_OK)
        return rv;
    if ((*s)->op[kind] == NULL)
        return entry_end(CKR_OPERATION_NOT_INITIALIZED);
    return good ? CKR_OK : leave(*s, kind, CKR_ARGUMENTS_BAD);
}

/* The same for a one-part function, which may not follow Update, or for a Final one. */
static CK_RV enter_last(CK_SESSION_HANDLE handle, enum op_kind kind, const struct op_input *in,
                        bool good, struct p11_session **s)
{
    CK_RV rv = enter(handle, kind, good && (in == NULL || entry_readable(in->p, in->len)), s);

    if (rv == CKR_OK && in != NULL && op_fed((*s)->op[kind]))
        rv = leave(*s, kind, CKR_OPERATION_ACTIVE);
    return rv;
}

static CK_RV feed(struct op *op, const struct op_input *in)
{
    return in == NULL ? CKR_OK : op_update(op, in->p, (size_t)in->len);
}

CK_RV op_call_update(CK_SESSION_HANDLE handle, enum op_kind kind, const CK_BYTE *part, CK_ULONG len)
{
    struct p11_session *s;
    CK_RV rv = enter(handle, kind, entry_readable(part, len), &s);

    if (rv != CKR_OK)
        return rv;
    op_set_fed(s->op[kind]);
    rv = op_update(s->op[kind], part, (size_t)len);
    return rv == CKR_OK ? entry_end(rv) : leave(s, kind, rv);
}

CK_RV op_call_make(CK_SESSION_HANDLE handle, enum op_kind kind, const struct op_input *in,
                   op_make make, CK_BYTE *out, CK_ULONG *len)
{
    uint8_t made[PUBKEY_MAX_RSA]; /* no signature or digest is longer */
    struct p11_session *s;
    struct op *op;
    bool go = false;
    CK_RV rv = enter_last(handle, kind, in, len != NULL, &s);

    if (rv != CKR_OK)
        return rv;
    op = s->op[kind];
    rv = op_room(op, out, len, &go);
    if (!go)
        return entry_end(rv);
    rv = feed(op, in);
    if (rv == CKR_OK)
        rv = make(s, op, made);
    if (rv == CKR_OK) {
        *len = (CK_ULONG)op_out_len(op);
        memcpy(out, made, *len);
    }
    return leave(s, kind, rv);
}

CK_RV op_call_check(CK_SESSION_HANDLE handle, enum op_kind kind, const struct op_input *in,
                    op_check check, const CK_BYTE *sig, CK_ULONG len)
{
    struct p11_session *s;
    CK_RV rv = enter_last(handle, kind, in, sig != NULL, &s);

    if (rv != CKR_OK)
        return rv;
    rv = feed(s->op[kind], in);
    if (rv == CKR_OK && len != op_out_len(s->op[kind]))
        rv = CKR_SIGNATURE_LEN_RANGE;
    if (rv == CKR_OK)
        rv = check(s->op[kind], bytes_of(sig, len));
    return leave(s, kind, rv);
}
