#ifndef PKCS11_P11_V3_H
#define PKCS11_P11_V3_H

/*
 * What PKCS#11 3.0 adds to p11-kit's header, which ends with 2.40: constants, the parameters
 * of its mechanisms, and its function list. Values are those of the OASIS PKCS #11 Base
 * Specification and Current Mechanisms 3.0. Include pkcs11/p11.h instead.
 */
#include <p11-kit/pkcs11.h>

#ifndef CKO_PROFILE

/* Objects (Base, 4). */
#define CKO_PROFILE (9UL)
#define CKP_BASELINE_PROVIDER (1UL)
#define CKP_EXTENDED_PROVIDER (2UL)
#define CKP_AUTHENTICATION_TOKEN (3UL)
#define CKP_PUBLIC_CERTIFICATES_TOKEN (4UL)
#define CKA_UNIQUE_ID (0x4UL)
#define CKA_PROFILE_ID (0x601UL)
#define CKK_HKDF (0x42UL)

/* Mechanisms. */
#define CKM_AES_KEY_WRAP_KWP (0x210bUL)
#define CKM_SHA_1_KEY_GEN (0x4003UL)
#define CKM_SHA224_KEY_GEN (0x4004UL)
#define CKM_SHA256_KEY_GEN (0x4005UL)
#define CKM_SHA384_KEY_GEN (0x4006UL)
#define CKM_SHA512_KEY_GEN (0x4007UL)
#define CKM_HKDF_DERIVE (0x402aUL)
#define CKM_HKDF_DATA (0x402bUL)
#define CKM_HKDF_KEY_GEN (0x402cUL)

/* Mechanism flags (Base, 3.6) and those of message functions (5.8.5 and on). */
#define CKF_MESSAGE_ENCRYPT (0x2UL)
#define CKF_MESSAGE_DECRYPT (0x4UL)
#define CKF_MESSAGE_SIGN (0x8UL)
#define CKF_MESSAGE_VERIFY (0x10UL)
#define CKF_MULTI_MESSAGE (0x20UL)
#define CKF_FIND_OBJECTS (0x40UL)
#define CKF_END_OF_MESSAGE (0x1UL)
#define CKF_INTERFACE_FORK_SAFE (0x1UL)

/* Return values. */
#define CKR_AEAD_DECRYPT_FAILED (0x42UL)
#define CKR_TOKEN_RESOURCE_EXCEEDED (0x201UL)
#define CKR_OPERATION_CANCEL_FAILED (0x202UL)
#define CKR_KEY_EXHAUSTED (0x203UL)

/* HKDF (Current Mechanisms, 2.62). */
#define CKF_HKDF_SALT_NULL (0x1UL)
#define CKF_HKDF_SALT_DATA (0x2UL)
#define CKF_HKDF_SALT_KEY (0x4UL)

typedef struct CK_HKDF_PARAMS {
    CK_BBOOL bExtract;
    CK_BBOOL bExpand;
    CK_MECHANISM_TYPE prfHashMechanism;
    CK_ULONG ulSaltType;
    CK_BYTE *pSalt;
    CK_ULONG ulSaltLen;
    CK_OBJECT_HANDLE hSaltKey;
    CK_BYTE *pInfo;
    CK_ULONG ulInfoLen;
} CK_HKDF_PARAMS;

/* GCM by message (Current Mechanisms, 2.13.3). */
typedef CK_ULONG CK_GENERATOR_FUNCTION;
#define CKG_NO_GENERATE (0x0UL)
#define CKG_GENERATE (0x1UL)
#define CKG_GENERATE_COUNTER (0x2UL)
#define CKG_GENERATE_RANDOM (0x3UL)
#define CKG_GENERATE_COUNTER_XOR (0x4UL)

typedef struct CK_GCM_MESSAGE_PARAMS {
    CK_BYTE *pIv;
    CK_ULONG ulIvLen;
    CK_ULONG ulIvFixedBits;
    CK_GENERATOR_FUNCTION ivGenerator;
    CK_BYTE *pTag;
    CK_ULONG ulTagBits;
} CK_GCM_MESSAGE_PARAMS;

/* Interfaces (Base, 3.7 and 5.4.4). */
typedef struct CK_INTERFACE {
    CK_UTF8CHAR *pInterfaceName;
    void *pFunctionList;
    CK_FLAGS flags;
} CK_INTERFACE;

