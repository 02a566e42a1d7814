#include "usb/tokend_presence.h"

#include "core/log.h"
#include "usb/clock.h"
#include "usb/tokend_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A press is longer than that. */
#define GPIO_LOOK_MS 20
#define TERMINAL_LOOK_MS 1000

struct tokend_presence {
    const struct method *method; /* NULL: none */
    unsigned timeout_ms, hold_ms;
    int fd;
    bool open, held; /* held: answered by an earlier yes */
    bool pressed;    /* gpio: at the last look */
    uint64_t until, good_until;
    struct tokend_helper *helper;
};

/* A way to ask. `look` is called while a question is open. */
struct method {
    const char *name; /* with a ":" when a value follows */
    int (*start)(struct tokend_presence *p, const char *value, struct err *e);
    void (*ask)(struct tokend_presence *p, const char *question);
    enum tokend_presence_answer (*look)(struct tokend_presence *p);
    void (*stop)(struct tokend_presence *p);
    int look_ms;
};

/* --- a line on the terminal ------------------------------------------------------------- */

static bool readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static int terminal_start(struct tokend_presence *p, const char *value, struct err *e)
{
    (void)value;
    if (fcntl(STDIN_FILENO, F_GETFD) < 0)
        return err_set(e, E_NOT_FOUND, "--presence terminal: there is no standard input");
    p->fd = STDIN_FILENO;
    return 0;
}

static void terminal_ask(struct tokend_presence *p, const char *question)
{
    char scrap[256];

    /* What was typed before the question is no answer to it. */
    while (readable(p->fd) && read(p->fd, scrap, sizeof(scrap)) > 0)
        ;
    (void)dprintf(STDOUT_FILENO, "%s: press Enter to allow it, n to refuse\n", question);
}

static enum tokend_presence_answer terminal_look(struct tokend_presence *p)
{
    char line[256];
    ssize_t n;

    if (!readable(p->fd))
        return TOKEND_PRESENCE_WAITS;
    n = read(p->fd, line, sizeof(line));
    if (n > 0 && (line[0] == '\n' || line[0] == 'y' || line[0] == 'Y'))
        return TOKEND_PRESENCE_YES;
    return TOKEND_PRESENCE_NO;
}

static void terminal_stop(struct tokend_presence *p)
{
    (void)p;
}

/* --- a button --------------------------------------------------------------------------- */

static bool pressed(const struct tokend_presence *p)
{
    char c = '0';

    return pread(p->fd, &c, 1, 0) == 1 && c == '1';
}

static int gpio_start(struct tokend_presence *p, const char *value, struct err *e)
{
    char c;

    p->fd = open(value, O_RDONLY | O_CLOEXEC);
    if (p->fd < 0)
        return err_set(e, errno == EACCES ? E_DENIED : E_NOT_FOUND,
                       "the button's file %.200s cannot be opened: %s", value, strerror(errno));
    if (pread(p->fd, &c, 1, 0) != 1 || (c != '0' && c != '1'))
        return err_set(e, E_FORMAT, "%.200s reads neither 0 nor 1: it is no button", value);
    return 0;
}

static void gpio_ask(struct tokend_presence *p, const char *question)
{
    log_info("%s: waits for the button", question);
    /* One that is stuck, or held down for long, confirms nothing. */
    p->pressed = pressed(p);
}

static enum tokend_presence_answer gpio_look(struct tokend_presence *p)
{
    const bool before = p->pressed;

    p->pressed = pressed(p);
    return p->pressed && !before ? TOKEND_PRESENCE_YES : TOKEND_PRESENCE_WAITS;
}

static void gpio_stop(struct tokend_presence *p)
{
    (void)p;
}

/* --- a program ---------------------------------------------------------------------------- */

static int command_start(struct tokend_presence *p, const char *value, struct err *e)
{
    if (tokend_helper_start(&p->helper, value, e) != 0)
        return -1;
    p->fd = tokend_helper_fd(p->helper);
    return 0;
}

static void command_ask(struct tokend_presence *p, const char *question)
{
    tokend_helper_ask(p->helper, question);
}

static enum tokend_presence_answer command_look(struct tokend_presence *p)
{
    bool yes;

