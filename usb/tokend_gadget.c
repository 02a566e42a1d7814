#include "usb/tokend_gadget.h"

#include "core/log.h"
#include "usb/frame.h"
#include "usb/tokend_pump.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/usb/functionfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIGFS "/sys/kernel/config"
#define GADGETS CONFIGFS "/usb_gadget"
#define UDCS "/sys/class/udc"
#define RUN "/run/fusetsu-tokend"
#define NAME_MAX_LEN 32
#define DIR_MAX_LEN 96
#define PATH_MAX_LEN 300

struct tokend_gadget {
    char name[NAME_MAX_LEN + 1], udc[64];
    char dir[DIR_MAX_LEN], ffs[DIR_MAX_LEN]; /* the gadget's; where its endpoints are */
    int lock, ep0, in, out;
    bool mounted;
};

/* --- files of configfs ------------------------------------------------------------------ */

static void path_of(char out[PATH_MAX_LEN], const struct tokend_gadget *g, const char *rest)
{
    (void)snprintf(out, PATH_MAX_LEN, "%s/%s", g->dir, rest);
}

static int put(const struct tokend_gadget *g, const char *file, const char *value, struct err *e)
{
    const size_t len = strlen(value);
    char path[PATH_MAX_LEN];
    int fd, rc = 0;

    path_of(path, g, file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, value, len) != (ssize_t)len)
        rc = err_set(e, E_IO, "%s cannot be set to '%s': %s", path, value, strerror(errno));
    if (fd >= 0)
        close(fd);
    return rc;
}

static int put_hex(const struct tokend_gadget *g, const char *file, unsigned value, struct err *e)
{
    char text[16];

    (void)snprintf(text, sizeof(text), "0x%04x", value);
    return put(g, file, text, e);
}

static int make_dir(const struct tokend_gadget *g, const char *rest, struct err *e)
{
    char path[PATH_MAX_LEN];

    path_of(path, g, rest);
    if (mkdir(path, 0755) == 0 || errno == EEXIST)
        return 0;
    return err_set(e, errno == ENOENT ? E_UNSUPPORTED : E_IO, "%s cannot be made: %s", path,
                   strerror(errno));
}

