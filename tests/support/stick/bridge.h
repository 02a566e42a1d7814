#ifndef TESTS_STICK_BRIDGE_H
#define TESTS_STICK_BRIDGE_H

#include "tests/support/stick/chip.h"

/*
 * The Cypress bridge of a LetsTrust-TPM2Go on the level of USB transfers, with a chip behind it,
 * and the ways in which a cable, a hub, or a bridge fails.
 */
enum bridge_fault {
    BRIDGE_SOUND,
    BRIDGE_STALL_CONTROL,
    BRIDGE_STALL_OUT,
    BRIDGE_STALL_IN,
    BRIDGE_SHORT_IN, /* a byte in each packet: no error at all */
    BRIDGE_EMPTY_IN, /* a packet without bytes first: neither */
    BRIDGE_EMPTY_FOREVER,
    BRIDGE_LONG_IN, /* bytes more than there shall be */
    BRIDGE_MUTE_IN, /* nothing comes */
    BRIDGE_DEAF_OUT,
    BRIDGE_WAIT,    /* the chip asks to wait */
    BRIDGE_GARBAGE, /* stale bytes in front: another's transfer was left half done */
    BRIDGE_FAULTS
};
extern const char *const bridge_fault_names[BRIDGE_FAULTS];

struct bridge {
    struct unit_tis tis;
    struct chip chip;
    enum bridge_fault fault;
    unsigned times; /* how many transfers (windows for BRIDGE_WAIT) it has left */
    /* Its own: */
    size_t want, have, in_len;
    uint8_t out[256], in[512];
    bool in_empty;
};

/* Results: 0 done, BRIDGE_LATER (it hangs there), or a negative errno as URBs have it. */
#define BRIDGE_LATER 1
int bridge_control(struct bridge *b, const uint8_t setup[8]);
int bridge_out(struct bridge *b, const uint8_t *p, size_t n);
int bridge_in(struct bridge *b, uint8_t *p, size_t room, size_t *n);

/* Plugged in: power comes. */
void bridge_power(struct bridge *b);

#endif
