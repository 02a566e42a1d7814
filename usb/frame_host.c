#include "usb/frame_host.h"

#include "core/log.h"
#include "core/secret.h"
#include "usb/clock.h"
#include "usb/frame.h"

#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 2000 /* for what takes no time: the rest of a frame */
#define HELLO_MS 5000
#define ABORT_MS (90 * 1000)    /* a command may have to be over first */
#define COMMAND_MS (300 * 1000) /* the longest command (the making of a prime) */
#define PRESENCE_MAX_MS (600 * 1000)
#define STRANGE_MAX 16 /* frames that are not for us, in a row */
#define PACKET_MAX 1024
#define STALE_MAX (4 * FRAME_MAX)

struct frame_host {
    struct device *device;
    bool greeted;
    uint32_t sequence, payload;
    uint64_t until; /* when a response is late, milliseconds */
    unsigned strange;
    /* The frame that comes. Room for what its last packet may hold beyond its end. */
    size_t got;
    uint8_t in[FRAME_MAX + PACKET_MAX];
};

static const struct usb_interface *match(const struct usb_descriptor *d)
{
    for (size_t i = 0; i < d->interfaces && i < DESCRIPTOR_INTERFACES; i++) {
        const struct usb_interface *f = &d->interface[i];

        if (f->class == FRAME_CLASS && f->subclass == FRAME_SUBCLASS &&
            f->protocol == FRAME_PROTOCOL)
            return descriptor_bulk(d, f->number);
    }
    return NULL;
}

/* --- frames ---------------------------------------------------------------------------- */

static int put(struct frame_host *h, enum frame_type type, const uint8_t *payload, size_t len,
               struct err *e)
{
    uint8_t out[FRAME_MAX];
    int rc;

    frame_head(out, type, h->sequence, len);
    if (len > 0)
        memcpy(out + FRAME_HEAD, payload, len);
    rc = device_write(h->device, out, FRAME_HEAD + len, TIMEOUT_MS, e);
    secret_wipe(out, FRAME_HEAD + len);
    return rc;
}

/* More bytes of the frame, up to the packet in which `want` bytes are there. A read has room
 * for whole packets always: what a token says too much is seen, and not the bus's to judge. */
static int more(struct frame_host *h, size_t want, unsigned timeout_ms, struct err *e)
{
    const size_t packet = h->device->interface.in_max;
    size_t n = (want - h->got + packet - 1) / packet * packet;
    int rc = device_read(h->device, h->in + h->got, &n, timeout_ms, e);

    if (rc == 0)
        h->got += n;
    return rc;
}

/* Until that many bytes are there, or DEVICE_TIMEOUT. Packets without bytes are no end. */
static int fill(struct frame_host *h, size_t want, unsigned timeout_ms, struct err *e)
{
    const uint64_t until = clock_ms() + timeout_ms;

    while (h->got < want) {
        const uint64_t at = clock_ms();
        int rc = at > until ? DEVICE_TIMEOUT : more(h, want, (unsigned)(until - at) + 1, e);

        if (rc != 0)
            return rc;
    }
    return 0;
}

/*
 * One whole frame, in `*head` and behind FRAME_HEAD in h->in. Its first packet is read alone: a
 * token need not end what it says with a short one, and a transfer with more room would then
 * wait for ever. USB_AGAIN when none begins in time.
 */
static int get(struct frame_host *h, struct frame_head *head, unsigned timeout_ms, struct err *e)
{
    int rc;

    h->got = 0;
    rc = fill(h, 1, timeout_ms, e);
    if (rc != 0)
        return rc == DEVICE_TIMEOUT ? USB_AGAIN : -1;
    if (h->got < FRAME_HEAD)
        return err_set(e, E_TPM,
                       "the USB token sends half a frame; unplug it and plug it in again");
    if (frame_parse(h->in, head, e) != 0)
        return -1;
    rc = fill(h, FRAME_HEAD + head->length, TIMEOUT_MS, e);
    if (rc == DEVICE_TIMEOUT)
        return err_set(e, E_IO,
                       "the USB token stops in the middle of a frame; unplug it and plug it in "
                       "again");
    if (rc == 0 && h->got != FRAME_HEAD + head->length)
        return err_set(e, E_TPM,
                       "the USB token sends more than it says; unplug it and plug it in again");
    return rc;
}

static struct bytes payload_of(const struct frame_host *h, const struct frame_head *head)
{
    return bytes_of(h->in + FRAME_HEAD, head->length);
}

/* The token's own words, as an error. */
static int refused(const struct frame_host *h, const struct frame_head *head, struct err *e)
{
    char text[FRAME_ERROR_TEXT + 1];
    enum frame_error code;

    if (frame_error_get(payload_of(h, head), &code, text, e) != 0)
        return -1;
    switch (code) {
    case FRAME_E_BUSY: return err_set(e, E_BUSY, "the USB token has another command: %s", text);
    case FRAME_E_TPM: return err_set(e, E_IO, "the USB token: %s", text);
    case FRAME_E_VERSION: return err_set(e, E_VERSION, "the USB token: %s", text);
    default: return err_set(e, E_TPM, "the USB token understands us not: %s", text);
    }
}

/* --- the back-end ------------------------------------------------------------------------ */

