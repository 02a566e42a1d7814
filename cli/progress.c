#include "cli/progress.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS 200000000L
#define FIRST_TICKS 2u

struct progress {
    const char *what;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool end;
    size_t done, all; /* 0: nothing is counted */
};

/* Called with the lock. */
static void line(const struct progress *p, char spin, long seconds)
{
    if (p->all != 0)
        fprintf(stderr, "\r%c %s: %zu of %zu, %ld s ", spin, p->what, p->done, p->all, seconds);
    else
        fprintf(stderr, "\r%c %s, %ld s ", spin, p->what, seconds);
}

static void *show(void *arg)
{
    static const char spin[] = "|/-\\";
    struct progress *p = arg;
    struct timespec began, until;
    unsigned ticks = 0;

    clock_gettime(CLOCK_MONOTONIC, &began);
    until = began;
    pthread_mutex_lock(&p->lock);
    while (!p->end) {
        until.tv_nsec += TICK_NS;
        if (until.tv_nsec >= 1000000000L) {
            until.tv_nsec -= 1000000000L;
            until.tv_sec++;
        }
        if (pthread_cond_timedwait(&p->ended, &p->lock, &until) == 0)
            continue;
        if (++ticks > FIRST_TICKS)
            line(p, spin[ticks % 4], (long)(until.tv_sec - began.tv_sec));
    }
    pthread_mutex_unlock(&p->lock);
    /* Back to the start of the line, and the line emptied (ECMA-48, 8.3.41). */
    if (ticks > FIRST_TICKS)
        fputs("\r\033[K", stderr);
    return NULL;
}

struct progress *progress_begin(const char *what)
{
    struct progress *p;
    pthread_condattr_t attr;
    sigset_t all, was;
    int started;

    if (!isatty(STDERR_FILENO))
        return NULL;
    p = calloc(1, sizeof(*p));
    if (p == NULL)
        return NULL;
    p->what = what;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->ended, &attr);
    pthread_condattr_destroy(&attr);
    /* Signals stay the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was);
    started = pthread_create(&p->thread, NULL, show, p);
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    if (started == 0)
        return p;
    pthread_cond_destroy(&p->ended);
    pthread_mutex_destroy(&p->lock);
    free(p);
    return NULL;
}

void progress_count(struct progress *p, size_t done, size_t all)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->done = done;
    p->all = all;
    pthread_mutex_unlock(&p->lock);
}

void progress_end(struct progress *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->end = true;
    pthread_cond_signal(&p->ended);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->ended);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
