#include <string.h>

#include "pkcs11/entry.h"
#include "pkcs11/text.h"

/* C_Initialize, C_Finalize, C_GetInfo (5.4), and the two functions that are left of
 * parallel sessions (5.16). */

CK_RV C_Initialize(void *args)
{
    return entry_start(args);
}

CK_RV C_Finalize(void *reserved)
{
    return reserved != NULL ? CKR_ARGUMENTS_BAD : entry_stop();
}

CK_RV C_GetInfo(CK_INFO *info)
{
    struct library *lib;
    CK_RV rv = entry_begin(&lib);

    if (rv != CKR_OK)
        return rv;
    if (info == NULL)
        return entry_end(CKR_ARGUMENTS_BAD);
    memset(info, 0, sizeof(*info));
    info->cryptokiVersion.major = 2;
    info->cryptokiVersion.minor = 40;
    text_pad(info->manufacturerID, sizeof(info->manufacturerID), TEXT_MANUFACTURER);
    text_pad(info->libraryDescription, sizeof(info->libraryDescription), TEXT_LIBRARY);
    info->libraryVersion.major = TEXT_VERSION_MAJOR;
    info->libraryVersion.minor = TEXT_VERSION_MINOR;
    return entry_end(CKR_OK);
}

static CK_RV not_parallel(CK_SESSION_HANDLE handle)
{
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    return rv == CKR_OK ? entry_end(CKR_FUNCTION_NOT_PARALLEL) : rv;
}

CK_RV C_GetFunctionStatus(CK_SESSION_HANDLE handle)
{
    return not_parallel(handle);
}

CK_RV C_CancelFunction(CK_SESSION_HANDLE handle)
{
    return not_parallel(handle);
}
