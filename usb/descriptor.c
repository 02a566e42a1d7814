#include "usb/descriptor.h"

#include <string.h>

/* USB 2.0, table 9-5 and the tables of 9.6. */
#define TYPE_DEVICE 1
#define TYPE_CONFIGURATION 2
#define TYPE_INTERFACE 4
#define TYPE_ENDPOINT 5
#define DEVICE_LENGTH 18
#define CONFIGURATION_LENGTH 9
#define INTERFACE_LENGTH 9
#define ENDPOINT_LENGTH 7
#define ENDPOINT_IN 0x80
#define TRANSFER_TYPE 3
#define TRANSFER_BULK 2
#define PACKET_MAX 1024

static uint16_t little16(struct reader *r)
{
    uint16_t low = reader_u8(r);

    return (uint16_t)(low | reader_u8(r) << 8);
}

/* The next descriptor with its two bytes of head cut off; false at the end or for a length
 * that leads nowhere. */
static bool next(struct reader *r, uint8_t *type, struct reader *body)
{
    uint8_t len = reader_u8(r);
    struct bytes rest;

    *type = reader_u8(r);
    if (r->bad || len < 2)
        return false;
    rest = reader_take(r, (size_t)len - 2);
    *body = reader_of(rest.p, rest.len);
    return !r->bad;
}

static bool device(struct reader *r, struct usb_descriptor *d)
{
    struct reader body = {0};
    uint8_t type;

    if (!next(r, &type, &body) || type != TYPE_DEVICE || body.left != DEVICE_LENGTH - 2)
        return false;
    (void)reader_take(&body, 6); /* up to bMaxPacketSize0 */
    d->vendor = little16(&body);
    d->product = little16(&body);
    return true;
}

/* NULL: not looked at. */
static struct usb_interface *interface(struct reader *body, struct usb_descriptor *d)
{
    struct usb_interface i = {.number = reader_u8(body)};
    uint8_t setting = reader_u8(body);

    (void)reader_u8(body); /* bNumEndpoints: those that come are counted, not believed */
    i.class = reader_u8(body);
    i.subclass = reader_u8(body);
    i.protocol = reader_u8(body);
    if (body->bad || setting != 0 || d->interfaces == DESCRIPTOR_INTERFACES)
        return NULL;
    for (size_t k = 0; k < d->interfaces; k++) {
        if (d->interface[k].number == i.number)
            return NULL;
    }
    d->interface[d->interfaces] = i;
    return &d->interface[d->interfaces++];
}

static void endpoint(struct reader *body, struct usb_interface *i)
{
    uint8_t address = reader_u8(body), attributes = reader_u8(body);
    uint16_t max = little16(body);

    if (body->bad || i == NULL || (attributes & TRANSFER_TYPE) != TRANSFER_BULK ||
        (address & 0x0F) == 0 || (address & 0x70) != 0 || max == 0 || max > PACKET_MAX)
        return;
    if ((address & ENDPOINT_IN) != 0 && i->in == 0) {
        i->in = address;
        i->in_max = max;
    } else if ((address & ENDPOINT_IN) == 0 && i->out == 0) {
        i->out = address;
        i->out_max = max;
    }
}

static bool configuration(struct reader *r, struct usb_descriptor *d)
{
    struct reader body = {0}, all;
    struct usb_interface *i = NULL;
    struct bytes inside;
    uint16_t total;
    uint8_t type;

    if (!next(r, &type, &body) || type != TYPE_CONFIGURATION ||
        body.left != CONFIGURATION_LENGTH - 2)
        return false;
    total = little16(&body);
    (void)reader_u8(&body); /* bNumInterfaces */
    d->configuration = reader_u8(&body);
    if (total < CONFIGURATION_LENGTH)
        return false;
    inside = reader_take(r, (size_t)total - CONFIGURATION_LENGTH);
    if (r->bad)
        return false;
    all = reader_of(inside.p, inside.len);
    while (all.left > 0) {
        if (!next(&all, &type, &body))
            return false;
        if (type == TYPE_INTERFACE)
            i = interface(&body, d);
        else if (type == TYPE_ENDPOINT)
            endpoint(&body, i);
    }
    return true;
}

int descriptor_parse(struct bytes raw, struct usb_descriptor *out, struct err *e)
{
    struct reader r = reader_of(raw.p, raw.len);
    struct usb_descriptor d = {0};

    if (!device(&r, &d) || !configuration(&r, &d))
        return err_set(e, E_FORMAT, "a USB device whose descriptors are no descriptors");
    *out = d;
    return 0;
}

const struct usb_interface *descriptor_bulk(const struct usb_descriptor *d, uint8_t number)
{
    for (size_t i = 0; i < d->interfaces; i++) {
        if (d->interface[i].number == number)
            return d->interface[i].in != 0 && d->interface[i].out != 0 ? &d->interface[i] : NULL;
    }
    return NULL;
}

bool descriptor_serial_ok(const char *serial)
{
    static const char fine[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-:+";
    size_t len = strlen(serial);

    /* No "." or ".." either, which name directories. */
    return len > 0 && len <= DESCRIPTOR_SERIAL && strspn(serial, fine) == len &&
           strspn(serial, ".") != len;
}
