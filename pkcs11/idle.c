#include "pkcs11/idle.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

/* Milliseconds until the next try. */
#define IDLE_AGAIN 200

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t thread;
    bool started; /* and not yet joined */
    bool runs;
    bool stop;
    uint64_t due;
    bool (*fn)(void);
} idle = {.mutex = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct timespec at(uint64_t ms)
{
    return (struct timespec){(time_t)(ms / 1000), (long)(ms % 1000) * 1000000L};
}

static void *run(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&idle.mutex);
    while (!idle.stop && idle.due != 0) {
        const uint64_t due = idle.due;
        struct timespec until = at(due);
        bool done;

        if (now() < due) {
            pthread_cond_clockwait(&idle.wake, &idle.mutex, CLOCK_MONOTONIC, &until);
            continue;
        }
        pthread_mutex_unlock(&idle.mutex);
        done = idle.fn();
        pthread_mutex_lock(&idle.mutex);
        /* Unless a call has come since. */
        if (idle.due == due)
            idle.due = done ? 0 : now() + IDLE_AGAIN;
    }
    idle.runs = false;
    pthread_mutex_unlock(&idle.mutex);
    return NULL;
}

/* Signals are the application's. */
static bool start(void)
{
    sigset_t all, before;
    bool ok;

    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
        return false;
    ok = pthread_create(&idle.thread, NULL, run, NULL) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ok;
}

bool idle_begin(bool (*fn)(void))
{
    bool ok = true;

    pthread_mutex_lock(&idle.mutex);
    idle.due = now() + IDLE_AFTER;
    idle.fn = fn;
    if (!idle.runs) {
        if (idle.started)
            pthread_join(idle.thread, NULL);
        idle.stop = false;
        idle.started = idle.runs = ok = start();
    }
    pthread_mutex_unlock(&idle.mutex);
    return ok;
}

void idle_end(int seconds)
{
    struct timespec until = at(now() + (uint64_t)seconds * 1000);

    pthread_mutex_lock(&idle.mutex);
    idle.stop = true;
    pthread_cond_signal(&idle.wake);
    pthread_mutex_unlock(&idle.mutex);
    if (idle.started && pthread_clockjoin_np(idle.thread, NULL, CLOCK_MONOTONIC, &until) != 0)
        return;
    idle.started = idle.stop = false;
}

void idle_forget(void)
{
    pthread_mutex_init(&idle.mutex, NULL);
    pthread_cond_init(&idle.wake, NULL);
    idle.started = idle.runs = idle.stop = false;
    idle.due = 0;
}