/* Without gadgets there is nothing; with a module there may be. */
static int have_configfs(struct err *e)
{
    if (access(GADGETS, F_OK) != 0 && access(CONFIGFS, F_OK) == 0)
        (void)mount("none", CONFIGFS, "configfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    if (access(GADGETS, F_OK) == 0)
        return 0;
    return err_set(e, E_UNSUPPORTED,
                   "this kernel makes no USB devices: run `modprobe libcomposite` ("
                   "CONFIG_USB_CONFIGFS_F_FS), or see whether you are root");
}

static int find_udc(struct tokend_gadget *g, const char *wanted, struct err *e)
{
    DIR *d = opendir(UDCS);
    const struct dirent *entry;
    int rc = -1;

    while (rc != 0 && d != NULL && (entry = readdir(d)) != NULL) {
        const size_t len = strlen(entry->d_name);

        if (entry->d_name[0] == '.' || len >= sizeof(g->udc) ||
            (wanted != NULL && strcmp(wanted, entry->d_name) != 0))
            continue;
        memcpy(g->udc, entry->d_name, len + 1);
        rc = 0;
    }
    if (d != NULL)
        closedir(d);
    if (rc == 0)
        return 0;
    return err_set(e, E_NO_DEVICE,
                   "there is no USB device controller %s in " UDCS
                   ": this board cannot be a USB device, or its driver is not loaded",
                   wanted != NULL ? wanted : "");
}

/* --- making and removing --------------------------------------------------------------------- */

static void forget_dir(const struct tokend_gadget *g, const char *rest)
{
    char path[PATH_MAX_LEN];

    path_of(path, g, rest);
    if (unlink(path) != 0)
        (void)rmdir(path);
}

/* In the order in which configfs lets it go; what is not there is no error. */
static void demolish(struct tokend_gadget *g)
{
    char function[NAME_MAX_LEN + 32];

    (void)put(g, "UDC", "\n", NULL);
    (void)snprintf(function, sizeof(function), "configs/c.1/ffs.%s", g->name);
    forget_dir(g, function);
    forget_dir(g, "configs/c.1/strings/0x409");
    forget_dir(g, "configs/c.1");
    (void)umount2(g->ffs, MNT_DETACH);
    (void)rmdir(g->ffs);
    (void)snprintf(function, sizeof(function), "functions/ffs.%s", g->name);
    forget_dir(g, function);
    forget_dir(g, "strings/0x409");
    (void)rmdir(g->dir);
}

static int build(struct tokend_gadget *g, const struct tokend_gadget_config *c, struct err *e)
{
    char function[NAME_MAX_LEN + 32], target[PATH_MAX_LEN], link[PATH_MAX_LEN];

    (void)snprintf(function, sizeof(function), "functions/ffs.%s", g->name);
    if (make_dir(g, "", e) != 0 || put_hex(g, "idVendor", c->vendor, e) != 0 ||
        put_hex(g, "idProduct", c->product, e) != 0 || put_hex(g, "bcdUSB", 0x0200, e) != 0 ||
        put_hex(g, "bcdDevice", 0x0100, e) != 0 || make_dir(g, "strings/0x409", e) != 0 ||
        put(g, "strings/0x409/manufacturer", "fusetsu", e) != 0 ||
        put(g, "strings/0x409/product", "fusetsu token", e) != 0 ||
        put(g, "strings/0x409/serialnumber", c->serial, e) != 0 ||
        make_dir(g, "configs/c.1", e) != 0 || make_dir(g, "configs/c.1/strings/0x409", e) != 0 ||
        put(g, "configs/c.1/strings/0x409/configuration", "TPM", e) != 0 ||
        put(g, "configs/c.1/MaxPower", "250", e) != 0 || make_dir(g, function, e) != 0)
        return -1;
    path_of(target, g, function);
    (void)snprintf(function, sizeof(function), "configs/c.1/ffs.%s", g->name);
    path_of(link, g, function);
    if (symlink(target, link) != 0)
        return err_set(e, E_IO, "%s cannot be made: %s", link, strerror(errno));
    return 0;
}

static int mount_endpoints(struct tokend_gadget *g, struct err *e)
{
    if ((mkdir(g->ffs, 0700) != 0 && errno != EEXIST) ||
        mount(g->name, g->ffs, "functionfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0600") != 0)
        return err_set(e, E_UNSUPPORTED, "no endpoints at %s: %s", g->ffs, strerror(errno));
    g->mounted = true;
    return 0;
}

/* --- descriptors ------------------------------------------------------------------------------ */

#define LE16(v) (uint8_t)((v)&0xFF), (uint8_t)((v) >> 8)
#define LE32(v) LE16((v)&0xFFFF), LE16((uint32_t)(v) >> 16)
/* USB 2.0, 9.6.5 and 9.6.6; USB 3.2, 9.6.7: what the endpoints can beyond that, nothing. */
#define INTERFACE 9, 4, 0, 0, 2, FRAME_CLASS, FRAME_SUBCLASS, FRAME_PROTOCOL, 1
#define BULK(address, max) 7, 5, address, 2, LE16(max), 0
#define COMPANION 6, 0x30, 0, 0, 0, 0
#define IN 0x81
#define OUT 0x02
#define DESCRIPTORS_LEN (12 + 3 * 4 + 3 * 9 + 6 * 7 + 2 * 6)

static const uint8_t descriptors[DESCRIPTORS_LEN] = {
    LE32(FUNCTIONFS_DESCRIPTORS_MAGIC_V2),
    LE32(DESCRIPTORS_LEN),
    LE32(FUNCTIONFS_HAS_FS_DESC | FUNCTIONFS_HAS_HS_DESC | FUNCTIONFS_HAS_SS_DESC),
    LE32(3),
    LE32(3),
    LE32(5),
    /* Full, high and super speed. */
    INTERFACE,
    BULK(IN, 64),
    BULK(OUT, 64),
    INTERFACE,
    BULK(IN, 512),
    BULK(OUT, 512),
    INTERFACE,
    BULK(IN, 1024),
    COMPANION,
    BULK(OUT, 1024),
    COMPANION,
};

#define TEXT "fusetsu token"
#define STRINGS_LEN (16 + 2 + sizeof(TEXT))

static int describe(struct tokend_gadget *g, struct err *e)
{
    uint8_t strings[STRINGS_LEN] = {LE32(FUNCTIONFS_STRINGS_MAGIC), LE32(STRINGS_LEN), LE32(1),
                                    LE32(1), LE16(0x0409)};
    char path[PATH_MAX_LEN + 8];

    memcpy(strings + 18, TEXT, sizeof(TEXT));
    (void)snprintf(path, sizeof(path), "%s/ep0", g->ffs);
    g->ep0 = open(path, O_RDWR | O_CLOEXEC);
    if (g->ep0 < 0 || write(g->ep0, descriptors, sizeof(descriptors)) != sizeof(descriptors) ||
        write(g->ep0, strings, sizeof(strings)) != sizeof(strings))
        return err_set(e, E_IO, "%s takes no descriptors: %s", path, strerror(errno));
    (void)snprintf(path, sizeof(path), "%s/ep1", g->ffs);
    g->in = open(path, O_RDWR | O_CLOEXEC);
    (void)snprintf(path, sizeof(path), "%s/ep2", g->ffs);
    g->out = open(path, O_RDWR | O_CLOEXEC);
    if (g->in < 0 || g->out < 0)
        return err_set(e, E_IO, "%s cannot be opened: %s", path, strerror(errno));
    return 0;
}

/* --- what happens to it ------------------------------------------------------------------------ */

/* A request that is not for us is stalled by going the wrong way. */
static enum tokend_event setup(const struct tokend_gadget *g, const struct usb_ctrlrequest *r)
{
    if (r->bRequestType == FRAME_REQUEST_TYPE && r->bRequest == FRAME_REQUEST_RESET &&
        r->wLength == 0) {
        if (read(g->ep0, NULL, 0) < 0)
            log_debug("a reset that nobody waits for: %s", strerror(errno));
        return TOKEND_EVENT_RESET;
    }
    if ((r->bRequestType & USB_DIR_IN) != 0 ? read(g->ep0, NULL, 0) < 0
                                            : write(g->ep0, NULL, 0) < 0)
        log_debug("refused the request 0x%02x", r->bRequest);
    return TOKEND_EVENT_NONE;
}

/* One at a time: the loop looks again. */
static int event(void *arg, enum tokend_event *out, struct err *e)
{
    const struct tokend_gadget *g = arg;
    struct usb_functionfs_event ev;
    const ssize_t n = read(g->ep0, &ev, sizeof(ev));

    *out = TOKEND_EVENT_NONE;
    if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EIDRM))
        return 0;
    if (n != sizeof(ev))
        return err_set(e, E_REMOVED, "the gadget is gone: %s", strerror(errno));
    switch (ev.type) {
    case FUNCTIONFS_SETUP: *out = setup(g, &ev.u.setup); break;
    case FUNCTIONFS_ENABLE: log_info("a host uses the token"); break;
    case FUNCTIONFS_DISABLE:
    case FUNCTIONFS_UNBIND:
        log_info("the host is gone");
        *out = TOKEND_EVENT_GONE;
        break;
    default: break;
    }
    return 0;
}

