#include "pkcs11/op_call.h"

/* C_Encrypt*, C_Decrypt* (5.8, 5.9) and the dual functions (5.13). */

CK_RV C_EncryptInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return op_call_init(handle, OP_ENCRYPT, mechanism, key);
}

CK_RV C_Encrypt(CK_SESSION_HANDLE handle, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *out,
                CK_ULONG *len)
{
    struct op_input in = {data, data_len};

    return op_call_make(handle, OP_ENCRYPT, &in, out, len);
}

CK_RV C_EncryptUpdate(CK_SESSION_HANDLE handle, CK_BYTE *part, CK_ULONG part_len, CK_BYTE *out,
                      CK_ULONG *len)
{
    return op_call_transform(handle, OP_ENCRYPT, part, part_len, out, len);
}

CK_RV C_EncryptFinal(CK_SESSION_HANDLE handle, CK_BYTE *out, CK_ULONG *len)
{
    return op_call_make(handle, OP_ENCRYPT, NULL, out, len);
}

CK_RV C_DecryptInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return op_call_init(handle, OP_DECRYPT, mechanism, key);
}

CK_RV C_Decrypt(CK_SESSION_HANDLE handle, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *out,
                CK_ULONG *len)
{
    struct op_input in = {data, data_len};

    return op_call_make(handle, OP_DECRYPT, &in, out, len);
}

CK_RV C_DecryptUpdate(CK_SESSION_HANDLE handle, CK_BYTE *part, CK_ULONG part_len, CK_BYTE *out,
                      CK_ULONG *len)
{
    return op_call_transform(handle, OP_DECRYPT, part, part_len, out, len);
}

CK_RV C_DecryptFinal(CK_SESSION_HANDLE handle, CK_BYTE *out, CK_ULONG *len)
{
    return op_call_make(handle, OP_DECRYPT, NULL, out, len);
}

CK_RV C_DigestEncryptUpdate(CK_SESSION_HANDLE handle, CK_BYTE *part, CK_ULONG part_len,
                            CK_BYTE *out, CK_ULONG *len)
{
    return op_call_dual(handle, OP_ENCRYPT, OP_DIGEST, part, part_len, out, len);
}

CK_RV C_DecryptDigestUpdate(CK_SESSION_HANDLE handle, CK_BYTE *part, CK_ULONG part_len,
                            CK_BYTE *out, CK_ULONG *len)
{
    return op_call_dual(handle, OP_DECRYPT, OP_DIGEST, part, part_len, out, len);
}

CK_RV C_SignEncryptUpdate(CK_SESSION_HANDLE handle, CK_BYTE *part, CK_ULONG part_len, CK_BYTE *out,
                          CK_ULONG *len)
{
    return op_call_dual(handle, OP_ENCRYPT, OP_SIGN, part, part_len, out, len);
}

CK_RV C_DecryptVerifyUpdate(CK_SESSION_HANDLE handle, CK_BYTE *part, CK_ULONG part_len,
                            CK_BYTE *out, CK_ULONG *len)
{
    return op_call_dual(handle, OP_DECRYPT, OP_VERIFY, part, part_len, out, len);
}
