#include "pkcs11/op_call.h"
#include "pkcs11/session_close.h"

#include <string.h>

#include "pkcs11/attr.h"
#include "pkcs11/entry.h"

/* What each kind of operation asks of mechanism and key. */
static const struct {
    CK_FLAGS flag;
    CK_ATTRIBUTE_TYPE use;
    unsigned classes;
} kinds[OP_KINDS] = {
    [OP_SIGN] = {CKF_SIGN, CKA_SIGN, ATTR_PRIV | ATTR_SEC},
    [OP_VERIFY] = {CKF_VERIFY, CKA_VERIFY, ATTR_PUB | ATTR_SEC},
    [OP_DIGEST] = {CKF_DIGEST, 0, 0},
    [OP_ENCRYPT] = {CKF_ENCRYPT, CKA_ENCRYPT, ATTR_PUB | ATTR_SEC},
    [OP_DECRYPT] = {CKF_DECRYPT, CKA_DECRYPT, ATTR_PRIV | ATTR_SEC},
    [OP_SIGN_RECOVER] = {CKF_SIGN_RECOVER, CKA_SIGN_RECOVER, ATTR_PRIV},
    [OP_VERIFY_RECOVER] = {CKF_VERIFY_RECOVER, CKA_VERIFY_RECOVER, ATTR_PUB},
};

/* --- Init ---------------------------------------------------------------- */

/*
 * 4.7: a key's own list of mechanisms, empty for all. Signing over SHA-1 must be in it, or
 * allowed by the settings. PSS names its hash in the parameter.
 */
static CK_RV check_policy(const struct p11_session *s, const struct mech *m,
                          const CK_MECHANISM *given, CK_FLAGS flag, const struct object *o)
{
    struct bytes allowed = {NULL, 0};
    CK_RSA_PKCS_PSS_PARAMS pss;
    bool weak = mech_table_weak(m);

    (void)object_value(o, CKA_ALLOWED_MECHANISMS, &allowed);
    if (!attr_mech_allowed(allowed, m->type))
        return CKR_MECHANISM_INVALID;
    if ((flag & (CKF_SIGN | CKF_MESSAGE_SIGN)) == 0 || s->lib->sha1 || (allowed.len != 0 && weak))
        return CKR_OK;
    if (m->family == MECH_PSS && given->ulParameterLen == sizeof(pss)) {
        memcpy(&pss, given->pParameter, sizeof(pss));
        if (pss.hashAlg == CKM_SHA_1 &&
            (allowed.len == 0 || !attr_mech_allowed(allowed, CKM_SHA1_RSA_PKCS_PSS)))
            return weak ? CKR_MECHANISM_INVALID : CKR_MECHANISM_PARAM_INVALID;
    }
    return weak ? CKR_MECHANISM_INVALID : CKR_OK;
}

CK_RV op_call_allowed(struct p11_session *s, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key,
                      CK_FLAGS flag, CK_ATTRIBUTE_TYPE use, unsigned classes, const struct mech **m,
                      struct object **o)
{
    const struct mech *row;
    struct object *k = NULL;

    if (mechanism == NULL || (mechanism->pParameter == NULL && mechanism->ulParameterLen != 0))
        return CKR_ARGUMENTS_BAD;
    row = mech_table_row(mechanism->mechanism);
    if (row == NULL || (row->flags & flag) == 0)
        return CKR_MECHANISM_INVALID;
    *m = row;
    if (classes == 0)
        return CKR_OK;
    k = slot_object(s->lib, s->slot, key);
    if (k == NULL)
        return CKR_KEY_HANDLE_INVALID;
    *o = k;
    if ((k->group & classes) == 0 || !mech_table_takes(row, object_ulong(k, CKA_KEY_TYPE)))
        return CKR_KEY_TYPE_INCONSISTENT;
    if (!object_true(k, use))
        return CKR_KEY_FUNCTION_NOT_PERMITTED;
    return check_policy(s, row, mechanism, flag, k);
}