int tokend_gadget_link(struct tokend_gadget *g, struct tokend_link *out, struct err *e)
{
    int fd = -1;

    if (tokend_pump_start(g->in, g->out, &fd, e) != 0)
        return -1;
    *out = (struct tokend_link){.fd = fd, .events = g->ep0, .event = event, .arg = g};
    return 0;
}

/* --- life ---------------------------------------------------------------------------------------- */

static void shut(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void tokend_gadget_leave(struct tokend_gadget *g)
{
    shut(&g->ep0);
    shut(&g->in);
    shut(&g->out);
}

int tokend_gadget_bind(struct tokend_gadget *g, struct err *e)
{
    return put(g, "UDC", g->udc, e);
}

/* Two daemons would tear down each other's. */
static int lock(struct tokend_gadget *g, struct err *e)
{
    char path[PATH_MAX_LEN];

    (void)snprintf(path, sizeof(path), RUN "/%s.lock", g->name);
    if (mkdir(RUN, 0700) != 0 && errno != EEXIST)
        return err_set(e, E_DENIED, RUN " cannot be made: %s", strerror(errno));
    g->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (g->lock < 0)
        return err_set(e, E_DENIED, "%s cannot be opened: %s", path, strerror(errno));
    if (flock(g->lock, LOCK_EX | LOCK_NB) != 0)
        return err_set(e, E_EXISTS, "another fusetsu-tokend serves the gadget %s", g->name);
    return 0;
}

int tokend_gadget_open(struct tokend_gadget **out, const struct tokend_gadget_config *c,
                       struct err *e)
{
    static const char fine[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    const size_t len = strlen(c->name);
    struct tokend_gadget *g;

    if (len == 0 || len > NAME_MAX_LEN || strspn(c->name, fine) != len)
        return err_set(e, E_ARG, "'%.40s' names no gadget: letters, digits, - and _", c->name);
    g = calloc(1, sizeof(*g));
    if (g == NULL)
        return err_set(e, E_MEMORY, "out of memory for the gadget");
    memcpy(g->name, c->name, len + 1);
    (void)snprintf(g->dir, sizeof(g->dir), GADGETS "/%s", g->name);
    (void)snprintf(g->ffs, sizeof(g->ffs), RUN "/%s", g->name);
    g->lock = g->ep0 = g->in = g->out = -1;
    if (have_configfs(e) != 0 || find_udc(g, c->udc, e) != 0 || lock(g, e) != 0) {
        shut(&g->lock);
        free(g);
        return -1;
    }
    demolish(g);
    if (build(g, c, e) != 0 || mount_endpoints(g, e) != 0 || describe(g, e) != 0) {
        tokend_gadget_close(g);
        return -1;
    }
    *out = g;
    return 0;
}

void tokend_gadget_close(struct tokend_gadget *g)
{
    if (g == NULL)
        return;
    tokend_gadget_leave(g);
    demolish(g);
    shut(&g->lock);
    free(g);
}
