#include "usb/tokend_serve.h"

#include "core/log.h"
#include "core/secret.h"
#include "usb/clock.h"
#include "usb/frame.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Between two packets of a frame. */
#define FRAME_MS 1000

enum phase { PHASE_IDLE, PHASE_ASKS, PHASE_RUNS };

struct serve {
    const struct tokend_link *link;
    struct tokend_forward *forward;
    struct tokend_presence *presence;
    bool deaf;         /* until the host greets */
    bool over;         /* the host is gone for good */
    struct err failed; /* the TPM is: so is the token */

    /* The frame that comes. */
    struct frame_head head;
    size_t got;
    uint64_t due;
    uint8_t in[FRAME_MAX];

    /* The command under way. */
    enum phase phase;
    uint32_t sequence;
    struct tokend_verdict verdict;
    size_t len;
    uint8_t command[FRAME_PAYLOAD];
};

/* --- the command under way --------------------------------------------------------------- */

static void end_command(struct serve *s)
{
    secret_wipe(s->command, s->len);
    s->len = 0;
    s->phase = PHASE_IDLE;
}

/* Nobody waits for it any more. */
static void abort_command(struct serve *s)
{
    if (s->phase == PHASE_ASKS)
        tokend_presence_stop(s->presence);
    if (s->phase == PHASE_RUNS)
        tokend_forward_drop(s->forward);
    end_command(s);
}

static void host_gone(struct serve *s)
{
    abort_command(s);
    tokend_forward_forget(s->forward);
    s->got = 0;
    s->deaf = true;
}

/* --- to the host ------------------------------------------------------------------------- */

