#include "cli/pin.h"

#include "cli/uri.h"
#include "core/file.h"
#include "core/log.h"
#include "tpm/token.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

/* What is read before the length is judged, so that "too long" can be said. */
#define PIN_READ_MAX 256

static const struct {
    const char *file, *fd;
} names[] = {
    [PIN_USER] = {"pin-file", "pin-fd"},
    [PIN_SO] = {"so-pin-file", "so-pin-fd"},
    [PIN_NEW] = {"new-pin-file", "new-pin-fd"},
    [PIN_OWNER] = {"owner-so-pin-file", "owner-so-pin-fd"},
};

/* --- files and descriptors ----------------------------------------------- */

static int from_fd(int fd, const char *what, struct secret **out, struct err *e)
{
    if (file_read_line_fd(fd, PIN_READ_MAX, out, e) == 0)
        return 0;
    return err_prefix(e, "%s", what);
}

int pin_read_file(const char *path, const char *what, struct secret **out, struct err *e)
{
    struct stat st;
    int fd, rc = -1;

    if (strcmp(path, "-") == 0)
        return from_fd(STDIN_FILENO, what, out, e);
    /* O_NONBLOCK: a FIFO that nobody writes must not hang the open. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        err_set(e,
                errno == ENOENT   ? E_NOT_FOUND
                : errno == EACCES ? E_DENIED
                                  : E_IO,
                "the file with the %s, %s, cannot be opened: %s", what, path, strerror(errno));
        return -1;
    }
    if (fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
        err_set(e, E_IO, "%s is not a file with a %s; name one that holds it in its first line",
                path, what);
        goto out;
    }
    if (S_ISREG(st.st_mode) && (st.st_mode & 077) != 0)
        log_warn("other users may be able to read the %s in %s; chmod 600 it", what, path);
    if (fcntl(fd, F_SETFL, 0) != 0) {
        err_set(e, E_IO, "%s cannot be read: %s", path, strerror(errno));
        goto out;
    }
    rc = from_fd(fd, what, out, e);
out:
    close(fd);
    return rc;
}

static int from_fd_number(const char *number, const char *what, struct secret **out, struct err *e)
{
    char *end = NULL;
    long fd;

    errno = 0;
    fd = strtol(number, &end, 10);
    if (*number < '0' || *number > '9' || *end != 0 || errno != 0 || fd > 65535)
        return cli_misuse(e, "the file descriptor of the %s is a small number, not \"%.20s\"", what,
                          number);
    if (fcntl((int)fd, F_GETFD) < 0)
        return err_set(e, E_NOT_FOUND,
                       "file descriptor %ld, from which the %s was to be read, is not open", fd,
                       what);
    return from_fd((int)fd, what, out, e);
}

/* --- the terminal -------------------------------------------------------- */

/* True when a signal that ends programs is waiting; they are held back while echo is off. */
static bool asked_to_end(void)
{
    sigset_t pending;

    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1 ||
            sigismember(&pending, SIGHUP) == 1 || sigismember(&pending, SIGQUIT) == 1);
}

/* One key; -1 when the terminal went away or the program is asked to end. */
static int read_key(int tty)
{
    struct pollfd p = {.fd = tty, .events = POLLIN};
    unsigned char c;

    for (;;) {
        int n = poll(&p, 1, 200);

        if (asked_to_end() || (n < 0 && errno != EINTR))
            return -1;
        if (n > 0)
            return read(tty, &c, 1) == 1 ? c : -1;
    }
}

/* Reads a line key by key: the terminal neither echoes nor edits. */
static int read_line(int tty, struct secret *line, struct err *e)
{
    size_t n = 0;

    for (;;) {
        int c = read_key(tty);

        if (c == '\n' || c == '\r')
            break;
        if (c < 0 || c == 3 || c == 4) /* Ctrl-C, Ctrl-D */
            return err_set(e, E_LOGIN, "no PIN was entered; nothing was done");
        if (c == 8 || c == 127) { /* backspace takes a whole UTF-8 letter */
            while (n > 0 && (secret_data(line)[--n] & 0xC0) == 0x80)
                continue;
        } else if (c == 21) { /* Ctrl-U */
            n = 0;
        } else if (c >= ' ' && n < secret_len(line)) {
            secret_data(line)[n++] = (uint8_t)c;
        }
    }
    secret_trim(line, n);
    return 0;
}

static void say(int tty, const char *text)
{
    /* A prompt that cannot be shown fails at the read that follows. */
    ssize_t n = write(tty, text, strlen(text));

    (void)n;
}

