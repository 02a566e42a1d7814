#include "tests/support/unit_frame.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static uint64_t now_ms(void)
{
    struct timespec ts = {0};

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int gone(struct err *e)
{
    return err_set(e, E_REMOVED, "the USB token was unplugged; plug it in again");
}

static int unit_claim(void *arg, unsigned wait_ms, bool *unclean, struct err *e)
{
    (void)arg;
    (void)wait_ms;
    (void)unclean;
    (void)e;
    return 0;
}

static void unit_release(void *arg, bool clean)
{
    (void)arg;
    (void)clean;
}

static int unit_control(void *arg, uint8_t type, uint8_t request, uint16_t value, uint16_t index,
                        unsigned timeout_ms, struct err *e)
{
    struct unit_frame *u = arg;

    (void)value;
    (void)index;
    (void)timeout_ms;
    if (u->control == NULL || u->control(u->arg, type, request) != 0)
        return err_set(e, E_IO, "it stalls");
    return 0;
}

static int unit_write(void *arg, const uint8_t *p, size_t n, unsigned timeout_ms, struct err *e)
{
    const struct unit_frame *u = arg;
    const size_t max = u->device.interface.out_max;

    (void)timeout_ms;
    for (size_t at = 0; at < n; at += max) {
        const size_t part = n - at < max ? n - at : max;

        if (send(u->fd, p + at, part, MSG_NOSIGNAL) != (ssize_t)part)
            return gone(e);
    }
    return 0;
}

/* The next transfer of the device: 0, DEVICE_TIMEOUT, -1. */
static int next_transfer(struct unit_frame *u, uint64_t until, struct err *e)
{
    struct pollfd p = {.fd = u->fd, .events = POLLIN};
    const uint64_t at = now_ms();
    ssize_t n;

    if (poll(&p, 1, at < until ? (int)(until - at) : 0) != 1)
        return DEVICE_TIMEOUT;
    n = recv(u->fd, u->transfer, sizeof(u->transfer), 0);
    if (n <= 0)
        return gone(e);
    u->len = (size_t)n;
    u->off = 0;
    return 0;
}

static int unit_read(void *arg, uint8_t *out, size_t *n, unsigned timeout_ms, struct err *e)
{
    struct unit_frame *u = arg;
    const size_t max = u->device.interface.in_max;
    const uint64_t until = now_ms() + timeout_ms;
    size_t done = 0, part;

    do {
        if (u->off == u->len) {
            int rc = next_transfer(u, until, e);

            if (rc < 0 || (rc == DEVICE_TIMEOUT && done == 0))
                return rc;
            if (rc == DEVICE_TIMEOUT) {
                u->late++;
                break;
            }
        }
        part = u->len - u->off < max ? u->len - u->off : max;
        if (part > *n - done)
            return err_set(e, E_IO, "more bytes than there is room for");
        memcpy(out + done, u->transfer + u->off, part);
        u->off += part;
        done += part;
    } while (part == max && done < *n);
    *n = done;
    return 0;
}

static void unit_close(void *arg)
{
    (void)arg;
}

void unit_frame_init(struct unit_frame *u, int fd, uint16_t packet)
{
    static const struct device_ops ops = {
        .claim = unit_claim,
        .release = unit_release,
        .control = unit_control,
        .write = unit_write,
        .read = unit_read,
        .close = unit_close,
    };

    memset(u, 0, sizeof(*u));
    u->device.ops = &ops;
    u->device.arg = u;
    u->device.claimed = true;
    u->device.interface.in = 0x81;
    u->device.interface.out = 0x02;
    u->device.interface.in_max = u->device.interface.out_max = packet;
    u->fd = fd;
}