/* 3.0: Init without a mechanism ends what is active. */
static CK_RV cancel(struct p11_session *s, enum op_kind kind)
{
    if (s->op[kind] == NULL)
        return CKR_ARGUMENTS_BAD;
    session_close_op(s, kind);
    return CKR_OK;
}

static CK_RV begin(struct p11_session *s, enum op_kind kind, const CK_MECHANISM *mechanism,
                   CK_OBJECT_HANDLE key)
{
    const struct mech *m = NULL;
    struct object *o = NULL;
    CK_RV rv;

    if (mechanism == NULL)
        return cancel(s, kind);
    if (s->op[kind] != NULL)
        return CKR_OPERATION_ACTIVE;
    rv = op_call_allowed(s, mechanism, key, kinds[kind].flag, kinds[kind].use, kinds[kind].classes,
                         &m, &o);
    return rv == CKR_OK ? op_new(&s->op[kind], s, kind, m, mechanism, o) : rv;
}

CK_RV op_call_init(CK_SESSION_HANDLE handle, enum op_kind kind, const CK_MECHANISM *mechanism,
                   CK_OBJECT_HANDLE key)
{
    struct p11_session *s;
    CK_RV rv = entry_objects(handle, &s);

    return rv == CKR_OK ? entry_end(begin(s, kind, mechanism, key)) : rv;
}

/* --- what follows -------------------------------------------------------- */

