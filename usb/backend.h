#ifndef USB_BACKEND_H
#define USB_BACKEND_H

#include "usb/device.h"

/*
 * A way to bring TPM commands to a kind of USB token. The TCTI (usb/tcti.h) finds the device,
 * opens it, and keeps the interface claimed from transmit() until the response is there, so
 * that processes take turns: between two commands another process may have used the token.
 * All calls happen under the claim, close() where it is to be had (d->claimed).
 *
 * A failure of any of them ends the state: the TCTI calls close() and opens anew for the next
 * command. E_REMOVED, E_BUSY and E_DENIED are passed on as what they are.
 */
struct usb_backend {
    const char *name; /* as in "fusetsu:NAME:serial=..." */

    /* The interface of this device that the back-end speaks to; NULL: not one of its tokens. */
    const struct usb_interface *(*match)(const struct usb_descriptor *d);

    /* The first contact. `d` lives longer than the state. */
    int (*open)(void **state, struct device *d, struct err *e);

    /* Before each command, after the claim. `unclean`: whoever had the token before us ended
     * in the middle of a command (or nobody can tell): bytes of his may be under way. */
    int (*begin)(void *state, bool unclean, struct err *e);

    /* One whole command, `len` bytes. */
    int (*transmit)(void *state, const uint8_t *command, size_t len, struct err *e);

    /* The whole response: 0 with its length in `*len`, which was the room; USB_AGAIN when it
     * is not there after `timeout_ms` (-1: no limit but the back-end's own), to be asked for
     * again. A response that is no response, or has no room, is E_TPM. */
    int (*receive)(void *state, uint8_t *response, size_t *len, int timeout_ms, struct err *e);

    /* Asks the TPM to end the command that was transmitted; its response is received as ever,
     * most often TPM_RC_CANCELED. */
    int (*cancel)(void *state, struct err *e);

    /* Also after a failure, and when the device is gone. NULL is fine. */
    void (*close)(void *state);
};

#define USB_AGAIN 1

/* Ends with a NULL. (usb/backend.c) */
extern const struct usb_backend *const usb_backends[];

/* usb/ltt2go.c, usb/frame_host.c */
extern const struct usb_backend ltt2go_backend;
extern const struct usb_backend frame_backend;

#endif
