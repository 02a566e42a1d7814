/*
 * fusetsu-tokend: makes a board with a TPM a USB token (usb/frame.h). man/fusetsu-tokend.8
 */
#include "cli/command.h"
#include "core/log.h"
#include "usb/descriptor.h"
#include "usb/tokend_gadget.h"
#include "usb/tokend_place.h"
#include "usb/tokend_seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEVICE "device:/dev/tpmrm0"

enum {
    OPT_HELP = 1,
    OPT_VERSION,
    OPT_TCTI,
    OPT_SOCKET,
    OPT_UDC,
    OPT_NAME,
    OPT_SERIAL,
    OPT_VENDOR,
    OPT_PRODUCT,
    OPT_PRESENCE,
    OPT_TIMEOUT,
    OPT_HOLD,
    OPT_USER,
    OPT_LOG,
    OPT_NO_SANDBOX
};

struct options {
    const char *tcti, *socket, *presence, *user;
    unsigned timeout_s, hold_s;
    bool no_sandbox;
    struct tokend_gadget_config gadget;
    char serial[DESCRIPTOR_SERIAL + 1];
};

static const char usage[] =
    "usage: fusetsu-tokend [OPTION...]\n"
    "Makes this board a USB token, with the TPM that it has.\n"
    "\n"
    "  --tcti=STRING             its TPM (" DEVICE ")\n"
    "  --presence=HOW            who confirms the use of keys: none, terminal, gpio:FILE or\n"
    "                            command:PROGRAM (none)\n"
    "  --presence-timeout=S      how long that is waited for (30)\n"
    "  --presence-hold=S         for how long it is good (0: for one command)\n"
    "  --serial=TEXT             of the token (made from /etc/machine-id)\n"
    "  --vendor-id=N --product-id=N  (0x1209, 0x0001)\n"
    "  --udc=NAME                the USB device controller (the first that is there)\n"
    "  --name=NAME               of the gadget (fusetsu)\n"
    "  --socket=PATH             serve a socket, and no USB host\n"
    "  --user=NAME               run as this user\n"
    "  --log=LEVEL               silent, error, warn, info, debug\n"
    "  --no-sandbox              do not filter system calls\n"
    "  --help --version\n";

/* --- options ---------------------------------------------------------------------------- */

static int number(const char *text, unsigned long max, unsigned *out, struct err *e)
{
    char *end = NULL;
    unsigned long v;

    errno = 0;
    v = strtoul(text, &end, 0);
    if (errno != 0 || end == text || *end != 0 || text[0] == '-' || v > max)
        return err_set(e, E_USAGE, "'%.40s' is no number from 0 to %lu", text, max);
    *out = (unsigned)v;
    return 0;
}

static int set(struct options *o, int option, const char *value, struct err *e)
{
    unsigned n = 0;

    switch (option) {
    case OPT_TCTI: o->tcti = value; return 0;
    case OPT_SOCKET: o->socket = value; return 0;
    case OPT_UDC: o->gadget.udc = value; return 0;
    case OPT_NAME: o->gadget.name = value; return 0;
    case OPT_PRESENCE: o->presence = value; return 0;
    case OPT_USER: o->user = value; return 0;
    case OPT_LOG: log_set_level(value); return 0;
    case OPT_NO_SANDBOX: o->no_sandbox = true; return 0;
    case OPT_TIMEOUT: return number(value, TOKEND_PRESENCE_MAX_S, &o->timeout_s, e);
    case OPT_HOLD: return number(value, TOKEND_PRESENCE_MAX_S, &o->hold_s, e);
    case OPT_SERIAL:
        if (!descriptor_serial_ok(value))
            return err_set(e, E_USAGE, "--serial: letters, digits and ._-:+, at most %d",
                           DESCRIPTOR_SERIAL);
        memcpy(o->serial, value, strlen(value) + 1);
        return 0;
    case OPT_VENDOR:
    case OPT_PRODUCT:
        if (number(value, 0xFFFF, &n, e) != 0)
            return -1;
        *(option == OPT_VENDOR ? &o->gadget.vendor : &o->gadget.product) = (uint16_t)n;
        return 0;
    default: return err_set(e, E_USAGE, "see fusetsu-tokend --help");
    }
}

/* 0, 1 when there is nothing left to do, -1. */
static int read_options(struct options *o, int argc, char **argv, struct err *e)
{
    static const struct option table[] = {
        {"help", no_argument, NULL, OPT_HELP},
        {"version", no_argument, NULL, OPT_VERSION},
        {"tcti", required_argument, NULL, OPT_TCTI},
        {"socket", required_argument, NULL, OPT_SOCKET},
        {"udc", required_argument, NULL, OPT_UDC},
        {"name", required_argument, NULL, OPT_NAME},
        {"serial", required_argument, NULL, OPT_SERIAL},
        {"vendor-id", required_argument, NULL, OPT_VENDOR},
        {"product-id", required_argument, NULL, OPT_PRODUCT},
        {"presence", required_argument, NULL, OPT_PRESENCE},
        {"presence-timeout", required_argument, NULL, OPT_TIMEOUT},
        {"presence-hold", required_argument, NULL, OPT_HOLD},
        {"user", required_argument, NULL, OPT_USER},
        {"log", required_argument, NULL, OPT_LOG},
        {"no-sandbox", no_argument, NULL, OPT_NO_SANDBOX},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (option == OPT_HELP || option == OPT_VERSION) {
            (void)fputs(option == OPT_HELP ? usage : "fusetsu-tokend " CLI_VERSION "\n", stdout);
            return 1;
        }
        if (set(o, option, optarg, e) != 0)
            return -1;
    }
    if (optind < argc)
        return err_set(e, E_USAGE, "'%.40s' is no option: see fusetsu-tokend --help", argv[optind]);
    if (o->socket == NULL && o->serial[0] == 0)
        return tokend_place_serial(o->serial, sizeof(o->serial), e);
    return 0;
}

