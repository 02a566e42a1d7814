#ifndef USB_DESCRIPTOR_H
#define USB_DESCRIPTOR_H

#include "core/buf.h"

/*
 * What a USB device says of itself (USB 2.0, 9.6), read from the bytes of its descriptors.
 * They come from whatever was plugged in: nothing in them is believed beyond its bounds.
 */

/* More than that is no token of ours; the rest is not looked at. */
#define DESCRIPTOR_INTERFACES 8
/* An ASCII serial: a string descriptor holds 126 characters. */
#define DESCRIPTOR_SERIAL 126

/* One interface in its first setting. An endpoint is 0 when there is none that is bulk. */
struct usb_interface {
    uint8_t number, class, subclass, protocol;
    uint8_t in, out;          /* bEndpointAddress of the first bulk pair */
    uint16_t in_max, out_max; /* wMaxPacketSize, 1 to 1024 */
};

struct usb_descriptor {
    uint16_t vendor, product;
    uint8_t configuration; /* bConfigurationValue of the first configuration */
    size_t interfaces;
    struct usb_interface interface[DESCRIPTOR_INTERFACES];
};

/* The device descriptor and the first configuration behind it, as the kernel's file
 * `descriptors` has them. E_FORMAT for lengths that lie. */
int descriptor_parse(struct bytes raw, struct usb_descriptor *out, struct err *e) MUST_USE;

/* The interface with a bulk pair and this number; NULL when there is none. */
const struct usb_interface *descriptor_bulk(const struct usb_descriptor *d, uint8_t number);

/* A serial that can name a token: 1 to DESCRIPTOR_SERIAL characters, each a letter, a digit
 * or one of "._-:+", no more than that, since it becomes part of settings and messages. */
bool descriptor_serial_ok(const char *serial);

#endif
