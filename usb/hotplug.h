#ifndef USB_HOTPLUG_H
#define USB_HOTPLUG_H

#include "usb/descriptor.h"

/*
 * The USB tokens that are plugged in, as the kernel lists them (sysfs): no thread, no
 * permission on the device, and nothing is sent to it. A look costs some file reads for each
 * USB device of the machine, about a millisecond: it can be asked for as often as a person
 * would notice.
 */
#define HOTPLUG_MAX 32 /* tokens that are looked at */
#define HOTPLUG_PORT 32

struct hotplug_token {
    const char *kind;                   /* the back-end's name: "ltt2go", "frame" */
    char serial[DESCRIPTOR_SERIAL + 1]; /* empty: none that can name a token */
    char port[HOTPLUG_PORT];            /* where it is plugged in: "1-2.4" */
    unsigned bus, address;              /* another address after each plugging in */
    uint16_t vendor, product;
    struct usb_interface interface;
};

struct hotplug;

/* Empty until the first look. */
int hotplug_new(struct hotplug **out, struct err *e) MUST_USE;
void hotplug_free(struct hotplug *h);

/* Looks. The generation is another one from then on if a token came, went, or was plugged in
 * again. A machine without USB has no tokens: no error. */
void hotplug_look(struct hotplug *h);
unsigned hotplug_generation(const struct hotplug *h);

size_t hotplug_count(const struct hotplug *h);
const struct hotplug_token *hotplug_at(const struct hotplug *h, size_t i); /* by port */

/*
 * Looks for the one token of this kind (NULL: any) and serial (NULL: any). E_NO_DEVICE when there
 * is none; E_ARG when there are several, whose serials the message tells.
 */
int hotplug_find(const char *kind, const char *serial, struct hotplug_token *out,
                 struct err *e) MUST_USE;

/* Is that very one (plugged in once) there still? */
bool hotplug_there(const struct hotplug_token *t);

/* Its node below /dev/bus/usb, where its permissions are. */
void hotplug_node(const struct hotplug_token *t, char out[32]);

#endif
