#include "pkcs11/entry.h"
#include "pkcs11/idle.h"
#include "pkcs11/plug.h"
#include "pkcs11/session_close.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/log.h"

/* Seconds that the end of the process waits for a call in another thread. */
#define EXIT_WAIT 2

/* The one instance. A shared object that PKCS#11 loads has no other place for it. */
static struct {
    /* Recursive, so that a fork made by a TCTI in the middle of a call (tcti-cmd)
     * does not wait for itself in before_fork(). */
    pthread_mutex_t mutex;
    bool inside; /* a call holds the mutex */
    bool hooked; /* fork and exit handlers are registered */
    bool alone;  /* we may not make threads */
    struct library *lib;
    /* The application's own mutex, when it wants that (5.4 C_Initialize). */
    void *app;
    CK_LOCKMUTEX lock;
    CK_UNLOCKMUTEX unlock;
    CK_DESTROYMUTEX destroy;
} the = {.mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP};

static CK_RV take_lock(void)
{
    CK_RV rv = CKR_OK;

    pthread_mutex_lock(&the.mutex);
    /* Both locks: ours excludes threads of the system, the application's excludes
     * what it calls threads. */
    if (the.app != NULL)
        rv = the.lock(the.app);
    /* A call from inside a call, by a library that we use and that was set up to use
     * us: the outer call is in the middle of what this one would change. */
    if (rv == CKR_OK && the.inside) {
        if (the.app != NULL)
            the.unlock(the.app);
        rv = CKR_FUNCTION_FAILED;
    }
    if (rv != CKR_OK) {
        pthread_mutex_unlock(&the.mutex);
        return rv;
    }
    the.inside = true;
    return CKR_OK;
}

static void give_lock(void)
{
    the.inside = false;
    if (the.app != NULL)
        the.unlock(the.app);
    pthread_mutex_unlock(&the.mutex);
}

/* Ends sessions and logins, and flushes the TPM where it answers. */
static void free_all(struct library *lib)
{
    if (lib == NULL)
        return;
    session_close_all(lib);
    slot_free_all(lib);
    library_free(lib);
}

/* --- nothing to do ---------------------------------------------------------- */

static bool rest(void)
{
    /* Who holds it is in a call, or in a fork. */
    if (pthread_mutex_trylock(&the.mutex) != 0)
        return false;
    if (the.lib != NULL) {
        library_rest(the.lib);
        library_release(the.lib);
    }
    pthread_mutex_unlock(&the.mutex);
    return true;
}

/* Where no clock can tell that nothing is to do, each call is taken for the last. */
static void after_call(struct library *lib)
{
    if (library_keeps_session(lib) && (the.alone || !idle_begin(rest)))
        library_rest(lib);
}

/* --- fork and exit ------------------------------------------------------- */

static void before_fork(void)
{
    pthread_mutex_lock(&the.mutex);
}

static void parent_after_fork(void)
{
    pthread_mutex_unlock(&the.mutex);
}

/* The child starts clean: C_Initialize works there. Its application mutex may be
 * held by a thread that the child does not have, so it is left alone. */
static void child_after_fork(void)
{
    pthread_mutexattr_t attr;

    idle_forget();
    if (!the.inside) {
        /* From here on the TPM object has no connection that could be talked on: the
         * parent goes on using it. The store knows the same about itself. */
        if (the.lib != NULL)
            library_forget(the.lib);
        free_all(the.lib);
        the.lib = NULL;
        the.app = NULL;
    }
    /* A recursive mutex knows its owner by thread id, which is another one here. */
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&the.mutex, &attr);
    pthread_mutexattr_destroy(&attr);
}

/* Many programs never call C_Finalize. Another thread may still be in a call, which
 * would fall over libcrypto's own clean-up after this one: it gets the time that a
 * signature takes, but not for ever, since the TPM may be dead. */
static void at_exit(void)
{
    struct timespec until;

    idle_end(EXIT_WAIT);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += EXIT_WAIT;
    if (pthread_mutex_timedlock(&the.mutex, &until) != 0)
        return;
    if (!the.inside) {
        free_all(the.lib);
        the.lib = NULL;
    }
    pthread_mutex_unlock(&the.mutex);
}

static CK_RV hook(void)
{
    if (the.hooked)
        return CKR_OK;
    /* Handlers run in reverse order: libcrypto's must be registered before ours,
     * since ours still needs libcrypto (an init without any option registers none). In a
     * shared object atexit() also makes the handler run at dlclose(). */
    OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
    if (pthread_atfork(before_fork, parent_after_fork, child_after_fork) != 0 ||
        atexit(at_exit) != 0)
        return CKR_HOST_MEMORY;
    the.hooked = true;
    return CKR_OK;
}

