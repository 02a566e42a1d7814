/*
 * usbgadget DIRECTORY SWTPM-SOCKET
 *
 * The emulated LetsTrust-TPM2Go as a device of a kernel: a FunctionFS that is mounted at DIRECTORY
 * gets the descriptors, and the bridge (bridge.h) answers what comes by its endpoints. Prints "ready"
 * when the gadget may be bound.
 */
#include "tests/support/stick/bridge.h"
#include "usb/tokend_pump.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/usb/functionfs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LE16(v) (unsigned char)((v)&0xFF), (unsigned char)((v) >> 8)
#define LE32(v) LE16((v)&0xFFFF), LE16((uint32_t)(v) >> 16)
#define LEN (12 + 2 * 4 + 2 * (9 + 3 * 7))
#define INTERFACE 9, 4, 0, 0, 3, 0xFF, 3, 0, 1
#define ENDPOINT(address, type, max, interval) 7, 5, address, type, LE16(max), interval

/* As in the stick: SPI by two bulk endpoints, and one for its notices. */
static const unsigned char descriptors[LEN] = {
    LE32(FUNCTIONFS_DESCRIPTORS_MAGIC_V2),
    LE32(LEN),
    LE32(FUNCTIONFS_HAS_FS_DESC | FUNCTIONFS_HAS_HS_DESC | FUNCTIONFS_ALL_CTRL_RECIP),
    LE32(4),
    LE32(4),
    INTERFACE,
    ENDPOINT(0x01, 2, 64, 0),
    ENDPOINT(0x82, 2, 64, 0),
    ENDPOINT(0x83, 3, 10, 10),
    INTERFACE,
    ENDPOINT(0x01, 2, 512, 0),
    ENDPOINT(0x82, 2, 512, 0),
    ENDPOINT(0x83, 3, 10, 10),
};
static const unsigned char strings[] = {
    LE32(FUNCTIONFS_STRINGS_MAGIC), LE32(22), LE32(1), LE32(1), LE16(0x0409), 'S', 'P', 'I', 0};

static struct bridge bridge;
static int ep0, host;

static int endpoint(const char *dir, const char *name)
{
    char path[300];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_RDWR);
    if (fd < 0) {
        perror(path);
        exit(1);
    }
    return fd;
}

/* Acknowledged in the direction in which it came, stalled in the other. */
static void setup(const struct usb_ctrlrequest *r)
{
    uint8_t raw[8];
    const bool in = (r->bRequestType & USB_DIR_IN) != 0;
    int rc;

    memcpy(raw, r, sizeof(raw));
    rc = bridge_control(&bridge, raw);
    if (in == (rc == 0))
        rc = (int)write(ep0, NULL, 0);
    else
        rc = (int)read(ep0, NULL, 0);
    if (rc < 0 && errno != EL2HLT)
        perror("ep0");
}

static void event(void)
{
    struct usb_functionfs_event e;

    if (read(ep0, &e, sizeof(e)) != sizeof(e))
        return;
    if (e.type == FUNCTIONFS_SETUP)
        setup(&e.u.setup);
    else if (e.type == FUNCTIONFS_ENABLE)
        bridge_power(&bridge);
}

static void packet(void)
{
    uint8_t p[1024];
    const ssize_t n = recv(host, p, sizeof(p), 0);
    size_t out = 0;

    if (n <= 0)
        exit(1);
    if (bridge_out(&bridge, p, (size_t)n) != 0)
        return;
    while (bridge_in(&bridge, p, sizeof(p), &out) == 0 && out > 0)
        (void)send(host, p, out, MSG_NOSIGNAL);
}

int main(int argc, char **argv)
{
    struct pollfd p[2];

    if (argc != 3) {
        fprintf(stderr, "usage: usbgadget DIRECTORY SWTPM-SOCKET\n");
        return 2;
    }
    ep0 = endpoint(argv[1], "ep0");
    if (write(ep0, descriptors, sizeof(descriptors)) != sizeof(descriptors) ||
        write(ep0, strings, sizeof(strings)) != sizeof(strings)) {
        perror("descriptors");
        return 1;
    }
    bridge.chip.socket = argv[2];
    chip_attach(&bridge.chip, &bridge.tis);
    if (tokend_pump_start(endpoint(argv[1], "ep2"), endpoint(argv[1], "ep1"), &host, NULL) != 0)
        return 1;
    puts("ready");
    fflush(stdout);
    p[0] = (struct pollfd){.fd = ep0, .events = POLLIN};
    p[1] = (struct pollfd){.fd = host, .events = POLLIN};
    while (poll(p, 2, -1) >= 0 || errno == EINTR) {
        if (p[0].revents != 0)
            event();
        else if (p[1].revents != 0)
            packet();
    }
    return 1;
}
