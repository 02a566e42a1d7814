#include "usb/tcti.h"

#include "core/conf.h"
#include "core/log.h"
#include "core/secret.h"
#include "usb/backend.h"
#include "usb/hotplug.h"
#include "usb/tis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USB_MAGIC 0x6675736574757362ULL /* "fusetusb" */
#define KIND_MAX 16

/* Others' commands take their time, the making of RSA keys a minute; at the end nobody waits. */
#define WAIT_MS 90000
#define WAIT_END_MS 500

enum phase { PHASE_IDLE, PHASE_SENT, PHASE_GOT };

struct usb_tcti {
    TSS2_TCTI_CONTEXT_COMMON_V2 tcti; /* first: callers see this part */
    enum phase phase;
    bool lost; /* unplugged: not to be found again by this context */
    char kind[KIND_MAX], serial[DESCRIPTOR_SERIAL + 1]; /* empty: any */
    char *run;
    const struct usb_backend *backend;
    struct device *device; /* NULL: not open */
    void *state;
    size_t len;
    uint8_t response[TIS_MAX];
};

static _Thread_local struct err last;
static bool loud;

static struct usb_tcti *usb_of(TSS2_TCTI_CONTEXT *t)
{
    struct usb_tcti *c = (struct usb_tcti *)(void *)t;

    return c != NULL && c->tcti.v1.magic == USB_MAGIC ? c : NULL;
}

int tcti_usb_why(struct err *e)
{
    return last.code != E_OK ? err_take(e, &last) : 0;
}

void tcti_usb_loud(bool wanted)
{
    loud = wanted;
}

/* A failure in words becomes a number; the words stay where tcti_usb_why() finds them. */
static TSS2_RC failed(const struct err *e)
{
    last = *e;
    if (loud)
        log_error("%s", e->msg);
    switch (e->code) {
    case E_REMOVED:
    case E_NO_DEVICE: return TSS2_TCTI_RC_NO_CONNECTION;
    case E_ARG: return TSS2_TCTI_RC_BAD_VALUE;
    case E_MEMORY: return TSS2_TCTI_RC_MEMORY;
    case E_DENIED: return TSS2_TCTI_RC_NOT_PERMITTED;
    default: return TSS2_TCTI_RC_IO_ERROR;
    }
}

/* --- connection ---------------------------------------------------------------------- */

static void disconnect(struct usb_tcti *c)
{
    if (c->device == NULL)
        return;
    if (c->state != NULL)
        c->backend->close(c->state);
    c->state = NULL;
    device_close(c->device);
    c->device = NULL;
}

static int connect_token(struct usb_tcti *c, struct err *e)
{
    struct hotplug_token t;

    if (hotplug_find(c->kind[0] != 0 ? c->kind : NULL, c->serial[0] != 0 ? c->serial : NULL, &t,
                     e) != 0 ||
        device_open(&c->device, &t, c->run, e) != 0)
        return -1;
    for (size_t i = 0; usb_backends[i] != NULL; i++) {
        if (strcmp(usb_backends[i]->name, t.kind) == 0)
            c->backend = usb_backends[i];
    }
    /* Found as the only one: from now on it is this one. */
    (void)snprintf(c->kind, sizeof(c->kind), "%s", t.kind);
    memcpy(c->serial, t.serial, sizeof(c->serial));
    return 0;
}

/* The token is ours, and ready for a command. */
static int take(struct usb_tcti *c, struct err *e)
{
    bool unclean = false;

    if (c->device == NULL && connect_token(c, e) != 0)
        return -1;
    if (device_claim(c->device, WAIT_MS, &unclean, e) != 0)
        return -1;
    if (c->state == NULL && c->backend->open(&c->state, c->device, e) != 0)
        return -1;
    return c->backend->begin(c->state, unclean, e);
}

static TSS2_RC broken(struct usb_tcti *c, const struct err *e)
{
    /* Not had: what it does, and to whom, is not to be disturbed. */
    if (e->code != E_BUSY || (c->device != NULL && c->device->claimed))
        disconnect(c);
    c->phase = PHASE_IDLE;
    c->lost = c->lost || e->code == E_REMOVED;
    return failed(e);
}

