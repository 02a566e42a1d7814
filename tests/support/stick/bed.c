#include "tests/support/stick/bed.h"

#include <errno.h>
#include <glib.h>
#include <linux/usbdevice_fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <umockdev.h>

#define STICKS 8
#define ADDRESSES 128
#define DEAD_US 2000000
#define PATH_PORT "/devices/usb1/1-%u"

/* A descriptor that a process has open, and its transfers that it has not fetched yet. */
struct client {
    UMockdevIoctlClient *id;
    struct stick *stick;
    unsigned plugged; /* in which plugging in it was opened */
    gint64 heard;     /* when it last asked for something */
    GList *waiting, *done;
};

struct stick {
    struct bed *bed;
    unsigned port, address; /* address 0: not plugged in */
    unsigned plugged;
    char name[32];
    char *serial, *descriptors;
    struct bridge bridge;
    struct client *owner; /* of the interface */
    bool stolen, dirty;
    unsigned cut;
    struct stick_counts counts;
};

struct bed {
    GRecMutex lock;
    UMockdevTestbed *testbed;
    UMockdevIoctlBase *handler;
    char *root;
    unsigned n, next;
    struct stick stick[STICKS];
    GList *clients;
    bool attached[ADDRESSES];
};

/* A CY7C65211 as it comes in the stick: SPI with two bulk endpoints and one for its notices,
 * and an interface for the factory. */
static const char own_descriptors[] = "12010002000000405d36371300010102"
                                      "0301"
                                      "0902300002010080fa"
                                      "0904000003ff030000"
                                      "07050102400000"
                                      "07058202400000"
                                      "0705830310000a"
                                      "0904010000ff050000";

/* --- transfers ------------------------------------------------------------------------ */

static struct usbdevfs_urb *urb_of(UMockdevIoctlData *d)
{
    return (struct usbdevfs_urb *)(void *)d->data;
}

static void finish(struct client *c, UMockdevIoctlData *d, int status, size_t n)
{
    urb_of(d)->status = status;
    urb_of(d)->actual_length = (int)n;
    c->waiting = g_list_remove(c->waiting, d);
    c->done = g_list_append(c->done, d);
}

/* What the transfer comes to now; false when it has to wait. */
static bool run(struct client *c, UMockdevIoctlData *d)
{
    struct usbdevfs_urb *u = urb_of(d);
    struct bridge *b = &c->stick->bridge;
    size_t n = 0;
    int rc;

    if (u->type == USBDEVFS_URB_TYPE_CONTROL) {
        rc = bridge_control(b, u->buffer);
    } else if (u->endpoint == 0x82) {
        rc = bridge_in(b, u->buffer, (size_t)u->buffer_length, &n);
    } else if (u->endpoint == 0x01) {
        n = (size_t)u->buffer_length;
        rc = bridge_out(b, u->buffer, n);
    } else {
        rc = -ENOENT;
    }
    if (rc == BRIDGE_LATER)
        return false;
    finish(c, d, rc, rc == 0 ? n : 0);
    return true;
}

static void pull(struct stick *s);

/* The transfer and what is to go out, out of the process's memory; NULL: the process was killed
 * after it had asked. */
static UMockdevIoctlData *fetch(UMockdevIoctlData *arg)
{
    UMockdevIoctlData *d, *buffer;

    d = umockdev_ioctl_data_resolve(arg, 0, sizeof(struct usbdevfs_urb), NULL);
    if (d == NULL)
        return NULL;
    buffer = umockdev_ioctl_data_resolve(d, G_STRUCT_OFFSET(struct usbdevfs_urb, buffer),
                                         (gsize)urb_of(d)->buffer_length, NULL);
    if (buffer == NULL)
        g_clear_object(&d);
    g_clear_object(&buffer);
    return d;
}

static void submit(struct client *c, UMockdevIoctlClient *id, UMockdevIoctlData *arg)
{
    UMockdevIoctlData *d = fetch(arg);
    struct stick *s = c->stick;

    if (d == NULL) {
        umockdev_ioctl_client_complete(id, -1, EFAULT);
        return;
    }
    s->counts.urbs++;
    c->waiting = g_list_append(c->waiting, d);
    if (s->cut > 0 && --s->cut == 0) {
        if (s->dirty)
            finish(c, d, -EPROTO, 0);
        pull(s);
    } else if (run(c, d) && urb_of(d)->type != USBDEVFS_URB_TYPE_CONTROL) {
        /* What came out may be what another transfer waits for. */
        for (GList *l = c->waiting, *next; l != NULL; l = next) {
            next = l->next;
            (void)run(c, l->data);
        }
    }
    umockdev_ioctl_client_complete(id, 0, 0);
}

