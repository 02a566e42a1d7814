/* What the worker process does around each check. */
#include "tests/conformance/worker.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct worker_check *running;
static bool initialised;

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
    conf_end.verdict = CONF_NO_TOKEN;
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
        conf_end.verdict = CONF_NO_TOKEN; /* more tries would lock the PIN */
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

void worker_run(const struct worker_check *c)
{
    const struct CMUnitTest test[] = {cmocka_unit_test(in_cmocka)};

    for (size_t i = 0; i < N(crashes); i++)
        sigaction(crashes[i], NULL, &first_actions[crashes[i]]);
    running = c;
    conf_end = (struct conf_end){.verdict = CONF_PASSED};
    cmocka_set_message_output(CM_OUTPUT_STDOUT);
    if (_cmocka_run_group_tests("check", test, 1, NULL, NULL) != 0 &&
        conf_end.verdict == CONF_PASSED)
        conf_end = (struct conf_end){CONF_FAILED, "an assertion failed"};
    after(c->level);
}

void worker_end(void)
{
    if (initialised)
        (void)f->C_Finalize(NULL);
}
