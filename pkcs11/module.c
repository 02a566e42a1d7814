#include "pkcs11/p11.h"

#include <string.h>

#include "core/base.h"

/* The function tables: all that the shared object exports hangs on them. */

/* What both versions have. C_GetInfo tells each caller the version that it asked for. */
#define V2_FUNCTIONS                                                                            \
    .C_Initialize = C_Initialize, .C_Finalize = C_Finalize,                                     \
    .C_GetFunctionList = C_GetFunctionList, .C_GetSlotList = C_GetSlotList,                     \
    .C_GetSlotInfo = C_GetSlotInfo, .C_GetTokenInfo = C_GetTokenInfo,                           \
    .C_GetMechanismList = C_GetMechanismList, .C_GetMechanismInfo = C_GetMechanismInfo,         \
    .C_InitToken = C_InitToken, .C_InitPIN = C_InitPIN, .C_SetPIN = C_SetPIN,                   \
    .C_OpenSession = C_OpenSession, .C_CloseSession = C_CloseSession,                           \
    .C_CloseAllSessions = C_CloseAllSessions, .C_GetSessionInfo = C_GetSessionInfo,             \
    .C_GetOperationState = C_GetOperationState, .C_SetOperationState = C_SetOperationState,     \
    .C_Login = C_Login, .C_Logout = C_Logout, .C_CreateObject = C_CreateObject,                 \
    .C_CopyObject = C_CopyObject, .C_DestroyObject = C_DestroyObject,                           \
    .C_GetObjectSize = C_GetObjectSize, .C_GetAttributeValue = C_GetAttributeValue,             \
    .C_SetAttributeValue = C_SetAttributeValue, .C_FindObjectsInit = C_FindObjectsInit,         \
    .C_FindObjects = C_FindObjects, .C_FindObjectsFinal = C_FindObjectsFinal,                   \
    .C_EncryptInit = C_EncryptInit, .C_Encrypt = C_Encrypt, .C_EncryptUpdate = C_EncryptUpdate, \
    .C_EncryptFinal = C_EncryptFinal, .C_DecryptInit = C_DecryptInit, .C_Decrypt = C_Decrypt,   \
    .C_DecryptUpdate = C_DecryptUpdate, .C_DecryptFinal = C_DecryptFinal,                       \
    .C_DigestInit = C_DigestInit, .C_Digest = C_Digest, .C_DigestUpdate = C_DigestUpdate,       \
    .C_DigestKey = C_DigestKey, .C_DigestFinal = C_DigestFinal, .C_SignInit = C_SignInit,       \
    .C_Sign = C_Sign, .C_SignUpdate = C_SignUpdate, .C_SignFinal = C_SignFinal,                 \
    .C_SignRecoverInit = C_SignRecoverInit, .C_SignRecover = C_SignRecover,                     \
    .C_VerifyInit = C_VerifyInit, .C_Verify = C_Verify, .C_VerifyUpdate = C_VerifyUpdate,       \
    .C_VerifyFinal = C_VerifyFinal, .C_VerifyRecoverInit = C_VerifyRecoverInit,                 \
    .C_VerifyRecover = C_VerifyRecover, .C_DigestEncryptUpdate = C_DigestEncryptUpdate,         \
    .C_DecryptDigestUpdate = C_DecryptDigestUpdate, .C_SignEncryptUpdate = C_SignEncryptUpdate, \
    .C_DecryptVerifyUpdate = C_DecryptVerifyUpdate, .C_GenerateKey = C_GenerateKey,             \
    .C_GenerateKeyPair = C_GenerateKeyPair, .C_WrapKey = C_WrapKey, .C_UnwrapKey = C_UnwrapKey, \
    .C_DeriveKey = C_DeriveKey, .C_SeedRandom = C_SeedRandom,                                   \
    .C_GenerateRandom = C_GenerateRandom, .C_GetFunctionStatus = C_GetFunctionStatus,           \
    .C_CancelFunction = C_CancelFunction, .C_WaitForSlotEvent = C_WaitForSlotEvent

static CK_RV get_info(CK_INFO *info, CK_BYTE major, CK_BYTE minor)
{
    CK_RV rv = C_GetInfo(info);

    if (rv == CKR_OK) {
        info->cryptokiVersion.major = major;
        info->cryptokiVersion.minor = minor;
    }
    return rv;
}

