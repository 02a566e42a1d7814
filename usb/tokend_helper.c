#include "usb/tokend_helper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUESTION_MAX 128

/* A question goes as its number and its text, none for "stop"; an answer comes as the number,
 * and whether it is yes. */
struct message {
    uint32_t number;
    char text[QUESTION_MAX];
};
struct answer {
    uint32_t number;
    bool yes;
};

struct tokend_helper {
    int fd;
    pid_t pid;
    uint32_t number;
};

/* --- in the other process ---------------------------------------------------------------- */

struct running {
    pid_t pid; /* 0: none */
    int pidfd;
    uint32_t number;
};

static void run(struct running *r, const char *program, const struct message *m)
{
    char text[QUESTION_MAX];

    memcpy(text, m->text, sizeof(text));
    text[sizeof(text) - 1] = 0;
    r->number = m->number;
    r->pid = fork();
    if (r->pid == 0) {
        char *argv[] = {(char *)(uintptr_t)program, text, NULL};

        /* Its children, too, are ended by its group. */
        (void)setpgid(0, 0);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        execv(program, argv);
        _exit(127);
    }
    r->pidfd = r->pid > 0 ? pidfd_open(r->pid, 0) : -1;
    if (r->pid > 0)
        (void)setpgid(r->pid, r->pid);
    else
        r->pid = 0;
}

/* Its exit code; it is over after that. */
static int reap(struct running *r, bool kill_it)
{
    int status = -1;

    if (kill_it)
        (void)kill(-r->pid, SIGKILL);
    while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (r->pidfd >= 0)
        close(r->pidfd);
    r->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void answer(int fd, uint32_t number, bool yes)
{
    const struct answer a = {number, yes};

    (void)send(fd, &a, sizeof(a), MSG_NOSIGNAL);
}

/* Until the daemon is gone. */
static void serve(int fd, const char *program)
{
    struct running r = {.pid = 0, .pidfd = -1};
    struct message m;
    ssize_t n;

    for (;;) {
        struct pollfd p[2] = {{.fd = fd, .events = POLLIN},
                              {.fd = r.pid != 0 ? r.pidfd : -1, .events = POLLIN}};

        if (poll(p, 2, -1) < 0 && errno != EINTR)
            break;
        if (p[1].revents != 0)
            answer(fd, r.number, reap(&r, false) == 0);
        if (p[0].revents == 0)
            continue;
        n = recv(fd, &m, sizeof(m), 0);
        if (n != sizeof(m))
            break;
        if (r.pid != 0)
            (void)reap(&r, true);
        if (m.text[0] == 0)
            continue;
        run(&r, program, &m);
        if (r.pid == 0 || r.pidfd < 0)
            answer(fd, m.number, false);
    }
    if (r.pid != 0)
        (void)reap(&r, true);
}

/* --- in the daemon ------------------------------------------------------------------------- */

int tokend_helper_start(struct tokend_helper **out, const char *program, struct err *e)
{
    struct tokend_helper *h;
    int pair[2];

    if (program[0] != '/' || access(program, X_OK) != 0)
        return err_set(e, E_NOT_FOUND, "'%.200s' cannot be run: give the whole path of a program",
                       program);
    h = calloc(1, sizeof(*h));
    if (h == NULL)
        return err_set(e, E_MEMORY, "out of memory for the presence");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        free(h);
        return err_set(e, E_IO, "no sockets for the presence: %s", strerror(errno));
    }
    h->pid = fork();
    if (h->pid == 0) {
        close(pair[0]);
        serve(pair[1], program);
        _exit(0);
    }
    close(pair[1]);
    h->fd = pair[0];
    if (h->pid < 0) {
        tokend_helper_end(h);
        return err_set(e, E_IO, "no process for the presence: %s", strerror(errno));
    }
    *out = h;
    return 0;
}

static void tell(struct tokend_helper *h, const char *text)
{
    struct message m = {.number = ++h->number};

    memcpy(m.text, text, strnlen(text, sizeof(m.text) - 1));
    (void)send(h->fd, &m, sizeof(m), MSG_NOSIGNAL);
}

void tokend_helper_ask(struct tokend_helper *h, const char *question)
{
    tell(h, question);
}

void tokend_helper_stop(struct tokend_helper *h)
{
    tell(h, "");
}

bool tokend_helper_answered(struct tokend_helper *h, bool *yes)
{
    struct answer a = {0};
    ssize_t n;

    do {
        n = recv(h->fd, &a, sizeof(a), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return false;
        /* Without the helper nobody can say yes. */
        if (n != sizeof(a)) {
            *yes = false;
            return true;
        }
    } while (a.number != h->number);
    *yes = a.yes;
    return true;
}

int tokend_helper_fd(const struct tokend_helper *h)
{
    return h->fd;
}

void tokend_helper_end(struct tokend_helper *h)
{
    if (h == NULL)
        return;
    close(h->fd);
    if (h->pid > 0)
        (void)waitpid(h->pid, NULL, 0);
    free(h);
}
