#include "usb/tis.h"

#include "core/buf.h"
#include "core/log.h"
#include "usb/tis_reg.h"

#include <stdlib.h>

/* Milliseconds: PTP 6.5.1.4 (TIMEOUT_A to D), widened as chips need it; no command takes
 * longer than the last. */
#define LOCALITY_MS 1000
#define READY_MS 2000
#define BURST_MS 2000
#define EXPECT_MS 1000
#define COMMAND_MS 300000

#define OPEN_TRIES 100
#define OPEN_PAUSE 10000
#define TRIES 3
#define HEADER 10

/* --- life --------------------------------------------------------------------------- */

int tis_open(struct tis **out, const struct tis_bus *bus, const struct tis_clock *clock,
             struct err *e)
{
    struct tis *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return err_set(e, E_MEMORY, "out of memory for a TPM");
    t->bus = *bus;
    t->clock = clock != NULL ? *clock : tis_reg_clock;
    *out = t;
    return 0;
}

/* Until it says who it is. */
static int come_up(struct tis *t, struct err *e)
{
    static const uint8_t none[4] = {0}, ones[4] = {0xFF, 0xFF, 0xFF, 0xFF};
    uint8_t id[4] = {0};

    for (int i = 0; i < OPEN_TRIES; i++) {
        if (i > 0)
            t->clock.sleep(t->clock.arg, OPEN_PAUSE);
        if (tis_reg_get(t, REG_DID_VID, id, sizeof(id), e) != 0)
            return -1;
        if (!bytes_equal(bytes_of(id, 4), bytes_of(none, 4)) &&
            !bytes_equal(bytes_of(id, 4), bytes_of(ones, 4)))
            return 0;
    }
    return err_set(e, E_NO_DEVICE, "the token is there but no TPM answers in it; it may be broken");
}

