#ifndef USB_TIS_BUS_H
#define USB_TIS_BUS_H

#include "core/err.h"

/* What usb/tis.h stands on: a bus and a clock. */

/* A result of a bus: the chip asked to wait and nothing can be said of these bytes. */
#define TIS_WAITED 1

/* Registers are offsets in locality 0, `n` is 1 to `window` bytes. 0, -1, or TIS_WAITED. */
struct tis_bus {
    int (*read)(void *arg, uint16_t reg, uint8_t *p, size_t n, struct err *e);
    int (*write)(void *arg, uint16_t reg, const uint8_t *p, size_t n, struct err *e);
    void *arg;
    size_t window;
};

/* Microseconds. */
struct tis_clock {
    uint64_t (*now)(void *arg);
    void (*sleep)(void *arg, uint64_t us);
    void *arg;
};

#endif