/* --- C_Initialize, C_Finalize -------------------------------------------- */

static CK_RV check_args(const CK_C_INITIALIZE_ARGS *a, bool *app_mutex)
{
    int given;

    *app_mutex = false;
    if (a == NULL)
        return CKR_OK;
    given = (a->CreateMutex != NULL) + (a->DestroyMutex != NULL) + (a->LockMutex != NULL) +
            (a->UnlockMutex != NULL);
    if (a->pReserved != NULL || (given != 0 && given != 4))
        return CKR_ARGUMENTS_BAD;
    /* With CKF_OS_LOCKING_OK we may choose, and choose the system's locks. */
    *app_mutex = given == 4 && (a->flags & CKF_OS_LOCKING_OK) == 0;
    return CKR_OK;
}

CK_RV entry_start(const CK_C_INITIALIZE_ARGS *args)
{
    struct err e = {0};
    bool app_mutex;
    CK_RV rv = check_args(args, &app_mutex);

    if (rv != CKR_OK)
        return rv;
    pthread_mutex_lock(&the.mutex);
    if (the.lib != NULL) {
        rv = CKR_CRYPTOKI_ALREADY_INITIALIZED;
        goto out;
    }
    rv = hook();
    if (rv != CKR_OK)
        goto out;
    if (app_mutex) {
        rv = args->CreateMutex(&the.app);
        if (rv != CKR_OK) {
            the.app = NULL;
            goto out;
        }
        the.lock = args->LockMutex;
        the.unlock = args->UnlockMutex;
        the.destroy = args->DestroyMutex;
    }
    /* Its mutex may exclude only what it calls threads. */
    the.alone = app_mutex || (args != NULL && (args->flags & CKF_LIBRARY_CANT_CREATE_OS_THREADS));
    fail_clear();
    if (library_new(&the.lib, &e) != 0) {
        rv = fail_rv(&e, CKR_DURING_ANY);
        if (the.app != NULL)
            the.destroy(the.app);
        the.app = NULL;
    }
out:
    pthread_mutex_unlock(&the.mutex);
    return rv;
}

CK_RV entry_stop(void)
{
    struct library *lib;
    void *app;
    CK_RV rv = entry_begin(&lib);

    if (rv != CKR_OK)
        return rv;
    the.lib = NULL;
    idle_end(EXIT_WAIT);
    free_all(lib);
    /* As give_lock(), but the application's mutex ends here. */
    app = the.app;
    the.app = NULL;
    the.inside = false;
    if (app != NULL) {
        the.unlock(app);
        the.destroy(app);
    }
    pthread_mutex_unlock(&the.mutex);
    return CKR_OK;
}

/* --- every other call ---------------------------------------------------- */

CK_RV entry_begin(struct library **out)
{
    CK_RV rv = take_lock();

    if (rv != CKR_OK)
        return rv;
    if (the.lib == NULL)
        return entry_end(CKR_CRYPTOKI_NOT_INITIALIZED);
    fail_clear();
    *out = the.lib;
    return CKR_OK;
}

CK_RV entry_session(CK_SESSION_HANDLE handle, struct p11_session **out)
{
    struct library *lib;
    struct p11_session *s;
    CK_RV rv = entry_begin(&lib);

    if (rv != CKR_OK)
        return rv;
    s = p11_session_find(lib, handle);
    if (s == NULL)
        return entry_end(CKR_SESSION_HANDLE_INVALID);
    if (plug_lost(lib, s->slot))
        return entry_end(CKR_DEVICE_REMOVED);
    *out = s;
    return CKR_OK;
}

CK_RV entry_objects(CK_SESSION_HANDLE handle, struct p11_session **out)
{
    CK_RV rv = entry_session(handle, out);

    if (rv == CKR_OK)
        slot_recheck((*out)->lib, (*out)->slot);
    return rv;
}

bool entry_readable(const void *p, CK_ULONG len)
{
    return len <= PTRDIFF_MAX && (p != NULL || len == 0);
}

CK_RV entry_end(CK_RV rv)
{
    if (the.lib != NULL) {
        after_call(the.lib);
        library_release(the.lib);
    }
    give_lock();
    return rv;
}

struct err entry_last_error(void)
{
    struct err e;

    pthread_mutex_lock(&the.mutex);
    e = fail_last();
    pthread_mutex_unlock(&the.mutex);
    return e;
}

void entry_quiet(void)
{
    pthread_mutex_lock(&the.mutex);
    fail_quiet();
    pthread_mutex_unlock(&the.mutex);
}
