#include "tests/support/unit_tokend.h"

#include "usb/backend.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* A command without authorisations from 32-bit words behind its code; its length. */
size_t unit_tokend_make(uint8_t *out, uint32_t code, size_t n, const uint32_t *words)
{
    struct buf b = {0};
    const size_t len = 10 + 4 * n;

    buf_u16(&b, 0x8001);
    buf_u32(&b, (uint32_t)len);
    buf_u32(&b, code);
    for (size_t i = 0; i < n; i++)
        buf_u32(&b, words[i]);
    memcpy(out, b.p, len);
    buf_free(&b);
    return len;
}

/* --- the whole -------------------------------------------------------------------------- */

static int event_of(void *arg, enum tokend_event *out, struct err *e)
{
    struct unit_tokend *w = arg;
    char c;

    (void)e;
    if (read(w->event[0], &c, 1) != 1)
        return -1;
    *out = (enum tokend_event)c;
    return 0;
}

static void *serve(void *arg)
{
    struct unit_tokend *w = arg;
    struct tokend_link link = {.fd = w->far, .events = w->event[0], .event = event_of, .arg = w};

    w->rc = tokend_serve(&link, w->forward, w->presence, w->stop[0], NULL);
    return NULL;
}

void unit_tokend_event(struct unit_tokend *w, enum tokend_event event)
{
    const char c = (char)event;

    assert_int_equal(write(w->event[1], &c, 1), 1);
}

static int control(void *arg, uint8_t type, uint8_t request)
{
    if (type != FRAME_REQUEST_TYPE || request != FRAME_REQUEST_RESET)
        return -1;
    unit_tokend_event(arg, TOKEND_EVENT_RESET);
    return 0;
}

