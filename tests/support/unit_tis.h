#ifndef TESTS_UNIT_TIS_H
#define TESTS_UNIT_TIS_H

#include "core/base.h"

/*
 * A TPM as its TIS registers show it (locality 0), with a TPM of the caller's behind: for unit
 * tests, and for emulated sticks. Also a chip that misbehaves in each way that we know of.
 */
#define UNIT_TIS_MAX 4096

enum unit_tis_fault {
    TIS_SOUND,
    TIS_ABSENT_ZEROS, /* nothing on the bus */
    TIS_ABSENT_ONES,
    TIS_NOT_UP,      /* the access register never gets valid */
    TIS_REFUSED,     /* another locality keeps it */
    TIS_NEVER_READY, /* commandReady never comes */
    TIS_BURST_ZERO,  /* never room in the FIFO */
    TIS_BURST_HUGE,  /* always says 0xFFFF */
    TIS_NEVER_VALID, /* the status never gets valid */
    TIS_ALL_ONES,    /* the status reads as ones from the end of the command on */
    TIS_EXPECTS,     /* expects more after the whole command */
    TIS_DEAF,        /* expects nothing any more in its middle */
    TIS_SILENT,      /* never answers */
    TIS_SIZE_NINE,   /* announces 9 bytes */
    TIS_SIZE_ZERO,   /* announces none */
    TIS_SIZE_HUGE,   /* announces 0xFFFFFFFF bytes */
    TIS_SIZE_MORE,   /* announces a byte more than there is */
    TIS_SIZE_LESS,   /* a byte less */
    TIS_BURST_DRY,   /* nothing to read in the middle of a response, for ever */
    TIS_FAULTS
};

struct unit_tis {
    /* What is behind: starts a command; then is asked for its response (true: it is there, or
     * all that will ever be); is told that nobody wants it any more. */
    void (*execute)(void *arg, const uint8_t *command, size_t len);
    bool (*answer)(void *arg, uint8_t *response, size_t *len);
    void (*abort)(void *arg);
    void (*cancel)(void *arg); /* and that it shall answer soon */
    void *arg;

    enum unit_tis_fault fault;
    unsigned burst; /* FIFO bytes without a wait; 0: 64 */
    int slow_ready; /* looks until commandReady shows */
    int slow_valid; /* looks until the status is valid after a command and a response */

    /* The rest is the chip's own; zero at power-up. */
    bool active;
    int state, looks;
    uint8_t in[UNIT_TIS_MAX], out[UNIT_TIS_MAX + 1];
    size_t in_len, out_len, out_off;
    unsigned long reads, writes, aborts, cancels;
};

void unit_tis_read(struct unit_tis *t, uint16_t reg, uint8_t *p, size_t n);
void unit_tis_write(struct unit_tis *t, uint16_t reg, const uint8_t *p, size_t n);

#endif