#define P11_V3(name, ...)                    \
    typedef CK_RV (*CK_##name)(__VA_ARGS__); \
    CK_RV name(__VA_ARGS__)

P11_V3(C_GetInterfaceList, CK_INTERFACE *list, CK_ULONG *count);
P11_V3(C_GetInterface, CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **out, CK_FLAGS flags);
P11_V3(C_LoginUser, CK_SESSION_HANDLE s, CK_USER_TYPE type, CK_UTF8CHAR *pin, CK_ULONG pin_len,
       CK_UTF8CHAR *name, CK_ULONG name_len);
P11_V3(C_SessionCancel, CK_SESSION_HANDLE s, CK_FLAGS flags);

P11_V3(C_MessageEncryptInit, CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key);
P11_V3(C_EncryptMessage, CK_SESSION_HANDLE s, void *param, CK_ULONG param_len, CK_BYTE *aad,
       CK_ULONG aad_len, CK_BYTE *plain, CK_ULONG plain_len, CK_BYTE *out, CK_ULONG *out_len);
P11_V3(C_EncryptMessageBegin, CK_SESSION_HANDLE s, void *param, CK_ULONG param_len, CK_BYTE *aad,
       CK_ULONG aad_len);
P11_V3(C_EncryptMessageNext, CK_SESSION_HANDLE s, void *param, CK_ULONG param_len, CK_BYTE *plain,
       CK_ULONG plain_len, CK_BYTE *out, CK_ULONG *out_len, CK_FLAGS flags);
P11_V3(C_MessageEncryptFinal, CK_SESSION_HANDLE s);

P11_V3(C_MessageDecryptInit, CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key);
P11_V3(C_DecryptMessage, CK_SESSION_HANDLE s, void *param, CK_ULONG param_len, CK_BYTE *aad,
       CK_ULONG aad_len, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *plain, CK_ULONG *plain_len);
P11_V3(C_DecryptMessageBegin, CK_SESSION_HANDLE s, void *param, CK_ULONG param_len, CK_BYTE *aad,
       CK_ULONG aad_len);
P11_V3(C_DecryptMessageNext, CK_SESSION_HANDLE s, void *param, CK_ULONG param_len, CK_BYTE *in,
       CK_ULONG in_len, CK_BYTE *plain, CK_ULONG *plain_len, CK_FLAGS flags);
P11_V3(C_MessageDecryptFinal, CK_SESSION_HANDLE s);

P11_V3(C_MessageSignInit, CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key);
P11_V3(C_SignMessage, CK_SESSION_HANDLE s, void *param, CK_ULONG param_len, CK_BYTE *data,
       CK_ULONG data_len, CK_BYTE *sig, CK_ULONG *sig_len);
P11_V3(C_SignMessageBegin, CK_SESSION_HANDLE s, void *param, CK_ULONG param_len);
P11_V3(C_SignMessageNext, CK_SESSION_HANDLE s, void *param, CK_ULONG param_len, CK_BYTE *data,
       CK_ULONG data_len, CK_BYTE *sig, CK_ULONG *sig_len);
P11_V3(C_MessageSignFinal, CK_SESSION_HANDLE s);

P11_V3(C_MessageVerifyInit, CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key);
P11_V3(C_VerifyMessage, CK_SESSION_HANDLE s, void *param, CK_ULONG param_len, CK_BYTE *data,
       CK_ULONG data_len, CK_BYTE *sig, CK_ULONG sig_len);
P11_V3(C_VerifyMessageBegin, CK_SESSION_HANDLE s, void *param, CK_ULONG param_len);
P11_V3(C_VerifyMessageNext, CK_SESSION_HANDLE s, void *param, CK_ULONG param_len, CK_BYTE *data,
       CK_ULONG data_len, CK_BYTE *sig, CK_ULONG sig_len);
P11_V3(C_MessageVerifyFinal, CK_SESSION_HANDLE s);

#undef P11_V3

/* The 3.0 list is the 2.40 list (whose version says 3.0) with more behind it. */
typedef struct CK_FUNCTION_LIST_3_0 {
    CK_FUNCTION_LIST v2;
    CK_C_GetInterfaceList C_GetInterfaceList;
    CK_C_GetInterface C_GetInterface;
    CK_C_LoginUser C_LoginUser;
    CK_C_SessionCancel C_SessionCancel;
    CK_C_MessageEncryptInit C_MessageEncryptInit;
    CK_C_EncryptMessage C_EncryptMessage;
    CK_C_EncryptMessageBegin C_EncryptMessageBegin;
    CK_C_EncryptMessageNext C_EncryptMessageNext;
    CK_C_MessageEncryptFinal C_MessageEncryptFinal;
    CK_C_MessageDecryptInit C_MessageDecryptInit;
    CK_C_DecryptMessage C_DecryptMessage;
    CK_C_DecryptMessageBegin C_DecryptMessageBegin;
    CK_C_DecryptMessageNext C_DecryptMessageNext;
    CK_C_MessageDecryptFinal C_MessageDecryptFinal;
    CK_C_MessageSignInit C_MessageSignInit;
    CK_C_SignMessage C_SignMessage;
    CK_C_SignMessageBegin C_SignMessageBegin;
    CK_C_SignMessageNext C_SignMessageNext;
    CK_C_MessageSignFinal C_MessageSignFinal;
    CK_C_MessageVerifyInit C_MessageVerifyInit;
    CK_C_VerifyMessage C_VerifyMessage;
    CK_C_VerifyMessageBegin C_VerifyMessageBegin;
    CK_C_VerifyMessageNext C_VerifyMessageNext;
    CK_C_MessageVerifyFinal C_MessageVerifyFinal;
} CK_FUNCTION_LIST_3_0;

#endif /* CKO_PROFILE */

#endif
