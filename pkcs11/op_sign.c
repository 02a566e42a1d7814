#include "pkcs11/entry.h"
#include "pkcs11/op_call.h"

/* C_Sign* (5.11): the input is gathered here, the signature made by the TPM. */

CK_RV C_SignInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return op_call_init(handle, OP_SIGN, mechanism, key);
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

CK_RV C_Sign(CK_SESSION_HANDLE handle, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *sig,
             CK_ULONG *len)
{
    struct op_input in = {data, data_len};

    return op_call_make(handle, OP_SIGN, &in, make_signature, sig, len);
}

CK_RV C_SignUpdate(CK_SESSION_HANDLE handle, CK_BYTE *part, CK_ULONG len)
{
    return op_call_update(handle, OP_SIGN, part, len);
}

CK_RV C_SignFinal(CK_SESSION_HANDLE handle, CK_BYTE *sig, CK_ULONG *len)
{
    return op_call_make(handle, OP_SIGN, NULL, make_signature, sig, len);
}
