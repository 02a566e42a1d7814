#include "usb/tokend_place.h"

#include "core/file.h"
#include "core/hash.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MACHINE_ID "/etc/machine-id"
#define SERIAL_BYTES 8

int tokend_place_signals(int *fd, struct err *e)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    *fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return *fd >= 0 ? 0 : err_set(e, E_IO, "no signals: %s", strerror(errno));
}

/* Is it a socket where nobody listens any more? */
static bool dead(const struct sockaddr_un *at)
{
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    bool refused;

    if (fd < 0)
        return false;
    refused = connect(fd, (const struct sockaddr *)(const void *)at, sizeof(*at)) != 0 &&
              errno == ECONNREFUSED;
    close(fd);
    return refused;
}

int tokend_place_listen(const char *path, int *out, struct err *e)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const struct sockaddr *address = (const struct sockaddr *)(const void *)&at;
    mode_t mask;
    int fd, rc;

    if (strlen(path) >= sizeof(at.sun_path))
        return err_set(e, E_ARG, "the path of a socket has at most %zu bytes",
                       sizeof(at.sun_path) - 1);
    memcpy(at.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(e, E_IO, "no socket: %s", strerror(errno));
    mask = umask(0177);
    rc = bind(fd, address, sizeof(at));
    if (rc != 0 && errno == EADDRINUSE && dead(&at)) {
        (void)unlink(path);
        rc = bind(fd, address, sizeof(at));
    }
    (void)umask(mask);
    if (rc == 0 && listen(fd, 1) == 0) {
        *out = fd;
        return 0;
    }
    err_set(e, errno == EADDRINUSE ? E_EXISTS : E_IO, "%.200s: %s", path, strerror(errno));
    close(fd);
    return -1;
}

int tokend_place_accept(int fd, int stop, int *host, struct err *e)
{
    for (;;) {
        struct pollfd p[2] = {{.fd = stop, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return err_set(e, E_IO, "poll: %s", strerror(errno));
        if (p[0].revents != 0)
            return 1;
        if (p[1].revents == 0)
            continue;
        *host = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (*host >= 0)
            return 0;
        if (errno != EINTR && errno != ECONNABORTED)
            return err_set(e, E_IO, "accept: %s", strerror(errno));
    }
}

int tokend_place_user(const char *name, struct err *e)
{
    const struct passwd *pw = getpwnam(name);

    if (pw == NULL)
        return err_set(e, E_NOT_FOUND, "--user: there is no user '%.100s'", name);
    if (initgroups(name, pw->pw_gid) != 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
        setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
        return err_set(e, E_DENIED, "--user: cannot become %.100s: %s", name, strerror(errno));
    return 0;
}

int tokend_place_serial(char *out, size_t size, struct err *e)
{
    static const char domain[] = "fusetsu token serial";
    struct buf in = {0};
    uint8_t digest[32];
    int rc = -1;

    buf_str(&in, domain);
    if (size < 2 * SERIAL_BYTES + 1) {
        err_set(e, E_ARG, "no room for a serial");
    } else if (file_read(MACHINE_ID, 256, &in, e) != 0) {
        err_prefix(e, "no serial (say --serial)");
    } else if (hash_sha256(buf_bytes(&in), digest, e) == 0) {
        hex_encode(out, digest, SERIAL_BYTES);
        rc = 0;
    }
    buf_free(&in);
    return rc;
}
