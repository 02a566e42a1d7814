#ifndef TESTS_UNIT_FRAME_H
#define TESTS_UNIT_FRAME_H

#include "usb/device.h"

/*
 * A USB device of one bulk pair whose other side is a socket (SOCK_SEQPACKET): packets go out,
 * and each message that comes is a transfer of the device, cut into packets, without one of no
 * bytes at its end. A read ends as on a bus: when it is full, or with a short packet, or late.
 */
struct unit_frame {
    struct device device;
    int fd;
    /* For a control request: 0, or -1 for a stall. */
    int (*control)(void *arg, uint8_t type, uint8_t request);
    void *arg;
    unsigned late; /* reads that ended late with bytes: a host that waits for a short packet */
    size_t len, off;
    uint8_t transfer[16384];
};

void unit_frame_init(struct unit_frame *u, int fd, uint16_t packet);

#endif
