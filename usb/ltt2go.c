#include "usb/ltt2go.h"

#include "core/secret.h"

#include <stdlib.h>
#include <string.h>

/* LetsTrust-TPM2Go: a Cypress CY7C65211 bridge (USB-Serial, SPI in and out at once). */
#define VENDOR 0x365D
#define PRODUCT 0x1337
#define INTERFACE 0

/* Vendor requests of the bridge: the next bulk OUT and IN are SPI bytes, so many as wIndex says
 * (wValue: both ways); and drop what is half done. */
#define TO_HOST 0xC0
#define TO_DEVICE 0x40
#define SPI_TRANSFER 0xCA
#define SPI_BOTH_WAYS 0x0003
#define SPI_RESET 0xCB

/* PTP 7.4.5, figure 7: a byte of direction and length, three of address, then data. */
#define HEAD 4
#define READ 0x80U
#define WINDOW 64
#define ADDRESS 0xD40000U /* locality 0 */
#define READY 0x01U       /* in the last byte of the head as it comes back: no wait state */

#define TIMEOUT_MS 3000
#define STALE_MAX 4096

/* No firmware starts the TPM of a stick: whoever speaks first has to (Part 3, 9.3). */
#define CC_STARTUP 0x144U
#define RC_INITIALIZE 0x100U
#define STARTUP_MS 5000
static const uint8_t startup[12] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, 0};

struct ltt2go {
    struct device *device;
    struct tis_bus bus;
    struct tis *tis;
    size_t len; /* of the command under way, which may be needed again; 0: no more */
    uint8_t command[TIS_MAX];
};

/* --- one window -------------------------------------------------------------------- */

/*
 * Full duplex: `out` goes, `in` comes, HEAD + n bytes. The bridge ends the chip's selection with
 * each transfer, so that a wait of the chip cannot be waited for: the whole is done again, if it
 * may be.
 */
static int window(struct device *d, const uint8_t *out, uint8_t *in, size_t n, struct err *e)
{
    const size_t all = HEAD + n;

    if (device_control(d, TO_HOST, SPI_TRANSFER, SPI_BOTH_WAYS, (uint16_t)all, TIMEOUT_MS, e) !=
            0 ||
        device_write(d, out, all, TIMEOUT_MS, e) != 0 ||
        device_read_all(d, in, all, TIMEOUT_MS, e) != 0)
        return -1;
    return (in[HEAD - 1] & READY) != 0 ? 0 : TIS_WAITED;
}

static int head(uint8_t *out, bool read, uint16_t reg, size_t n, struct err *e)
{
    const uint32_t address = ADDRESS + reg;

    if (n < 1 || n > WINDOW)
        return err_set(e, E_ARG, "a window of %zu bytes: 1 to 64 there can be", n);
    out[0] = (uint8_t)((read ? READ : 0) | (n - 1));
    out[1] = (uint8_t)(address >> 16);
    out[2] = (uint8_t)(address >> 8);
    out[3] = (uint8_t)address;
    return 0;
}

int ltt2go_read(void *arg, uint16_t reg, uint8_t *p, size_t n, struct err *e)
{
    uint8_t out[HEAD + WINDOW] = {0}, in[HEAD + WINDOW];
    int rc;

    if (head(out, true, reg, n, e) != 0)
        return -1;
    rc = window(arg, out, in, n, e);
    if (rc >= 0)
        memcpy(p, in + HEAD, n);
    secret_wipe(in, sizeof(in));
    return rc;
}

int ltt2go_write(void *arg, uint16_t reg, const uint8_t *p, size_t n, struct err *e)
{
    uint8_t out[HEAD + WINDOW] = {0}, in[HEAD + WINDOW];
    int rc;

    if (head(out, false, reg, n, e) != 0)
        return -1;
    memcpy(out + HEAD, p, n);
    rc = window(arg, out, in, n, e);
    secret_wipe(out, sizeof(out));
    return rc;
}

/* --- the back-end -------------------------------------------------------------------- */