static void reap(struct client *c, UMockdevIoctlClient *id, UMockdevIoctlData *arg, bool gone)
{
    UMockdevIoctlData *d, *pointer;

    if (c->done == NULL) {
        umockdev_ioctl_client_complete(id, -1, gone ? ENODEV : EAGAIN);
        return;
    }
    pointer = umockdev_ioctl_data_resolve(arg, 0, sizeof(gpointer), NULL);
    if (pointer == NULL) {
        umockdev_ioctl_client_complete(id, -1, EFAULT);
        return;
    }
    d = c->done->data;
    c->done = g_list_delete_link(c->done, c->done);
    umockdev_ioctl_data_set_ptr(pointer, 0, d);
    g_object_unref(pointer);
    /* Written back and forgotten. */
    umockdev_ioctl_data_update(d, 0, d->data, d->data_len);
    umockdev_ioctl_client_complete(id, 0, 0);
    g_object_unref(d);
}

static void discard(struct client *c, UMockdevIoctlClient *id, UMockdevIoctlData *arg)
{
    const gulong address = *(gulong *)(void *)arg->data;

    for (GList *l = c->waiting; l != NULL; l = l->next) {
        UMockdevIoctlData *d = l->data;

        if (d->client_addr == address) {
            finish(c, d, -ENOENT, 0);
            umockdev_ioctl_client_complete(id, 0, 0);
            return;
        }
    }
    umockdev_ioctl_client_complete(id, -1, EINVAL);
}

/* --- usbfs ------------------------------------------------------------------------------ */

static void capabilities(UMockdevIoctlClient *id, UMockdevIoctlData *arg)
{
    UMockdevIoctlData *d = umockdev_ioctl_data_resolve(arg, 0, sizeof(uint32_t), NULL);
    const uint32_t caps = USBDEVFS_CAP_BULK_CONTINUATION | USBDEVFS_CAP_NO_PACKET_SIZE_LIM |
                          USBDEVFS_CAP_REAP_AFTER_DISCONNECT | USBDEVFS_CAP_ZERO_PACKET;

    if (d != NULL)
        umockdev_ioctl_data_update(d, 0, (guint8 *)(uintptr_t)&caps, sizeof(caps));
    g_clear_object(&d);
    umockdev_ioctl_client_complete(id, 0, 0);
}

static void claim(struct client *c, UMockdevIoctlClient *id)
{
    struct stick *s = c->stick;
    bool taken;

    /* umockdev does not hear of a process that was killed between asking and being answered. */
    if (s->owner != NULL && g_get_monotonic_time() - s->owner->heard > DEAD_US)
        s->owner = NULL;
    taken = s->stolen || (s->owner != NULL && s->owner != c);
    if (!taken)
        s->owner = c;
    umockdev_ioctl_client_complete(id, taken ? -1 : 0, taken ? EBUSY : 0);
}

static void release(struct client *c, UMockdevIoctlClient *id)
{
    const bool mine = c->stick->owner == c;

    if (mine)
        c->stick->owner = NULL;
    umockdev_ioctl_client_complete(id, mine ? 0 : -1, mine ? 0 : EINVAL);
}

static bool usbfs(struct client *c, UMockdevIoctlClient *id)
{
    UMockdevIoctlData *arg = umockdev_ioctl_client_get_arg(id);
    const gulong request = umockdev_ioctl_client_get_request(id);
    const bool gone = c->plugged != c->stick->plugged || c->stick->address == 0;

    if (request == USBDEVFS_REAPURBNDELAY || request == USBDEVFS_REAPURB) {
        reap(c, id, arg, gone);
        return true;
    }
    if (gone) {
        umockdev_ioctl_client_complete(id, -1, ENODEV);
        return true;
    }
    switch (request) {
    case USBDEVFS_GET_CAPABILITIES: capabilities(id, arg); return true;
    case USBDEVFS_CLAIMINTERFACE: claim(c, id); return true;
    case USBDEVFS_RELEASEINTERFACE: release(c, id); return true;
    case USBDEVFS_SUBMITURB: submit(c, id, arg); return true;
    case USBDEVFS_DISCARDURB: discard(c, id, arg); return true;
    case USBDEVFS_GETDRIVER: umockdev_ioctl_client_complete(id, -1, ENODATA); return true;
    case USBDEVFS_RESET: c->stick->counts.resets++; /* fall through */
    case USBDEVFS_CLEAR_HALT: umockdev_ioctl_client_complete(id, 0, 0); return true;
    default: return false;
    }
}