/* --- serving -------------------------------------------------------------------------------- */

struct daemon {
    struct options options;
    struct tokend_forward *forward;
    struct tokend_presence *presence;
    int stop;
};

static int become_user(const struct daemon *d, struct err *e)
{
    return d->options.user != NULL ? tokend_place_user(d->options.user, e) : 0;
}

/* From here on nothing is needed but the TPM and the host. */
static int enter_sandbox(const struct daemon *d, struct err *e)
{
    if (d->options.no_sandbox)
        return 0;
    (void)prctl(PR_SET_DUMPABLE, 0);
    return tokend_seccomp(strncmp(d->options.tcti, "device", strlen("device")) != 0, e);
}

static int serve_socket(struct daemon *d, struct err *e)
{
    int fd = -1, rc;

    if (tokend_forward_open(&d->forward, d->options.tcti, e) != 0 ||
        tokend_place_listen(d->options.socket, &fd, e) != 0)
        return -1;
    rc = become_user(d, e) != 0 || enter_sandbox(d, e) != 0 ? -1 : 0;
    while (rc == 0) {
        struct tokend_link link = {.fd = -1, .events = -1};

        rc = tokend_place_accept(fd, d->stop, &link.fd, e);
        if (rc != 0)
            break;
        rc = tokend_serve(&link, d->forward, d->presence, d->stop, e);
        close(link.fd);
    }
    (void)unlink(d->options.socket);
    close(fd);
    return rc < 0 ? -1 : 0;
}

/* The part that hears the host, in a process of its own. Says on `ready` when it does. */
static int serve_gadget(struct daemon *d, struct tokend_gadget *g, pid_t keeper, int ready,
                        struct err *e)
{
    struct tokend_link link;

    if (tokend_place_signals(&d->stop, e) != 0 ||
        tokend_forward_open(&d->forward, d->options.tcti, e) != 0 ||
        tokend_gadget_link(g, &link, e) != 0 || become_user(d, e) != 0)
        return -1;
    /* It shall not outlive who takes the gadget down. A change of user would forget that. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper || write(ready, "", 1) != 1)
        return err_set(e, E_REMOVED, "the process that made the gadget is gone");
    close(ready);
    if (enter_sandbox(d, e) != 0)
        return -1;
    return tokend_serve(&link, d->forward, d->presence, d->stop, e) < 0 ? -1 : 0;
}

/* Before there is a child, so that none of its is missed. */
static void block_child_signal(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Waits for the child, or for whoever wants it to end. */
static int keep(pid_t child, struct err *e)
{
    int status = 0, signal = 0;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (sigwait(&set, &signal) == 0 && signal != SIGCHLD)
            (void)kill(child, SIGTERM);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return err_set(e, E_IO, "the process that serves the host ended with %s %d",
                   WIFSIGNALED(status) ? "signal" : "code",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* Shows the token to a host when the child is there to hear it. */
static int bind_when_ready(struct tokend_gadget *g, pid_t child, int ready, struct err *e)
{
    char c;

    if (read(ready, &c, 1) != 1)
        return 0; /* it has said why, and ends */
    if (tokend_gadget_bind(g, e) == 0)
        return 0;
    (void)kill(child, SIGTERM);
    return -1;
}

static int run_gadget(struct daemon *d, struct err *e)
{
    struct tokend_gadget *g = NULL;
    const pid_t keeper = getpid();
    int rc, ready[2];
    pid_t child;

    d->options.gadget.serial = d->options.serial;
    if (pipe2(ready, O_CLOEXEC) != 0)
        return err_set(e, E_IO, "no pipe: %s", strerror(errno));
    if (tokend_gadget_open(&g, &d->options.gadget, e) != 0)
        return -1;
    block_child_signal();
    child = fork();
    if (child == 0) {
        close(ready[0]);
        rc = serve_gadget(d, g, keeper, ready[1], e);
        if (rc != 0)
            log_error("%s", e->msg);
        tokend_forward_close(d->forward);
        _exit(rc == 0 ? 0 : 1);
    }
    close(ready[1]);
    tokend_gadget_leave(g);
    rc = child < 0 ? err_set(e, E_IO, "no process to serve the host: %s", strerror(errno))
                   : bind_when_ready(g, child, ready[0], e);
    if (child > 0 && keep(child, e) != 0)
        rc = -1;
    close(ready[0]);
    tokend_gadget_close(g);
    return rc;
}

int main(int argc, char **argv)
{
    struct daemon d = {.options = {.tcti = DEVICE,
                                   .presence = "none",
                                   .timeout_s = 30,
                                   .gadget = {.name = "fusetsu", .vendor = 0x1209, .product = 1}}};
    struct err e = {0};
    int rc;

    rc = read_options(&d.options, argc, argv, &e);
    if (rc == 1)
        return 0;
    if (rc == 0)
        rc = tokend_presence_open(&d.presence, d.options.presence, d.options.timeout_s,
                                  d.options.hold_s, &e);
    if (rc == 0)
        rc = tokend_place_signals(&d.stop, &e);
    if (rc == 0)
        rc = d.options.socket != NULL ? serve_socket(&d, &e) : run_gadget(&d, &e);
    if (rc != 0)
        log_error("%s", e.msg);
    tokend_forward_close(d.forward);
    tokend_presence_close(d.presence);
    return rc == 0 ? 0 : e.code == E_USAGE || e.code == E_ARG ? 2 : 1;
}
