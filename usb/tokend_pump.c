#include "usb/tokend_pump.h"

#include "core/secret.h"
#include "usb/frame.h"

#include <errno.h>
#include <linux/usb/functionfs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PACKET_MAX 1024
/* Where an endpoint fails at once, over and over. */
#define PAUSE_NS 10000000L

struct pump {
    int in, out, fd;
};

static void breathe(void)
{
    const struct timespec ts = {0, PAUSE_NS};

    nanosleep(&ts, NULL);
}

/* Of the speed that the host has now; waits until there is one. 0: not known. */
static size_t packet_size(int fd)
{
    struct usb_endpoint_descriptor d = {0};
    size_t max;

    if (ioctl(fd, FUNCTIONFS_ENDPOINT_DESC, &d) != 0)
        return 0;
    max = (size_t)(d.wMaxPacketSize & 0x7FF);
    return max <= PACKET_MAX ? max : 0;
}

/* Packet by packet: a read of more would wait for a short one, which need not come. */
static void *from_host(void *arg)
{
    const struct pump *p = arg;
    uint8_t packet[PACKET_MAX];

    for (;;) {
        const size_t max = packet_size(p->out);
        const ssize_t n = max > 0 ? read(p->out, packet, max) : -1;

        if (n < 0)
            breathe();
        else if (n > 0 && send(p->fd, packet, (size_t)n, MSG_NOSIGNAL) < 0 && errno == EPIPE)
            break;
    }
    return NULL;
}

/* A frame that a host does not fetch before it goes is nobody's. */
static void *to_host(void *arg)
{
    const struct pump *p = arg;
    uint8_t frame[FRAME_MAX];
    ssize_t n;

    while ((n = recv(p->fd, frame, sizeof(frame), 0)) != 0) {
        if (n < 0 && errno != EINTR)
            break;
        if (n > 0 && write(p->in, frame, (size_t)n) < 0)
            breathe();
        secret_wipe(frame, sizeof(frame));
    }
    return NULL;
}

int tokend_pump_start(int in, int out, int *fd, struct err *e)
{
    struct pump *p = calloc(1, sizeof(*p));
    pthread_t one, two;
    int pair[2], rc;

    if (p == NULL)
        return err_set(e, E_MEMORY, "out of memory for the endpoints");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        free(p);
        return err_set(e, E_IO, "no sockets for the endpoints: %s", strerror(errno));
    }
    *p = (struct pump){in, out, pair[1]};
    rc = pthread_create(&one, NULL, from_host, p);
    if (rc == 0)
        rc = pthread_create(&two, NULL, to_host, p);
    if (rc != 0)
        return err_set(e, E_IO, "no threads for the endpoints: %s", strerror(rc));
    (void)pthread_detach(one);
    (void)pthread_detach(two);
    *fd = pair[0];
    return 0;
}