static const struct usb_interface *match(const struct usb_descriptor *d)
{
    return d->vendor == VENDOR && d->product == PRODUCT ? descriptor_bulk(d, INTERFACE) : NULL;
}

static void forget_command(struct ltt2go *l)
{
    secret_wipe(l->command, l->len);
    l->len = 0;
}

static void ltt2go_close(void *state)
{
    struct ltt2go *l = state;

    if (l == NULL)
        return;
    tis_close(l->tis, l->device->claimed);
    forget_command(l);
    free(l);
}

static int ltt2go_open(void **state, struct device *d, struct err *e)
{
    struct ltt2go *l = calloc(1, sizeof(*l));

    if (l == NULL)
        return err_set(e, E_MEMORY, "out of memory for a USB token");
    l->device = d;
    l->bus = (struct tis_bus){ltt2go_read, ltt2go_write, d, WINDOW};
    if (tis_open(&l->tis, &l->bus, NULL, e) != 0) {
        free(l);
        return -1;
    }
    *state = l;
    return 0;
}

/* Bytes of another's transfer that are under way would be taken for ours. */
static int resync(struct device *d, struct err *e)
{
    struct err why = {0};

    /* A bridge that does not know the request has nothing to be reset; one that is gone... */
    if (device_control(d, TO_DEVICE, SPI_RESET, 0, 0, TIMEOUT_MS, &why) != 0 && why.code != E_IO)
        return err_take(e, &why);
    return device_drain(d, STALE_MAX, e);
}

static int ltt2go_begin(void *state, bool unclean, struct err *e)
{
    struct ltt2go *l = state;

    return unclean ? resync(l->device, e) : 0;
}

/* The third field of commands and responses (Part 1, 18): a code. */
static uint32_t code_of(const uint8_t *p, size_t len)
{
    struct reader r = reader_of(p, len);

    (void)reader_take(&r, 6);
    return reader_u32(&r);
}

static int ltt2go_transmit(void *state, const uint8_t *command, size_t len, struct err *e)
{
    struct ltt2go *l = state;

    if (tis_send(l->tis, command, len, e) != 0)
        return -1;
    /* tis_send() takes no more than there is room for. */
    l->len = code_of(command, len) != CC_STARTUP ? len : 0;
    memcpy(l->command, command, l->len);
    return 0;
}

/* The TPM has had no power since its last TPM2_Startup: that, and the command once more. */
static int start_up(struct ltt2go *l, struct err *e)
{
    uint8_t response[TIS_MAX];
    size_t len = sizeof(response);
    int rc;

    if (tis_send(l->tis, startup, sizeof(startup), e) != 0)
        return -1;
    rc = tis_receive(l->tis, response, &len, STARTUP_MS, e);
    if (rc == TIS_AGAIN)
        return err_set(e, E_TPM,
                       "the TPM does not start up; unplug the token and plug it in again");
    return rc != 0 ? -1 : tis_send(l->tis, l->command, l->len, e);
}

static int ltt2go_receive(void *state, uint8_t *response, size_t *len, int timeout_ms,
                          struct err *e)
{
    struct ltt2go *l = state;
    const size_t room = *len;
    int rc = tis_receive(l->tis, response, len, timeout_ms, e);

    if (rc == 0 && l->len > 0 && code_of(response, *len) == RC_INITIALIZE) {
        rc = start_up(l, e);
        forget_command(l);
        *len = room;
        if (rc == 0)
            rc = tis_receive(l->tis, response, len, timeout_ms, e);
    }
    if (rc != TIS_AGAIN)
        forget_command(l);
    return rc;
}

static int ltt2go_cancel(void *state, struct err *e)
{
    struct ltt2go *l = state;

    return tis_cancel(l->tis, e);
}

_Static_assert(TIS_AGAIN == USB_AGAIN, "one word for it");

const struct usb_backend ltt2go_backend = {
    .name = "ltt2go",
    .match = match,
    .open = ltt2go_open,
    .begin = ltt2go_begin,
    .transmit = ltt2go_transmit,
    .receive = ltt2go_receive,
    .cancel = ltt2go_cancel,
    .close = ltt2go_close,
};
