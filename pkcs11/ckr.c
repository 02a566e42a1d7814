#include "pkcs11/ckr.h"

static const CK_RV general[] = {
    [E_OK] = CKR_OK,
    [E_ARG] = CKR_ARGUMENTS_BAD,
    [E_MEMORY] = CKR_HOST_MEMORY,
    [E_IO] = CKR_FUNCTION_FAILED,
    [E_FORMAT] = CKR_TOKEN_NOT_RECOGNIZED,
    [E_NOT_FOUND] = CKR_OBJECT_HANDLE_INVALID,
    [E_EXISTS] = CKR_FUNCTION_FAILED,
    [E_DENIED] = CKR_TOKEN_WRITE_PROTECTED,
    [E_BUSY] = CKR_FUNCTION_FAILED,
    [E_FULL] = CKR_DEVICE_MEMORY,
    [E_UNSUPPORTED] = CKR_FUNCTION_FAILED,
    [E_CRYPTO] = CKR_FUNCTION_FAILED,
    [E_CORRUPT] = CKR_DEVICE_ERROR,
    [E_VERSION] = CKR_TOKEN_NOT_RECOGNIZED,
    [E_PIN_WRONG] = CKR_PIN_INCORRECT,
    [E_PIN_LOCKED] = CKR_PIN_LOCKED,
    [E_PIN_LENGTH] = CKR_PIN_LEN_RANGE,
    [E_PIN_UNSET] = CKR_USER_PIN_NOT_INITIALIZED,
    /* 5.6 C_Login: "cannot be carried out unless C_SetPIN is called" is just what
     * an interrupted change needs. */
    [E_PIN_INTERRUPT] = CKR_PIN_EXPIRED,
    /* Never CKR_PIN_LOCKED: the failures of a neighbour on the same TPM cause it. */
    [E_LOCKOUT] = CKR_DEVICE_ERROR,
    [E_LOGIN] = CKR_USER_NOT_LOGGED_IN,
    [E_NO_DEVICE] = CKR_DEVICE_REMOVED,
    [E_REMOVED] = CKR_DEVICE_REMOVED,
    [E_TPM] = CKR_DEVICE_ERROR,
    [E_TAMPERED] = CKR_DEVICE_ERROR,
    [E_DATA] = CKR_DATA_LEN_RANGE,
    [E_REJECTED] = CKR_FUNCTION_REJECTED,
    [E_USAGE] = CKR_ARGUMENTS_BAD,
};

/* Where a function of the standard has a better word. */
static const struct {
    enum ckr_during during;
    enum err_code code;
    CK_RV rv;
} special[] = {
    {CKR_DURING_LOGIN, E_PIN_LENGTH, CKR_PIN_INCORRECT},
    {CKR_DURING_LOGIN, E_NOT_FOUND, CKR_DEVICE_REMOVED},
    {CKR_DURING_SIGN, E_UNSUPPORTED, CKR_KEY_FUNCTION_NOT_PERMITTED},
    {CKR_DURING_SIGN, E_NOT_FOUND, CKR_KEY_HANDLE_INVALID},
    {CKR_DURING_VERIFY, E_DATA, CKR_SIGNATURE_INVALID},
    {CKR_DURING_VERIFY, E_UNSUPPORTED, CKR_KEY_SIZE_RANGE},
    {CKR_DURING_KEYGEN, E_UNSUPPORTED, CKR_KEY_SIZE_RANGE},
    {CKR_DURING_KEYGEN, E_NOT_FOUND, CKR_DEVICE_REMOVED},
    {CKR_DURING_IMPORT, E_UNSUPPORTED, CKR_KEY_SIZE_RANGE},
    {CKR_DURING_IMPORT, E_DATA, CKR_ATTRIBUTE_VALUE_INVALID},
    {CKR_DURING_IMPORT, E_FORMAT, CKR_ATTRIBUTE_VALUE_INVALID},
    {CKR_DURING_READ_ONLY, E_IO, CKR_TOKEN_WRITE_PROTECTED},
    {CKR_DURING_INIT, E_NOT_FOUND, CKR_TOKEN_NOT_PRESENT},
    {CKR_DURING_INIT, E_PIN_LENGTH, CKR_PIN_LEN_RANGE},
    {CKR_DURING_INIT, E_UNSUPPORTED, CKR_TOKEN_NOT_RECOGNIZED},
};

CK_RV ckr_of(const struct err *e, enum ckr_during during)
{
    for (size_t i = 0; i < ARRAY_LEN(special); i++) {
        if (special[i].during == during && special[i].code == e->code)
            return special[i].rv;
    }
    if ((size_t)e->code >= ARRAY_LEN(general))
        return CKR_GENERAL_ERROR;
    return general[e->code];
}
