#ifndef USB_TOKEND_SERVE_H
#define USB_TOKEND_SERVE_H

#include "usb/tokend_forward.h"
#include "usb/tokend_presence.h"

/*
 * Frames from a host, answered: filtered, confirmed where that is wanted, and forwarded, one
 * command at a time. All that comes from the host is doubted: what is no frame ends the talk
 * until it greets anew.
 */

enum tokend_event {
    TOKEND_EVENT_NONE,
    TOKEND_EVENT_RESET, /* what the host sent half is forgotten, its command ended */
    TOKEND_EVENT_GONE,  /* the host is gone: all that it made is flushed */
};

/* The host's end of it. */
struct tokend_link {
    int fd; /* SOCK_SEQPACKET: packets from the host, whole frames to it */
    /* What happens beside it; `events` (-1: nothing) is readable then. -1: it is over. */
    int events;
    int (*event)(void *arg, enum tokend_event *out, struct err *e);
    void *arg;
};

/*
 * Until `stop` is readable (1) or the link's fd is closed at the other end (0): the host is gone
 * then, as above. -1 when it cannot go on.
 */
int tokend_serve(const struct tokend_link *link, struct tokend_forward *forward,
                 struct tokend_presence *presence, int stop, struct err *e) MUST_USE;

#endif