/* --- who is there ------------------------------------------------------------------------- */

static struct stick *stick_at(struct bed *b, const char *node)
{
    unsigned address = 0;

    if (sscanf(node, "/dev/bus/usb/001/%u", &address) != 1)
        return NULL;
    for (unsigned i = 0; i < b->n; i++) {
        if (b->stick[i].address == address)
            return &b->stick[i];
    }
    return NULL;
}

static void forget(struct client *c)
{
    if (c->stick->owner == c)
        c->stick->owner = NULL;
    c->stick->counts.clients--;
    g_list_free_full(c->waiting, g_object_unref);
    g_list_free_full(c->done, g_object_unref);
    g_object_unref(c->id);
    g_free(c);
}

/* Descriptors that were closed, or whose process ended. No signal tells of them. */
static void sweep(struct bed *b)
{
    for (GList *l = b->clients, *next; l != NULL; l = next) {
        struct client *c = l->data;

        next = l->next;
        if (umockdev_ioctl_client_get_connected(c->id))
            continue;
        b->clients = g_list_delete_link(b->clients, l);
        forget(c);
    }
}

static struct client *client_of(struct bed *b, UMockdevIoctlClient *id)
{
    struct client *c;
    struct stick *s;

    sweep(b);
    for (GList *l = b->clients; l != NULL; l = l->next) {
        c = l->data;
        if (c->id == id)
            return c;
    }
    s = stick_at(b, umockdev_ioctl_client_get_devnode(id));
    if (s == NULL)
        return NULL;
    c = g_new0(struct client, 1);
    c->id = g_object_ref(id);
    c->stick = s;
    c->plugged = s->plugged;
    s->counts.clients++;
    b->clients = g_list_prepend(b->clients, c);
    return c;
}

static gboolean on_ioctl(UMockdevIoctlBase *base, UMockdevIoctlClient *id, struct bed *b)
{
    struct client *c;
    bool handled;

    (void)base;
    g_rec_mutex_lock(&b->lock);
    c = client_of(b, id);
    if (c == NULL) {
        umockdev_ioctl_client_complete(id, -1, ENODEV);
        handled = true;
    } else {
        c->heard = g_get_monotonic_time();
        handled = usbfs(c, id);
    }
    g_rec_mutex_unlock(&b->lock);
    return handled;
}

struct bed *bed_new(void)
{
    struct bed *b = g_new0(struct bed, 1);

    g_rec_mutex_init(&b->lock);
    b->testbed = umockdev_testbed_new();
    b->root = umockdev_testbed_get_root_dir(b->testbed);
    b->handler = umockdev_ioctl_base_new();
    b->next = 2;
    g_signal_connect(b->handler, "handle-ioctl", G_CALLBACK(on_ioctl), b);
    return b;
}

void bed_free(struct bed *b)
{
    for (unsigned i = 0; i < b->n; i++)
        stick_unplug(&b->stick[i]);
    g_object_unref(b->testbed);
    g_object_unref(b->handler);
}

const char *bed_root(const struct bed *b)
{
    return b->root;
}

/* --- plugging ------------------------------------------------------------------------------- */

struct stick *bed_add(struct bed *b, const char *name, const char *serial, const char *socket)
{
    struct stick *s;

    if (b->n == STICKS)
        return NULL;
    s = &b->stick[b->n++];
    s->bed = b;
    s->port = b->n;
    (void)snprintf(s->name, sizeof(s->name), "%s", name);
    s->serial = g_strdup(serial);
    s->bridge.chip.socket = g_strdup(socket);
    chip_attach(&s->bridge.chip, &s->bridge.tis);
    return s;
}

struct stick *bed_find(struct bed *b, const char *name)
{
    for (unsigned i = 0; i < b->n; i++) {
        if (strcmp(b->stick[i].name, name) == 0)
            return &b->stick[i];
    }
    return NULL;
}

