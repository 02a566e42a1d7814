#ifndef USB_TIS_H
#define USB_TIS_H

#include "usb/tis_bus.h"

/*
 * The FIFO interface of a TPM (TCG PC Client Platform TPM Profile for TPM 2.0, 6.5: "TIS") at
 * locality 0, over any bus that reads and writes its registers. All that a chip says is
 * doubted: every loop ends by time and by count.
 *
 * Errors: those of the bus as they are; E_BUSY when the chip is at another locality's or
 * another program's command; E_TPM when it answers out of protocol.
 */

#define TIS_MAX 4096 /* commands and responses */

struct tis;

/* Talks to nobody yet. What `bus` and `clock` point to outlives it; `clock` NULL is the
 * machine's own. */
int tis_open(struct tis **out, const struct tis_bus *bus, const struct tis_clock *clock,
             struct err *e) MUST_USE;

/*
 * One whole command (its own length field says `len`), up to the start of its execution. What an
 * earlier program left half done is aborted first. A chip that comes up is waited for, up to a
 * second (E_NO_DEVICE then), and its locality taken where it is not ours.
 */
int tis_send(struct tis *t, const uint8_t *command, size_t len, struct err *e) MUST_USE;

/* The response: 0 with its length in `*len`, which was the room; TIS_AGAIN when it is not there
 * after `timeout_ms` (-1: until the longest command is over, five minutes), ask again then. */
#define TIS_AGAIN 1
int tis_receive(struct tis *t, uint8_t *response, size_t *len, int timeout_ms,
                struct err *e) MUST_USE;

/* Asks the chip to end what it executes; the response is to be received as ever. */
int tis_cancel(struct tis *t, struct err *e) MUST_USE;

/*
 * With `talk`, what is under way is aborted. The locality is kept: it is the one that all
 * programs use, and taking it again would cost each of them six accesses. NULL is fine.
 */
void tis_close(struct tis *t, bool talk);

#endif