/* --- TCTI ---------------------------------------------------------------------------- */

static TSS2_RC usb_transmit(TSS2_TCTI_CONTEXT *t, size_t len, const uint8_t *command)
{
    struct usb_tcti *c = usb_of(t);
    struct err e = {0};

    if (c == NULL)
        return TSS2_TCTI_RC_BAD_CONTEXT;
    if (command == NULL)
        return TSS2_TCTI_RC_BAD_REFERENCE;
    if (c->phase != PHASE_IDLE)
        return TSS2_TCTI_RC_BAD_SEQUENCE;
    if (c->lost) {
        err_set(&e, E_REMOVED, "the USB token %s was unplugged; plug it in again", c->serial);
        return failed(&e);
    }
    if (take(c, &e) != 0 || c->backend->transmit(c->state, command, len, &e) != 0)
        return broken(c, &e);
    c->phase = PHASE_SENT;
    return TSS2_RC_SUCCESS;
}

/* The response into c->response; the token is free for others then. */
static TSS2_RC fetch(struct usb_tcti *c, int32_t timeout)
{
    struct err e = {0};
    int rc;

    c->len = sizeof(c->response);
    rc = c->backend->receive(c->state, c->response, &c->len, timeout, &e);
    if (rc == USB_AGAIN)
        return TSS2_TCTI_RC_TRY_AGAIN;
    if (rc != 0)
        return broken(c, &e);
    device_release(c->device, true);
    c->phase = PHASE_GOT;
    return TSS2_RC_SUCCESS;
}

static TSS2_RC usb_receive(TSS2_TCTI_CONTEXT *t, size_t *len, uint8_t *response, int32_t timeout)
{
    struct usb_tcti *c = usb_of(t);
    TSS2_RC rc;

    if (c == NULL)
        return TSS2_TCTI_RC_BAD_CONTEXT;
    if (len == NULL)
        return TSS2_TCTI_RC_BAD_REFERENCE;
    if (c->phase == PHASE_IDLE)
        return TSS2_TCTI_RC_BAD_SEQUENCE;
    if (timeout < TSS2_TCTI_TIMEOUT_BLOCK)
        return TSS2_TCTI_RC_BAD_VALUE;
    if (c->phase == PHASE_SENT) {
        rc = fetch(c, timeout);
        if (rc != TSS2_RC_SUCCESS)
            return rc;
    }
    if (response == NULL || *len < c->len) {
        rc = response == NULL ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
        *len = c->len;
        return rc;
    }
    memcpy(response, c->response, c->len);
    secret_wipe(c->response, c->len);
    *len = c->len;
    c->phase = PHASE_IDLE;
    return TSS2_RC_SUCCESS;
}

static TSS2_RC usb_cancel(TSS2_TCTI_CONTEXT *t)
{
    struct usb_tcti *c = usb_of(t);
    struct err e = {0};

    if (c == NULL)
        return TSS2_TCTI_RC_BAD_CONTEXT;
    if (c->phase == PHASE_IDLE)
        return TSS2_TCTI_RC_BAD_SEQUENCE;
    if (c->phase == PHASE_GOT)
        return TSS2_RC_SUCCESS;
    return c->backend->cancel(c->state, &e) == 0 ? TSS2_RC_SUCCESS : broken(c, &e);
}

