#include "tests/support/stick/bridge.h"

#include <errno.h>
#include <string.h>

#define PACKET 64

const char *const bridge_fault_names[BRIDGE_FAULTS] = {
    "sound",         "stall-control", "stall-out", "stall-in", "short-in", "empty-in",
    "empty-forever", "long-in",       "mute-in",   "deaf-out", "wait",     "garbage",
};

/* True when this is a transfer for the fault. */
static bool strikes(struct bridge *b, enum bridge_fault f)
{
    if (b->fault != f || b->times == 0)
        return false;
    b->times--;
    return true;
}

static void forget(struct bridge *b)
{
    b->want = b->have = b->in_len = 0;
    b->in_empty = false;
}

int bridge_control(struct bridge *b, const uint8_t s[8])
{
    const size_t index = (size_t)s[4] | (size_t)s[5] << 8;

    if (strikes(b, BRIDGE_STALL_CONTROL))
        return -EPIPE;
    if (s[0] == 0x40 && s[1] == 0xCB) {
        forget(b);
        return 0;
    }
    if (s[0] != 0xC0 || s[1] != 0xCA || s[2] != 3 || s[3] != 0 || index < 5 || index > 68)
        return -EPIPE;
    b->want = index;
    b->have = 0;
    return 0;
}

/* The chip is selected for these bytes and no longer. */
static void spi(struct bridge *b)
{
    const uint8_t *mosi = b->out;
    const size_t n = (size_t)(mosi[0] & 0x7F) + 1;
    const bool mine = mosi[1] == 0xD4 && b->want == 4 + n;
    const uint16_t reg = (uint16_t)(mosi[2] << 8 | mosi[3]);
    const bool wait = strikes(b, BRIDGE_WAIT);
    uint8_t *miso;

    if (strikes(b, BRIDGE_GARBAGE)) {
        memset(b->in + b->in_len, 0xEE, 7);
        b->in_len += 7;
    }
    miso = b->in + b->in_len;
    memset(miso, 0xFF, b->want);
    miso[0] = miso[1] = miso[2] = 0;
    miso[3] = wait ? 0 : 1;
    if (mine && !wait && (mosi[0] & 0x80) != 0)
        unit_tis_read(&b->tis, reg, miso + 4, n);
    else if (mine && !wait)
        unit_tis_write(&b->tis, reg, mosi + 4, n);
    b->in_len += b->want;
    if (strikes(b, BRIDGE_LONG_IN)) {
        memset(b->in + b->in_len, 0xDD, 5);
        b->in_len += 5;
    }
    b->want = 0;
    b->in_empty = strikes(b, BRIDGE_EMPTY_IN);
}

int bridge_out(struct bridge *b, const uint8_t *p, size_t n)
{
    if (strikes(b, BRIDGE_STALL_OUT))
        return -EPIPE;
    if (b->want == 0 || n > b->want - b->have || b->in_len + b->want + 16 > sizeof(b->in) ||
        strikes(b, BRIDGE_DEAF_OUT))
        return BRIDGE_LATER;
    memcpy(b->out + b->have, p, n);
    b->have += n;
    if (b->have == b->want)
        spi(b);
    return 0;
}

int bridge_in(struct bridge *b, uint8_t *p, size_t room, size_t *n)
{
    size_t all = b->in_len;

    *n = 0;
    if (strikes(b, BRIDGE_STALL_IN))
        return -EPIPE;
    if (b->in_empty || strikes(b, BRIDGE_EMPTY_FOREVER)) {
        b->in_empty = false;
        return 0;
    }
    if (b->in_len == 0 || (b->fault == BRIDGE_MUTE_IN && b->times > 0)) {
        if (b->in_len != 0)
            (void)strikes(b, BRIDGE_MUTE_IN);
        return BRIDGE_LATER;
    }
    if (b->fault == BRIDGE_SHORT_IN)
        all = 1;
    /* Whole packets: what does not fit into the last one's room is lost, with an error. */
    if (all > room && (room % PACKET != 0 || room == 0)) {
        b->in_len = 0;
        return -EOVERFLOW;
    }
    if (all > room)
        all = room;
    memcpy(p, b->in, all);
    memmove(b->in, b->in + all, b->in_len - all);
    b->in_len -= all;
    *n = all;
    return 0;
}

void bridge_power(struct bridge *b)
{
    forget(b);
    chip_power(&b->chip, &b->tis);
}
