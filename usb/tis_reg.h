#ifndef USB_TIS_REG_H
#define USB_TIS_REG_H

#include "usb/tis_bus.h"

/*
 * The registers of a TPM and the waiting for them, for usb/tis.c alone.
 */

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

/* Milliseconds in which a chip must show a sign of life. */
#define SILENCE_MS 2000
/* No loop looks more often than that, whatever the clock says. */
#define LOOKS_MAX 100000

struct tis {
    struct tis_bus bus;
    struct tis_clock clock;
    bool executing;
    bool broken;      /* the bus failed: no use talking */
    bool careful;     /* it makes us wait beyond its burst count: no more than that at once */
    size_t most;      /* the greatest burst count it told */
    bool silent;      /* nobody answered the last look, ... */
    uint64_t silence; /* for the first time then */
    uint64_t since;   /* when execution began */
};

/* The machine's own. */
extern const struct tis_clock tis_reg_clock;

uint64_t tis_reg_now(const struct tis *t);

/* What the bus says, remembered: after a failure it is of no use any more. */
int tis_reg_moved(struct tis *t, int rc);

/* For registers that can be read, or written, twice: a chip that makes us wait is asked again. */
int tis_reg_get(struct tis *t, uint16_t reg, uint8_t *p, size_t n, struct err *e) MUST_USE;
int tis_reg_put(struct tis *t, uint16_t reg, uint8_t value, struct err *e) MUST_USE;
int tis_reg_status(struct tis *t, uint32_t *out, struct err *e) MUST_USE;

/* The error of a wait without end, and of a bus that nobody drives. Each returns -1. */
int tis_reg_out_of_waits(struct err *e);
int tis_reg_nobody(struct err *e);

/* The first status with these bits as `want` says, and a burst if `burst`, within `ms` of `since`
 * (tis_reg_now()): 0, or 1 when there is none, with the last one. */
struct tis_wish {
    uint32_t mask, want;
    bool burst;
    uint64_t since, ms;
};
int tis_reg_wait(struct tis *t, const struct tis_wish *w, uint32_t *sts, struct err *e) MUST_USE;

/* Sleeps before the next look at what is waited for since then. */
void tis_reg_later(const struct tis *t, uint64_t since);

#endif