static CK_RV get_info_2_40(CK_INFO *info)
{
    return get_info(info, 2, 40);
}

static CK_RV get_info_3_0(CK_INFO *info)
{
    return get_info(info, 3, 0);
}

/* Callers get a pointer without const, by the standard's own types; a write to a table would
 * only hurt the caller, since nothing here goes through it. */
static CK_FUNCTION_LIST v2 = {
    .version = {2, 40},
    .C_GetInfo = get_info_2_40,
    V2_FUNCTIONS,
};

static CK_FUNCTION_LIST_3_0 v3 = {
    .v2 =
        {
            .version = {3, 0},
            .C_GetInfo = get_info_3_0,
            V2_FUNCTIONS,
        },
    .C_GetInterfaceList = C_GetInterfaceList,
    .C_GetInterface = C_GetInterface,
    .C_LoginUser = C_LoginUser,
    .C_SessionCancel = C_SessionCancel,
    .C_MessageEncryptInit = C_MessageEncryptInit,
    .C_EncryptMessage = C_EncryptMessage,
    .C_EncryptMessageBegin = C_EncryptMessageBegin,
    .C_EncryptMessageNext = C_EncryptMessageNext,
    .C_MessageEncryptFinal = C_MessageEncryptFinal,
    .C_MessageDecryptInit = C_MessageDecryptInit,
    .C_DecryptMessage = C_DecryptMessage,
    .C_DecryptMessageBegin = C_DecryptMessageBegin,
    .C_DecryptMessageNext = C_DecryptMessageNext,
    .C_MessageDecryptFinal = C_MessageDecryptFinal,
    .C_MessageSignInit = C_MessageSignInit,
    .C_SignMessage = C_SignMessage,
    .C_SignMessageBegin = C_SignMessageBegin,
    .C_SignMessageNext = C_SignMessageNext,
    .C_MessageSignFinal = C_MessageSignFinal,
    .C_MessageVerifyInit = C_MessageVerifyInit,
    .C_VerifyMessage = C_VerifyMessage,
    .C_VerifyMessageBegin = C_VerifyMessageBegin,
    .C_VerifyMessageNext = C_VerifyMessageNext,
    .C_MessageVerifyFinal = C_MessageVerifyFinal,
};

static CK_UTF8CHAR name[] = "PKCS 11";

/* 3.0, 5.4.4: the default comes first. */
static CK_INTERFACE interfaces[] = {
    {name, &v3, CKF_INTERFACE_FORK_SAFE},
    {name, &v2, CKF_INTERFACE_FORK_SAFE},
};

/* Hidden is the default for this build; these are the names that are not. */
#define EXPORT __attribute__((visibility("default")))

EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    if (list == NULL)
        return CKR_ARGUMENTS_BAD;
    *list = &v2;
    return CKR_OK;
}

EXPORT CK_RV C_GetInterfaceList(CK_INTERFACE *list, CK_ULONG *count)
{
    CK_ULONG room;

    if (count == NULL)
        return CKR_ARGUMENTS_BAD;
    room = *count;
    *count = ARRAY_LEN(interfaces);
    if (list == NULL)
        return CKR_OK;
    if (room < ARRAY_LEN(interfaces))
        return CKR_BUFFER_TOO_SMALL;
    memcpy(list, interfaces, sizeof(interfaces));
    return CKR_OK;
}

static bool fits(const CK_INTERFACE *i, const CK_UTF8CHAR *wanted, const CK_VERSION *version,
                 CK_FLAGS flags)
{
    /* Every function list begins with its version. */
    const CK_VERSION *has = i->pFunctionList;

    if (wanted != NULL && strcmp((const char *)wanted, (const char *)i->pInterfaceName) != 0)
        return false;
    if (version != NULL && (version->major != has->major || version->minor != has->minor))
        return false;
    return (i->flags & flags) == flags;
}

EXPORT CK_RV C_GetInterface(CK_UTF8CHAR *wanted, CK_VERSION *version, CK_INTERFACE **out,
                            CK_FLAGS flags)
{
    if (out == NULL)
        return CKR_ARGUMENTS_BAD;
    for (size_t i = 0; i < ARRAY_LEN(interfaces); i++) {
        if (fits(&interfaces[i], wanted, version, flags)) {
            *out = &interfaces[i];
            return CKR_OK;
        }
    }
    return CKR_ARGUMENTS_BAD;
}
