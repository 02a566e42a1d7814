/* The frames of USB tokens, as both sides read them: heads, payloads, the token's filter, and our
 * host against a token that says anything. */
#include "tests/fuzz/input.h"
#include "usb/backend.h"
#include "usb/frame.h"
#include "usb/tokend_filter.h"

#include <string.h>

static void try_head(struct input *in)
{
    struct bytes raw = input_bytes(in, FRAME_HEAD);
    uint8_t head[FRAME_HEAD] = {0}, again[FRAME_HEAD];
    struct frame_head h;

    if (raw.len > 0)
        memcpy(head, raw.p, raw.len);
    if (frame_parse(head, &h, NULL) != 0)
        return;
    INPUT_HOLDS(h.length <= FRAME_PAYLOAD);
    frame_head(again, h.type, h.sequence, h.length);
    INPUT_HOLDS(memcmp(head, again, sizeof(head)) == 0);
}

static void try_payloads(struct input *in)
{
    struct bytes p = input_rest(in);
    char text[FRAME_ERROR_TEXT + 1];
    enum frame_error code;
    struct frame_caps caps;
    uint32_t ms;

    if (frame_error_get(p, &code, text, NULL) == 0) {
        INPUT_HOLDS(strlen(text) <= FRAME_ERROR_TEXT);
        for (size_t i = 0; text[i] != 0; i++)
            INPUT_HOLDS(text[i] >= 0x20 && text[i] < 0x7F);
    }
    if (frame_caps_get(p, &caps, NULL) == 0) {
        uint8_t again[FRAME_CAPS_LEN];

        frame_caps_put(again, &caps);
        INPUT_HOLDS(memcmp(again, p.p, sizeof(again)) == 0);
    }
    if (frame_presence_get(p, &ms, NULL) == 0)
        INPUT_HOLDS(p.len == FRAME_PRESENCE_LEN);
}

/* What passes is a whole command, and none on the hierarchies that are not for hosts. */
static void try_filter(struct input *in)
{
    struct bytes p = input_rest(in);
    struct tokend_verdict v;
    struct reader r = reader_of(p.p, p.len);

    tokend_filter(p, &v);
    INPUT_HOLDS(v.name != NULL);
    if (v.rc != 0)
        return;
    INPUT_HOLDS(frame_holds_tpm(p));
    (void)reader_take(&r, 6);
    INPUT_HOLDS(reader_u32(&r) == v.code);
    INPUT_HOLDS(v.code > 0x11F && v.code < 0x198 && v.code != 0x126 && v.code != 0x129);
    for (size_t i = 0; i < TOKEND_HANDLES; i++)
        INPUT_HOLDS(v.handle[i] != 0x4000000A && v.handle[i] != 0x4000000C);
}

/* --- a token of prepared transfers ----------------------------------------------------------- */

struct token {
    struct device device;
    struct input *in;
    uint32_t sequence; /* of the host's last frame */
};

static int token_control(void *arg, uint8_t type, uint8_t request, uint16_t value, uint16_t index,
                         unsigned timeout_ms, struct err *e)
{
    (void)arg;
    (void)type;
    (void)request;
    (void)value;
    (void)index;
    (void)timeout_ms;
    (void)e;
    return 0;
}

static int token_write(void *arg, const uint8_t *p, size_t n, unsigned timeout_ms, struct err *e)
{
    struct token *t = arg;
    struct frame_head h;

    (void)timeout_ms;
    (void)e;
    INPUT_HOLDS(n >= FRAME_HEAD && frame_parse(p, &h, NULL) == 0 && n == FRAME_HEAD + h.length);
    t->sequence = h.sequence;
    return 0;
}

/* Anything; often a head with the right number, for else there is nothing to see. */
static int token_read(void *arg, uint8_t *p, size_t *n, unsigned timeout_ms, struct err *e)
{
    struct token *t = arg;
    const unsigned kind = input_u8(t->in);
    size_t room = *n, len = 0;
    struct bytes b;

    (void)timeout_ms;
    /* Whoever said all that he has is gone: time is not to be waited for. */
    if (input_empty(t->in))
        return err_set(e, E_REMOVED, "unplugged");
    if (kind % 2 == 0 && room >= FRAME_HEAD) {
        len = input_u8(t->in) | (size_t)(kind & 0x10) << 6;
        frame_head(p, (enum frame_type)(kind >> 5), t->sequence, len);
        len = FRAME_HEAD;
    }
    b = input_bytes(t->in, room - len);
    if (b.len > 0)
        memcpy(p + len, b.p, b.len);
    *n = len + b.len;
    return 0;
}

static void try_host(struct input *in)
{
    static const struct device_ops ops = {
        .control = token_control, .write = token_write, .read = token_read};
    static const uint8_t command[12] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7B, 0, 8};
    struct token t = {.in = in};
    uint8_t response[FRAME_PAYLOAD];
    void *host = NULL;

    t.device = (struct device){.ops = &ops, .arg = &t, .claimed = true};
    t.device.interface.in_max = t.device.interface.out_max = 64;
    if (frame_backend.open(&host, &t.device, NULL) != 0)
        return;
    for (int i = 0; i < 4; i++) {
        size_t n = sizeof(response);

        if (frame_backend.begin(host, false, NULL) != 0 ||
            frame_backend.transmit(host, command, sizeof(command), NULL) != 0 ||
            frame_backend.receive(host, response, &n, -1, NULL) != 0)
            break;
        INPUT_HOLDS(n >= 10 && n <= sizeof(response));
        input_look(bytes_of(response, n));
    }
    frame_backend.close(host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct input *) = {try_head, try_payloads, try_filter, try_host};
    struct input in = input_of(data, size);

    tries[input_below(&in, ARRAY_LEN(tries))](&in);
    input_end(&in);
    return 0;
}