static int take_locality(struct tis *t, struct err *e)
{
    const uint64_t since = tis_reg_now(t);
    bool asked = false;
    uint8_t a = 0;

    for (int i = 0; i < LOOKS_MAX; i++) {
        if (tis_reg_get(t, REG_ACCESS, &a, 1, e) != 0)
            return -1;
        if ((a & (ACCESS_VALID | ACCESS_NONSENSE)) == ACCESS_VALID) {
            if ((a & ACCESS_ACTIVE) != 0)
                return 0;
            if (!asked && tis_reg_put(t, REG_ACCESS, ACCESS_REQUEST, e) != 0)
                return -1;
            asked = true;
        }
        if (tis_reg_now(t) - since >= LOCALITY_MS * 1000ULL)
            break;
        tis_reg_later(t, since);
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
    struct err unheard = {0};

    t->executing = false;
    if (!t->broken && tis_reg_put(t, REG_STS, STS_READY, &unheard) != 0)
        log_debug("the TPM is left as it is: %s", unheard.msg);
}

void tis_close(struct tis *t, bool talk)
{
    if (t == NULL)
        return;
    t->broken = t->broken || !talk;
    if (t->executing)
        give_up(t);
    free(t);
}

/* --- sending -------------------------------------------------------------------------- */

/*
 * commandReady, by aborting what is under way. At its best that is a write and a look; from the
 * middle of a command it takes two writes (PTP, figure 3: Completion, Idle, Ready). A chip that
 * is not reached so far, or whose locality is not ours, shows a status without sense: then all
 * from the beginning.
 */
static int make_ready(struct tis *t, uint32_t *sts, struct err *e)
{
    uint64_t since;

    if (tis_reg_put(t, REG_STS, STS_READY, e) != 0 || tis_reg_status(t, sts, e) != 0)
        return -1;
    if (!t->silent && (*sts & STS_READY) != 0)
        return 0;
    if ((t->silent || *sts == 0) && (come_up(t, e) != 0 || take_locality(t, e) != 0))
        return -1;
    since = tis_reg_now(t);
    while (tis_reg_now(t) - since < READY_MS * 1000ULL) {
        struct tis_wish ready = {STS_READY, STS_READY, false, tis_reg_now(t), 20};
        int rc;

        if (tis_reg_put(t, REG_STS, STS_READY, e) != 0)
            return -1;
        rc = tis_reg_wait(t, &ready, sts, e);
        if (rc <= 0)
            return rc;
    }
    if (t->silent)
        return tis_reg_nobody(e);
    return err_set(
        e, E_BUSY,
        "the TPM does not get ready (status 0x%08x): it is at another program's command, "
        "or stuck; try again, or unplug the token and plug it in again",
        *sts);
}

/*
 * The burst count is what the chip takes or gives without making us wait (PTP 6.5.2.5); beyond it
 * is allowed, and a wait does not go unseen. So most windows go without a look at the status;
 * there is one before the last, where it tells whether both sides mean the same end. A chip
 * that does make us wait is treated with care from then on.
 */
struct ahead {
    size_t told, left; /* the burst count when it was looked at, and now */
};

/* How much to move now, after a look if one is due: 0 with it in `*n`, or 1 when the look told
 * nothing in time, with the status. */
static int next_window(struct tis *t, struct ahead *a, size_t left, size_t *n, uint32_t *sts,
                       struct err *e)
{
    const bool last = left <= t->bus.window;
    struct tis_wish more = {STS_VALID, STS_VALID, true, tis_reg_now(t), BURST_MS};
    int rc;

    *n = last ? left : t->bus.window;
    if (a->left >= *n || (!t->careful && !last))
        return 0;
    if (a->left == 0) {
        rc = tis_reg_wait(t, &more, sts, e);
        if (rc != 0)
            return rc;
        a->told = a->left = STS_BURST(*sts);
    }
    *n = *n < a->left ? *n : a->left;
    return 0;
}

static int moved(struct tis *t, struct ahead *a, size_t n, int rc)
{
    a->left -= n < a->left ? n : a->left;
    t->careful = t->careful || rc == TIS_WAITED;
    return tis_reg_moved(t, rc);
}

static int fill(struct tis *t, const uint8_t *p, size_t len, uint32_t sts, struct err *e)
{
    struct ahead a = {STS_BURST(sts), STS_BURST(sts)};
    size_t done = 0, n = 0;

    while (done < len) {
        uint32_t now_sts = STS_VALID | STS_EXPECT;
        int rc = next_window(t, &a, len - done, &n, &now_sts, e);

        if (rc < 0)
            return -1;
        if (rc > 0)
            return err_set(e, E_TPM, "the TPM does not take a command (no room for %zu bytes)",
                           len - done);
        if (done > 0 && (now_sts & STS_EXPECT) == 0)
            return err_set(e, E_TPM, "the TPM stopped listening %zu bytes into a command of %zu",
                           done, len);
        rc = moved(t, &a, n, t->bus.write(t->bus.arg, REG_FIFO, p + done, n, e));
        if (rc != 0)
            return rc;
        done += n;
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
    rc = tis_reg_wait(t, &(struct tis_wish){STS_VALID, STS_VALID, false, tis_reg_now(t), EXPECT_MS},
                      &sts, e);
    if (rc < 0)
        return -1;
    if (rc > 0)
        return err_set(e, E_TPM, "the TPM's status does not become valid (0x%08x)", sts);
    if ((sts & STS_EXPECT) != 0)
        return err_set(e, E_TPM, "the TPM lost a part of a command: it expects more");
    /* Whether a shifted write started it cannot be known: no second try. */
    rc = tis_reg_moved(t, t->bus.write(t->bus.arg, REG_STS, &go, 1, e));
    return rc == TIS_WAITED ? tis_reg_out_of_waits(e) : rc;
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
        return tis_reg_out_of_waits(e);
    t->executing = rc == 0;
    t->since = tis_reg_now(t);
    return rc;
}

/* --- receiving -------------------------------------------------------------------------- */

/* `len` more bytes of the response. */
static int drain(struct tis *t, uint8_t *p, size_t len, struct ahead *a, struct err *e)
{
    size_t done = 0, n = 0;

    while (done < len) {
        uint32_t sts = STS_AVAIL;
        int rc = next_window(t, a, len - done, &n, &sts, e);

        if (rc < 0)
            return -1;
        if (rc > 0 || (sts & STS_AVAIL) == 0)
            return err_set(e, E_TPM, "the TPM's response ended %zu bytes early", len - done);
        rc = moved(t, a, n, t->bus.read(t->bus.arg, REG_FIFO, p + done, n, e));
        if (rc != 0)
            return rc;
        done += n;
    }
    return 0;
}

/* Bytes behind the end that a chip let us read: it says ones when it has nothing to say. */
static bool all_ones(const uint8_t *p, size_t n)
{
    while (n > 0 && p[n - 1] == 0xFF)
        n--;
    return n == 0;
}

/* Whether the chip has nothing more to say, after the whole response of `size`. */
static int at_end(struct tis *t, const struct ahead *a, size_t size, struct err *e)
{
    struct tis_wish valid = {STS_VALID, STS_VALID, false, tis_reg_now(t), EXPECT_MS};
    uint32_t sts = 0;
    int rc;

    /* A burst count below its greatest was what it had left, and we have it all. */
    if (a->left == 0 && a->told > 0 && a->told < t->most)
        return 0;
    rc = tis_reg_wait(t, &valid, &sts, e);
    if (rc < 0)
        return -1;
    if (rc > 0 || (sts & STS_AVAIL) != 0)
        return err_set(e, E_TPM, "the TPM has more to say than the %zu bytes it announced", size);
    return 0;
}

/* The response that `sts` announced: 0, -1, or TIS_WAITED when it may be read again. */
static int fetch(struct tis *t, uint8_t *p, size_t room, size_t *len, uint32_t sts, struct err *e)
{
    struct ahead a = {STS_BURST(sts), STS_BURST(sts)};
    size_t first = a.told, size;
    int rc;

    /* Most responses are shorter than a window: one access and not two. */
    first = first < t->bus.window ? first : t->bus.window;
    first = first < room ? first : room;
    first = first > HEADER ? first : HEADER;
    rc = drain(t, p, first, &a, e);
    if (rc != 0)
        return rc;
    size = length_of(p, HEADER);
    if (size < HEADER || size > TIS_MAX || size > room)
        return err_set(e, E_TPM, "the TPM announced a response of %zu bytes, there is room for %zu",
                       size, room);
    if (first > size && !all_ones(p + size, first - size))
        return err_set(e, E_TPM, "the TPM has more to say than the %zu bytes it announced", size);
    if (size > first) {
        rc = drain(t, p + first, size - first, &a, e);
        if (rc != 0)
            return rc;
    }
    if (at_end(t, &a, size, e) != 0)
        return -1;
    *len = size;
    return 0;
}

/* Waits for the beginning: 0 with the status, TIS_AGAIN, -1. */
static int announced(struct tis *t, int timeout_ms, uint32_t *sts, struct err *e)
{
    const uint64_t spent = (tis_reg_now(t) - t->since) / 1000;
    const uint64_t wanted = timeout_ms < 0 ? COMMAND_MS : spent + (uint64_t)timeout_ms;
    const struct tis_wish w = {STS_VALID | STS_AVAIL, STS_VALID | STS_AVAIL, false, t->since,
                               wanted < COMMAND_MS ? wanted : COMMAND_MS};
    int rc = tis_reg_wait(t, &w, sts, e);

    if (rc <= 0)
        return rc;
    if (tis_reg_now(t) - t->since < COMMAND_MS * 1000ULL)
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
        if (tis_reg_put(t, REG_STS, STS_RETRY, e) != 0)
            return -1;
        rc = announced(t, SILENCE_MS, &sts, e);
        if (rc < 0)
            return -1;
        if (rc > 0)
            break;
    }
    return tis_reg_out_of_waits(e);
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
    rc = tis_reg_moved(t, t->bus.write(t->bus.arg, REG_STS, cancel, sizeof(cancel), e));
    return rc == TIS_WAITED ? tis_reg_out_of_waits(e) : rc;
}