void unit_tokend_begin(struct unit_tokend *w, const char *presence, unsigned timeout_s,
                       unsigned hold_s)
{
    const char *tcti = getenv("FUSETSU_TCTI");
    struct err e = {0};
    int pair[2];

    memset(w, 0, sizeof(*w));
    if (tcti == NULL)
        fail_msg("to be run by swtpm-ci/with-tpm");
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_int_equal(pipe(w->event), 0);
    assert_int_equal(pipe(w->stop), 0);
    w->far = pair[1];
    unit_frame_init(&w->usb, pair[0], 64);
    w->usb.control = control;
    w->usb.arg = w;
    if (tokend_forward_open(&w->forward, tcti, &e) != 0 ||
        tokend_presence_open(&w->presence, presence, timeout_s, hold_s, &e) != 0 ||
        frame_backend.open(&w->host, &w->usb.device, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(pthread_create(&w->thread, NULL, serve, w), 0);
}

void unit_tokend_end(struct unit_tokend *w)
{
    frame_backend.close(w->host);
    assert_int_equal(write(w->stop[1], "x", 1), 1);
    assert_int_equal(pthread_join(w->thread, NULL), 0);
    assert_int_equal(w->rc, 1);
    tokend_forward_close(w->forward);
    tokend_presence_close(w->presence);
    assert_int_equal(w->usb.late, 0);
    for (int i = 0; i < 2; i++) {
        close(w->event[i]);
        close(w->stop[i]);
    }
    close(w->usb.fd);
    close(w->far);
    if (w->button[0] != 0)
        (void)unlink(w->button);
}

/* By our own host; the response's code. */
uint32_t unit_tokend_talk(struct unit_tokend *w, const uint8_t *command, size_t len,
                          uint8_t *response, size_t *n)
{
    struct err e = {0};

    *n = FRAME_PAYLOAD;
    if (frame_backend.begin(w->host, false, &e) != 0 ||
        frame_backend.transmit(w->host, command, len, &e) != 0 ||
        frame_backend.receive(w->host, response, n, 20000, &e) != 0)
        fail_msg("%s", e.msg);
    return RC_OF(response);
}

uint32_t unit_tokend_ask(struct unit_tokend *w, uint32_t code, size_t n, const uint32_t *words,
                         uint8_t *response, size_t *len)
{
    uint8_t command[64];

    return unit_tokend_talk(w, command, unit_tokend_make(command, code, n, words), response, len);
}

bool unit_tokend_works(struct unit_tokend *w)
{
    static const uint8_t command[12] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7B, 0, 16};
    uint8_t r[FRAME_PAYLOAD];
    size_t n;

    return unit_tokend_talk(w, command, sizeof(command), r, &n) == 0 && n == 28;
}

/* How many transient objects, or loaded sessions, the TPM says it has. */
unsigned unit_tokend_count(struct unit_tokend *w, uint32_t first)
{
    const uint32_t words[3] = {1, first, 100};
    uint8_t r[FRAME_PAYLOAD];
    size_t n;

    assert_int_equal(unit_tokend_ask(w, 0x17A, 3, words, r, &n), 0);
    return (unsigned)(r[15] << 24 | r[16] << 16 | r[17] << 8 | r[18]);
}

/* --- hostile hosts ----------------------------------------------------------------------- */

void unit_tokend_throw(struct unit_tokend *w, const void *p, size_t n)
{
    assert_int_equal(send(w->usb.fd, p, n, MSG_NOSIGNAL), (ssize_t)n);
}

void unit_tokend_send(struct unit_tokend *w, enum frame_type type, uint32_t sequence, const void *p,
                      size_t n)
{
    uint8_t frame[FRAME_MAX];

    frame_head(frame, type, sequence, n);
    if (n > 0)
        memcpy(frame + FRAME_HEAD, p, n);
    unit_tokend_throw(w, frame, FRAME_HEAD + n);
}

/* The next frame of the token: its type, or 0 when none comes in that time. */
unsigned unit_tokend_get(struct unit_tokend *w, struct frame_head *h,
                         uint8_t payload[FRAME_PAYLOAD], int timeout_ms)
{
    struct pollfd p = {.fd = w->usb.fd, .events = POLLIN};
    uint8_t frame[FRAME_MAX];
    ssize_t n;

    if (poll(&p, 1, timeout_ms) != 1)
        return 0;
    n = recv(w->usb.fd, frame, sizeof(frame), 0);
    assert_in_range(n, FRAME_HEAD, FRAME_MAX);
    assert_int_equal(frame_parse(frame, h, NULL), 0);
    assert_int_equal((size_t)n, FRAME_HEAD + h->length);
    memcpy(payload, frame + FRAME_HEAD, h->length);
    return h->type;
}

const uint8_t unit_tokend_random[12] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7B, 0, 8};

void unit_tokend_told(struct unit_tokend *w, enum frame_error code, int timeout_ms)
{
    uint8_t payload[FRAME_PAYLOAD];
    char text[FRAME_ERROR_TEXT + 1];
    enum frame_error got;
    struct frame_head h;

    assert_int_equal(unit_tokend_get(w, &h, payload, timeout_ms), FRAME_ERROR);
    assert_int_equal(frame_error_get(bytes_of(payload, h.length), &got, text, NULL), 0);
    assert_int_equal(got, code);
}

/* Nothing but a greeting is heard until one comes. */
void unit_tokend_deaf(struct unit_tokend *w)
{
    uint8_t payload[FRAME_PAYLOAD];
    struct frame_head h;

    unit_tokend_send(w, FRAME_COMMAND, 5, unit_tokend_random, sizeof(unit_tokend_random));
    unit_tokend_throw(w, "something else", 14);
    unit_tokend_send(w, FRAME_HELLO, 6, NULL, 0);
    assert_int_equal(unit_tokend_get(w, &h, payload, 5000), FRAME_CAPS);
    assert_int_equal(h.sequence, 6);
    unit_tokend_send(w, FRAME_COMMAND, 7, unit_tokend_random, sizeof(unit_tokend_random));
    assert_int_equal(unit_tokend_get(w, &h, payload, 5000), FRAME_RESPONSE);
    assert_int_equal(h.sequence, 7);
    assert_int_equal(RC_OF(payload), 0);
}
