#include "usb/device.h"

#include "core/log.h"
#include "usb/hotplug.h"
#include "usb/turn.h"

#include <libusb.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RULE "70-fusetsu.rules"

/* A transfer that fails while the device goes away is the first that we hear of it: the kernel
 * takes it from its lists a moment later. Milliseconds. */
#define GOING_MS 400
#define GOING_PAUSE 20

/* Whoever has the interface without having asked for his turn is no program of ours. */
#define CLAIM_MS 5000
#define CLAIM_PAUSE 5

struct usb {
    struct device device; /* what the others see */
    struct hotplug_token token;
    struct turn *turn;
    libusb_context *ctx;
    libusb_device_handle *handle;
};

static void pause_ms(long ms)
{
    struct timespec ts = {ms / 1000, (ms % 1000) * 1000000L};

    nanosleep(&ts, NULL);
}

static bool going(const struct usb *u)
{
    for (int ms = 0; ms < GOING_MS; ms += GOING_PAUSE) {
        if (!hotplug_there(&u->token))
            return true;
        pause_ms(GOING_PAUSE);
    }
    return false;
}

static const char *name_of(const struct usb *u)
{
    return u->token.serial[0] != 0 ? u->token.serial : u->token.port;
}

/* What a failure of libusb means. */
static int fail(struct usb *u, int rc, const char *what, struct err *e)
{
    char node[32];

    hotplug_node(&u->token, node);
    switch (rc) {
    case LIBUSB_ERROR_ACCESS:
        return err_set(e, E_DENIED,
                       "you may not use the USB token %s (%s): install the udev rule " RULE
                       " (it comes with fusetsu), then plug the token in again",
                       name_of(u), node);
    case LIBUSB_ERROR_BUSY:
        return err_set(e, E_BUSY,
                       "the USB token %s is in use by another process; end it (who has it: fuser "
                       "%s)",
                       name_of(u), node);
    case LIBUSB_ERROR_NO_MEM: return err_set(e, E_MEMORY, "out of memory for a USB token");
    case LIBUSB_ERROR_NO_DEVICE: break;
    default:
        if (!going(u))
            return err_set(e, E_IO, "%s the USB token %s: %s; unplug it and plug it in again", what,
                           name_of(u), libusb_strerror(rc));
    }
    return err_set(e, E_REMOVED, "the USB token %s was unplugged; plug it in again", name_of(u));
}

/* --- transfers --------------------------------------------------------------------- */

static int usb_control(void *arg, uint8_t type, uint8_t request, uint16_t value, uint16_t index,
                       unsigned timeout_ms, struct err *e)
{
    struct usb *u = arg;
    int rc = libusb_control_transfer(u->handle, type, request, value, index, NULL, 0, timeout_ms);

    if (rc == LIBUSB_ERROR_TIMEOUT)
        return DEVICE_TIMEOUT;
    return rc < 0 ? fail(u, rc, "asking", e) : 0;
}

/* After a stall the endpoint waits for this (USB 2.0, 9.4.5). */
static void unstall(struct usb *u, uint8_t endpoint, int rc)
{
    if (rc == LIBUSB_ERROR_PIPE)
        (void)libusb_clear_halt(u->handle, endpoint);
}

static int usb_write(void *arg, const uint8_t *p, size_t n, unsigned timeout_ms, struct err *e)
{
    struct usb *u = arg;
    int done = 0, rc;

    if (n > INT_MAX)
        return err_set(e, E_ARG, "too many bytes for one transfer");
    /* Not written to, though libusb's type does not say so. */
    rc = libusb_bulk_transfer(u->handle, u->device.interface.out, (unsigned char *)(uintptr_t)p,
                              (int)n, &done, timeout_ms);
    unstall(u, u->device.interface.out, rc);
    if (rc == LIBUSB_ERROR_TIMEOUT)
        return DEVICE_TIMEOUT;
    if (rc == 0 && (size_t)done != n)
        rc = LIBUSB_ERROR_IO;
    return rc < 0 ? fail(u, rc, "writing to", e) : 0;
}

