/*
 * A chip that answers whatever the input says: each read of a register takes its next bytes. The
 * machine ends, by time and by count, and a response that it hands out keeps to its length.
 */
#include "core/buf.h"
#include "usb/tis.h"

#include <stdlib.h>
#include <string.h>

struct chip {
    struct reader in;
    uint64_t us;
    unsigned accesses;
};

/* One byte in 16 of what the input has makes the chip wait or go away. */
static int mood(struct chip *c, struct err *e)
{
    uint8_t m = reader_u8(&c->in);

    c->accesses++;
    if (c->in.bad || c->accesses > 20000)
        return err_set(e, E_REMOVED, "the input is over");
    if (m >= 0xF8)
        return TIS_WAITED;
    return m == 0xF7 ? err_set(e, E_REMOVED, "unplugged") : 0;
}

static int chip_read(void *arg, uint16_t reg, uint8_t *p, size_t n, struct err *e)
{
    struct chip *c = arg;
    int rc = mood(c, e);

    for (size_t i = 0; i < n; i++)
        p[i] = reader_u8(&c->in);
    /* Inputs would not come far without a chip that is there at all. */
    if (reg == 0x000)
        p[0] |= 0xA0;
    return rc;
}

static int chip_write(void *arg, uint16_t reg, const uint8_t *p, size_t n, struct err *e)
{
    (void)reg;
    (void)p;
    (void)n;
    return mood(arg, e);
}

static uint64_t chip_now(void *arg)
{
    return ((struct chip *)arg)->us += 10;
}

static void chip_sleep(void *arg, uint64_t us)
{
    ((struct chip *)arg)->us += us;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t command[200] = {0x80, 0x01, 0, 0, 0, 200}, *response;
    struct chip c = {.in = reader_of(data, size)};
    const struct tis_bus bus = {chip_read, chip_write, &c, 64};
    const struct tis_clock clock = {chip_now, chip_sleep, &c};
    const size_t room = 10 + (size_t)reader_u8(&c.in) * 4;
    struct tis *t = NULL;

    response = malloc(room);
    if (response == NULL || tis_open(&t, &bus, &clock, NULL) != 0)
        abort();
    for (int i = 0; i < 4; i++) {
        size_t len = (i & 1) != 0 ? sizeof(command) : 12, got = room;
        int rc;

        command[5] = (uint8_t)len;
        if (tis_send(t, command, len, NULL) != 0)
            continue;
        rc = tis_receive(t, response, &got, i == 2 ? 5 : -1, NULL);
        if (rc == TIS_AGAIN)
            rc = tis_cancel(t, NULL) == 0 ? tis_receive(t, response, &got, -1, NULL) : -1;
        if (rc == 0 && (got < 10 || got > room || response[5] != (uint8_t)got))
            abort();
    }
    tis_close(t, true);
    free(response);
    return 0;
}