static void put(struct serve *s, enum frame_type type, uint32_t sequence, struct bytes payload)
{
    uint8_t out[FRAME_MAX];
    ssize_t n;

    frame_head(out, type, sequence, payload.len);
    memcpy(out + FRAME_HEAD, payload.p, payload.len);
    n = send(s->link->fd, out, FRAME_HEAD + payload.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    secret_wipe(out, FRAME_HEAD + payload.len);
    if (n >= 0)
        return;
    /* One that asks, and does not fetch the answers. */
    log_info("the host does not read: %s", strerror(errno));
    host_gone(s);
}

static void put_error(struct serve *s, enum frame_error code, uint32_t sequence, const char *text)
{
    uint8_t payload[2 + FRAME_ERROR_TEXT];
    const size_t n = frame_error_put(payload, code, text);

    log_info("to the host: %s", text);
    put(s, FRAME_ERROR, sequence, bytes_of(payload, n));
}

static void put_response(struct serve *s, struct bytes response)
{
    end_command(s);
    put(s, FRAME_RESPONSE, s->sequence, response);
}

static void put_code(struct serve *s, uint32_t rc)
{
    uint8_t answer[TOKEND_ANSWER];

    tokend_filter_answer(answer, rc);
    put_response(s, bytes_of(answer, sizeof(answer)));
}

/* What comes after that has no known beginning. */
static void misunderstood(struct serve *s, enum frame_error code, uint32_t sequence,
                          const char *text)
{
    abort_command(s);
    s->got = 0;
    s->deaf = true;
    put_error(s, code, sequence, text);
}

/* --- commands ---------------------------------------------------------------------------- */

static void tpm_failed(struct serve *s, const struct err *e)
{
    s->failed = *e;
    end_command(s);
    put_error(s, FRAME_E_TPM, s->sequence, e->msg);
}

static void run(struct serve *s)
{
    struct err e = {0};

    s->phase = PHASE_RUNS;
    if (tokend_forward_send(s->forward, &s->verdict, bytes_of(s->command, s->len), &e) != 0)
        tpm_failed(s, &e);
}

/* The TPM has answered. */
static void fetch(struct serve *s)
{
    uint8_t response[FRAME_PAYLOAD];
    size_t len = sizeof(response);
    struct err e = {0};

    if (tokend_forward_receive(s->forward, response, &len, &e) == 0)
        put_response(s, bytes_of(response, len));
    else
        tpm_failed(s, &e);
    secret_wipe(response, sizeof(response));
}

static void look_for_presence(struct serve *s)
{
    const enum tokend_presence_answer answer = tokend_presence_look(s->presence);

    if (answer == TOKEND_PRESENCE_WAITS)
        return;
    tokend_presence_stop(s->presence);
    if (answer == TOKEND_PRESENCE_YES) {
        run(s);
        return;
    }
    log_info("%s: nobody confirmed it", s->verdict.name);
    put_code(s, TOKEND_RC_PP);
}

static void ask(struct serve *s)
{
    uint8_t payload[FRAME_PRESENCE_LEN];
    char question[64];

    (void)snprintf(question, sizeof(question), "%s with 0x%08x", s->verdict.name,
                   s->verdict.handle[0]);
    s->phase = PHASE_ASKS;
    tokend_presence_ask(s->presence, question);
    look_for_presence(s);
    if (s->phase != PHASE_ASKS)
        return;
    frame_presence_put(payload, tokend_presence_ms(s->presence));
    put(s, FRAME_PRESENCE, s->sequence, bytes_of(payload, sizeof(payload)));
}

static void command(struct serve *s, struct bytes payload)
{
    if (s->phase != PHASE_IDLE) {
        put_error(s, FRAME_E_BUSY, s->head.sequence, "one command at a time");
        return;
    }
    s->sequence = s->head.sequence;
    tokend_filter(payload, &s->verdict);
    if (s->verdict.rc == 0)
        s->verdict.rc = tokend_forward_check(s->forward, &s->verdict, payload);
    memcpy(s->command, payload.p, payload.len);
    s->len = payload.len;
    if (s->verdict.rc != 0) {
        log_info("refused: %s 0x%x (0x%x)", s->verdict.name, s->verdict.code, s->verdict.rc);
        put_code(s, s->verdict.rc);
    } else if (s->verdict.confirm && tokend_presence_ms(s->presence) != 0) {
        ask(s);
    } else {
        run(s);
    }
}

static void hello(struct serve *s)
{
    const struct frame_caps caps = {.payload = FRAME_PAYLOAD,
                                    .presence_ms = tokend_presence_ms(s->presence),
                                    .can = tokend_presence_ms(s->presence) != 0 ? FRAME_CAN_PRESENCE
                                                                                : 0};
    uint8_t payload[FRAME_CAPS_LEN];

    abort_command(s);
    s->deaf = false;
    frame_caps_put(payload, &caps);
    put(s, FRAME_CAPS, s->head.sequence, bytes_of(payload, sizeof(payload)));
}

static void cancel(struct serve *s)
{
    if (s->phase == PHASE_IDLE || s->head.sequence != s->sequence)
        return;
    if (s->phase == PHASE_RUNS) {
        tokend_forward_cancel(s->forward);
        return;
    }
    tokend_presence_stop(s->presence);
    put_code(s, TOKEND_RC_CANCELED);
}

/* --- from the host -------------------------------------------------------------------------- */

static void frame(struct serve *s)
{
    const struct bytes payload = bytes_of(s->in + FRAME_HEAD, s->head.length);

    s->got = 0;
    switch (s->head.type) {
    case FRAME_HELLO: hello(s); break;
    case FRAME_COMMAND: command(s, payload); break;
    case FRAME_CANCEL: cancel(s); break;
    default:
        misunderstood(s, FRAME_E_FORMAT, s->head.sequence, "a frame that only tokens send");
        break;
    }
    secret_wipe(s->in, sizeof(s->in));
}

/* The first packet of a frame holds its head. False when the packet is done with. */
static bool begin_frame(struct serve *s, size_t n)
{
    struct err e = {0};
    int rc = -1;

    if (n >= FRAME_HEAD)
        rc = frame_parse(s->in, &s->head, &e);
    else
        err_set(&e, E_FORMAT, "a packet of %zu bytes begins no frame", n);
    /* Whoever does not greet was told already. */
    if (s->deaf && (rc != 0 || s->head.type != FRAME_HELLO) && e.code != E_VERSION)
        return false;
    if (rc != 0)
        misunderstood(s, e.code == E_VERSION ? FRAME_E_VERSION : FRAME_E_FORMAT, 0, e.msg);
    return rc == 0;
}

static void packet(struct serve *s)
{
    const size_t room = sizeof(s->in) - s->got;
    const ssize_t n = recv(s->link->fd, s->in + s->got, room, MSG_DONTWAIT | MSG_TRUNC);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        s->over = true;
        return;
    }
    if ((size_t)n > room) {
        if (!s->deaf)
            misunderstood(s, FRAME_E_FORMAT, 0, "more bytes than a frame can have");
        return;
    }
    if (s->got == 0 && !begin_frame(s, (size_t)n))
        return;
    s->got += (size_t)n;
    s->due = clock_ms() + FRAME_MS;
    if (s->got > FRAME_HEAD + s->head.length)
        misunderstood(s, FRAME_E_FORMAT, s->head.sequence, "more bytes than the frame has");
    else if (s->got == FRAME_HEAD + s->head.length)
        frame(s);
}

