#ifndef USB_TOKEND_FILTER_H
#define USB_TOKEND_FILTER_H

#include "core/buf.h"

/*
 * What a host may have the token's TPM do: commands of a list, none of them on the platform or
 * lockout hierarchies. Who finds a token can use it as far as its PINs let him, and cannot clear
 * the TPM, change its hierarchies or PCRs, or update its firmware. Pure.
 */
#define TOKEND_HANDLES 3 /* more than that has no command */

struct tokend_verdict {
    uint32_t rc;      /* 0: goes to the TPM; else what the host gets instead (Part 2, 6.6) */
    uint32_t code;    /* of the command */
    const char *name; /* "TPM2_Sign"; of a command of the list */
    unsigned n_handles;
    uint32_t handle[TOKEND_HANDLES]; /* those that follow its head; others are 0 */
    bool confirm;                    /* uses a private or secret key: somebody has to be there */
    bool makes; /* its response begins with the handle of something that it made */
};

void tokend_filter(struct bytes command, struct tokend_verdict *out);

/* A response without parameters, 10 bytes. */
#define TOKEND_ANSWER 10
void tokend_filter_answer(uint8_t out[TOKEND_ANSWER], uint32_t rc);

/* Part 2, 6.6.3 */
#define TOKEND_RC_INITIALIZE 0x100U
#define TOKEND_RC_PP 0x090U       /* nobody confirmed it */
#define TOKEND_RC_CANCELED 0x909U /* the host itself did not want it any more */
#define TOKEND_RC_OBJECT_MEMORY 0x902U
#define TOKEND_RC_HANDLE 0x1CBU       /* of the first parameter */
#define TOKEND_RC_REFERENCE_H0 0x910U /* nothing is there; plus the number of the handle */

#define TOKEND_CC_FLUSH_CONTEXT 0x165U
#define TOKEND_CC_SEQUENCE_COMPLETE 0x13EU

#endif
