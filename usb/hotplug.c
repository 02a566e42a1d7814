#include "usb/hotplug.h"

#include "core/log.h"
#include "usb/backend.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYSFS "/sys/bus/usb/devices"
#define RAW_MAX 4096

struct hotplug {
    unsigned generation;
    size_t n;
    struct hotplug_token token[HOTPLUG_MAX];
};

/* --- sysfs ------------------------------------------------------------------------ */

/* The first bytes of a device's file: how many, 0 when there is no such file. */
static size_t attribute(const char *port, const char *name, void *out, size_t room)
{
    char path[sizeof(SYSFS) + HOTPLUG_PORT + 32];
    size_t n = 0;
    ssize_t got;
    int fd;

    if ((size_t)snprintf(path, sizeof(path), SYSFS "/%s/%s", port, name) >= sizeof(path))
        return 0;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    while (n < room && (got = read(fd, (uint8_t *)out + n, room - n)) > 0)
        n += (size_t)got;
    close(fd);
    return n;
}

static unsigned number(const char *port, const char *name)
{
    char text[12] = {0};

    (void)attribute(port, name, text, sizeof(text) - 1);
    return (unsigned)strtoul(text, NULL, 10);
}

static void serial_of(const char *port, char out[DESCRIPTOR_SERIAL + 1])
{
    char text[DESCRIPTOR_SERIAL + 3] = {0}; /* more than a good one and its line end */

    (void)attribute(port, "serial", text, sizeof(text) - 1);
    text[strcspn(text, "\n")] = 0;
    out[0] = 0;
    if (descriptor_serial_ok(text))
        memcpy(out, text, strlen(text) + 1);
    else
        log_debug("the USB token at %s has no serial that can name it", port);
}

static bool match(struct hotplug_token *t, const struct usb_descriptor *d)
{
    for (size_t i = 0; usb_backends[i] != NULL; i++) {
        const struct usb_interface *f = usb_backends[i]->match(d);

        if (f != NULL) {
            t->kind = usb_backends[i]->name;
            t->interface = *f;
            t->vendor = d->vendor;
            t->product = d->product;
            return true;
        }
    }
    return false;
}

/* False for what is no token, or is going away while we look. */
static bool read_token(const char *port, struct hotplug_token *t)
{
    uint8_t raw[RAW_MAX];
    struct usb_descriptor d;
    size_t n;

    memset(t, 0, sizeof(*t));
    n = attribute(port, "descriptors", raw, sizeof(raw));
    if (n == 0 || descriptor_parse(bytes_of(raw, n), &d, NULL) != 0 || !match(t, &d))
        return false;
    memcpy(t->port, port, strlen(port) + 1);
    t->bus = number(port, "busnum");
    t->address = number(port, "devnum");
    serial_of(port, t->serial);
    return t->bus != 0 && t->address != 0;
}

static int by_port(const void *a, const void *b)
{
    return strcmp(((const struct hotplug_token *)a)->port, ((const struct hotplug_token *)b)->port);
}

/* Devices are "BUS-PORT[.PORT...]"; "usb1" is a hub of the machine's own, "1-2:1.0" an
 * interface. */
static bool is_device(const char *name)
{
    return name[0] >= '0' && name[0] <= '9' && strchr(name, ':') == NULL &&
           strlen(name) < HOTPLUG_PORT;
}

static size_t list(struct hotplug_token out[HOTPLUG_MAX])
{
    DIR *d = opendir(SYSFS);
    struct dirent *entry;
    size_t n = 0;

    while (d != NULL && n < HOTPLUG_MAX && (entry = readdir(d)) != NULL) {
        if (is_device(entry->d_name) && read_token(entry->d_name, &out[n]))
            n++;
    }
    if (d != NULL)
        closedir(d);
    qsort(out, n, sizeof(out[0]), by_port);
    return n;
}

/* --- what is known of it -------------------------------------------------------------- */

int hotplug_new(struct hotplug **out, struct err *e)
{
    *out = calloc(1, sizeof(**out));
    return *out != NULL ? 0 : err_set(e, E_MEMORY, "out of memory for the list of USB tokens");
}

void hotplug_free(struct hotplug *h)
{
    free(h);
}

static bool same(const struct hotplug_token *a, const struct hotplug_token *b)
{
    return a->bus == b->bus && a->address == b->address && strcmp(a->port, b->port) == 0 &&
           strcmp(a->serial, b->serial) == 0;
}

void hotplug_look(struct hotplug *h)
{
    struct hotplug_token now[HOTPLUG_MAX];
    size_t n = list(now);
    bool changed = n != h->n;

    for (size_t i = 0; i < n && !changed; i++)
        changed = !same(&now[i], &h->token[i]);
    if (!changed)
        return;
    h->n = n;
    memcpy(h->token, now, n * sizeof(now[0]));
    h->generation++;
}

unsigned hotplug_generation(const struct hotplug *h)
{
    return h->generation;
}

size_t hotplug_count(const struct hotplug *h)
{
    return h->n;
}

const struct hotplug_token *hotplug_at(const struct hotplug *h, size_t i)
{
    return i < h->n ? &h->token[i] : NULL;
}

static bool wanted(const struct hotplug_token *t, const char *kind, const char *serial)
{
    return (kind == NULL || strcmp(t->kind, kind) == 0) &&
           (serial == NULL || strcmp(t->serial, serial) == 0);
}

static int several(const struct hotplug_token *t, size_t n, const char *kind, const char *serial,
                   struct err *e)
{
    struct buf names = {0};

    for (size_t i = 0; i < n && names.len < 250; i++) {
        if (wanted(&t[i], kind, serial))
            buf_printf(&names, "%s%s (at %s)", names.len != 0 ? ", " : "",
                       t[i].serial[0] != 0 ? t[i].serial : "no serial", t[i].port);
    }
    if (serial != NULL)
        err_set(e, E_ARG, "several USB tokens have the serial %s: unplug all but one (%s)", serial,
                buf_cstr(&names));
    else
        err_set(e, E_ARG,
                "several USB tokens are there: name one as serial=, or unplug others (%s)",
                buf_cstr(&names));
    buf_free(&names);
    return -1;
}

int hotplug_find(const char *kind, const char *serial, struct hotplug_token *out, struct err *e)
{
    struct hotplug_token there[HOTPLUG_MAX];
    size_t n = list(there), found = 0, at = 0;

    for (size_t i = 0; i < n; i++) {
        if (wanted(&there[i], kind, serial)) {
            found++;
            at = i;
        }
    }
    if (found > 1)
        return several(there, n, kind, serial, e);
    if (found == 1) {
        *out = there[at];
        return 0;
    }
    if (serial != NULL)
        return err_set(e, E_NO_DEVICE, "the USB token %s is not plugged in", serial);
    return err_set(e, E_NO_DEVICE, "no USB token is plugged in");
}

bool hotplug_there(const struct hotplug_token *t)
{
    return number(t->port, "busnum") == t->bus && number(t->port, "devnum") == t->address;
}

void hotplug_node(const struct hotplug_token *t, char out[32])
{
    (void)snprintf(out, 32, "/dev/bus/usb/%03u/%03u", t->bus % 1000, t->address % 1000);
}