/* Ends the operation and the call. */
static CK_RV leave(struct p11_session *s, enum op_kind kind, CK_RV rv)
{
    session_close_op(s, kind);
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

/* The same for a function that takes a part: not after the last output was made, and not
 * for mechanisms that have no parts. */
static CK_RV enter_part(CK_SESSION_HANDLE handle, enum op_kind kind, bool good,
                        struct p11_session **s)
{
    CK_RV rv = enter(handle, kind, good, s);

    if (rv != CKR_OK)
        return rv;
    if (op_done((*s)->op[kind]))
        return leave(*s, kind, CKR_OPERATION_NOT_INITIALIZED);
    return op_single((*s)->op[kind]) ? leave(*s, kind, CKR_FUNCTION_NOT_SUPPORTED) : CKR_OK;
}

/* The same for a one-part function, which may not follow Update, or for a Final one. */
static CK_RV enter_last(CK_SESSION_HANDLE handle, enum op_kind kind, const struct op_input *in,
                        bool good, struct p11_session **s)
{
    CK_RV rv = enter(handle, kind, good && (in == NULL || entry_readable(in->p, in->len)), s);

    if (rv != CKR_OK)
        return rv;
    if (in != NULL && op_fed((*s)->op[kind]))
        return leave(*s, kind, CKR_OPERATION_ACTIVE);
    if (in == NULL && op_single((*s)->op[kind]))
        return leave(*s, kind, CKR_FUNCTION_NOT_SUPPORTED);
    return CKR_OK;
}

CK_RV op_call_update(CK_SESSION_HANDLE handle, enum op_kind kind, const CK_BYTE *part, CK_ULONG len)
{
    struct p11_session *s;
    struct buf none = {0};
    CK_RV rv = enter_part(handle, kind, entry_readable(part, len), &s);

    if (rv != CKR_OK)
        return rv;
    op_set_fed(s->op[kind]);
    rv = op_feed(s->op[kind], bytes_of(part, (size_t)len), &none);
    return rv == CKR_OK ? entry_end(rv) : leave(s, kind, rv);
}

CK_RV op_call_room(size_t need, const CK_BYTE *out, CK_ULONG *len, bool *go)
{
    bool small = out != NULL && *len < need;

    *go = out != NULL && !small;
    if (!*go)
        *len = (CK_ULONG)need;
    return small ? CKR_BUFFER_TOO_SMALL : CKR_OK;
}

static CK_RV give(const struct buf *made, CK_BYTE *out, CK_ULONG *len)
{
    if (made->bad)
        return CKR_HOST_MEMORY;
    if (made->len != 0)
        memcpy(out, made->p, made->len);
    *len = (CK_ULONG)made->len;
    return CKR_OK;
}

CK_RV op_call_transform(CK_SESSION_HANDLE handle, enum op_kind kind, const CK_BYTE *part,
                        CK_ULONG part_len, CK_BYTE *out, CK_ULONG *len)
{
    struct buf made = {.secret = true};
    struct p11_session *s;
    bool go = false;
    CK_RV rv = enter_part(handle, kind, len != NULL && entry_readable(part, part_len), &s);

    if (rv != CKR_OK)
        return rv;
    rv = op_call_room(op_feed_length(s->op[kind], (size_t)part_len), out, len, &go);
    if (!go)
        return entry_end(rv);
    op_set_fed(s->op[kind]);
    rv = op_feed(s->op[kind], bytes_of(part, (size_t)part_len), &made);
    if (rv == CKR_OK)
        rv = give(&made, out, len);
    buf_free(&made);
    return rv == CKR_OK ? entry_end(rv) : leave(s, kind, rv);
}

CK_RV op_call_make(CK_SESSION_HANDLE handle, enum op_kind kind, const struct op_input *in,
                   CK_BYTE *out, CK_ULONG *len)
{
    struct bytes part = {NULL, 0}, made = {NULL, 0};
    struct p11_session *s;
    struct op *op;
    bool go = false, exact = true;
    CK_ULONG room;
    CK_RV rv = enter_last(handle, kind, in, len != NULL, &s);

    if (rv != CKR_OK)
        return rv;
    op = s->op[kind];
    room = *len;
    if (in != NULL)
        part = bytes_of(in->p, (size_t)in->len);
    rv = op_call_room(op_last_length(op, part.len, &exact), out, len, &go);
    if (!go && (exact || out == NULL))
        return entry_end(rv);
    rv = op_last(op, in != NULL ? &part : NULL, &made);
    if (rv != CKR_OK)
        return leave(s, kind, rv);
    *len = room; /* what the guess said is not what the caller has */
    rv = op_call_room(made.len, out, len, &go);
    if (!go)
        return entry_end(rv);
    if (made.len != 0)
        memcpy(out, made.p, made.len);
    *len = (CK_ULONG)made.len;
    return leave(s, kind, CKR_OK);
}

CK_RV op_call_check(CK_SESSION_HANDLE handle, enum op_kind kind, const struct op_input *in,
                    const CK_BYTE *sig, CK_ULONG len)
{
    struct buf none = {0};
    struct p11_session *s;
    CK_RV rv = enter_last(handle, kind, in, sig != NULL && entry_readable(sig, len), &s);

    if (rv != CKR_OK)
        return rv;
    if (in != NULL)
        rv = op_feed(s->op[kind], bytes_of(in->p, (size_t)in->len), &none);
    if (rv == CKR_OK)
        rv = op_check(s->op[kind], bytes_of(sig, (size_t)len));
    return leave(s, kind, rv);
}

CK_RV op_call_dual(CK_SESSION_HANDLE handle, enum op_kind cipher, enum op_kind other,
                   const CK_BYTE *part, CK_ULONG part_len, CK_BYTE *out, CK_ULONG *len)
{
    struct buf made = {.secret = true}, none = {0};
    struct bytes in = bytes_of(part, (size_t)part_len);
    struct p11_session *s;
    bool go = false;
    CK_RV rv = enter_part(handle, cipher, len != NULL && entry_readable(part, part_len), &s);

    if (rv != CKR_OK)
        return rv;
    if (s->op[other] == NULL)
        return entry_end(CKR_OPERATION_NOT_INITIALIZED);
    rv = op_call_room(op_feed_length(s->op[cipher], in.len), out, len, &go);
    if (!go)
        return entry_end(rv);
    op_set_fed(s->op[cipher]);
    op_set_fed(s->op[other]);
    rv = op_feed(s->op[cipher], in, &made);
    if (rv == CKR_OK)
        rv = op_feed(s->op[other], cipher == OP_ENCRYPT ? in : buf_bytes(&made), &none);
    if (rv == CKR_OK)
        rv = give(&made, out, len);
    buf_free(&made);
    if (rv == CKR_OK)
        return entry_end(rv);
    session_close_op(s, other);
    return leave(s, cipher, rv);
}
