/* What checks use. */
#include "tests/conformance/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

CK_FUNCTION_LIST *f;
CK_FUNCTION_LIST_3_0 *f3;
void *conf_dl;
CK_SLOT_ID slot;
CK_SESSION_HANDLE ses, base;
unsigned conf_epoch;
CK_BYTE conf_pin[256], conf_so_pin[256];
CK_ULONG conf_pin_len, conf_so_pin_len;

struct conf_end conf_end;

/* --- how a check ends ----------------------------------------------------- */

void conf_fail(const char *why, ...)
{
    va_list ap;

    va_start(ap, why);
    vsnprintf(conf_end.why, sizeof conf_end.why, why, ap);
    va_end(ap);
    if (conf_end.verdict != CONF_NO_TOKEN)
        conf_end.verdict = CONF_FAILED;
    fail();
    abort();
}

void conf_skip(const char *why, ...)
{
    va_list ap;

    va_start(ap, why);
    vsnprintf(conf_end.why, sizeof conf_end.why, why, ap);
    va_end(ap);
    conf_end.verdict = CONF_SKIPPED;
    skip();
    abort();
}

/* The function's name: what stands before the first parenthesis, without the list. */
static const char *function(const char *call)
{
    static char name[64];
    const char *arrow = strstr(call, "->"), *end = strchr(call, '(');

    if (arrow != NULL && (end == NULL || arrow < end))
        call = arrow + 2;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(call, "("), call);
    return name;
}

CK_RV conf_expect(const char *call, int line, CK_RV rv, const CK_RV *want, size_t n)
{
    char list[256] = "";
    size_t used = 0;

    for (size_t i = 0; i < n; i++) {
        if (rv == want[i])
            return rv;
    }
    for (size_t i = 0; i < n && used < sizeof list - 1; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : " or ",
                                 conf_ckr(want[i]));
    conf_fail("%s (line %d) answers %s, not %s", function(call), line, conf_ckr(rv), list);
}

void conf_refused(const char *call, int line, CK_RV rv)
{
    if (rv == CKR_OK || rv == CKR_GENERAL_ERROR || rv == CKR_FUNCTION_FAILED ||
        rv == CKR_DEVICE_ERROR || rv == CKR_HOST_MEMORY || rv == CKR_DEVICE_MEMORY)
        conf_fail("%s (line %d) answers %s to a caller's mistake", function(call), line,
                  conf_ckr(rv));
}

void conf_same(const char *what, const void *got, size_t got_len, const void *want, size_t len)
{
    if (got_len != len)
        conf_fail("%s: %zu bytes, not %zu", what, got_len, len);
    if (len > 0 && memcmp(got, want, len) != 0)
        conf_fail("%s: the bytes differ", what);
}

/* --- what checks ask for -------------------------------------------------- */

bool conf_has(CK_MECHANISM_TYPE m, CK_FLAGS flags)
{
    CK_MECHANISM_INFO i = {0, 0, 0};

    return f->C_GetMechanismInfo(slot, m, &i) == CKR_OK && (i.flags & flags) == flags;
}

void conf_need(CK_MECHANISM_TYPE m, CK_FLAGS flags)
{
    if (!conf_has(m, flags))
        conf_skip("mechanism 0x%lx with flags 0x%lx is not advertised", m, flags);
}

void conf_need_3_0(void)
{
    if (f3 == NULL)
        conf_skip("the module has no 3.0 interface");
}

CK_RV conf_supported(CK_RV rv)
{
    if (rv == CKR_FUNCTION_NOT_SUPPORTED)
        conf_skip("%s", conf_ckr(rv));
    return rv;
}

CK_SESSION_HANDLE conf_open(CK_FLAGS more)
{
    CK_SESSION_HANDLE h = 0;

    OK(f->C_OpenSession(slot, CKF_SERIAL_SESSION | more, NULL, NULL, &h));
    return h;
}

void conf_login(CK_SESSION_HANDLE h, CK_USER_TYPE user)
{
    if (user == CKU_SO)
        OK(f->C_Login(h, CKU_SO, conf_so_pin, conf_so_pin_len));
    else
        OK(f->C_Login(h, user, conf_pin, conf_pin_len));
}

CK_ULONG conf_token_objects(void)
{
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE t[] = {{CKA_TOKEN, &yes, sizeof yes}};
    CK_OBJECT_HANDLE h[64];
    CK_ULONG n = 0, all = 0;

    OK(f->C_FindObjectsInit(ses, t, 1));
    do {
        OK(f->C_FindObjects(ses, h, N(h), &n));
        all += n;
    } while (n > 0);
    OK(f->C_FindObjectsFinal(ses));
    return all;
}

static int sweep(const char *label)
{
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE t[] = {{CKA_LABEL, (void *)(uintptr_t)label, strlen(label)}, {CKA_TOKEN, &yes, 1}};
    CK_OBJECT_HANDLE h[256];
    CK_ULONG n = 0;
    int gone = 0;

    if (f->C_FindObjectsInit(ses, t, N(t)) != CKR_OK)
        return -1;
    if (f->C_FindObjects(ses, h, N(h), &n) != CKR_OK)
        n = 0;
    (void)f->C_FindObjectsFinal(ses);
    for (CK_ULONG i = 0; i < n; i++)
        gone += f->C_DestroyObject(ses, h[i]) == CKR_OK;
    return gone;
}

int conf_sweep(void)
{
    (void)sweep(CONF_LABEL ", changed");
    return sweep(CONF_LABEL);
}
