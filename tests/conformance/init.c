/* C_Initialize and C_Finalize (Base 5.4), C_GetInfo, and slots. */
#include <sys/wait.h>
#include <unistd.h>

#include "tests/conformance/keys.h"

/* --- the application's own mutexes ---------------------------------------- */

static struct mutex {
    bool used;
    int locked;
} mutexes[4096];
static int made, gone, locks, unlocks, wrong;

static CK_RV make_mutex(void **m)
{
    if (made == (int)N(mutexes))
        return CKR_HOST_MEMORY;
    mutexes[made] = (struct mutex){.used = true};
    *m = &mutexes[made++];
    return CKR_OK;
}
static CK_RV end_mutex(void *m)
{
    struct mutex *x = m;

    if (x == NULL || !x->used || x->locked != 0)
        wrong++;
    else
        x->used = false;
    gone++;
    return CKR_OK;
}
static CK_RV lock_mutex(void *m)
{
    struct mutex *x = m;

    if (x == NULL || !x->used || x->locked != 0)
        wrong++; /* it would wait for itself for ever */
    else
        x->locked = 1;
    locks++;
    return CKR_OK;
}
static CK_RV unlock_mutex(void *m)
{
    struct mutex *x = m;

    if (x == NULL || !x->used || x->locked != 1)
        wrong++;
    else
        x->locked = 0;
    unlocks++;
    return CKR_OK;
}

static void some_calls(void)
{
    CK_SLOT_ID ids[64];
    CK_ULONG n = N(ids);
    CK_INFO i;

    OK(f->C_GetInfo(&i));
    OK(f->C_GetSlotList(CK_TRUE, ids, &n));
}

struct form {
    const char *name;
    bool null, mutexes;
    CK_FLAGS flags;
};
static const struct form forms[] = {
    {"null-arguments", true, false, 0},
    {"no-locking", false, false, 0},
    {"os-locking", false, false, CKF_OS_LOCKING_OK},
    {"own-mutexes", false, true, 0},
    {"own-mutexes-or-os-locking", false, true, CKF_OS_LOCKING_OK},
};

/* Base 5.4, C_Initialize: the four cases of threads; CKR_CANT_LOCK where mutexes are not taken. */
static void threading(const void *arg)
{
    const struct form *form = arg;
    CK_C_INITIALIZE_ARGS a = {.flags = form->flags};
    CK_RV rv;

    made = gone = locks = unlocks = wrong = 0;
    if (form->mutexes) {
        a.CreateMutex = make_mutex;
        a.DestroyMutex = end_mutex;
        a.LockMutex = lock_mutex;
        a.UnlockMutex = unlock_mutex;
    }
    rv = f->C_Initialize(form->null ? NULL : &a);
    if (rv == CKR_CANT_LOCK && (form->mutexes || form->flags != 0))
        conf_skip("CKR_CANT_LOCK");
    OK(rv);
    some_calls();
    OK(f->C_Finalize(NULL));
    if (!form->mutexes)
        return;
    MUST(wrong == 0, "%d calls of mutex functions are out of order", wrong);
    MUST(locks == unlocks, "%d locks and %d unlocks", locks, unlocks);
    MUST(made == gone, "%d mutexes are made and %d destroyed", made, gone);
    if (form->flags == 0)
        MUST(locks > 0, "the application's mutexes are not used");
}

/* Base 5.4: CKR_NEED_TO_CREATE_THREADS where a library cannot do without. */
static void no_threads(const void *arg)
{
    CK_C_INITIALIZE_ARGS a = {.flags = CKF_LIBRARY_CANT_CREATE_OS_THREADS};

    (void)arg;
    for (int both = 0; both < 2; both++) {
        a.flags |= both ? CKF_OS_LOCKING_OK : 0;
        if (EXPECT(f->C_Initialize(&a), CKR_OK, CKR_NEED_TO_CREATE_THREADS) == CKR_OK) {
            some_calls();
            OK(f->C_Finalize(NULL));
        }
    }
}

/* Base 5.4: "The value of pReserved ... must be NULL_PTR". */
static void reserved(const void *arg)
{
    CK_C_INITIALIZE_ARGS a = {.flags = CKF_OS_LOCKING_OK, .pReserved = &a};

    (void)arg;
    EXPECT(f->C_Initialize(&a), CKR_ARGUMENTS_BAD);
}

