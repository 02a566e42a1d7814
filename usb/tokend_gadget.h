#ifndef USB_TOKEND_GADGET_H
#define USB_TOKEND_GADGET_H

#include "usb/tokend_serve.h"

/*
 * The token as a USB device of this board: a gadget of the kernel (configfs) with one function
 * whose endpoints are files (FunctionFS). Needs root, and a USB device controller (UDC).
 */
struct tokend_gadget_config {
    const char *name;   /* of the gadget, and of its directories; letters, digits, "-_" */
    const char *udc;    /* NULL: the first that is there */
    const char *serial; /* as usb/descriptor.h wants it */
    uint16_t vendor, product;
};

struct tokend_gadget;

/* Makes the gadget; what a killed daemon left of it is removed first. Plugged in to nothing yet.
 * E_EXISTS when another daemon has it; E_UNSUPPORTED when the kernel lacks something. */
int tokend_gadget_open(struct tokend_gadget **out, const struct tokend_gadget_config *c,
                       struct err *e) MUST_USE;

/* From now on a host sees it. */
int tokend_gadget_bind(struct tokend_gadget *g, struct err *e) MUST_USE;

/* Whose endpoints this process has from here on: fills in a link (usb/tokend_serve.h). Starts
 * two threads, which live as long as the process. To be called in one process only, others call
 * tokend_gadget_leave(). */
int tokend_gadget_link(struct tokend_gadget *g, struct tokend_link *out, struct err *e) MUST_USE;
void tokend_gadget_leave(struct tokend_gadget *g);

/* Unplugs and removes all of it. NULL is fine. */
void tokend_gadget_close(struct tokend_gadget *g);

#endif
