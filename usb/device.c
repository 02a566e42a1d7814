#include "usb/device.h"

#include "usb/clock.h"

#include <stdlib.h>

#define DRAIN_MS 20
#define DRAIN_ROOM 1024

static int late(struct err *e)
{
    return err_set(e, E_IO,
                   "the USB token does not answer in time; unplug it and plug it in again");
}

int device_claim(struct device *d, unsigned wait_ms, bool *unclean, struct err *e)
{
    *unclean = false;
    if (d->claimed)
        return 0;
    if (d->ops->claim(d->arg, wait_ms, unclean, e) != 0)
        return -1;
    d->claimed = true;
    return 0;
}

void device_release(struct device *d, bool clean)
{
    if (d->claimed)
        d->ops->release(d->arg, clean);
    d->claimed = false;
}

int device_control(struct device *d, uint8_t type, uint8_t request, uint16_t value, uint16_t index,
                   unsigned timeout_ms, struct err *e)
{
    int rc = d->ops->control(d->arg, type, request, value, index, timeout_ms, e);

    d->transfers++;
    return rc == DEVICE_TIMEOUT ? late(e) : rc;
}

int device_write(struct device *d, const uint8_t *p, size_t n, unsigned timeout_ms, struct err *e)
{
    int rc = d->ops->write(d->arg, p, n, timeout_ms, e);

    d->transfers++;
    return rc == DEVICE_TIMEOUT ? late(e) : rc;
}

int device_read(struct device *d, uint8_t *p, size_t *n, unsigned timeout_ms, struct err *e)
{
    d->transfers++;
    return d->ops->read(d->arg, p, n, timeout_ms, e);
}

int device_read_all(struct device *d, uint8_t *p, size_t n, unsigned timeout_ms, struct err *e)
{
    const uint64_t until = clock_ms() + timeout_ms;
    size_t done = 0;

    while (done < n) {
        uint64_t at = clock_ms();
        size_t got = n - done;
        int rc;

        /* Packets without bytes could come for ever, too. */
        if (at > until)
            return late(e);
        rc = device_read(d, p + done, &got, (unsigned)(until - at) + 1, e);
        if (rc != 0)
            return rc == DEVICE_TIMEOUT ? late(e) : rc;
        done += got;
    }
    return 0;
}

int device_drain(struct device *d, size_t max, struct err *e)
{
    uint8_t scrap[DRAIN_ROOM];
    size_t done = 0;

    for (size_t i = 0; i <= max && done <= max; i++) {
        size_t n = sizeof(scrap);
        int rc = device_read(d, scrap, &n, DRAIN_MS, e);

        if (rc == DEVICE_TIMEOUT)
            return 0;
        if (rc != 0)
            return rc;
        done += n;
    }
    return err_set(e, E_IO, "the USB token does not stop talking; unplug it and plug it in again");
}

void device_close(struct device *d)
{
    if (d == NULL)
        return;
    device_release(d, false);
    d->ops->close(d->arg);
}
