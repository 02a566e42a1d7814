/* The functions that 3.0 adds: how its interface is found, and their arguments. */
#include <dlfcn.h>

#include "tests/conformance/keys.h"

#define BAD 0x7f5eadUL

static CK_BYTE buf[256];
static CK_ULONG n;
static CK_MECHANISM gcm = MECH(CKM_AES_GCM), ecdsa = MECH(CKM_ECDSA);
static CK_MECHANISM unknown = MECH(0x7ffffff3UL);

/* clang-format off */
#define BY_SESSION(X) \
    X(LoginUser, (h, CKU_USER, buf, 8, buf, 4)) \
    X(SessionCancel, (h, CKF_ENCRYPT)) \
    X(MessageEncryptInit, (h, &gcm, 1)) \
    X(EncryptMessage, (h, buf, 8, NULL, 0, buf, 16, buf, &n)) \
    X(EncryptMessageBegin, (h, buf, 8, NULL, 0)) \
    X(EncryptMessageNext, (h, buf, 8, buf, 16, buf, &n, 0)) \
    X(MessageEncryptFinal, (h)) \
    X(MessageDecryptInit, (h, &gcm, 1)) \
    X(DecryptMessage, (h, buf, 8, NULL, 0, buf, 16, buf, &n)) \
    X(DecryptMessageBegin, (h, buf, 8, NULL, 0)) \
    X(DecryptMessageNext, (h, buf, 8, buf, 16, buf, &n, 0)) \
    X(MessageDecryptFinal, (h)) \
    X(MessageSignInit, (h, &ecdsa, 1)) \
    X(SignMessage, (h, NULL, 0, buf, 32, buf, &n)) \
    X(SignMessageBegin, (h, NULL, 0)) \
    X(SignMessageNext, (h, NULL, 0, buf, 32, buf, &n)) \
    X(MessageSignFinal, (h)) \
    X(MessageVerifyInit, (h, &ecdsa, 1)) \
    X(VerifyMessage, (h, NULL, 0, buf, 32, buf, 64)) \
    X(VerifyMessageBegin, (h, NULL, 0)) \
    X(VerifyMessageNext, (h, NULL, 0, buf, 32, buf, 64)) \
    X(MessageVerifyFinal, (h))
/* clang-format on */

struct handle_call {
    const char *name;
    CK_RV (*call)(CK_ULONG h);
};

#define DEFINE_H(name, args)           \
    static CK_RV do_##name(CK_ULONG h) \
    {                                  \
        (void)h;                       \
        return f3->C_##name args;      \
    }
#define ROW_H(name, args) {"C_" #name, do_##name},

BY_SESSION(DEFINE_H)
static const struct handle_call by_session[] = {BY_SESSION(ROW_H)};

/* Base 3.0, 5.1.1 */
static void uninitialised(const void *arg)
{
    const struct handle_call *c = arg;

    conf_need_3_0();
    n = sizeof buf;
    EXPECT(c->call(0), CKR_CRYPTOKI_NOT_INITIALIZED, CKR_FUNCTION_NOT_SUPPORTED);
}

/* Base 3.0, 5.1.2 */
static void bad_session(const void *arg)
{
    const struct handle_call *c = arg;

    conf_need_3_0();
    n = sizeof buf;
    EXPECT(c->call(BAD), CKR_SESSION_HANDLE_INVALID, CKR_FUNCTION_NOT_SUPPORTED);
    EXPECT(c->call(0), CKR_SESSION_HANDLE_INVALID, CKR_FUNCTION_NOT_SUPPORTED);
}

/* Base 3.0, 5.8.5 and on: message functions need their Init. */
static void no_operation(const void *arg)
{
    const struct handle_call *c = arg;

    conf_need_3_0();
    n = sizeof buf;
    EXPECT(c->call(ses), CKR_OPERATION_NOT_INITIALIZED, CKR_FUNCTION_NOT_SUPPORTED);
}

struct wrong_call {
    const char *name, *what;
    CK_RV (*call)(void);
};

#define DEFINE_W(name, what, args)        \
    static CK_RV do_##name##_##what(void) \
    {                                     \
        return f3->C_##name args;         \
    }
#define ROW_W(name, what, args) {"C_" #name, #what, do_##name##_##what},

/* clang-format off */
#define WRONG(X) \
    X(MessageEncryptInit, key, (ses, &gcm, BAD)) \
    X(MessageDecryptInit, key, (ses, &gcm, BAD)) \
    X(MessageSignInit, key, (ses, &ecdsa, BAD)) \
    X(MessageVerifyInit, key, (ses, &ecdsa, BAD)) \
    X(MessageEncryptInit, mechanism, (ses, &unknown, BAD)) \
    X(MessageDecryptInit, mechanism, (ses, &unknown, BAD)) \
    X(MessageSignInit, mechanism, (ses, &unknown, BAD)) \
    X(MessageVerifyInit, mechanism, (ses, &unknown, BAD)) \
    X(LoginUser, type, (ses, 4711, buf, 8, NULL, 0)) \
    X(LoginUser, name, (ses, CKU_USER, conf_pin, conf_pin_len, NULL, 8))
/* clang-format on */

WRONG(DEFINE_W)
static const struct wrong_call wrong[] = {WRONG(ROW_W)};

static void wrong_argument(const void *arg)
{
    const struct wrong_call *c = arg;

    conf_need_3_0();
    REFUSED(c->call());
}

/* --- interfaces ----------------------------------------------------------- */

static CK_C_GetInterface get_interface(void)
{
    CK_C_GetInterface get;

    *(void **)&get = dlsym(conf_dl, "C_GetInterface");
    if (get == NULL)
        conf_skip("the module does not export C_GetInterface");
    return get;
}