static int happened(struct serve *s, struct err *e)
{
    enum tokend_event event = TOKEND_EVENT_NONE;

    if (s->link->event(s->link->arg, &event, e) != 0)
        return -1;
    if (event == TOKEND_EVENT_GONE) {
        host_gone(s);
    } else if (event == TOKEND_EVENT_RESET) {
        abort_command(s);
        s->got = 0;
    }
    return 0;
}

/* --- the loop --------------------------------------------------------------------------------- */

static int wait_ms(const struct serve *s)
{
    const uint64_t at = clock_ms();
    int ms = -1;

    if (s->got > 0)
        ms = at < s->due ? (int)(s->due - at) : 0;
    if (s->phase == PHASE_ASKS) {
        const int next = tokend_presence_next_ms(s->presence);

        ms = ms < 0 || next < ms ? next : ms;
    }
    return ms;
}

enum { AT_STOP, AT_EVENT, AT_HOST, AT_TPM, AT_PRESENCE, PLACES };

static int round_of(struct serve *s, int stop, struct err *e)
{
    struct pollfd p[PLACES] = {
        [AT_STOP] = {.fd = stop, .events = POLLIN},
        [AT_EVENT] = {.fd = s->link->events, .events = POLLIN},
        [AT_HOST] = {.fd = s->link->fd, .events = POLLIN},
        [AT_TPM] = {.fd = tokend_forward_fd(s->forward), .events = POLLIN},
        [AT_PRESENCE] = {.fd = tokend_presence_fd(s->presence), .events = POLLIN},
    };

    if (poll(p, PLACES, wait_ms(s)) < 0)
        return errno == EINTR ? 0 : err_set(e, E_IO, "poll: %s", strerror(errno));
    if (p[AT_STOP].revents != 0)
        return 1;
    /* Before the packets: those that come after it are another host's. */
    if (p[AT_EVENT].revents != 0)
        return happened(s, e);
    if (s->phase == PHASE_RUNS && p[AT_TPM].revents != 0)
        fetch(s);
    if (s->phase == PHASE_ASKS)
        look_for_presence(s);
    if (p[AT_HOST].revents != 0)
        packet(s);
    else if (s->got > 0 && clock_ms() >= s->due)
        misunderstood(s, FRAME_E_FORMAT, s->head.sequence, "the frame stops in its middle");
    return 0;
}

int tokend_serve(const struct tokend_link *link, struct tokend_forward *forward,
                 struct tokend_presence *presence, int stop, struct err *e)
{
    struct serve *s = calloc(1, sizeof(*s));
    int rc = 0;

    if (s == NULL)
        return err_set(e, E_MEMORY, "out of memory for a host");
    s->link = link;
    s->forward = forward;
    s->presence = presence;
    s->deaf = true;
    while (rc == 0 && !s->over)
        rc = s->failed.code != E_OK ? err_take(e, &s->failed) : round_of(s, stop, e);
    if (rc == 0 && s->failed.code != E_OK)
        rc = err_take(e, &s->failed);
    host_gone(s);
    secret_wipe(s, sizeof(*s));
    free(s);
    return rc;
}
