#include <string.h>

#include "pkcs11/entry.h"
#include "pkcs11/op.h"
#include "pkcs11/op_key.h"

/* C_Sign* (5.11): the input is gathered here, the signature made by the TPM. */

CK_RV C_SignInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    return entry_end(op_key_begin(s, OP_SIGN, mechanism, key));
}

/* Makes the signature. The key may have gone since C_SignInit: destroyed, or hidden
 * by a logout. */
static CK_RV make_signature(struct p11_session *s, struct op *op, uint8_t *out)
{
    const struct store_key *key = NULL;
    struct token_sign what;
    struct token *k = NULL;
    struct object *o = NULL;
    struct err e = {0};
    CK_RV rv = op_finish(op, &what);

    if (rv != CKR_OK)
        return rv;
    if (s->slot->index != NULL)
        o = index_get(s->slot->index, op_key(op));
    if (o == NULL)
        return p11_session_user(s) ? CKR_KEY_HANDLE_INVALID : CKR_USER_NOT_LOGGED_IN;
    if (slot_token(s->lib, s->slot, &k, &e) != 0 || slot_key(s->lib, s->slot, o, &key, &e) != 0 ||
        (op_mech(op)->how == MECH_X509 ? token_rsa_raw(k, key, what.digest, out, &e)
                                       : token_sign(k, key, &what, out, &e)) != 0)
        return entry_fail(&e, CKR_DURING_SIGN);
    return CKR_OK;
}

/* The common end of C_Sign and C_SignFinal. `data` is NULL for the latter. */
static CK_RV finish(struct p11_session *s, const CK_BYTE *data, CK_ULONG data_len, CK_BYTE *sig,
                    CK_ULONG *len)
{
    struct op *op = s->op[OP_SIGN];
    uint8_t out[OP_MAX_RAW];
    bool go = false;
    CK_RV rv;

    if (op_out_len(op) > sizeof(out))
        return CKR_KEY_SIZE_RANGE;
    rv = op_room(op, sig, len, &go);
    if (!go)
        return rv;
    if (data != NULL)
        rv = op_update(op, data, (size_t)data_len);
    if (rv == CKR_OK)
        rv = make_signature(s, op, out);
    if (rv == CKR_OK) {
        *len = (CK_ULONG)op_out_len(op);
        memcpy(sig, out, *len);
    }
    p11_session_end_op(s, OP_SIGN);
    return rv;
}

CK_RV C_Sign(CK_SESSION_HANDLE handle, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *sig,
             CK_ULONG *len)
{
    static CK_BYTE nothing;
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (s->op[OP_SIGN] == NULL)
        return entry_end(CKR_OPERATION_NOT_INITIALIZED);
    if (len == NULL || (data == NULL && data_len != 0))
        rv = CKR_ARGUMENTS_BAD;
    else if (op_fed(s->op[OP_SIGN]))
        rv = CKR_OPERATION_ACTIVE; /* a multi-part signature ends with C_SignFinal */
    if (rv != CKR_OK) {
        p11_session_end_op(s, OP_SIGN);
        return entry_end(rv);
    }
    return entry_end(finish(s, data != NULL ? data : &nothing, data_len, sig, len));
}

CK_RV C_SignUpdate(CK_SESSION_HANDLE handle, CK_BYTE *part, CK_ULONG len)
{
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    return entry_end(op_key_feed(s, OP_SIGN, part, len));
}

CK_RV C_SignFinal(CK_SESSION_HANDLE handle, CK_BYTE *sig, CK_ULONG *len)
{
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (s->op[OP_SIGN] == NULL)
        return entry_end(CKR_OPERATION_NOT_INITIALIZED);
    if (len == NULL) {
        p11_session_end_op(s, OP_SIGN);
        return entry_end(CKR_ARGUMENTS_BAD);
    }
    return entry_end(finish(s, NULL, 0, sig, len));
}
