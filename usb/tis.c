#include "usb/tis.h"

#include "core/buf.h"

#include <stdlib.h>
#include <time.h>

/* PTP 6.5.2, table 19; 6.5.2.2 access, 6.5.2.5 status. */
#define REG_ACCESS 0x000
#define REG_STS 0x018
#define REG_FIFO 0x024
#define REG_DID_VID 0xF00

#define ACCESS_VALID 0x80U
#define ACCESS_ACTIVE 0x20U
#define ACCESS_REQUEST 0x02U
#define ACCESS_NONSENSE 0x40U /* reads as 0 in every chip */

#define STS_VALID 0x80U
#define STS_READY 0x40U
#define STS_GO 0x20U
#define STS_AVAIL 0x10U
#define STS_EXPECT 0x08U
#define STS_RETRY 0x02U /* responseRetry: the response from its beginning */
#define STS_CANCEL_BYTE 0x01U
#define STS_BURST(s) ((s) >> 8 & 0xFFFFU)
#define STS_NOTHING 0xFFFFFFFFU /* nobody drives the bus */

/* Milliseconds: PTP 6.5.1.4 (TIMEOUT_A to D), widened as chips need it; no command takes
 * longer than the last. */
#define LOCALITY_MS 1000
#define READY_MS 2000
#define BURST_MS 2000
#define EXPECT_MS 1000
#define SILENCE_MS 2000
#define COMMAND_MS 300000

/* Microseconds between two looks: an eighth of what was waited already. A look costs what a
 * few hundred microseconds do. */
#define LOOK_MIN 200
#define LOOK_MAX 50000
#define LOOKS_MAX 100000

#define OPEN_TRIES 100
#define OPEN_PAUSE 10000
#define WAITS 20
#define WAIT_PAUSE 1000
#define TRIES 3
#define HEADER 10

struct tis {
    struct tis_bus bus;
    struct tis_clock clock;
    bool executing;
    bool broken;      /* the bus failed: no use talking */
    bool silent;      /* nobody answered the last look, ... */
    uint64_t silence; /* for the first time then */
    uint64_t since;   /* when execution began */
};

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

static const struct tis_clock real_clock = {clock_now, clock_sleep, NULL};

static uint64_t now(const struct tis *t)
{
    return t->clock.now(t->clock.arg);
}

static void look_later(const struct tis *t, uint64_t since)
{
    uint64_t us = (now(t) - since) / 8;

    if (us < LOOK_MIN)
        us = LOOK_MIN;
    if (us > LOOK_MAX)
        us = LOOK_MAX;
    t->clock.sleep(t->clock.arg, us);
}

/* --- registers ------------------------------------------------------------------ */

static int broken(struct tis *t, int rc)
{
    t->broken = t->broken || rc < 0;
    return rc;
}

static int out_of_waits(struct err *e)
{
    return err_set(e, E_IO,
                   "the TPM kept asking to wait, which this token cannot do; unplug it and plug it "
                   "in again");
}

/* Registers that can be read twice. */
static int get(struct tis *t, uint16_t reg, uint8_t *p, size_t n, struct err *e)
{
    int rc = TIS_WAITED;

    for (int i = 0; i < WAITS && rc == TIS_WAITED; i++) {
        if (i > 0)
            t->clock.sleep(t->clock.arg, WAIT_PAUSE);
        rc = broken(t, t->bus.read(t->bus.arg, reg, p, n, e));
    }
    return rc == TIS_WAITED ? out_of_waits(e) : rc;
}

static int put(struct tis *t, uint16_t reg, uint8_t value, struct err *e)
{
    int rc = TIS_WAITED;

    for (int i = 0; i < WAITS && rc == TIS_WAITED; i++) {
        if (i > 0)
            t->clock.sleep(t->clock.arg, WAIT_PAUSE);
        rc = broken(t, t->bus.write(t->bus.arg, reg, &value, 1, e));
    }
    return rc == TIS_WAITED ? out_of_waits(e) : rc;
}

static int get_status(struct tis *t, uint32_t *out, struct err *e)
{
    uint8_t s[4] = {0};

    if (get(t, REG_STS, s, sizeof(s), e) != 0)
        return -1;
    *out = s[0] | (uint32_t)s[1] << 8 | (uint32_t)s[2] << 16 | (uint32_t)s[3] << 24;
    if (*out == STS_NOTHING && !t->silent)
        t->silence = now(t);
    t->silent = *out == STS_NOTHING;
    return 0;
}

