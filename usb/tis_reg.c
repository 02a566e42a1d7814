#include "usb/tis_reg.h"

#include <time.h>

/* Microseconds between two looks: two fifths of what was waited already. */
#define LOOK_MIN 200
#define LOOK_MAX 50000

#define WAITS 20
#define WAIT_PAUSE 1000

/* --- time --------------------------------------------------------------------- */

static uint64_t clock_now(void *arg)
{
    struct timespec ts = {0};

    (void)arg;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void clock_sleep(void *arg, uint64_t us)
{
    struct timespec ts = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};

    (void)arg;
    while (nanosleep(&ts, &ts) != 0)
        ;
}

const struct tis_clock tis_reg_clock = {clock_now, clock_sleep, NULL};

uint64_t tis_reg_now(const struct tis *t)
{
    return t->clock.now(t->clock.arg);
}

void tis_reg_later(const struct tis *t, uint64_t since)
{
    uint64_t us = (tis_reg_now(t) - since) * 2 / 5;

    if (us < LOOK_MIN)
        us = LOOK_MIN;
    if (us > LOOK_MAX)
        us = LOOK_MAX;
    t->clock.sleep(t->clock.arg, us);
}

/* --- registers ------------------------------------------------------------------ */

int tis_reg_moved(struct tis *t, int rc)
{
    t->broken = t->broken || rc < 0;
    return rc;
}

int tis_reg_out_of_waits(struct err *e)
{
    return err_set(e, E_IO,
                   "the TPM kept asking to wait, which this token cannot do; unplug it and plug it "
                   "in again");
}

int tis_reg_get(struct tis *t, uint16_t reg, uint8_t *p, size_t n, struct err *e)
{
    int rc = TIS_WAITED;

    for (int i = 0; i < WAITS && rc == TIS_WAITED; i++) {
        if (i > 0)
            t->clock.sleep(t->clock.arg, WAIT_PAUSE);
        rc = tis_reg_moved(t, t->bus.read(t->bus.arg, reg, p, n, e));
    }
    return rc == TIS_WAITED ? tis_reg_out_of_waits(e) : rc;
}

int tis_reg_put(struct tis *t, uint16_t reg, uint8_t value, struct err *e)
{
    int rc = TIS_WAITED;

    for (int i = 0; i < WAITS && rc == TIS_WAITED; i++) {
        if (i > 0)
            t->clock.sleep(t->clock.arg, WAIT_PAUSE);
        rc = tis_reg_moved(t, t->bus.write(t->bus.arg, reg, &value, 1, e));
    }
    return rc == TIS_WAITED ? tis_reg_out_of_waits(e) : rc;
}

int tis_reg_status(struct tis *t, uint32_t *out, struct err *e)
{
    uint8_t s[4] = {0};

    if (tis_reg_get(t, REG_STS, s, sizeof(s), e) != 0)
        return -1;
    *out = s[0] | (uint32_t)s[1] << 8 | (uint32_t)s[2] << 16 | (uint32_t)s[3] << 24;
    if (*out == STS_NOTHING && !t->silent)
        t->silence = tis_reg_now(t);
    t->silent = *out == STS_NOTHING;
    if (!t->silent && STS_BURST(*out) > t->most)
        t->most = STS_BURST(*out);
    return 0;
}

int tis_reg_nobody(struct err *e)
{
    return err_set(e, E_IO, "no TPM answers behind the token; unplug it and plug it in again");
}

int tis_reg_wait(struct tis *t, const struct tis_wish *w, uint32_t *sts, struct err *e)
{
    for (int i = 0; i < LOOKS_MAX; i++) {
        if (tis_reg_status(t, sts, e) != 0)
            return -1;
        if (!t->silent && (*sts & w->mask) == w->want && (!w->burst || STS_BURST(*sts) > 0))
            return 0;
        if (t->silent && tis_reg_now(t) - t->silence > SILENCE_MS * 1000ULL)
            return tis_reg_nobody(e);
        if (tis_reg_now(t) - w->since >= w->ms * 1000)
            break;
        tis_reg_later(t, w->since);
    }
    return 1;
}
