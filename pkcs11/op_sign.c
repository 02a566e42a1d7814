#include "pkcs11/op_call.h"

/* C_Sign*, C_SignRecover* (5.11): the input is gathered here, the signature made by the TPM. */

CK_RV C_SignInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return op_call_init(handle, OP_SIGN, mechanism, key);
}

CK_RV C_Sign(CK_SESSION_HANDLE handle, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *sig,
             CK_ULONG *len)
{
    struct op_input in = {data, data_len};

    return op_call_make(handle, OP_SIGN, &in, sig, len);
}

CK_RV C_SignUpdate(CK_SESSION_HANDLE handle, CK_BYTE *part, CK_ULONG len)
{
    return op_call_update(handle, OP_SIGN, part, len);
}

CK_RV C_SignFinal(CK_SESSION_HANDLE handle, CK_BYTE *sig, CK_ULONG *len)
{
    return op_call_make(handle, OP_SIGN, NULL, sig, len);
}

CK_RV C_SignRecoverInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return op_call_init(handle, OP_SIGN_RECOVER, mechanism, key);
}

CK_RV C_SignRecover(CK_SESSION_HANDLE handle, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *sig,
                    CK_ULONG *len)
{
    struct op_input in = {data, data_len};

    return op_call_make(handle, OP_SIGN_RECOVER, &in, sig, len);
}
