#include "pkcs11/p11.h"

#include "core/base.h"

/* The function table: all that the shared object exports hangs on it. */

/* What this version does not do, one function for each signature of the standard.
 * A mechanism that would need one of them is not advertised. */
#define REFUSE(name, ...)                  \
    static CK_RV name(__VA_ARGS__)         \
    {                                      \
        return CKR_FUNCTION_NOT_SUPPORTED; \
    }
#define U __attribute__((unused))

REFUSE(no_output, U CK_SESSION_HANDLE s, U CK_BYTE *out, U CK_ULONG *len)
REFUSE(no_restore, U CK_SESSION_HANDLE s, U CK_BYTE *state, U CK_ULONG len,
       U CK_OBJECT_HANDLE encryption, U CK_OBJECT_HANDLE authentication)
REFUSE(no_copy, U CK_SESSION_HANDLE s, U CK_OBJECT_HANDLE object, U CK_ATTRIBUTE *t,
       U CK_ULONG count, U CK_OBJECT_HANDLE *copy)
REFUSE(no_init, U CK_SESSION_HANDLE s, U CK_MECHANISM *mechanism, U CK_OBJECT_HANDLE key)
REFUSE(no_transform, U CK_SESSION_HANDLE s, U CK_BYTE *in, U CK_ULONG in_len, U CK_BYTE *out,
       U CK_ULONG *len)
REFUSE(no_digest_key, U CK_SESSION_HANDLE s, U CK_OBJECT_HANDLE key)
REFUSE(no_generate, U CK_SESSION_HANDLE s, U CK_MECHANISM *mechanism, U CK_ATTRIBUTE *t,
       U CK_ULONG count, U CK_OBJECT_HANDLE *key)
REFUSE(no_wrap, U CK_SESSION_HANDLE s, U CK_MECHANISM *mechanism, U CK_OBJECT_HANDLE wrapping,
       U CK_OBJECT_HANDLE key, U CK_BYTE *out, U CK_ULONG *len)
REFUSE(no_unwrap, U CK_SESSION_HANDLE s, U CK_MECHANISM *mechanism, U CK_OBJECT_HANDLE unwrapping,
       U CK_BYTE *in, U CK_ULONG in_len, U CK_ATTRIBUTE *t, U CK_ULONG count,
       U CK_OBJECT_HANDLE *key)
REFUSE(no_derive, U CK_SESSION_HANDLE s, U CK_MECHANISM *mechanism, U CK_OBJECT_HANDLE base,
       U CK_ATTRIBUTE *t, U CK_ULONG count, U CK_OBJECT_HANDLE *key)

/* Callers get a pointer without const, by the standard's own types; a write to the
 * table would only hurt the caller, since nothing here goes through it. */
static CK_FUNCTION_LIST table = {
    .version = {2, 40},
    .C_Initialize = C_Initialize,
    .C_Finalize = C_Finalize,
    .C_GetInfo = C_GetInfo,
    .C_GetFunctionList = C_GetFunctionList,
    .C_GetSlotList = C_GetSlotList,
    .C_GetSlotInfo = C_GetSlotInfo,
    .C_GetTokenInfo = C_GetTokenInfo,
    .C_GetMechanismList = C_GetMechanismList,
    .C_GetMechanismInfo = C_GetMechanismInfo,
    .C_InitToken = C_InitToken,
    .C_InitPIN = C_InitPIN,
    .C_SetPIN = C_SetPIN,
    .C_OpenSession = C_OpenSession,
    .C_CloseSession = C_CloseSession,
    .C_CloseAllSessions = C_CloseAllSessions,
    .C_GetSessionInfo = C_GetSessionInfo,
    .C_GetOperationState = no_output,
    .C_SetOperationState = no_restore,
    .C_Login = C_Login,
    .C_Logout = C_Logout,
    .C_CreateObject = C_CreateObject,
    .C_CopyObject = no_copy,
    .C_DestroyObject = C_DestroyObject,
    .C_GetObjectSize = C_GetObjectSize,
    .C_GetAttributeValue = C_GetAttributeValue,
    .C_SetAttributeValue = C_SetAttributeValue,
    .C_FindObjectsInit = C_FindObjectsInit,
    .C_FindObjects = C_FindObjects,
    .C_FindObjectsFinal = C_FindObjectsFinal,
    .C_EncryptInit = no_init,
    .C_Encrypt = no_transform,
    .C_EncryptUpdate = no_transform,
    .C_EncryptFinal = no_output,
    .C_DecryptInit = no_init,
    .C_Decrypt = no_transform,
    .C_DecryptUpdate = no_transform,
    .C_DecryptFinal = no_output,
    .C_DigestInit = C_DigestInit,
    .C_Digest = C_Digest,
    .C_DigestUpdate = C_DigestUpdate,
    .C_DigestKey = no_digest_key,
    .C_DigestFinal = C_DigestFinal,
    .C_SignInit = C_SignInit,
    .C_Sign = C_Sign,
    .C_SignUpdate = C_SignUpdate,
    .C_SignFinal = C_SignFinal,
    .C_SignRecoverInit = no_init,
    .C_SignRecover = no_transform,
    .C_VerifyInit = C_VerifyInit,
    .C_Verify = C_Verify,
    .C_VerifyUpdate = C_VerifyUpdate,
    .C_VerifyFinal = C_VerifyFinal,
    .C_VerifyRecoverInit = no_init,
    .C_VerifyRecover = no_transform,
    .C_DigestEncryptUpdate = no_transform,
    .C_DecryptDigestUpdate = no_transform,
    .C_SignEncryptUpdate = no_transform,
    .C_DecryptVerifyUpdate = no_transform,
    .C_GenerateKey = no_generate,
    .C_GenerateKeyPair = C_GenerateKeyPair,
    .C_WrapKey = no_wrap,
    .C_UnwrapKey = no_unwrap,
    .C_DeriveKey = no_derive,
    .C_SeedRandom = C_SeedRandom,
    .C_GenerateRandom = C_GenerateRandom,
    .C_GetFunctionStatus = C_GetFunctionStatus,
    .C_CancelFunction = C_CancelFunction,
    .C_WaitForSlotEvent = C_WaitForSlotEvent,
};

/* Hidden is the default for this build; this is the one name that is not. */
__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    if (list == NULL)
        return CKR_ARGUMENTS_BAD;
    *list = &table;
    return CKR_OK;
}