static int nobody(struct err *e)
{
    return err_set(e, E_IO, "no TPM answers behind the token; unplug it and plug it in again");
}

/* The first status with these bits as `want` says, and a burst if `burst`: 0, or 1 when there
 * is none in time. Time counts from `since`. */
struct wish {
    uint32_t mask, want;
    bool burst;
    uint64_t since, ms;
};

static int wait_for(struct tis *t, const struct wish *w, uint32_t *sts, struct err *e)
{
    for (int i = 0; i < LOOKS_MAX; i++) {
        if (get_status(t, sts, e) != 0)
            return -1;
        if (!t->silent && (*sts & w->mask) == w->want && (!w->burst || STS_BURST(*sts) > 0))
            return 0;
        if (t->silent && now(t) - t->silence > SILENCE_MS * 1000ULL)
            return nobody(e);
        if (now(t) - w->since >= w->ms * 1000)
            break;
        look_later(t, w->since);
    }
    return 1;
}

/* --- life --------------------------------------------------------------------------- */

int tis_open(struct tis **out, const struct tis_bus *bus, const struct tis_clock *clock,
             struct err *e)
{
    static const uint8_t none[4] = {0}, ones[4] = {0xFF, 0xFF, 0xFF, 0xFF};
    struct tis *t = calloc(1, sizeof(*t));
    uint8_t id[4] = {0};

    if (t == NULL)
        return err_set(e, E_MEMORY, "out of memory for a TPM");
    t->bus = *bus;
    t->clock = clock != NULL ? *clock : real_clock;
    for (int i = 0; i < OPEN_TRIES; i++) {
        if (i > 0)
            t->clock.sleep(t->clock.arg, OPEN_PAUSE);
        if (get(t, REG_DID_VID, id, sizeof(id), e) != 0)
            goto fail;
        if (!bytes_equal(bytes_of(id, 4), bytes_of(none, 4)) &&
            !bytes_equal(bytes_of(id, 4), bytes_of(ones, 4))) {
            *out = t;
            return 0;
        }
    }
    err_set(e, E_NO_DEVICE, "the token is there but no TPM answers in it; it may be broken");
fail:
    free(t);
    return -1;
}

int tis_begin(struct tis *t, struct err *e)
{
    const uint64_t since = now(t);
    bool asked = false;
    uint8_t a = 0;

    for (int i = 0; i < LOOKS_MAX; i++) {
        if (get(t, REG_ACCESS, &a, 1, e) != 0)
            return -1;
        if ((a & (ACCESS_VALID | ACCESS_NONSENSE)) == ACCESS_VALID) {
            if ((a & ACCESS_ACTIVE) != 0)
                return 0;
            if (!asked && put(t, REG_ACCESS, ACCESS_REQUEST, e) != 0)
                return -1;
            asked = true;
        }
        if (now(t) - since >= LOCALITY_MS * 1000ULL)
            break;
        look_later(t, since);
    }
    if (!asked)
        return err_set(e, E_TPM,
                       "the TPM does not come up (access register 0x%02x); unplug the token and "
                       "plug it in again",
                       a);
    return err_set(e, E_BUSY, "the TPM serves another locality and does not let us in");
}

/* Back to idle, whatever it is doing; as good as it goes. */
static void give_up(struct tis *t)
{
    t->executing = false;
    if (!t->broken)
        (void)put(t, REG_STS, STS_READY, NULL);
}

void tis_close(struct tis *t, bool talk)
{
    if (t == NULL)
        return;
    t->broken = t->broken || !talk;
    if (t->executing)
        give_up(t);
    /* 6.5.2.2: writing a 1 to activeLocality relinquishes it. */
    if (!t->broken)
        (void)put(t, REG_ACCESS, ACCESS_ACTIVE, NULL);
    free(t);
}

/* --- sending -------------------------------------------------------------------------- */

/* commandReady, by aborting what is under way. From the end of a command that takes two
 * writes (PTP, figure 3: Completion, Idle, Ready). */
