/*
 * framehost SOCKET bridge
 * framehost SOCKET STEP...
 *
 * A host of fusetsu-tokend --socket. As a bridge it carries TPM commands from standard input and
 * their responses to standard output, for the TCTI "cmd": by our own back-end. In steps it is a
 * host of any kind:
 *   hello             greets, and prints what the token can
 *   send HEX          one TPM command, the response in hex; and how many transfers it took
 *   pad CODE LEN      a command of LEN bytes without anything in it; prints the response's code
 *   raw HEX           these bytes in one packet
 *   get MS            prints the token's next frame: its type, sequence, payload in hex; or "-"
 *   pause             stops itself (SIGSTOP)
 */
#include "core/buf.h"
#include "tests/support/unit_frame.h"
#include "usb/backend.h"
#include "usb/frame.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct unit_frame usb;
static void *host;

static int die(const struct err *e)
{
    fprintf(stderr, "framehost: %s\n", e->msg);
    exit(1);
}

static int dial(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    if (fd < 0 || connect(fd, (const struct sockaddr *)(const void *)&at, sizeof(at)) != 0) {
        perror(path);
        exit(1);
    }
    return fd;
}

static size_t talk(const uint8_t *command, size_t len, uint8_t response[FRAME_PAYLOAD])
{
    struct err e = {0};
    size_t n = FRAME_PAYLOAD;

    if (frame_backend.begin(host, false, &e) != 0 ||
        frame_backend.transmit(host, command, len, &e) != 0 ||
        frame_backend.receive(host, response, &n, -1, &e) != 0)
        die(&e);
    return n;
}

static bool all(int fd, uint8_t *p, size_t n)
{
    for (size_t done = 0; done < n;) {
        const ssize_t got = read(fd, p + done, n - done);

        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

static int bridge(void)
{
    uint8_t command[FRAME_PAYLOAD], response[FRAME_PAYLOAD];

    while (all(STDIN_FILENO, command, 10)) {
        struct reader r = reader_of(command + 2, 4);
        const size_t len = reader_u32(&r);
        size_t n;

        if (len < 10 || len > sizeof(command) || !all(STDIN_FILENO, command + 10, len - 10))
            return 1;
        n = talk(command, len, response);
        if (write(STDOUT_FILENO, response, n) != (ssize_t)n)
            return 1;
    }
    return 0;
}

static void print_hex(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        printf("%02x", p[i]);
}

static size_t from_hex(uint8_t *out, size_t room, const char *hex)
{
    const size_t n = strlen(hex) / 2;

    if (n > room || hex_decode(out, n, hex) != 0) {
        fprintf(stderr, "framehost: '%s' is no hex\n", hex);
        exit(2);
    }
    return n;
}

static void get(int ms)
{
    struct pollfd p = {.fd = usb.fd, .events = POLLIN};
    uint8_t frame[FRAME_MAX];
    struct frame_head h;
    ssize_t n;

    if (poll(&p, 1, ms) != 1) {
        puts("-");
        return;
    }
    n = recv(usb.fd, frame, sizeof(frame), 0);
    if (n < FRAME_HEAD || frame_parse(frame, &h, NULL) != 0) {
        puts("closed");
        exit(1);
    }
    printf("%u %u ", h.type, h.sequence);
    print_hex(frame + FRAME_HEAD, h.length);
    puts("");
}

static void send_command(const uint8_t *command, size_t len, bool whole)
{
    const unsigned long before = usb.device.transfers;
    uint8_t response[FRAME_PAYLOAD];
    const size_t n = talk(command, len, response);

    print_hex(whole ? response : response + 6, whole ? n : 4);
    printf(" %lu transfers\n", usb.device.transfers - before);
}

static void pad(const char *code, const char *length)
{
    const size_t n = (size_t)strtoul(length, NULL, 10);
    uint8_t command[FRAME_PAYLOAD] = {0};
    struct buf b = {0};

    if (n < 10 || n > sizeof(command))
        exit(2);
    buf_u16(&b, 0x8001);
    buf_u32(&b, (uint32_t)n);
    buf_u32(&b, (uint32_t)strtoul(code, NULL, 16));
    memcpy(command, b.p, b.len);
    buf_free(&b);
    send_command(command, n, false);
}

static int steps(int argc, char **argv)
{
    uint8_t bytes[FRAME_MAX];
    struct err e = {0};

    for (int i = 0; i < argc; i++) {
        const char *verb = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        size_t n;

        if (strcmp(verb, "hello") == 0) {
            if (frame_backend.begin(host, false, &e) != 0)
                die(&e);
            puts("greeted");
        } else if (strcmp(verb, "pause") == 0) {
            (void)fflush(stdout);
            (void)raise(SIGSTOP);
        } else if (strcmp(verb, "send") == 0) {
            n = from_hex(bytes, FRAME_PAYLOAD, value);
            send_command(bytes, n, true);
            i++;
        } else if (strcmp(verb, "pad") == 0 && i + 2 < argc) {
            pad(value, argv[i + 2]);
            i += 2;
        } else if (strcmp(verb, "raw") == 0) {
            n = from_hex(bytes, sizeof(bytes), value);
            if (send(usb.fd, bytes, n, MSG_NOSIGNAL) != (ssize_t)n)
                return 1;
            i++;
        } else if (strcmp(verb, "get") == 0) {
            get((int)strtol(value, NULL, 10));
            i++;
        } else {
            fprintf(stderr, "framehost: what is '%s'?\n", verb);
            return 2;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct err e = {0};

    if (argc < 3) {
        fprintf(stderr, "usage: framehost SOCKET bridge|STEP...\n");
        return 2;
    }
    unit_frame_init(&usb, dial(argv[1]), 64);
    if (frame_backend.open(&host, &usb.device, &e) != 0)
        die(&e);
    return strcmp(argv[2], "bridge") == 0 ? bridge() : steps(argc - 2, argv + 2);
}