void stick_plug(struct stick *s)
{
    struct bed *b = s->bed;
    GError *error = NULL;
    char node[64], *text;

    g_rec_mutex_lock(&b->lock);
    if (s->address != 0)
        goto out;
    s->address = b->next;
    b->next = b->next + 1 < ADDRESSES ? b->next + 1 : 2;
    s->plugged++;
    s->cut = 0;
    bridge_power(&s->bridge);
    (void)snprintf(node, sizeof(node), "/dev/bus/usb/001/%03u", s->address);
    if (!b->attached[s->address] &&
        !umockdev_testbed_attach_ioctl(b->testbed, node, b->handler, &error))
        g_error("%s", error->message);
    b->attached[s->address] = true;
    text = g_strdup_printf("P: " PATH_PORT "\nN: bus/usb/001/%03u\nE: SUBSYSTEM=usb\n"
                           "E: DRIVER=usb\nE: BUSNUM=001\nE: DEVNUM=%03u\nE: DEVNAME=%s\n"
                           "E: DEVTYPE=usb_device\nA: bConfigurationValue=1\\n\nA: busnum=1\\n\n"
                           "A: devnum=%u\\n\nA: speed=12\\n\nH: descriptors=%s\n",
                           s->port, s->address, s->address, node, s->address,
                           s->descriptors != NULL ? s->descriptors : own_descriptors);
    if (!umockdev_testbed_add_from_string(b->testbed, text, &error))
        g_error("%s", error->message);
    g_free(text);
    text = g_strdup_printf("/sys" PATH_PORT, s->port);
    umockdev_testbed_set_attribute(b->testbed, text, "serial", s->serial);
    g_free(text);
out:
    g_rec_mutex_unlock(&b->lock);
}

/* Out of the kernel's lists, and what hung there ends. */
static void pull(struct stick *s)
{
    struct bed *b = s->bed;
    char *path;

    if (s->address == 0)
        return;
    s->address = 0;
    s->owner = NULL;
    for (GList *l = b->clients; l != NULL; l = l->next) {
        struct client *c = l->data;

        while (c->stick == s && c->waiting != NULL)
            finish(c, c->waiting->data, -ESHUTDOWN, 0);
    }
    path = g_strdup_printf("/sys" PATH_PORT, s->port);
    umockdev_testbed_remove_device(b->testbed, path);
    g_free(path);
}

void stick_unplug(struct stick *s)
{
    g_rec_mutex_lock(&s->bed->lock);
    pull(s);
    g_rec_mutex_unlock(&s->bed->lock);
}

/* --- what goes wrong ------------------------------------------------------------------------ */

void stick_cut(struct stick *s, unsigned n, bool dirty)
{
    g_rec_mutex_lock(&s->bed->lock);
    s->cut = n;
    s->dirty = dirty;
    g_rec_mutex_unlock(&s->bed->lock);
}

void stick_descriptors(struct stick *s, const char *hex)
{
    g_free(s->descriptors);
    s->descriptors = g_strdup(hex);
}

void stick_fault(struct stick *s, enum bridge_fault f, unsigned times)
{
    g_rec_mutex_lock(&s->bed->lock);
    s->bridge.fault = f;
    s->bridge.times = times;
    g_rec_mutex_unlock(&s->bed->lock);
}

void stick_tis(struct stick *s, enum unit_tis_fault f, unsigned burst)
{
    g_rec_mutex_lock(&s->bed->lock);
    s->bridge.tis.fault = f;
    s->bridge.tis.burst = burst;
    g_rec_mutex_unlock(&s->bed->lock);
}

void stick_delay(struct stick *s, unsigned ms)
{
    g_rec_mutex_lock(&s->bed->lock);
    s->bridge.chip.delay_ms = ms;
    g_rec_mutex_unlock(&s->bed->lock);
}

void stick_steal(struct stick *s, bool stolen)
{
    g_rec_mutex_lock(&s->bed->lock);
    s->stolen = stolen;
    g_rec_mutex_unlock(&s->bed->lock);
}

struct stick_counts stick_counts(struct stick *s)
{
    struct stick_counts c;

    g_rec_mutex_lock(&s->bed->lock);
    sweep(s->bed);
    c = s->counts;
    c.commands = s->bridge.chip.commands;
    g_rec_mutex_unlock(&s->bed->lock);
    return c;
}