static TSS2_RC usb_poll_handles(TSS2_TCTI_CONTEXT *t, TSS2_TCTI_POLL_HANDLE *h, size_t *n)
{
    (void)t;
    (void)h;
    (void)n;
    return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

/* Only locality 0 is open to programs. */
static TSS2_RC usb_set_locality(TSS2_TCTI_CONTEXT *t, uint8_t locality)
{
    (void)t;
    return locality == 0 ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_NOT_SUPPORTED;
}

static TSS2_RC usb_make_sticky(TSS2_TCTI_CONTEXT *t, TPM2_HANDLE *h, uint8_t sticky)
{
    (void)t;
    (void)h;
    (void)sticky;
    return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

static void usb_finalize(TSS2_TCTI_CONTEXT *t)
{
    struct usb_tcti *c = usb_of(t);
    bool unclean = false;

    if (c == NULL)
        return;
    /* To leave the chip as it was found; if others have it, they see to that. */
    if (c->state != NULL && !c->device->claimed &&
        device_claim(c->device, WAIT_END_MS, &unclean, NULL) == 0 && unclean)
        device_release(c->device, false);
    if (c->state != NULL) {
        c->backend->close(c->state);
        c->state = NULL;
        device_release(c->device, true);
    }
    disconnect(c);
    free(c->run);
    secret_wipe(c, sizeof(*c));
}

/* --- making one ------------------------------------------------------------------------ */

/* [KIND][:][serial=SERIAL] */
static int parse(struct usb_tcti *c, const char *conf, struct err *e)
{
    static const char key[] = "serial=";
    const char *serial = strncmp(conf, key, strlen(key)) == 0 ? conf : strchr(conf, ':');
    size_t kind = serial != NULL ? (size_t)(serial - conf) : strlen(conf);

    if (kind >= sizeof(c->kind))
        goto bad;
    memcpy(c->kind, conf, kind);
    if (serial == NULL || strcmp(serial, ":") == 0)
        return 0;
    if (*serial == ':')
        serial++;
    if (strncmp(serial, key, strlen(key)) != 0)
        goto bad;
    serial += strlen(key);
    if (!descriptor_serial_ok(serial))
        return err_set(e, E_ARG, "no USB token has a serial like '%.130s'", serial);
    memcpy(c->serial, serial, strlen(serial) + 1);
    return 0;
bad:
    return err_set(e, E_ARG,
                   "'%.130s' names no USB token: write serial=SERIAL, or KIND:serial=SERIAL", conf);
}

static int known_kind(const char *kind, struct err *e)
{
    if (kind[0] == 0)
        return 0;
    for (size_t i = 0; usb_backends[i] != NULL; i++) {
        if (strcmp(usb_backends[i]->name, kind) == 0)
            return 0;
    }
    return err_set(e, E_ARG, "there is no kind of USB token '%s'", kind);
}

/* Where processes take turns. */
static int settings(struct usb_tcti *c, struct err *e)
{
    struct conf *conf = NULL;
    int rc = -1;

    if (conf_load(&conf, e) != 0)
        return -1;
    if (conf_run(conf) != NULL && (c->run = strdup(conf_run(conf))) == NULL)
        err_set(e, E_MEMORY, "out of memory for a USB token");
    else
        rc = 0;
    conf_free(conf);
    return rc;
}

static int make(struct usb_tcti *c, const char *conf, struct err *e)
{
    if (parse(c, conf, e) != 0 || known_kind(c->kind, e) != 0 || settings(c, e) != 0)
        return -1;
    /* It shall fail now and not at the first command; but it may well be somebody's turn. */
    return connect_token(c, e);
}

TSS2_RC tcti_usb_init(TSS2_TCTI_CONTEXT *context, size_t *size, const char *conf)
{
    struct usb_tcti *c = (struct usb_tcti *)(void *)context;
    struct err e = {0};

    if (size == NULL)
        return TSS2_TCTI_RC_BAD_VALUE;
    if (c == NULL) {
        *size = sizeof(*c);
        return TSS2_RC_SUCCESS;
    }
    if (*size < sizeof(*c))
        return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
    memset(c, 0, sizeof(*c));
    if (make(c, conf != NULL ? conf : "", &e) != 0) {
        disconnect(c);
        free(c->run);
        return failed(&e);
    }
    c->tcti.v1.magic = USB_MAGIC;
    c->tcti.v1.version = 2;
    c->tcti.v1.transmit = usb_transmit;
    c->tcti.v1.receive = usb_receive;
    c->tcti.v1.finalize = usb_finalize;
    c->tcti.v1.cancel = usb_cancel;
    c->tcti.v1.getPollHandles = usb_poll_handles;
    c->tcti.v1.setLocality = usb_set_locality;
    c->tcti.makeSticky = usb_make_sticky;
    return TSS2_RC_SUCCESS;
}
