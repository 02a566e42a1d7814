/* What checks use, and what the worker process does around each of them. */
#include "tests/conformance/conf.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/conformance/worker.h"

CK_FUNCTION_LIST *f;
CK_FUNCTION_LIST_3_0 *f3;
void *conf_dl;
CK_SLOT_ID slot;
CK_SESSION_HANDLE ses, base;
unsigned conf_epoch;
CK_BYTE conf_pin[256], conf_so_pin[256];
CK_ULONG conf_pin_len, conf_so_pin_len;

static struct worker_result *now; /* of the running check */
static const struct worker_check *running;
static bool initialised;

/* --- how a check ends ----------------------------------------------------- */

void conf_fail(const char *why, ...)
{
    va_list ap;

    va_start(ap, why);
    vsnprintf(now->why, sizeof now->why, why, ap);
    va_end(ap);
    now->verdict = WORKER_FAILED;
    fail();
    abort();
}

void conf_skip(const char *why, ...)
{
    va_list ap;

    va_start(ap, why);
    vsnprintf(now->why, sizeof now->why, why, ap);
    va_end(ap);
    now->verdict = WORKER_SKIPPED;
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
    CK_MECHANISM_INFO i;

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

int conf_sweep(void)
{
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE t[] = {{CKA_LABEL, CONF_LABEL, strlen(CONF_LABEL)}, {CKA_TOKEN, &yes, 1}};
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

/* --- the worker ----------------------------------------------------------- */

static void get_3_0(void)
{
    CK_C_GetInterface get;
    CK_INTERFACE *i = NULL;
    CK_VERSION v = {3, 0};

    *(void **)&get = dlsym(conf_dl, "C_GetInterface");
    if (get != NULL && get((CK_UTF8CHAR *)"PKCS 11", &v, &i, 0) == CKR_OK && i != NULL)
        f3 = i->pFunctionList;
}

bool worker_load(const char *path)
{
    CK_C_GetFunctionList get;

    conf_dl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (conf_dl == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return false;
    }
    *(void **)&get = dlsym(conf_dl, "C_GetFunctionList");
    if (get == NULL || get(&f) != CKR_OK || f == NULL) {
        fprintf(stderr, "%s: no C_GetFunctionList\n", path);
        return false;
    }
    get_3_0();
    return true;
}

static bool is_label(const CK_UTF8CHAR label[32], const char *want)
{
    size_t len = strlen(want);

    if (len > 32 || memcmp(label, want, len) != 0)
        return false;
    for (size_t i = len; i < 32; i++) {
        if (label[i] != ' ')
            return false;
    }
    return true;
}

static void find_token(void)
{
    CK_SLOT_ID ids[64];
    CK_ULONG n = N(ids);
    CK_TOKEN_INFO t;

    OK(f->C_GetSlotList(CK_TRUE, ids, &n));
    for (CK_ULONG i = 0; i < n; i++) {
        if (f->C_GetTokenInfo(ids[i], &t) != CKR_OK || !(t.flags & CKF_TOKEN_INITIALIZED))
            continue;
        if (worker_label == NULL || is_label(t.label, worker_label)) {
            slot = ids[i];
            return;
        }
    }
    now->verdict = WORKER_NO_TOKEN;
    conf_fail("no initialised token%s%s", worker_label != NULL ? " labelled " : "",
              worker_label != NULL ? worker_label : "");
}

static void initialise(void)
{
    CK_C_INITIALIZE_ARGS a = {.flags = CKF_OS_LOCKING_OK};

    if (initialised)
        return;
    OK(f->C_Initialize(&a));
    initialised = true;
    find_token();
}

static void forget_base(void)
{
    ses = base = 0;
    conf_epoch++;
}

static void log_in(void)
{
    CK_SESSION_INFO i;
    CK_RV rv;

    if (base != 0 && f->C_GetSessionInfo(base, &i) == CKR_OK && i.state == CKS_RW_USER_FUNCTIONS)
        return;
    (void)f->C_CloseAllSessions(slot);
    forget_base();
    base = conf_open(CKF_RW_SESSION);
    rv = f->C_Login(base, CKU_USER, conf_pin, conf_pin_len);
    if (rv != CKR_OK) {
        now->verdict = WORKER_NO_TOKEN; /* more tries would lock the PIN */
        conf_fail("cannot log in: %s", conf_ckr(rv));
    }
}

static void before(enum conf_level level)
{
    if (level == CONF_RAW) {
        if (initialised)
            OK(f->C_Finalize(NULL));
        initialised = false;
        forget_base();
        return;
    }
    initialise();
    if (level == CONF_USER) {
        log_in();
        ses = conf_open(CKF_RW_SESSION);
        return;
    }
    (void)f->C_CloseAllSessions(slot);
    forget_base();
}

static void after(enum conf_level level)
{
    if (level == CONF_RAW) {
        (void)f->C_Finalize(NULL);
        initialised = false;
    } else if (level == CONF_INIT) {
        (void)f->C_CloseAllSessions(slot);
    } else if (ses != 0) {
        (void)f->C_CloseSession(ses);
        ses = 0;
    }
}

/* A crash shall end the worker: cmocka would go on with locks that are held for ever. */
static struct sigaction first_actions[NSIG];
static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS};

static void in_cmocka(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(crashes); i++)
        sigaction(crashes[i], &first_actions[crashes[i]], NULL);
    before(running->level);
    running->run(running->arg);
}

void worker_run(const struct worker_check *c, struct worker_result *r)
{
    const struct CMUnitTest test[] = {cmocka_unit_test(in_cmocka)};

    for (size_t i = 0; i < N(crashes); i++)
        sigaction(crashes[i], NULL, &first_actions[crashes[i]]);
    running = c;
    now = r;
    r->verdict = WORKER_PASSED;
    r->why[0] = '\0';
    cmocka_set_message_output(CM_OUTPUT_STDOUT);
    if (_cmocka_run_group_tests("check", test, 1, NULL, NULL) != 0 && r->verdict == WORKER_PASSED) {
        r->verdict = WORKER_FAILED;
        snprintf(r->why, sizeof r->why, "an assertion failed");
    }
    after(c->level);
}

void worker_end(void)
{
    if (initialised)
        (void)f->C_Finalize(NULL);
}
