#include "pkcs11/op_key.h"

#include "pkcs11/attr.h"
#include "pkcs11/op.h"

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

CK_RV op_key_begin(struct p11_session *s, enum op_kind kind, const CK_MECHANISM *mechanism,
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

CK_RV op_key_feed(struct p11_session *s, enum op_kind kind, const CK_BYTE *part, CK_ULONG len)
{
    CK_RV rv;

    if (s->op[kind] == NULL)
        return CKR_OPERATION_NOT_INITIALIZED;
    if (part == NULL && len != 0) {
        rv = CKR_ARGUMENTS_BAD;
    } else {
        op_set_fed(s->op[kind]);
        rv = op_update(s->op[kind], part, (size_t)len);
    }
    if (rv != CKR_OK)
        p11_session_end_op(s, kind);
    return rv;
}
