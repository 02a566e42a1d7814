#include <string.h>

#include "pkcs11/entry.h"
#include "pkcs11/op_call.h"
#include "pkcs11/op_message.h"

/* C_SignMessage* and C_VerifyMessage* (3.0, 5.15 and 5.17): many signatures or MACs by one Init.
 * No mechanism here has a parameter for each message. */

static bool no_param(const void *param, CK_ULONG len)
{
    return param == NULL && len == 0;
}

/* Makes the signature of the message, `in` being its last part. */
static CK_RV make(struct message *m, struct bytes in, CK_BYTE *sig, CK_ULONG *len, bool *ended)
{
    struct bytes made;
    bool exact, go = false;
    CK_RV rv = op_call_room(op_last_length(m->op, in.len, &exact), sig, len, &go);

    *ended = go;
    if (!go)
        return rv;
    rv = op_last(m->op, &in, &made);
    if (rv == CKR_OK) {
        memcpy(sig, made.p, made.len);
        *len = (CK_ULONG)made.len;
    }
    return rv;
}

static CK_RV check(struct message *m, struct bytes in, struct bytes sig)
{
    struct buf none = {0};
    CK_RV rv = op_feed(m->op, in, &none);

    return rv == CKR_OK ? op_check(m->op, sig) : rv;
}

static CK_RV begin(CK_SESSION_HANDLE handle, enum op_kind kind, const void *param,
                   CK_ULONG param_len)
{
    struct p11_session *s;
    struct message *m;
    CK_RV rv = op_message_enter(handle, kind, false, &s, &m);

    if (rv != CKR_OK)
        return rv;
    if (!no_param(param, param_len))
        return entry_end(CKR_MECHANISM_PARAM_INVALID);
    return entry_end(message_start(s, kind, m, &m->given));
}

/* --- signing ------------------------------------------------------------- */

CK_RV C_MessageSignInit(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
    return op_message_init(s, OP_SIGN, m, key);
}

CK_RV C_SignMessage(CK_SESSION_HANDLE handle, void *param, CK_ULONG param_len, CK_BYTE *data,
                    CK_ULONG data_len, CK_BYTE *sig, CK_ULONG *sig_len)
{
    struct p11_session *s;
    struct message *m;
    bool ended;
    CK_RV rv = op_message_enter(handle, OP_SIGN, false, &s, &m);

    if (rv != CKR_OK)
        return rv;
    if (sig_len == NULL || !entry_readable(data, data_len))
        return entry_end(CKR_ARGUMENTS_BAD);
    if (!no_param(param, param_len))
        return entry_end(CKR_MECHANISM_PARAM_INVALID);
    rv = message_start(s, OP_SIGN, m, &m->given);
    if (rv == CKR_OK)
        rv = make(m, bytes_of(data, (size_t)data_len), sig, sig_len, &ended);
    message_drop(m);
    return entry_end(rv);
}

CK_RV C_SignMessageBegin(CK_SESSION_HANDLE s, void *param, CK_ULONG param_len)
{
    return begin(s, OP_SIGN, param, param_len);
}

/* The last part is the one that asks for the signature. */
CK_RV C_SignMessageNext(CK_SESSION_HANDLE handle, void *param, CK_ULONG param_len, CK_BYTE *data,
                        CK_ULONG data_len, CK_BYTE *sig, CK_ULONG *sig_len)
{
    struct buf none = {0};
    struct p11_session *s;
    struct message *m;
    bool ended = false;
    CK_RV rv = op_message_enter(handle, OP_SIGN, true, &s, &m);

    if (rv != CKR_OK)
        return rv;
    if (!entry_readable(data, data_len))
        return entry_end(CKR_ARGUMENTS_BAD);
    if (!no_param(param, param_len))
        return entry_end(CKR_MECHANISM_PARAM_INVALID);
    if (sig_len != NULL)
        rv = make(m, bytes_of(data, (size_t)data_len), sig, sig_len, &ended);
    else
        rv = op_feed(m->op, bytes_of(data, (size_t)data_len), &none);
    if (ended || (rv != CKR_OK && rv != CKR_BUFFER_TOO_SMALL))
        message_drop(m);
    return entry_end(rv);
}

CK_RV C_MessageSignFinal(CK_SESSION_HANDLE s)
{
    return op_message_final(s, OP_SIGN);
}

/* --- verifying ----------------------------------------------------------- */

CK_RV C_MessageVerifyInit(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
    return op_message_init(s, OP_VERIFY, m, key);
}

CK_RV C_VerifyMessage(CK_SESSION_HANDLE handle, void *param, CK_ULONG param_len, CK_BYTE *data,
                      CK_ULONG data_len, CK_BYTE *sig, CK_ULONG sig_len)
{
    struct p11_session *s;
    struct message *m;
    CK_RV rv = op_message_enter(handle, OP_VERIFY, false, &s, &m);

    if (rv != CKR_OK)
        return rv;
    if (sig == NULL || !entry_readable(sig, sig_len) || !entry_readable(data, data_len))
        return entry_end(CKR_ARGUMENTS_BAD);
    if (!no_param(param, param_len))
        return entry_end(CKR_MECHANISM_PARAM_INVALID);
    rv = message_start(s, OP_VERIFY, m, &m->given);
    if (rv == CKR_OK)
        rv = check(m, bytes_of(data, (size_t)data_len), bytes_of(sig, (size_t)sig_len));
    message_drop(m);
    return entry_end(rv);
}

CK_RV C_VerifyMessageBegin(CK_SESSION_HANDLE s, void *param, CK_ULONG param_len)
{
    return begin(s, OP_VERIFY, param, param_len);
}

/* The last part is the one that brings the signature. */
CK_RV C_VerifyMessageNext(CK_SESSION_HANDLE handle, void *param, CK_ULONG param_len, CK_BYTE *data,
                          CK_ULONG data_len, CK_BYTE *sig, CK_ULONG sig_len)
{
    struct buf none = {0};
    struct p11_session *s;
    struct message *m;
    CK_RV rv = op_message_enter(handle, OP_VERIFY, true, &s, &m);

    if (rv != CKR_OK)
        return rv;
    if (!entry_readable(data, data_len) || !entry_readable(sig, sig_len))
        return entry_end(CKR_ARGUMENTS_BAD);
    if (!no_param(param, param_len))
        return entry_end(CKR_MECHANISM_PARAM_INVALID);
    if (sig != NULL)
        rv = check(m, bytes_of(data, (size_t)data_len), bytes_of(sig, (size_t)sig_len));
    else
        rv = op_feed(m->op, bytes_of(data, (size_t)data_len), &none);
    if (sig != NULL || rv != CKR_OK)
        message_drop(m);
    return entry_end(rv);
}

CK_RV C_MessageVerifyFinal(CK_SESSION_HANDLE s)
{
    return op_message_final(s, OP_VERIFY);
}