/* Base 5.4: all four of them or none. */
static void some_mutexes(const void *arg)
{
    (void)arg;
    for (unsigned mask = 1; mask < 15; mask++) {
        CK_C_INITIALIZE_ARGS a = {
            .CreateMutex = mask & 1 ? make_mutex : NULL,
            .DestroyMutex = mask & 2 ? end_mutex : NULL,
            .LockMutex = mask & 4 ? lock_mutex : NULL,
            .UnlockMutex = mask & 8 ? unlock_mutex : NULL,
        };

        EXPECT(f->C_Initialize(&a), CKR_ARGUMENTS_BAD);
    }
}

static void twice(const void *arg)
{
    (void)arg;
    OK(f->C_Initialize(NULL));
    EXPECT(f->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    some_calls();
}

static void finalize_twice(const void *arg)
{
    (void)arg;
    EXPECT(f->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    OK(f->C_Initialize(NULL));
    OK(f->C_Finalize(NULL));
    EXPECT(f->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
}

/* Base 5.4: "pReserved ... should be set to NULL_PTR", else CKR_ARGUMENTS_BAD. */
static void finalize_reserved(const void *arg)
{
    CK_ULONG x = 0;

    (void)arg;
    OK(f->C_Initialize(NULL));
    EXPECT(f->C_Finalize(&x), CKR_ARGUMENTS_BAD);
    some_calls();
}

static void many_times(const void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        OK(f->C_Initialize(NULL));
        OK(f->C_Finalize(NULL));
    }
}

/* Base 5.4: sessions do not outlive C_Finalize. */
static void sessions_end(const void *arg)
{
    CK_SESSION_HANDLE h = 0;
    CK_SESSION_INFO i;

    (void)arg;
    OK(f->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &h));
    OK(f->C_Finalize(NULL));
    OK(f->C_Initialize(NULL));
    EXPECT(f->C_GetSessionInfo(h, &i), CKR_SESSION_HANDLE_INVALID);
}

/* Base 5.4 (and Usage Guide 2.5.2): the child of a fork calls C_Initialize itself. Some libraries
 * say that they are initialised already, which callers take for OK. */
static void in_child(bool first)
{
    pid_t pid;
    int status = 0;

    if (first)
        OK(f->C_Initialize(NULL));
    pid = fork();
    if (pid == 0) {
        CK_RV rv = f->C_Initialize(NULL);
        CK_SLOT_ID ids[64];
        CK_ULONG n = N(ids);

        if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED)
            _exit(2);
        _exit(f->C_GetSlotList(CK_TRUE, ids, &n) == CKR_OK ? 0 : 3);
    }
    MUST(pid > 0 && waitpid(pid, &status, 0) == pid, "no fork");
    MUST(!WIFSIGNALED(status), "the child crashed");
    MUST(WEXITSTATUS(status) != 2, "C_Initialize fails in the child");
    MUST(WEXITSTATUS(status) == 0, "C_GetSlotList fails in the child");
    if (first)
        some_calls();
}

static void fork_initialised(const void *arg)
{
    (void)arg;
    in_child(true);
}
static void fork_fresh(const void *arg)
{
    (void)arg;
    in_child(false);
    OK(f->C_Initialize(NULL));
    some_calls();
}

/* --- C_GetInfo and slots -------------------------------------------------- */

static void padded(const char *what, const CK_UTF8CHAR *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        MUST(p[i] != '\0', "%s is not padded with blanks", what);
}

/* Base 3.1 CK_INFO: blanks at the end, no NUL; flags 0. */
static void info(const void *arg)
{
    CK_INFO i;

    (void)arg;
    memset(&i, 0, sizeof i);
    OK(f->C_GetInfo(&i));
    MUST(i.cryptokiVersion.major == 2 || i.cryptokiVersion.major == 3, "Cryptoki %u.%u",
         i.cryptokiVersion.major, i.cryptokiVersion.minor);
    padded("manufacturerID", i.manufacturerID, sizeof i.manufacturerID);
    padded("libraryDescription", i.libraryDescription, sizeof i.libraryDescription);
    MUST(i.flags == 0, "flags 0x%lx", i.flags);
}