static int make_ready(struct tis *t, uint32_t *sts, struct err *e)
{
    const uint64_t since = now(t);

    if (get_status(t, sts, e) != 0)
        return -1;
    if (!t->silent && (*sts & STS_READY) != 0)
        return 0;
    while (now(t) - since < READY_MS * 1000ULL) {
        struct wish ready = {STS_READY, STS_READY, false, now(t), 20};
        int rc;

        if (put(t, REG_STS, STS_READY, e) != 0)
            return -1;
        rc = wait_for(t, &ready, sts, e);
        if (rc <= 0)
            return rc;
    }
    if (*sts == STS_NOTHING)
        return err_set(e, E_IO, "no TPM answers behind the token; unplug it and plug it in again");
    return err_set(
        e, E_BUSY,
        "the TPM does not get ready (status 0x%08x): it is at another program's command, "
        "or stuck; try again, or unplug the token and plug it in again",
        *sts);
}

static int fill(struct tis *t, const uint8_t *p, size_t len, uint32_t sts, struct err *e)
{
    size_t done = 0, burst = STS_BURST(sts);

    while (done < len) {
        size_t n = len - done;
        int rc;

        if (burst == 0) {
            struct wish more = {0, 0, true, now(t), BURST_MS};

            rc = wait_for(t, &more, &sts, e);
            if (rc < 0)
                return -1;
            if (rc > 0)
                return err_set(e, E_TPM, "the TPM does not take a command (no room for %zu bytes)",
                               len - done);
            if (done > 0 && (sts & (STS_VALID | STS_EXPECT)) == STS_VALID)
                return err_set(e, E_TPM,
                               "the TPM stopped listening %zu bytes into a command of %zu", done,
                               len);
            burst = STS_BURST(sts);
        }
        n = n < burst ? n : burst;
        n = n < t->bus.window ? n : t->bus.window;
        rc = broken(t, t->bus.write(t->bus.arg, REG_FIFO, p + done, n, e));
        if (rc != 0)
            return rc;
        done += n;
        burst -= n;
    }
    return 0;
}

/* 0, -1, or TIS_WAITED when it may be tried again, since nothing was executed. */
static int send_once(struct tis *t, const uint8_t *command, size_t len, struct err *e)
{
    static const uint8_t go = STS_GO;
    uint32_t sts = 0;
    int rc;

    if (make_ready(t, &sts, e) != 0)
        return -1;
    rc = fill(t, command, len, sts, e);
    if (rc != 0)
        return rc;
    rc = wait_for(t, &(struct wish){STS_VALID, STS_VALID, false, now(t), EXPECT_MS}, &sts, e);
    if (rc < 0)
        return -1;
    if (rc > 0)
        return err_set(e, E_TPM, "the TPM's status does not become valid (0x%08x)", sts);
    if ((sts & STS_EXPECT) != 0)
        return err_set(e, E_TPM, "the TPM lost a part of a command: it expects more");
    /* Whether a shifted write started it cannot be known: no second try. */
    rc = broken(t, t->bus.write(t->bus.arg, REG_STS, &go, 1, e));
    return rc == TIS_WAITED ? out_of_waits(e) : rc;
}

/* Part 1, 18: tag, size, code. */
static size_t length_of(const uint8_t *p, size_t len)
{
    struct reader r = reader_of(p, len);

    (void)reader_u16(&r);
    return reader_u32(&r);
}

int tis_send(struct tis *t, const uint8_t *command, size_t len, struct err *e)
{
    int rc = TIS_WAITED;

    if (len < HEADER || len > TIS_MAX || length_of(command, len) != len)
        return err_set(e, E_ARG, "not a TPM command: %zu bytes, or another length inside", len);
    for (int i = 0; i < TRIES && rc == TIS_WAITED; i++) {
        rc = send_once(t, command, len, e);
        if (rc != 0)
            give_up(t);
    }
    if (rc == TIS_WAITED)
        return out_of_waits(e);
    t->executing = rc == 0;
    t->since = now(t);
    return rc;
}

/* --- receiving -------------------------------------------------------------------------- */

