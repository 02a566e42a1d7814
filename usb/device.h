#ifndef USB_DEVICE_H
#define USB_DEVICE_H

#include "usb/descriptor.h"

struct hotplug_token; /* usb/hotplug.h */

/*
 * One USB device with one interface that we use, and the functions that move bytes. Tests put
 * their own functions in place of libusb's.
 *
 * Errors: E_REMOVED when it is gone, E_IO when a transfer fails (a stall too: the endpoint is
 * usable again after that), E_BUSY when another process has the interface, E_DENIED naming the
 * udev rule. A timeout is no error of E_IO but DEVICE_TIMEOUT as the result.
 */
#define DEVICE_TIMEOUT 1

struct device_ops {
    /* The interface for this process alone; waits no longer than said. `*unclean`: who had it
     * before us ended in the middle of something, or nobody knows. */
    int (*claim)(void *arg, unsigned wait_ms, bool *unclean, struct err *e);
    void (*release)(void *arg, bool clean);

    /* A control request without data, by its five fields but wLength, which is 0. */
    int (*control)(void *arg, uint8_t type, uint8_t request, uint16_t value, uint16_t index,
                   unsigned timeout_ms, struct err *e);

    /* Bulk, all of `n` bytes or an error. */
    int (*write)(void *arg, const uint8_t *p, size_t n, unsigned timeout_ms, struct err *e);

    /* Bulk, one transfer: up to `*n` bytes, how many in `*n` (0 is a packet without bytes). It
     * ends with a short packet. DEVICE_TIMEOUT when nothing came; more than there is room for
     * is E_IO. */
    int (*read)(void *arg, uint8_t *p, size_t *n, unsigned timeout_ms, struct err *e);

    void (*close)(void *arg);
};

struct device {
    const struct device_ops *ops;
    void *arg;
    struct usb_interface interface;
    bool claimed;
    unsigned long transfers; /* URBs so far */
};

/*
 * Opens a token that was found, by libusb; claims nothing yet. `run` is the directory where
 * processes take turns (usb/turn.h), NULL: none.
 */
int device_open(struct device **out, const struct hotplug_token *token, const char *run,
                struct err *e) MUST_USE;

/* Each counts its URBs in d->transfers. DEVICE_TIMEOUT is E_IO in all but device_read(). */
int device_control(struct device *d, uint8_t type, uint8_t request, uint16_t value, uint16_t index,
                   unsigned timeout_ms, struct err *e) MUST_USE;
int device_write(struct device *d, const uint8_t *p, size_t n, unsigned timeout_ms,
                 struct err *e) MUST_USE;
int device_read(struct device *d, uint8_t *p, size_t *n, unsigned timeout_ms,
                struct err *e) MUST_USE;

/* Exactly `n` bytes, over as many transfers as that takes: ends on length, never on a short
 * packet. E_IO when they do not come in time. */
int device_read_all(struct device *d, uint8_t *p, size_t n, unsigned timeout_ms,
                    struct err *e) MUST_USE;

/* Throws away what the device still had to say; at most `max` bytes of it. */
int device_drain(struct device *d, size_t max, struct err *e) MUST_USE;

/* As in device_ops. Nothing while it is claimed already, or was not. */
int device_claim(struct device *d, unsigned wait_ms, bool *unclean, struct err *e) MUST_USE;
void device_release(struct device *d, bool clean);

/* Gives it up, with the claim if there is one (as unclean), and frees what device_open() made;
 * NULL is fine. */
void device_close(struct device *d);

#endif