/* Base 5.5 C_GetSlotList: its length, a buffer that is too small, and the right one. */
static void slot_list(const void *arg)
{
    CK_SLOT_ID ids[64];
    CK_ULONG all = 0, with = 0, few = 0;
    bool found = false;

    (void)arg;
    OK(f->C_GetSlotList(CK_FALSE, NULL, &all));
    OK(f->C_GetSlotList(CK_TRUE, NULL, &with));
    MUST(with <= all && with >= 1, "%lu slots, %lu with tokens", all, with);
    EXPECT(f->C_GetSlotList(CK_TRUE, ids, &few), CKR_BUFFER_TOO_SMALL);
    MUST(few == with, "too small: it says %lu, not %lu", few, with);
    MUST(with <= N(ids), "too many tokens for this check");
    OK(f->C_GetSlotList(CK_TRUE, ids, &with));
    for (CK_ULONG i = 0; i < with; i++)
        found = found || ids[i] == slot;
    MUST(found, "the token's slot is not in the list");
}

static void slot_info(const void *arg)
{
    CK_SLOT_INFO i;

    (void)arg;
    OK(f->C_GetSlotInfo(slot, &i));
    padded("slotDescription", i.slotDescription, sizeof i.slotDescription);
    padded("manufacturerID", i.manufacturerID, sizeof i.manufacturerID);
    MUST(i.flags & CKF_TOKEN_PRESENT, "no CKF_TOKEN_PRESENT");
    MUST((i.flags & ~(CKF_TOKEN_PRESENT | CKF_REMOVABLE_DEVICE | CKF_HW_SLOT)) == 0, "flags 0x%lx",
         i.flags);
}

/* Base 5.5 C_WaitForSlotEvent: CKF_DONT_BLOCK comes back at once. */
static void slot_event(const void *arg)
{
    CK_SLOT_ID id;

    (void)arg;
    for (int i = 0; i < 70; i++) {
        CK_RV rv = f->C_WaitForSlotEvent(CKF_DONT_BLOCK, &id, NULL);

        if (rv == CKR_NO_EVENT || rv == CKR_FUNCTION_NOT_SUPPORTED)
            return;
        OK(rv);
    }
    conf_fail("70 events in a row");
}

/* Base 5.15: legacy functions. */
static void legacy(const void *arg)
{
    (void)arg;
    EXPECT(f->C_GetFunctionStatus(ses), CKR_FUNCTION_NOT_PARALLEL);
    EXPECT(f->C_CancelFunction(ses), CKR_FUNCTION_NOT_PARALLEL);
}

void init_checks(void)
{
    for (size_t i = 0; i < N(forms); i++)
        conf_add(CONF_RAW, threading, &forms[i], "init/threads/%s", forms[i].name);
    conf_add(CONF_RAW, no_threads, NULL, "init/threads/library-cant-create");
    conf_add(CONF_RAW, reserved, NULL, "init/reserved-not-null");
    conf_add(CONF_RAW, some_mutexes, NULL, "init/some-mutex-functions");
    conf_add(CONF_RAW, twice, NULL, "init/twice");
    conf_add(CONF_RAW, finalize_twice, NULL, "init/finalize-twice");
    conf_add(CONF_RAW, finalize_reserved, NULL, "init/finalize-reserved");
    conf_add(CONF_RAW, many_times, NULL, "init/many-times");
    conf_add(CONF_INIT, sessions_end, NULL, "init/finalize-ends-sessions");
    conf_add(CONF_RAW, fork_initialised, NULL, "init/fork/child-of-initialised");
    conf_add(CONF_RAW, fork_fresh, NULL, "init/fork/child-of-fresh");
    conf_add(CONF_INIT, info, NULL, "init/info");
    conf_add(CONF_INIT, slot_list, NULL, "init/slot-list");
    conf_add(CONF_INIT, slot_info, NULL, "init/slot-info");
    conf_add(CONF_INIT, slot_event, NULL, "init/slot-event-does-not-block");
    conf_add(CONF_USER, legacy, NULL, "init/legacy-functions");
}