    if (!tokend_helper_answered(p->helper, &yes))
        return TOKEND_PRESENCE_WAITS;
    return yes ? TOKEND_PRESENCE_YES : TOKEND_PRESENCE_NO;
}

static void command_stop(struct tokend_presence *p)
{
    tokend_helper_stop(p->helper);
}

/* --- questions ------------------------------------------------------------------------------ */

static const struct method methods[] = {
    {"terminal", terminal_start, terminal_ask, terminal_look, terminal_stop, TERMINAL_LOOK_MS},
    {"gpio:", gpio_start, gpio_ask, gpio_look, gpio_stop, GPIO_LOOK_MS},
    {"command:", command_start, command_ask, command_look, command_stop, TERMINAL_LOOK_MS},
};

unsigned tokend_presence_ms(const struct tokend_presence *p)
{
    return p->method != NULL ? p->timeout_ms : 0;
}

void tokend_presence_ask(struct tokend_presence *p, const char *question)
{
    tokend_presence_stop(p);
    p->held = p->method == NULL || clock_ms() < p->good_until;
    p->open = true;
    p->until = clock_ms() + p->timeout_ms;
    if (!p->held)
        p->method->ask(p, question);
}

enum tokend_presence_answer tokend_presence_look(struct tokend_presence *p)
{
    enum tokend_presence_answer answer;

    if (!p->open)
        return TOKEND_PRESENCE_NO;
    if (p->held)
        return TOKEND_PRESENCE_YES;
    answer = p->method->look(p);
    if (answer == TOKEND_PRESENCE_YES)
        p->good_until = clock_ms() + p->hold_ms;
    if (answer == TOKEND_PRESENCE_WAITS && clock_ms() >= p->until)
        answer = TOKEND_PRESENCE_NO;
    return answer;
}

int tokend_presence_fd(const struct tokend_presence *p)
{
    /* A file is readable always. */
    return p->open && !p->held && p->method->look != gpio_look ? p->fd : -1;
}

int tokend_presence_next_ms(const struct tokend_presence *p)
{
    const uint64_t at = clock_ms();
    const int left = at < p->until ? (int)(p->until - at) : 0;

    if (!p->open || p->held)
        return 0;
    return left < p->method->look_ms ? left : p->method->look_ms;
}

void tokend_presence_stop(struct tokend_presence *p)
{
    if (p->open && !p->held)
        p->method->stop(p);
    p->open = p->held = false;
}

/* --- life ------------------------------------------------------------------------------------- */

int tokend_presence_open(struct tokend_presence **out, const char *how, unsigned timeout_s,
                         unsigned hold_s, struct err *e)
{
    struct tokend_presence *p;
    const struct method *m = NULL;
    const char *value = "";

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        const size_t len = strlen(methods[i].name);
        const bool takes = methods[i].name[len - 1] == ':';

        if (takes ? strncmp(how, methods[i].name, len) == 0 && how[len] != 0
                  : strcmp(how, methods[i].name) == 0) {
            m = &methods[i];
            value = how + len;
        }
    }
    if (m == NULL && strcmp(how, "none") != 0)
        return err_set(e, E_ARG,
                       "--presence is none, terminal, gpio:FILE or command:PROGRAM, not '%.100s'",
                       how);
    if (timeout_s < 1 || timeout_s > TOKEND_PRESENCE_MAX_S || hold_s > TOKEND_PRESENCE_MAX_S)
        return err_set(e, E_ARG, "a presence is waited for from 1 to %d seconds",
                       TOKEND_PRESENCE_MAX_S);
    p = calloc(1, sizeof(*p));
    if (p == NULL)
        return err_set(e, E_MEMORY, "out of memory for the presence");
    p->fd = -1;
    p->timeout_ms = timeout_s * 1000;
    p->hold_ms = hold_s * 1000;
    p->method = m;
    if (m != NULL && m->start(p, value, e) != 0) {
        tokend_presence_close(p);
        return -1;
    }
    *out = p;
    return 0;
}

void tokend_presence_close(struct tokend_presence *p)
{
    if (p == NULL)
        return;
    tokend_presence_stop(p);
    if (p->helper != NULL)
        tokend_helper_end(p->helper);
    else if (p->fd > STDIN_FILENO)
        close(p->fd);
    free(p);
}
