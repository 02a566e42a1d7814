#ifndef TESTS_STICK_CHIP_H
#define TESTS_STICK_CHIP_H

#include "tests/support/unit_tis.h"

/*
 * What is behind the registers of an emulated TPM: a swtpm at its unix socket (one connection
 * for each command, as its TCTI does), or without a path something that answers GetRandom with
 * as many bytes as asked for, and everything else with success.
 */
struct chip {
    char *socket; /* NULL: the simple one */
    unsigned delay_ms;
    bool started; /* the simple one wants TPM2_Startup, too */
    /* Its own: */
    int fd;
    uint8_t out[UNIT_TIS_MAX];
    size_t len;
    bool canceled;
    uint64_t due; /* milliseconds */
    unsigned long commands;
};

/* Hooks into `t`, which must be zero but for its faults. */
void chip_attach(struct chip *c, struct unit_tis *t);

/* Power off, and on again: no TPM2_Startup follows. */
void chip_power(struct chip *c, struct unit_tis *t);

#endif
