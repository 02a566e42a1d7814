#include "pkcs11/op_call.h"

/* C_Verify*, C_VerifyRecover* (5.12): by public keys in software, without the TPM. */

CK_RV C_VerifyInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return op_call_init(handle, OP_VERIFY, mechanism, key);
}

CK_RV C_Verify(CK_SESSION_HANDLE handle, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *sig,
               CK_ULONG len)
{
    struct op_input in = {data, data_len};

    return op_call_check(handle, OP_VERIFY, &in, sig, len);
}

CK_RV C_VerifyUpdate(CK_SESSION_HANDLE handle, CK_BYTE *part, CK_ULONG len)
{
    return op_call_update(handle, OP_VERIFY, part, len);
}

CK_RV C_VerifyFinal(CK_SESSION_HANDLE handle, CK_BYTE *sig, CK_ULONG len)
{
    return op_call_check(handle, OP_VERIFY, NULL, sig, len);
}

CK_RV C_VerifyRecoverInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return op_call_init(handle, OP_VERIFY_RECOVER, mechanism, key);
}

CK_RV C_VerifyRecover(CK_SESSION_HANDLE handle, CK_BYTE *sig, CK_ULONG sig_len, CK_BYTE *data,
                      CK_ULONG *len)
{
    struct op_input in = {sig, sig_len};

    return op_call_make(handle, OP_VERIFY_RECOVER, &in, data, len);
}