static int usb_read(void *arg, uint8_t *p, size_t *n, unsigned timeout_ms, struct err *e)
{
    struct usb *u = arg;
    int done = 0, rc;

    if (*n > INT_MAX)
        return err_set(e, E_ARG, "too many bytes for one transfer");
    rc = libusb_bulk_transfer(u->handle, u->device.interface.in, p, (int)*n, &done, timeout_ms);
    unstall(u, u->device.interface.in, rc);
    if (rc == LIBUSB_ERROR_TIMEOUT && done <= 0)
        return DEVICE_TIMEOUT;
    if (rc < 0 && rc != LIBUSB_ERROR_TIMEOUT)
        return fail(u, rc, "reading from", e);
    *n = (size_t)done;
    return 0;
}

/* --- turns --------------------------------------------------------------------------- */

/* The kernel's own claim: also programs that know nothing of our turns are kept out by it. */
static int claim_interface(struct usb *u, struct err *e)
{
    const int number = u->device.interface.number;
    unsigned waited = 0;
    int rc;

    while ((rc = libusb_claim_interface(u->handle, number)) == LIBUSB_ERROR_BUSY &&
           waited < CLAIM_MS) {
        /* A kernel driver that took it first; it does not come back by itself. */
        if (libusb_kernel_driver_active(u->handle, number) == 1)
            (void)libusb_detach_kernel_driver(u->handle, number);
        pause_ms(CLAIM_PAUSE);
        waited += CLAIM_PAUSE;
    }
    return rc != 0 ? fail(u, rc, "claiming", e) : 0;
}

static int usb_claim(void *arg, unsigned wait_ms, bool *unclean, struct err *e)
{
    struct usb *u = arg;

    if (turn_take(u->turn, wait_ms, unclean, e) != 0)
        return -1;
    if (claim_interface(u, e) != 0) {
        turn_give(u->turn, !*unclean);
        return -1;
    }
    return 0;
}

static void usb_release(void *arg, bool clean)
{
    struct usb *u = arg;

    (void)libusb_release_interface(u->handle, u->device.interface.number);
    turn_give(u->turn, clean);
}

/* --- life ------------------------------------------------------------------------------ */

static void usb_close(void *arg)
{
    struct usb *u = arg;

    if (u == NULL)
        return;
    if (u->handle != NULL)
        libusb_close(u->handle);
    if (u->ctx != NULL)
        libusb_exit(u->ctx);
    turn_free(u->turn);
    free(u);
}

static const struct device_ops usb_ops = {
    .claim = usb_claim,
    .release = usb_release,
    .control = usb_control,
    .write = usb_write,
    .read = usb_read,
    .close = usb_close,
};

static int open_handle(struct usb *u, struct err *e)
{
    libusb_device **list = NULL;
    int rc = libusb_init(&u->ctx);
    ssize_t n;

    if (rc != 0)
        return err_set(e, E_IO, "libusb does not start: %s", libusb_strerror(rc));
    n = libusb_get_device_list(u->ctx, &list);
    rc = n < 0 ? (int)n : LIBUSB_ERROR_NO_DEVICE;
    for (ssize_t i = 0; i < n; i++) {
        if (libusb_get_bus_number(list[i]) == u->token.bus &&
            libusb_get_device_address(list[i]) == u->token.address) {
            rc = libusb_open(list[i], &u->handle);
            break;
        }
    }
    if (list != NULL)
        libusb_free_device_list(list, 1);
    return rc != 0 ? fail(u, rc, "opening", e) : 0;
}

static int make_turn(struct usb *u, const char *run, struct err *e)
{
    char name[DESCRIPTOR_SERIAL + 32], node[32];

    (void)snprintf(name, sizeof(name), "%s-%s", u->token.kind, name_of(u));
    hotplug_node(&u->token, node);
    return turn_new(&u->turn, run, name, node, e);
}

int device_open(struct device **out, const struct hotplug_token *token, const char *run,
                struct err *e)
{
    struct usb *u = calloc(1, sizeof(*u));

    if (u == NULL)
        return err_set(e, E_MEMORY, "out of memory for a USB token");
    u->token = *token;
    u->device.ops = &usb_ops;
    u->device.arg = u;
    u->device.interface = token->interface;
    if (make_turn(u, run, e) != 0 || open_handle(u, e) != 0) {
        usb_close(u);
        return -1;
    }
    *out = &u->device;
    return 0;
}
