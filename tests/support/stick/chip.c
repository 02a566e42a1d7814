#include "tests/support/stick/chip.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CC_STARTUP 0x144
#define CC_GET_RANDOM 0x17B
#define RC_INITIALIZE 0x100
#define RC_CANCELED 0x909

/* swtpm_ioctls(3): commands of the control channel. */
#define SWTPM_INIT 2
#define SWTPM_CANCEL 9

static uint64_t now_ms(void)
{
    struct timespec ts = {0};

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint32_t big32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* --- swtpm ------------------------------------------------------------------------ */

static int dial(const char *path, const char *more)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s%s", path, more);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
        return fd;
    fprintf(stderr, "usbstick: nobody listens at %s\n", a.sun_path);
    if (fd >= 0)
        close(fd);
    return -1;
}

/* A command of the control channel with `n` bytes; what it answers is of no interest. */
static void control(struct chip *c, uint8_t command, size_t n)
{
    uint8_t m[8] = {0, 0, 0, command}, answer[4];
    int fd = dial(c->socket, ".ctrl");

    if (fd < 0)
        return;
    if (write(fd, m, 4 + n) != (ssize_t)(4 + n) || recv(fd, answer, 4, MSG_WAITALL) != 4)
        fprintf(stderr, "usbstick: swtpm does not hear\n");
    close(fd);
}

static void hang_up(struct chip *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static bool swtpm_answer(struct chip *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};

    while (c->fd >= 0 && poll(&p, 1, 0) == 1) {
        ssize_t n = read(c->fd, c->out + c->len, sizeof(c->out) - c->len);

        if (n <= 0)
            break;
        c->len += (size_t)n;
        if (c->len >= 10 && c->len >= big32(c->out + 2)) {
            hang_up(c);
            return true;
        }
    }
    return false;
}

/* --- the simple one ------------------------------------------------------------------- */

static void header(struct chip *c, size_t len, uint32_t rc)
{
    const uint8_t h[10] = {
        0x80, 0x01, 0, 0, (uint8_t)(len >> 8), (uint8_t)len, 0, 0, (uint8_t)(rc >> 8), (uint8_t)rc};

    memcpy(c->out, h, sizeof(h));
    c->len = len;
}

static void simple(struct chip *c, const uint8_t *command, size_t len)
{
    const uint32_t code = big32(command + 6);
    size_t n;

    c->due = now_ms() + c->delay_ms;
    if (code == CC_STARTUP || !c->started) {
        header(c, 10, (code == CC_STARTUP) == c->started ? RC_INITIALIZE : 0);
        c->started = c->started || code == CC_STARTUP;
        return;
    }
    header(c, 10, 0);
    if (code != CC_GET_RANDOM || len != 12)
        return;
    n = (size_t)command[10] << 8 | command[11];
    n = n < 1024 ? n : 1024;
    for (size_t i = 0; i < n; i++)
        c->out[12 + i] = (uint8_t)rand();
    c->out[10] = (uint8_t)(n >> 8);
    c->out[11] = (uint8_t)n;
    header(c, 12 + n, 0);
}

/* --- hooks -------------------------------------------------------------------------------- */

static void execute(void *arg, const uint8_t *command, size_t len)
{
    struct chip *c = arg;

    hang_up(c);
    c->commands++;
    c->canceled = false;
    c->len = 0;
    if (c->socket == NULL) {
        simple(c, command, len);
        return;
    }
    c->fd = dial(c->socket, "");
    if (c->fd >= 0 && write(c->fd, command, len) != (ssize_t)len)
        hang_up(c);
}

static bool answer(void *arg, uint8_t *response, size_t *len)
{
    struct chip *c = arg;

    if (c->socket != NULL && !swtpm_answer(c))
        return false;
    if (c->socket == NULL && c->canceled)
        header(c, 10, RC_CANCELED);
    else if (c->socket == NULL && now_ms() < c->due)
        return false;
    memcpy(response, c->out, c->len);
    *len = c->len;
    return true;
}

static void abort_command(void *arg)
{
    struct chip *c = arg;

    if (c->fd >= 0)
        control(c, SWTPM_CANCEL, 0);
    hang_up(c);
}

static void cancel(void *arg)
{
    struct chip *c = arg;

    c->canceled = true;
    if (c->fd >= 0)
        control(c, SWTPM_CANCEL, 0);
}

void chip_attach(struct chip *c, struct unit_tis *t)
{
    c->fd = -1;
    t->execute = execute;
    t->answer = answer;
    t->abort = abort_command;
    t->cancel = cancel;
    t->arg = c;
}

void chip_power(struct chip *c, struct unit_tis *t)
{
    struct unit_tis fresh = {.fault = t->fault, .burst = t->burst};

    hang_up(c);
    if (c->socket != NULL)
        control(c, SWTPM_INIT, 4);
    c->started = false;
    chip_attach(c, &fresh);
    *t = fresh;
}
