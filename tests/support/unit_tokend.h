#ifndef TESTS_UNIT_TOKEND_H
#define TESTS_UNIT_TOKEND_H

#include "tests/support/unit_frame.h"
#include "usb/frame.h"
#include "usb/tokend_serve.h"

#include <pthread.h>

/* A token (usb/tokend_serve.h) in a thread, in front of the TPM of FUSETSU_TCTI, with a host of
 * ours, and one that may send what it likes. Each fails the test where it cannot. */
struct unit_tokend {
    struct unit_frame usb;
    void *host;
    int far;      /* the token's end */
    int event[2]; /* what happens beside the packets: a byte of enum tokend_event */
    int stop[2];
    struct tokend_forward *forward;
    struct tokend_presence *presence;
    pthread_t thread;
    int rc;
    char button[64];
};

void unit_tokend_begin(struct unit_tokend *w, const char *presence, unsigned timeout_s,
                       unsigned hold_s);
void unit_tokend_end(struct unit_tokend *w);
void unit_tokend_event(struct unit_tokend *w, enum tokend_event event);

/* A command without authorisations from 32-bit words behind its code; its length. */
size_t unit_tokend_make(uint8_t *out, uint32_t code, size_t n, const uint32_t *words);

/* The code of a response. */
#define RC_OF(p) ((uint32_t)(p)[6] << 24 | (uint32_t)(p)[7] << 16 | (uint32_t)(p)[8] << 8 | (p)[9])

/* By our own host; the response's code. */
uint32_t unit_tokend_talk(struct unit_tokend *w, const uint8_t *command, size_t len,
                          uint8_t *response, size_t *n);
uint32_t unit_tokend_ask(struct unit_tokend *w, uint32_t code, size_t n, const uint32_t *words,
                         uint8_t *response, size_t *len);
bool unit_tokend_works(struct unit_tokend *w);

/* How many transient objects, or loaded sessions, the TPM says it has. */
unsigned unit_tokend_count(struct unit_tokend *w, uint32_t first);

/* One packet; a frame as one. */
void unit_tokend_throw(struct unit_tokend *w, const void *p, size_t n);
void unit_tokend_send(struct unit_tokend *w, enum frame_type type, uint32_t sequence, const void *p,
                      size_t n);

/* The next frame of the token: its type, or 0 when none comes in that time. */
unsigned unit_tokend_get(struct unit_tokend *w, struct frame_head *h,
                         uint8_t payload[FRAME_PAYLOAD], int timeout_ms);

/* It tells of an error next. */
void unit_tokend_told(struct unit_tokend *w, enum frame_error code, int timeout_ms);

/* Nothing but a greeting is heard until one comes; which it does then. */
void unit_tokend_deaf(struct unit_tokend *w);

extern const uint8_t unit_tokend_random[12]; /* GetRandom, 8 bytes */

#endif
