#include "usb/frame.h"

#include <string.h>

static const uint8_t magic[4] = {'F', 'Z', 'T', 'K'};

/* What a payload may be long. TPM: a head of 10 bytes (Part 1, 16.1). */
static const struct {
    uint32_t least, most;
} lengths[FRAME_TYPES] = {
    [FRAME_HELLO] = {0, 0},
    [FRAME_CAPS] = {FRAME_CAPS_LEN, FRAME_CAPS_LEN},
    [FRAME_COMMAND] = {10, FRAME_PAYLOAD},
    [FRAME_RESPONSE] = {10, FRAME_PAYLOAD},
    [FRAME_CANCEL] = {0, 0},
    [FRAME_PRESENCE] = {FRAME_PRESENCE_LEN, FRAME_PRESENCE_LEN},
    [FRAME_ERROR] = {2, 2 + FRAME_ERROR_TEXT},
};

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

int frame_parse(const uint8_t raw[FRAME_HEAD], struct frame_head *out, struct err *e)
{
    const uint8_t type = raw[5];
    const uint32_t length = get32(raw + 12);

    if (memcmp(raw, magic, sizeof(magic)) != 0)
        return err_set(e, E_FORMAT, "what came is no frame: both sides must speak of frames");
    if (raw[4] != FRAME_VERSION)
        return err_set(e, E_VERSION,
                       "a frame of version %u, not %u: update fusetsu on the older side", raw[4],
                       FRAME_VERSION);
    if (type == 0 || type >= FRAME_TYPES)
        return err_set(e, E_FORMAT, "a frame of unknown type %u", type);
    if (raw[6] != 0 || raw[7] != 0)
        return err_set(e, E_FORMAT, "a frame with unknown flags");
    if (length < lengths[type].least || length > lengths[type].most)
        return err_set(e, E_FORMAT, "a frame of type %u with %u bytes: %u to %u it may have", type,
                       length, lengths[type].least, lengths[type].most);
    out->type = type;
    out->sequence = get32(raw + 8);
    out->length = length;
    return 0;
}

void frame_head(uint8_t out[FRAME_HEAD], enum frame_type type, uint32_t sequence, size_t length)
{
    memcpy(out, magic, sizeof(magic));
    out[4] = FRAME_VERSION;
    out[5] = (uint8_t)type;
    out[6] = out[7] = 0;
    put32(out + 8, sequence);
    put32(out + 12, (uint32_t)length);
}

void frame_caps_put(uint8_t out[FRAME_CAPS_LEN], const struct frame_caps *caps)
{
    put32(out, caps->payload);
    put32(out + 4, caps->can);
    put32(out + 8, caps->presence_ms);
}

int frame_caps_get(struct bytes payload, struct frame_caps *out, struct err *e)
{
    if (payload.len != FRAME_CAPS_LEN)
        return err_set(e, E_FORMAT, "the USB token says in a wrong form what it can");
    out->payload = get32(payload.p);
    out->can = get32(payload.p + 4);
    out->presence_ms = get32(payload.p + 8);
    return 0;
}

void frame_presence_put(uint8_t out[FRAME_PRESENCE_LEN], uint32_t ms)
{
    put32(out, ms);
}

int frame_presence_get(struct bytes payload, uint32_t *ms, struct err *e)
{
    if (payload.len != FRAME_PRESENCE_LEN)
        return err_set(e, E_FORMAT, "the USB token says in a wrong form how long it waits");
    *ms = get32(payload.p);
    return 0;
}

size_t frame_error_put(uint8_t out[2 + FRAME_ERROR_TEXT], enum frame_error code, const char *text)
{
    const size_t n = strnlen(text, FRAME_ERROR_TEXT);

    out[0] = (uint8_t)code;
    out[1] = 0;
    memcpy(out + 2, text, n);
    return 2 + n;
}

int frame_error_get(struct bytes payload, enum frame_error *code, char text[FRAME_ERROR_TEXT + 1],
                    struct err *e)
{
    if (payload.len < 2 || payload.len > 2 + FRAME_ERROR_TEXT)
        return err_set(e, E_FORMAT, "the USB token reports a failure in a wrong form");
    *code = (enum frame_error)(payload.p[0] | payload.p[1] << 8);
    for (size_t i = 2; i < payload.len; i++) {
        const uint8_t c = payload.p[i];

        text[i - 2] = (char)(c >= 0x20 && c < 0x7F ? c : '?');
    }
    text[payload.len - 2] = 0;
    return 0;
}

bool frame_holds_tpm(struct bytes payload)
{
    struct reader r = reader_of(payload.p, payload.len);

    (void)reader_u16(&r);
    return payload.len >= 10 && reader_u32(&r) == payload.len;
}