/* Base 3.0, 5.4.5: with NULL the library's default. */
static void default_interface(const void *arg)
{
    CK_C_GetInterface get = get_interface();
    CK_INTERFACE *i = NULL;
    CK_FUNCTION_LIST *list;

    (void)arg;
    OK(get(NULL, NULL, &i, 0));
    MUST(i != NULL && i->pFunctionList != NULL && i->pInterfaceName != NULL, "it is empty");
    list = i->pFunctionList;
    MUST(list->version.major >= 2, "the default has version %u", list->version.major);
}

static void by_name(const void *arg)
{
    CK_C_GetInterface get = get_interface();
    CK_INTERFACE *i = NULL;

    (void)arg;
    OK(get((CK_UTF8CHAR *)"PKCS 11", NULL, &i, 0));
    MUST(i != NULL && strcmp((char *)i->pInterfaceName, "PKCS 11") == 0, "another interface");
}

static void by_version(const void *arg)
{
    CK_C_GetInterface get = get_interface();
    CK_INTERFACE *i = NULL;
    CK_VERSION v = {3, 0};
    CK_FUNCTION_LIST *list;

    (void)arg;
    conf_need_3_0();
    OK(get((CK_UTF8CHAR *)"PKCS 11", &v, &i, 0));
    list = i->pFunctionList;
    MUST(list->version.major == 3 && list->version.minor == 0, "version %u.%u, not 3.0",
         list->version.major, list->version.minor);
    v = (CK_VERSION){2, 40};
    if (get((CK_UTF8CHAR *)"PKCS 11", &v, &i, 0) == CKR_OK) {
        list = i->pFunctionList;
        MUST(list->version.major == 2 && list->version.minor == 40, "version %u.%u, not 2.40",
             list->version.major, list->version.minor);
    }
}

static void no_such_interface(const void *arg)
{
    CK_C_GetInterface get = get_interface();
    CK_INTERFACE *i = NULL;
    CK_VERSION v = {9, 99};

    (void)arg;
    REFUSED(get((CK_UTF8CHAR *)"No such interface", NULL, &i, 0));
    REFUSED(get((CK_UTF8CHAR *)"PKCS 11", &v, &i, 0));
    REFUSED(get(NULL, NULL, &i, 0x40000000UL));
    REFUSED(get(NULL, NULL, NULL, 0));
}

/* Base 3.0, 5.4.4: as all lists, its length first. */
static void interface_list(const void *arg)
{
    CK_C_GetInterfaceList get;
    CK_INTERFACE list[16];
    CK_ULONG count = 0, few = 0;
    bool found = false;

    (void)arg;
    *(void **)&get = dlsym(conf_dl, "C_GetInterfaceList");
    if (get == NULL)
        conf_skip("the module does not export C_GetInterfaceList");
    OK(get(NULL, &count));
    MUST(count >= 1 && count <= N(list), "%lu interfaces", count);
    EXPECT(get(list, &few), CKR_BUFFER_TOO_SMALL);
    MUST(few == count, "too small: %lu, not %lu", few, count);
    OK(get(list, &count));
    for (CK_ULONG i = 0; i < count; i++)
        found = found || strcmp((char *)list[i].pInterfaceName, "PKCS 11") == 0;
    MUST(found, "\"PKCS 11\" is not in it");
    REFUSED(get(list, NULL));
}

/* Base 3.0, 3.7 and 5.4.4: no pointer of a list is NULL. */
static void list_is_full(const void *arg)
{
    const void *const *at = (const void *const *)(const void *)f;

    (void)arg;
    for (size_t i = 1; i < sizeof *f / sizeof *at; i++)
        MUST(at[i] != NULL, "entry %zu of the 2.40 list is NULL", i);
    at = (const void *const *)(const void *)f3;
    for (size_t i = 1; f3 != NULL && i < sizeof *f3 / sizeof *at; i++)
        MUST(at[i] != NULL, "entry %zu of the 3.0 list is NULL", i);
}

/* Base 5.4: the list of C_GetFunctionList is a 2.x list, whatever else there is. */
static void function_list(const void *arg)
{
    CK_FUNCTION_LIST *list = NULL;

    (void)arg;
    OK(f->C_GetFunctionList(&list));
    MUST(list->version.major == 2, "version %u.%u", list->version.major, list->version.minor);
    REFUSED(f->C_GetFunctionList(NULL));
}

void args_v3_checks(void)
{
    conf_add(CONF_RAW, function_list, NULL, "interface/function-list-is-2.x");
    conf_add(CONF_RAW, list_is_full, NULL, "interface/no-entry-is-null");
    conf_add(CONF_RAW, default_interface, NULL, "interface/default");
    conf_add(CONF_RAW, by_name, NULL, "interface/by-name");
    conf_add(CONF_RAW, by_version, NULL, "interface/by-version");
    conf_add(CONF_RAW, no_such_interface, NULL, "interface/refusals");
    conf_add(CONF_RAW, interface_list, NULL, "interface/list");
    for (size_t i = 0; i < N(by_session); i++) {
        conf_add(CONF_RAW, uninitialised, &by_session[i], "args/%s/not-initialised",
                 by_session[i].name);
        conf_add(CONF_USER, bad_session, &by_session[i], "args/%s/invalid-session",
                 by_session[i].name);
        if (i >= 2 && strstr(by_session[i].name, "Init") == NULL)
            conf_add(CONF_USER, no_operation, &by_session[i], "args/%s/not-active",
                     by_session[i].name);
    }
    for (size_t i = 0; i < N(wrong); i++)
        conf_add(CONF_USER, wrong_argument, &wrong[i], "args/%s/garbage-%s", wrong[i].name,
                 wrong[i].what);
}
