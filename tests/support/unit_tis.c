#include "tests/support/unit_tis.h"

#include <string.h>

/* PTP 6.5.2.4, figure 3. */
enum { IDLE, READY, RECEPTION, EXECUTION, COMPLETION };

static size_t announced(const struct unit_tis *t)
{
    return t->in_len < 6
               ? 6
               : (size_t)t->in[2] << 24 | (size_t)t->in[3] << 16 | (size_t)t->in[4] << 8 | t->in[5];
}

static void lie(struct unit_tis *t)
{
    static const uint8_t sizes[][4] = {{0, 0, 0, 9}, {0}, {0xFF, 0xFF, 0xFF, 0xFF}};

    if (t->out_len < 10)
        return;
    switch (t->fault) {
    case TIS_SIZE_NINE:
    case TIS_SIZE_ZERO:
    case TIS_SIZE_HUGE: memcpy(t->out + 2, sizes[t->fault - TIS_SIZE_NINE], 4); break;
    case TIS_SIZE_MORE: t->out_len--; break;
    case TIS_SIZE_LESS: t->out[t->out_len++] = 0x55; break;
    default: break;
    }
}

static void look_for_answer(struct unit_tis *t)
{
    size_t len = sizeof(t->out) - 1;

    if (t->state != EXECUTION || t->fault == TIS_SILENT || !t->answer(t->arg, t->out, &len))
        return;
    t->out_len = len;
    t->state = COMPLETION;
    t->out_off = 0;
    t->looks = 0;
    lie(t);
}

static bool expects(const struct unit_tis *t)
{
    if (t->fault == TIS_DEAF && t->in_len > 0)
        return false;
    return t->state == RECEPTION && (t->in_len < announced(t) || t->fault == TIS_EXPECTS);
}

static unsigned burst(const struct unit_tis *t)
{
    const unsigned most = t->burst != 0 ? t->burst : 64;
    const size_t left = t->out_len - t->out_off;

    if (t->fault == TIS_BURST_HUGE)
        return 0xFFFF;
    if (t->fault == TIS_BURST_ZERO)
        return 0;
    if (t->state == READY || t->state == RECEPTION)
        return most;
    if (t->state != COMPLETION || (t->fault == TIS_BURST_DRY && t->out_off >= 10))
        return 0;
    return left < most ? (unsigned)left : most;
}

static void status(struct unit_tis *t, uint8_t s[4])
{
    unsigned b;

    look_for_answer(t);
    t->looks++;
    if (!t->active || (t->fault == TIS_ALL_ONES && t->state >= EXECUTION)) {
        memset(s, 0xFF, 4);
        return;
    }
    memset(s, 0, 4);
    if (t->looks > t->slow_valid && t->fault != TIS_NEVER_VALID && t->state != EXECUTION)
        s[0] |= 0x80;
    if (t->state == READY && t->looks > t->slow_ready && t->fault != TIS_NEVER_READY)
        s[0] |= 0x40;
    if (t->state == COMPLETION &&
        (t->out_off < t->out_len || (t->fault == TIS_BURST_DRY && t->out_off >= 10)))
        s[0] |= 0x10;
    if (expects(t))
        s[0] |= 0x08;
    b = burst(t);
    s[1] = (uint8_t)b;
    s[2] = (uint8_t)(b >> 8);
    s[3] = 0x04; /* tpmFamily: 2.0 */
}

static uint8_t access_register(const struct unit_tis *t)
{
    if (t->fault == TIS_NOT_UP)
        return 0x01;
    return (uint8_t)(0x81 | (t->active ? 0x20 : 0));
}

void unit_tis_read(struct unit_tis *t, uint16_t reg, uint8_t *p, size_t n)
{
    static const uint8_t id[4] = {0xD1, 0x15, 0x1B, 0x00}; /* Infineon */
    uint8_t s[4];

    t->reads++;
    memset(p, t->fault == TIS_ABSENT_ZEROS ? 0 : 0xFF, n);
    if (t->fault == TIS_ABSENT_ZEROS || t->fault == TIS_ABSENT_ONES)
        return;
    if (reg == 0x000) {
        p[0] = access_register(t);
    } else if (reg == 0x018) {
        status(t, s);
        memcpy(p, s, n < 4 ? n : 4);
    } else if (reg == 0x024) {
        for (size_t i = 0; i < n && t->state == COMPLETION && t->out_off < t->out_len; i++)
            p[i] = t->out[t->out_off++];
        t->looks = 0;
    } else if (reg == 0xF00) {
        memcpy(p, id, n < 4 ? n : 4);
    }
}

static void to_idle_or_ready(struct unit_tis *t)
{
    if (t->state == EXECUTION || t->state == RECEPTION)
        t->aborts++;
    if (t->state == EXECUTION)
        t->abort(t->arg);
    if (t->state != READY)
        t->looks = 0;
    t->state = t->state == IDLE || t->state == READY ? READY : IDLE;
    t->in_len = t->out_len = t->out_off = 0;
}

static void command(struct unit_tis *t, uint8_t bits)
{
    if ((bits & 0x40) != 0) {
        to_idle_or_ready(t);
    } else if ((bits & 0x20) != 0 && t->state == RECEPTION && t->in_len == announced(t)) {
        t->state = EXECUTION;
        t->execute(t->arg, t->in, t->in_len);
    } else if ((bits & 0x02) != 0 && t->state == COMPLETION) {
        t->out_off = 0;
    }
}

static void take(struct unit_tis *t, const uint8_t *p, size_t n)
{
    if (t->state != READY && t->state != RECEPTION)
        return;
    t->state = RECEPTION;
    t->looks = 0;
    for (size_t i = 0; i < n && t->in_len < announced(t) && t->in_len < sizeof(t->in); i++)
        t->in[t->in_len++] = p[i];
}

void unit_tis_write(struct unit_tis *t, uint16_t reg, const uint8_t *p, size_t n)
{
    t->writes++;
    if (t->fault == TIS_ABSENT_ZEROS || t->fault == TIS_ABSENT_ONES)
        return;
    if (reg == 0x000) {
        if ((p[0] & 0x20) != 0)
            t->active = false;
        if ((p[0] & 0x02) != 0 && t->fault != TIS_REFUSED)
            t->active = true;
    } else if (reg == 0x018 && t->active) {
        command(t, p[0]);
        if (n == 4 && (p[3] & 0x01) != 0 && t->state == EXECUTION) {
            t->cancels++;
            t->cancel(t->arg);
        }
    } else if (reg == 0x024 && t->active) {
        take(t, p, n);
    }
}