/* All that was before is over on both sides, and both know the other's version. */
static int hello(struct frame_host *h, unsigned timeout_ms, struct err *e)
{
    const uint64_t until = clock_ms() + timeout_ms;
    struct frame_head head;
    struct frame_caps caps;
    uint64_t at;
    int rc;

    h->sequence++;
    if (put(h, FRAME_HELLO, NULL, 0, e) != 0)
        return -1;
    while ((at = clock_ms()) < until) {
        rc = get(h, &head, (unsigned)(until - at), e);
        if (rc < 0)
            return -1;
        /* What comes first may be for somebody who does not want it any more. */
        if (rc == USB_AGAIN || head.sequence != h->sequence)
            continue;
        if (head.type == FRAME_ERROR)
            return refused(h, &head, e);
        if (head.type != FRAME_CAPS)
            return err_set(e, E_TPM, "the USB token greets with something else");
        if (frame_caps_get(payload_of(h, &head), &caps, e) != 0)
            return -1;
        h->payload = caps.payload < FRAME_PAYLOAD ? caps.payload : FRAME_PAYLOAD;
        h->greeted = true;
        return 0;
    }
    return err_set(e, E_IO, "the USB token does not answer; unplug it and plug it in again");
}

/* What somebody else sent half, or did not fetch, is not for us. */
static int resync(struct frame_host *h, struct err *e)
{
    if (device_control(h->device, FRAME_REQUEST_TYPE, FRAME_REQUEST_RESET, 0,
                       h->device->interface.number, TIMEOUT_MS, e) != 0)
        return -1;
    return device_drain(h->device, STALE_MAX, e);
}

static int frame_host_begin(void *state, bool unclean, struct err *e)
{
    struct frame_host *h = state;

    if (unclean)
        return resync(h, e) != 0 ? -1 : hello(h, ABORT_MS, e);
    return h->greeted ? 0 : hello(h, HELLO_MS, e);
}

static void frame_host_close(void *state)
{
    struct frame_host *h = state;

    if (h == NULL)
        return;
    secret_wipe(h, sizeof(*h));
    free(h);
}

static int frame_host_open(void **state, struct device *d, struct err *e)
{
    struct frame_host *h;

    if (d->interface.in_max < FRAME_HEAD || d->interface.in_max > PACKET_MAX)
        return err_set(e, E_UNSUPPORTED, "packets of %u bytes are not for frames",
                       d->interface.in_max);
    h = calloc(1, sizeof(*h));
    if (h == NULL)
        return err_set(e, E_MEMORY, "out of memory for a USB token");
    h->device = d;
    /* Two processes should not count alike: what is left of one is not the other's. */
    h->sequence = (uint32_t)clock_ms() << 8;
    *state = h;
    return 0;
}

static int frame_host_transmit(void *state, const uint8_t *command, size_t len, struct err *e)
{
    struct frame_host *h = state;

    if (!frame_holds_tpm(bytes_of(command, len)))
        return err_set(e, E_ARG, "what shall be sent is no TPM command");
    if (len > h->payload)
        return err_set(e, E_ARG, "a command of %zu bytes: the USB token takes %u", len, h->payload);
    h->sequence++;
    h->strange = 0;
    h->until = clock_ms() + COMMAND_MS;
    return put(h, FRAME_COMMAND, command, len, e);
}

/* A frame that came while a response is waited for: 0 when it is the response, USB_AGAIN when
 * there is more to wait for. */
static int look(struct frame_host *h, const struct frame_head *head, struct err *e)
{
    uint32_t ms;

    /* An answer to one whom we do not know any more. */
    if (head->sequence != h->sequence) {
        if (++h->strange > STRANGE_MAX)
            return err_set(e, E_TPM,
                           "the USB token answers others only; unplug it and plug it in "
                           "again");
        return USB_AGAIN;
    }
    if (head->type == FRAME_ERROR)
        return refused(h, head, e);
    if (head->type == FRAME_PRESENCE) {
        if (frame_presence_get(payload_of(h, head), &ms, e) != 0)
            return -1;
        if (++h->strange > STRANGE_MAX || ms > PRESENCE_MAX_MS)
            return err_set(e, E_TPM, "the USB token wants to be touched for ever");
        log_info("the USB token waits to be touched, %u s", ms / 1000);
        h->until += ms;
        return USB_AGAIN;
    }
    return head->type == FRAME_RESPONSE
               ? 0
               : err_set(e, E_TPM, "the USB token answers a command with something else");
}

static int frame_host_receive(void *state, uint8_t *response, size_t *len, int timeout_ms,
                              struct err *e)
{
    struct frame_host *h = state;
    const uint64_t asked = timeout_ms < 0 ? UINT64_MAX : clock_ms() + (unsigned)timeout_ms;
    struct frame_head head = {0};
    int rc;

    do {
        const uint64_t until = asked < h->until ? asked : h->until, at = clock_ms();

        rc = get(h, &head, at < until ? (unsigned)(until - at) : 0, e);
        if (rc == USB_AGAIN && asked < h->until)
            return USB_AGAIN;
        if (rc == USB_AGAIN)
            return err_set(e, E_IO,
                           "the USB token does not end the command; unplug it and plug it in "
                           "again");
        if (rc == 0)
            rc = look(h, &head, e);
    } while (rc == USB_AGAIN);
    if (rc != 0)
        return rc;
    if (head.length > *len || !frame_holds_tpm(payload_of(h, &head)))
        return err_set(e, E_TPM, "the USB token sends a response that is none");
    memcpy(response, h->in + FRAME_HEAD, head.length);
    secret_wipe(h->in, FRAME_HEAD + head.length);
    *len = head.length;
    return 0;
}

static int frame_host_cancel(void *state, struct err *e)
{
    return put(state, FRAME_CANCEL, NULL, 0, e);
}

const struct usb_backend frame_backend = {
    .name = "frame",
    .match = match,
    .open = frame_host_open,
    .begin = frame_host_begin,
    .transmit = frame_host_transmit,
    .receive = frame_host_receive,
    .cancel = frame_host_cancel,
    .close = frame_host_close,
};