/* `len` more bytes of the response; `*burst` may be read without a look. */
static int drain(struct tis *t, uint8_t *p, size_t len, size_t *burst, struct err *e)
{
    size_t done = 0;

    while (done < len) {
        size_t n = len - done;
        int rc;

        if (*burst == 0) {
            struct wish more = {STS_VALID, STS_VALID, true, now(t), BURST_MS};
            uint32_t sts = 0;

            rc = wait_for(t, &more, &sts, e);
            if (rc < 0)
                return -1;
            if (rc > 0 || (sts & STS_AVAIL) == 0)
                return err_set(e, E_TPM, "the TPM's response ended %zu bytes early", n);
            *burst = STS_BURST(sts);
        }
        n = n < *burst ? n : *burst;
        n = n < t->bus.window ? n : t->bus.window;
        rc = broken(t, t->bus.read(t->bus.arg, REG_FIFO, p + done, n, e));
        if (rc != 0)
            return rc;
        done += n;
        *burst -= n;
    }
    return 0;
}

/* The response that `sts` announced: 0, -1, or TIS_WAITED when it may be read again. */
static int fetch(struct tis *t, uint8_t *p, size_t room, size_t *len, uint32_t sts, struct err *e)
{
    size_t burst = STS_BURST(sts), size;
    int rc;

    rc = drain(t, p, HEADER, &burst, e);
    if (rc != 0)
        return rc;
    size = length_of(p, HEADER);
    if (size < HEADER || size > TIS_MAX || size > room)
        return err_set(e, E_TPM, "the TPM announced a response of %zu bytes, there is room for %zu",
                       size, room);
    rc = drain(t, p + HEADER, size - HEADER, &burst, e);
    if (rc != 0)
        return rc;
    rc = wait_for(t, &(struct wish){STS_VALID, STS_VALID, false, now(t), EXPECT_MS}, &sts, e);
    if (rc < 0)
        return -1;
    if (rc > 0 || (sts & STS_AVAIL) != 0)
        return err_set(e, E_TPM, "the TPM has more to say than the %zu bytes it announced", size);
    *len = size;
    return 0;
}

/* Waits for the beginning: 0 with the status, TIS_AGAIN, -1. */
static int announced(struct tis *t, int timeout_ms, uint32_t *sts, struct err *e)
{
    const uint64_t spent = (now(t) - t->since) / 1000;
    const uint64_t wanted = timeout_ms < 0 ? COMMAND_MS : spent + (uint64_t)timeout_ms;
    const struct wish w = {STS_VALID | STS_AVAIL, STS_VALID | STS_AVAIL, false, t->since,
                           wanted < COMMAND_MS ? wanted : COMMAND_MS};
    int rc = wait_for(t, &w, sts, e);

    if (rc <= 0)
        return rc;
    if (now(t) - t->since < COMMAND_MS * 1000ULL)
        return TIS_AGAIN;
    return err_set(e, E_TPM,
                   "the TPM did not answer within %d s; unplug the token and plug it in again",
                   COMMAND_MS / 1000);
}

/* The response whose beginning is there, a second time where the bus spoiled the first. */
static int fetch_again(struct tis *t, uint8_t *p, size_t room, size_t *len, uint32_t sts,
                       struct err *e)
{
    for (int i = 0; i < TRIES; i++) {
        int rc = fetch(t, p, room, len, sts, e);

        if (rc != TIS_WAITED)
            return rc;
        if (put(t, REG_STS, STS_RETRY, e) != 0)
            return -1;
        rc = announced(t, SILENCE_MS, &sts, e);
        if (rc < 0)
            return -1;
        if (rc > 0)
            break;
    }
    return out_of_waits(e);
}

int tis_receive(struct tis *t, uint8_t *response, size_t *len, int timeout_ms, struct err *e)
{
    uint32_t sts = 0;
    int rc;

    if (!t->executing || *len < HEADER)
        return err_set(e, E_ARG, "no command is under way, or no room for its response");
    rc = announced(t, timeout_ms, &sts, e);
    if (rc == TIS_AGAIN)
        return TIS_AGAIN;
    if (rc == 0)
        rc = fetch_again(t, response, *len, len, sts, e);
    /* The response is complete: what happens to the chip now is the next command's matter. */
    give_up(t);
    return rc;
}

int tis_cancel(struct tis *t, struct err *e)
{
    static const uint8_t cancel[4] = {0, 0, 0, STS_CANCEL_BYTE};
    int rc;

    if (!t->executing)
        return 0;
    rc = broken(t, t->bus.write(t->bus.arg, REG_STS, cancel, sizeof(cancel), e));
    return rc == TIS_WAITED ? out_of_waits(e) : rc;
}
