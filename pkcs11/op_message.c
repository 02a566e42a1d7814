#include "pkcs11/op_message.h"

#include "pkcs11/entry.h"
#include "pkcs11/op_call.h"
#include "pkcs11/session_close.h"

static const struct {
    CK_FLAGS flag;
    CK_ATTRIBUTE_TYPE use;
    unsigned classes;
} kinds[OP_KINDS] = {
    [OP_ENCRYPT] = {CKF_MESSAGE_ENCRYPT, CKA_ENCRYPT, ATTR_SEC},
    [OP_DECRYPT] = {CKF_MESSAGE_DECRYPT, CKA_DECRYPT, ATTR_SEC},
    [OP_SIGN] = {CKF_MESSAGE_SIGN, CKA_SIGN, ATTR_PRIV | ATTR_SEC},
    [OP_VERIFY] = {CKF_MESSAGE_VERIFY, CKA_VERIFY, ATTR_PUB | ATTR_SEC},
};

/* A signing mechanism shows now whether its parameter is good; that of GCM comes with each
 * message. Parameters of signing mechanisms hold no pointers. */
static CK_RV try_params(struct p11_session *s, enum op_kind kind, const struct mech *m,
                        const CK_MECHANISM *given, const struct object *key)
{
    struct op *op = NULL;
    CK_RV rv;

    if (kind == OP_ENCRYPT || kind == OP_DECRYPT)
        return CKR_OK;
    rv = op_new(&op, s, kind, m, given, key);
    op_free(op);
    return rv;
}

static CK_RV begin(struct p11_session *s, enum op_kind kind, const CK_MECHANISM *mechanism,
                   CK_OBJECT_HANDLE key)
{
    const struct mech *m = NULL;
    struct object *o = NULL;
    CK_MECHANISM kept;
    CK_RV rv;

    if (mechanism == NULL) {
        rv = s->message[kind] != NULL ? CKR_OK : CKR_ARGUMENTS_BAD;
        session_close_message(s, kind);
        return rv;
    }
    if (s->message[kind] != NULL)
        return CKR_OPERATION_ACTIVE;
    rv = op_call_allowed(s, mechanism, key, kinds[kind].flag, kinds[kind].use, kinds[kind].classes,
                         &m, &o);
    if (rv == CKR_OK)
        rv = try_params(s, kind, m, mechanism, o);
    if (rv != CKR_OK)
        return rv;
    /* What stands here for GCM nobody has judged, or needs. */
    kept = *mechanism;
    if (kind == OP_ENCRYPT || kind == OP_DECRYPT)
        kept = (CK_MECHANISM){.mechanism = mechanism->mechanism};
    return message_new(&s->message[kind], m, &kept, key);
}

CK_RV op_message_init(CK_SESSION_HANDLE handle, enum op_kind kind, const CK_MECHANISM *mechanism,
                      CK_OBJECT_HANDLE key)
{
    struct p11_session *s;
    CK_RV rv = entry_objects(handle, &s);

    return rv == CKR_OK ? entry_end(begin(s, kind, mechanism, key)) : rv;
}

CK_RV op_message_final(CK_SESSION_HANDLE handle, enum op_kind kind)
{
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (s->message[kind] == NULL)
        return entry_end(CKR_OPERATION_NOT_INITIALIZED);
    if (s->message[kind]->op != NULL)
        rv = CKR_OPERATION_ACTIVE; /* in the middle of a message, which ends, too */
    session_close_message(s, kind);
    return entry_end(rv);
}

CK_RV op_message_enter(CK_SESSION_HANDLE handle, enum op_kind kind, bool begun,
                       struct p11_session **s, struct message **m)
{
    CK_RV rv = entry_session(handle, s);

    if (rv != CKR_OK)
        return rv;
    *m = (*s)->message[kind];
    if (*m == NULL || (begun && (*m)->op == NULL))
        return entry_end(CKR_OPERATION_NOT_INITIALIZED);
    return !begun && (*m)->op != NULL ? entry_end(CKR_OPERATION_ACTIVE) : CKR_OK;
}