static int prompt(int tty, const char *text, struct secret **out, struct err *e)
{
    struct secret *line = secret_new(PIN_READ_MAX, e);
    struct termios was, quiet;
    sigset_t hold, mask;
    int rc = -1;

    if (line == NULL)
        return -1;
    sigemptyset(&hold);
    sigaddset(&hold, SIGINT);
    sigaddset(&hold, SIGQUIT);
    sigaddset(&hold, SIGTERM);
    sigaddset(&hold, SIGHUP);
    if (tcgetattr(tty, &was) != 0) {
        err_set(e, E_IO, "the terminal does not answer; use an option that names the PIN's file");
        goto out;
    }
    quiet = was;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG);
    quiet.c_cc[VMIN] = 1;
    quiet.c_cc[VTIME] = 0;
    sigprocmask(SIG_BLOCK, &hold, &mask);
    if (tcsetattr(tty, TCSAFLUSH, &quiet) != 0) {
        err_set(e, E_IO, "the terminal's echo cannot be switched off, so no PIN is asked for");
    } else {
        say(tty, text);
        rc = read_line(tty, line, e);
        say(tty, "\n");
        tcsetattr(tty, TCSAFLUSH, &was);
    }
    sigprocmask(SIG_SETMASK, &mask, NULL);
out:
    if (rc == 0)
        *out = line;
    else
        secret_free(line);
    return rc;
}

/* One that is being chosen; a present one is judged by the TPM. */
static int check_length(const struct secret *pin, const char *what, struct err *e)
{
    if (secret_len(pin) >= TOKEN_PIN_MIN && secret_len(pin) <= TOKEN_PIN_MAX)
        return 0;
    return err_set(e, E_PIN_LENGTH, "the %s must have %d to %d bytes; choose another", what,
                   TOKEN_PIN_MIN, TOKEN_PIN_MAX);
}

static int from_terminal(enum pin_kind kind, const char *what, bool set, struct secret **out,
                         struct err *e)
{
    struct secret *first = NULL, *again = NULL;
    char text[80];
    int tty = -1, rc = -1;

    if (isatty(STDIN_FILENO))
        tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0)
        return err_set(e, E_LOGIN,
                       "the %s is needed and there is no terminal to ask at; give it with --%s "
                       "FILE or --%s N%s",
                       what, names[kind].file, names[kind].fd,
                       kind == PIN_USER ? " or pin-source in --uri" : "");
    if (set)
        snprintf(text, sizeof(text), "choose the %s (%d to %d bytes): ", what, TOKEN_PIN_MIN,
                 TOKEN_PIN_MAX);
    else
        snprintf(text, sizeof(text), "%s: ", what);
    if (prompt(tty, text, &first, e) != 0)
        goto out;
    if (set) {
        /* Too short is said at once, not after more questions. */
        if (check_length(first, what, e) != 0)
            goto out;
        snprintf(text, sizeof(text), "%s again: ", what);
        if (prompt(tty, text, &again, e) != 0)
            goto out;
        if (!bytes_equal(secret_bytes(first), secret_bytes(again))) {
            err_set(e, E_LOGIN, "the two entries of the %s differ; nothing was done, try again",
                    what);
            goto out;
        }
    }
    *out = first;
    first = NULL;
    rc = 0;
out:
    secret_free(first);
    secret_free(again);
    close(tty);
    return rc;
}

/* --- choosing ------------------------------------------------------------ */

static int from_source(struct cli *c, enum pin_kind kind, const char *what, bool set,
                       struct secret **out, struct err *e)
{
    const char *file = cli_option(c, names[kind].file), *fd = cli_option(c, names[kind].fd);
    const char *text = kind == PIN_USER ? cli_option(c, "uri") : NULL;
    struct uri u = {0};
    int rc = -1;

    if (file != NULL && fd != NULL)
        return cli_misuse(e, "--%s and --%s exclude each other", names[kind].file, names[kind].fd);
    if (text != NULL && uri_parse(&u, text, e) != 0)
        return -1;
    if (u.pin_file != NULL && (file != NULL || fd != NULL))
        cli_misuse(e, "pin-source in the URI and --%s exclude each other",
                   file != NULL ? names[kind].file : names[kind].fd);
    else if (file != NULL)
        rc = pin_read_file(file, what, out, e);
    else if (fd != NULL)
        rc = from_fd_number(fd, what, out, e);
    else if (u.pin_file != NULL)
        rc = pin_read_file(u.pin_file, what, out, e);
    else
        rc = from_terminal(kind, what, set, out, e);
    uri_free(&u);
    return rc;
}

int pin_obtain(struct cli *c, enum pin_kind kind, const char *what, bool set, struct secret **out,
               struct err *e)
{
    struct secret *pin = NULL;

    if (from_source(c, kind, what, set, &pin, e) != 0)
        return -1;
    if (set && check_length(pin, what, e) != 0) {
        secret_free(pin);
        return -1;
    }
    *out = pin;
    return 0;
}

void pin_tries_left(struct err *e, const char *what, uint32_t fails, uint32_t limit)
{
    if (e->code != E_PIN_WRONG || fails >= limit)
        return;
    err_clear(e);
    err_set(e, E_PIN_WRONG, "the %s is wrong; %u of %u tries are left before it locks", what,
            limit - fails, limit);
}
