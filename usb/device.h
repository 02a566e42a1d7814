#ifndef USB_DEVICE_H
#define USB_DEVICE_H

#include "usb/descriptor.h"

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
    /* The interface for this process alone; waits no longer than said. */
    int (*claim)(void *arg, unsigned wait_ms, struct err *e);
    void (*release)(void *arg);

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
    uint16_t vendor, product;
    struct usb_interface interface;
    char serial[DESCRIPTOR_SERIAL + 1];
    unsigned long transfers; /* URBs so far, for tests and for --verbose */
};

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

int device_claim(struct device *d, unsigned wait_ms, struct err *e) MUST_USE;
void device_release(struct device *d);

/* NULL is fine. */
void device_close(struct device *d);

#endif
